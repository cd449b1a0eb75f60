//! The outcome: verdict, requirements, exit code, and all that led to them.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::continuity::Continuity;
use super::epochs::Pin;
use super::finding::{Code, Finding, Severity};
use super::loss::Loss;

/// What the verifier concludes, over all hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Everything is what was signed, and nothing that was signed is missing.
    Verified,
    /// So it is; and the evidence itself says that some events were not recorded.
    VerifiedWithLoss,
    /// Something is not what was signed.
    Tampered,
    /// Something that was signed is not there.
    Incomplete,
    /// Something cannot be judged with what is at hand.
    Unverifiable,
    /// There was nothing to verify.
    NothingVerified,
}

impl Verdict {
    /// The word in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "VERIFIED",
            Self::VerifiedWithLoss => "VERIFIED_WITH_LOSS",
            Self::Tampered => "TAMPERED",
            Self::Incomplete => "INCOMPLETE",
            Self::Unverifiable => "UNVERIFIABLE",
            Self::NothingVerified => "NOTHING_VERIFIED",
        }
    }

    /// The exit status that goes with it when nothing more is required.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Verified | Self::VerifiedWithLoss => 0,
            Self::Tampered => 1,
            Self::Incomplete | Self::Unverifiable | Self::NothingVerified => 3,
        }
    }

    pub(super) fn of(findings: &[Finding], proven: bool) -> Self {
        match findings.iter().map(|finding| finding.code.severity()).min() {
            Some(Severity::Tampered) => Self::Tampered,
            Some(Severity::Incomplete) => Self::Incomplete,
            Some(Severity::Unverifiable) => Self::Unverifiable,
            _ if !proven => Self::NothingVerified,
            Some(Severity::Loss) => Self::VerifiedWithLoss,
            Some(Severity::Note) | None => Self::Verified,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// What a user demands beyond a good verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// Everything is sealed and the log is complete.
    Sealed,
    /// The pin is an epoch root, not only the host's static key.
    Pinned,
    /// A trusted witness cosigned the newest checkpoint.
    Witnessed,
    /// Nothing was lost, and everything is sealed, so that this is said.
    NoLoss,
    /// Every file is the one the recorder wrote, byte for byte.
    Original,
    /// Every lineage was governed without a break, by grants of issuers that are trusted.
    Governed,
}

impl Requirement {
    const ALL: [Self; 6] = [
        Self::Sealed,
        Self::Pinned,
        Self::Witnessed,
        Self::NoLoss,
        Self::Original,
        Self::Governed,
    ];

    /// The word on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Pinned => "pinned",
            Self::Witnessed => "witnessed",
            Self::NoLoss => "no-loss",
            Self::Original => "original",
            Self::Governed => "governed",
        }
    }

    fn is_met(self, hosts: &[HostReport], findings: &[Finding]) -> bool {
        let none = |is: &dyn Fn(&Finding) -> bool| !findings.iter().any(is);
        match self {
            Self::Sealed => none(&|finding| matches!(finding.code, Code::Unsealed | Code::LogOpen)),
            Self::Pinned => hosts.iter().all(|host| host.pin == Pin::EpochRoot),
            Self::Witnessed => hosts.iter().all(|host| host.cosignatures > 0),
            // What a log that has not ended lost is not said yet.
            Self::NoLoss => {
                Self::Sealed.is_met(hosts, findings)
                    && none(&|finding| finding.code.severity() == Severity::Loss)
            }
            Self::Original => none(&|finding| finding.code == Code::ReEncoded),
            Self::Governed => hosts.iter().all(|host| {
                !host.governance.is_empty() && host.governance.iter().all(|one| one.unbroken)
            }),
        }
    }
}

/// Not a requirement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is none of sealed, pinned, witnessed, no-loss, original, governed")]
pub struct UnknownRequirement(pub String);

impl FromStr for Requirement {
    type Err = UnknownRequirement;

    fn from_str(text: &str) -> Result<Self, UnknownRequirement> {
        let found = Self::ALL
            .into_iter()
            .find(|requirement| requirement.as_str() == text);
        found.ok_or_else(|| UnknownRequirement(text.to_owned()))
    }
}

impl Serialize for Requirement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What was verified of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostReport {
    /// The host, by its id.
    pub host: String,
    /// The log, by its id.
    pub log: Option<String>,
    /// What vouches for it.
    pub pin: Pin,
    /// Segments the newest checkpoint covers.
    pub segments: u64,
    /// Those of them whose records are the signed ones.
    pub segments_valid: u64,
    /// Checkpoints that are right and signed by both keys.
    pub checkpoints_valid: u64,
    /// Records whose root is the signed one.
    pub records: u64,
    /// Lineages among them.
    pub lineages: u64,
    /// First and last epoch in use.
    pub epochs: Option<[u32; 2]>,
    /// Times of the first and the last of them, RFC 3339 UTC.
    pub period: Option<[String; 2]>,
    /// Artifacts that have their digest.
    pub artifacts: u64,
    /// Records in spools that a signed commit covers.
    pub committed: u64,
    /// Records in spools that nothing proves yet.
    pub uncommitted: u64,
    /// Whether the log ended with a shutdown.
    pub complete: bool,
    /// Trusted witnesses that cosigned the newest checkpoint.
    pub cosignatures: u64,
    /// Losses over all sessions.
    pub loss: Loss,
    /// How each lineage was governed, of what is sealed.
    pub governance: Vec<Continuity>,
}

/// Findings of one code beyond those listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct More {
    /// The host, by its id.
    pub host: String,
    /// The code.
    pub code: Code,
    /// How many more.
    pub count: usize,
}

/// The outcome of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The conclusion.
    pub verdict: Verdict,
    /// Exit status: the verdict's, or 1 for a good verdict when a requirement is not met.
    pub exit_code: u8,
    /// Requirements that are not met.
    pub unmet: Vec<Requirement>,
    /// Every failed check and everything worth knowing, gravest first.
    pub findings: Vec<Finding>,
    /// Findings too many to list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<More>,
    /// What was verified, by host.
    pub hosts: Vec<HostReport>,
}

impl Report {
    /// Concludes.
    pub(super) fn new(
        mut findings: Vec<Finding>,
        more: Vec<More>,
        hosts: Vec<HostReport>,
        require: &[Requirement],
    ) -> Self {
        findings.sort_by_key(|finding| finding.code.severity());
        let proven = hosts
            .iter()
            .any(|host| host.segments_valid + host.committed > 0);
        let verdict = Verdict::of(&findings, proven);
        let unmet = require
            .iter()
            .copied()
            .filter(|requirement| !requirement.is_met(&hosts, &findings));
        let unmet: Vec<Requirement> = unmet.collect();
        let exit_code = match verdict.exit_code() {
            0 if !unmet.is_empty() => 1,
            code => code,
        };
        Self {
            verdict,
            exit_code,
            unmet,
            findings,
            more,
            hosts,
        }
    }
}

/// A range of nanoseconds since 1970 UTC as RFC 3339.
pub(super) fn period((from, to): (i64, i64)) -> [String; 2] {
    [from, to].map(|time| match jiff::Timestamp::from_nanosecond(time.into()) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => format!("{time} ns"),
    })
}
