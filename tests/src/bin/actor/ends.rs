//! Verbs that make two descriptors, and lie about which they are.
//!
//! The kernel writes the two numbers into memory of which the second half is missing (`userfaultfd(2)`): it
//! waits for another thread there, which first writes over what stands in the first half. So there is a lie
//! for certain with `socketpair`, which writes one number after the other; the rest is a race, which the
//! other thread goes on with until the call returns.

use std::{
    ffi::CStr,
    sync::atomic::{
        AtomicBool, AtomicU32,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use crate::sys::Arg::{Int, Out};
use crate::sys::call;
use crate::words::{Failure, Words};
use crate::{Actor, Known};

// Requests and their words: `include/uapi/linux/userfaultfd.h`.
const UFFDIO_API: i64 = 0xc018_aa3f;
const UFFDIO_REGISTER: i64 = 0xc020_aa00;
const UFFDIO_ZEROPAGE: i64 = 0xc020_aa04;
const UFFD_API: u64 = 0xaa;
const UFFDIO_REGISTER_MODE_MISSING: u64 = 1;
/// `sizeof(struct uffd_msg)`.
const MESSAGE: usize = 32;
/// At least as large as any page of the architectures.
const PAGE: usize = 1 << 16;

impl Actor {
    /// `pipe-over`, `socketpair-over`.
    pub(crate) fn written_over(&mut self, verb: &CStr, words: &mut Words) -> Known {
        let (name, number, before) = match verb.to_bytes() {
            b"pipe-over" => ("pipe2", libc::SYS_pipe2, None),
            b"socketpair-over" => {
                let asked = [libc::AF_UNIX, libc::SOCK_STREAM, 0].map(i64::from);
                ("socketpair", libc::SYS_socketpair, Some(asked))
            }
            _ => return Ok(false),
        };
        let instead = [half(words.number(self)?)?, half(words.number(self)?)?];
        let trap = Trap::set()?;
        let ends = trap.ends();
        let address = Int(ends.as_ptr().addr().cast_signed() as i64);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                trap.wait()?;
                ends[0].store(instead[0], Relaxed);
                trap.release()?;
                while !done.load(Acquire) {
                    ends[0].store(instead[0], Relaxed);
                    ends[1].store(instead[1], Relaxed);
                }
                Ok(())
            });
            let made = match before {
                None => call(name, number, &mut [address, Int(0)]),
                Some([family, kind, protocol]) => {
                    let args = &mut [Int(family), Int(kind), Int(protocol), address];
                    call(name, number, args)
                }
            };
            // A call that failed may not have come so far: the other thread is let go.
            ends[1].load(Relaxed);
            done.store(true, Release);
            made.and(other.join().expect("the other thread only makes calls"))
        })?;
        Ok(true)
    }
}

/// Two pages, of which the second is missing until it is released.
struct Trap {
    start: i64,
    faults: i64,
}

impl Trap {
    fn set() -> Result<Self, Failure> {
        let (protection, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        let pages = [0, 2 * PAGE as i64, protection.into(), flags.into(), -1, 0];
        let start = call("mmap", libc::SYS_mmap, &mut pages.map(Int))?;
        let close_on_exec = &mut [Int(libc::O_CLOEXEC.into())];
        let faults = call("userfaultfd", libc::SYS_userfaultfd, close_on_exec)?;
        let trap = Self { start, faults };
        trap.request(UFFDIO_API, &[UFFD_API, 0, 0])?;
        let mode = UFFDIO_REGISTER_MODE_MISSING;
        trap.request(UFFDIO_REGISTER, &[trap.second(), PAGE as u64, mode, 0])?;
        Ok(trap)
    }

    fn second(&self) -> u64 {
        self.start.cast_unsigned() + PAGE as u64
    }

    /// The last word of the first page, and the first of the second.
    fn ends(&self) -> &[AtomicU32; 2] {
        let place = self.second() as usize - size_of::<u32>();
        // SAFETY: both pages are mapped as long as the trap is there, the address is a multiple of four,
        // and nothing but atomics and the kernel touches them.
        unsafe { &*std::ptr::with_exposed_provenance(place) }
    }

    /// Waits until something has touched the second page.
    fn wait(&self) -> Result<(), Failure> {
        let message = &mut [0; MESSAGE];
        let args = &mut [Int(self.faults), Out(message), Int(MESSAGE as i64)];
        call("read", libc::SYS_read, args).map(drop)
    }

    /// Lets it go on.
    fn release(&self) -> Result<(), Failure> {
        self.request(UFFDIO_ZEROPAGE, &[self.second(), PAGE as u64, 0, 0])
    }

    /// An `ioctl` of the trap, whose answer is not needed.
    fn request(&self, number: i64, words: &[u64]) -> Result<(), Failure> {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let args = &mut [Int(self.faults), Int(number), Out(&mut bytes)];
        call("ioctl", libc::SYS_ioctl, args).map(drop)
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        // What fails here has been taken away by the script itself.
        _ = call("close", libc::SYS_close, &mut [Int(self.faults)]);
        let pages = &mut [Int(self.start), Int(2 * PAGE as i64)];
        _ = call("munmap", libc::SYS_munmap, pages);
    }
}

/// A descriptor, as the kernel writes it.
fn half(fd: i64) -> Result<u32, Failure> {
    u32::try_from(fd).map_err(|_| Failure::Unexpected("a descriptor is a small number"))
}
