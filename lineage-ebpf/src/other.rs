//! Other processes, as a call names them: by a number, or by a descriptor.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use lineage_common::{frame::Other, layout::ABSENT, limits::GROUP_MEMBERS_MAX, policy::Named};

use crate::{
    emit,
    maps::Scratch,
    read::{Typed, offset, untyped},
    task::own_number,
    tracked,
};

/// `PID_FS_MAGIC`, `ANON_INODE_FS_MAGIC`, `PROC_SUPER_MAGIC` (`include/uapi/linux/magic.h`).
pub(crate) const PIDFS: u64 = 0x5049_4446;
const ANONYMOUS: u64 = 0x0904_1934;
const PROC: u64 = 0x9fa0;

/// What the kernel calls a descriptor of a process where there is no file system for them, which came
/// with Linux 6.9. No other caller of `anon_inode_getfile` gives this name.
const PIDFD_NAME: u64 = u64::from_le_bytes(*b"[pidfd]\0");

/// Most levels of the table of ids: each node has 6 bits of an id, of which there are 22
/// (`PID_MAX_LIMIT`, `include/linux/threads.h`).
const LEVELS: u32 = 4;

/// Bits of an entry of the table: of a pointer to a node 2, of one to what is kept none
/// (`include/linux/xarray.h`). A pointer to a node is larger than what else has these bits.
const ENTRY_BITS: u64 = 3;
const NODE: u64 = 2;
const SMALLEST_NODE: u64 = 4096;

/// The `struct pid` of what the process of `thread` calls `number`, a process or a thread, if there is
/// one: `find_vpid` in [`kernel/pid.c`](https://elixir.bootlin.com/linux/v6.12/source/kernel/pid.c#L306).
#[inline(always)]
pub(crate) fn numbered(thread: Typed, number: i32) -> Option<u64> {
    if number <= 0 || offset!(pid_ns_idr) == ABSENT as usize {
        return None;
    }
    let pid: u64 = untyped(thread as u64 + offset!(task_thread_pid) as u64)?;
    let level: u32 = untyped(pid + offset!(pid_level) as u64)?;
    let upid = pid
        + offset!(pid_numbers) as u64
        + u64::from(level & 63) * offset!(derived.upid_size) as u64;
    let namespace: u64 = untyped(upid + offset!(upid_ns) as u64)?;
    let mut entry: u64 = untyped(namespace + offset!(pid_ns_idr) as u64)?;
    let number = u64::from(number as u32);
    let mut first = true;
    for _ in 0..LEVELS {
        if entry & ENTRY_BITS != NODE {
            break;
        }
        if entry < SMALLEST_NODE {
            return None;
        }
        let node = entry - NODE;
        let shift: u8 = untyped(node + offset!(xa_node_shift) as u64)?;
        let slot = number >> (shift & 63);
        if first && slot > 63 {
            return None;
        }
        first = false;
        entry = untyped(node + offset!(xa_node_slots) as u64 + (slot & 63) * 8)?;
    }
    (entry & ENTRY_BITS == 0 && entry != 0).then_some(entry)
}

/// The `struct pid` that the `struct file` at `file` stands for, if it stands for a process: a pidfd, or
/// what is below a directory of procfs that has the number of one.
#[inline(always)]
pub(crate) fn of_file(file: u64) -> Option<u64> {
    let inode: u64 = untyped(file + offset!(file_inode) as u64)?;
    let sb: u64 = untyped(inode + offset!(inode_sb) as u64)?;
    let magic: u64 = untyped(sb + offset!(super_magic) as u64)?;
    if magic == PIDFS {
        return untyped(inode + offset!(inode_private) as u64);
    }
    if magic == PROC {
        // `PROC_I` (`fs/proc/internal.h`): the inode is a part of it.
        let inode = inode - offset!(proc_inode_inode) as u64;
        let pid: u64 = untyped(inode + offset!(proc_inode_pid) as u64)?;
        return (pid != 0).then_some(pid);
    }
    if magic != ANONYMOUS {
        return None;
    }
    let dentry: u64 = untyped(file + offset!(file_dentry) as u64)?;
    let name: u64 = untyped(dentry + offset!(dentry_name) as u64)?;
    if u64::from_le(untyped(name)?) != PIDFD_NAME {
        return None;
    }
    untyped(file + offset!(file_private_data) as u64)
}

/// `PIDTYPE_PGID` (`include/linux/pid_types.h`), and sizes of `struct hlist_head` and `hlist_node`.
const GROUP: u64 = 2;
const HEAD_BYTES: u64 = 8;
const NODE_BYTES: u64 = 16;

/// How the process of the `struct pid` at `pid` stands to a lineage. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn relation(pid: u64, lineage: u32) -> u64 {
    // The first list is that of the one thread with this id (`PIDTYPE_PID`).
    let Some(link) = untyped::<u64>(pid + offset!(pid_tasks) as u64).filter(|link| *link != 0)
    else {
        return Named::OUTSIDE.0.into();
    };
    of_thread(link - offset!(task_pid_links) as u64, lineage)
}

/// The same of a thread. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn of_thread(thread: u64, lineage: u32) -> u64 {
    if is_inside(thread, lineage) {
        Named::INSIDE.0.into()
    } else {
        Named::OUTSIDE.0.into()
    }
}

/// The same of all processes of the group that the thread's is in. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn of_group(thread: u64, lineage: u32) -> u64 {
    match group_of(thread) {
        Some(group) => members(group, lineage),
        None => Named::OUTSIDE.0.into(),
    }
}

/// The `struct pid` of the group of processes that the thread's is in.
#[inline(always)]
fn group_of(thread: u64) -> Option<u64> {
    let signal: u64 = untyped(thread + offset!(task_signal) as u64)?;
    untyped(signal + offset!(signal_pids) as u64 + GROUP * HEAD_BYTES)
}

/// Whether a process is of the lineage. One that has ended is known by its parent, which has to reap it.
#[inline(always)]
fn is_inside(thread: u64, lineage: u32) -> bool {
    let tracked = |thread: u64| {
        let pid: u32 = untyped(thread + offset!(task_tgid) as u64)?;
        // SAFETY: map values stay readable.
        tracked::task(pid).map(|task| unsafe { (*task).lineage } == lineage)
    };
    if let Some(inside) = tracked(thread) {
        return inside;
    }
    untyped::<u64>(thread + offset!(task_group_leader) as u64)
        .and_then(|leader| untyped::<u64>(leader + offset!(task_real_parent) as u64))
        .and_then(tracked)
        .unwrap_or(false)
}

/// How the processes that a signal to `number` reaches stand to the lineage of `thread`, as `kill` counts them:
/// 0 is its own group, -1 everybody, and any other negative number the group of this number.
#[inline(always)]
pub(crate) fn relation_of_group(thread: Typed, number: i32, lineage: u32) -> u64 {
    let group = match number {
        0 => group_of(thread as u64),
        -1 => None,
        _ => numbered(thread, number.wrapping_neg()),
    };
    match group {
        Some(group) => members(group, lineage),
        None => Named::OUTSIDE.0.into(),
    }
}

/// State of a look at all processes of a group, on the stack of [`members`].
struct Members {
    node: u64,
    lineage: u32,
    /// 1 when all there are were seen.
    ended: u32,
    /// 1 when one was not inside.
    outside: u32,
}

/// How the processes of the group whose `struct pid` is at `group` stand to the lineage: inside when all are. A
/// global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn members(group: u64, lineage: u32) -> u64 {
    let first = group + offset!(pid_tasks) as u64 + GROUP * HEAD_BYTES;
    let mut members = Members {
        node: untyped(first).unwrap_or(0),
        lineage,
        ended: 0,
        outside: 0,
    };
    // SAFETY: the callback gets the state that lives as long as the call.
    unsafe {
        bpf_loop(
            GROUP_MEMBERS_MAX,
            member as *mut c_void,
            (&raw mut members).cast(),
            0,
        );
    }
    if members.ended == 1 && members.outside == 0 {
        Named::INSIDE.0.into()
    } else {
        Named::OUTSIDE.0.into()
    }
}

unsafe extern "C" fn member(_index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the context is the state that `members` holds on its stack.
    let members = unsafe { &mut *context.cast::<Members>() };
    if members.node == 0 {
        members.ended = 1;
        return 1;
    }
    let thread = members.node - offset!(task_pid_links) as u64 - GROUP * NODE_BYTES;
    if !is_inside(thread, members.lineage) {
        members.outside = 1;
        return 1;
    }
    // `hlist_node.next` comes first.
    members.node = untyped(members.node).unwrap_or(0);
    0
}

/// Fills in the process of a `struct pid`.
#[inline(always)]
pub(crate) unsafe fn fill(to: *mut Other, pid: u64) -> Option<()> {
    // SAFETY: by contract of the caller.
    unsafe {
        let link: u64 = untyped(pid + offset!(pid_tasks) as u64)?;
        if link == 0 {
            // Gone, and known by its number only.
            let upid = pid + offset!(pid_numbers) as u64;
            (*to).pid = untyped(upid + offset!(upid_nr) as u64)?;
            return Some(());
        }
        // The first list is that of the one thread with this id (`PIDTYPE_PID`).
        let thread = link - offset!(task_pid_links) as u64;
        if untyped::<u64>(thread + offset!(task_thread_pid) as u64)? != pid {
            return None;
        }
        let leader: u64 = untyped(thread + offset!(task_group_leader) as u64)?;
        (*to).pid = untyped(thread + offset!(task_tgid) as u64)?;
        let (ns_pid, pid_ns) = own_number(leader)?;
        (*to).ns_pid = ns_pid;
        (*to).pid_ns = pid_ns;
        (*to).start = untyped(leader + offset!(task_start_boottime) as u64)?;
    }
    Some(())
}

/// Puts the process that the `struct file` at `file` stands for behind the parts of the frame in the
/// scratch, at `at`, unless it is `own`, which has the file. Returns its bytes, or 0. Which file system
/// the file is of must be in the scratch.
///
/// # Safety
///
/// The scratch is the caller's.
#[inline(always)]
pub(crate) unsafe fn append(scratch: *mut Scratch, file: u64, own: u32, at: u64) -> u64 {
    // SAFETY: by contract.
    unsafe {
        if !matches!((*scratch).facts.magic, PROC | PIDFS | ANONYMOUS) {
            return 0;
        }
        let Some(pid) = of_file(file) else {
            return 0;
        };
        (*scratch).other = Other::default();
        if fill(&raw mut (*scratch).other, pid).is_none() || (*scratch).other.pid == own {
            return 0;
        }
        emit::append(scratch, at, &raw const (*scratch).other);
    }
    size_of::<Other>() as u64
}
