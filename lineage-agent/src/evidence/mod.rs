//! Evidence: canonical bytes, tree, spool, segments, manifests, log, keys; written and read back.
//!
//! `docs/evidence-format.md` is the specification of everything in this folder.

pub mod artifacts;
pub mod checkpoint;
pub mod counters;
pub mod digest;
pub mod epoch;
pub mod error;
pub mod escape;
pub mod files;
pub mod hasher;
pub mod keys;
pub mod kinds;
mod lanes;
pub mod layout;
pub mod log;
pub mod manifest;
pub mod note;
pub mod origin;
pub mod proof;
pub mod reader;
pub mod record;
pub mod recover;
pub mod scan;
pub mod schema;
pub mod seal;
pub mod segment;
pub mod spool;
pub mod table;
pub mod tally;
pub mod text;
pub mod tree;
pub mod writer;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod vector_tests;
