//! Verbs for messages that have an address of their own.

use std::ffi::CStr;

use crate::files::{all_of, letters};
use crate::sockets::length;
use crate::sys::Arg::{In, Int, Out};
use crate::sys::call;
use crate::words::Words;
use crate::{Actor, Known};

/// Room for an address.
const ADDRESS_BYTES: usize = size_of::<libc::sockaddr_storage>();

impl Actor {
    /// Messages to and from addresses.
    pub(crate) fn datagram(&mut self, verb: &CStr, words: &mut Words) -> Known {
        match verb.to_bytes() {
            b"fastopen" => {
                let fd = words.number(self)?;
                let bytes = words.number(self)?;
                let address = self.address(words)?;
                let buffer = letters(bytes);
                let args = &mut [
                    Int(fd),
                    In(&buffer),
                    Int(bytes),
                    Int((libc::MSG_NOSIGNAL | libc::MSG_FASTOPEN).into()),
                    In(&address),
                    Int(length(&address)),
                ];
                all_of(bytes, call("sendto", libc::SYS_sendto, args)?)?;
            }
            b"recvfrom" => {
                let fd = words.number(self)?;
                let bytes = words.number(self)?;
                let mut buffer = letters(bytes);
                let mut address = [0; ADDRESS_BYTES];
                let mut size = (ADDRESS_BYTES as u32).to_ne_bytes();
                let args = &mut [
                    Int(fd),
                    Out(&mut buffer),
                    Int(bytes),
                    Int(0),
                    Out(&mut address),
                    Out(&mut size),
                ];
                all_of(bytes, call("recvfrom", libc::SYS_recvfrom, args)?)?;
            }
            b"sendmsg-to" => {
                let fd = words.number(self)?;
                let bytes = words.number(self)?;
                let mut messages = Messages::new(bytes, vec![self.address(words)?]);
                let args = &mut [Int(fd), Out(messages.headers()), Int(0)];
                all_of(bytes, call("sendmsg", libc::SYS_sendmsg, args)?)?;
            }
            b"recvmsg-from" => {
                let fd = words.number(self)?;
                let bytes = words.number(self)?;
                let mut messages = Messages::new(bytes, vec![vec![0; ADDRESS_BYTES]]);
                let args = &mut [Int(fd), Out(messages.headers()), Int(0)];
                all_of(bytes, call("recvmsg", libc::SYS_recvmsg, args)?)?;
            }
            b"report-errors" => {
                let args = &mut [
                    Int(words.number(self)?),
                    Int(libc::IPPROTO_IP.into()),
                    Int(libc::IP_RECVERR.into()),
                    In(&1_i32.to_ne_bytes()),
                    Int(4),
                ];
                call("setsockopt", libc::SYS_setsockopt, args)?;
            }
            _ => return self.datagrams(verb, words),
        }
        Ok(true)
    }

    /// Several at once.
    fn datagrams(&mut self, verb: &CStr, words: &mut Words) -> Known {
        match verb.to_bytes() {
            b"sendmmsg" => {
                let fd = words.number(self)?;
                let bytes = words.number(self)?;
                let mut addresses = Vec::new();
                let mut block = words.block()?;
                while !block.is_empty() {
                    addresses.push(self.address(&mut block)?);
                }
                let count = addresses.len() as i64;
                let mut messages = Messages::new(bytes, addresses);
                let args = &mut [Int(fd), Out(messages.headers()), Int(count), Int(0)];
                all_of(count, call("sendmmsg", libc::SYS_sendmmsg, args)?)?;
            }
            b"recvmmsg" => {
                let fd = words.number(self)?;
                let bytes = words.number(self)?;
                let count = words.number(self)?;
                let room = vec![0; ADDRESS_BYTES];
                let mut messages =
                    Messages::new(bytes, vec![room; usize::try_from(count).unwrap_or(0)]);
                let args = &mut [Int(fd), Out(messages.headers()), Int(count), Int(0), Int(0)];
                all_of(count, call("recvmmsg", libc::SYS_recvmmsg, args)?)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Messages of one size, each with an address: `struct mmsghdr` for each, of which the beginning is a
/// `struct user_msghdr`.
struct Messages {
    headers: Vec<u8>,
    _addresses: Vec<Vec<u8>>,
    _buffer: Vec<u8>,
    _vector: Box<[usize; 2]>,
}

impl Messages {
    fn new(bytes: i64, mut addresses: Vec<Vec<u8>>) -> Self {
        let mut buffer = letters(bytes);
        let vector = Box::new([buffer.as_mut_ptr() as usize, buffer.len()]);
        let headers = addresses
            .iter_mut()
            .flat_map(|address| {
                let name = address.as_mut_ptr() as usize;
                // Name, its length, vectors, their count, control, its length, flags; bytes moved.
                [name, address.len(), vector.as_ptr() as usize, 1, 0, 0, 0, 0]
            })
            .flat_map(usize::to_ne_bytes)
            .collect();
        Self {
            headers,
            _addresses: addresses,
            _buffer: buffer,
            _vector: vector,
        }
    }

    fn headers(&mut self) -> &mut [u8] {
        &mut self.headers
    }
}
