//! What `lineage why` and `lineage impact` say of an event, as sets that tests compare with what is true.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::evidence::Evidence;
use crate::programs::LINEAGE;

/// The causes or effects of one event.
#[derive(Debug)]
pub struct Connected {
    document: Value,
}

impl Connected {
    /// The causes of the event with this `seq`.
    #[must_use]
    pub fn why(evidence: &Evidence, seq: i64) -> Self {
        Self::asked("why", evidence, seq)
    }

    /// Its effects.
    #[must_use]
    pub fn impact(evidence: &Evidence, seq: i64) -> Self {
        Self::asked("impact", evidence, seq)
    }

    fn asked(command: &str, evidence: &Evidence, seq: i64) -> Self {
        let mut lineage = Command::new(&*LINEAGE);
        lineage.arg(command).arg(&evidence.directory);
        let output = lineage.args([&seq.to_string(), "--json"]).output();
        let output = output.expect("the lineage binary runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let document = serde_json::from_slice(&output.stdout).expect("JSON");
        Self { document }
    }

    /// Files and pipes among it: `dev` and `ino`.
    #[must_use]
    pub fn files(&self) -> BTreeSet<(i64, i64)> {
        let number = |record: &Value, field: &str| record[field].as_i64();
        (self.told("content"))
            .filter_map(|record| number(record, "dev").zip(number(record, "ino")))
            .collect()
    }

    /// Peers that bytes were received from, as `address:port`.
    #[must_use]
    pub fn peers(&self) -> BTreeSet<String> {
        (self.told("received"))
            .map(|record| {
                let address = record["peer_addr"].as_str().unwrap_or_default();
                format!("{address}:{}", record["peer_port"])
            })
            .collect()
    }

    /// The `seq` of all records that tell of it.
    #[must_use]
    pub fn records(&self) -> BTreeSet<i64> {
        let flows = self.document["flows"].as_array().expect("flows");
        flows
            .iter()
            .flat_map(|flow| [&flow["record"], &flow["last"]])
            .filter_map(Value::as_i64)
            .collect()
    }

    /// The records that nodes of a kind are named by.
    fn told(&self, kind: &str) -> impl Iterator<Item = &Value> {
        let records = self.document["records"].as_array().expect("records");
        let nodes = self.document["nodes"].as_array().expect("nodes");
        nodes.iter().filter_map(move |node| {
            let name = node["node"].as_str().expect("a name");
            let (is, seq) = name.split_once(':').expect("kind and number");
            let seq: i64 = seq.parse().expect("a number");
            (is == kind).then(|| {
                let record = records.iter().find(|record| record["seq"] == seq);
                record.unwrap_or_else(|| panic!("no record {seq}"))
            })
        })
    }
}
