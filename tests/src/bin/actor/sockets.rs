//! Verbs for sockets.

use std::ffi::CStr;
use std::net::SocketAddr;

use crate::files::{all_of, letters, vectors};
use crate::sys::Arg::{In, Int, Out};
use crate::sys::call;
use crate::words::{Failure, Words, number};
use crate::{Actor, Known};

impl Actor {
    /// Everything about sockets.
    pub(crate) fn socket(&mut self, verb: &CStr, words: &mut Words) -> Known {
        match verb.to_bytes() {
            b"socket" => {
                let name = words.name()?;
                let args = &mut [Int(family(words)?), Int(socket_type(words)?), Int(0)];
                let fd = call("socket", libc::SYS_socket, args)?;
                self.store(name, fd);
            }
            b"socketpair" => {
                let names = [words.name()?, words.name()?];
                let mut pair = [0; 8];
                let kind = socket_type(words)?;
                let args = &mut [Int(libc::AF_UNIX.into()), Int(kind), Int(0), Out(&mut pair)];
                call("socketpair", libc::SYS_socketpair, args)?;
                self.store_pair(names, pair);
            }
            b"bind" => {
                let fd = words.number(self)?;
                let address = self.address(words)?;
                call("bind", libc::SYS_bind, &mut with_address(fd, &address))?;
            }
            b"connect" => {
                let fd = words.number(self)?;
                let address = self.address(words)?;
                call(
                    "connect",
                    libc::SYS_connect,
                    &mut with_address(fd, &address),
                )?;
            }
            b"listen" => {
                let fd = words.number(self)?;
                call("listen", libc::SYS_listen, &mut [Int(fd), Int(128)])?;
            }
            b"accept" => {
                let name = words.name()?;
                let fd = words.number(self)?;
                let args = &mut [Int(fd), Int(0), Int(0), Int(0)];
                let new = call("accept4", libc::SYS_accept4, args)?;
                self.store(name, new);
            }
            b"nonblock" => {
                let fd = words.number(self)?;
                let args = &mut [
                    Int(fd),
                    Int(libc::F_SETFL.into()),
                    Int(libc::O_NONBLOCK.into()),
                ];
                call("fcntl", libc::SYS_fcntl, args)?;
            }
            _ => return self.message(verb, words),
        }
        Ok(true)
    }

    /// Sending and receiving.
    fn message(&mut self, verb: &CStr, words: &mut Words) -> Known {
        match verb.to_bytes() {
            b"send" | b"sendto" => {
                let fd = words.number(self)?;
                let bytes = words.number(self)?;
                let address = match verb.to_bytes() {
                    b"sendto" => self.address(words)?,
                    _ => Vec::new(),
                };
                let buffer = letters(bytes);
                let args = &mut [
                    Int(fd),
                    In(&buffer),
                    Int(bytes),
                    Int(libc::MSG_NOSIGNAL.into()),
                    if address.is_empty() {
                        Int(0)
                    } else {
                        In(&address)
                    },
                    Int(length(&address)),
                ];
                all_of(bytes, call("sendto", libc::SYS_sendto, args)?)?;
            }
            b"recv" => {
                let fd = words.number(self)?;
                let bytes = words.number(self)?;
                let mut buffer = letters(bytes);
                let flags = Int(libc::MSG_WAITALL.into());
                let args = &mut [Int(fd), Out(&mut buffer), Int(bytes), flags, Int(0), Int(0)];
                all_of(bytes, call("recvfrom", libc::SYS_recvfrom, args)?)?;
            }
            b"sendmsg" => self.vector_message(words, "sendmsg", libc::SYS_sendmsg)?,
            b"recvmsg" => self.vector_message(words, "recvmsg", libc::SYS_recvmsg)?,
            _ => return self.datagram(verb, words),
        }
        Ok(true)
    }

    fn vector_message(
        &mut self,
        words: &mut Words,
        name: &'static str,
        number: libc::c_long,
    ) -> Result<(), Failure> {
        let fd = words.number(self)?;
        let bytes = words.number(self)?;
        let mut buffer = letters(bytes);
        let vectors = vectors(&mut buffer);
        // struct user_msghdr: name, its length, vectors, their count, control, its length, flags.
        let mut header: Vec<u8> = [0, 0, vectors.as_ptr() as usize, 2, 0, 0, 0]
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        all_of(
            bytes,
            call(name, number, &mut [Int(fd), Out(&mut header), Int(0)])?,
        )
    }

    /// An address in the kernel's form.
    pub(crate) fn address(&self, words: &mut Words) -> Result<Vec<u8>, Failure> {
        let word = words.next("an address")?;
        let bytes = word.to_bytes();
        if bytes == b"none" {
            return Ok(Vec::new());
        }
        if let Some(fd) = number(bytes, self) {
            return own_address(fd);
        }
        if let Some(name) = bytes.strip_prefix(b"unix:") {
            let family = (libc::AF_UNIX as u16).to_ne_bytes();
            return Ok(match name.strip_prefix(b"@") {
                Some(hidden) => [&family, b"\0".as_slice(), hidden].concat(),
                None => [&family, name, b"\0"].concat(),
            });
        }
        let text = word.to_str().unwrap_or_default();
        if let Some(address) = other_family(text) {
            return Ok(address);
        }
        let address: SocketAddr = text
            .parse()
            .map_err(|_| Failure::script("not an address", word))?;
        Ok(encode(address))
    }
}

/// `struct sockaddr_in` or `struct sockaddr_in6`.
fn encode(address: SocketAddr) -> Vec<u8> {
    let port = address.port().to_be_bytes();
    match address {
        SocketAddr::V4(v4) => {
            let family = (libc::AF_INET as u16).to_ne_bytes();
            [&family, port.as_slice(), &v4.ip().octets(), &[0; 8]].concat()
        }
        SocketAddr::V6(v6) => {
            let family = (libc::AF_INET6 as u16).to_ne_bytes();
            let scope = v6.scope_id().to_ne_bytes();
            [&family, port.as_slice(), &[0; 4], &v6.ip().octets(), &scope].concat()
        }
    }
}

/// `netlink:PORT`, `packet:INTERFACE`, `vsock:CONTEXT:PORT`.
fn other_family(text: &str) -> Option<Vec<u8>> {
    let (family, rest) = text.split_once(':')?;
    let (first, second) = rest.split_once(':').unwrap_or((rest, "0"));
    let first = first.parse::<u32>().ok()?.to_ne_bytes();
    let second = second.parse::<u32>().ok()?.to_ne_bytes();
    let start = |family: i32| [(family as u16).to_ne_bytes(), [0; 2]].concat();
    Some(match family {
        "netlink" => [&start(libc::AF_NETLINK), first.as_slice(), &[0; 4]].concat(),
        "packet" => [&start(libc::AF_PACKET), first.as_slice(), &[0; 12]].concat(),
        "vsock" => [&start(libc::AF_VSOCK), second.as_slice(), &first, &[0; 4]].concat(),
        _ => return None,
    })
}

/// The address a socket is bound to.
fn own_address(fd: i64) -> Result<Vec<u8>, Failure> {
    let mut address = vec![0; size_of::<libc::sockaddr_storage>()];
    let mut size = u32::try_from(address.len()).unwrap_or(0).to_ne_bytes();
    let args = &mut [Int(fd), Out(&mut address), Out(&mut size)];
    call("getsockname", libc::SYS_getsockname, args)?;
    address.truncate(u32::from_ne_bytes(size) as usize);
    Ok(address)
}

fn with_address(fd: i64, address: &[u8]) -> [crate::sys::Arg<'_>; 3] {
    [Int(fd), In(address), Int(length(address))]
}

pub(crate) fn length(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(0)
}

fn family(words: &mut Words) -> Result<i64, Failure> {
    let word = words.next("an address family")?;
    Ok(i64::from(match word.to_bytes() {
        b"inet" => libc::AF_INET,
        b"inet6" => libc::AF_INET6,
        b"unix" => libc::AF_UNIX,
        _ => return Err(Failure::script("unknown address family", word)),
    }))
}

fn socket_type(words: &mut Words) -> Result<i64, Failure> {
    let word = words.next("a socket type")?;
    Ok(i64::from(match word.to_bytes() {
        b"stream" => libc::SOCK_STREAM,
        b"dgram" => libc::SOCK_DGRAM,
        b"seqpacket" => libc::SOCK_SEQPACKET,
        _ => return Err(Failure::script("unknown socket type", word)),
    }))
}
