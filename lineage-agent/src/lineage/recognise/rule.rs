//! One recogniser, ready to be asked.

use super::{
    invocation::{Entry, Invocation},
    pattern::Pattern,
};
use crate::evidence::{
    kinds::Kind,
    schema::{Record, Value},
};

/// A label, and what a record must be to have it.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) label: String,
    /// What it means, for people.
    pub(super) doc: String,
    /// Kinds of records it looks at.
    pub(super) kinds: Vec<&'static Kind>,
    /// Whether files with this label are worth a digest.
    pub(super) digest: bool,
    /// Whether calls that failed count.
    pub(super) failed: bool,
    /// Patterns for `path`, any of them; no condition when empty. Apart from the others because they
    /// are looked up in an index.
    pub(super) paths: Vec<Pattern>,
    /// Everything else, all of it.
    pub(super) conditions: Vec<Condition>,
}

/// One condition: any of a list.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    /// A field with text, by id.
    Text(u16, Vec<Pattern>),
    /// A field with a number, by id.
    Number(u16, Vec<i64>),
    /// File name of what runs.
    Program(Vec<Pattern>),
    /// Language of the interpreter that runs, by number.
    Language(Vec<usize>),
    /// The script an interpreter was given.
    Script(Vec<Pattern>),
    /// The module an interpreter was given.
    Module(Vec<Pattern>),
    /// Whether an interpreter was given code itself.
    Code(bool),
    /// First arguments that are no options, in words; then options whose value is the next argument.
    Command(Vec<Vec<Pattern>>, Vec<String>),
    /// Any argument.
    Argument(Vec<Pattern>),
    /// The opposite.
    Not(Box<Condition>),
}

impl Rule {
    /// Whether a record of a fitting kind, with a fitting path, is what this recognises.
    /// `invocation` is there when the record is one of an exec.
    pub(super) fn holds(&self, record: &Record<'_>, invocation: Option<&Invocation>) -> bool {
        (self.failed || !failed(record))
            && self
                .conditions
                .iter()
                .all(|condition| condition.holds(record, invocation))
    }
}

impl Condition {
    fn holds(&self, record: &Record<'_>, invocation: Option<&Invocation>) -> bool {
        match (self, invocation) {
            (Self::Not(condition), _) => !condition.holds(record, invocation),
            (Self::Text(id, patterns), _) => match record.get(*id) {
                Some(Value::Text(text)) => any(patterns, text),
                _ => false,
            },
            (Self::Number(id, numbers), _) => match record.get(*id) {
                Some(Value::I64(number)) => numbers.contains(&number),
                Some(Value::U64(number)) => {
                    i64::try_from(number).is_ok_and(|number| numbers.contains(&number))
                }
                _ => false,
            },
            (_, None) => false,
            (Self::Program(patterns), Some(run)) => run.is_program(patterns),
            (Self::Language(numbers), Some(run)) => {
                run.language.is_some_and(|number| numbers.contains(&number))
            }
            (Self::Script(patterns), Some(run)) => {
                matches!(&run.entry, Some(Entry::Script(path)) if any(patterns, path))
            }
            (Self::Module(patterns), Some(run)) => {
                matches!(&run.entry, Some(Entry::Module(name)) if any(patterns, name))
            }
            (Self::Code(wanted), Some(run)) => matches!(&run.entry, Some(Entry::Code)) == *wanted,
            (Self::Command(commands, value_options), Some(run)) => commands
                .iter()
                .any(|words| run.has_command(words, value_options)),
            (Self::Argument(patterns), Some(run)) => {
                run.arguments.iter().any(|argument| any(patterns, argument))
            }
        }
    }
}

fn any(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

/// `EINPROGRESS`: a connect that goes on without its caller has not failed.
const IN_PROGRESS: i64 = -115;

fn failed(record: &Record<'_>) -> bool {
    record
        .result
        .is_some_and(|result| result < 0 && result != IN_PROGRESS)
}
