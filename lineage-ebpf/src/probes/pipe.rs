//! Pipes made.
//!
//! Where its ends are the kernel has told the caller only, whose memory another thread can write
//! over. So the table of descriptors has to bear out what is read there.

use lineage_common::frame::{File, Flags, Kind};

use crate::{
    descriptor,
    emit::{self, BODY, Frame, What},
    facts,
    probes::{
        open, pass,
        syscall::{Returned, argument},
    },
    read::{offset, untyped, user},
    skip::Skip,
    task::{self, Actor},
};

/// `S_IFIFO` (`include/uapi/linux/stat.h`).
const TYPE_PIPE: u32 = 0o010_000;

/// `PIPEFS_MAGIC` (`include/uapi/linux/magic.h`): a pipe with a name is in another file system.
pub(crate) const PIPES: u64 = 0x5049_5045;

/// What the kernel names a pipe by, up to the number of its inode, in a word.
const NAME: u64 = u64::from_ne_bytes(*b"pipe:\0\0\0");
const NAME_BYTES: u32 = 5;

/// Where the path begins.
const PATH: u64 = BODY + size_of::<File>() as u64;

/// `pipe(fds)`, `pipe2(fds, flags)`: a record of each end.
#[inline(always)]
pub(crate) fn returned(actor: &Actor, call: &Returned) -> Result<(), Skip> {
    if call.result < 0 {
        return unplaced(actor, call);
    }
    let [reads, writes] = user::<[i32; 2]>(argument!(call, 0)).unwrap_or([-1; 2]);
    let inode = inode(actor, reads);
    if reads == writes || inode == 0 || inode != self::inode(actor, writes) {
        return unplaced(actor, call);
    }
    let _ = end(actor, reads);
    end(actor, writes)
}

/// The inode of the pipe at a descriptor, if it can be one that was just made; otherwise 0.
#[inline(never)]
fn inode(actor: &Actor, fd: i32) -> u64 {
    let file = descriptor::just_made(actor, fd, TYPE_PIPE);
    let inode = facts::inode(file).unwrap_or(0);
    let sb: u64 = untyped(inode + offset!(inode_sb) as u64).unwrap_or(0);
    match untyped::<u64>(sb + offset!(super_magic) as u64) {
        Some(PIPES) => inode,
        _ => 0,
    }
}

#[inline(never)]
fn end(actor: &Actor, fd: i32) -> Result<(), Skip> {
    descriptor::made(actor, fd);
    let file = task::file(actor.files, fd).ok_or(Skip::Unreadable)?;
    open::record(actor, fd, file, Kind::FILE_OPEN)
}

/// Records that a pipe was made, or was not, without its ends: it has none, or they are where the
/// caller's memory does not say any more. Their first use tells of them.
#[inline(never)]
fn unplaced(actor: &Actor, call: &Returned) -> Result<(), Skip> {
    let frame = Frame::take(Kind::FILE_OPEN)?;
    // SAFETY: the body is ours until the frame is sent.
    unsafe {
        let body = frame.body::<File>();
        pass::nothing(body, -1);
        (*body).path_len = NAME_BYTES;
        let name = NAME;
        emit::append(frame.scratch, PATH, &raw const name);
    }
    let what = What {
        kind: Kind::FILE_OPEN,
        flags: Flags::CLAIMED,
        result: call.result,
    };
    frame.send(actor, what, PATH + u64::from(NAME_BYTES));
    Ok(())
}
