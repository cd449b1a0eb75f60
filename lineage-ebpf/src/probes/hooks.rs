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
    hook::{self, Image, Name, Place, Power, Question},
    judge::Operations,
    maps, other,
    probes::{open, pipe},
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

type Asked = Option<(Question, u32)>;

/// One operation on places.
#[inline(always)]
fn ask(operation: Operation, places: [Place; 2]) -> Asked {
    let question = Question {
        operations: Operations::NONE.with(operation),
        places,
        name: Name::NONE,
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
        operations,
        places: [place, Place::NONE],
        name: Name::NONE,
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
    let bound = || maps::action(u64::from(hook::call(task::current()))) == Action::BIND;
    if u32::from(mode) & TYPE_MASK == TYPE_SOCKET && bound() {
        question.operations = Operations::UNIX_SOCKET.with(Operation::BIND);
    }
    Some((question, image))
}

/// `AF_UNIX` (`include/linux/socket.h`)
const UNIX: u16 = 1;

/// `unix_stream_connect(struct sock *sock, struct sock *other, struct sock *newsk)`: sequences of packets as well.
#[inline(always)]
fn connected(other: Typed) -> Asked {
    let other = number(other)?;
    let mut question = Question {
        operations: Operations::UNIX_SOCKET.with(Operation::CONNECT),
        places: [Place::NONE; 2],
        name: Name::NONE,
    };
    let dentry: u64 = untyped(other + offset!(unix_path_dentry) as u64).unwrap_or(0);
    if dentry != 0 {
        let mnt = untyped(other + offset!(unix_path_mnt) as u64).unwrap_or(0);
        question.places[0] = Place { mnt, dentry };
    } else {
        let address: u64 = untyped(other + offset!(unix_addr) as u64).unwrap_or(0);
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
        operations: Operations::UNIX_SOCKET.with(Operation::BIND),
        places: [Place::NONE; 2],
        name: abstract_name(address, len),
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
    let action = maps::action(u64::from(hook::call(task::current())));
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
