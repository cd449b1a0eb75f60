//! Epochs: the statements that bind keys to windows of time, and the enrolment that promises them.

use super::origin::HostId;
use super::text::{Lines, TextError, hex, parse_hex};
use super::tree::{Hash, Hashing, Log, inclusion_root};

/// Most epochs one enrolment may have: 119 years of hours.
pub const EPOCHS_MAX: u32 = 1 << 20;

/// Longest proof: a tree of [`EPOCHS_MAX`] leaves is 20 levels high.
const PROOF_MAX: usize = 20;

const EPOCH: &str = "lineage v1 epoch";
const ENROLMENT: &str = "lineage v1 enrolment";

/// One epoch's key and window; a leaf of the epoch root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    /// The host's public key.
    pub host_key: [u8; 32],
    /// Number of the epoch, from 0.
    pub epoch: u32,
    /// First second, since 1970 UTC.
    pub start: u64,
    /// First second after.
    pub end: u64,
    /// The epoch's public key.
    pub key: [u8; 32],
}

impl Statement {
    /// The statement's lines.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{EPOCH}\nhost-key {}\nepoch {}\nstart {}\nend {}\nkey {}\n",
            hex(&self.host_key),
            self.epoch,
            self.start,
            self.end,
            hex(&self.key)
        )
    }

    /// Its hash as a leaf of the epoch root.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        Log::leaf(self.text().as_bytes())
    }

    fn read(lines: &mut Lines<'_>) -> Result<Self, TextError> {
        let statement = Self {
            host_key: lines.digest("host-key")?,
            epoch: lines.decimal32("epoch")?,
            start: lines.decimal("start")?,
            end: lines.decimal("end")?,
            key: lines.digest("key")?,
        };
        // Nanoseconds of both fit 64 bits.
        if statement.start >= statement.end || statement.end > i64::MAX as u64 / 1_000_000_000 {
            return Err(lines.error("not a window of time"));
        }
        Ok(statement)
    }
}

/// The file `epochs/<epoch>`: a statement and its path to the epoch root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochFile {
    /// The statement.
    pub statement: Statement,
    /// Epochs in the enrolment.
    pub count: u32,
    /// RFC 6962 inclusion proof.
    pub proof: Vec<Hash>,
}

impl EpochFile {
    /// The file's bytes.
    #[must_use]
    pub fn text(&self) -> String {
        let proof: String = self
            .proof
            .iter()
            .map(|hash| format!("proof {}\n", hex(hash)))
            .collect();
        format!("{}count {}\n{proof}", self.statement.text(), self.count)
    }

    /// Reads the file.
    ///
    /// # Errors
    ///
    /// [`TextError`]
    pub fn parse(bytes: &[u8]) -> Result<Self, TextError> {
        let mut lines = Lines::new(bytes, EPOCH)?;
        let statement = Statement::read(&mut lines)?;
        let count = lines.decimal32("count")?;
        if count > EPOCHS_MAX {
            return Err(lines.error("too many epochs"));
        }
        let mut proof = Vec::new();
        while let Some(value) = lines.optional("proof")? {
            let hash = parse_hex(value).ok_or_else(|| lines.error("not 64 hex digits"))?;
            if proof.len() == PROOF_MAX {
                return Err(lines.error("proof too long"));
            }
            proof.push(hash);
        }
        lines.end()?;
        Ok(Self {
            statement,
            count,
            proof,
        })
    }

    /// The epoch root the proof leads to, if it can be a proof at all.
    #[must_use]
    pub fn root(&self) -> Option<Hash> {
        let (epoch, count) = (self.statement.epoch.into(), self.count.into());
        inclusion_root::<Log>(self.statement.leaf(), epoch, count, &self.proof)
    }
}

/// What a host key promises about its epochs: the text of `epochs/enrolment`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enrolment {
    /// The host.
    pub host: HostId,
    /// The epoch root.
    pub root: Hash,
    /// First second of epoch 0.
    pub start: u64,
    /// Seconds an epoch lasts.
    pub seconds: u64,
    /// Number of epochs.
    pub count: u32,
}

impl Enrolment {
    /// The note's text.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{ENROLMENT}\nhost {}\nroot {}\nstart {}\nseconds {}\ncount {}\n",
            self.host,
            hex(&self.root),
            self.start,
            self.seconds,
            self.count
        )
    }

    /// Reads the note's text.
    ///
    /// # Errors
    ///
    /// [`TextError`]
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let mut lines = Lines::new(text.as_bytes(), ENROLMENT)?;
        let host = lines.value("host")?;
        let enrolment = Self {
            host: host.parse().map_err(|_| lines.error("not a host id"))?,
            root: lines.digest("root")?,
            start: lines.decimal("start")?,
            seconds: lines.decimal("seconds")?,
            count: lines.decimal32("count")?,
        };
        let end = enrolment
            .seconds
            .checked_mul(enrolment.count.into())
            .and_then(|length| length.checked_add(enrolment.start));
        if enrolment.count > EPOCHS_MAX
            || enrolment.count == 0
            || enrolment.seconds == 0
            || end.is_none_or(|end| end > i64::MAX as u64 / 1_000_000_000)
        {
            return Err(lines.error("not a number of epochs"));
        }
        lines.end()?;
        Ok(enrolment)
    }

    /// First second of an epoch, and first second after it.
    #[must_use]
    pub fn window(&self, epoch: u32) -> (u64, u64) {
        let start = self.start + self.seconds * u64::from(epoch);
        (start, start + self.seconds)
    }

    /// The epoch a moment falls into: none before the first or after the last.
    #[must_use]
    pub fn epoch_at(&self, seconds: u64) -> Option<u32> {
        let epoch = seconds.checked_sub(self.start)? / self.seconds;
        u32::try_from(epoch)
            .ok()
            .filter(|epoch| *epoch < self.count)
    }
}
