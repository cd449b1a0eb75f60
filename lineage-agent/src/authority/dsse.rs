//! DSSE envelopes: a payload, and who signed it.
//!
//! [Dead Simple Signing Envelope 1.0](https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md).
//! What is signed is the payload with its type and both lengths, so it can be taken for nothing else;
//! the JSON around it is not signed, and nothing in it is believed.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::evidence::keys::{IssuerKey, PublicKey};

/// Largest envelope that is read, bytes.
pub const ENVELOPE_BYTES_MAX: usize = 256 << 10;

/// Most signatures that are looked at.
const SIGNATURES_MAX: usize = 16;

/// An envelope, with its payload decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What the payload is.
    pub payload_type: String,
    /// What is signed.
    pub payload: Vec<u8>,
    /// The signatures; which keys they are of is not known before they are tried.
    signatures: Vec<Signature>,
}

/// A signature, and a hint whose it is, which nobody vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    keyid: Option<String>,
    bytes: Vec<u8>,
}

/// Why bytes are no envelope.
#[derive(Debug, thiserror::Error)]
pub enum DsseError {
    /// More than is read.
    #[error("an envelope of {0} bytes, more than the {ENVELOPE_BYTES_MAX} that are read")]
    TooLarge(usize),
    /// Not the JSON of an envelope.
    #[error("not a DSSE envelope: {0}")]
    Json(#[from] serde_json::Error),
    /// Lists in the place of objects.
    #[error("not a DSSE envelope: a list where an object is expected")]
    List,
    /// A member that is to be base64.
    #[error("{member} is not base64: {source}")]
    Base64 {
        /// Its name.
        member: &'static str,
        /// Where and why.
        source: base64::DecodeError,
    },
    /// No signature, or more than are looked at.
    #[error("{0} signatures; between 1 and {SIGNATURES_MAX} are expected")]
    Signatures(usize),
}

/// The envelope's JSON. Members not known here are to be ignored.
#[derive(Serialize, Deserialize)]
struct Json {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<JsonSignature>,
}

#[derive(Serialize, Deserialize)]
struct JsonSignature {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keyid: Option<String>,
    sig: String,
}

impl Envelope {
    /// Signs a payload. The hint which key it was is the key's text.
    #[must_use]
    pub fn sign(payload_type: &str, payload: Vec<u8>, key: &IssuerKey) -> Self {
        let signature = key.sign(&pre_authentication_encoding(payload_type, &payload));
        Self {
            payload_type: payload_type.to_owned(),
            payload,
            signatures: vec![Signature {
                keyid: Some(key.public().to_string()),
                bytes: signature.to_vec(),
            }],
        }
    }

    /// Its JSON, on one line and in ASCII: without members not known here, and without hints that are not plain.
    #[must_use]
    pub fn to_json(&self) -> String {
        let plain = |hint: &&String| hint.bytes().all(|byte| byte.is_ascii_graphic());
        let signatures = self.signatures.iter().map(|signature| JsonSignature {
            keyid: signature.keyid.as_ref().filter(plain).cloned(),
            sig: STANDARD.encode(&signature.bytes),
        });
        let json = Json {
            payload: STANDARD.encode(&self.payload),
            payload_type: self.payload_type.clone(),
            signatures: signatures.collect(),
        };
        serde_json::to_string(&json).expect("text serialises")
    }

    /// Reads an envelope; no signature is checked.
    ///
    /// # Errors
    ///
    /// [`DsseError`]
    pub fn parse(bytes: &[u8]) -> Result<Self, DsseError> {
        if bytes.len() > ENVELOPE_BYTES_MAX {
            return Err(DsseError::TooLarge(bytes.len()));
        }
        let json: Json = serde_json::from_slice(bytes)?;
        // What is derived also takes lists, member by member; no other tool does.
        let value: Value = serde_json::from_slice(bytes)?;
        let signatures = value["signatures"].as_array().into_iter().flatten();
        if !value.is_object() || !signatures.into_iter().all(Value::is_object) {
            return Err(DsseError::List);
        }
        if json.signatures.is_empty() || json.signatures.len() > SIGNATURES_MAX {
            return Err(DsseError::Signatures(json.signatures.len()));
        }
        let signatures = json.signatures.into_iter().map(|one| {
            let bytes = decode("sig", &one.sig)?;
            Ok::<_, DsseError>(Signature {
                keyid: one.keyid,
                bytes,
            })
        });
        Ok(Self {
            payload: decode("payload", &json.payload)?,
            payload_type: json.payload_type,
            signatures: signatures.collect::<Result<_, _>>()?,
        })
    }

    /// Whether one of the signatures is this key's.
    #[must_use]
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let message = pre_authentication_encoding(&self.payload_type, &self.payload);
        self.signatures
            .iter()
            .any(|signature| key.verifies(&message, &signature.bytes))
    }
}

/// `PAE(type, body) = "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body`
fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    )
    .into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// Both alphabets are allowed to signers, and padding is no difference.
fn decode(member: &'static str, text: &str) -> Result<Vec<u8>, DsseError> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let url_safe = text.contains(['-', '_']);
    let alphabet = if url_safe {
        &alphabet::URL_SAFE
    } else {
        &alphabet::STANDARD
    };
    GeneralPurpose::new(alphabet, LENIENT)
        .decode(text)
        .map_err(|source| DsseError::Base64 { member, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> (tempfile::TempDir, IssuerKey) {
        let temp = tempfile::tempdir().unwrap();
        let key = IssuerKey::create(&temp.path().join("key.pem")).unwrap();
        (temp, key)
    }

    /// The example of the protocol's specification.
    #[test]
    fn what_is_signed_has_type_and_lengths() {
        let encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        let expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
        assert_eq!(encoded, expected);
    }

    #[test]
    fn an_envelope_comes_back_with_its_signature() {
        let (_temp, key) = key();
        let made = Envelope::sign("text/plain", vec![0xff, 0xfb, 0xbf], &key);
        let text = made.to_json();
        let envelope = Envelope::parse(text.as_bytes()).unwrap();
        assert_eq!(envelope, made);
        assert_eq!(envelope.payload, [0xff, 0xfb, 0xbf]);
        assert!(envelope.is_signed_by(&key.public()));
        let other = Envelope {
            payload_type: "text/html".to_owned(),
            ..envelope.clone()
        };
        assert!(!other.is_signed_by(&key.public()));
        // The other alphabet, without padding, and with members nobody knows.
        let text = text.replace("\"//u/\"", "\"__u_\"").replace("==", "");
        let text = text.replacen('{', "{\"more\":[1],", 1);
        assert_eq!(Envelope::parse(text.as_bytes()).unwrap(), envelope);
    }

    #[test]
    fn what_is_no_envelope_is_refused_with_the_place() {
        let refused = |text: &str| Envelope::parse(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            refused("{\"payload\":\"\""),
            "not a DSSE envelope: EOF while parsing an object at line 1 column 13"
        );
        let text = r#"{"payload":"a*","payloadType":"t","signatures":[{"sig":""}]}"#;
        assert_eq!(
            refused(text),
            "payload is not base64: Invalid symbol 42, offset 1."
        );
        let text = r#"{"payload":"","payloadType":"t","signatures":[]}"#;
        assert!(refused(text).starts_with("0 signatures"));
        let text = r#"{"payload":"","payload":"","payloadType":"t","signatures":[]}"#;
        assert!(refused(text).contains("duplicate field"));
        assert!(refused(r#"["", "t", [["k", ""]]]"#).contains("a list where"));
        assert!(
            refused(r#"{"payload":"","payloadType":"t","signatures":[["k",""]]}"#)
                .contains("a list")
        );
        let nested = "[".repeat(200_000);
        let text = format!(r#"{{"x":{nested}"#);
        assert!(refused(&text).starts_with("not a DSSE envelope: "));
        assert!(refused(&" ".repeat(ENVELOPE_BYTES_MAX + 1)).contains("262145 bytes"));
    }
}
