//! What allows an action: grants that people sign, and the chain in which they are narrowed.
//!
//! Nothing here reads a clock, only [`files`] reads files, and nothing is trusted because a document says so: who may
//! issue grants comes from the caller. Works anywhere, as `verify` does.

pub mod chain;
pub mod dsse;
pub mod files;
pub mod grant;
pub mod narrow;
pub mod policy;
pub mod revocation;
pub mod selector;
pub mod statement;
pub mod time;
