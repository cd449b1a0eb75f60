//! What the user of the verifier trusts. Nothing here ever comes from the evidence.

use std::path::Path;

use crate::evidence::files;
use crate::evidence::keys::{NotAKey, PublicKey};
use crate::evidence::note::{Algorithm, VerifierKey};
use crate::evidence::origin::HostId;
use crate::evidence::text::parse_hex;
use crate::evidence::tree::Hash;

/// Largest file of pins read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Pinned epoch roots, host keys, keys of witnesses, and of those who may issue grants.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    roots: Vec<Hash>,
    hosts: Vec<(HostId, [u8; 32])>,
    witnesses: Vec<VerifierKey>,
    issuers: Vec<PublicKey>,
}

/// Why something cannot be trusted as given.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Neither a pin nor a file of pins.
    #[error(
        "{0} is neither root:<64 hex digits>, nor a verifier key, nor ed25519:<64 hex digits>, nor a file holding one"
    )]
    Unknown(String),
    /// A root that is not written as one.
    #[error("{0} is not root: and 64 lowercase hex digits")]
    Root(String),
    /// A verifier key that is malformed or not a host's.
    #[error("{key} cannot be trusted: {reason}")]
    Key {
        /// The key as given.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that cannot be read.
    #[error("{path} cannot be read: {reason}")]
    File {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
}

impl Trust {
    /// Reads pins as given on the command line: `root:…`, verifier keys, keys of those who may issue
    /// grants, or files with one of them per line (empty lines and lines starting with `#` are
    /// skipped), or with the key of an issuer in PEM.
    ///
    /// # Errors
    ///
    /// [`TrustError`] for the first that is not one of these.
    pub fn parse(pins: &[String]) -> Result<Self, TrustError> {
        let mut trust = Self::default();
        for pin in pins {
            if !trust.add(pin)? {
                trust.add_file(pin)?;
            }
        }
        Ok(trust)
    }

    /// Also trusts this witness: a verifier key of type `0x04` (C2SP tlog-cosignature).
    ///
    /// # Errors
    ///
    /// [`TrustError::Key`]
    pub fn add_witness(&mut self, text: &str) -> Result<(), TrustError> {
        let key: VerifierKey = parse_key(text)?;
        if key.algorithm != Algorithm::Cosignature {
            return Err(refused(text, "it is not the key of a witness (type 04)"));
        }
        self.witnesses.push(key);
        Ok(())
    }

    /// Whether this epoch root is pinned.
    #[must_use]
    pub fn has_root(&self, root: &Hash) -> bool {
        self.roots.contains(root)
    }

    /// The pinned key of a host.
    #[must_use]
    pub fn host_key(&self, host: HostId) -> Option<[u8; 32]> {
        let pinned = self.hosts.iter().find(|(pinned, _)| *pinned == host);
        pinned.map(|(_, key)| *key)
    }

    /// Witnesses whose cosignatures count.
    #[must_use]
    pub fn witnesses(&self) -> &[VerifierKey] {
        &self.witnesses
    }

    /// Who may issue grants.
    #[must_use]
    pub fn issuers(&self) -> &[PublicKey] {
        &self.issuers
    }

    /// Takes in one pin; false when the text is not meant as one.
    fn add(&mut self, pin: &str) -> Result<bool, TrustError> {
        if let Some(root) = pin.strip_prefix("root:") {
            let root = parse_hex(root).ok_or_else(|| TrustError::Root(pin.to_owned()))?;
            self.roots.push(root);
            return Ok(true);
        }
        if pin.starts_with(PublicKey::PREFIX) {
            let issuer = pin.parse();
            let issuer = issuer.map_err(|error: NotAKey| refused(pin, &error.to_string()))?;
            self.issuers.push(issuer);
            return Ok(true);
        }
        if pin.bytes().filter(|byte| *byte == b'+').count() < 2 || Path::new(pin).exists() {
            return Ok(false);
        }
        let key = parse_key(pin)?;
        if key.algorithm == Algorithm::Cosignature {
            self.witnesses.push(key);
            return Ok(true);
        }
        let host = HostId::of(&key.key);
        let name = host.key_name();
        let rest = key.name.strip_prefix(&name);
        if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            return Err(refused(
                pin,
                &format!("a host with this key is named {name}"),
            ));
        }
        self.hosts.push((host, key.key));
        Ok(true)
    }

    fn add_file(&mut self, path: &str) -> Result<(), TrustError> {
        let failed = |reason: String| TrustError::File {
            path: path.to_owned(),
            reason,
        };
        if !Path::new(path).exists() {
            return Err(TrustError::Unknown(path.to_owned()));
        }
        let bytes = files::read_named(Path::new(path), FILE_BYTES_MAX)
            .map_err(|error| failed(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| failed("it is not text".to_owned()))?;
        if let Ok(issuer) = PublicKey::from_file(&text) {
            self.issuers.push(issuer);
            return Ok(());
        }
        let mut pins = 0;
        for line in text.lines().map(str::trim) {
            if !line.is_empty() && !line.starts_with('#') {
                if !self.add(line)? {
                    return Err(failed("it holds a line that is no pin".to_owned()));
                }
                pins += 1;
            }
        }
        if pins == 0 {
            return Err(failed("it holds no pin".to_owned()));
        }
        Ok(())
    }
}

fn parse_key(text: &str) -> Result<VerifierKey, TrustError> {
    text.parse()
        .map_err(|error| refused(text, &format!("{error}")))
}

fn refused(key: &str, reason: &str) -> TrustError {
    TrustError::Key {
        key: key.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_key() -> String {
        let key = [7; 32];
        VerifierKey::new(HostId::of(&key).key_name(), key).to_string()
    }

    #[test]
    fn roots_keys_and_files_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pins");
        let text = format!("# of build-7\n\n{}\nroot:{}\n", host_key(), "ab".repeat(32));
        std::fs::write(&file, text).unwrap();
        for pins in [
            vec![file.to_str().unwrap().to_owned()],
            vec![host_key(), format!("root:{}", "ab".repeat(32))],
        ] {
            let trust = Trust::parse(&pins).unwrap();
            assert!(trust.has_root(&[0xab; 32]));
            assert_eq!(trust.host_key(HostId::of(&[7; 32])), Some([7; 32]));
            assert_eq!(trust.host_key(HostId([0; 16])), None);
        }
    }

    #[test]
    fn the_key_of_an_issuer_is_read_in_every_form() {
        const KEY: &str =
            "ed25519:f5d4d70ed310d371f8083c26b4c515d831692e9a733fc95dfaf37a25a0fc121f";
        const PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
            MCowBQYDK2VwAyEA9dTXDtMQ03H4CDwmtMUV2DFpLppzP8ld+vN6JaD8Eh8=\n\
            -----END PUBLIC KEY-----\n";
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("issuer.pub");
        for text in [PEM, KEY, &format!("# of the boss\n{KEY}\n")] {
            std::fs::write(&path, text).unwrap();
            let trust = Trust::parse(&[path.to_str().unwrap().to_owned()]).unwrap();
            assert_eq!(trust.issuers(), [KEY.parse().unwrap()], "{text}");
        }
    }

    #[test]
    fn the_name_of_a_pinned_key_must_be_its_hosts() {
        let key = VerifierKey::new("lineage/somebody".to_owned(), [7; 32]).to_string();
        assert!(matches!(Trust::parse(&[key]), Err(TrustError::Key { .. })));
        let log = VerifierKey::new(
            format!("{}/{}", HostId::of(&[7; 32]).key_name(), "0".repeat(32)),
            [7; 32],
        );
        assert!(Trust::parse(&[log.to_string()]).is_ok());
    }

    #[test]
    fn anything_else_is_refused() {
        assert!(matches!(
            Trust::parse(&["root:12".into()]),
            Err(TrustError::Root(_))
        ));
        assert!(matches!(
            Trust::parse(&["nothing".into()]),
            Err(TrustError::Unknown(_))
        ));
        assert!(matches!(
            Trust::parse(&["a+b+c".into()]),
            Err(TrustError::Key { .. })
        ));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap().to_owned();
        assert!(matches!(
            Trust::parse(&[path]),
            Err(TrustError::File { .. })
        ));
    }
}
