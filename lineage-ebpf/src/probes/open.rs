//! Files opened, and opens that failed.

use lineage_common::{
    frame::{File, Flags, Kind},
    layout::Action,
    limits::PATH_BYTES_MAX,
    task::{Descriptor, DescriptorKey},
};

use crate::{
    emit::{BODY, Frame, What},
    maps::{DESCRIPTORS, Ring},
    path::{self, FileFacts},
    probes::syscall::{Returned, argument},
    read::{copy_user_string, user},
    skip::Skip,
    task::{self, Actor},
};

/// Where an open's path begins: after the header and the body.
const PATH: u64 = BODY + size_of::<File>() as u64;

/// `AT_FDCWD` (`include/uapi/linux/fcntl.h`).
const AT_FDCWD: i32 = -100;

/// What the caller asked for.
struct Asked {
    path: u64,
    dirfd: i32,
    flags: u32,
    mode: u32,
}

/// A call of the open family.
#[inline(always)]
pub(crate) fn returned(actor: &Actor, call: &Returned, action: Action) -> Result<(), Skip> {
    if call.result < 0 {
        return failed(actor, call, action);
    }
    let fd = call.result as i32;
    let current = task::current();
    let file = task::file(current, fd).ok_or(Skip::Unreadable)?;
    let facts = FileFacts::read(file).ok_or(Skip::Unreadable)?;
    let frame = Frame::take(Kind::FILE_OPEN)?;
    if path::set_root(frame.scratch, current).is_none() {
        frame.release();
        return Err(Skip::Unreadable);
    }
    let (path_len, flags) = path::append(frame.scratch, PATH, facts.mnt, facts.dentry);
    let body = frame.body::<File>();
    // SAFETY: the body is ours until the frame is sent.
    unsafe {
        (*body).ino = facts.ino;
        (*body).fs_magic = facts.magic;
        (*body).dev = facts.dev;
        (*body).mode = facts.mode;
        (*body).flags = facts.flags;
        (*body).fd = fd;
        (*body).dirfd = AT_FDCWD;
        (*body).path_len = path_len as u32;
    }
    let what = What {
        kind: Kind::FILE_OPEN,
        flags,
        result: call.result,
    };
    let sent = frame.send(Ring::Bulk, actor, what, PATH + path_len);
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    let start = unsafe { (*actor.task).start };
    let key = DescriptorKey {
        start,
        pid: actor.pid,
        fd,
    };
    let descriptor = Descriptor {
        file,
        bytes_read: 0,
        bytes_written: 0,
        ino: facts.ino,
        opened_number: sent.number,
        opened_cpu: sent.cpu,
        dev: facts.dev,
        socket: 0,
        reserved: 0,
    };
    let _ = DESCRIPTORS.insert(&key, &descriptor, 0);
    Ok(())
}

#[inline(always)]
fn failed(actor: &Actor, call: &Returned, action: Action) -> Result<(), Skip> {
    let asked = asked(call, action);
    let frame = Frame::take(Kind::FILE_OPEN)?;
    let (path_len, cut) = copy_user_string(frame.scratch, PATH, asked.path, PATH_BYTES_MAX as u64);
    let body = frame.body::<File>();
    // SAFETY: the body is ours until the frame is sent.
    unsafe {
        (*body).ino = 0;
        (*body).fs_magic = 0;
        (*body).dev = 0;
        (*body).mode = asked.mode;
        (*body).flags = asked.flags;
        (*body).fd = -1;
        (*body).dirfd = asked.dirfd;
        (*body).path_len = path_len as u32;
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
    frame.send(Ring::Bulk, actor, what, PATH + path_len);
    Ok(())
}

/// `O_CREAT | O_WRONLY | O_TRUNC`, what `creat` means.
const CREAT_FLAGS: u32 = 0o100 | 0o1 | 0o1000;

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
        _ => Asked {
            path: second,
            dirfd: first as i32,
            flags: third as u32,
            mode: fourth as u32,
        },
    }
}
