//! What is asked of security modules before a call has an effect: of what is governed, the policy answers.
//!
//! Each question has two entry points with one body. A security module of BPF (`lsm`) is asked by the kernel and
//! refuses; where none is active, a probe at the entry of the function that asks the modules (`fentry`, named
//! `security_*`) sees the same arguments, and can only end the process: the signal waits when the call goes on.
//! The arguments are those of
//! [`include/linux/lsm_hook_defs.h`](https://elixir.bootlin.com/linux/v6.12/source/include/linux/lsm_hook_defs.h).

use aya_ebpf::{
    macros::{fentry, lsm},
    programs::{FEntryContext, LsmContext},
};
use lineage_common::{layout::Action, policy::Operation};

use crate::{
    endpoints,
    hook::{self, Image, Name, Others, Place, Power, Question, Reach},
    judge::Operations,
    other,
    probes::{call, datagram, open, pipe, sock_addr},
    read::{Typed, follow, number, offset, typed, untyped},
    socket::{TYPE_MASK, TYPE_SOCKET},
    task,
};

macro_rules! hooks {
    ($($lsm:ident $fentry:ident $hook:literal $function:literal $look:ident($($argument:literal),*);)*) => {
        $(
            #[doc = concat!("The hook `", $hook, "`.")]
            #[lsm(hook = $hook)]
            pub(crate) fn $lsm(ctx: LsmContext) -> i32 {
                hook::answer(Power::Refuse, || $look($(ctx.arg($argument)),*))
            }

            #[doc = concat!("`", $function, "`.")]
            #[fentry(function = $function)]
            pub(crate) fn $fentry(ctx: FEntryContext) -> i32 {
                hook::answer(Power::Kill, || $look($(ctx.arg($argument)),*));
                0
            }
        )*
    };
}

hooks! {
    lsm_exec fentry_exec "bprm_check_security" "security_bprm_check" executed(0);
    lsm_open fentry_open "file_open" "security_file_open" opened(0);
    lsm_unlink fentry_unlink "path_unlink" "security_path_unlink" removed(0, 1);
    lsm_rmdir fentry_rmdir "path_rmdir" "security_path_rmdir" removed(0, 1);
    lsm_mkdir fentry_mkdir "path_mkdir" "security_path_mkdir" created(0, 1);
    lsm_mknod fentry_mknod "path_mknod" "security_path_mknod" made(0, 1, 2);
    lsm_symlink fentry_symlink "path_symlink" "security_path_symlink" linked_to(0, 1);
    lsm_link fentry_link "path_link" "security_path_link" linked(0, 1, 2);
    lsm_rename fentry_rename "path_rename" "security_path_rename" renamed(0, 1, 2, 3);
    lsm_truncate fentry_truncate "path_truncate" "security_path_truncate" truncated(0);
    lsm_chmod fentry_chmod "path_chmod" "security_path_chmod" changed(0);
    lsm_chown fentry_chown "path_chown" "security_path_chown" changed(0);
    lsm_connect fentry_connect "unix_stream_connect" "security_unix_stream_connect" connected(1);
    lsm_bind fentry_bind "socket_bind" "security_socket_bind" bound(1, 2);
}

/// What only a security module can do about: where none is active, the call is looked at as it returns.
macro_rules! refusals {
    ($($lsm:ident $hook:literal $look:ident($($argument:literal),*);)*) => {
        $(
            #[doc = concat!("The hook `", $hook, "`.")]
            #[lsm(hook = $hook)]
            pub(crate) fn $lsm(ctx: LsmContext) -> i32 {
                hook::answer(Power::Refuse, || $look($(ctx.arg($argument)),*))
            }
        )*
    };
}

refusals! {
    lsm_accept "socket_accept" accepted(0);
    lsm_send "unix_may_send" sent(0, 1);
    lsm_kill "task_kill" signalled(0, 2, 3);
    lsm_ptrace "ptrace_access_check" traced(0);
    lsm_traceme "ptrace_traceme" let_trace(0);
}

/// The hook `socket_listen`. Of a socket without an address the kernel chooses one, which is looked at as the call returns.
#[lsm(hook = "socket_listen")]
pub(crate) fn lsm_listen(ctx: LsmContext) -> i32 {
    match sock_of(ctx.arg(0)) {
        Some(sock) if family(sock) != UNIX => sock_addr::listened(sock),
        Some(sock) => hook::answer(Power::Refuse, || unix(Operation::LISTEN, sock)),
        None => 0,
    }
}

type Asked = Option<(Question, u32)>;

/// One operation on places.
#[inline(always)]
fn ask(operation: Operation, places: [Place; 2]) -> Asked {
    let question = Question {
        places,
        ..Question::of(Operations::NONE.with(operation))
    };
    Some((question, Image::OTHER))
}

/// One operation on a file and on what it is called then.
#[inline(always)]
fn lead(operation: Operation, places: [Place; 2]) -> Asked {
    let (mut question, image) = ask(operation, places)?;
    question.operations = question.operations.and(Operations::LEADS);
    Some((question, image))
}

/// A name in a directory: there need not be anything of that name yet.
#[inline(always)]
fn named(directory: Typed, dentry: u64) -> Place {
    // SAFETY: the argument is a `struct path`.
    let mnt = unsafe { typed(directory, offset!(path_mnt)) };
    Place { mnt, dentry }
}

/// What a path leads to.
#[inline(always)]
fn at(path: Typed) -> Place {
    // SAFETY: the argument is a `struct path`.
    let dentry = unsafe { typed(path, offset!(path_dentry)) };
    named(path, dentry)
}

/// Where an open file is.
#[inline(always)]
fn of_file(file: Typed) -> Place {
    // SAFETY: the argument is a `struct file`, and the members are pointers.
    unsafe {
        Place {
            mnt: typed(file, offset!(file_mnt)),
            dentry: typed(file, offset!(file_dentry)),
        }
    }
}

/// `bprm_check_security(struct linux_binprm *bprm)`: asked of the program, and if that is a script of its interpreter.
#[inline(always)]
fn executed(bprm: Typed) -> Asked {
    /// What an ELF file begins with.
    const ELF: u32 = u32::from_le_bytes(*b"\x7fELF");
    // SAFETY: the argument is a `struct linux_binprm`; the member is a `struct file`.
    let file = unsafe { follow(bprm, offset!(bprm_file))? };
    let head: Option<u32> = untyped(bprm as u64 + offset!(bprm_buf) as u64);
    let image = if head == Some(ELF) {
        Image::ELF
    } else {
        Image::OTHER
    };
    let (mut question, _) = ask(Operation::EXEC, [of_file(file), Place::NONE])?;
    if image != Image::ELF {
        // Its interpreter comes next: one program is executed, not two.
        question.operations = question.operations.and(Operations::UNCOUNTED);
    }
    Some((question, image))
}

/// `__FMODE_EXEC` (`include/linux/fs.h`): opened to be executed.
const TO_EXECUTE: u32 = 1 << 5;

/// `file_open(struct file *file)`
#[inline(always)]
fn opened(file: Typed) -> Asked {
    // SAFETY: the argument is a `struct file`; the member is an integer.
    let flags: u32 = unsafe { typed(file, offset!(file_flags)) };
    let place = of_file(file);
    // What cannot be told is judged.
    if of_layer(place).unwrap_or(false) {
        return None;
    }
    let operations = if flags & TO_EXECUTE == 0 {
        open::operations(flags, file as u64)
    } else if hook::image() == Image::ELF {
        Operations::NONE.with(Operation::READ)
    } else {
        // A program, or the interpreter of a script: asked about when it is looked at.
        return None;
    };
    if operations.0 == 0 {
        return None;
    }
    let question = Question {
        places: [place, Place::NONE],
        ..Question::of(operations)
    };
    Some((question, hook::image()))
}

/// First of the addresses that are error numbers (`IS_ERR_VALUE`, `include/linux/err.h`).
const ERRORS: u64 = 0xffff_ffff_ffff_f000;

/// `SB_NOUSER` (`include/linux/fs.h`): a file system that nobody can mount.
const NOT_FOR_USERS: u64 = 1 << 31;

/// Whether a file is one of a layer that a file system with layers opens on its own behalf, by a mount of its own: what
/// the process opens is asked about as well. Or a pipe or what stands for a process, which have no path: the one leads nowhere
/// but to who has its ends, and what is done with the other is judged when it is done.
/// `None` when it cannot be told.
#[inline(always)]
fn of_layer(place: Place) -> Option<bool> {
    let mnt = number(place.mnt as Typed)?;
    let mount = mnt - offset!(mount_vfsmount) as u64;
    let namespace: u64 = untyped(mount + offset!(mount_ns) as u64)?;
    // Of a mount that was taken away while it was used there is none, and it has paths all the same.
    if namespace < ERRORS {
        return Some(false);
    }
    let sb: u64 = untyped(mnt + offset!(vfsmount_sb) as u64)?;
    let magic: u64 = untyped(sb + offset!(super_magic) as u64)?;
    let flags: u64 = untyped(sb + offset!(super_flags) as u64)?;
    Some(flags & NOT_FOR_USERS == 0 || matches!(magic, pipe::PIPES | other::PIDFS))
}

/// `path_unlink(const struct path *dir, struct dentry *dentry)`, `path_rmdir`
#[inline(always)]
fn removed(directory: Typed, dentry: u64) -> Asked {
    ask(Operation::DELETE, [named(directory, dentry), Place::NONE])
}

/// `path_mkdir(const struct path *dir, struct dentry *dentry, umode_t mode)`
#[inline(always)]
fn created(directory: Typed, dentry: u64) -> Asked {
    ask(Operation::CREATE, [named(directory, dentry), Place::NONE])
}

/// `path_mknod(const struct path *dir, struct dentry *dentry, umode_t mode, unsigned int dev)`: also asked when an open
/// makes a file, and when a Unix socket takes a path.
#[inline(always)]
fn made(directory: Typed, dentry: u64, mode: u16) -> Asked {
    let (mut question, image) = created(directory, dentry)?;
    if u32::from(mode) & TYPE_MASK == TYPE_SOCKET && hook::action() == Action::BIND {
        question.operations = Operations::UNIX_SOCKET.with(Operation::BIND);
    }
    Some((question, image))
}

/// `AF_UNIX` (`include/linux/socket.h`)
const UNIX: u16 = 1;

/// `unix_stream_connect(struct sock *sock, struct sock *other, struct sock *newsk)`: sequences of packets as well.
#[inline(always)]
fn connected(other: Typed) -> Asked {
    unix(Operation::CONNECT, number(other)?)
}

/// An operation on the Unix socket whose `struct sock` is at `sock`, by its path or its name.
#[inline(always)]
fn unix(operation: Operation, sock: u64) -> Asked {
    let mut question = Question::of(Operations::UNIX_SOCKET.with(operation));
    let dentry: u64 = untyped(sock + offset!(unix_path_dentry) as u64).unwrap_or(0);
    if dentry != 0 {
        let mnt = untyped(sock + offset!(unix_path_mnt) as u64).unwrap_or(0);
        question.places[0] = Place { mnt, dentry };
    } else {
        let address: u64 = untyped(sock + offset!(unix_addr) as u64).unwrap_or(0);
        let len: u32 = untyped(address + offset!(unix_address_len) as u64).unwrap_or(0);
        question.name = abstract_name(address + offset!(unix_address_name) as u64, len);
    }
    Some((question, Image::OTHER))
}

/// `socket_bind(struct socket *sock, struct sockaddr *address, int addrlen)`: a Unix socket that takes a path is
/// asked about as that is made, and internet sockets where addresses are.
#[inline(always)]
fn bound(address: Typed, len: u32) -> Asked {
    let address = number(address)?;
    let family: u16 = untyped(address)?;
    let first: u8 = untyped(address + FAMILY_BYTES)?;
    if family != UNIX || first != 0 || u64::from(len) <= FAMILY_BYTES {
        return None;
    }
    let question = Question {
        name: abstract_name(address, len),
        ..Question::of(Operations::UNIX_SOCKET.with(Operation::BIND))
    };
    Some((question, Image::OTHER))
}

/// Bytes of the family in an address.
const FAMILY_BYTES: u64 = 2;

/// The name in the address at `address`, which has `len` bytes.
#[inline(always)]
fn abstract_name(address: u64, len: u32) -> Name {
    Name {
        at: address + FAMILY_BYTES,
        len: u64::from(len).saturating_sub(FAMILY_BYTES),
    }
}

/// `path_symlink(const struct path *dir, struct dentry *dentry, const char *old_name)`
#[inline(always)]
fn linked_to(directory: Typed, dentry: u64) -> Asked {
    ask(Operation::LINK, [named(directory, dentry), Place::NONE])
}

/// `path_link(struct dentry *old_dentry, const struct path *new_dir, struct dentry *new_dentry)`: a link is never in
/// another mount (`do_linkat`, `fs/namei.c`).
#[inline(always)]
fn linked(old: u64, directory: Typed, new: u64) -> Asked {
    lead(
        Operation::LINK,
        [named(directory, old), named(directory, new)],
    )
}

/// `path_rename(const struct path *old_dir, struct dentry *old_dentry, const struct path *new_dir,
/// struct dentry *new_dentry, …)`
#[inline(always)]
fn renamed(old_directory: Typed, old: u64, new_directory: Typed, new: u64) -> Asked {
    lead(
        Operation::RENAME,
        [named(old_directory, old), named(new_directory, new)],
    )
}

/// `path_truncate(const struct path *path)`: an open that does so was asked about already.
#[inline(always)]
fn truncated(path: Typed) -> Asked {
    let action = hook::action();
    if action.0 >= Action::OPEN.0 && action.0 <= Action::CREAT.0 {
        return None;
    }
    ask(Operation::WRITE, [at(path), Place::NONE])
}

/// `path_chmod(const struct path *path, umode_t mode)`, `path_chown` likewise
#[inline(always)]
fn changed(path: Typed) -> Asked {
    ask(Operation::CHMOD, [at(path), Place::NONE])
}

/// The `struct sock` of a `struct socket`.
#[inline(always)]
fn sock_of(socket: Typed) -> Option<u64> {
    untyped(number(socket)? + offset!(socket_sk) as u64)
}

#[inline(always)]
fn family(sock: u64) -> u16 {
    untyped(sock + offset!(sock_family) as u64).unwrap_or(0)
}

/// `socket_accept(struct socket *sock, struct socket *newsock)`: a Unix socket has the name of the one that listens. To which
/// of the host's addresses a connection comes is known when it is there.
#[inline(always)]
fn accepted(socket: Typed) -> Asked {
    let sock = sock_of(socket).filter(|sock| family(*sock) == UNIX)?;
    unix(Operation::ACCEPT, sock)
}

/// `unix_may_send(struct socket *sock, struct socket *other)`: also asked when a socket for datagrams is connected. What goes
/// through a connection is not asked about again.
#[inline(always)]
fn sent(socket: Typed, other: Typed) -> Asked {
    let (sock, other) = (sock_of(socket)?, sock_of(other)?);
    let action = hook::action();
    if action == Action::CONNECT {
        return unix(Operation::CONNECT, other);
    }
    if endpoints::peer(sock) == other {
        return None;
    }
    let (mut question, image) = unix(Operation::SEND, other)?;
    if !datagram::sends(action) {
        // What a ring was asked for can be either.
        question.operations = question.operations.with(Operation::CONNECT);
    }
    Some((question, image))
}

/// `task_kill(struct task_struct *p, struct kernel_siginfo *info, int sig, const struct cred *cred)`: asked of each process
/// that a call sends a signal to. Signal 0 only asks; the kernel asks on behalf of others, with their credentials, and as
/// a parent ends whose child wants to be signalled then.
#[inline(always)]
fn signalled(thread: Typed, signal: i32, sender: Typed) -> Asked {
    let current = task::current();
    // SAFETY: a thread is typed; the member is an integer.
    let ends = unsafe { typed::<u32>(current, offset!(task_flags)) } & task::EXITING != 0;
    if signal == 0 || ends || number(sender)? != 0 {
        return None;
    }
    let reach = match hook::action() {
        Action::SIGNAL => match hook::argument::<0>(current) as i32 {
            -1 => Reach::ALL,
            ..=0 => Reach::GROUP,
            _ => Reach::ONE,
        },
        Action::SIGNAL_PIDFD if hook::argument::<3>(current) as u32 & call::SIGNAL_GROUP != 0 => {
            Reach::GROUP
        }
        Action::SIGNAL_THREAD | Action::SIGNAL_PIDFD => Reach::ONE,
        _ => return None,
    };
    to(Operation::SIGNAL, thread, reach)
}

/// `ptrace_access_check(struct task_struct *child, unsigned int mode)`: asked by procfs as well, where files are judged, and
/// by calls that only look at what a process is.
#[inline(always)]
fn traced(thread: Typed) -> Asked {
    match hook::action() {
        Action::PTRACE | Action::PROCESS | Action::RESULT => {
            to(Operation::PTRACE, thread, Reach::ONE)
        }
        _ => None,
    }
}

/// `ptrace_traceme(struct task_struct *parent)`
#[inline(always)]
fn let_trace(parent: Typed) -> Asked {
    to(Operation::PTRACE, parent, Reach::ITSELF)
}

/// An operation on other processes, of which one is that of a thread.
#[inline(always)]
fn to(operation: Operation, thread: Typed, reach: Reach) -> Asked {
    if reach == Reach::ONE && task::pid(thread) == task::current_pid() {
        return None;
    }
    let question = Question {
        others: Others {
            operation,
            thread: number(thread)?,
            reach,
        },
        ..Question::of(Operations::NONE)
    };
    Some((question, Image::OTHER))
}
