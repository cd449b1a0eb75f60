//! What tracked processes have open and mapped, on request.
//!
//! The agent runs these programs when it has begun to track processes, and reads what they write like
//! a file. They run in the agent's context, where they can be preempted: so nothing is sent through
//! a ring, numbered or put together where the probes do, and the table of descriptors stays as the
//! probes left it. What was found is known by the moment it was looked at; the agent, which gets all
//! frames in their order, puts the two together.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_ktime_get_boot_ns, bpf_seq_write};
use lineage_common::{
    frame::{FOUND_ALIGN, Flags, FoundFile, FoundMap, Header, HostPath, Kind, NO_CPU, Socket},
    policy::{Outcome, Ruling},
    task::Task,
};

use crate::{
    emit::{BODY, Frame},
    endpoints, facts, host,
    maps::{self, Scratch},
    other, path,
    read::{Typed, follow, mask_frame, offset, store, typed},
    socket::{self, NAMES},
    task, tracked,
};

/// `O_CLOEXEC` (`include/uapi/asm-generic/fcntl.h`).
const CLOSE_ON_EXEC: u32 = 0o2_000_000;

/// Where the byte strings begin.
const FILE_PATH: u64 = BODY + size_of::<FoundFile>() as u64;
const MAP_PATH: u64 = BODY + size_of::<FoundMap>() as u64;

/// The thread that is looked at.
struct Look {
    /// The `struct seq_file` to write to.
    output: *mut c_void,
    thread: Typed,
    task: *const Task,
    scratch: *mut Scratch,
}

impl Look {
    /// Begins a look at `thread`, if its process is tracked.
    #[inline(always)]
    unsafe fn begin(meta: Typed, thread: Typed) -> Option<Self> {
        // SAFETY: the pointers are typed and the members have these types.
        unsafe {
            let pid: u32 = typed(thread, offset!(task_tgid));
            let task = tracked::task(pid)?;
            let leader = follow(thread, offset!(task_group_leader))?;
            let start: u64 = typed(leader, offset!(task_start_boottime));
            if (*task).start != start {
                return None;
            }
            Some(Self {
                output: *meta.cast(),
                thread,
                task,
                scratch: maps::found()?,
            })
        }
    }

    /// The process.
    #[inline(always)]
    fn pid(&self) -> u32 {
        // SAFETY: the thread is typed; the member is an integer.
        unsafe { typed(self.thread, offset!(task_tgid)) }
    }

    /// The body, to be filled completely.
    #[inline(always)]
    fn body<T>(&self) -> *mut T {
        let frame = Frame {
            scratch: self.scratch,
        };
        frame.body()
    }

    /// Writes what was put together, whose first `len` bytes but the header are complete.
    #[inline(always)]
    fn write(&self, kind: Kind, flags: Flags, table: u64, len: u64) {
        // SAFETY: the scratch is ours, and it has room for more than the masked length; the thread is
        // typed and the members have these types.
        unsafe {
            let frame = (&raw mut (*self.scratch).frame).cast::<u8>();
            let header = frame.cast::<Header>();
            (*header).len = len as u32;
            (*header).kind = kind;
            (*header).flags = flags;
            (*header).number = table;
            (*header).start = (*self.task).start;
            (*header).result = 0;
            (*header).cpu = NO_CPU;
            (*header).pid = self.pid();
            (*header).tid = typed(self.thread, offset!(task_pid));
            (*header).lineage = (*self.task).lineage;
            (*header).exec = (*self.task).exec;
            (*header).ruling = Ruling::NONE;
            (*header).outcome = Outcome::UNGOVERNED;
            (*header).generation = 0;
            (*header).judged_len = 0;
            (*header).judged_at = 0;
            let comm = (&raw mut (*header).comm).cast::<u64>();
            comm.write(typed(self.thread, offset!(task_comm)));
            comm.add(1)
                .write(typed(self.thread, offset!(task_comm) + 8));
            store(frame.add(mask_frame(len) as usize), 0);
            let padded = len.next_multiple_of(FOUND_ALIGN as u64);
            bpf_seq_write(self.output.cast(), frame.cast(), mask_frame(padded) as u32);
        }
    }

    /// Notes the moment. What is checked after it was so at that moment.
    #[inline(always)]
    fn note_time(&self) {
        // SAFETY: the scratch is ours; the helper takes nothing.
        unsafe {
            let header = (&raw mut (*self.scratch).frame).cast::<Header>();
            (&raw mut (*header).time).write_volatile(bpf_ktime_get_boot_ns());
        }
    }
}

/// `struct bpf_iter__task_file { struct bpf_iter_meta *meta; struct task_struct *task; u32 fd;
/// struct file *file; }`
/// ([`kernel/bpf/task_iter.c`](https://elixir.bootlin.com/linux/v6.12/source/kernel/bpf/task_iter.c#L363)).
///
/// Once for each descriptor of each process of the host, and of each thread that has descriptors of
/// its own. The kernel holds the file meanwhile.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
fn descriptors(ctx: *const c_void) -> i32 {
    // SAFETY: the context is as above; the verifier knows its types.
    unsafe {
        let meta = *ctx.cast::<Typed>();
        let thread = *ctx.cast::<Typed>().add(1);
        let fd = *ctx.cast::<u32>().add(4);
        let file = *ctx.cast::<Typed>().add(3);
        if thread.is_null() || file.is_null() {
            return 0;
        }
        if let Some(look) = Look::begin(meta, thread) {
            let _ = descriptor(&look, fd, file as u64);
        }
    }
    0
}

#[inline(always)]
fn descriptor(look: &Look, fd: u32, file: u64) -> Option<()> {
    // SAFETY: the thread is typed; the member is a pointer.
    let table: u64 = unsafe { typed(look.thread, offset!(task_files)) };
    let identity = facts::identity(file)?;
    let (kind, flags, len) = if socket::is_socket(identity.mode) {
        let len = found_socket(look, fd, file);
        (Kind::NET_SNAPSHOT, Flags(0), len)
    } else {
        let (flags, len) = found_file(look, fd, file)?;
        (Kind::FILE_SNAPSHOT, flags, len)
    };
    look.note_time();
    // Whoever closed or replaced it meanwhile did so before or after that moment, and only after it
    // has a frame of it a later time. What is there now is told when it is used.
    if task::file(task::files(look.thread), fd as i32) != Some(file) {
        return None;
    }
    look.write(kind, flags, table, len);
    Some(())
}

/// Fills the body with a file; its flags and the length of the whole.
#[inline(never)]
fn found_file(look: &Look, fd: u32, file: u64) -> Option<(Flags, u64)> {
    let (flags, path_len, host) = file_and_path(look, file, FILE_PATH, false)?;
    let body = look.body::<FoundFile>();
    // SAFETY: the scratch is ours.
    unsafe {
        let facts = &mut (*look.scratch).facts;
        if task::closes_on_exec(task::files(look.thread), fd) == Some(true) {
            facts.flags |= CLOSE_ON_EXEC;
        }
        facts.fill(&raw mut (*body).file, fd as i32, path_len);
        (*body).file.host = host;
        let len = FILE_PATH + path_len + u64::from(host.len);
        let other = other::append(look.scratch, file, look.pid(), len);
        (*body).file.other_len = other as u32;
        (*body).position = crate::read::untyped(file + offset!(file_pos) as u64).unwrap_or(0);
        Some((flags, len + other))
    }
}

/// Reads a file and appends its path, and how the host sees it, at `at`.
///
/// The process is not stopped meanwhile. Its root is looked at again afterwards: a path that was
/// walked to a root that was not the process's any more would be another's.
#[inline(always)]
fn file_and_path(look: &Look, file: u64, at: u64, mapped: bool) -> Option<(Flags, u64, HostPath)> {
    path::set_root(look.scratch, look.thread)?;
    let root = path::root(look.scratch);
    // SAFETY: the scratch is ours.
    unsafe {
        let facts = &mut (*look.scratch).facts;
        let sb = (*look.scratch).walk.root_sb;
        let read = if mapped {
            facts.read_mapped(file, sb)
        } else {
            facts.read(file, sb)
        };
        if !read {
            return None;
        }
        let (path_len, mut flags) = path::append_here(look.scratch, at, facts.mnt, facts.dentry);
        let host = host::append_here(look.scratch, at + path_len, flags);
        path::set_root(look.scratch, look.thread)?;
        if path::root(look.scratch) != root {
            flags = flags.with(Flags::PATH_CUT);
        }
        Some((flags, path_len, host))
    }
}

/// Fills the body with a socket; the length of the whole.
#[inline(never)]
fn found_socket(look: &Look, fd: u32, file: u64) -> u64 {
    let body = look.body::<Socket>();
    // SAFETY: the body is ours.
    unsafe {
        socket::clear(body);
        (*body).fd = fd as i32;
        endpoints::describe(look.scratch, body, file);
        NAMES + u64::from((*body).local_len) + u64::from((*body).peer_len)
    }
}

/// `struct bpf_iter__task_vma { struct bpf_iter_meta *meta; struct task_struct *task;
/// struct vm_area_struct *vma; }`
/// ([`kernel/bpf/task_iter.c`](https://elixir.bootlin.com/linux/v6.12/source/kernel/bpf/task_iter.c#L753)).
///
/// Once for each mapping of each process of the host. The kernel holds the lock of the address space
/// meanwhile.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_vma")]
fn mappings(ctx: *const c_void) -> i32 {
    // SAFETY: the context is as above; the verifier knows its types.
    unsafe {
        let meta = *ctx.cast::<Typed>();
        let thread = *ctx.cast::<Typed>().add(1);
        let vma = *ctx.cast::<Typed>().add(2);
        if thread.is_null() || vma.is_null() {
            return 0;
        }
        let Some(file) = follow(vma, offset!(vma_file)) else {
            return 0;
        };
        if let Some(look) = Look::begin(meta, thread) {
            let _ = mapping(&look, vma, file as u64);
        }
    }
    0
}

#[inline(always)]
fn mapping(look: &Look, vma: Typed, file: u64) -> Option<()> {
    let (flags, path_len, host) = file_and_path(look, file, MAP_PATH, true)?;
    let body = look.body::<FoundMap>();
    // SAFETY: the scratch is ours, the pointers are typed, and the members have these types.
    unsafe {
        let facts = &(*look.scratch).facts;
        facts.fill(&raw mut (*body).file, -1, path_len);
        (*body).file.host = host;
        (*body).start = typed(vma, offset!(vma_start));
        (*body).end = typed(vma, offset!(vma_end));
        let page: u64 = typed(vma, offset!(vma_pgoff));
        (*body).offset = page << (offset!(derived.page_shift) & 63);
        (*body).flags = typed(vma, offset!(vma_flags));
        let space: u64 = typed(look.thread, offset!(task_mm));
        look.note_time();
        let len = MAP_PATH + path_len + u64::from(host.len);
        look.write(Kind::MAP_SNAPSHOT, flags, space, len);
    }
    Some(())
}
