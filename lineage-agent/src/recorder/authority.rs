//! What authorises the lineages of a recording: grants, and the policies they name.

use std::collections::{BTreeMap, btree_map::Entry};
use std::path::PathBuf;
use std::sync::Arc;

use lineage_common::policy::{
    AddressKey, BUDGET_LEVELS, Governance, Mode, PathKey, Protocol, Resource,
};
use serde_json::json;

use crate::{
    authority::{
        chain::{Chain, ChainError, Refusal},
        files::{self, FileError, Revocations},
        policy::{
            CompileError, Compiled, Missing, compile, levels,
            source::{SCHEMA, Schema, Source},
        },
        selector::Candidate,
        statement::{Digest, SUBJECTS_MAX},
        time::Time,
    },
    clock::Now,
    evidence::{error::Error as EvidenceError, keys::PublicKey, writer::Artifacts},
    probe::{AddressRule, PathRule, ProbeError, Probes, Rules},
};

/// Nanoseconds in a second.
const SECOND: i64 = 1_000_000_000;

/// Where what governs a recording stands. It is read again when somebody asks for that, and revocations
/// all the time.
#[derive(Debug, Clone)]
pub struct Files {
    /// A file of grants; without one nobody answers for what the policies allow.
    pub grant: Option<PathBuf>,
    /// The policies: those that the grants name, or those that govern without one.
    pub policies: Vec<PathBuf>,
    /// A revocation, or a directory of them.
    pub revocations: Option<PathBuf>,
    /// Who may issue grants.
    pub trusted: Vec<PublicKey>,
    /// Whether what is denied is prevented.
    pub enforce: bool,
}

/// Why nothing is authorised.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// More policies than are read again from evidence.
    #[error("govern by {0} policies: {SUBJECTS_MAX} are the most there can be")]
    TooMany(usize),
    /// A policy that a grant names is not among the files.
    #[error("{0}; one that was changed since is another (--policy names the files)")]
    Missing(#[from] Missing),
    /// A policy that no grant names.
    #[error(
        "govern by {0:?}: the grant does not name it, by its digest; `lineage grant inspect` tells what it names"
    )]
    Unnamed(String),
    /// The kernel cannot enforce them.
    #[error("enforce these policies: {0}")]
    Compile(#[from] CompileError),
    /// The grants authorise nothing now.
    #[error("govern by the grant: {0}")]
    Refused(#[from] Refusal),
    /// Grants that are no chain.
    #[error("govern by the grant: {0}")]
    Chain(#[source] ChainError),
    /// Grants that do not go on where the chain of who asks ends.
    #[error(
        "the grant is none that narrows the one that governs here (see `lineage grant narrow`): {0}"
    )]
    Narrower(#[source] ChainError),
    /// Who asks cannot be given that.
    #[error("{0}")]
    Peer(&'static str),
    /// The clock is off.
    #[error("govern by the grant: the clock is thousands of years off")]
    Clock,
    /// The process is not one for it.
    #[error("process {pid} is not one for the grant: {why}")]
    Selector {
        /// The process.
        pid: u32,
        /// What does not fit.
        why: String,
    },
}

impl Files {
    /// Reads and checks everything; what it comes to is in force at this moment.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`]
    pub fn read(&self, schema: &Schema, now: Now) -> Result<Authority, AuthorityError> {
        if self.policies.len() > SUBJECTS_MAX {
            return Err(AuthorityError::TooMany(self.policies.len()));
        }
        let chain = self.grant.as_deref().map(files::chain).transpose()?;
        let sources = self.policies.iter().map(|path| files::policy(path, schema));
        let sources: Vec<Source> = sources.collect::<Result<_, _>>()?;
        let levels = match &chain {
            Some(chain) => {
                let mut revocations = Revocations::default();
                revocations.read(self.revocations.as_deref())?;
                let refusal = chain.refusal(&self.trusted, revocations.known(), time(now)?);
                if let Some(refusal) = refusal {
                    return Err(refusal.into());
                }
                named(chain, &sources)?
            }
            None => vec![sources],
        };
        Authority::new(chain, levels, schema, self.enforce)
    }
}

/// The policies of each grant; all of them are named by one.
fn named(chain: &Chain, sources: &[Source]) -> Result<Vec<Vec<Source>>, AuthorityError> {
    let levels = levels(chain, sources)?;
    let is_named = |source: &&Source| {
        let mut subjects = chain.links().iter().flat_map(|link| &link.subjects);
        !subjects.any(|subject| subject.has(&source.bytes))
    };
    match sources.iter().find(is_named) {
        Some(source) => Err(AuthorityError::Unnamed(source.name.clone())),
        None => Ok(levels),
    }
}

/// The moment as grants have it.
pub(super) fn time(now: Now) -> Result<Time, AuthorityError> {
    Time::from_seconds(now.wall_ns.div_euclid(SECOND)).ok_or(AuthorityError::Clock)
}

/// What authorises a lineage, ready for the kernel.
#[derive(Debug)]
pub struct Authority {
    /// The grants, if there are any.
    pub chain: Option<Chain>,
    /// Of each grant the policies that it names.
    levels: Vec<Vec<Source>>,
    compiled: Compiled,
    enforce: bool,
}

/// Budgets in the kernel, by grant.
#[derive(Debug, Default)]
pub(super) struct Budgets(BTreeMap<Digest, u16>);

impl Budgets {
    /// The places of the budgets of a chain.
    fn of(
        &mut self,
        probes: &mut Probes,
        chain: Option<&Chain>,
    ) -> Result<[u16; BUDGET_LEVELS], ProbeError> {
        let mut places = [0; BUDGET_LEVELS];
        let grants = chain.into_iter().flat_map(Chain::links);
        for (place, grant) in places.iter_mut().zip(grants) {
            let budgets = grant.predicate.budgets;
            if budgets.are_none() {
                continue;
            }
            *place = match self.0.entry(grant.id) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(free) => {
                    let limits = [budgets.execs, budgets.connections, budgets.bytes_sent, None];
                    let limits = limits.map(|limit| limit.unwrap_or(u64::MAX));
                    *free.insert(probes.budget(limits)?)
                }
            };
        }
        Ok(places)
    }
}

/// The documents of an authority in the evidence, by their digests.
#[derive(Debug, Clone, Default)]
pub(super) struct Stored {
    /// The policies, and how they govern.
    pub(super) policy: String,
    /// The grants, the widest first.
    pub(super) grants: Vec<String>,
    /// The purpose of the narrowest grant.
    pub(super) intent: Option<String>,
}

impl Authority {
    fn new(
        chain: Option<Chain>,
        levels: Vec<Vec<Source>>,
        schema: &Schema,
        enforce: bool,
    ) -> Result<Self, AuthorityError> {
        let compiled = compile(&levels, schema)?;
        Ok(Self {
            chain,
            levels,
            compiled,
            enforce,
        })
    }

    /// The same with one more grant, which narrows the others.
    pub(super) fn narrowed(&self, chain: Chain, schema: &Schema) -> Result<Self, AuthorityError> {
        let sources: Vec<Source> = self.levels.iter().flatten().cloned().collect();
        let levels = levels(&chain, &sources)?;
        Self::new(Some(chain), levels, schema, self.enforce)
    }

    /// Whether the narrowest grant is for this process.
    pub(super) fn fits(&self, pid: u32, candidate: &Candidate) -> Result<(), AuthorityError> {
        let selector = self
            .chain
            .as_ref()
            .map(|chain| &chain.last().predicate.selector);
        match selector.and_then(|selector| selector.misfit(candidate)) {
            Some(why) => Err(AuthorityError::Selector { pid, why }),
            None => Ok(()),
        }
    }

    /// The word for what becomes of what is denied.
    pub(super) fn mode(&self) -> &'static str {
        if self.enforce { "enforce" } else { "audit" }
    }

    /// The names of the rules, as the tables number them.
    pub(super) fn rules(&self) -> Arc<[String]> {
        let rules = self.compiled.rules.iter();
        rules.map(|rule| rule.name.clone()).collect()
    }

    /// Boot time in nanoseconds at which the first of the grants ends, by the clock as it is.
    pub(super) fn until_ns(&self, now: Now) -> u64 {
        let grants = self.chain.iter().flat_map(Chain::links);
        let end = grants
            .map(|grant| grant.predicate.not_after.seconds())
            .min();
        let Some(end) = end else {
            return u64::MAX;
        };
        let left = end.saturating_mul(SECOND).saturating_sub(now.wall_ns);
        u64::try_from(now.boot_ns.saturating_add(left)).unwrap_or(0)
    }

    /// Puts it in place in the kernel, where it governs nothing yet; the number it has there. A grant that has governed
    /// already goes on with what is left of its budget.
    pub(super) fn stage(
        &self,
        probes: &mut Probes,
        budgets: &mut Budgets,
        (generation, until_ns): (u32, u64),
        spare: usize,
    ) -> Result<u32, ProbeError> {
        let table = &self.compiled.table;
        let mut governance = Governance {
            generation,
            until_ns,
            mode: if self.enforce {
                Mode::ENFORCE
            } else {
                Mode::AUDIT
            },
            port_bounds_count: table.port_bounds.len() as u32,
            budgets: budgets.of(probes, self.chain.as_ref())?,
            ..Governance::NONE
        };
        let bounds = governance.port_bounds.iter_mut().zip(&table.port_bounds);
        bounds.for_each(|(place, bound)| *place = *bound);
        probes.stage(governance, &self.table(), spare)
    }

    /// Takes it away again.
    pub(super) fn retire(&self, probes: &mut Probes, number: u32) {
        probes.retire(number, &self.table());
    }

    /// Its rules, as the kernel looks them up.
    fn table(&self) -> Rules<'_> {
        let table = &self.compiled.table;
        let paths = table.paths.iter().map(|((target, prefix), ruling)| {
            let socket = match target.resource {
                Resource::UnixSocket => PathKey::UNIX_SOCKET,
                _ => 0,
            };
            PathRule {
                operation: u32::from(target.operation.0) | socket,
                prefix,
                ruling: *ruling,
            }
        });
        let addresses = table.addresses.iter().map(|(key, ruling)| {
            let (operation, protocol, port_class, block) = *key;
            AddressRule {
                key: AddressKey {
                    table: 0,
                    operation,
                    protocol: Protocol(protocol),
                    port_class,
                    reserved: 0,
                    address: block.first.to_be_bytes(),
                },
                bits: block.bits,
                ruling: *ruling,
            }
        });
        Rules {
            paths: paths.collect(),
            addresses: addresses.collect(),
        }
    }

    /// Stores it with the document that says how it governs as this generation.
    pub(super) fn store(
        &self,
        artifacts: &Artifacts,
        generation: u32,
    ) -> Result<Stored, EvidenceError> {
        let mut levels = Vec::new();
        for sources in &self.levels {
            let mut names = Vec::new();
            for source in sources {
                let digest = artifacts.store(&source.bytes)?;
                names.push(json!({ "blake3": digest, "name": source.name }));
            }
            levels.push(names);
        }
        let document = json!({
            "generation": generation,
            "levels": levels,
            "rules": self.rules().to_vec(),
            "schema": artifacts.store(SCHEMA.as_bytes())?,
            "version": 1,
        });
        let mut stored = Stored {
            policy: artifacts.store(document.to_string().as_bytes())?,
            ..Stored::default()
        };
        for grant in self.chain.iter().flat_map(Chain::links) {
            let envelope = grant.envelope.to_json();
            stored.grants.push(artifacts.store(envelope.as_bytes())?);
            // By its digest it is what the grant names.
            let purpose = grant.predicate.purpose.text.as_bytes();
            stored.intent = Some(artifacts.store(purpose)?);
        }
        Ok(stored)
    }
}
