//! What governed the lineages: the contexts that their records name, with purpose, policies and grants.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

use super::strings::Strings;
use crate::evidence::error::Error;
use crate::evidence::reader::Host;
use crate::evidence::schema::Record;
use crate::evidence::text::parse_hex;

/// Most contexts of all lineages; further ones are counted.
const CONTEXTS_MAX: usize = 4096;

/// Largest document that is read for the page, bytes.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;

/// Longest statement of purpose that is shown, characters.
const PURPOSE_CHARS_MAX: usize = 400;

/// Most policies that are named of one context.
const POLICIES_MAX: usize = 64;

/// The contexts, in the order in which they governed.
#[derive(Debug, Default, Serialize)]
pub(super) struct Contexts {
    list: Vec<Context>,
    /// Contexts beyond the limit.
    left_out: u64,
    /// The latest of each lineage.
    #[serde(skip)]
    latest: HashMap<u32, Box<str>>,
}

/// What governed a lineage from one record on.
#[derive(Debug, Serialize)]
struct Context {
    lineage: u32,
    /// Its first record.
    row: Option<u32>,
    /// `observe`, `audit` or `enforce`.
    enforcement: u32,
    /// Why it began.
    reason: u32,
    /// What the narrowest grant says it is for.
    purpose: u32,
    policies: Vec<u32>,
    grants: usize,
    /// Why nothing is authorised any more.
    lapsed: u32,
    #[serde(skip)]
    host: u32,
    #[serde(skip)]
    digest: Box<str>,
}

impl Contexts {
    /// Notes the context of a record where it is another one than before.
    pub(super) fn add(&mut self, record: &Record<'_>, host: u32, lineage: u32, row: Option<u32>) {
        let Some(digest) = record.context else {
            return;
        };
        if self.latest.get(&lineage).is_some_and(|it| **it == *digest) {
            return;
        }
        self.latest.insert(lineage, digest.into());
        if self.list.len() == CONTEXTS_MAX {
            self.left_out += 1;
            return;
        }
        self.list.push(Context {
            lineage,
            row,
            enforcement: 0,
            reason: 0,
            purpose: 0,
            policies: Vec::new(),
            grants: 0,
            lapsed: 0,
            host,
            digest: digest.into(),
        });
    }

    /// Reads the documents of the contexts of a host, and gives that of the first environment.
    pub(super) fn read(
        &mut self,
        host: &Host,
        number: u32,
        strings: &mut Strings,
    ) -> Result<Option<Value>, Error> {
        let mut environment = None;
        for context in self.list.iter_mut().filter(|it| it.host == number) {
            let Some(document) = document(host, &context.digest)? else {
                continue;
            };
            if environment.is_none() {
                environment = named(host, &document["environment"])?;
            }
            context.enforcement = strings.optional(document["enforcement"].as_str());
            context.reason = strings.optional(document["reason"].as_str());
            context.lapsed = strings.optional(document["lapsed"].as_str());
            context.grants = document["grants"].as_array().map_or(0, Vec::len);
            if let Some(bytes) = bytes(host, document["intent"].as_str())? {
                let text = String::from_utf8_lossy(&bytes);
                let text: String = text.chars().take(PURPOSE_CHARS_MAX).collect();
                context.purpose = strings.id(&text);
            }
            if let Some(policy) = named(host, &document["policy"])? {
                context.policies = policies(&policy, strings);
            }
        }
        Ok(environment)
    }
}

/// The names of the policies in all levels.
fn policies(document: &Value, strings: &mut Strings) -> Vec<u32> {
    let levels = document["levels"].as_array().map(Vec::as_slice);
    let mut names = Vec::new();
    for level in levels.unwrap_or_default() {
        let policies = level.as_array().map(Vec::as_slice).unwrap_or_default();
        for policy in policies {
            let name = strings.optional(policy["name"].as_str());
            if names.len() < POLICIES_MAX && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

/// The document that a value names.
fn named(host: &Host, digest: &Value) -> Result<Option<Value>, Error> {
    match digest.as_str() {
        Some(digest) => document(host, digest),
        None => Ok(None),
    }
}

fn document(host: &Host, digest: &str) -> Result<Option<Value>, Error> {
    let bytes = bytes(host, Some(digest))?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// An artifact that is not too large to be looked at.
fn bytes(host: &Host, digest: Option<&str>) -> Result<Option<Vec<u8>>, Error> {
    let Some(digest) = digest.and_then(parse_hex) else {
        return Ok(None);
    };
    let bytes = host.named_artifact(&digest)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() <= DOCUMENT_BYTES_MAX))
}
