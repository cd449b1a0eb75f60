//! The same events, seen where a probe cannot be preempted.
//!
//! From Linux 7.0 on the hooks that take typed arguments run preemptibly
//! ([a46023d5616e](https://git.kernel.org/linus/a46023d5616e)). A task can then be taken off its CPU in
//! the middle of a probe, and the kernel skips the probe for whoever runs there until it is back
//! (`kernel/trace/bpf_trace.c`, `__bpf_trace_run`). The hooks of trace events still run with
//! preemption disabled ([16718274ee75](https://git.kernel.org/linus/16718274ee75)), so the agent
//! attaches to these there. They cost more, because the kernel writes an event first, and they tell
//! less: of a process just created its number only, and of a new image the names but not the
//! structure they are in.

use aya_ebpf::{
    EbpfContext,
    helpers::generated::{bpf_probe_read_kernel_str, bpf_task_pt_regs},
    macros::tracepoint,
    programs::TracePointContext,
};
use lineage_common::{
    frame::{Flags, Kind},
    limits::INTERPRETER_BYTES,
};

use crate::{
    atomic::{add, fetch_add_half},
    emit::{self, Frame},
    maps::{self, INTERPRETERS, Interpreter},
    probes::{
        newborn,
        process_exec::{self, Image},
        process_exit,
        process_fork::{self, Child},
        syscall,
    },
    read::{Typed, follow, number, offset, typed, user},
    skip::Skip,
    task::{self, Actor},
};

/// Where `raw_syscalls:sys_exit` has the number and the result; the agent compares it with the
/// event's format.
const NUMBER: usize = 8;
const RESULT: usize = 16;

/// A name as long as this cannot have an interpreter of another name in the same event:
/// `PERF_MAX_TRACE_SIZE` (`include/linux/trace_events.h`) is 8192 bytes for both, and interpreters
/// are shorter than [`INTERPRETER_BYTES`]. The kernel drops an event that is larger,
/// and warns of it once (`perf_trace_buf_alloc`, `kernel/trace/trace_event_perf.c`).
const NAMES_BYTES_MAX: u32 = 8192;

/// `raw_syscalls:sys_exit`: `long id`, `long ret`.
#[tracepoint]
pub(crate) fn guarded_sys_exit(ctx: TracePointContext) -> u32 {
    let event = ctx.as_ptr().cast::<u8>();
    // SAFETY: both words are in the event.
    let (number, result) = unsafe {
        (
            event.add(NUMBER).cast::<u64>().read_volatile(),
            event.add(RESULT).cast::<i64>().read_volatile(),
        )
    };
    let _ = syscall::returned(number, result, |actor| {
        // SAFETY: the thread is typed; its registers always exist.
        unsafe { bpf_task_pt_regs(actor.thread.cast_mut().cast()) as Typed }
    });
    0
}

/// `sched:sched_process_fork`: names and numbers of the creator and of the new task.
#[tracepoint]
pub(crate) fn guarded_fork(ctx: TracePointContext) -> u32 {
    // SAFETY: the agent took the offset from the event's format.
    let Ok(tid) = (unsafe { ctx.read_at::<u32>(offset!(derived.event_child_pid)) }) else {
        return 0;
    };
    let creator = task::current();
    if newborn::find(creator, tid).and_then(forked).is_none() {
        not_found();
    }
    0
}

#[inline(always)]
fn forked(child: Child) -> Option<()> {
    let thread = number(child.thread as Typed)?;
    process_fork::forked(thread, child.start, child.pid, child.tid);
    Some(())
}

/// Counts a new task that was not found: a record is missing, and perhaps a process is not followed.
#[inline(never)]
fn not_found() {
    if let Some(switch) = maps::attaching() {
        // SAFETY: map values live as long as the program.
        unsafe { fetch_add_half(&raw mut (*switch).links_missed, 1) };
    }
    if Actor::current().is_err() {
        return;
    }
    let cpu = maps::cpu();
    emit::lost(cpu, Kind::FORK);
    if let Some(counters) = maps::counters(cpu) {
        // SAFETY: map values live as long as the program.
        unsafe { add(&raw mut (*counters).tasks_full, 1) };
    }
}

/// `sched:sched_prepare_exec`, since 6.10: names, when it is known who will be the interpreter and
/// the new image is about to be put in place.
#[tracepoint]
pub(crate) fn guarded_prepare(ctx: TracePointContext) -> u32 {
    let _ = prepared(&ctx);
    0
}

#[inline(always)]
fn prepared(ctx: &TracePointContext) -> Result<(), Skip> {
    let actor = Actor::current()?;
    let (name, len) = text(ctx, offset!(derived.event_interp)).ok_or(Skip::Unreadable)?;
    let frame = Frame::take(Kind::EXEC)?;
    // SAFETY: the scratch is ours until it is released.
    let place = unsafe { (&raw mut (*frame.scratch).frame).cast::<Interpreter>() };
    // SAFETY: the scratch is ours until it is released, and larger than a name.
    unsafe {
        (*place)[0] = 0;
        // A longer one is no interpreter's: it is the name of the program itself.
        if len as usize <= INTERPRETER_BYTES {
            bpf_probe_read_kernel_str(place.cast(), INTERPRETER_BYTES as u32, name as *const _);
        }
        let name: &Interpreter = &*place;
        let _ = INTERPRETERS.insert(actor.pid(), name, 0);
    }
    frame.release();
    Ok(())
}

/// Kernel address and length with its NUL of a text in the event, whose locator is at `at`
/// (`__data_loc`: the offset in the lower half, the length in the upper).
#[inline(always)]
fn text(ctx: &TracePointContext, at: usize) -> Option<(u64, u32)> {
    // SAFETY: the agent took the offset from the event's format.
    let locator: u32 = unsafe { ctx.read_at(at) }.ok()?;
    Some((
        ctx.as_ptr() as u64 + u64::from(locator & 0xffff),
        locator >> 16,
    ))
}

/// `sched:sched_process_exec`: the name the new image was executed by.
#[tracepoint]
pub(crate) fn guarded_exec(ctx: TracePointContext) -> u32 {
    if let Ok(actor) = process_exec::executed(|actor| image(actor, &ctx)) {
        let _ = INTERPRETERS.remove(actor.pid());
    }
    0
}

#[inline(always)]
fn image(actor: &Actor, ctx: &TracePointContext) -> Option<Image> {
    let (filename, len) = text(ctx, offset!(derived.event_filename))?;
    let interpreter = INTERPRETERS
        .get_ptr(actor.pid())
        .map_or(core::ptr::null(), <*const Interpreter>::cast::<u8>);
    let known = !interpreter.is_null() || len > NAMES_BYTES_MAX / 2 - 64;
    // SAFETY: a thread is typed, and the members have these types.
    let stack: u64 = unsafe {
        let mm = follow(actor.thread, offset!(task_mm))?;
        typed(mm, offset!(mm_start_stack))
    };
    // The kernel puts the number of arguments where the stack begins (`create_elf_tables` in
    // `fs/binfmt_elf.c`); a 32-bit program's is half a word.
    let argc: Option<u32> = user(stack);
    let mut flags = if known { Flags(0) } else { Flags::PATH_CUT };
    if argc.is_none() {
        flags = flags.with(Flags::ARGV_CUT);
    }
    Some(Image {
        filename: filename as Typed,
        interpreter,
        argc: argc.unwrap_or(0),
        flags,
    })
}

/// `sched:sched_process_exit`.
#[tracepoint]
pub(crate) fn guarded_exit(_ctx: TracePointContext) -> u32 {
    if let Some(pid) = process_exit::ended(task::current()) {
        // There is one when the process was killed while it executed something.
        let _ = INTERPRETERS.remove(pid);
    }
    0
}
