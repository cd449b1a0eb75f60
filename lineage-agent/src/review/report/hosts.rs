//! The hosts: what they are called, what ran there, which records are theirs.

use serde::Serialize;
use serde_json::Value;

use super::strings::Strings;

/// Most blind spots that are told of one host.
const BLIND_SPOTS_MAX: usize = 64;

/// The hosts, in order of their ids.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Hosts {
    list: Vec<HostFacts>,
}

/// One host.
#[derive(Debug, Default, Serialize)]
struct HostFacts {
    id: u32,
    name: u32,
    kernel: u32,
    machine: u32,
    boot: u32,
    agent: u32,
    tier: u32,
    /// What the recorder says it cannot see.
    blind_spots: Vec<u32>,
    /// Its first row of the records.
    first: usize,
    /// All its records, also those that are not in the page.
    records: u64,
}

impl Hosts {
    /// A new host begins.
    pub(super) fn begin(&mut self, id: u32, first: usize) {
        self.list.push(HostFacts {
            id,
            first,
            ..HostFacts::default()
        });
    }

    /// The number of the host that records are from.
    pub(super) fn current(&self) -> u32 {
        u32::try_from(self.list.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    pub(super) fn counted(&mut self) {
        if let Some(host) = self.list.last_mut() {
            host.records += 1;
        }
    }

    /// Takes what the environment document of a context says.
    pub(super) fn environment(&mut self, document: Option<&Value>, strings: &mut Strings) {
        let (Some(host), Some(document)) = (self.list.last_mut(), document) else {
            return;
        };
        let mut text = |value: &Value| strings.optional(value.as_str());
        host.name = text(&document["hostname"]);
        host.kernel = text(&document["kernel"]["release"]);
        host.machine = text(&document["kernel"]["machine"]);
        host.boot = text(&document["boot"]);
        host.agent = text(&document["agent"]["version"]);
        host.tier = text(&document["probes"]["tier"]);
        let spots = document["blind_spots"].as_array();
        let spots = spots.map(Vec::as_slice).unwrap_or_default();
        host.blind_spots = spots.iter().take(BLIND_SPOTS_MAX).map(text).collect();
    }
}
