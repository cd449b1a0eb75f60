//! What is true of this machine: its processes as procfs shows them.
//!
//! Everything here is read, nothing is changed, and every name stays bytes: the kernel's strings
//! have no encoding.

pub mod procfs;
