//! Keys of notes, public and secret.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::super::text::{hex, parse_hex};
use super::{DASH, NoteError};

/// What a key's signatures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 over the note's text.
    Ed25519,
    /// Timestamped Ed25519 cosignature of a witness.
    Cosignature,
}

impl Algorithm {
    fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::Cosignature => 4,
        }
    }
}

/// A public key with the name it signs under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    /// The name.
    pub name: String,
    /// What it signs.
    pub algorithm: Algorithm,
    /// The Ed25519 public key.
    pub key: [u8; 32],
}

impl VerifierKey {
    /// An Ed25519 key.
    #[must_use]
    pub fn new(name: String, key: [u8; 32]) -> Self {
        Self {
            name,
            algorithm: Algorithm::Ed25519,
            key,
        }
    }

    /// The key's id.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', self.algorithm.byte()])
            .chain_update(self.key)
            .finalize()
            .into();
        [digest[0], digest[1], digest[2], digest[3]]
    }

    /// Whether `signature` is this key's over `message`, strictly.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        verify(&self.key, message, signature)
    }
}

/// Whether `signature` is an Ed25519 signature of `key` over `message`, strictly: no malleable
/// encodings, no weak keys.
#[must_use]
pub fn verify(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(key)
        .and_then(|key| key.verify_strict(message, &Signature::from_bytes(signature)))
        .is_ok()
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut encoded = vec![self.algorithm.byte()];
        encoded.extend_from_slice(&self.key);
        write!(
            out,
            "{}+{}+{}",
            self.name,
            hex(&self.id()),
            BASE64.encode(encoded)
        )
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        // The base64 may hold plus signs, name and id may not.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(NoteError::Key("not three parts joined by plus signs"));
        };
        if !is_name(name) {
            return Err(NoteError::Key("not a key name"));
        }
        let bytes = BASE64
            .decode(encoded)
            .map_err(|_| NoteError::Key("not base64"))?;
        let (algorithm, key) = match bytes.split_first() {
            Some((1, key)) => (Algorithm::Ed25519, key),
            Some((4, key)) => (Algorithm::Cosignature, key),
            _ => return Err(NoteError::Key("not an algorithm known here")),
        };
        let key = Self {
            name: name.to_owned(),
            algorithm,
            key: key
                .try_into()
                .map_err(|_| NoteError::Key("not 32 bytes long"))?,
        };
        if parse_hex(id) != Some(key.id()) {
            return Err(NoteError::Key("its id does not fit name and key"));
        }
        Ok(key)
    }
}

/// Whether a text can name a key: not empty, no spaces, no plus.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '+')
}

/// A secret key with the name it signs under.
pub struct Signer {
    name: String,
    key: SigningKey,
}

impl Signer {
    /// A signer of this name.
    #[must_use]
    pub fn new(name: String, key: SigningKey) -> Self {
        Self { name, key }
    }

    /// Its public half.
    #[must_use]
    pub fn verifier(&self) -> VerifierKey {
        VerifierKey::new(self.name.clone(), self.key.verifying_key().to_bytes())
    }

    /// The secret key, for signing under another name.
    pub(in super::super) fn secret(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The bare signature over `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    /// The signature line over a note's text.
    pub(super) fn line(&self, text: &str) -> String {
        let mut bytes = self.verifier().id().to_vec();
        bytes.extend_from_slice(&self.sign(text.as_bytes()));
        format!("{DASH}{} {}\n", self.name, BASE64.encode(bytes))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Signer({})", self.name)
    }
}
