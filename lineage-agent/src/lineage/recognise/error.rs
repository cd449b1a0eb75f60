//! What is wrong with a file of recognisers.

use super::{PIECES_MAX, pattern::PatternError};

/// A file of recognisers cannot be used: where, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("use the recognisers of {file}: line {line}, {key}: {problem}")]
pub struct RecogniserError {
    /// What the file is called.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// The key, or what stands there in its place.
    pub key: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a key or its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is no TOML.
    #[error("{0}")]
    Syntax(String),
    /// A key without meaning here.
    #[error("there is no such key; there are {expected}")]
    UnknownKey {
        /// The keys there are.
        expected: String,
    },
    /// A key that must be there is not.
    #[error("it has no `{0}`")]
    Missing(&'static str),
    /// The value has another type.
    #[error("expected {0}")]
    Type(&'static str),
    /// A list without anything in it.
    #[error("the list is empty")]
    Empty,
    /// A label or a name that would be hard to use.
    #[error("a name has up to 64 lower case letters, digits and dashes, and begins with a letter")]
    Name,
    /// A kind that is not there.
    #[error(
        "there is no kind of record called {name:?}; there are {known}, and groups such as file.*"
    )]
    Kind {
        /// What was asked for.
        name: String,
        /// The kinds there are.
        known: String,
    },
    /// A condition no record of the kind can meet.
    #[error("records of the kind {kind} have no such field")]
    NoField {
        /// The kind.
        kind: String,
    },
    /// A condition on what only an exec has.
    #[error("only process.exec and process.snapshot run a program; {kind} does not")]
    NoProgram {
        /// The kind.
        kind: String,
    },
    /// Without a condition it would be everything.
    #[error("it has no condition, or only ones with `not_`: nearly everything would be recognised")]
    NoCondition,
    /// A pattern that is none.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// An interpreter that is not described.
    #[error("there is no [[language]] called {0:?}")]
    Language(String),
    /// A name that stands for something already.
    #[error("{0:?} is defined twice in this file")]
    Twice(String),
    /// A label to take away that is not there.
    #[error("there is no recogniser with the label {0:?} to remove")]
    NotThere(String),
    /// Too many.
    #[error("there are more than {0}")]
    TooMany(usize),
    /// More than fits in memory: each text takes its own.
    #[error("the patterns up to here look for more than {PIECES_MAX} pieces of text")]
    Pieces,
    /// A format of another time.
    #[error("this program reads version 1")]
    Version,
}
