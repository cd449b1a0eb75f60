//! What the records of segments say about what governed: when it began, changed and ended, and what was decided.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::evidence::decisions::Decisions;
use crate::evidence::kinds;
use crate::evidence::schema::Record;

/// Most moments of one segment that are kept; a recorder makes a tenth of them.
const MOMENTS_MAX: usize = 4096;

/// The effect of what is allowed.
const ALLOWED: &str = "allowed";

/// The reason for denying what comes when nothing is authorised any more.
const OVER: &str = "over";

/// Something that begins, changes or ends what governs a lineage.
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
    Start { attached: bool },
    Change,
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
}

impl Decided {
    fn add(&mut self, other: &Self) {
        self.decisions.add(&other.decisions);
        self.allowed = match (self.allowed, other.allowed) {
            (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
            (one, other) => one.or(other),
        };
        self.over = self.over.into_iter().chain(other.over).min();
    }
}

/// What segments say about what governed.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) moments: Vec<Moment>,
    pub(super) decided: BTreeMap<String, Decided>,
    /// Places where events are missing: the records about it, by `seq` and time.
    pub(super) gaps: Vec<(u64, i64)>,
    /// There was more than is kept.
    pub(super) cut: bool,
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
            return;
        }
        let what = match kind {
            kinds::LINEAGE_START => What::Start {
                attached: is_attached(record.detail.unwrap_or_default()),
            },
            kinds::CONTEXT_CHANGE => What::Change,
            kinds::LINEAGE_END => What::End,
            kinds::EVIDENCE_LOSS => {
                if self.gaps.len() < MOMENTS_MAX {
                    self.gaps.push((seq, time_ns));
                }
                return;
            }
            _ => return,
        };
        if self.moments.len() >= MOMENTS_MAX {
            self.cut = true;
            return;
        }
        self.moments.push(Moment {
            seq,
            time_ns,
            lineage: record.lineage.unwrap_or_default().to_owned(),
            context: record.context.unwrap_or_default().to_owned(),
            what,
        });
    }

    fn decided(&mut self, context: &str, effect: &str, one: Decided) {
        if !self.decided.contains_key(context) {
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
        for (context, decided) in other.decided {
            self.decided.entry(context).or_default().add(&decided);
        }
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
