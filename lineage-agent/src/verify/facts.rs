//! What the records of segments say about what governed: when it began, changed and ended, and what was decided.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::decisions::Decisions;
use crate::evidence::kinds;
use crate::evidence::schema::Record;

/// Most moments of one segment that are kept; a recorder makes a tenth of them.
const MOMENTS_MAX: usize = 4096;

/// The effect of what is allowed.
const ALLOWED: &str = "allowed";

/// The reason for denying what comes when nothing is authorised any more.
const OVER: &str = "over";

/// Something that begins, changes or ends what governs a lineage, or tells what does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) seq: u64,
    pub(super) time_ns: i64,
    pub(super) lineage: String,
    pub(super) context: String,
    pub(super) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Start {
        attached: bool,
    },
    Change,
    /// A record names another context than the one before it of the lineage in this segment, and does not begin it.
    Named,
    End,
}

/// What was decided in one context.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Decided {
    pub(super) decisions: Decisions,
    /// Times of what was allowed: the earliest and the latest, nanoseconds.
    pub(super) allowed: Option<(i64, i64)>,
    /// The first record of what was denied because the authority was over.
    pub(super) over: Option<u64>,
    /// How many of them by what no longer governed the lineage.
    pub(super) by_past: u64,
}

impl Decided {
    fn add(&mut self, other: &Self) {
        self.decisions.add(&other.decisions);
        self.allowed = match (self.allowed, other.allowed) {
            (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
            (one, other) => one.or(other),
        };
        self.over = self.over.into_iter().chain(other.over).min();
        self.by_past += other.by_past;
    }
}

/// What segments say about what governed.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) moments: Vec<Moment>,
    pub(super) decided: BTreeMap<String, Decided>,
    /// Places where events are missing: `seq` of the records about it.
    pub(super) gaps: Vec<u64>,
    /// There was more than is kept.
    pub(super) cut: bool,
    /// The records all this is about.
    pub(super) proven: Proven,
    /// The lineages of a segment, and the context that the latest record of each names.
    named: BTreeMap<String, String>,
}

impl Facts {
    /// Takes in a record.
    pub(super) fn push(&mut self, record: &Record<'_>) {
        let (Some(seq), Some(time_ns), Some(kind)) = (record.seq, record.time_ns, record.kind)
        else {
            return;
        };
        if let (Some(effect), Some(context)) = (record.effect, record.context) {
            let over = (record.reason == Some(OVER)).then_some(seq);
            self.decided(
                context,
                effect,
                Decided {
                    allowed: (effect == ALLOWED).then_some((time_ns, time_ns)),
                    over,
                    ..Decided::default()
                },
            );
        }
        if kind == kinds::EVIDENCE_LOSS {
            self.gap(seq);
        }
        let Some(lineage) = record.lineage else {
            return;
        };
        let context = record.context.unwrap_or_default();
        let what = match kind {
            kinds::LINEAGE_START => Some(What::Start {
                attached: is_attached(record.detail.unwrap_or_default()),
            }),
            kinds::CONTEXT_CHANGE => Some(What::Change),
            kinds::LINEAGE_END => Some(What::End),
            _ => None,
        };
        let begins = matches!(what, Some(What::Start { .. } | What::Change));
        let named = (self.is_another(lineage, context) && !begins).then_some(What::Named);
        for what in named.into_iter().chain(what) {
            if self.moments.len() >= MOMENTS_MAX {
                self.cut = true;
                break;
            }
            self.moments.push(Moment {
                seq,
                time_ns,
                lineage: lineage.to_owned(),
                context: context.to_owned(),
                what,
            });
        }
        if what == Some(What::End) {
            // Whatever is still told of it does not belong to it.
            self.named.remove(lineage);
        }
    }

    fn gap(&mut self, seq: u64) {
        if self.gaps.len() >= MOMENTS_MAX {
            self.cut = true;
            return;
        }
        self.gaps.push(seq);
    }

    /// Whether the record before, of this lineage, named another context, or there was none.
    fn is_another(&mut self, lineage: &str, context: &str) -> bool {
        let full = self.named.len() >= MOMENTS_MAX;
        match self.named.get_mut(lineage) {
            Some(known) if known == context => return false,
            Some(known) => context.clone_into(known),
            // Nobody has vouched yet for the records.
            None if full => self.cut = true,
            None => {
                self.named.insert(lineage.to_owned(), context.to_owned());
            }
        }
        true
    }

    /// Takes note that what decided in a record did not govern the lineage any more.
    pub(super) fn by_past(&mut self, record: &Record<'_>) {
        let decided = record
            .context
            .and_then(|context| self.decided.get_mut(context));
        if let Some(decided) = decided {
            decided.by_past += 1;
        }
    }

    fn decided(&mut self, context: &str, effect: &str, one: Decided) {
        if !self.decided.contains_key(context) {
            if self.decided.len() >= MOMENTS_MAX {
                self.cut = true;
                return;
            }
            self.decided.insert(context.to_owned(), Decided::default());
        }
        let Some(decided) = self.decided.get_mut(context) else {
            return;
        };
        decided.decisions.count(effect);
        decided.add(&one);
    }

    /// Takes in those of another segment.
    pub(super) fn add(&mut self, other: Self) {
        self.moments.extend(other.moments);
        self.gaps.extend(other.gaps);
        self.cut |= other.cut;
        self.proven.0.extend(other.proven.0);
        for (context, decided) in other.decided {
            self.decided.entry(context).or_default().add(&decided);
        }
    }
}

/// Records whose bytes are proven: their first and last `seq`, in each segment.
#[derive(Debug, Default)]
pub(super) struct Proven(Vec<(u64, u64)>);

impl Proven {
    /// These, if there are any.
    pub(super) fn records(first: u64, count: u64) -> Self {
        let last = count.checked_sub(1).map(|more| first.saturating_add(more));
        Self(last.into_iter().map(|last| (first, last)).collect())
    }

    /// In the order of `seq`, for [`Self::missing`].
    pub(super) fn sort(&mut self) {
        self.0.sort_unstable();
    }

    /// The first and the last of these records that are not among them.
    pub(super) fn missing(&self, first: u64, last: u64) -> Option<(u64, u64)> {
        let mut missing: Option<(u64, u64)> = None;
        let mut next = first;
        let mut note = |from: u64, to: u64| {
            if from <= to {
                missing = Some((missing.map_or(from, |(first, _)| first), to));
            }
        };
        // Segments do not overlap, or the log is not what it should be anyway.
        let begin = self.0.partition_point(|(_, end)| *end < first);
        for (from, to) in &self.0[begin..] {
            if next > last || *from > last {
                break;
            }
            if *from > next {
                note(next, from - 1);
            }
            next = next.max(to.saturating_add(1));
        }
        note(next, last);
        missing
    }

    /// The last one.
    pub(super) fn last(&self) -> Option<u64> {
        self.0.iter().map(|(_, last)| *last).max()
    }
}

/// Whether a lineage came about by an attach, as its `lineage.start` tells.
fn is_attached(detail: &str) -> bool {
    #[derive(Default, Deserialize)]
    struct Detail {
        #[serde(default)]
        how: String,
    }
    let detail: Detail = serde_json::from_str(detail).unwrap_or_default();
    detail.how == "attach"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(seq: u64, kind: &'a str, lineage: &'a str, context: &'a str) -> Record<'a> {
        Record {
            seq: Some(seq),
            time_ns: Some(0),
            kind: Some(kind),
            lineage: Some(lineage),
            context: Some(context),
            ..Record::default()
        }
    }

    #[test]
    fn a_context_is_told_of_once_until_another_takes_its_place() {
        let mut facts = Facts::default();
        let told = [
            ("lineage.start", "a", "1"),
            ("file.open", "a", "1"),
            ("file.open", "b", "9"),
            ("file.open", "a", "1"),
            ("file.open", "a", "2"),
            ("file.open", "b", "9"),
            ("context.change", "a", "3"),
            ("lineage.end", "a", "3"),
            ("file.open", "a", "3"),
            ("file.open", "b", "9"),
        ];
        for (seq, (kind, lineage, context)) in (0..).zip(told) {
            facts.push(&record(seq, kind, lineage, context));
        }
        let moments = facts.moments.iter();
        let moments: Vec<_> = moments.map(|moment| (moment.seq, moment.what)).collect();
        let start = What::Start { attached: false };
        let (named, change, end) = (What::Named, What::Change, What::End);
        let expected = [
            (0, start),
            (2, named),
            (4, named),
            (6, change),
            (7, end),
            (8, named),
        ];
        assert_eq!(moments, expected);
    }

    #[test]
    fn gaps_beyond_the_limit_are_not_forgotten() {
        let mut facts = Facts::default();
        for seq in 0..=MOMENTS_MAX as u64 {
            assert!(!facts.cut, "{seq}");
            let loss = Record {
                lineage: None,
                ..record(seq, kinds::EVIDENCE_LOSS, "", "")
            };
            facts.push(&loss);
        }
        assert!(facts.cut);
        assert_eq!(facts.gaps.len(), MOMENTS_MAX);
    }

    #[test]
    fn lineages_and_contexts_beyond_the_limit_are_not_kept() {
        let mut facts = Facts::default();
        for seq in 0..=MOMENTS_MAX as u64 {
            assert!(!facts.cut, "{seq}");
            let (lineage, context) = (format!("lineage {seq}"), format!("context {seq}"));
            facts.push(&Record {
                effect: Some(ALLOWED),
                ..record(seq, "file.open", &lineage, &context)
            });
        }
        assert!(facts.cut);
        assert_eq!(
            (facts.named.len(), facts.decided.len()),
            (MOMENTS_MAX, MOMENTS_MAX)
        );
        assert_eq!(facts.moments.len(), MOMENTS_MAX);
    }

    #[test]
    fn records_of_segments_that_are_not_there_are_missing() {
        let mut proven = Proven(vec![(30, 39), (0, 9), (10, 19)]);
        proven.sort();
        for ((first, last), missing) in [
            ((0, 19), None),
            ((5, 35), Some((20, 29))),
            ((15, 50), Some((20, 50))),
            ((35, 39), None),
            ((40, 50), Some((40, 50))),
            ((25, 27), Some((25, 27))),
        ] {
            assert_eq!(proven.missing(first, last), missing, "{first} to {last}");
        }
        assert_eq!(proven.last(), Some(39));
        assert_eq!(Proven::records(5, 0).last(), None);
    }
}
