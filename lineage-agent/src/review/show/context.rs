//! What governed a record: the context document and what it names.

use serde_json::{Value, json};

use super::Row;
use super::decision::digest_of;
use crate::evidence::error::Error;
use crate::evidence::reader::Host;
use crate::evidence::text::parse_hex;

/// Largest statement of purpose that is shown.
const PURPOSE_CHARS_MAX: usize = 400;

/// Most grants there can be.
const GRANTS_MAX: usize = 8;

/// Policies named.
const POLICIES_MAX: usize = 64;

/// What a grant says, as far as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The digest that names it.
    pub id: String,
    /// What it is for.
    pub purpose: String,
    /// Who signed it.
    pub issuer: String,
    /// From when, RFC 3339.
    pub from: String,
    /// Until when.
    pub until: String,
}

/// A context with what it names; `null` is what is not there.
#[derive(Debug, Default)]
pub(super) struct Context {
    document: Value,
    environment: Value,
    pub(super) policy: Value,
    purpose: Option<String>,
    grants: Vec<(String, Result<Granted, String>)>,
}

impl Context {
    /// Reads the context of this digest; `None` when it is not there.
    pub(super) fn read(
        host: &Host,
        digest: &str,
        read_grant: impl Fn(&[u8]) -> Result<Granted, String>,
        missing: &mut Option<Error>,
    ) -> Option<Self> {
        let bytes = artifact(host, Some(digest), missing)?;
        let document: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let purpose = artifact(host, document["intent"].as_str(), missing).map(|text| {
            let text = String::from_utf8_lossy(&text);
            text.chars().take(PURPOSE_CHARS_MAX).collect()
        });
        let mut grants = Vec::new();
        for digest in document["grants"]
            .as_array()
            .into_iter()
            .flatten()
            .take(GRANTS_MAX)
        {
            let digest = digest.as_str().unwrap_or_default();
            let grant = match artifact(host, Some(digest), missing) {
                Some(envelope) => read_grant(&envelope),
                None => Err("it is not in the evidence".to_owned()),
            };
            grants.push((digest.to_owned(), grant));
        }
        let mut document_of = |name: &str| {
            let bytes = artifact(host, document[name].as_str(), missing);
            bytes
                .and_then(|bytes| serde_json::from_slice(&bytes).ok())
                .unwrap_or_default()
        };
        Some(Self {
            environment: document_of("environment"),
            policy: document_of("policy"),
            purpose,
            grants,
            document,
        })
    }

    /// How many grants there are.
    pub(super) fn grants(&self) -> usize {
        self.grants.len()
    }

    /// The policies of each grant.
    fn levels(&self) -> &[Value] {
        self.policy["levels"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The digest of the policy of this name, of a grant of this level.
    pub(super) fn policy_digest(&self, level: Option<i64>, name: &str) -> Option<&str> {
        let level = level.map(|level| usize::try_from(level).unwrap_or(usize::MAX));
        digest_of(self.levels(), level, name)
    }

    /// What there is to say of it.
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let document = &self.document;
        let mut text = |name, value: &Value| {
            if let Some(value) = value.as_str() {
                rows.push(Row::told(name, value));
            }
        };
        text(
            "enforcement",
            &Value::from(enforcement(&document["enforcement"])),
        );
        text("reason", &document["reason"]);
        text(
            "purpose",
            &self.purpose.clone().map_or(Value::Null, Value::from),
        );
        text("lapsed", &document["lapsed"]);
        text("container", &document["container"]);
        for (digest, grant) in &self.grants {
            rows.push(Row::told("grant", told(digest, grant)));
        }
        rows.extend(self.policies());
        if let Some(generation) = self.policy["generation"].as_u64() {
            rows.push(Row::told("generation", generation.to_string()));
        }
        if let Some(where_) = self.place() {
            rows.push(Row::told("environment", where_));
        }
        for (name, key) in [("before it", "previous"), ("made from", "parent")] {
            if let Some(digest) = document[key].as_str() {
                rows.push(Row::told(name, format!("context {digest}")));
            }
        }
        rows
    }

    /// As JSON: the documents themselves.
    pub(super) fn json(&self) -> Value {
        let grants = self.grants.iter().map(|(digest, grant)| match grant {
            Ok(grant) => json!({
                "envelope": digest,
                "id": grant.id,
                "purpose": grant.purpose,
                "issuer": grant.issuer,
                "not_before": grant.from,
                "not_after": grant.until,
            }),
            Err(why) => json!({ "envelope": digest, "problem": why }),
        });
        json!({
            "context": self.document,
            "environment": self.environment,
            "policy": self.policy,
            "purpose": self.purpose,
            "grants": grants.collect::<Vec<_>>(),
        })
    }

    fn policies(&self) -> Vec<Row> {
        let levels = self.levels().iter().enumerate();
        let policies = levels.flat_map(|(level, policies)| {
            let policies = policies.as_array().map_or(&[][..], Vec::as_slice);
            policies.iter().map(move |policy| (level, policy))
        });
        let told = policies.take(POLICIES_MAX).map(|(level, policy)| {
            let name = policy["name"].as_str().unwrap_or("?");
            let digest = policy["blake3"].as_str().unwrap_or("?");
            let of = match self.grants() {
                0 | 1 => String::new(),
                _ => format!(" of grant {}", level + 1),
            };
            Row::told("policy", format!("{name}{of}  blake3 {digest}"))
        });
        told.collect()
    }

    /// On which host, by which recorder.
    fn place(&self) -> Option<String> {
        let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        let environment = self.environment.as_object()?;
        let (kernel, agent) = (environment.get("kernel")?, environment.get("agent")?);
        let tier = &environment.get("probes")?["tier"];
        Some(format!(
            "host {}, Linux {} on {}, lineage {} in tier {}",
            text(environment.get("hostname")?),
            text(&kernel["release"]),
            text(&kernel["machine"]),
            text(&agent["version"]),
            text(tier),
        ))
    }
}

fn enforcement(value: &Value) -> Option<String> {
    let value = value.as_str()?;
    Some(match value {
        "observe" => "observe: nothing governs, all is only recorded".to_owned(),
        "audit" => "audit: what is denied happens all the same".to_owned(),
        "enforce" => "enforce: what is denied is prevented, or who does it is ended".to_owned(),
        other => other.to_owned(),
    })
}

fn told(digest: &str, grant: &Result<Granted, String>) -> String {
    match grant {
        Ok(grant) => {
            let purpose: String = grant.purpose.chars().take(PURPOSE_CHARS_MAX).collect();
            format!(
                "{}, from {} until {}, by {}: {purpose}",
                grant.id, grant.from, grant.until, grant.issuer
            )
        }
        Err(why) => format!("{digest} cannot be read: {why}"),
    }
}

/// An artifact by its digest in hex; none when there is no digest, or when the artifact cannot be had, which is then
/// noted as `missing`.
fn artifact(host: &Host, digest: Option<&str>, missing: &mut Option<Error>) -> Option<Vec<u8>> {
    match host.named_artifact(&parse_hex(digest?)?) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            missing.get_or_insert(error);
            None
        }
    }
}
