//! Signed notes and verifier keys of C2SP signed-note, for Ed25519 and Ed25519 cosignatures.
//!
//! <https://c2sp.org/signed-note>, <https://c2sp.org/tlog-cosignature>

mod key;

pub use key::{Algorithm, Signer, VerifierKey, verify};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use key::is_name;

/// Largest note read, in bytes.
pub const NOTE_BYTES_MAX: usize = 65_536;

/// Most signature lines read.
pub const SIGNATURES_MAX: usize = 100;

const DASH: &str = "\u{2014} ";

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
