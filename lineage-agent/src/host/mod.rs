//! What is true of this machine: its processes as procfs shows them, its kernel, its clock.
//!
//! Everything here is read, nothing is changed, and every name stays bytes until it is escaped: the
//! kernel's strings have no encoding.

pub mod blind_spots;
pub mod container;
pub mod digest;
pub mod environment;
pub mod mounts;
pub mod notices;
pub mod procfs;
