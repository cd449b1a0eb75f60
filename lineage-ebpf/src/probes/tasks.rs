//! The table of processes, on request.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_seq_write;
use lineage_common::task::Listed;

use crate::{
    host, maps,
    read::{Typed, follow, offset, typed},
    task::{current_pid, own_number},
    tracked,
};

/// `struct bpf_iter__task { struct bpf_iter_meta *meta; struct task_struct *task; }`
/// ([`kernel/bpf/task_iter.c`](https://elixir.bootlin.com/linux/v6.12/source/kernel/bpf/task_iter.c#L206)).
///
/// The agent reads its output like a file: one [`Listed`] per process. Unlike procfs it gives the
/// start to the nanosecond, which is what identifies a process everywhere else. On the way the
/// agent's root is noted, which is the host's.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
fn tasks(ctx: *const c_void) -> i32 {
    // SAFETY: the context is as above; the verifier knows its types.
    unsafe {
        let meta = *ctx.cast::<Typed>();
        let task = *ctx.cast::<Typed>().add(1);
        if task.is_null() {
            return 0;
        }
        list(*meta.cast(), task);
    }
    0
}

/// Whether all threads of the leader `task` have ended: a thread becomes a zombie after the exit
/// probe, and all but the leader are gone after that.
#[inline(always)]
unsafe fn over(task: Typed, signal: Typed) -> bool {
    // SAFETY: the arguments are typed and the members have these types.
    unsafe {
        let state: u32 = typed(task, offset!(task_exit_state));
        let threads: u32 = typed(signal, offset!(signal_nr_threads));
        state != 0 && threads <= 1
    }
}

#[inline(always)]
unsafe fn list(output: *mut c_void, task: Typed) -> Option<()> {
    // SAFETY: `task` is typed and the members have these types.
    unsafe {
        let (pid, tid): (u32, u32) = (
            typed(task, offset!(task_tgid)),
            typed(task, offset!(task_pid)),
        );
        if pid != tid {
            return None;
        }
        if pid == current_pid() {
            host::note(task);
        }
        let parent = follow(task, offset!(task_real_parent))?;
        let signal = follow(task, offset!(task_signal))?;
        let (ns_pid, pid_ns) = own_number(task as u64).unwrap_or((0, 0));
        let (tracked, lineage) = match tracked::task(pid) {
            Some(entry) => {
                // In place: the probes write to other members meanwhile.
                if let Some(to) = maps::moved_to(pid, (*entry).start) {
                    (&raw mut (*entry).lineage).write_volatile(to);
                }
                ((*entry).start, (*entry).lineage)
            }
            None => (0, 0),
        };
        let listed = Listed {
            start: typed(task, offset!(task_start_boottime)),
            pid,
            parent: typed(parent, offset!(task_tgid)),
            live: u32::from(!over(task, signal)),
            ns_pid,
            pid_ns,
            lineage,
            tracked,
        };
        bpf_seq_write(
            output.cast(),
            (&raw const listed).cast(),
            size_of::<Listed>() as u32,
        );
    }
    Some(())
}
