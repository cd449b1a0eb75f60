//! Signed notes and verifier keys of C2SP signed-note, for Ed25519 and Ed25519 cosignatures.
//!
//! <https://c2sp.org/signed-note>, <https://c2sp.org/tlog-cosignature>

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::text::{hex, parse_hex};

/// Largest note read, in bytes.
pub const NOTE_BYTES_MAX: usize = 65_536;

/// Most signature lines read.
pub const SIGNATURES_MAX: usize = 100;

const DASH: &str = "\u{2014} ";

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

/// Why a note or a key is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not a signed note.
    #[error("malformed note: {0}")]
    Malformed(&'static str),
    /// Not a verifier key.
    #[error("malformed verifier key: {0}")]
    Key(&'static str),
    /// A signature line has the name and id of the key, but its signature is not the key's.
    #[error("signature does not verify")]
    Signature,
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
fn is_name(text: &str) -> bool {
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
    pub(super) fn secret(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The bare signature over `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    /// The signature line over a note's text.
    fn line(&self, text: &str) -> String {
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

/// A note over `text`, which ends with a newline, with a line of each signer.
#[must_use]
pub fn sign(text: &str, signers: &[&Signer]) -> String {
    let lines: String = signers.iter().map(|signer| signer.line(text)).collect();
    format!("{text}\n{lines}")
}

/// A note as read: nothing of it is proven yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note<'a> {
    /// What is signed, with its last newline.
    pub text: &'a str,
    /// The signature lines.
    pub signatures: Vec<SignatureLine<'a>>,
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureLine<'a> {
    /// Name of the key.
    pub name: &'a str,
    /// Id of the key.
    pub id: [u8; 4],
    /// What the algorithm says it is.
    pub signature: Vec<u8>,
}

impl<'a> Note<'a> {
    /// Reads a note.
    ///
    /// # Errors
    ///
    /// [`NoteError::Malformed`]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::Malformed("too long"));
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::Malformed("not UTF-8"))?;
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(NoteError::Malformed("holds control characters"));
        }
        let split = note
            .rfind("\n\n")
            .ok_or(NoteError::Malformed("no blank line"))?;
        let (text, signatures) = (&note[..=split], &note[split + 2..]);
        if text == "\n" {
            return Err(NoteError::Malformed("no text"));
        }
        Ok(Self {
            text,
            signatures: signature_lines(signatures)?,
        })
    }

    /// Whether `key` signed this note; false when no line bears its name and id.
    ///
    /// # Errors
    ///
    /// [`NoteError::Signature`] when such a line is there and wrong: the note must be rejected.
    pub fn is_signed_by(&self, key: &VerifierKey) -> Result<bool, NoteError> {
        let id = key.id();
        let Some(line) = self
            .signatures
            .iter()
            .find(|line| line.name == key.name && line.id == id)
        else {
            return Ok(false);
        };
        let good = match key.algorithm {
            Algorithm::Ed25519 => <&[u8; 64]>::try_from(&line.signature[..])
                .is_ok_and(|signature| key.verifies(self.text.as_bytes(), signature)),
            Algorithm::Cosignature => self.is_cosigned(key, &line.signature),
        };
        if good {
            Ok(true)
        } else {
            Err(NoteError::Signature)
        }
    }

    fn is_cosigned(&self, key: &VerifierKey, bytes: &[u8]) -> bool {
        let Some((time, signature)) = bytes.split_first_chunk::<8>() else {
            return false;
        };
        let time = u64::from_be_bytes(*time);
        let message = format!("cosignature/v1\ntime {time}\n{}", self.text);
        <&[u8; 64]>::try_from(signature)
            .is_ok_and(|signature| key.verifies(message.as_bytes(), signature))
    }
}

/// Reads signature lines, of which there is at least one.
///
/// # Errors
///
/// [`NoteError::Malformed`]
pub fn signature_lines(text: &str) -> Result<Vec<SignatureLine<'_>>, NoteError> {
    let lines = text
        .strip_suffix('\n')
        .ok_or(NoteError::Malformed("last line not ended"))?;
    let mut signatures = Vec::new();
    for line in lines.split('\n') {
        if signatures.len() == SIGNATURES_MAX {
            return Err(NoteError::Malformed("too many signatures"));
        }
        signatures.push(signature_line(line).ok_or(NoteError::Malformed("bad signature line"))?);
    }
    Ok(signatures)
}

fn signature_line(line: &str) -> Option<SignatureLine<'_>> {
    let (name, encoded) = line.strip_prefix(DASH)?.split_once(' ')?;
    let bytes = BASE64.decode(encoded).ok()?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    if !is_name(name) || signature.is_empty() {
        return None;
    }
    Some(SignatureLine {
        name,
        id: *id,
        signature: signature.to_vec(),
    })
}
