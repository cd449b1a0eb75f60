//! Context documents: everything that governed a record, under one digest.
//!
//! A context is canonical JSON (keys sorted, no white space) stored in the evidence by its digest.
//! Each record names its context; the contexts of a lineage form a path through `previous`.

use serde::Serialize;

/// One context. Field order is the canonical order: serialisation writes fields as declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Context<'a> {
    /// The container the lineage's first process was in when it was registered, as `MANAGER:ID`.
    pub container: Option<&'a str>,
    /// What becomes of what is denied: `observe` (nothing is, every act is *ungoverned*), `audit` (it is recorded),
    /// `enforce` (it is prevented, or who does it is ended).
    pub enforcement: &'a str,
    /// Digest of the environment document.
    pub environment: &'a str,
    /// Digests of the grants in their envelopes, the widest first; none where nobody answers for the lineage.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub grants: &'a [String],
    /// Digest of the purpose of the narrowest grant, which is also an artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<&'a str>,
    /// Why nothing is authorised any more, in words; none while something is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lapsed: Option<&'a str>,
    /// The lineage.
    pub lineage: &'a str,
    /// Digest of the context of the lineage that this one was made from, in that moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<&'a str>,
    /// Digest of the document that names the policies, and their rules in the order of the tables; none where
    /// nothing governs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<&'a str>,
    /// Digest of the context before this one; none for the first.
    pub previous: Option<&'a str>,
    /// Why a new context began: `start`; `delegation` from another lineage; `environment: ` and the names of what
    /// changed in the environment document, comma separated; `reload` of what governs; `expired`, `revoked`, and whatever
    /// else ends an authority.
    pub reason: &'a str,
    /// Digest of the revocation that ended the authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation: Option<&'a str>,
    /// Version of this document.
    pub version: u32,
}

impl Context<'_> {
    /// The canonical bytes, which the digest covers.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a struct of strings and numbers serialises")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_there_is_no_white_space() {
        let context = Context {
            container: None,
            enforcement: "observe",
            environment: "e",
            grants: &[],
            intent: None,
            lapsed: None,
            lineage: "l",
            parent: None,
            policy: None,
            previous: None,
            reason: "start",
            revocation: None,
            version: 1,
        };
        let whole = Context {
            grants: &["g".to_owned()],
            intent: Some("i"),
            lapsed: Some("over"),
            parent: Some("a"),
            policy: Some("p"),
            revocation: Some("r"),
            ..context.clone()
        };
        let text = String::from_utf8(whole.to_bytes()).unwrap();
        let sorted: std::collections::BTreeMap<String, serde_json::Value> =
            serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&sorted).unwrap(), text);
        assert_eq!(
            String::from_utf8(context.to_bytes()).unwrap(),
            r#"{"container":null,"enforcement":"observe","environment":"e","lineage":"l","previous":null,"reason":"start","version":1}"#
        );
    }
}
