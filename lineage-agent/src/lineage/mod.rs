//! Lineage: every event gets its place in time, its process and its cause.
//!
//! Pure: no file, clock, randomness or thread. The same frames in the same order give the same
//! records, byte for byte.

mod address;
mod arguments;
mod connections;
pub mod context;
pub mod files;
pub mod fold;
pub mod identity;
mod ioctl;
pub mod left_out;
pub mod mounts;
pub mod order;
pub mod process;
pub mod recognise;
mod text;
mod trace_context;
pub mod variables;
