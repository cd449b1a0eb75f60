//! Verbs that hand out access: to processes, and to what is open.

use std::ffi::{CStr, c_long};

use crate::sys::Arg::{In, Int, Out};
use crate::sys::call;
use crate::words::{Failure, Words, number};
use crate::{Actor, Known};

/// Room for the control messages of one message: more than 253 descriptors need.
const CONTROL_BYTES: usize = 2048;

/// `SOL_SOCKET` and `SCM_RIGHTS` (`include/linux/socket.h`), as in `struct cmsghdr`.
const RIGHTS: [u32; 2] = [1, 1];
const HEADER_BYTES: usize = 16;

impl Actor {
    /// Everything that hands out access.
    pub(crate) fn rights(&mut self, verb: &CStr, words: &mut Words) -> Known {
        match verb.to_bytes() {
            b"pidfd" => {
                let name = words.name()?;
                let args = &mut [Int(words.number(self)?), Int(0)];
                let fd = call("pidfd_open", libc::SYS_pidfd_open, args)?;
                self.store(name, fd);
            }
            b"pass" | b"pass-each" => {
                let socket = words.number(self)?;
                let fds = self.numbers(words)?;
                let each = if verb.to_bytes() == b"pass" {
                    fds.len()
                } else {
                    1
                };
                let mut messages: Vec<_> = fds.chunks(each).map(rights).collect();
                if each == 1 && verb.to_bytes() == b"pass-each" {
                    several("sendmmsg", libc::SYS_sendmmsg, socket, &mut messages)?;
                } else {
                    one("sendmsg", libc::SYS_sendmsg, socket, &mut messages[0])?;
                }
            }
            b"receive" | b"receive-each" => {
                let socket = words.number(self)?;
                let names = words.arguments();
                let mut messages = vec![vec![0; CONTROL_BYTES]];
                if verb.to_bytes() == b"receive-each" {
                    messages.resize(names.len(), vec![0; CONTROL_BYTES]);
                    several("recvmmsg", libc::SYS_recvmmsg, socket, &mut messages)?;
                } else {
                    one("recvmsg", libc::SYS_recvmsg, socket, &mut messages[0])?;
                }
                let fds: Vec<i32> = messages
                    .iter()
                    .flat_map(|message| received(message))
                    .collect();
                for (name, fd) in names.iter().zip(fds) {
                    self.store(name, fd.into());
                }
            }
            b"control" => {
                let socket = words.number(self)?;
                let mut control: Vec<u8> = (self.numbers(words)?.iter())
                    .flat_map(|word| word.to_ne_bytes())
                    .collect();
                one("sendmsg", libc::SYS_sendmsg, socket, &mut control)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Numbers up to `;`.
    fn numbers(&self, words: &mut Words) -> Result<Vec<i64>, Failure> {
        let known = |word: &&CStr| {
            number(word.to_bytes(), self).ok_or_else(|| Failure::script("not a number", word))
        };
        words.arguments().iter().map(known).collect()
    }
}

/// One control message with these descriptors.
fn rights(fds: &[i64]) -> Vec<u8> {
    let mut control = (HEADER_BYTES + fds.len() * 4).to_ne_bytes().to_vec();
    control.extend(RIGHTS.iter().flat_map(|word| word.to_ne_bytes()));
    control.extend(fds.iter().flat_map(|fd| (*fd as i32).to_ne_bytes()));
    control
}

/// The descriptors in the first control message, if they are some.
fn received(control: &[u8]) -> Vec<i32> {
    let Some((header, rest)) = control.split_at_checked(HEADER_BYTES) else {
        return Vec::new();
    };
    let (len, kind) = header.split_at(8);
    let len = usize::from_ne_bytes(len.try_into().unwrap_or_default());
    if kind != RIGHTS.map(u32::to_ne_bytes).concat() {
        return Vec::new();
    }
    (rest
        .chunks_exact(4)
        .take(len.saturating_sub(HEADER_BYTES) / 4))
    .map(|fd| i32::from_ne_bytes(fd.try_into().unwrap_or_default()))
    .collect()
}

/// `struct user_msghdr`: name, its length, vectors, their number, control, its length, flags.
fn header(vector: &[usize; 2], control: &mut [u8]) -> [usize; 7] {
    let control_at = if control.is_empty() {
        0
    } else {
        control.as_mut_ptr() as usize
    };
    [
        0,
        0,
        vector.as_ptr() as usize,
        1,
        control_at,
        control.len(),
        0,
    ]
}

/// One message of one byte with this control data.
fn one(name: &'static str, number: c_long, fd: i64, control: &mut [u8]) -> Result<i64, Failure> {
    let byte = [0u8; 1];
    let vector = [byte.as_ptr() as usize, 1];
    let mut words: Vec<u8> = (header(&vector, control).iter())
        .flat_map(|word| word.to_ne_bytes())
        .collect();
    call(name, number, &mut [Int(fd), Out(&mut words), Int(0)])
}

/// Several such messages in one call.
fn several(
    name: &'static str,
    number: c_long,
    fd: i64,
    controls: &mut [Vec<u8>],
) -> Result<i64, Failure> {
    let byte = [0u8; 1];
    let vector = [byte.as_ptr() as usize, 1];
    // struct mmsghdr: the header, then the bytes moved.
    let words: Vec<u8> = (controls.iter_mut())
        .flat_map(|control| header(&vector, control).into_iter().chain([0]))
        .flat_map(usize::to_ne_bytes)
        .collect();
    let count = Int(i64::try_from(controls.len()).unwrap_or(0));
    call(
        name,
        number,
        &mut [Int(fd), In(&words), count, Int(0), Int(0)],
    )
}
