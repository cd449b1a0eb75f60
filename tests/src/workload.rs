//! A workload as the probes tell of it, for what measures how frames become evidence.
//!
//! Frames are kept nowhere, so these are made, and are the same every time. What programs do and how often is what
//! `lineage record` told of three runs of the demo's agent, `git log`, `git status` and `ls -R`: 26,028 records of 199
//! processes. Of a hundred, 35 were opens, 10 of them of what is not there, 28 closes, 15 mappings, 11 first reads, and 3.5
//! execs, most of them tries along `PATH`.

mod program;
mod recording;
mod ring;

use std::sync::Arc;

use anyhow::{Result, bail};
use lineage_agent::authority::policy::compile;
use lineage_agent::authority::policy::source::{SCHEMA, Schema, Source};
use lineage_agent::lineage::context::Context;
use lineage_agent::lineage::fold::{Fold, LineageStart, Sink};
use lineage_agent::lineage::identity::BootId;
use lineage_agent::lineage::process::{ProcessState, Snapshot};
use lineage_agent::lineage::recognise::Recognisers;
use serde_json::json;

pub use recording::{Recording, Sealed};
pub use ring::Ring;
use ring::Rules;

/// Boot time in nanoseconds of the first frame.
pub const BEGIN_NS: u64 = 1_000_000_000_000;
/// What to add to boot time to get UTC, in nanoseconds.
pub const OFFSET_NS: i64 = 1_795_507_200_000_000_000;

const LINEAGE: &str = "00000000-0000-8000-8000-000000000001";
/// The agent that starts the programs: its process id, and its start in nanoseconds of boot time.
const AGENT: (u32, u64) = (100, 1000);

/// A policy that allows what the workload does by two rules out of fifty.
#[must_use]
pub fn policy(rules: usize) -> String {
    let mut text = r#"
        @id("files") permit (principal, action == Action::"read", resource is File);
        @id("programs") permit (principal, action == Action::"exec", resource is Program);
    "#
    .to_owned();
    for number in 2..rules {
        text += &format!(
            "@id(\"d{number}\") forbid (principal, action == Action::\"read\", resource is File) \
             when {{ resource.path like \"/d/{number}/*\" }};\n"
        );
    }
    text
}

/// Rules of the policy that governs.
const RULES: usize = 50;

/// What programs did, and under which documents.
pub struct Workload {
    /// The frames.
    pub ring: Ring,
    /// Everything that records name by its digest.
    pub documents: Vec<Vec<u8>>,
    /// Digest of the context of all records.
    context: String,
    /// The names of the rules that govern, if any do.
    rules: Option<Arc<[String]>>,
}

impl Workload {
    /// So many programs, one after the other, which nothing governs.
    ///
    /// # Errors
    ///
    /// Never in practice: documents that make no sense.
    pub fn of(programs: u64) -> Result<Self> {
        Self::new(programs, None)
    }

    /// The same, whose opens and execs a policy has allowed.
    ///
    /// # Errors
    ///
    /// As [`Self::of`].
    pub fn governed(programs: u64) -> Result<Self> {
        let schema = Schema::new();
        let source = Source::parse("policy", policy(RULES).as_bytes(), &schema)?;
        Self::new(programs, Some(&source))
    }

    fn new(programs: u64, policy: Option<&Source>) -> Result<Self> {
        let mut documents = Documents::default();
        let (mut names, mut governance, mut rules) = (None, None, Rules::default());
        if let Some(policy) = policy {
            let levels = [vec![policy.clone()]];
            let compiled = compile(&levels, &Schema::new())?;
            let known: Arc<[String]> = compiled.rules.into_iter().map(|rule| rule.name).collect();
            rules = Rules::named(&known)?;
            let policy = documents.add(&policy.bytes);
            let document = json!({
                "generation": 1, "levels": [[{ "blake3": policy, "name": "policy" }]], "rules": &known[..],
                "schema": documents.add(SCHEMA.as_bytes()), "version": 1,
            });
            governance = Some(documents.add(document.to_string().as_bytes()));
            names = Some(known);
        }
        let environment = documents.add(b"{}");
        let context = Context {
            container: None,
            enforcement: if policy.is_some() {
                "enforce"
            } else {
                "observe"
            },
            environment: &environment,
            grants: &[],
            intent: None,
            lapsed: None,
            lineage: LINEAGE,
            parent: None,
            policy: governance.as_deref(),
            previous: None,
            reason: "start",
            revocation: None,
            version: 1,
        };
        let context = documents.add(&context.to_bytes());
        let mut ring = Ring::new(BEGIN_NS, rules);
        for number in 0..programs {
            program::run(&mut ring, AGENT, number);
        }
        Ok(Self {
            ring,
            documents: documents.0,
            context,
            rules: names,
        })
    }

    /// How many frames there are.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.ring.places().len() as u64
    }

    /// A fold as the recorder has it by default, to which the lineage and its first process are known.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub fn fold<S: Sink>(&self, sink: &mut S) -> Result<Fold, S::Error> {
        let mut fold = Fold::new(BootId([7; 16]));
        fold.recognise_by(Recognisers::built_in());
        fold.set_utc_offset(OFFSET_NS);
        let start = LineageStart {
            uid: LINEAGE,
            context: &self.context,
            time_ns: BEGIN_NS - 2000,
            detail: r#"{"command":["agent"],"how":"launch"}"#,
            rules: self.rules.as_ref(),
            from: None,
        };
        fold.start_lineage(&start, sink)?;
        let agent = Snapshot {
            time_ns: BEGIN_NS - 1000,
            pid: AGENT.0,
            start_ns: AGENT.1,
            namespace: Some((program::NAMESPACE, AGENT.0)),
            state: Some(ProcessState {
                comm: b"agent".to_vec(),
                argv: b"agent\0".to_vec(),
                ..ProcessState::default()
            }),
            ..Snapshot::default()
        };
        fold.snapshot(0, &agent, sink)?;
        Ok(fold)
    }

    /// Ends the lineage.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub fn end<S: Sink>(&self, fold: &mut Fold, sink: &mut S) -> Result<(), S::Error> {
        fold.end_lineage(
            0,
            self.ring.end_ns(),
            r#"{"reason":"ended","running":0}"#,
            sink,
        )
    }
}

/// Documents, which are named by their digests.
#[derive(Default)]
struct Documents(Vec<Vec<u8>>);

impl Documents {
    fn add(&mut self, bytes: &[u8]) -> String {
        self.0.push(bytes.to_vec());
        blake3::hash(bytes).to_hex().to_string()
    }
}

impl Rules {
    /// Which of the rules are those of [`policy`] that allow.
    fn named(rules: &[String]) -> Result<Self> {
        let at = |name| rules.iter().position(|rule| rule == name);
        let (Some(files), Some(programs)) = (at("policy:files"), at("policy:programs")) else {
            bail!("no rules that allow among {rules:?}");
        };
        Ok(Self {
            files: u16::try_from(files).ok(),
            programs: u16::try_from(programs).ok(),
        })
    }
}
