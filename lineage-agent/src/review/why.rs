//! `lineage why`: what caused an event, from the evidence alone.
//!
//! Two things did. The chain of programs: who ran what until somebody did this, up to the start of the lineage
//! and who answered for it. And data: what these programs had read before, who had written that, and what they had
//! read before in turn. That a program had read something before it wrote is known; that the one went into
//! the other is inferred, because a memory can carry it.

mod draw;
mod found;
mod json;

pub use found::{Problem, Why};

use super::walk::Limits;

/// What of the causes is wanted.
#[derive(Debug, Clone, Copy)]
pub struct WhyOptions {
    /// Where to stop.
    pub limits: Limits,
    /// Inputs shown of one program.
    pub most: usize,
    /// Whether to name files of the system, too.
    pub all: bool,
    /// Which causes.
    pub causes: Causes,
}

/// Which causes are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Causes {
    /// Programs and data.
    #[default]
    All,
    /// Only which programs led to it.
    Process,
    /// Only which data led to it.
    Data,
}

/// Most nodes that are looked at.
pub const NODES_MAX: usize = 1 << 20;

impl Default for WhyOptions {
    fn default() -> Self {
        Self {
            limits: Limits {
                distance: u32::MAX,
                nodes: NODES_MAX,
            },
            most: 12,
            all: false,
            causes: Causes::All,
        }
    }
}
