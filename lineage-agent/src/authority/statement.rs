//! In-toto statements: what a signed document says, about which artifacts.
//!
//! [In-toto attestation framework, Statement v1](https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md).

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::dsse::{DsseError, Envelope};
use crate::evidence::digest;
use crate::evidence::keys::{IssuerKey, PublicKey};
use crate::evidence::text::{hex, parse_hex};
use crate::evidence::tree::Hash;

/// The type of every statement.
const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// The type of every payload that is one.
const PAYLOAD: &str = "application/vnd.in-toto+json";

/// Most artifacts a statement is about.
pub const SUBJECTS_MAX: usize = 64;

/// A BLAKE3 digest, written as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub Hash);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(digest::of(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_hex(&text)
            .map(Self)
            .ok_or_else(|| D::Error::custom("a digest that is not 64 lowercase hex digits"))
    }
}

/// An artifact that a statement is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// What people call it: for a file its name.
    #[serde(default)]
    pub name: String,
    /// Its digests by algorithm; `blake3` is what counts here, `sha256` is there for other tools.
    #[serde(rename = "digest")]
    digests: Digests,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Digests {
    #[serde(rename = "blake3")]
    own: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Digest>,
    /// Those of other tools.
    #[serde(flatten)]
    others: BTreeMap<String, String>,
}

impl Subject {
    /// An artifact with these bytes.
    #[must_use]
    pub fn new(name: String, bytes: &[u8]) -> Self {
        let digests = Digests {
            own: Digest::of(bytes),
            sha256: Some(Digest(digest::sha256(bytes))),
            others: BTreeMap::new(),
        };
        Self { name, digests }
    }

    /// Whether it is the same artifact by every digest there is.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.digests == other.digests
    }

    /// Whether these are its bytes, by every digest that counts here.
    #[must_use]
    pub fn has(&self, bytes: &[u8]) -> bool {
        let sha256 = self.digests.sha256;
        self.digest() == Digest::of(bytes)
            && sha256.is_none_or(|digest| digest == Digest(digest::sha256(bytes)))
    }

    /// Its BLAKE3 digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digests.own
    }
}

/// What is said about artifacts.
pub trait Predicate: Serialize + DeserializeOwned {
    /// Its type: a URI.
    const TYPE: &'static str;

    /// What such a document is called.
    const NAME: &'static str;

    /// Who must have signed it.
    fn issuer(&self) -> &PublicKey;

    /// The first thing that makes no sense by itself, in words.
    fn problem(&self) -> Option<&'static str>;
}

/// A statement as it was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement<P> {
    /// The digest of the statement's bytes, which names it.
    pub id: Digest,
    /// What it came in, with its bytes.
    pub envelope: Envelope,
    /// The artifacts.
    pub subjects: Vec<Subject>,
    /// What is said about them.
    pub predicate: P,
}

/// Why bytes are no signed statement.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Not an envelope.
    #[error(transparent)]
    Envelope(#[from] DsseError),
    /// An envelope with something else in it.
    #[error("its payload is {0:?}, not an in-toto statement")]
    Payload(String),
    /// Not the JSON that it should be.
    #[error("its payload is no {what}: {source}")]
    Json {
        /// What it should be.
        what: &'static str,
        /// Where and why.
        source: serde_json::Error,
    },
    /// Not the one way to write it.
    #[error(
        "its payload is no {0} as they are written: lists for objects, members that say what is so without them, or times and keys in another form"
    )]
    Form(&'static str),
    /// It makes no sense.
    #[error("{0}")]
    Problem(&'static str),
    /// A statement of another kind.
    #[error("it is a statement of type {found:?}, not a {what} ({expected})")]
    Kind {
        /// What it should be.
        what: &'static str,
        /// The type of that.
        expected: &'static str,
        /// Its type.
        found: String,
    },
    /// About nothing, or about too much.
    #[error("it names {0} artifacts; between 1 and {SUBJECTS_MAX} are expected")]
    Subjects(usize),
    /// No signature of the key it names.
    #[error("it names {0} as its issuer, and no signature is of that key")]
    Signature(PublicKey),
}

#[derive(Serialize, Deserialize)]
struct Json<P> {
    #[serde(rename = "_type")]
    statement: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    kind: String,
    predicate: P,
}

/// Of a statement what says how to read the rest.
#[derive(Deserialize)]
struct Types {
    #[serde(rename = "_type")]
    statement: String,
    #[serde(rename = "predicateType")]
    kind: String,
    subject: Vec<Map<String, Value>>,
    predicate: Value,
}

/// Signs a statement: an envelope on one line.
#[must_use]
pub fn sign<P: Predicate>(subjects: Vec<Subject>, predicate: P, key: &IssuerKey) -> String {
    let json = Json {
        statement: STATEMENT.to_owned(),
        subject: subjects,
        kind: P::TYPE.to_owned(),
        predicate,
    };
    let payload = serde_json::to_vec(&json).expect("names, numbers and text serialise");
    Envelope::sign(PAYLOAD, payload, key).to_json()
}

/// Reads an envelope with a statement in it, which its issuer must have signed. Whether that one may
/// issue anything is for the caller to say.
///
/// # Errors
///
/// [`StatementError`]
pub fn parse<P: Predicate>(envelope: &[u8]) -> Result<Statement<P>, StatementError> {
    let envelope = Envelope::parse(envelope)?;
    if envelope.payload_type != PAYLOAD {
        return Err(StatementError::Payload(envelope.payload_type));
    }
    let error = |what| move |source| StatementError::Json { what, source };
    let types: Types =
        serde_json::from_slice(&envelope.payload).map_err(error("in-toto statement"))?;
    let what = P::NAME;
    for (expected, found) in [(STATEMENT, types.statement), (P::TYPE, types.kind)] {
        if found != expected {
            return Err(StatementError::Kind {
                what,
                expected,
                found,
            });
        }
    }
    let json: Json<P> = serde_json::from_slice(&envelope.payload).map_err(error(P::NAME))?;
    if json.subject.is_empty() || json.subject.len() > SUBJECTS_MAX {
        return Err(StatementError::Subjects(json.subject.len()));
    }
    let digests = types.subject.iter().map(|subject| subject.get("digest"));
    // What is derived also takes lists for objects, and some values have several spellings.
    if serde_json::to_value(&json.predicate).ok() != Some(types.predicate)
        || digests
            .into_iter()
            .flatten()
            .any(|digest| !digest.is_object())
    {
        return Err(StatementError::Form(what));
    }
    if let Some(problem) = json.predicate.problem() {
        return Err(StatementError::Problem(problem));
    }
    if !envelope.is_signed_by(json.predicate.issuer()) {
        return Err(StatementError::Signature(*json.predicate.issuer()));
    }
    Ok(Statement {
        id: Digest::of(&envelope.payload),
        envelope,
        subjects: json.subject,
        predicate: json.predicate,
    })
}
