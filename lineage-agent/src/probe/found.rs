//! What tracked processes have open and mapped, as the probes find it.

use std::{
    fs::File,
    io::{ErrorKind, Read},
};

use lineage_common::{
    frame::{FOUND_ALIGN, Header},
    limits::FRAME_BYTES_MAX,
};
use zerocopy::{FromBytes, IntoBytes};

use super::ProbeError;

/// Bytes read at once: more than the kernel writes before it hands over what it has, which are 8 pages
/// (`bpf_seq_read`, `kernel/bpf/bpf_iter.c`), and room for any frame.
const BUFFER_BYTES: usize = 2 * FRAME_BYTES_MAX;

/// What there is to find. Reading it is what makes the kernel look, and takes as much memory as one
/// reading, however much there is.
#[derive(Debug)]
pub struct Found {
    outputs: [File; 2],
}

impl Found {
    pub(super) fn new(outputs: [File; 2]) -> Self {
        Self { outputs }
    }

    /// Hands over frame by frame, all descriptors before all mappings; both process by process.
    ///
    /// # Errors
    ///
    /// [`ProbeError::Found`] when it cannot be read, and what `take` returns.
    pub fn each<E: From<ProbeError>>(
        self,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        // Of words, because frames are read where they are.
        let mut buffer = vec![0u64; BUFFER_BYTES / 8];
        for output in self.outputs {
            each(output, buffer.as_mut_bytes(), &mut take)?;
        }
        Ok(())
    }
}

fn each<E: From<ProbeError>>(
    mut output: impl Read,
    buffer: &mut [u8],
    take: &mut impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut filled = 0;
    loop {
        match output.read(&mut buffer[filled..]) {
            Ok(0) if filled == 0 => return Ok(()),
            Ok(0) => return Err(ProbeError::Object("what was found").into()),
            Ok(bytes) => filled += bytes,
            // The kernel has looked at a million objects and written nothing: it goes on from there.
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(source) => return Err(ProbeError::Found(source).into()),
        }
        let mut at = 0;
        while let Some(len) = len(&buffer[at..filled])? {
            take(&buffer[at..at + len])?;
            at += len.next_multiple_of(FOUND_ALIGN);
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
    }
}

/// Length of the first frame, when all of it is there.
fn len(bytes: &[u8]) -> Result<Option<usize>, ProbeError> {
    let Ok((len, _)) = u32::read_from_prefix(bytes) else {
        return Ok(None);
    };
    let len = len as usize;
    if !(size_of::<Header>()..=FRAME_BYTES_MAX).contains(&len) {
        return Err(ProbeError::Object("what was found"));
    }
    Ok((len.next_multiple_of(FOUND_ALIGN) <= bytes.len()).then_some(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time, with errors in between.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.1 += 1;
            if self.1.is_multiple_of(3) {
                return Err(ErrorKind::WouldBlock.into());
            }
            let bytes = self.0.len().min(buffer.len()).min(37);
            buffer[..bytes].copy_from_slice(&self.0[..bytes]);
            self.0 = &self.0[bytes..];
            Ok(bytes)
        }
    }

    /// The shortest frame.
    const HEAD: usize = size_of::<Header>();

    fn frames(lens: &[usize]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for len in lens {
            let begin = bytes.len();
            bytes.extend(u32::try_from(*len).unwrap().to_ne_bytes());
            bytes.resize(begin + len.next_multiple_of(FOUND_ALIGN), 0);
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Vec<usize>, ProbeError> {
        let mut buffer = vec![0u64; BUFFER_BYTES / 8];
        let mut lens = Vec::new();
        each(Slow(bytes, 0), buffer.as_mut_bytes(), &mut |frame| {
            assert_eq!(frame.as_ptr() as usize % FOUND_ALIGN, 0);
            lens.push(frame.len());
            Ok::<(), ProbeError>(())
        })?;
        Ok(lens)
    }

    #[test]
    fn frames_are_found_whole_wherever_the_reading_is_cut() {
        let lens = [HEAD, HEAD + 1, 4000, HEAD + 8, FRAME_BYTES_MAX, HEAD + 15];
        assert_eq!(read(&frames(&lens)).unwrap(), lens);
        assert!(read(&[]).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let cut = frames(&[100, 100]);
        for bytes in [
            &cut[..150],
            &frames(&[HEAD - 1]),
            &frames(&[FRAME_BYTES_MAX + 1]),
        ] {
            assert!(matches!(read(bytes), Err(ProbeError::Object(_))));
        }
    }
}
