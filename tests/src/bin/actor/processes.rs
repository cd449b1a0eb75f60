//! Verbs for processes and threads.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::Mutex;
use std::thread::JoinHandle;

use crate::files::private_mounts;
use crate::sys::Arg::{In, Int, Out, Text};
use crate::sys::{call, exit};
use crate::words::{Failure, Words};
use crate::{Actor, Known, finish};

/// A running thread, which ends with its id unless its script fails.
type Running = JoinHandle<Result<i64, Failure>>;

/// Threads started, `None` once joined; their numbers are positions.
static THREADS: Mutex<Vec<Option<Running>>> = Mutex::new(Vec::new());

unsafe extern "C" {
    /// The environment the process was given (`environ(7)`).
    static environ: *const *const c_char;
}

impl Actor {
    /// Everything about processes.
    pub(crate) fn process(&mut self, verb: &CStr, words: &mut Words) -> Known {
        match verb.to_bytes() {
            b"fork" | b"vfork" | b"clone3" | b"clone-files" | b"clone-with" | b"clone-into" => {
                self.child(verb, words)?;
            }
            b"relay" => {
                for _ in 0..words.number(self)? {
                    if create(b"fork")? != 0 {
                        exit(0);
                    }
                }
            }
            b"spawn" => {
                let name = words.name()?;
                let file = words.next("a file")?;
                let pid = spawn(file, words.arguments())?;
                self.store(name, pid);
            }
            b"wait" => wait(words.number(self)?)?,
            b"status" => {
                let name = words.name()?;
                let status = end_of(words.number(self)?)?;
                self.store(name, status.into());
            }
            b"exec" => {
                let file = words.next("a file")?;
                exec(i64::from(libc::AT_FDCWD), file, words.arguments(), 0)?;
            }
            b"exec-fd" => {
                let fd = words.number(self)?;
                exec(fd, c"", words.arguments(), libc::AT_EMPTY_PATH)?;
            }
            b"thread" => {
                let name = words.name()?;
                let block = words.block()?;
                let mut actor = self.clone();
                let mut threads = THREADS.lock().map_err(|_| poisoned())?;
                threads.push(Some(std::thread::spawn(move || {
                    let id = call("gettid", libc::SYS_gettid, &mut [])?;
                    actor.run(block)?;
                    Ok(id)
                })));
                self.store(name, i64::try_from(threads.len()).unwrap_or(0) - 1);
            }
            b"join" => join(words.number(self)?)?,
            b"session" => {
                call("setsid", libc::SYS_setsid, &mut [])?;
            }
            _ => return self.identity(verb, words),
        }
        Ok(true)
    }

    /// Creates a child for the steps of a block.
    fn child(&mut self, verb: &CStr, words: &mut Words) -> Result<(), Failure> {
        let verb = verb.to_bytes();
        let (mut flags, mut group) = (0, 0);
        match verb {
            b"clone-with" => flags = words.constant()?,
            b"clone-into" => (flags, group) = (CLONE_INTO_CGROUP, words.number(self)?),
            _ => {}
        }
        let name = words.name()?;
        let block = words.block()?;
        let pid = match verb {
            b"clone3" | b"clone-with" | b"clone-into" => clone_with(flags, group)?,
            _ => create(verb)?,
        };
        if pid == 0 {
            if flags & i64::from(libc::CLONE_NEWNS) != 0 {
                private_mounts()?;
            }
            let end = self.run(block);
            exit(finish(&end));
        }
        self.store(name, pid);
        Ok(())
    }

    /// Ending, signalling and being someone else.
    fn identity(&mut self, verb: &CStr, words: &mut Words) -> Known {
        match verb.to_bytes() {
            b"exit" => {
                let status = words.number(self)?;
                exit(i32::try_from(status).unwrap_or(124));
            }
            b"pause" => loop {
                // Ends only with the process: `ppoll` on nothing, without a timeout.
                let _ = call("ppoll", libc::SYS_ppoll, &mut []);
            },
            b"kill" => {
                let pid = words.number(self)?;
                let signal = words.number(self)?;
                call("kill", libc::SYS_kill, &mut [Int(pid), Int(signal)])?;
            }
            b"group" => {
                let args = &mut [Int(words.number(self)?), Int(words.number(self)?)];
                call("setpgid", libc::SYS_setpgid, args)?;
            }
            b"ended" => {
                let pid = words.number(self)?;
                let how = (libc::WEXITED | libc::WNOWAIT).into();
                let mut about = [0; 128];
                let args = &mut [
                    Int(libc::P_PID.into()),
                    Int(pid),
                    Out(&mut about),
                    Int(how),
                    Int(0),
                ];
                call("waitid", libc::SYS_waitid, args)?;
            }
            b"enter" => {
                let file = words.number(self)?;
                let text = words.number(self)?.to_string();
                let length = i64::try_from(text.len()).unwrap_or(0);
                let args = &mut [Int(file), In(text.as_bytes()), Int(length)];
                call("write", libc::SYS_write, args)?;
            }
            b"name" => {
                let name = words.next("a name")?;
                let args = &mut [Int(libc::PR_SET_NAME.into()), Text(name)];
                call("prctl", libc::SYS_prctl, args)?;
            }
            #[cfg(target_arch = "x86_64")]
            b"close-32" => close_32(words.number(self)?),
            b"setuid" => {
                let id = words.number(self)?;
                call("setuid", libc::SYS_setuid, &mut [Int(id)])?;
            }
            b"setgid" => {
                let id = words.number(self)?;
                call("setgid", libc::SYS_setgid, &mut [Int(id)])?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Creates a child that goes on where this process is, with its own copy of the memory.
fn create(verb: &[u8]) -> Result<i64, Failure> {
    let signal = i64::from(libc::SIGCHLD);
    match verb {
        b"vfork" | b"clone-files" => {
            let flag = if verb == b"vfork" {
                libc::CLONE_VFORK
            } else {
                libc::CLONE_FILES
            };
            let flags = i64::from(flag) | signal;
            call(
                "clone",
                libc::SYS_clone,
                &mut [Int(flags), Int(0), Int(0), Int(0), Int(0)],
            )
        }
        _ => call(
            "clone",
            libc::SYS_clone,
            &mut [Int(signal), Int(0), Int(0), Int(0), Int(0)],
        ),
    }
}

/// `CLONE_INTO_CGROUP` (`include/uapi/linux/sched.h`), too large for the C library's type.
const CLONE_INTO_CGROUP: i64 = 1 << 33;

/// `clone3` with flags that give the child its own copy of the memory. Its parent is told of its end,
/// whoever that is.
fn clone_with(flags: i64, group: i64) -> Result<i64, Failure> {
    let signal = if flags & i64::from(libc::CLONE_PARENT) == 0 {
        i64::from(libc::SIGCHLD)
    } else {
        0
    };
    let mut pidfd = [0_u8; 4];
    // struct clone_args (include/uapi/linux/sched.h): flags, pidfd, child_tid, parent_tid,
    // exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup.
    let pidfd = pidfd.as_mut_ptr() as i64;
    let words = [flags, pidfd, 0, 0, signal, 0, 0, 0, 0, 0, group];
    let args: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let size = i64::try_from(args.len()).unwrap_or(0);
    call("clone3", libc::SYS_clone3, &mut [In(&args), Int(size)])
}

/// `close` by number 6 of the 32-bit table, through the 32-bit entry (`int 0x80`,
/// `arch/x86/entry/syscalls/syscall_32.tbl`). Whether it succeeds is of no interest.
#[cfg(target_arch = "x86_64")]
fn close_32(fd: i64) {
    // SAFETY: the call changes no memory; RBX, which the compiler keeps for itself, is put back.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {fd}", "int 0x80", "xchg rbx, {fd}",
            fd = inout(reg) fd => _, inlateout("rax") 6_i64 => _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
}

/// Waits for a child. One that failed as an actor fails this one too.
fn wait(pid: i64) -> Result<(), Failure> {
    let status = end_of(pid)?;
    match libc::WEXITSTATUS(status) {
        code @ (124 | 125) if libc::WIFEXITED(status) => Err(Failure::Child(code)),
        _ => Ok(()),
    }
}

/// Waits for a process: its status as wait(2) tells it.
fn end_of(pid: i64) -> Result<i32, Failure> {
    let mut status = [0; 4];
    call(
        "wait4",
        libc::SYS_wait4,
        &mut [Int(pid), Out(&mut status), Int(0), Int(0)],
    )?;
    Ok(i32::from_ne_bytes(status))
}

/// Waits for a thread until the kernel does not know it any more: that it has let go of its memory,
/// which is what libraries wait for, is before it has ended.
fn join(index: i64) -> Result<(), Failure> {
    let thread = {
        let mut threads = THREADS.lock().map_err(|_| poisoned())?;
        let slot = usize::try_from(index)
            .ok()
            .and_then(|index| threads.get_mut(index));
        slot.and_then(Option::take)
    };
    let thread = thread.ok_or(Failure::Unexpected("no such thread"))?;
    let id = thread.join().map_err(|_| poisoned())??;
    let process = i64::from(std::process::id());
    let exists = &mut [Int(process), Int(id), Int(0)];
    while call("tgkill", libc::SYS_tgkill, exists).is_ok() {
        std::thread::yield_now();
    }
    Ok(())
}

fn poisoned() -> Failure {
    Failure::Unexpected("a thread panicked")
}

/// The pointers `execve` wants, the last one null.
fn pointers(arguments: &[&CStr]) -> Vec<*const c_char> {
    let mut pointers: Vec<_> = arguments.iter().map(|word| word.as_ptr()).collect();
    pointers.push(ptr::null());
    pointers
}

/// Executes a file; returns only when that fails.
fn exec(directory: i64, file: &CStr, arguments: &[&CStr], flags: i32) -> Result<(), Failure> {
    let argv = pointers(arguments);
    let plain = directory == i64::from(libc::AT_FDCWD);
    // SAFETY: the file and every argument are NUL-terminated and live on; both pointer arrays end
    // with a null pointer; `environ` is only written by functions this program never calls.
    unsafe {
        if plain {
            libc::syscall(libc::SYS_execve, file.as_ptr(), argv.as_ptr(), environ);
        } else {
            let number = libc::SYS_execveat;
            libc::syscall(
                number,
                directory,
                file.as_ptr(),
                argv.as_ptr(),
                environ,
                flags,
            );
        }
    }
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    Err(Failure::Call {
        name: "execve",
        errno,
    })
}

/// Starts a file with `posix_spawn`, which shares memory with the child until it execs.
fn spawn(file: &CStr, arguments: &[&CStr]) -> Result<i64, Failure> {
    let argv = pointers(arguments);
    let mut pid = 0;
    // SAFETY: as for `exec`; no file actions and no attributes are given; `posix_spawn` does not
    // change the strings its `char *const` pointers name.
    let errno = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            file.as_ptr(),
            ptr::null(),
            ptr::null(),
            argv.as_ptr().cast(),
            environ.cast(),
        )
    };
    if errno != 0 {
        return Err(Failure::Call {
            name: "posix_spawn",
            errno,
        });
    }
    Ok(pid.into())
}
