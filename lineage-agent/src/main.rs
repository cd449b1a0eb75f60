//! The `lineage` command.

fn main() {}
