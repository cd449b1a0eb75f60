//! The contract between the probes in the kernel and the agent on the host.
//!
//! Plain data only: every type here crosses the ring buffer or a BPF map as bytes, so each has a
//! fixed layout, no padding, no `bool`, no `usize`, no `enum`, and a size that is asserted beside
//! it. Nothing in this crate allocates or is unsafe; it compiles for the BPF target and the host.

#![no_std]
#![forbid(unsafe_code)]

pub mod calls;
pub mod compat;
pub mod frame;
pub mod layout;
pub mod limits;
pub mod policy;
pub mod tally;
pub mod task;
pub mod tier;
