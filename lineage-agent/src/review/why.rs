//! `lineage why`: what caused an event, from the evidence alone.
//!
//! Two things did. The chain of programs: who ran what until somebody did this, up to the start of the lineage
//! and who answered for it. And data: what these programs had read before, who had written that, and what they had
//! read before in turn. That a program had read something before it wrote is known; that the one went into
//! the other is inferred, because a memory can carry it.

mod draw;
mod json;

use std::collections::BTreeSet;

use super::flow::{Flow, Node, NodeKind};
use super::index::HostFlows;
use super::reach::{Reach, is_descent};
use super::walk::{Direction, Limits, NODES_MAX};
use crate::evidence::error::Error;
use crate::evidence::reader::Host;
use crate::evidence::record::Owned;
use crate::evidence::text::parse_hex;

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
    /// Only which data led to it, and the programs it went through.
    Data,
}

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

/// What caused an event.
pub struct Why<'a> {
    options: WhyOptions,
    reach: Reach<'a>,
    /// The program that acted, and those it came from, up to the start of the lineage.
    spine: Vec<Node>,
    /// What the grant of the event's context says it is for.
    purpose: Option<String>,
}

/// Longest statement of purpose that is shown, characters.
const PURPOSE_CHARS_MAX: usize = 400;

impl<'a> Why<'a> {
    /// Looks for the causes of an event of this host.
    ///
    /// # Errors
    ///
    /// [`Error`] when the records of the causes cannot be read.
    pub fn new(
        (host, flows): (&'a Host, &'a HostFlows),
        event: Owned,
        options: WhyOptions,
    ) -> Result<Self, Error> {
        let follow = |flow: &Flow| options.causes != Causes::Process || is_descent(flow.rule);
        let reach = Reach::new(
            (host, flows),
            event,
            Direction::Back,
            options.limits,
            follow,
        )?;
        // What else is known is told all the same.
        let purpose = purpose(host, &reach.event).unwrap_or_else(|error| {
            reach.fail(error);
            None
        });
        Ok(Self {
            spine: reach.spine.iter().map(|(program, _)| *program).collect(),
            options,
            reach,
            purpose,
        })
    }

    /// What could not be read of what was told, if anything; it was taken for missing.
    #[must_use]
    pub fn failed(&self) -> Option<Error> {
        self.reach.failed()
    }

    /// The records that tell of the causes that were found: of each the one that it is named by, the one that tells how
    /// it led on from there, and those that tell who had put there what it is; but not those of ordinary parts of the
    /// system.
    #[must_use]
    pub fn told_by(&self) -> Vec<u64> {
        let (reach, mut seqs) = (&self.reach, BTreeSet::new());
        for reached in reach.walk.reached() {
            let via = reach.walk.via(reached);
            if via.is_some_and(|flow| reach.is_ordinary(flow)) {
                continue;
            }
            seqs.insert(reached.node.seq());
            seqs.extend(via.map(|flow| flow.record));
            // What a program took in led to itself; who wrote a thing may have led to the event by other ways, too.
            if reached.node.kind() != NodeKind::Program {
                seqs.extend(
                    reach
                        .inputs(reached.node)
                        .iter()
                        .map(|step| step.flow.record),
                );
            }
        }
        seqs.into_iter().collect()
    }
}

/// What the grant says it is for, if the event was governed by one.
fn purpose(host: &Host, event: &Owned) -> Result<Option<String>, Error> {
    let artifact = |digest: Option<&str>| -> Result<Option<Vec<u8>>, Error> {
        match digest.and_then(parse_hex) {
            Some(digest) => host.named_artifact(&digest).map(Some),
            None => Ok(None),
        }
    };
    let Some(context) = artifact(event.get().context)? else {
        return Ok(None);
    };
    let context: serde_json::Value = serde_json::from_slice(&context).unwrap_or_default();
    let purpose = artifact(context["intent"].as_str())?;
    Ok(purpose.map(|text| {
        let text = String::from_utf8_lossy(&text);
        text.chars().take(PURPOSE_CHARS_MAX).collect()
    }))
}
