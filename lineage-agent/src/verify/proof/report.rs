//! What checking a proof gave.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::continuity::time;
use super::super::epochs::{Keys, Pin};
use super::super::finding::Finding;
use super::super::findings::Findings;
use super::super::report::{Requirement, Verdict, period};
use super::Governed;
use crate::evidence::manifest::Manifest;
use crate::evidence::record::Owned;

/// The outcome of checking a proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProofReport {
    /// The conclusion.
    pub verdict: Verdict,
    /// Exit status: the verdict's, or 1 for a good verdict when a requirement is not met.
    pub exit_code: u8,
    /// Requirements that are not met.
    pub unmet: Vec<Requirement>,
    /// Every failed check, gravest first.
    pub findings: Vec<Finding>,
    /// What is proven; none unless the verdict is a good one.
    pub proven: Option<Proven>,
}

/// What a proof proves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proven {
    /// The host, by its id.
    pub host: String,
    /// The log, by its id.
    pub log: String,
    /// `seq` of the event.
    pub event: u64,
    /// All records of the proof, by `seq`.
    #[serde(skip)]
    pub records: BTreeMap<u64, Owned>,
    /// Its lineage.
    pub lineage: Option<String>,
    /// The event and its causes, each the cause of the one before it here, by `seq`.
    pub chain: Vec<u64>,
    /// Other records, which whoever made the proof says tell of its data, and their causes.
    pub data: Vec<u64>,
    /// What governed it.
    pub governed: Governed,
    /// Who signed it, and when.
    pub signed: Signed,
    /// What vouches for who signed.
    pub pin: Pin,
    /// Trusted witnesses that cosigned the newest checkpoint.
    pub cosignatures: u64,
}

/// Who signed an event, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signed {
    /// The segment of the event.
    pub segment: u64,
    /// When it was opened and closed, by the host's clock, RFC 3339 UTC.
    pub segment_period: [String; 2],
    /// The host's name then, escaped.
    pub hostname: String,
    /// The kernel's boot id.
    pub boot: String,
    /// The epoch whose key signed it.
    pub epoch: u32,
    /// The window of the epoch, RFC 3339 UTC; none where its key is not known.
    pub epoch_period: Option<[String; 2]>,
    /// Segments that the newest checkpoint in the proof covers.
    pub log_size: u64,
}

impl Signed {
    pub(super) fn new(manifest: &Manifest, keys: &Keys, log_size: u64) -> Self {
        let head = &manifest.head;
        let window = keys
            .epochs
            .get(&head.epoch)
            .map(super::super::place::window);
        Self {
            segment: head.segment,
            segment_period: [head.opened, manifest.closed].map(time),
            hostname: head.hostname.clone(),
            boot: head.boot.clone(),
            epoch: head.epoch,
            epoch_period: window.map(period),
            log_size,
        }
    }
}

impl ProofReport {
    /// Whether a requirement can be asked of a proof: the others speak of whole logs.
    #[must_use]
    pub fn can_require(requirement: Requirement) -> bool {
        matches!(
            requirement,
            Requirement::Pinned | Requirement::Witnessed | Requirement::Governed
        )
    }

    pub(super) fn new(findings: Findings, proven: Option<Proven>, require: &[Requirement]) -> Self {
        let (findings, _) = findings.into_parts();
        let verdict = Verdict::of(&findings, proven.is_some());
        let proven = proven.filter(|_| verdict.exit_code() == 0);
        let is_met = |requirement: &Requirement| {
            proven.as_ref().is_some_and(|proven| match requirement {
                Requirement::Pinned => proven.pin == Pin::EpochRoot,
                Requirement::Witnessed => proven.cosignatures > 0,
                Requirement::Governed => proven.governed.is_met(),
                _ => false,
            })
        };
        let unmet: Vec<Requirement> = (require.iter().copied())
            .filter(|requirement| !is_met(requirement))
            .collect();
        let exit_code = match verdict.exit_code() {
            0 if !unmet.is_empty() => 1,
            code => code,
        };
        Self {
            verdict,
            exit_code,
            unmet,
            findings,
            proven,
        }
    }
}
