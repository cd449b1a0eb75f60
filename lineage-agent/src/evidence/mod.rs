//! Evidence: canonical bytes, tree, spool, segments, manifests, log, keys; written and read back.
//!
//! `docs/evidence-format.md` is the specification of everything in this folder.

pub mod kinds;
pub mod schema;
