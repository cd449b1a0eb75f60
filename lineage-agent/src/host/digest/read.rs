//! Reading a file to its digest.

use std::os::fd::OwnedFd;

use rustix::fs::{Advice, fadvise};
use rustix::io::{Errno, read};

use super::{FILE_BYTES_MAX, Found, Reason, Wanted, open};
use crate::evidence::digest::Hasher;

/// Bytes read at once.
pub(super) const BUFFER_BYTES: usize = 256 * 1024;

/// Who watches the reading.
pub(super) trait Watch {
    /// So many bytes are read by now; false when no more shall be.
    fn go_on(&self, bytes: u64) -> bool;
}

/// The digest of the file, if it is there and was the same all the time.
pub(super) fn digest(
    wanted: &Wanted,
    buffer: &mut [u8],
    watch: &impl Watch,
) -> Result<Found, Reason> {
    let size = wanted.identity.version.size;
    if size > FILE_BYTES_MAX {
        return Err(Reason::TooLarge);
    }
    if !open::is_named(wanted) {
        return Err(Reason::Unwanted);
    }
    let opened = open::find(wanted)?;
    // Advice: what is read once need not push out what the workload uses.
    let _ = fadvise(&opened.file, 0, None, Advice::Sequential);
    let _ = fadvise(&opened.file, 0, None, Advice::NoReuse);
    let mut hasher = Hasher::default();
    let bytes = content(&opened.file, size, buffer, &mut hasher, watch)?;
    open::check(&opened.file, &wanted.identity)?;
    if bytes != size {
        return Err(Reason::Changed(vec!["size"]));
    }
    Ok(Found {
        digest: hasher.finish(),
        other_device: opened.other_device,
    })
}

/// Reads to the end, or to the first byte more than there should be.
fn content(
    file: &OwnedFd,
    size: i64,
    buffer: &mut [u8],
    hasher: &mut Hasher,
    watch: &impl Watch,
) -> Result<i64, Reason> {
    let mut bytes: i64 = 0;
    while bytes <= size {
        if !watch.go_on(bytes.unsigned_abs()) {
            return Err(Reason::NotWaited);
        }
        let read = match read(file, &mut *buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(Reason::Unreadable(error.raw_os_error())),
        };
        hasher.update(&buffer[..read]);
        bytes += i64::try_from(read).unwrap_or(i64::MAX - bytes);
    }
    Ok(bytes)
}
