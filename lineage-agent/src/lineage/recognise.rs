//! Recognisers: what a record is about, in words people look for.
//!
//! A file of recognisers gives labels (`model-file`, `pip-install`) to records by what the records
//! hold, and to nothing else: the same record and the same files give the same labels, anywhere and at
//! any time. The files themselves are kept in the evidence. `docs/recognisers.md` describes them.

mod document;
mod error;
mod file;
mod index;
mod invocation;
mod pattern;
mod remembered;
mod rule;
#[cfg(test)]
mod tests;

use std::{cell::Cell, collections::BTreeMap};

use lineage_common::limits::PATH_BYTES_MAX;

use self::{
    document::Document,
    file::Definitions,
    index::Index,
    invocation::{Entry, Facts, Invocation, Language},
    remembered::Remembered,
    rule::Rule,
};
use super::text::some;
use crate::evidence::schema::Record;

pub use error::{Problem, RecogniserError};
pub use pattern::PatternError;

/// What comes with the program.
pub const BUILT_IN: &str = include_str!("../../recognisers.toml");
/// Largest file of recognisers.
pub const FILE_BYTES_MAX: usize = 256 * 1024;
/// Most pieces of text, between stars, that the patterns of all files look for.
const PIECES_MAX: usize = 16_384;
/// Most labels of one record.
pub const LABELS_MAX: usize = 64;

/// Recognisers, ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct Recognisers {
    languages: Vec<Language>,
    /// Each with the number of its label.
    rules: Vec<(Rule, usize)>,
    /// All labels in the order of the alphabet.
    labels: Vec<Label>,
    /// What to ask of each kind of record, by the kind's name.
    kinds: Vec<OfKind>,
}

/// A label and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The label.
    pub name: String,
    /// What it means, in the words of the file.
    pub doc: String,
    /// Kinds of records it is given to.
    pub kinds: Vec<&'static str>,
    /// Whether files with it are worth a digest.
    pub digest: bool,
}

/// The recognisers that look at one kind of record.
#[derive(Debug, Clone)]
struct OfKind {
    name: &'static str,
    /// Those with patterns for the path, by number.
    by_path: Index,
    /// All others.
    others: Vec<usize>,
}

/// What was found in one record; reused for the next.
#[derive(Debug, Default)]
pub struct Found {
    /// Numbers of labels.
    hits: Vec<usize>,
    labels: String,
    entry: String,
    /// Whether the entry is a file.
    script: bool,
    /// What was found for paths.
    paths: Remembered,
}

impl Found {
    /// The script that what the record last completed is about was given to run, as it was named.
    #[must_use]
    pub fn script(&self) -> Option<&str> {
        self.script.then_some(&self.entry)
    }
}

impl Recognisers {
    /// Those that come with the program.
    #[must_use]
    pub fn built_in() -> Self {
        Self::new(&[("the program", BUILT_IN)]).expect("a test reads them")
    }

    /// Those of several files, each with its name; a later file replaces what an earlier one gives
    /// the same label.
    ///
    /// # Errors
    ///
    /// [`RecogniserError`] says what is wrong, in which file and line.
    pub fn new(files: &[(&str, &str)]) -> Result<Self, RecogniserError> {
        let mut definitions = Definitions::default();
        let room = &Cell::new(PIECES_MAX);
        for (file, text) in files {
            definitions.add(Document { file, text, room })?;
        }
        let Definitions { languages, rules } = definitions;
        let mut recognisers = Self {
            labels: labels(&rules),
            languages,
            rules: Vec::new(),
            kinds: Vec::new(),
        };
        for (number, mut rule) in rules.into_iter().enumerate() {
            let paths = std::mem::take(&mut rule.paths);
            for kind in &rule.kinds {
                let of_kind = recognisers.of_kind_mut(kind.name);
                if paths.is_empty() {
                    of_kind.others.push(number);
                }
                for path in &paths {
                    of_kind.by_path.add(path.clone(), number);
                }
            }
            let label = recognisers.label(&rule.label).expect("all are listed");
            recognisers.rules.push((rule, label));
        }
        Ok(recognisers)
    }

    /// All labels, in the order of the alphabet.
    #[must_use]
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// Fills `recognised` and `entry` of a record that is complete otherwise.
    #[inline]
    pub fn complete<'a>(&self, record: &mut Record<'a>, found: &'a mut Found) {
        self.find(record, found);
        record.recognised = some(&found.labels);
        record.entry = some(&found.entry);
    }

    /// Whether the content of the file that the record last completed is about should be hashed: a label
    /// it has asks for that.
    #[must_use]
    pub fn want_digest(&self, found: &Found) -> bool {
        found.hits.iter().any(|label| self.labels[*label].digest)
    }

    fn find(&self, record: &Record<'_>, found: &mut Found) {
        found.hits.clear();
        found.labels.clear();
        found.entry.clear();
        found.script = false;
        let invocation = self.invocation(record);
        if let Some(Entry::Script(entry) | Entry::Module(entry)) =
            invocation.as_ref().and_then(|run| run.entry.as_ref())
            // No file has a longer name, however each of its bytes is shown.
            && entry.len() <= 4 * PATH_BYTES_MAX
        {
            found.entry.push_str(entry);
            found.script = matches!(&invocation, Some(run) if run.runs_script());
        }
        let Some(of_kind) = record.kind.and_then(|name| self.of_kind(name)) else {
            return;
        };
        let Found { hits, paths, .. } = found;
        let mut ask = |number: usize| {
            let (rule, label) = &self.rules[number];
            if rule.holds(record, invocation.as_ref()) {
                hits.push(*label);
            }
        };
        if let Some(path) = record.path {
            let matching = paths.of(of_kind.name, path, |numbers| {
                of_kind.by_path.search(path, |number| numbers.push(number));
            });
            matching.iter().copied().for_each(&mut ask);
        }
        of_kind.others.iter().copied().for_each(ask);
        found.hits.sort_unstable();
        found.hits.dedup();
        found.hits.truncate(LABELS_MAX);
        for label in &found.hits {
            if !found.labels.is_empty() {
                found.labels.push(',');
            }
            found.labels.push_str(&self.labels[*label].name);
        }
    }

    /// What runs, if the record tells that a program does.
    fn invocation(&self, record: &Record<'_>) -> Option<Invocation> {
        let argv = record.argv?;
        if record.result.is_some_and(|result| result < 0) {
            return None;
        }
        let facts = Facts {
            exe: record.exe.unwrap_or_default(),
            filename: record.filename,
            interpreter: record.interpreter,
            argv,
        };
        Some(Invocation::new(facts, &self.languages))
    }

    fn label(&self, name: &str) -> Option<usize> {
        let place = self
            .labels
            .binary_search_by(|label| (*label.name).cmp(name));
        place.ok()
    }

    fn of_kind(&self, name: &str) -> Option<&OfKind> {
        let place = self.kinds.binary_search_by(|kind| kind.name.cmp(name));
        place.ok().map(|place| &self.kinds[place])
    }

    fn of_kind_mut(&mut self, name: &'static str) -> &mut OfKind {
        let place = match self.kinds.binary_search_by(|kind| kind.name.cmp(name)) {
            Ok(place) => place,
            Err(place) => {
                let new = OfKind {
                    name,
                    by_path: Index::default(),
                    others: Vec::new(),
                };
                self.kinds.insert(place, new);
                place
            }
        };
        &mut self.kinds[place]
    }
}

/// What the recognisers' labels stand for, in the order of the alphabet.
fn labels(rules: &[Rule]) -> Vec<Label> {
    let mut labels: BTreeMap<&str, Label> = BTreeMap::new();
    for rule in rules {
        let label = labels.entry(&rule.label).or_insert_with(|| Label {
            name: rule.label.clone(),
            doc: String::new(),
            kinds: Vec::new(),
            digest: false,
        });
        if label.doc.is_empty() {
            label.doc.clone_from(&rule.doc);
        }
        label.digest |= rule.digest;
        for kind in &rule.kinds {
            if !label.kinds.contains(&kind.name) {
                label.kinds.push(kind.name);
            }
        }
    }
    labels.into_values().collect()
}
