//! What a context says that governed: policies, grants, and whether they still held.

use std::collections::{BTreeMap, btree_map::Entry};
use std::sync::Arc;

use serde::Deserialize;

use super::access::HostDir;
use super::artifacts;
use super::finding::{Code, Finding};
use crate::authority::chain::Chain;
use crate::authority::grant::LEVELS_MAX;
use crate::authority::policy::engine::Engine;
use crate::authority::policy::source::{POLICY_BYTES_MAX, SCHEMA, Schema, Source};
use crate::authority::statement::{Digest, SUBJECTS_MAX, Subject};
use crate::evidence::text::parse_hex;
use crate::evidence::tree::Hash;

/// Most bytes of policies that decide together, each counted as often as it is named.
const POLICIES_BYTES_MAX: usize = LEVELS_MAX * POLICY_BYTES_MAX;

/// Most bytes of documents that are looked up: what is kept of them, and the work they make, is bounded by that. A segment
/// may have 256 contexts, and nobody has vouched yet for the records that name them.
const READ_BYTES_MAX: usize = 4 * POLICIES_BYTES_MAX;

/// What a document counts at least: little text can make much work.
const DOCUMENT_BYTES_MIN: usize = 1 << 12;

/// A context document; see [`crate::lineage::context`]. What is not in it is not so.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Document {
    #[serde(default)]
    pub(super) enforcement: String,
    #[serde(default)]
    pub(super) grants: Vec<Digest>,
    pub(super) intent: Option<Digest>,
    pub(super) lapsed: Option<String>,
    #[serde(default)]
    pub(super) lineage: String,
    pub(super) parent: Option<String>,
    pub(super) policy: Option<Digest>,
    pub(super) previous: Option<String>,
    #[serde(default)]
    pub(super) reason: String,
}

/// How policies govern; see `recorder/authority.rs`.
#[derive(Deserialize)]
struct Governance {
    generation: i64,
    levels: Vec<Vec<Named>>,
    schema: Digest,
}

impl Governance {
    /// Whether it is no more than grants can name.
    fn is_bounded(&self) -> bool {
        let mut levels = self.levels.iter();
        self.levels.len() <= LEVELS_MAX && levels.all(|level| level.len() <= SUBJECTS_MAX)
    }
}

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(rename = "blake3")]
    digest: Digest,
}

/// Policies that decide.
#[derive(Debug)]
pub(super) struct Deciding {
    pub(super) engine: Engine,
    pub(super) generation: i64,
    /// Of each level the digests of the policies.
    levels: Vec<Vec<Digest>>,
}

/// What governed by a context.
#[derive(Debug)]
pub(super) struct Authority {
    pub(super) document: Document,
    /// None where nothing governs.
    pub(super) deciding: Option<Arc<Deciding>>,
    /// None where nobody answers for it.
    pub(super) chain: Option<Arc<Chain>>,
}

impl Authority {
    /// Of what decides, how many have governed the lineage up to it; none where nothing does.
    pub(super) fn generation(&self) -> Option<i64> {
        Some(self.deciding.as_ref()?.generation)
    }
}

/// Contexts that were looked up.
#[derive(Debug)]
pub(super) struct Authorities<'a> {
    dir: &'a HostDir,
    known: BTreeMap<String, Result<Arc<Authority>, Finding>>,
    policies: BTreeMap<Digest, Option<Arc<Deciding>>>,
    chains: BTreeMap<Vec<Digest>, Result<Arc<Chain>, Finding>>,
    /// What policies are checked against, once it is needed.
    schema: Option<Arc<Schema>>,
    /// Bytes of documents read for all that.
    read: usize,
}

impl<'a> Authorities<'a> {
    pub(super) fn new(dir: &'a HostDir) -> Self {
        Self {
            dir,
            known: BTreeMap::new(),
            policies: BTreeMap::new(),
            chains: BTreeMap::new(),
            schema: None,
            read: 0,
        }
    }

    /// Forgets what was looked up if that is much, for whoever goes through contexts in their order.
    pub(super) fn make_room(&mut self) {
        if self.read > READ_BYTES_MAX / 2 {
            *self = Self {
                schema: self.schema.take(),
                ..Self::new(self.dir)
            };
        }
    }

    /// Whether a context was looked up.
    pub(super) fn knows(&self, context: &str) -> bool {
        self.known.contains_key(context)
    }

    /// What governed by a context: the grants are signed, each narrows the one before, and what they name is what governed.
    pub(super) fn of(&mut self, context: &str) -> Result<Arc<Authority>, Finding> {
        if let Some(known) = self.known.get(context) {
            return known.clone();
        }
        let found = self.load(context).map(Arc::new);
        self.known.insert(context.to_owned(), found.clone());
        found
    }

    fn load(&mut self, context: &str) -> Result<Authority, Finding> {
        let missing = || Finding::new(Code::PolicyMissing).found(context);
        let document: Document = self.document(context).ok_or_else(missing)?;
        let deciding = match document.policy {
            Some(policy) => Some(self.deciding(policy).ok_or_else(missing)?),
            None => None,
        };
        let chain = match &document.grants[..] {
            [] => None,
            grants => Some(self.chain(grants)?),
        };
        if let (Some(chain), Some(deciding)) = (&chain, &deciding) {
            let named = chain.links().iter().map(|link| {
                let subjects = link.subjects.iter();
                subjects.map(Subject::digest).collect::<Vec<_>>()
            });
            if !named.eq(deciding.levels.iter().cloned()) {
                return Err(Finding::new(Code::GrantBad)
                    .expected("the policies that the grants name")
                    .found(format!("others in context {context}")));
            }
        }
        if let Some(chain) = &chain
            && document.intent != Some(chain.last().predicate.purpose.digest)
        {
            return Err(Finding::new(Code::GrantBad)
                .expected("the purpose of the grant as intent")
                .found(format!("another one in context {context}")));
        }
        Ok(Authority {
            document,
            deciding,
            chain,
        })
    }

    fn deciding(&mut self, policy: Digest) -> Option<Arc<Deciding>> {
        if let Some(known) = self.policies.get(&policy) {
            return known.clone();
        }
        let built = self.build(policy).map(Arc::new);
        self.policies.insert(policy, built.clone());
        built
    }

    fn build(&mut self, policy: Digest) -> Option<Deciding> {
        let governance: Governance = self.document(&policy.to_string())?;
        if governance.schema != Digest::of(SCHEMA.as_bytes()) || !governance.is_bounded() {
            return None;
        }
        let schema = self.schema.get_or_insert_default().clone();
        let mut known = BTreeMap::new();
        let mut left = POLICIES_BYTES_MAX;
        let mut levels = Vec::new();
        for level in &governance.levels {
            let mut sources = Vec::new();
            for named in level {
                let source: &Source = match known.entry((named.digest, &named.name)) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(free) => free.insert(self.source(named, &schema)?),
                };
                left = left.checked_sub(source.bytes.len())?;
                sources.push(source.clone());
            }
            levels.push(sources);
        }
        let digests = |level: &Vec<Named>| level.iter().map(|named| named.digest).collect();
        Some(Deciding {
            engine: Engine::new(&levels, schema).ok()?,
            generation: governance.generation,
            levels: governance.levels.iter().map(digests).collect(),
        })
    }

    fn source(&mut self, named: &Named, schema: &Schema) -> Option<Source> {
        let bytes = self.read(&named.digest.0).ok()?;
        Source::parse(&named.name, &bytes, schema).ok()
    }

    /// Reads an artifact, unless that is more than is looked up.
    fn read(&mut self, digest: &Hash) -> Result<Vec<u8>, Finding> {
        if self.read > READ_BYTES_MAX {
            return Err(Finding::new(Code::PolicyMissing)
                .expected(format!("at most {READ_BYTES_MAX} bytes of policies"))
                .found("more"));
        }
        let bytes = artifacts::read(self.dir, digest)?;
        self.read += bytes.len().max(DOCUMENT_BYTES_MIN);
        Ok(bytes)
    }

    fn chain(&mut self, grants: &[Digest]) -> Result<Arc<Chain>, Finding> {
        if let Some(known) = self.chains.get(grants) {
            return known.clone();
        }
        if grants.len() > LEVELS_MAX {
            return Err(Finding::new(Code::GrantBad)
                .expected(format!("at most {LEVELS_MAX} grants"))
                .found(grants.len()));
        }
        let mut text = Vec::new();
        for grant in grants {
            text.extend(self.read(&grant.0)?);
            text.push(b'\n');
        }
        let chain = Chain::parse(&text).map(Arc::new);
        let chain = chain.map_err(|error| Finding::new(Code::GrantBad).found(error));
        self.chains.insert(grants.to_vec(), chain.clone());
        chain
    }

    fn document<T: for<'de> Deserialize<'de>>(&mut self, digest: &str) -> Option<T> {
        let bytes = self.read(&parse_hex(digest)?).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}
