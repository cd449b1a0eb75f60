//! The environment as documents: what it is, and what has become different.

use std::{collections::BTreeMap, sync::Arc};

use lineage_common::tier::Tier;
use serde_json::{Map, Value, json};

use crate::{
    clock::{Clock as _, SystemClock},
    evidence::{escape::escape, text::hex, tree::Hash, writer::Artifacts},
    host::{
        blind_spots,
        environment::{Enforcement, Environment, Recorder},
        mounts::{self, Mount},
        notices::{Noticed, Notices},
    },
};

use super::RecordError;
use crate::lineage::mounts::{Mount as Place, Mounts};

/// Largest document of mounts that is kept: what an artifact may have.
const MOUNTS_BYTES_MAX: usize = 16 << 20;

/// Most mounts of a kind that a change tells one by one, and most bytes of their names; all of them are
/// in the documents.
const TOLD_MAX: usize = 64;
const TOLD_BYTES_MAX: usize = 16 << 10;

/// How often the clock was set is here in the environment document.
const CLOCK_STEPS: &str = "clock.steps";

/// What the recorder is made of.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) agent: Hash,
    pub(super) probes: Hash,
    pub(super) layout: Hash,
    /// Digests of the files of recognisers.
    pub(super) recognisers: Vec<String>,
    /// Names of the blind spots of this kernel.
    pub(super) unseen: Vec<&'static str>,
    /// In which tier something is governed, if it is.
    pub(super) tier: Option<Tier>,
    /// Names of the calls that are left out.
    pub(super) left_out: Vec<&'static str>,
}

/// Everything around the lineages, as it was last read.
#[derive(Debug)]
pub(super) struct Surroundings {
    notices: Notices,
    parts: Parts,
    /// The table of mounts as it was last read.
    mounts: Option<Vec<Mount>>,
    /// The table of mounts is to be read again.
    stale: bool,
    /// The table of mounts that the document names, and its digest there.
    documented: (Option<Vec<Mount>>, Option<String>),
    clock_steps: u64,
    /// UTC minus boot time, nanoseconds.
    clock_offset_ns: i64,
    document: Vec<u8>,
    digest: String,
}

/// What is different.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// Names of what changed in the document.
    pub(super) names: Vec<String>,
    /// From what to what.
    pub(super) detail: Value,
}

impl Surroundings {
    /// Reads them for the first time; from then on changes are noticed.
    pub(super) fn read(parts: Parts, artifacts: &Artifacts) -> Result<Self, RecordError> {
        let notices = Notices::open().map_err(|source| RecordError::System {
            what: "watch the environment",
            source,
        })?;
        let mut surroundings = Self {
            notices,
            parts,
            mounts: None,
            stale: true,
            documented: (None, None),
            clock_steps: 0,
            clock_offset_ns: SystemClock.now().offset_ns(),
            document: Vec::new(),
            digest: String::new(),
        };
        surroundings.read_mounts();
        surroundings.document_mounts(artifacts)?;
        surroundings.document = surroundings.describe();
        surroundings.digest = artifacts.store(&surroundings.document)?;
        Ok(surroundings)
    }

    /// Digest of the environment document.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    pub(super) fn notices(&self) -> &Notices {
        &self.notices
    }

    /// Takes note of what was noticed.
    pub(super) fn note(&mut self, noticed: Noticed) {
        self.stale |= noticed.mounts;
        self.clock_steps += u64::from(noticed.clock);
    }

    /// Reads them again and stores the documents, if anything is different.
    pub(super) fn renew(
        &mut self,
        artifacts: &Artifacts,
    ) -> Result<Option<Difference>, RecordError> {
        let offset_ns = SystemClock.now().offset_ns();
        let step_ns = offset_ns.saturating_sub(self.clock_offset_ns);
        self.clock_offset_ns = offset_ns;
        self.read_mounts();
        let before = self.document_mounts(artifacts)?;
        let document = self.describe();
        if document == self.document {
            return Ok(None);
        }
        let mut changed = differences(&self.document, &document);
        if let Some(steps) = changed.get_mut(CLOCK_STEPS) {
            steps["step_ns"] = json!(step_ns);
        }
        if let Some(told) = changed.get_mut("mounts")
            && let (Some(before), Some(after)) = (&before, &self.mounts)
        {
            told_mounts(told, before, after);
        }
        self.digest = artifacts.store(&document)?;
        self.document = document;
        Ok(Some(Difference {
            names: changed.keys().cloned().collect(),
            detail: json!({ "changed": changed, "environment": self.digest }),
        }))
    }

    /// Whether the table of mounts is to be read again.
    pub(super) fn stale(&self) -> bool {
        self.stale
    }

    /// Reads the table of mounts, if it is another one by now.
    pub(super) fn read_mounts(&mut self) {
        if std::mem::take(&mut self.stale) {
            self.mounts = mounts::read(self.notices.mountinfo());
        }
    }

    /// The table of mounts as the fold wants it; `None` when it is not known.
    pub(super) fn mounts(&self) -> Option<Arc<Mounts>> {
        let table = self.mounts.as_ref()?.iter().map(|mount| Place {
            id: mount.id,
            parent: mount.parent,
            dev: mount.device.0 << 20 | mount.device.1,
            root: mount.root.clone(),
            point: mount.point.clone(),
        });
        Some(Arc::new(Mounts::new(&table.collect::<Vec<_>>())))
    }

    /// Stores the table of mounts; gives the one before, if it is another one.
    fn document_mounts(
        &mut self,
        artifacts: &Artifacts,
    ) -> Result<Option<Vec<Mount>>, RecordError> {
        if self.documented.0 == self.mounts {
            return Ok(None);
        }
        let document = self.mounts.as_deref().map(mounts::document);
        let digest = document
            .filter(|document| document.len() <= MOUNTS_BYTES_MAX)
            .map(|document| artifacts.store(&document))
            .transpose()?;
        let documented = (self.mounts.clone(), digest);
        Ok(std::mem::replace(&mut self.documented, documented).0)
    }

    fn describe(&self) -> Vec<u8> {
        let blind_spots = blind_spots::here(&self.parts.unseen);
        let blind_spots: Vec<&str> = blind_spots.iter().map(|spot| spot.name).collect();
        Environment::read(Recorder {
            version: env!("CARGO_PKG_VERSION"),
            digest: &hex(&self.parts.agent),
            probes: &hex(&self.parts.probes),
            layout: &hex(&self.parts.layout),
            tier: "trace",
            enforcement: self.parts.tier.map(|tier| Enforcement {
                not_prevented: tier.gaps(),
                tier: tier.name(),
            }),
            blind_spots: &blind_spots,
            mounts: self.documented.1.as_deref(),
            clock_steps: self.clock_steps,
            recognisers: &self.parts.recognisers,
            left_out: &self.parts.left_out,
        })
        .to_bytes()
    }
}

/// What two documents differ in: dotted names, each with its value in both.
fn differences(before: &[u8], after: &[u8]) -> Map<String, Value> {
    let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let mut found = Map::new();
    compare("", &parse(before), &parse(after), &mut found);
    found
}

fn compare(name: &str, before: &Value, after: &Value, found: &mut Map<String, Value>) {
    if before == after {
        return;
    }
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        found.insert(name.to_owned(), json!({ "from": before, "to": after }));
        return;
    };
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let dot = if name.is_empty() { "" } else { "." };
        let value = |document: &Map<String, Value>| document.get(key).cloned().unwrap_or_default();
        let name = format!("{name}{dot}{key}");
        compare(&name, &value(before), &value(after), found);
    }
}

/// Adds which mounts came, went, and are mounted otherwise.
fn told_mounts(told: &mut Value, before: &[Mount], after: &[Mount]) {
    let (before, after) = (by_place(before), by_place(after));
    let added = after.iter().filter(|(key, _)| !before.contains_key(key));
    let removed = before.iter().filter(|(key, _)| !after.contains_key(key));
    let altered = after.iter().filter(|(key, mount)| {
        let former = before.get(key);
        former.is_some_and(|former| former != *mount)
    });
    tell("added", added, told);
    tell("removed", removed, told);
    tell("altered", altered, told);
}

/// What makes a mount the same one: its number alone is given to another as soon as it is free.
type Key<'a> = (u32, (u32, u32), &'a [u8], &'a [u8]);

fn by_place(mounts: &[Mount]) -> BTreeMap<Key<'_>, &Mount> {
    let placed = mounts.iter().map(|mount| {
        let place = (mount.id, mount.device, &*mount.root, &*mount.point);
        (place, mount)
    });
    placed.collect()
}

fn tell<'a>(
    what: &str,
    mounts: impl Iterator<Item = (&'a Key<'a>, &'a &'a Mount)>,
    told: &mut Value,
) {
    let mut points = Vec::new();
    let mut bytes = 0;
    let mut more = 0_u64;
    for (_, mount) in mounts {
        let point = escape(&mount.point);
        if points.len() < TOLD_MAX && bytes + point.len() <= TOLD_BYTES_MAX {
            bytes += point.len();
            points.push(point);
        } else {
            more += 1;
        }
    }
    if !points.is_empty() {
        told[what] = json!(points);
    }
    if more > 0 {
        told[format!("more_{what}")] = json!(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named_by_their_place() {
        let before = br#"{"clock":{"source":"tsc","steps":0},"hostname":"a","lsm":["x"]}"#;
        let after = br#"{"clock":{"source":"tsc","steps":1},"hostname":"b","lsm":["x","y"]}"#;
        let found = differences(before, after);
        let names: Vec<&String> = found.keys().collect();
        assert_eq!(names, ["clock.steps", "hostname", "lsm"]);
        assert_eq!(found["hostname"], json!({ "from": "a", "to": "b" }));
        assert_eq!(differences(after, after).len(), 0);
    }

    #[test]
    fn mounts_are_told_up_to_a_limit() {
        let mount = |id: u32, options: &str| {
            let line = format!("{id} 1 0:1 / /m{id} {options} - tmpfs t rw\n");
            mounts::parse(line.as_bytes()).remove(0)
        };
        let before = [mount(1, "rw"), mount(2, "rw"), mount(3, "rw")];
        let mut after = vec![mount(1, "rw"), mount(2, "ro")];
        after.extend((10..78).map(|id| mount(id, "rw")));
        let mut told = json!({});
        told_mounts(&mut told, &before, &after);
        assert_eq!(told["removed"], json!(["/m3"]));
        assert_eq!(told["altered"], json!(["/m2"]));
        assert_eq!(told["added"].as_array().unwrap().len(), TOLD_MAX);
        assert_eq!(told["more_added"], 4);
        assert_eq!(told.get("more_removed"), None);
        // However long their names are.
        let long: Vec<Mount> = (0..9)
            .map(|id| Mount {
                point: vec![b'x'; 4096],
                ..mount(id, "rw")
            })
            .collect();
        let mut told = json!({});
        told_mounts(&mut told, &[], &long);
        assert_eq!(told["added"].as_array().unwrap().len(), 4);
        assert_eq!(told["more_added"], 5);
    }
}
