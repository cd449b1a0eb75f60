//! Two runs compared.

use std::sync::Arc;

use super::super::text;
use super::Topic;
use super::rules::alike_amounts;
use super::run::{Entry, Run};

/// Bytes that are too few for their number to matter, unless it is to be exact.
const BYTES_MIN: u64 = 4096;

/// What two runs did differently.
#[derive(Debug)]
pub struct Diff {
    pub(super) runs: [Run; 2],
    /// In the order in which they are told.
    pub(super) changes: Vec<Change>,
}

/// One difference.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) topic: Topic,
    pub(super) name: Arc<str>,
    pub(super) kind: ChangeKind,
    /// What is another, in words.
    pub(super) notes: Vec<String>,
    /// What each run did.
    pub(super) entries: [Option<Entry>; 2],
}

/// Which way something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ChangeKind {
    New,
    Changed,
    Gone,
}

impl Diff {
    /// Compares two runs.
    #[must_use]
    pub fn new(mut a: Run, mut b: Run) -> Self {
        a.finish();
        b.finish();
        let exact = a.rules.exact;
        let mut changes = Vec::new();
        for topic in Topic::ALL {
            let (in_a, in_b) = (&a.topics[&topic], &b.topics[&topic]);
            let mut of_topic = Vec::new();
            for (name, entry) in in_b {
                let before = in_a.get(name);
                let change = Change::between(topic, name, before, Some(entry), exact);
                of_topic.extend(change);
            }
            let gone = in_a.iter().filter(|(name, _)| !in_b.contains_key(*name));
            of_topic.extend(gone.filter_map(|(name, entry)| {
                Change::between(topic, name, Some(entry), None, exact)
            }));
            of_topic.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
            changes.append(&mut of_topic);
        }
        Self {
            runs: [a, b],
            changes,
        }
    }

    /// Whether both did the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl Change {
    fn between(
        topic: Topic,
        name: &Arc<str>,
        before: Option<&Entry>,
        after: Option<&Entry>,
        exact: bool,
    ) -> Option<Self> {
        let (kind, notes) = match (before, after) {
            (Some(before), Some(after)) => (ChangeKind::Changed, changed(before, after, exact)),
            (None, Some(entry)) => (ChangeKind::New, about(entry)),
            (Some(entry), None) => (ChangeKind::Gone, about(entry)),
            (None, None) => return None,
        };
        let only = before.xor(after);
        // Its program says it already, or it is a part of the system that is only read.
        let says_nothing =
            only.is_some_and(|entry| entry.ordinary && !(exact && topic == Topic::Read));
        if says_nothing || (kind == ChangeKind::Changed && notes.is_empty()) {
            return None;
        }
        Some(Self {
            topic,
            name: Arc::clone(name),
            kind,
            notes,
            entries: [before.cloned(), after.cloned()],
        })
    }
}

/// What there is to say of something that only one run did.
fn about(entry: &Entry) -> Vec<String> {
    let mut notes = Vec::new();
    if entry.times > 1 {
        notes.push(format!("×{}", entry.times));
    }
    for (word, bytes) in [("read", entry.read), ("wrote", entry.written)] {
        if bytes > 0 {
            notes.push(format!("{word} {}", text::bytes(bytes)));
        }
    }
    if !entry.ends.is_empty() && !entry.ends.iter().all(|end| **end == *"exit 0") {
        notes.push(listed(entry.ends.iter().map(|end| &**end)));
    }
    notes
}

/// What is another.
fn changed(before: &Entry, after: &Entry, exact: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let known = !before.digests.is_empty() && !after.digests.is_empty();
    if known && before.digests != after.digests {
        let short = |entry: &Entry| {
            listed(
                entry
                    .digests
                    .iter()
                    .map(|digest| text::short_digest(digest)),
            )
        };
        notes.push(format!("digest {} → {}", short(before), short(after)));
    }
    let ended = !before.ends.is_empty() && !after.ends.is_empty();
    if before.ends != after.ends && (ended || exact) {
        let ends = |entry: &Entry| match entry.ends.is_empty() {
            true => "no end".to_owned(),
            false => listed(entry.ends.iter().map(|end| &**end)),
        };
        notes.push(format!("{} → {}", ends(before), ends(after)));
    }
    let pairs = [
        ("read", before.read, after.read),
        ("wrote", before.written, after.written),
    ];
    for (word, before, after) in pairs {
        let enough = exact || before.max(after) >= BYTES_MIN;
        if enough && !alike_amounts(before, after, exact) {
            notes.push(format!(
                "{word} {} → {}",
                text::bytes(before),
                text::bytes(after)
            ));
        }
    }
    if exact && before.times != after.times {
        notes.push(format!("×{} → ×{}", before.times, after.times));
    }
    notes
}

fn listed<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(" or ")
}
