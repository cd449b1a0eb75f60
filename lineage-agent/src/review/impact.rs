//! `lineage impact`: what an event can have influenced since, from the evidence alone.
//!
//! The converse of `why`: whatever has this event among its causes. What a program wrote after it had read
//! something may hold it; what came of it is not said.

mod draw;

use std::io::{self, Write};

use super::index::HostFlows;
use super::reach::Reach;
use super::walk::{Direction, Limits};
use crate::evidence::error::Error;
use crate::evidence::reader::Host;
use crate::evidence::record::Owned;

/// What of the effects is wanted.
#[derive(Debug, Clone, Copy)]
pub struct ImpactOptions {
    /// Where to stop.
    pub limits: Limits,
    /// Outputs shown of one program.
    pub most: usize,
}

/// What an event can have influenced.
pub struct Impact<'a> {
    options: ImpactOptions,
    reach: Reach<'a>,
}

impl<'a> Impact<'a> {
    /// Looks for the effects of an event of this host.
    ///
    /// # Errors
    ///
    /// [`Error`] when the records of the effects cannot be read.
    pub fn new(
        (host, flows): (&'a Host, &'a HostFlows),
        event: Owned,
        options: ImpactOptions,
    ) -> Result<Self, Error> {
        let reach = Reach::new((host, flows), event, Direction::On, options.limits, |_| {
            true
        })?;
        Ok(Self { options, reach })
    }

    /// What could not be read of the records that were told of, if anything; they were taken for missing.
    #[must_use]
    pub fn failed(&self) -> Option<Error> {
        self.reach.failed()
    }

    /// Writes one JSON object on one line: the `event`, all `nodes` it can have influenced with the `seq` since which,
    /// the `flows` between them, the `records` that these name, and whether there may be more (`partial`).
    ///
    /// # Errors
    ///
    /// What the writer returns.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"{")?;
        self.reach.write_json(out)?;
        out.write_all(b"}\n")
    }
}
