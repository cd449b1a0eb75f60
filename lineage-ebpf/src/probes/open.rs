//! Files opened, and opens that failed.

use lineage_common::{
    frame::{File, Flags, HostPath, Kind, Version},
    layout::Action,
    limits::PATH_BYTES_MAX,
    policy::Operation,
    task::Descriptor,
};

use crate::{
    descriptor,
    emit::{BODY, Frame, What},
    hook, host,
    judge::{self, Operations},
    maps, other,
    path::{self, AT_FDCWD},
    probes::syscall::{Returned, argument},
    read::{copy_user_string, offset, untyped, user},
    skip::Skip,
    start,
    task::{self, Actor},
};

/// Where an open's path begins: after the header and the body.
const PATH: u64 = BODY + size_of::<File>() as u64;

/// `O_CREAT | O_WRONLY | O_TRUNC`, what `creat` means.
const CREAT_FLAGS: u32 = 0o100 | 0o1 | 0o1000;

/// `O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC` (`include/uapi/asm-generic/fcntl.h`): what a
/// call asks for and the open file does not remember (`do_dentry_open`, `build_open_flags`).
const OF_THE_CALL: u32 = 0o100 | 0o200 | 0o400 | 0o1000 | 0o2_000_000;

/// In place of flags of a call: nothing was opened that policies speak of, it was made as the ends of a pipe are, or is
/// only told of.
pub(crate) const MADE: u32 = 1 << 31;

/// A call of the open family.
#[inline(never)]
pub(crate) fn returned(actor: &Actor, call: &Returned, action: Action) -> Result<(), Skip> {
    if call.result >= 0 {
        let fd = call.result as i32;
        descriptor::made(actor, fd);
        // No hook is asked about a file in memory that is made, only as it is opened again.
        let unasked = maps::hooked() && matches!(action, Action::MEMFD | Action::MEMFD_SECRET);
        let flags = if unasked {
            MADE
        } else {
            asked(call, action).flags
        };
        if let Some(file) = task::file(actor.files, fd)
            && record_call(actor, fd, file, Kind::FILE_OPEN, flags) != Err(Skip::Unreadable)
        {
            return Ok(());
        }
        // Another thread has closed it already: only the caller's path is left.
    }
    claimed(actor, call, action)
}

/// Records the file behind a descriptor and remembers it.
#[inline(always)]
pub(crate) fn record(actor: &Actor, fd: i32, file: u64, kind: Kind) -> Result<(), Skip> {
    record_call(actor, fd, file, kind, MADE)
}

/// [`record`], with the flags the call was given.
#[inline(never)]
fn record_call(actor: &Actor, fd: i32, file: u64, kind: Kind, call_flags: u32) -> Result<(), Skip> {
    let frame = Frame::take(kind)?;
    // SAFETY: the scratch is ours until the frame is sent.
    let target = unsafe {
        (*frame.scratch).lineage = (*actor.task).lineage;
        &mut (*frame.scratch).target
    };
    target.file = file;
    // A decision that waits is taken over below: where nothing can be read the record of what was asked for has it.
    let decided = if hook::decided() { MADE } else { 0 };
    // SAFETY: as above.
    let filled = fill_file(
        unsafe { (*frame.scratch).cpu },
        fd,
        call_flags & (OF_THE_CALL | MADE) | decided,
    );
    if filled == 0 {
        frame.release();
        return Err(Skip::Unreadable);
    }
    let opened = kind == Kind::FILE_OPEN;
    // Here and not where the walk is: all functions of a probe share 512 bytes of stack.
    if opened {
        hook::taken(frame.scratch);
    }
    let what = What {
        kind,
        flags: Flags((filled >> 32) as u16),
        result: if opened { i64::from(fd) } else { 0 },
    };
    let sent = frame.send(actor, what, filled & 0xffff_ffff);
    descriptor::remember(actor, fd, target, &sent);
    Ok(())
}

/// Fills the body and the target of the frame in the scratch of `cpu` from the target's `struct file`,
/// and appends the paths: the length of the frame, and above it the flags; 0 when something cannot be
/// read. What was opened by a call with these flags is judged, unless a hook has; nothing with [`MADE`]. A global function,
/// see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn fill_file(cpu: u32, fd: i32, call_flags: u32) -> u64 {
    let Some(scratch) = maps::scratch(cpu) else {
        return 0;
    };
    // SAFETY: the scratch is the caller's.
    unsafe {
        let facts = &raw mut (*scratch).facts;
        let target = &raw mut (*scratch).target;
        if path::set_root(scratch, task::current()).is_none()
            || !(*facts).read((*target).file, (*scratch).walk.root_sb)
        {
            return 0;
        }
        (*facts).flags |= call_flags & OF_THE_CALL;
        let (len, flags) = path::append_here(scratch, PATH, (*facts).mnt, (*facts).dentry);
        let host = host::append_here(scratch, PATH + len, flags);
        let body = (&raw mut (*scratch).frame)
            .cast::<u8>()
            .add(BODY as usize)
            .cast::<File>();
        (*facts).fill(body, fd, len);
        (*body).host = host;
        if call_flags & MADE == 0 && maps::governs() {
            // Here, because a call of its own costs as much as half a verdict.
            let operations = operations((*facts).flags, (*target).file);
            judge::path_here(scratch, operations, host.view, flags);
        }
        let len = PATH + len + u64::from(host.len);
        let other = other::append(scratch, (*target).file, task::current_pid(), len);
        (*body).other_len = other as u32;
        (*target).ino = (*facts).ino;
        (*target).dev = (*facts).dev;
        (*target).leads_to = if (*facts).is_regular() {
            Descriptor::REGULAR
        } else {
            0
        };
        (len + other) | u64::from(flags.0) << 32
    }
}

/// What was done to a file by opening it so. `flags` are those of the open file, and of the call.
#[inline(always)]
pub(crate) fn operations(flags: u32, file: u64) -> Operations {
    /// `FMODE_CREATED` (`include/linux/fs.h`)
    const CREATED: u32 = 1 << 20;
    /// `O_PATH`, `O_CREAT`, `O_TRUNC` (`include/uapi/asm-generic/fcntl.h`)
    const PATH_ONLY: u32 = 0o10_000_000;
    const CREATE: u32 = 0o100;
    const TRUNCATED: u32 = 0o1000;
    if flags & PATH_ONLY != 0 {
        return Operations::NONE;
    }
    // `O_RDONLY` is 0, `O_WRONLY` 1, `O_RDWR` 2.
    let mut operations = Operations::NONE;
    if flags & 3 != 1 {
        operations = operations.with(Operation::READ);
    }
    if flags & 3 != 0 || flags & TRUNCATED != 0 {
        operations = operations.with(Operation::WRITE);
    }
    if flags & CREATE != 0
        && untyped::<u32>(file + offset!(file_mode) as u64).is_none_or(|mode| mode & CREATED != 0)
    {
        operations = operations.with(Operation::CREATE);
    }
    operations
}

/// What the caller asked for.
struct Asked {
    path: u64,
    dirfd: i32,
    flags: u32,
    mode: u32,
}

/// Records what the caller asked for.
#[inline(never)]
fn claimed(actor: &Actor, call: &Returned, action: Action) -> Result<(), Skip> {
    let asked = asked(call, action);
    let frame = Frame::take(Kind::FILE_OPEN)?;
    hook::taken(frame.scratch);
    let (path_len, cut) = copy_user_string(frame.scratch, PATH, asked.path, PATH_BYTES_MAX as u64);
    let is_path = action != Action::MEMFD && action != Action::MEMFD_SECRET;
    let start_len = if is_path && start::is_relative(asked.path) {
        start::append_whole(frame.scratch, asked.dirfd, PATH + path_len)
    } else {
        0
    };
    let body = frame.body::<File>();
    // SAFETY: the body is ours until the frame is sent.
    unsafe {
        (*body).ino = 0;
        (*body).fs_magic = 0;
        (*body).version = Version::NONE;
        (*body).dev = 0;
        (*body).mode = asked.mode;
        (*body).flags = asked.flags;
        (*body).fd = if call.result < 0 {
            -1
        } else {
            call.result as i32
        };
        (*body).dirfd = asked.dirfd;
        (*body).path_len = path_len as u32;
        (*body).host = HostPath {
            len: start_len as u16,
            ..HostPath::SAME
        };
        (*body).other_len = 0;
    }
    let flags = if cut {
        Flags::CLAIMED.with(Flags::PATH_CUT)
    } else {
        Flags::CLAIMED
    };
    let what = What {
        kind: Kind::FILE_OPEN,
        flags,
        result: call.result,
    };
    frame.send(actor, what, PATH + path_len + start_len);
    Ok(())
}

#[inline(always)]
fn asked(call: &Returned, action: Action) -> Asked {
    let (first, second) = (argument!(call, 0), argument!(call, 1));
    let (third, fourth) = (argument!(call, 2), argument!(call, 3));
    match action {
        Action::OPEN => Asked {
            path: first,
            dirfd: AT_FDCWD,
            flags: second as u32,
            mode: third as u32,
        },
        Action::CREAT => Asked {
            path: first,
            dirfd: AT_FDCWD,
            flags: CREAT_FLAGS,
            mode: second as u32,
        },
        Action::OPENAT2 => {
            // `struct open_how` (`include/uapi/linux/openat2.h`): flags, mode, resolve.
            let [flags, mode] = user::<[u64; 2]>(third).unwrap_or([0, 0]);
            Asked {
                path: second,
                dirfd: first as i32,
                flags: flags as u32,
                mode: mode as u32,
            }
        }
        // `MFD_CLOEXEC` and its like are flags of another kind.
        Action::MEMFD => Asked {
            path: first,
            dirfd: AT_FDCWD,
            flags: 0,
            mode: 0,
        },
        Action::MEMFD_SECRET => Asked {
            path: 0,
            dirfd: AT_FDCWD,
            flags: 0,
            mode: 0,
        },
        // A handle is no path.
        Action::OPEN_BY_HANDLE => Asked {
            path: 0,
            dirfd: first as i32,
            flags: third as u32,
            mode: 0,
        },
        _ => Asked {
            path: second,
            dirfd: first as i32,
            flags: third as u32,
            mode: fourth as u32,
        },
    }
}
