//! What documents name: artifacts by their digest.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::text::parse_hex;
use super::tree::Hash;

/// Which of the artifacts that are named are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// All.
    All,
    /// Not what surrounded the recorder: what was mounted, and what it recognised by which patterns. Nothing of what
    /// governed follows from these.
    Governing,
}

/// Visits artifacts and those that they name, each once. `read` gives a document, or none when it cannot be
/// had. Gives the digests of all, had or not.
pub fn walk<E>(
    named: &BTreeSet<Hash>,
    follow: Follow,
    mut read: impl FnMut(&Hash) -> Result<Option<Vec<u8>>, E>,
) -> Result<BTreeSet<Hash>, E> {
    let mut named = named.clone();
    let mut pending = named.clone();
    let mut leaves = BTreeSet::new();
    while let Some(digest) = pending.pop_first() {
        let Some(document) = read(&digest)? else {
            continue;
        };
        if leaves.contains(&digest) {
            continue;
        }
        for (digest, is_leaf) in references(&document, follow) {
            if named.insert(digest) {
                pending.insert(digest);
            }
            if is_leaf {
                leaves.insert(digest);
            }
        }
    }
    Ok(named)
}

/// The artifacts that a document names, and whether they name none themselves: of a context its environment and what
/// authorised it, of an environment what is mounted and what is recognised, of what governed its policies. It has the
/// digest it is named by, so it is what was signed.
fn references(document: &[u8], follow: Follow) -> impl Iterator<Item = (Hash, bool)> {
    #[derive(Default, Deserialize)]
    struct Document {
        environment: Option<String>,
        #[serde(default)]
        grants: Vec<String>,
        intent: Option<String>,
        #[serde(default)]
        levels: Vec<Vec<Named>>,
        mounts: Option<String>,
        parent: Option<String>,
        policy: Option<String>,
        previous: Option<String>,
        #[serde(default)]
        recognisers: Vec<String>,
        revocation: Option<String>,
        schema: Option<String>,
    }
    #[derive(Deserialize)]
    struct Named {
        #[serde(rename = "blake3")]
        digest: String,
    }
    let mut document: Document = serde_json::from_slice(document).unwrap_or_default();
    if follow == Follow::Governing {
        document.mounts = None;
        document.recognisers.clear();
    }
    let policies = document.levels.into_iter().flatten();
    let further = [
        document.environment,
        document.parent,
        document.policy,
        document.previous,
    ];
    let leaves = [
        document.intent,
        document.mounts,
        document.revocation,
        document.schema,
    ];
    let leaves = leaves
        .into_iter()
        .flatten()
        .chain(document.grants)
        .chain(document.recognisers)
        .chain(policies.map(|named| named.digest));
    let further = further.into_iter().flatten().map(|text| (text, false));
    further
        .chain(leaves.map(|text| (text, true)))
        .filter_map(|(text, is_leaf)| Some((parse_hex(&text)?, is_leaf)))
}
