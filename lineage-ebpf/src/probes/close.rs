//! Descriptors closed.

use lineage_common::{
    frame::{Close, Flags, Kind, NO_CPU},
    task::DescriptorKey,
};

use crate::{
    emit::{BODY, Frame, What},
    maps::{DESCRIPTORS, Ring},
    probes::syscall::{Returned, argument},
    skip::Skip,
    task::Actor,
};

/// `-EBADF`: the only error of `close` that leaves the descriptor as it was.
const BAD_DESCRIPTOR: i64 = -9;

/// `close(fd)`.
#[inline(always)]
pub(crate) fn returned(actor: &Actor, call: &Returned) -> Result<(), Skip> {
    let fd = argument!(call, 0) as i32;
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    let start = unsafe { (*actor.task).start };
    let key = DescriptorKey {
        start,
        pid: actor.pid,
        fd,
    };
    let known = if call.result == BAD_DESCRIPTOR {
        None
    } else {
        DESCRIPTORS.get_ptr(&key)
    };
    let mut kind = Kind::FILE_CLOSE;
    let mut close = Close {
        bytes_read: 0,
        bytes_written: 0,
        ino: 0,
        opened_number: 0,
        opened_cpu: NO_CPU,
        dev: 0,
        fd,
        reserved: 0,
    };
    if let Some(descriptor) = known {
        // SAFETY: map values stay readable, and only this process's threads change this one.
        unsafe {
            close.bytes_read = (*descriptor).bytes_read;
            close.bytes_written = (*descriptor).bytes_written;
            close.ino = (*descriptor).ino;
            close.opened_number = (*descriptor).opened_number;
            close.opened_cpu = (*descriptor).opened_cpu;
            close.dev = (*descriptor).dev;
            if (*descriptor).socket != 0 {
                kind = Kind::NET_CLOSE;
            }
        }
        let _ = DESCRIPTORS.remove(&key);
    }
    let frame = Frame::take(kind)?;
    // SAFETY: the body is ours until the frame is sent.
    unsafe { *frame.body::<Close>() = close };
    let what = What {
        kind,
        flags: Flags(0),
        result: call.result,
    };
    frame.send(Ring::Bulk, actor, what, BODY + size_of::<Close>() as u64);
    Ok(())
}
