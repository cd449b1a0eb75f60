//! Who records, as every manifest says it.

use super::super::escape::escape;
use super::super::manifest::Head;
use super::super::origin::Origin;
use super::super::segment::registry_digest;
use super::super::tree::Hash;

/// Who records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The host's name.
    pub hostname: Vec<u8>,
    /// The kernel's boot id, a UUID.
    pub boot: String,
    /// BLAKE3 of the recorder's executable.
    pub agent: Hash,
    /// BLAKE3 of the probes' object file.
    pub probes: Hash,
}

/// What distinguishes one segment's head from the next.
pub(super) struct HeadFacts {
    pub(super) origin: Origin,
    pub(super) segment: u64,
    pub(super) epoch: u32,
    pub(super) session: u64,
    pub(super) opened: i64,
    pub(super) offset: i64,
    pub(super) first: u64,
}

impl Identity {
    pub(super) fn head(&self, facts: &HeadFacts) -> Head {
        Head {
            origin: facts.origin,
            segment: facts.segment,
            previous: [0; 32],
            epoch: facts.epoch,
            session: facts.session,
            hostname: word(&self.hostname),
            boot: word(self.boot.as_bytes()),
            agent: self.agent,
            probes: self.probes,
            registry: registry_digest(),
            opened: facts.opened,
            offset: facts.offset,
            first: facts.first,
        }
    }
}

/// A value of the manifest without spaces, at most a host name's length.
fn word(bytes: &[u8]) -> String {
    let bytes = &bytes[..bytes.len().min(255)];
    if bytes.is_empty() {
        return "unknown".to_owned();
    }
    escape(bytes).replace(' ', "\\x20")
}
