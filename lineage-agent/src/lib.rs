//! Execution evidence for autonomous AI systems.
//!
//! Data moves one way: `probe` reads frames from the kernel, [`event`] decodes them, [`lineage`]
//! gives every event its cause, [`evidence`] hashes, signs and stores the resulting records, and
//! [`verify`] and [`review`] read them back, on any machine, trusting none of it.
//! `ARCHITECTURE.md` is the map.

pub mod authority;
pub mod batch;
pub mod cli;
pub mod clock;
pub mod commands;
mod counted;
pub mod decisions;
pub mod event;
pub mod evidence;
pub mod glob;
#[cfg(feature = "record")]
pub mod host;
pub mod lineage;
pub mod names;
#[cfg(feature = "record")]
pub mod probe;
#[cfg(feature = "record")]
pub mod recorder;
pub mod review;
pub mod verify;
