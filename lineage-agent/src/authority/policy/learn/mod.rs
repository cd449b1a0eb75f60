//! A policy that would have allowed what was recorded: a proposal, for people to read.

mod acts;
mod ends;
mod left_out;
mod made_up;
mod paths;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use lineage_common::policy::{Operation, Protocol, Resource};

pub use self::left_out::{LeftOut, Reason};

use self::acts::{Act, Known, Thing, acts, is_not_on_host, script};
use self::ends::Ends;
use self::paths::{Operations, Paths};
use crate::evidence::{kinds, schema::Record};

/// Most different paths, most different ends, and most processes that are remembered.
pub const DIFFERENT_MAX: usize = 1 << 14;

/// How to propose.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// A directory stands for what is in it when more of its files than this were used.
    pub siblings_max: usize,
    /// Addresses of one /24 or /64 are that.
    pub address_blocks: bool,
}

/// What was done, from records in their order.
#[derive(Debug, Default)]
pub struct Learner {
    paths: Paths,
    ends: Ends,
    /// Processes known to have another root or mount namespace.
    elsewhere: BTreeSet<String>,
    /// Processes that acted or were created, with the lineage they are of.
    inside: BTreeSet<(String, String)>,
    told: Told,
}

/// Numbers about what was learned from.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Told {
    /// Records looked at.
    pub records: u64,
    /// Records of what is allowed by the proposal.
    pub used: u64,
    /// Those of them that an audited policy would have denied.
    pub would_deny: u64,
    /// Records that were left out.
    pub left_out: BTreeMap<Reason, LeftOut>,
}

/// A proposal.
#[derive(Debug)]
pub struct Proposal {
    /// Its rules, in Cedar.
    pub rules: Vec<ProposedRule>,
    /// What it is from.
    pub told: Told,
    /// Directories that stand for all that is in them.
    pub directories: Vec<String>,
    /// Files that may hold secrets, by their names.
    pub secrets: Vec<String>,
    /// Paths below `/proc`, which name processes.
    pub of_processes: usize,
    /// Paths up to names that look made up for one run, in the rules.
    pub made_up: Vec<String>,
    /// The port from which on ports are taken together, because a table does not tell so many apart.
    pub ports_from: Option<u16>,
}

/// A rule of a proposal.
#[derive(Debug)]
pub struct ProposedRule {
    /// Its `@id`.
    pub id: String,
    /// The whole of it.
    pub text: String,
}

impl Learner {
    /// Takes in one record.
    pub fn add(&mut self, record: &Record<'_>) {
        self.told.records += 1;
        if let Err(reason) = self.learn(record) {
            let left = self.told.left_out.entry(reason).or_insert(LeftOut {
                records: 0,
                first: record.seq.unwrap_or_default(),
            });
            left.records += 1;
        }
    }

    fn learn(&mut self, record: &Record<'_>) -> Result<(), Reason> {
        let known = Known {
            elsewhere: self.is_elsewhere(record),
            inside: self.is_inside(record),
        };
        let acts = acts(record, known)?;
        if acts.is_empty() {
            return Ok(());
        }
        for act in &acts {
            self.remember(act)?;
        }
        if let Some(act) = script(record, known)? {
            self.remember(&act)?;
        }
        self.told.used += 1;
        self.told.would_deny += u64::from(record.effect == Some("would-deny"));
        Ok(())
    }

    /// Whether the process acted on is of the same lineage, as far as records up to this one tell.
    /// Nobody knows where there were too many processes.
    fn is_inside(&mut self, record: &Record<'_>) -> Option<bool> {
        let lineage = record.lineage.unwrap_or_default();
        let key = |process: &str| (lineage.to_owned(), process.to_owned());
        for process in [record.process_uid, record.child_uid].into_iter().flatten() {
            if self.inside.len() < DIFFERENT_MAX {
                self.inside.insert(key(process));
            }
        }
        let target = record.target_uid;
        let inside = target.is_some_and(|process| self.inside.contains(&key(process)));
        (inside || self.inside.len() < DIFFERENT_MAX).then_some(inside)
    }

    /// Whether the process has another root or mount namespace, as far as records up to this one tell.
    fn is_elsewhere(&mut self, record: &Record<'_>) -> bool {
        let Some(process) = record.process_uid else {
            return false;
        };
        let known = self.elsewhere.contains(process);
        let shown = record.host_path.is_some()
            || is_not_on_host(record)
            || record.kind == Some(kinds::PROCESS_CHROOT);
        let born = match record.child_uid {
            Some(child) if known || record.mnt_ns.is_some() => Some(child),
            _ => None,
        };
        for process in [(shown && !known).then_some(process), born]
            .into_iter()
            .flatten()
        {
            if self.elsewhere.len() < DIFFERENT_MAX {
                self.elsewhere.insert(process.to_owned());
            }
        }
        // When there are too many, any can be one of those that there was no room for.
        known || shown || self.elsewhere.len() >= DIFFERENT_MAX
    }

    fn remember(&mut self, act: &Act) -> Result<(), Reason> {
        let bit: Operations = 1 << act.operation.0;
        match &act.thing {
            Thing::Text(resource, path) => {
                let key = (*resource, path.clone());
                if self.paths.len() >= DIFFERENT_MAX && !self.paths.contains_key(&key) {
                    return Err(Reason::TooMany);
                }
                *self.paths.entry(key).or_default() |= bit;
            }
            Thing::End(protocol, address, port) => {
                let key = (*protocol, *port, *address);
                if self.ends.len() >= DIFFERENT_MAX && !self.ends.contains_key(&key) {
                    return Err(Reason::TooMany);
                }
                *self.ends.entry(key).or_default() |= bit;
            }
        }
        Ok(())
    }

    /// The proposal.
    #[must_use]
    pub fn propose(self, options: Options) -> Proposal {
        let files = paths::together(&self.paths, options.siblings_max);
        let (talks, ports_from) = ends::talks(&self.ends, options.address_blocks);
        let mut rules = text::Rules::default();
        let mut directories = Vec::new();
        for ((resource, operations), together) in &files {
            directories.extend(together.below.clone());
            rules.add_paths(*resource, *operations, together);
        }
        let named = files
            .values()
            .flat_map(|it| it.paths.iter().chain(&it.below));
        let made_up = made_up::made_up(named.map(String::as_str));
        for talk in &talks {
            rules.add_talk(talk);
        }
        let files = self.paths.keys().filter(|(of, _)| *of == Resource::File);
        let secrets = files.filter(|(_, path)| paths::is_secret(path));
        let secrets = secrets.map(|(_, path)| path.clone()).collect();
        let of_processes = self.paths.keys().filter(|(_, path)| is_of_process(path));
        Proposal {
            rules: rules.finish(),
            secrets,
            of_processes: of_processes.count(),
            made_up,
            told: self.told,
            directories,
            ports_from,
        }
    }
}

/// `/proc/7/status`
fn is_of_process(path: &str) -> bool {
    let rest = path.strip_prefix("/proc/").unwrap_or_default();
    rest.starts_with(|c: char| c.is_ascii_digit())
}

/// The names of operations, in their order.
fn names(operations: Operations) -> Vec<&'static str> {
    let done = Operation::ALL
        .iter()
        .filter(|(operation, ..)| operations >> operation.0 & 1 == 1);
    done.map(|(_, name, _)| *name).collect()
}

/// The name of a protocol.
fn protocol_name(protocol: Protocol) -> &'static str {
    let known = Protocol::ALL.iter().find(|(known, _)| *known == protocol);
    known.map_or("other", |(_, name)| name)
}

/// The word for a resource in names of rules: nothing where the operations tell.
fn word(resource: Resource) -> &'static str {
    match resource {
        Resource::UnixSocket => "-unix",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
