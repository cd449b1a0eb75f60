//! Findings: what a verifier has to say about evidence, as data.

use std::ops::RangeInclusive;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::evidence::escape::escape;

/// What a finding does to the verdict, gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something is not what was signed.
    Tampered,
    /// Something that was signed is not there.
    Incomplete,
    /// Something cannot be judged with what is at hand.
    Unverifiable,
    /// The evidence itself says that something was not recorded.
    Loss,
    /// Worth knowing.
    Note,
}

macro_rules! codes {
    ($($name:ident $text:literal $severity:ident $meaning:literal;)*) => {
        /// The stable name of a kind of finding, as `docs/evidence-format.md` lists them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The word in reports.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it does to the verdict.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// What it means, in a sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

codes! {
    SignatureBad "signature-bad" Tampered "Whoever wrote this did not have the key that must have signed it, or it was changed afterwards.";
    EnrolmentBad "enrolment-bad" Tampered "The promise of the epoch keys is not the one the trusted key made.";
    EpochKeyBad "epoch-key-bad" Tampered "This is not the key that was enrolled for this epoch.";
    CheckpointBad "checkpoint-bad" Tampered "The head of the log is malformed, of another log, or contradicts another head.";
    ManifestBad "manifest-bad" Tampered "The manifest is malformed or belongs elsewhere.";
    ManifestLink "manifest-link" Tampered "The manifest was not written after the one before it: one of them was changed or replaced.";
    SequenceGap "sequence-gap" Tampered "The numbering of the records breaks between two segments: records were removed or inserted.";
    LineageGap "lineage-gap" Tampered "The numbering of a lineage's records breaks between two segments.";
    CountersFell "counters-fell" Tampered "Counters that only grow have shrunk: losses may have been hidden.";
    EpochRule "epoch-rule" Tampered "The epochs do not follow each other as they must: evidence was cut or added at the border of an epoch.";
    ClockRule "clock-rule" Tampered "A time lies outside the window in which its key was valid.";
    LogRoot "log-root" Tampered "The manifests are not the ones that were signed.";
    TileBad "tile-bad" Tampered "A hash tile is not what the manifests give.";
    BlocksBad "blocks-bad" Tampered "The block roots of a segment do not lead to its record root.";
    ArtifactBad "artifact-bad" Tampered "The document is not the one the evidence names by its digest.";
    RowsChanged "rows-changed" Tampered "Records were changed, reordered or exchanged after they were signed.";
    RowsMissing "rows-missing" Tampered "Records were removed after they were signed.";
    RowsAdded "rows-added" Tampered "Records were added that were never signed.";
    SegmentUnreadable "segment-unreadable" Tampered "The file was changed so that it is no longer a table of records; they cannot be read.";
    ReadersDisagree "readers-disagree" Tampered "Programs that read this file would not all see the signed records: what it says about them is false.";
    DecisionWrong "decision-wrong" Tampered "The policy, asked once more, decides otherwise than the signed record says.";
    GrantBad "grant-bad" Tampered "The grants that the evidence names do not authorise what governed: they are forged, one is wider than the one above it, or they name other policies or another purpose.";
    ContextPath "context-path" Tampered "The contexts of a lineage do not follow each other: what governed in between was changed or left out.";
    ProofBad "proof-bad" Tampered "The proof is malformed, or its parts do not belong together: it was changed, or made by nobody who followed the format.";
    PolicyMissing "policy-missing" Unverifiable "The policies by which this was decided are not there, or not understood here; whether the decision is right cannot be told.";
    RecordRule "record-rule" Tampered "The signed records contradict the format or their manifest: whoever wrote them did not follow it.";
    ColumnForeign "column-foreign" Tampered "Queries would see values here that nobody signed.";
    FileForeign "file-foreign" Tampered "Queries would see records here that nobody signed.";
    Rollback "rollback" Tampered "There is newer evidence than the newest checkpoint covers: the log was turned back.";
    SpoolBad "spool-bad" Tampered "Unsealed records were changed after they were committed.";
    FileMissing "file-missing" Incomplete "The evidence names a file that is not there. Nothing can be said about what was in it.";
    CauseMissing "cause-missing" Incomplete "A record in the chain of causes is not in the proof: what led to it from the start of the lineage is not shown.";
    SpoolMissing "spool-missing" Incomplete "The recorder was still writing, but what it wrote last is not there.";
    NoTrust "no-trust" Unverifiable "None of the given roots and keys belongs to this host, so nobody vouches for this evidence.";
    NothingRecorded "nothing-recorded" Unverifiable "Nothing was recorded here yet, or all of it was removed: there is nothing to check.";
    Unreadable "unreadable" Unverifiable "This verifier cannot read the file; that says nothing about what is in it.";
    KernelLoss "kernel-loss" Loss "The kernel side saw events that it could not deliver; they are counted, their contents are gone.";
    RecorderLoss "recorder-loss" Loss "The recorder received events that it could not store; they are counted, their contents are gone.";
    RecoveryGap "recovery-gap" Loss "The recorder ended abruptly; what happened until it ran again was not recorded.";
    LossUnaccounted "loss-unaccounted" Loss "The loss records do not add up to the losses the kernel counted.";
    Unsealed "unsealed" Note "Records are not sealed yet. The committed ones are signed; the others may still be lost or changed.";
    LogOpen "log-open" Note "The log does not end with a shutdown: there may be later records that are not in this copy.";
    ReEncoded "re-encoded" Note "Another program wrote this file anew. Its records are the signed ones, and its counts, statistics and indexes are true of them; the file itself nobody signed.";
    NoHost "no-host" Note "There is no directory host=… here: is it the directory above or below?";
    FileUnknown "file-unknown" Note "Nothing in the format explains this file. It was not looked at.";
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One failed check, or something worth knowing.
///
/// Every text in it is printable: what came from the evidence is escaped and cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of finding.
    pub code: Code,
    /// The host, by its id.
    pub host: Option<Box<str>>,
    /// The file, below the host's directory.
    pub file: Option<Box<str>>,
    /// The segment.
    pub segment: Option<u64>,
    /// First and last record concerned, by `seq`.
    pub rows: Option<[u64; 2]>,
    /// What should be there.
    pub expected: Option<Box<str>>,
    /// What is there.
    pub found: Option<Box<str>>,
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("code", &self.code)?;
        map.serialize_entry("severity", &self.code.severity())?;
        map.serialize_entry("host", &self.host)?;
        map.serialize_entry("file", &self.file)?;
        map.serialize_entry("segment", &self.segment)?;
        map.serialize_entry("rows", &self.rows)?;
        map.serialize_entry("expected", &self.expected)?;
        map.serialize_entry("found", &self.found)?;
        map.serialize_entry("meaning", self.code.meaning())?;
        map.end()
    }
}

/// Longest text kept from the evidence, in bytes before escaping.
const TEXT_BYTES_MAX: usize = 300;

impl Finding {
    /// A finding of this code, about nothing in particular yet.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self {
            code,
            host: None,
            file: None,
            segment: None,
            rows: None,
            expected: None,
            found: None,
        }
    }

    /// About a file.
    #[must_use]
    pub fn file(mut self, path: impl AsRef<str>) -> Self {
        self.file = Some(clean(path.as_ref()));
        self
    }

    /// About a segment.
    #[must_use]
    pub fn segment(mut self, segment: u64) -> Self {
        self.segment = Some(segment);
        self
    }

    /// About these records.
    #[must_use]
    pub fn rows(mut self, rows: RangeInclusive<u64>) -> Self {
        self.rows = Some([*rows.start(), *rows.end()]);
        self
    }

    /// What should be there.
    #[must_use]
    pub fn expected(mut self, what: impl std::fmt::Display) -> Self {
        self.expected = Some(clean(&what.to_string()));
        self
    }

    /// What is there.
    #[must_use]
    pub fn found(mut self, what: impl std::fmt::Display) -> Self {
        self.found = Some(clean(&what.to_string()));
        self
    }

    /// Of a host.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.into());
        self
    }
}

/// Printable and short. Backslashes of texts that are escaped already double, which is right: the
/// text is shown as it stands in the evidence.
fn clean(text: &str) -> Box<str> {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut shown = escape(&text.as_bytes()[..end]);
    if end < text.len() {
        shown.push('…');
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_evidence_are_printable_and_short() {
        let finding = Finding::new(Code::FileUnknown)
            .file("\x1b[31mred\u{202e}")
            .found("é".repeat(400));
        assert_eq!(finding.file.as_deref(), Some("\\x1b[31mred\\xe2\\x80\\xae"));
        assert_eq!(finding.found, Some(format!("{}…", "é".repeat(150)).into()));
    }

    #[test]
    fn the_document_lists_every_code_with_its_severity() {
        let document = include_str!("../../../docs/evidence-format.md");
        for code in Code::ALL {
            let severity = match code.severity() {
                Severity::Tampered => "tampered",
                Severity::Incomplete => "incomplete",
                Severity::Unverifiable => "unverifiable",
                Severity::Loss => "loss",
                Severity::Note => "note",
            };
            let listed = document.lines().any(|line| {
                let mut cells = line.split('|').skip(1);
                let (codes, listed) = (cells.next().unwrap_or(""), cells.next().unwrap_or(""));
                codes.contains(&format!("`{}`", code.as_str())) && listed.trim() == severity
            });
            assert!(listed, "{}", code.as_str());
        }
    }
}
