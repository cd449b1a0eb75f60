//! Requests through an `io_uring`, without a library between.

use std::ffi::CStr;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sys::Arg::{Int, Out};
use crate::sys::call;
use crate::words::{Failure, Words};
use crate::{Actor, Known};

/// Entries of a ring: more than a step submits.
const ENTRIES: u32 = 16;
/// Size of `struct io_uring_sqe`.
const ENTRY_BYTES: usize = 64;
/// Size of `struct io_uring_params`, and where it has `flags`, `sq_off.tail` and `sq_off.array`
/// (`include/uapi/linux/io_uring.h`).
const PARAMETER_BYTES: usize = 120;
const FLAGS: usize = 8;
const TAIL: usize = 44;
const ARRAY: usize = 64;
/// `IORING_OFF_SQES`
const REQUESTS: i64 = 0x1000_0000;
/// `IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAKEUP`
const WAIT_AND_WAKE: i64 = 1 | 2;

impl Actor {
    /// `submit OPCODE N FLAGS`
    pub(crate) fn ring(&mut self, verb: &CStr, words: &mut Words) -> Known {
        if verb.to_bytes() != b"submit" {
            return Ok(false);
        }
        let opcode = u8::try_from(words.number(self)?).unwrap_or(u8::MAX);
        let times = words.number(self)?.clamp(0, ENTRIES.into());
        let flags = words.number(self)?;
        let mut parameters = [0u8; PARAMETER_BYTES];
        parameters[FLAGS] = u8::try_from(flags).unwrap_or(0);
        let args = &mut [Int(ENTRIES.into()), Out(&mut parameters)];
        let ring = call("io_uring_setup", libc::SYS_io_uring_setup, args)?;
        let place = |at: usize| {
            let bytes = parameters[at..at + 4].try_into();
            u32::from_ne_bytes(bytes.expect("four bytes")) as usize
        };
        let (tail, array) = (place(TAIL), place(ARRAY));
        let queue = map(ring, 0, array + 4 * ENTRIES as usize)?;
        let requests = map(ring, REQUESTS, ENTRY_BYTES * ENTRIES as usize)?;
        for number in 0..times {
            let index = u32::try_from(number).unwrap_or(0);
            // SAFETY: both mappings stay, are this large, and the kernel has told where what is; the
            // request is this thread's until the tail is moved.
            unsafe {
                let request = requests.add(ENTRY_BYTES * index as usize);
                request.write_bytes(0, ENTRY_BYTES);
                request.write(opcode);
                queue
                    .add(array)
                    .cast::<u32>()
                    .add(index as usize)
                    .write(index);
                let tail = &*queue.add(tail).cast::<AtomicU32>();
                tail.store(index + 1, Ordering::Release);
            }
            let args = &mut [
                Int(ring),
                Int(1),
                Int(number + 1),
                Int(WAIT_AND_WAKE),
                Int(0),
                Int(0),
            ];
            call("io_uring_enter", libc::SYS_io_uring_enter, args)?;
        }
        Ok(true)
    }
}

/// Maps a part of a ring.
fn map(ring: i64, offset: i64, bytes: usize) -> Result<*mut u8, Failure> {
    let args = &mut [
        Int(0),
        Int(i64::try_from(bytes).unwrap_or(i64::MAX)),
        Int((libc::PROT_READ | libc::PROT_WRITE).into()),
        Int((libc::MAP_SHARED | libc::MAP_POPULATE).into()),
        Int(ring),
        Int(offset),
    ];
    Ok(call("mmap", libc::SYS_mmap, args)? as *mut u8)
}
