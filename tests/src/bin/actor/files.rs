//! Verbs for files, descriptors and the name space.

use std::ffi::CStr;

use crate::sys::Arg::{In, Int, Out, Text};
use crate::sys::{call, write_all};
use crate::words::{Failure, Words};
use crate::{Actor, Known};

/// Mode of files the actor creates.
const MODE: i64 = 0o644;
/// Mode of directories the actor creates.
const DIRECTORY_MODE: i64 = 0o755;

impl Actor {
    /// Opening, reading and writing.
    pub(crate) fn file(&mut self, verb: &CStr, words: &mut Words) -> Known {
        match verb.to_bytes() {
            b"open" | b"openat" | b"openat2" | b"open-old" => self.open(verb, words)?,
            b"read" => self.transfer(words, Way::Read, false)?,
            b"pread" => self.transfer(words, Way::Read, true)?,
            b"write" => self.transfer(words, Way::Write, false)?,
            b"pwrite" => self.transfer(words, Way::Write, true)?,
            b"readv" => self.vector(words, "readv", libc::SYS_readv)?,
            b"writev" => self.vector(words, "writev", libc::SYS_writev)?,
            b"copy" => {
                let [out, input, bytes] = self.three(words)?;
                copy(out, input, bytes)?;
            }
            b"sendfile" => {
                let [out, input, bytes] = self.three(words)?;
                let args = &mut [Int(out), Int(input), Int(0), Int(bytes)];
                all_of(bytes, call("sendfile", libc::SYS_sendfile, args)?)?;
            }
            b"copy-range" => {
                let [out, input, bytes] = self.three(words)?;
                let args = &mut [Int(input), Int(0), Int(out), Int(0), Int(bytes), Int(0)];
                let name = "copy_file_range";
                all_of(bytes, call(name, libc::SYS_copy_file_range, args)?)?;
            }
            b"splice" => {
                let [out, input, bytes] = self.three(words)?;
                let args = &mut [Int(input), Int(0), Int(out), Int(0), Int(bytes), Int(0)];
                all_of(bytes, call("splice", libc::SYS_splice, args)?)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn open(&mut self, verb: &CStr, words: &mut Words) -> Result<(), Failure> {
        let name = words.name()?;
        let directory = match verb.to_bytes() {
            b"openat" => words.number(self)?,
            _ => i64::from(libc::AT_FDCWD),
        };
        let path = words.next("a path")?;
        let flags = words.constant()?;
        let creates =
            flags & i64::from(libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY)) != 0;
        let fd = match verb.to_bytes() {
            b"openat2" => {
                // struct open_how: flags, mode, resolve (include/uapi/linux/openat2.h).
                let mode = if creates { MODE } else { 0 };
                let how: Vec<u8> = [flags, mode, 0]
                    .iter()
                    .flat_map(|n| n.to_ne_bytes())
                    .collect();
                let args = &mut [Int(directory), Text(path), In(&how), Int(24)];
                call("openat2", libc::SYS_openat2, args)?
            }
            #[cfg(target_arch = "x86_64")]
            b"open-old" => call(
                "open",
                libc::SYS_open,
                &mut [Text(path), Int(flags), Int(MODE)],
            )?,
            _ => {
                let args = &mut [Int(directory), Text(path), Int(flags), Int(MODE)];
                call("openat", libc::SYS_openat, args)?
            }
        };
        self.store(name, fd);
        Ok(())
    }

    fn transfer(&mut self, words: &mut Words, way: Way, at_offset: bool) -> Result<(), Failure> {
        let fd = words.number(self)?;
        let bytes = words.number(self)?;
        let offset = if at_offset { words.number(self)? } else { 0 };
        let mut buffer = letters(bytes);
        match way {
            Way::Read => {
                let number = if at_offset {
                    libc::SYS_pread64
                } else {
                    libc::SYS_read
                };
                let args = &mut [Int(fd), Out(&mut buffer), Int(bytes), Int(offset)];
                call("read", number, args)?;
            }
            Way::Write => {
                let number = if at_offset {
                    libc::SYS_pwrite64
                } else {
                    libc::SYS_write
                };
                let args = &mut [Int(fd), In(&buffer), Int(bytes), Int(offset)];
                all_of(bytes, call("write", number, args)?)?;
            }
        }
        Ok(())
    }

    fn vector(
        &mut self,
        words: &mut Words,
        name: &'static str,
        number: libc::c_long,
    ) -> Result<(), Failure> {
        let fd = words.number(self)?;
        let bytes = words.number(self)?;
        let mut buffer = letters(bytes);
        let vectors = vectors(&mut buffer);
        call(name, number, &mut [Int(fd), In(&vectors), Int(2)])?;
        Ok(())
    }

    /// Closing and duplicating.
    pub(crate) fn descriptor(&mut self, verb: &CStr, words: &mut Words) -> Known {
        match verb.to_bytes() {
            b"close" => {
                let fd = words.number(self)?;
                call("close", libc::SYS_close, &mut [Int(fd)])?;
            }
            b"close-range" => {
                let first = words.number(self)?;
                let last = words.number(self)?;
                let args = &mut [Int(first), Int(last), Int(0)];
                call("close_range", libc::SYS_close_range, args)?;
            }
            b"dup" => {
                let name = words.name()?;
                let fd = words.number(self)?;
                let new = call("dup", libc::SYS_dup, &mut [Int(fd)])?;
                self.store(name, new);
            }
            b"dup2" | b"dup3" => {
                let fd = words.number(self)?;
                let new = words.number(self)?;
                duplicate(verb.to_bytes() == b"dup3", fd, new)?;
            }
            b"cloexec" => {
                let fd = words.number(self)?;
                let args = &mut [
                    Int(fd),
                    Int(libc::F_SETFD.into()),
                    Int(libc::FD_CLOEXEC.into()),
                ];
                call("fcntl", libc::SYS_fcntl, args)?;
            }
            b"pipe" => {
                let names = [words.name()?, words.name()?];
                let mut pair = [0; 8];
                call("pipe2", libc::SYS_pipe2, &mut [Out(&mut pair), Int(0)])?;
                self.store_pair(names, pair);
            }
            b"map" => {
                let fd = words.number(self)?;
                let [bytes, offset] = [words.number(self)?, words.number(self)?];
                let (protection, way) = (words.constant()?, words.constant()?);
                let args = [
                    Int(0),
                    Int(bytes),
                    Int(protection),
                    Int(way),
                    Int(fd),
                    Int(offset),
                ];
                call("mmap", libc::SYS_mmap, &mut { args })?;
            }
            b"memfd" => {
                let name = words.name()?;
                let title = words.next("a name")?;
                let fd = call(
                    "memfd_create",
                    libc::SYS_memfd_create,
                    &mut [Text(title), Int(0)],
                )?;
                self.store(name, fd);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Stores the two descriptors a call wrote.
    pub(crate) fn store_pair(&mut self, names: [&CStr; 2], pair: [u8; 8]) {
        let [a, b, c, d, e, f, g, h] = pair;
        self.store(names[0], i32::from_ne_bytes([a, b, c, d]).into());
        self.store(names[1], i32::from_ne_bytes([e, f, g, h]).into());
    }

    /// Names, directories and mounts.
    pub(crate) fn name_space(&mut self, verb: &CStr, words: &mut Words) -> Known {
        let here = || Int(libc::AT_FDCWD.into());
        match verb.to_bytes() {
            b"mkdir" => {
                let args = &mut [here(), Text(words.next("a path")?), Int(DIRECTORY_MODE)];
                call("mkdirat", libc::SYS_mkdirat, args)?;
            }
            b"unlink" => {
                let args = &mut [here(), Text(words.next("a path")?), Int(0)];
                call("unlinkat", libc::SYS_unlinkat, args)?;
            }
            b"symlink" => {
                let target = words.next("a target")?;
                let args = &mut [Text(target), here(), Text(words.next("a path")?)];
                call("symlinkat", libc::SYS_symlinkat, args)?;
            }
            b"rename" => {
                let old = words.next("a path")?;
                let args = &mut [
                    here(),
                    Text(old),
                    here(),
                    Text(words.next("a path")?),
                    Int(0),
                ];
                call("renameat2", libc::SYS_renameat2, args)?;
            }
            b"chdir" => {
                call("chdir", libc::SYS_chdir, &mut [Text(words.next("a path")?)])?;
            }
            b"chroot" => {
                call(
                    "chroot",
                    libc::SYS_chroot,
                    &mut [Text(words.next("a path")?)],
                )?;
            }
            b"mount-bind" => {
                let source = words.next("a source")?;
                mount(source, words.next("a target")?, libc::MS_BIND)?;
            }
            b"mount-tmpfs" => {
                let target = words.next("a target")?;
                let args = &mut [Text(c"none"), Text(target), Text(c"tmpfs"), Int(0), Int(0)];
                call("mount", libc::SYS_mount, args)?;
            }
            b"pivot-root" => {
                let root = words.next("a new root")?;
                let args = &mut [Text(root), Text(words.next("a place for the old one")?)];
                call("pivot_root", libc::SYS_pivot_root, args)?;
            }
            b"unmount" => {
                let args = &mut [Text(words.next("a target")?), Int(0)];
                call("umount2", libc::SYS_umount2, args)?;
            }
            b"unshare" => {
                let flags = words.constant()?;
                call("unshare", libc::SYS_unshare, &mut [Int(flags)])?;
                if flags & i64::from(libc::CLONE_NEWNS) != 0 {
                    private_mounts()?;
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn three(&self, words: &mut Words) -> Result<[i64; 3], Failure> {
        Ok([
            words.number(self)?,
            words.number(self)?,
            words.number(self)?,
        ])
    }
}

/// Keeps what is mounted from here on out of other namespaces.
pub(crate) fn private_mounts() -> Result<(), Failure> {
    mount(c"none", c"/", libc::MS_REC | libc::MS_PRIVATE)
}

/// Moves bytes through this process's memory, as most programs do.
fn copy(out: i64, input: i64, bytes: i64) -> Result<(), Failure> {
    let mut buffer = letters(bytes);
    let mut filled = 0;
    while filled < buffer.len() {
        let rest = &mut buffer[filled..];
        let room = Int(i64::try_from(rest.len()).unwrap_or(0));
        let got = call("read", libc::SYS_read, &mut [Int(input), Out(rest), room])?;
        if got == 0 {
            return Err(Failure::Unexpected("the input ended early"));
        }
        filled += usize::try_from(got).unwrap_or(0);
    }
    write_all(out, &buffer)
}

/// Which way bytes go.
#[derive(Clone, Copy)]
enum Way {
    Read,
    Write,
}

fn duplicate(close_on_exec: bool, fd: i64, new: i64) -> Result<(), Failure> {
    #[cfg(target_arch = "x86_64")]
    if !close_on_exec {
        call("dup2", libc::SYS_dup2, &mut [Int(fd), Int(new)])?;
        return Ok(());
    }
    let flags = if close_on_exec { libc::O_CLOEXEC } else { 0 };
    call(
        "dup3",
        libc::SYS_dup3,
        &mut [Int(fd), Int(new), Int(flags.into())],
    )?;
    Ok(())
}

fn mount(source: &CStr, target: &CStr, flags: libc::c_ulong) -> Result<(), Failure> {
    let args = &mut [
        Text(source),
        Text(target),
        Int(0),
        Int(flags.cast_signed()),
        Int(0),
    ];
    call("mount", libc::SYS_mount, args)?;
    Ok(())
}

/// That many bytes to write, or to be overwritten.
pub(crate) fn letters(bytes: i64) -> Vec<u8> {
    vec![b'a'; usize::try_from(bytes).unwrap_or(0)]
}

/// Two `struct iovec` that share the buffer between them.
pub(crate) fn vectors(buffer: &mut [u8]) -> Vec<u8> {
    let (first, second) = buffer.split_at_mut(buffer.len() / 2);
    [first, second]
        .iter_mut()
        .flat_map(|half| [half.as_mut_ptr() as usize, half.len()])
        .flat_map(usize::to_ne_bytes)
        .collect()
}

/// A transfer must have moved all of its bytes: the tests count them.
pub(crate) fn all_of(bytes: i64, moved: i64) -> Result<(), Failure> {
    if moved == bytes {
        Ok(())
    } else {
        Err(Failure::Unexpected("fewer bytes were moved than asked for"))
    }
}
