//! What governs the lineages of a recording.

use std::sync::Arc;

use lineage_common::policy::{AddressKey, Governance, Mode, PathKey, Protocol, Resource};
use serde_json::json;

use crate::{
    authority::policy::{
        Compiled,
        source::{SCHEMA, Source},
    },
    evidence::writer::Artifacts,
    probe::{AddressRule, PathRule, Probes},
};

use super::RecordError;

/// Policies, ready to govern.
#[derive(Debug)]
pub struct Policy {
    /// What they say.
    pub compiled: Compiled,
    /// Of each grant the policies that it names.
    pub levels: Vec<Vec<Source>>,
    /// Whether what they deny is prevented.
    pub enforce: bool,
}

impl Policy {
    /// The word for what becomes of what is denied.
    pub(super) fn mode(&self) -> &'static str {
        if self.enforce { "enforce" } else { "audit" }
    }

    /// The names of the rules, as the tables number them.
    pub(super) fn rules(&self) -> Arc<[String]> {
        self.compiled
            .rules
            .iter()
            .map(|rule| rule.name.clone())
            .collect()
    }

    /// Lets them govern a lineage, whose first process waits.
    pub(super) fn govern(&self, probes: &mut Probes, lineage: u32) -> Result<(), RecordError> {
        let table = &self.compiled.table;
        let mut governance = Governance {
            generation: 1,
            until_ns: u64::MAX,
            mode: if self.enforce {
                Mode::ENFORCE
            } else {
                Mode::AUDIT
            },
            port_bounds_count: table.port_bounds.len() as u32,
            ..Governance::NONE
        };
        let bounds = governance.port_bounds.iter_mut().zip(&table.port_bounds);
        bounds.for_each(|(place, bound)| *place = *bound);
        let paths = table.paths.iter().map(|((target, prefix), ruling)| {
            let socket = match target.resource {
                Resource::UnixSocket => PathKey::UNIX_SOCKET,
                _ => 0,
            };
            PathRule {
                operation: u32::from(target.operation.0) | socket,
                prefix,
                ruling: *ruling,
            }
        });
        let addresses = table.addresses.iter().map(|(key, ruling)| {
            let (operation, protocol, port_class, block) = *key;
            AddressRule {
                key: AddressKey {
                    table: 0,
                    operation,
                    protocol: Protocol(protocol),
                    port_class,
                    reserved: 0,
                    address: block.first.to_be_bytes(),
                },
                bits: block.bits,
                ruling: *ruling,
            }
        });
        Ok(probes.govern(lineage, governance, paths, addresses)?)
    }

    /// Stores them with the document that says how they govern; its digest.
    pub(super) fn store(&self, artifacts: &Artifacts) -> Result<String, RecordError> {
        let mut levels = Vec::new();
        for sources in &self.levels {
            let mut names = Vec::new();
            for source in sources {
                let digest = artifacts.store(&source.bytes)?;
                names.push(json!({ "name": source.name, "blake3": digest }));
            }
            levels.push(names);
        }
        let document = json!({
            "generation": 1,
            "levels": levels,
            "rules": self.rules().to_vec(),
            "schema": artifacts.store(SCHEMA.as_bytes())?,
            "version": 1,
        });
        Ok(artifacts.store(document.to_string().as_bytes())?)
    }
}
