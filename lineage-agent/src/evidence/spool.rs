//! The spool: records of an open segment as frames, with signed commits.
//!
//! A crash can leave the last frames torn. Each frame carries the first bytes of its payload's
//! hash, which for records is computed anyway, so a torn frame is known as one.

use std::io::{self, Read};
use std::ops::Range;

use super::record::{self, RECORD_BYTES_MAX, RecordError};
use super::schema::Record;
use super::tree::{Hash, Hashing as _, Records};

/// Largest payload of a frame.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// Bytes around a payload: length and type before it, check after it.
pub const FRAME_OVERHEAD: usize = 4 + 1 + CHECK_BYTES;

const CHECK_BYTES: usize = 4;
const SIGNATURE_BYTES: usize = 64;

const _: () = assert!(RECORD_BYTES_MAX <= PAYLOAD_BYTES_MAX);

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// The head of the manifest to be.
    Header,
    /// A record.
    Record,
    /// A signed commit.
    Commit,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Header),
            2 => Some(Self::Record),
            3 => Some(Self::Commit),
            _ => None,
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Header => 1,
            Self::Record => 2,
            Self::Commit => 3,
        }
    }
}

/// Appends the frame of a record, all but its check, and returns where the record is: hashing many at
/// a time is faster, and [`set_check`] ends the frame. On error `out` is as it was.
#[inline]
pub fn push_record(record: &Record<'_>, out: &mut Vec<u8>) -> Result<Range<usize>, RecordError> {
    let start = begin(FrameKind::Record, out);
    if let Err(error) = record::encode_into(record, out) {
        out.truncate(start);
        return Err(error);
    }
    set_len(start, out);
    let payload = start + 5..out.len();
    out.extend_from_slice(&[0; CHECK_BYTES]);
    Ok(payload)
}

/// Ends the frame whose payload ends at `payload_end` with the check from its hash.
#[inline]
pub fn set_check(out: &mut [u8], payload_end: usize, hash: &Hash) {
    out[payload_end..payload_end + CHECK_BYTES].copy_from_slice(&hash[..CHECK_BYTES]);
}

/// Appends the frame of a header.
pub fn push_header(head: &str, out: &mut Vec<u8>) {
    let start = begin(FrameKind::Header, out);
    out.extend_from_slice(head.as_bytes());
    end(start, out);
}

/// Appends the frame of a commit.
pub fn push_commit(signature: &[u8; 64], text: &str, out: &mut Vec<u8>) {
    let start = begin(FrameKind::Commit, out);
    out.extend_from_slice(signature);
    out.extend_from_slice(text.as_bytes());
    end(start, out);
}

#[inline]
fn begin(kind: FrameKind, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, kind.byte()]);
    start
}

fn end(start: usize, out: &mut Vec<u8>) {
    set_len(start, out);
    let hash = Records::leaf(&out[start + 5..]);
    out.extend_from_slice(&hash[..CHECK_BYTES]);
}

#[inline]
fn set_len(start: usize, out: &mut [u8]) {
    let len = u32::try_from(out.len() - start - 5).expect("payloads are below 1 MiB");
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
}

/// Takes the payload of a commit apart: signature and signed text.
#[must_use]
pub fn split_commit(payload: &[u8]) -> Option<(&[u8; SIGNATURE_BYTES], &[u8])> {
    payload.split_first_chunk()
}

/// One step of reading.
#[derive(Debug)]
pub enum Frame<'a> {
    /// A whole frame.
    Whole {
        /// What it holds.
        kind: FrameKind,
        /// Its bytes.
        payload: &'a [u8],
        /// Hash of the payload; zeros when the reader does not check.
        hash: Hash,
    },
    /// The end, right after a frame.
    End,
    /// Bytes that are not a whole frame.
    Torn {
        /// Whether nothing follows that this frame cannot be the beginning of, as when writing ended there.
        at_end: bool,
    },
}

/// Reads frames in order.
#[derive(Debug)]
pub struct FrameReader<R> {
    source: R,
    buffer: Vec<u8>,
    /// What of the buffer is unread.
    from: usize,
    to: usize,
    /// Offset in the spool of the next frame.
    offset: u64,
    check: bool,
}

impl<R: Read> FrameReader<R> {
    /// Reads from `source`; every payload is hashed and compared.
    pub fn new(source: R) -> Self {
        Self {
            check: true,
            ..Self::unchecked(source)
        }
    }

    /// Reads from `source`, for a caller that hashes the payloads itself, many at a time.
    pub fn unchecked(source: R) -> Self {
        Self {
            source,
            buffer: vec![0; 256 * 1024],
            from: 0,
            to: 0,
            offset: 0,
            check: false,
        }
    }

    /// Offset of the frame [`FrameReader::next_frame`] reads next: how many bytes were whole frames.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next frame.
    ///
    /// # Errors
    ///
    /// What the source returns.
    pub fn next_frame(&mut self) -> io::Result<Frame<'_>> {
        self.fill(5)?;
        let unread = &self.buffer[self.from..self.to];
        if unread.is_empty() {
            return Ok(Frame::End);
        }
        let Some((head, _)) = unread.split_first_chunk::<5>() else {
            return Ok(Frame::Torn { at_end: true });
        };
        let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let kind = FrameKind::from_byte(head[4]);
        let Some(kind) = kind.filter(|_| len <= PAYLOAD_BYTES_MAX) else {
            return self.torn();
        };
        let frame_len = len + FRAME_OVERHEAD;
        self.fill(frame_len)?;
        if self.to - self.from < frame_len {
            return Ok(Frame::Torn { at_end: true });
        }
        let mut hash = [0; 32];
        if self.check {
            let frame = &self.buffer[self.from..self.from + frame_len];
            hash = Records::leaf(&frame[5..5 + len]);
            if hash[..CHECK_BYTES] != frame[5 + len..] {
                return self.torn();
            }
        }
        let payload = &self.buffer[self.from + 5..self.from + 5 + len];
        self.from += frame_len;
        self.offset += frame_len as u64;
        Ok(Frame::Whole {
            kind,
            payload,
            hash,
        })
    }

    /// Bytes that are no frame: at the end, when only zeros follow, which a file system can leave where a write did
    /// not become durable.
    fn torn(&mut self) -> io::Result<Frame<'static>> {
        self.fill(PAYLOAD_BYTES_MAX + FRAME_OVERHEAD)?;
        let unread = &self.buffer[self.from..self.to];
        let written = unread.iter().rposition(|byte| *byte != 0);
        Ok(Frame::Torn {
            at_end: written.is_none(),
        })
    }

    /// Everything not read as a frame yet, at most `bytes_max`.
    ///
    /// # Errors
    ///
    /// What the source returns.
    pub fn rest(mut self, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut rest = self.buffer[self.from..self.to].to_vec();
        (&mut self.source).take(bytes_max).read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// Has at least `bytes` unread bytes in the buffer, unless the source ends before.
    fn fill(&mut self, bytes: usize) -> io::Result<()> {
        if self.to - self.from >= bytes {
            return Ok(());
        }
        self.buffer.copy_within(self.from..self.to, 0);
        self.to -= self.from;
        self.from = 0;
        if self.buffer.len() < bytes {
            self.buffer.resize(bytes, 0);
        }
        while self.to < bytes {
            match self.source.read(&mut self.buffer[self.to..]) {
                Ok(0) => return Ok(()),
                Ok(read) => self.to += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
