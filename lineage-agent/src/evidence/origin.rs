//! Names: a host by its key, a log by host and number.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::text::{hex, parse_hex};

/// A host: the first 16 bytes of SHA-256 of its public key, so nobody else can claim it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub [u8; 16]);

impl HostId {
    /// The host that has this key.
    #[must_use]
    pub fn of(public_key: &[u8; 32]) -> Self {
        let digest: [u8; 32] = Sha256::digest(public_key).into();
        let (id, _) = digest.split_at(16);
        Self(id.try_into().expect("half of 32 bytes are 16"))
    }

    /// Name under which the host's key signs its enrolment.
    #[must_use]
    pub fn key_name(self) -> String {
        format!("lineage/{self}")
    }

    /// Name of the host's directory.
    #[must_use]
    pub fn directory(self) -> String {
        format!("host={self}")
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&hex(&self.0))
    }
}

impl FromStr for HostId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        parse_hex(text).map(Self).ok_or(NameError)
    }
}

/// A log: what one evidence directory holds of one host. Written as its origin line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The host.
    pub host: HostId,
    /// 16 random bytes.
    pub log: [u8; 16],
}

impl Origin {
    /// Name under which the key of an epoch signs this log's checkpoints.
    #[must_use]
    pub fn epoch_key_name(&self, epoch: u32) -> String {
        format!("{self}/epoch/{epoch}")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "lineage/{}/{}", self.host, hex(&self.log))
    }
}

impl FromStr for Origin {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (host, log) = text
            .strip_prefix("lineage/")
            .and_then(|rest| rest.split_once('/'))
            .ok_or(NameError)?;
        Ok(Self {
            host: host.parse()?,
            log: parse_hex(log).ok_or(NameError)?,
        })
    }
}

/// A host id or an origin is not written as the format says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a host or a log")]
pub struct NameError;
