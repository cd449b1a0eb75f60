//! Keys that sign grants: Ed25519, each in a file of its own.
//!
//! They belong to people and services, not to the host that records, and live elsewhere. The secret is
//! PKCS#8 in PEM (RFC 8410), which `openssl genpkey -algorithm ed25519` makes too.

use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::str::FromStr;

use ed25519_dalek::pkcs8::DecodePublicKey as _;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::super::files::Dir;
use super::super::note;
use super::super::text::{hex, parse_hex};
use super::error::KeyError;
use super::{random_bytes, store};
use zeroize::Zeroizing;

/// The public half: whose signatures count.
///
/// Its text is `ed25519:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

/// Why a text is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// It is not written as one.
    #[error("not a public key: ed25519:<64 hex digits>")]
    Form,
    /// Everybody can sign with it: of small order there are eight.
    #[error("a public key with which everybody can sign")]
    Weak,
}

impl PublicKey {
    /// What the text of a public key begins with.
    pub const PREFIX: &str = "ed25519:";

    /// Whether `signature` is this key's over `message`, strictly: no malleable encodings.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = signature.try_into().ok();
        signature.is_some_and(|signature| note::verify(&self.0, message, signature))
    }

    /// A key under which not everybody can sign.
    fn strong(key: &VerifyingKey) -> Result<Self, NotAKey> {
        if key.is_weak() {
            return Err(NotAKey::Weak);
        }
        // A point has one encoding (RFC 8032, section 5.1.3), and a key one text.
        if key.to_edwards().compress().to_bytes() != key.to_bytes() {
            return Err(NotAKey::Form);
        }
        Ok(Self(key.to_bytes()))
    }

    /// Reads what a file holds that a user named: the key's text, or SubjectPublicKeyInfo in PEM (RFC 8410).
    ///
    /// # Errors
    ///
    /// [`NotAKey`]
    pub fn from_file(text: &str) -> Result<Self, NotAKey> {
        let text = text.trim();
        match VerifyingKey::from_public_key_pem(text) {
            Ok(key) => Self::strong(&key),
            Err(_) => text.parse(),
        }
    }
}

impl FromStr for PublicKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let digits = text.strip_prefix(Self::PREFIX).ok_or(NotAKey::Form)?;
        let bytes = parse_hex(digits).ok_or(NotAKey::Form)?;
        Self::strong(&VerifyingKey::from_bytes(&bytes).map_err(|_| NotAKey::Form)?)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = NotAKey;

    fn try_from(text: String) -> Result<Self, NotAKey> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", Self::PREFIX, hex(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// The secret half.
pub struct IssuerKey(SigningKey);

impl IssuerKey {
    /// Makes a key and its file, readable by this user only.
    ///
    /// # Errors
    ///
    /// [`KeyError`], also when the file is there already.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        store::forbid_dumps()?;
        let (dir, name) = place(path)?;
        let secret = Zeroizing::new(random_bytes()?);
        let pem = store::encode_key(&secret, path)?;
        let mut file = dir.create(&name, 0o600)?;
        let written = file
            .write_all(pem.as_bytes())
            .and_then(|()| file.sync_all());
        if let Err(source) = written {
            dir.remove(&name)?;
            return Err(KeyError::Io {
                operation: "write",
                path: path.to_owned(),
                source,
            });
        }
        dir.sync()?;
        Ok(Self(SigningKey::from_bytes(&secret)))
    }

    /// Reads a key, which nobody else may be able to read.
    ///
    /// # Errors
    ///
    /// [`KeyError`]
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        store::forbid_dumps()?;
        // Where secrets are mounted, as in containers, the name is often a link.
        let path = path.canonicalize().map_err(|source| KeyError::Io {
            operation: "open",
            path: path.to_owned(),
            source,
        })?;
        let (dir, name) = place(&path)?;
        let pem = store::read_secret(&dir, &name)?;
        Ok(Self(store::decode_key(&pem, &path)?))
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// The signature over `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for IssuerKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "IssuerKey({})", self.public())
    }
}

/// The directory and the name in it.
fn place(path: &Path) -> Result<(Dir, String), KeyError> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| KeyError::Malformed {
        path: path.to_owned(),
        reason: "not the name of a file",
    })?;
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    let dir = Dir::open(parent.unwrap_or(Path::new(".")))?;
    Ok((dir, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_made_and_never_replaced() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("issuer.pem");
        let made = IssuerKey::create(&path).unwrap();
        assert!(IssuerKey::create(&path).is_err());
        let link = temp.path().join("link");
        symlink(&path, &link).unwrap();
        for name in [&path, &link] {
            assert_eq!(IssuerKey::open(name).unwrap().public(), made.public());
        }
        let signature = made.sign(b"message");
        assert!(made.public().verifies(b"message", &signature));
        assert!(!made.public().verifies(b"another", &signature));
        assert!(!made.public().verifies(b"message", &signature[..63]));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            IssuerKey::open(&path),
            Err(KeyError::Loose { .. })
        ));
    }

    /// The example of RFC 8410, section 10.3 (its public key is that of section 10.1).
    #[test]
    fn keys_of_other_tools_are_read() {
        const SECRET: &str = "-----BEGIN PRIVATE KEY-----\n\
            MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
            -----END PRIVATE KEY-----\n";
        const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
            MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
            -----END PUBLIC KEY-----\n";
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("key.pem");
        fs::write(&path, SECRET).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let public = PublicKey::from_file(PUBLIC).unwrap();
        assert_eq!(IssuerKey::open(&path).unwrap().public(), public);
        assert_eq!(PublicKey::from_file(&format!("{public}\n")), Ok(public));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let weak = format!("ed25519:01{}", "00".repeat(31));
        let upper = format!("ed25519:{}", "AB".repeat(32));
        assert_eq!(weak.parse::<PublicKey>(), Err(NotAKey::Weak));
        let large = format!("ed25519:f0{}7f", "ff".repeat(30));
        for text in ["", "ed25519:", "ed25519:00", &upper, &large, "root:00"] {
            assert_eq!(text.parse::<PublicKey>(), Err(NotAKey::Form), "{text}");
        }
    }
}
