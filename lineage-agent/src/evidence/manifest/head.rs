//! The head of a manifest, which is fixed when the segment is opened.

use super::super::origin::Origin;
use super::super::text::{Lines, TextError, hex};
use super::super::tree::Hash;
use super::TITLE;

/// The part that is fixed when a segment is opened; the spool's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The log.
    pub origin: Origin,
    /// Number of the segment, from 0.
    pub segment: u64,
    /// BLAKE3 of the manifest before; zeros for the first, and in spools.
    pub previous: Hash,
    /// Epoch whose key signs it.
    pub epoch: u32,
    /// Run of a recorder on this log, from 0.
    pub session: u64,
    /// The host's name, escaped, without spaces.
    pub hostname: String,
    /// The kernel's boot id.
    pub boot: String,
    /// BLAKE3 of the recorder's executable.
    pub agent: Hash,
    /// BLAKE3 of the probes' object file.
    pub probes: Hash,
    /// BLAKE3 of the field registry's text.
    pub registry: Hash,
    /// When it was opened, nanoseconds UTC.
    pub opened: i64,
    /// UTC minus `CLOCK_BOOTTIME`, nanoseconds: how the records' times were made.
    pub offset: i64,
    /// `seq` of the first record, or of the next to come.
    pub first: u64,
}

impl Head {
    /// The head's lines.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{TITLE}\norigin {}\nsegment {}\nprevious {}\nepoch {}\nsession {}\nhostname {}\nboot {}\n\
             agent {}\nprobes {}\nregistry {}\nopened {}\noffset {}\nfirst {}\n",
            self.origin,
            self.segment,
            hex(&self.previous),
            self.epoch,
            self.session,
            self.hostname,
            self.boot,
            hex(&self.agent),
            hex(&self.probes),
            hex(&self.registry),
            self.opened,
            self.offset,
            self.first
        )
    }

    /// Reads a spool's header: a head and nothing else.
    ///
    /// # Errors
    ///
    /// [`TextError`] when it is anything else.
    pub fn parse(bytes: &[u8]) -> Result<Self, TextError> {
        let mut lines = Lines::new(bytes, TITLE)?;
        let head = Self::read(&mut lines)?;
        lines.end()?;
        Ok(head)
    }

    pub(super) fn read(lines: &mut Lines<'_>) -> Result<Self, TextError> {
        let origin = lines.value("origin")?;
        Ok(Self {
            origin: origin.parse().map_err(|_| lines.error("not an origin"))?,
            segment: lines.decimal("segment")?,
            previous: lines.digest("previous")?,
            epoch: lines.decimal32("epoch")?,
            session: lines.decimal("session")?,
            hostname: word(lines, "hostname")?,
            boot: word(lines, "boot")?,
            agent: lines.digest("agent")?,
            probes: lines.digest("probes")?,
            registry: lines.digest("registry")?,
            opened: time(lines, "opened")?,
            offset: lines.signed("offset")?,
            first: lines.decimal("first")?,
        })
    }
}

/// A value without spaces.
fn word(lines: &mut Lines<'_>, key: &str) -> Result<String, TextError> {
    let value = lines.value(key)?;
    if value.contains(' ') {
        return Err(lines.error("holds a space"));
    }
    Ok(value.to_owned())
}

pub(super) fn time(lines: &mut Lines<'_>, key: &str) -> Result<i64, TextError> {
    let value = lines.decimal(key)?;
    Ok(i64::try_from(value).expect("decimals are below 2⁶³"))
}
