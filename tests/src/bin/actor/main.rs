//! The actor: does exactly what its arguments say, in order, and nothing else.
//!
//! The tests record it and then know which system calls must be in the evidence. It starts without
//! Rust's runtime (which reads `/proc/self/maps`), makes every call directly, and prints nothing
//! unless told to. When a step does not do what it should the actor stops with status 125 and
//! says so; a script it cannot understand ends it with status 124.
//!
//! ```text
//! actor open @log /tmp/log O_WRONLY|O_CREAT write @log 12 close @log exit 3
//! actor pipe @in @out fork @child [ write @out 5 ] wait @child read @in 5
//! actor fails ENOENT exec /no/such/file argument ;
//! ```
//!
//! **Words.** A number is decimal, or hexadecimal behind `0x`, `@name` (what a step stored under that name), or `self` (the
//! process id). `FLAGS` are names of constants joined by `|`. `[ … ]` encloses steps. `ADDRESS` is
//! `127.0.0.1:80`, `[::1]:80`, `unix:/path`, `unix:@abstract`, `netlink:PORT`, `packet:INTERFACE`,
//! `vsock:CONTEXT:PORT`, `none`, or a number: the descriptor whose own address is meant. `@x` in the lists below is a name that the step gives a value.
//!
//! **Control**
//! - `fails ERRNO STEP`: the step must fail with this errno, which is then not an error.
//! - `repeat N [ … ]`, `until PATH [ … ]`: until there is such a file
//! - `print WORD`: writes the word, or the number it names, and a newline to standard output.
//! - `report`: writes a line with the process id and the time, in nanoseconds since 1970, to standard
//!   output, in one call.
//! - `tell LABEL FD`: writes a line with the label, the process id, and device and inode number of what the
//!   descriptor leads to, to standard output, in one call.
//! - `exit N`, `pause` (until a signal ends the process), `kill PID SIGNAL`
//! - `group PID GROUP`: setpgid(2).
//!
//! **Files**
//! - `open @fd PATH FLAGS`, `openat @fd DIRFD PATH FLAGS`, `openat2 @fd PATH FLAGS`,
//!   `open-old @fd PATH FLAGS` (the `open` call of x86-64); new files get mode 0644
//! - `read FD N` (one call, at most `N` bytes), `pread FD N OFFSET`, `readv FD N`
//! - `write FD N` (`N` letters), `pwrite FD N OFFSET`, `writev FD N`
//! - `copy OUT IN N`: reads until there are `N` bytes, and writes these.
//! - `sendfile OUT IN N`, `copy-range OUT IN N`, `splice OUT IN N`
//! - `close FD`, `close-range FIRST LAST`, `dup @fd FD`, `dup2 FD NEW`, `dup3 FD NEW` (close-on-exec)
//! - `pipe @read @write`, `memfd @fd NAME`, `cloexec FD`
//! - `pipe-over A B`, `socketpair-over A B`: makes one, while another thread writes these two numbers over
//!   where the kernel tells its ends.
//! - `map FD N OFFSET PROTECTION FLAGS`: `PROT_READ|PROT_EXEC MAP_PRIVATE` and the like
//! - `mkdir PATH`, `unlink PATH`, `symlink TARGET PATH`, `rename OLD NEW`, `chdir PATH`,
//!   `chroot PATH`, `mount-bind SOURCE TARGET`, `mount-tmpfs TARGET`, `unmount TARGET`,
//!   `pivot-root NEW OLD`, `unshare FLAGS` (a new mount namespace is made private)
//!
//! **Sockets**
//! - `socket @fd inet|inet6|unix stream|dgram|seqpacket`, `socketpair @a @b stream|dgram|seqpacket`
//! - `bind FD ADDRESS`, `listen FD`, `connect FD ADDRESS`, `accept @fd FD`, `nonblock FD`
//! - `recvfrom FD N`, `sendmsg-to FD N ADDRESS`, `recvmsg-from FD N`, `sendmmsg FD N [ ADDRESS… ]`,
//!   `recvmmsg FD N COUNT` (all with addresses), `fastopen FD N ADDRESS`
//! - `report-errors FD`: errors of messages sent are kept, for `recvfrom` with `MSG_ERRQUEUE`.
//! - `send FD N`, `sendto FD N ADDRESS`, `sendmsg FD N`, `recv FD N` (waits for all), `recvmsg FD N`
//!
//! - `pass SOCKET FD… ;`: one byte and these descriptors; `pass-each SOCKET FD… ;`: a message for each,
//!   in one call; `receive SOCKET @fd… ;`, `receive-each SOCKET @fd… ;`: likewise.
//! - `control SOCKET N… ;`: one byte and these words of control data.
//!
//! **Processes**
//! - `fork @pid [ … ]`, `vfork @pid [ … ]` (the parent is stopped until the child execs or ends),
//!   `clone3 @pid [ … ]`, `clone-with FLAGS @pid [ … ]` (clone3 too; a new mount namespace is made private),
//!   `clone-into FD @pid [ … ]` (clone3, into the control group of this directory), `clone-files @pid [ … ]` (shares
//!   its descriptors): the child ends with status 0 after its steps.
//! - `relay N`: goes on in a descendant of the `N`th degree; the others end, each when it has made the
//!   next.
//! - `spawn @pid FILE ARGUMENT… ;`: `posix_spawn`; `ARGUMENT…` is the whole `argv`.
//! - `wait PID`: an actor's failure becomes this process's. `status @s PID` waits as well, for the number that
//!   wait(2) tells.
//! - `ended PID`: waits for its end, and leaves it to be reaped.
//! - `thread @t [ … ]`, `join @t`, `session` (setsid(2))
//! - `exec FILE ARGUMENT… ;`: `ARGUMENT…` is the whole `argv`; the end of the block will do for `;`.
//! - `exec-fd FD ARGUMENT… ;`: executes what the descriptor refers to.
//! - `call @result NAME ARGUMENT… ;`: any recorded system call; an argument is a number, `=text`,
//!   `#1,2` (memory with these words of 64 bits), `&1,2` (vectors of buffers of these lengths, with letters), or
//!   `room` (memory the call may write). The result is a negated errno when it failed.
//! - `pidfd @fd PID`: a descriptor of a process.
//! - `submit OPCODE N FLAGS`: makes an io_uring with these flags (2 for a thread of the kernel that takes
//!   requests) and submits `N` requests, of which nothing but the opcode is filled; waits for them.
//! - `ring-connect FD ADDRESS`, `ring-open PATH`: the same with one request to connect, or to open to read.
//! - `enter FD PID`: writes the id to this `cgroup.procs` or `tasks`; 0 is the actor itself.
//! - `name NAME`: names the thread. `setuid N`, `setgid N`.

#![no_main]
#![allow(unsafe_code)] // raw system calls; each block says why it is sound

mod calls;
mod datagrams;
mod ends;
mod files;
mod processes;
mod rights;
mod rings;
mod sockets;
mod sys;
mod words;

use std::collections::HashMap;
use std::ffi::CStr;

use crate::words::{Failure, Words};

/// One thread of the script: what its steps have stored.
#[derive(Clone, Default)]
struct Actor {
    numbers: HashMap<Vec<u8>, i64>,
}

/// Whether a group of verbs knew the verb.
type Known = Result<bool, Failure>;

impl Actor {
    /// Carries out all steps.
    fn run(&mut self, mut words: Words) -> Result<(), Failure> {
        while !words.is_empty() {
            self.step(&mut words)?;
        }
        Ok(())
    }

    fn step(&mut self, words: &mut Words) -> Result<(), Failure> {
        let verb = words.next("a verb")?;
        let known = self.control(verb, words)?
            || self.file(verb, words)?
            || self.descriptor(verb, words)?
            || self.written_over(verb, words)?
            || self.name_space(verb, words)?
            || self.socket(verb, words)?
            || self.process(verb, words)?
            || self.rights(verb, words)?
            || self.ring(verb, words)?
            || self.any(verb, words)?;
        if known {
            Ok(())
        } else {
            Err(Failure::script("unknown verb", verb))
        }
    }

    fn control(&mut self, verb: &CStr, words: &mut Words) -> Known {
        match verb.to_bytes() {
            b"fails" => {
                let expected = words.constant()?;
                match self.step(words) {
                    Err(Failure::Call { errno, .. }) if i64::from(errno) == expected => {}
                    Err(other) => return Err(other),
                    Ok(()) => return Err(Failure::Unexpected("a step that should fail succeeded")),
                }
            }
            b"repeat" => {
                let times = words.number(self)?;
                let block = words.block()?;
                for _ in 0..times {
                    self.run(block)?;
                }
            }
            b"until" => {
                let path = words.next("a path")?;
                let block = words.block()?;
                while !sys::exists(path)? {
                    self.run(block)?;
                }
            }
            b"print" => {
                let word = words.next("a word")?.to_bytes();
                let mut line = match self.numbers.get(word) {
                    Some(number) => number.to_string().into_bytes(),
                    None => word.to_vec(),
                };
                line.push(b'\n');
                sys::write_all(1, &line)?;
            }
            b"report" => {
                let line = format!("{} {}\n", std::process::id(), sys::now()?);
                sys::write_all(1, line.as_bytes())?;
            }
            b"tell" => {
                let label = words.next("a label")?.to_string_lossy();
                let (device, inode) = sys::identity(words.number(self)?)?;
                let line = format!("{label} {} {device} {inode}\n", std::process::id());
                sys::write_all(1, line.as_bytes())?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Remembers a number under the name a step gave.
    fn store(&mut self, name: &CStr, number: i64) {
        self.numbers.insert(name.to_bytes().to_vec(), number);
    }
}

/// The entry point, called by the C runtime.
#[unsafe(no_mangle)]
extern "C" fn main(argc: i32, argv: *const *const std::ffi::c_char) -> i32 {
    let words: Vec<&'static CStr> = (1..usize::try_from(argc).unwrap_or(0))
        // SAFETY: the kernel gives argc pointers to NUL-terminated strings that live as long as
        // the process.
        .map(|index| unsafe { CStr::from_ptr(*argv.add(index)) })
        .collect();
    let end = Actor::default().run(Words::new(words.leak()));
    finish(&end)
}

/// Reports a failure and turns an end into a status.
fn finish(end: &Result<(), Failure>) -> i32 {
    match end {
        Ok(()) => 0,
        Err(failure) => {
            let mut line = b"actor: ".to_vec();
            line.extend(failure.text());
            line.push(b'\n');
            // Nobody is left to tell when standard error is gone too.
            let _ = sys::write_all(2, &line);
            failure.status()
        }
    }
}
