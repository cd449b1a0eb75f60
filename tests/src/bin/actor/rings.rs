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

/// `IORING_OP_CONNECT`, `IORING_OP_OPENAT`
const CONNECT: u8 = 16;
const OPEN: u8 = 18;

/// What of a `struct io_uring_sqe` a step fills in.
#[derive(Default)]
struct Request<'a> {
    opcode: u8,
    fd: i32,
    /// The length of an address, where that is.
    offset: u64,
    memory: &'a [u8],
}

impl Actor {
    /// `submit OPCODE N FLAGS`, `ring-connect FD ADDRESS`, `ring-open PATH`
    pub(crate) fn ring(&mut self, verb: &CStr, words: &mut Words) -> Known {
        match verb.to_bytes() {
            b"submit" => {
                let request = Request {
                    opcode: u8::try_from(words.number(self)?).unwrap_or(u8::MAX),
                    ..Request::default()
                };
                let times = words.number(self)?.clamp(0, ENTRIES.into());
                let flags = words.number(self)?;
                submit(&request, times, flags)?;
            }
            b"ring-connect" => {
                let fd = i32::try_from(words.number(self)?).unwrap_or(-1);
                let address = self.address(words)?;
                let request = Request {
                    opcode: CONNECT,
                    fd,
                    offset: address.len() as u64,
                    memory: &address,
                };
                submit(&request, 1, 0)?;
            }
            b"ring-open" => {
                let request = Request {
                    opcode: OPEN,
                    fd: libc::AT_FDCWD,
                    offset: 0,
                    memory: words.next("a path")?.to_bytes_with_nul(),
                };
                submit(&request, 1, 0)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Makes a ring, submits a request so many times, and waits for each.
fn submit(what: &Request<'_>, times: i64, flags: i64) -> Result<(), Failure> {
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
            request.write(what.opcode);
            request.add(4).cast::<i32>().write(what.fd);
            request.add(8).cast::<u64>().write(what.offset);
            let memory = if what.memory.is_empty() {
                0
            } else {
                what.memory.as_ptr() as u64
            };
            request.add(16).cast::<u64>().write(memory);
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
    Ok(())
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
