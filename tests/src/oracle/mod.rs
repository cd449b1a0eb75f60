//! strace as the oracle of what a recording must tell: both brought to one form and compared.

use std::collections::BTreeMap;

use calls::Call;

pub mod calls;
mod errno;
pub mod strace;
pub mod table;
pub mod together;
pub mod totals;
mod words;

/// Fails with the name of every difference that is not allowed: part of its text, and why it is right.
///
/// # Panics
///
/// When there is one that is not allowed.
pub fn report(traced: &[Call], recorded: &[Call], allowed: &[(&str, &str)]) {
    let mut counts: BTreeMap<&Call, (i64, i64)> = BTreeMap::new();
    for call in traced {
        counts.entry(call).or_default().0 += 1;
    }
    for call in recorded {
        counts.entry(call).or_default().1 += 1;
    }
    let differences: Vec<String> = counts
        .iter()
        .filter(|(_, (strace, lineage))| strace != lineage)
        .map(|(call, (strace, lineage))| format!("{call:?}: strace {strace}, lineage {lineage}"))
        .filter(|line| !allowed.iter().any(|(part, _)| line.contains(part)))
        .collect();
    assert!(
        differences.is_empty(),
        "{} of {} calls differ:\n{}",
        differences.len(),
        counts.len(),
        differences.join("\n")
    );
}
