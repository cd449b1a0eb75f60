//! `lineage show`: one record, all of it.
//!
//! Every field with where its value comes from and, where that is a number or a reference, what it means: names for
//! flags and errors, the records that `cause`, `opened` and `other_end` lead to, the digest of what was in the
//! file, what was decided, and what governed. Nothing here is proven; that is for `verify`.

mod context;
mod decision;
mod draw;
mod found;
mod meaning;
#[cfg(test)]
mod tests;

pub use context::Granted;
pub use found::Show;

/// One thing that is said of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    /// Name of the field, or of the fact.
    name: &'static str,
    /// Where it comes from; empty for what was worked out here.
    source: &'static str,
    /// As it is recorded.
    value: String,
    /// What that means.
    meaning: Option<String>,
}

impl Row {
    /// Something that was worked out from other fields and artifacts.
    fn told(name: &'static str, value: impl Into<String>) -> Self {
        Self {
            name,
            source: "",
            value: value.into(),
            meaning: None,
        }
    }
}
