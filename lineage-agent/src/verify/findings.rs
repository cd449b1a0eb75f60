//! Many findings, bounded in number.

use std::collections::BTreeMap;

use super::finding::{Code, Finding};

/// Most findings of one code kept for one host; the others are counted.
const FINDINGS_PER_CODE_MAX: usize = 50;

/// Findings of one host, bounded in number.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    counts: BTreeMap<Code, usize>,
}

impl Findings {
    /// Takes one in.
    pub(super) fn push(&mut self, finding: Finding) {
        let count = self.counts.entry(finding.code).or_default();
        *count += 1;
        if *count <= FINDINGS_PER_CODE_MAX {
            self.kept.push(finding);
        }
    }

    /// Takes others in.
    pub(super) fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        findings.into_iter().for_each(|finding| self.push(finding));
    }

    /// Those kept, gravest first, otherwise as they came; and how many more there were of each
    /// code.
    #[must_use]
    pub(super) fn into_parts(mut self) -> (Vec<Finding>, Vec<(Code, usize)>) {
        self.kept.sort_by_key(|finding| finding.code.severity());
        let more = |(code, count): (Code, usize)| {
            count
                .checked_sub(FINDINGS_PER_CODE_MAX)
                .filter(|more| *more > 0)
                .map(|more| (code, more))
        };
        (
            self.kept,
            self.counts.into_iter().filter_map(more).collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_not_kept() {
        let mut findings = Findings::default();
        findings.push(Finding::new(Code::ReEncoded));
        for _ in 0..1000 {
            findings.push(Finding::new(Code::FileMissing));
        }
        let (kept, more) = findings.into_parts();
        assert_eq!(kept.len(), 51);
        assert_eq!(kept[0].code, Code::FileMissing);
        assert_eq!(more, [(Code::FileMissing, 950)]);
    }
}
