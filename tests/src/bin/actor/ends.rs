//! Verbs that make two descriptors, and lie about which they are.

use std::{
    ffi::CStr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use crate::sys::Arg::Int;
use crate::sys::call;
use crate::words::{Failure, Words};
use crate::{Actor, Known};

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
        let [first, second] = [half(words.number(self)?)?, half(words.number(self)?)?];
        let instead = u64::from(first) | u64::from(second) << 32;
        let place = AtomicU64::new(instead);
        let address = Int((&raw const place).addr().cast_signed() as i64);
        let (busy, done) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    place.store(instead, Relaxed);
                    busy.store(true, Relaxed);
                }
            });
            while !busy.load(Relaxed) {
                std::hint::spin_loop();
            }
            let made = match before {
                None => call(name, number, &mut [address, Int(0)]),
                Some([family, kind, protocol]) => {
                    let args = &mut [Int(family), Int(kind), Int(protocol), address];
                    call(name, number, args)
                }
            };
            done.store(true, Relaxed);
            made
        })?;
        Ok(true)
    }
}

/// A descriptor, as the kernel writes it.
fn half(fd: i64) -> Result<u32, Failure> {
    u32::try_from(fd).map_err(|_| Failure::Unexpected("a descriptor is a small number"))
}
