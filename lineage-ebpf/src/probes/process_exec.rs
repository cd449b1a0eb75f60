//! Programs executed, and executions that failed.

use core::{ffi::c_void, ptr};

use aya_ebpf::{
    helpers::generated::{bpf_get_current_cgroup_id, bpf_loop},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use lineage_common::{
    frame::{Exec, Flags, HostPath, Kind},
    layout::Action,
    limits::{ARGUMENTS_MAX, ARGV_BYTES_MAX, PATH_BYTES_MAX},
    policy::Operation,
};

use crate::{
    auxv,
    descriptor::{self, Sweep},
    emit::{self, BODY, Frame, What},
    facts, hints, hook, host,
    judge::{self, Operations},
    maps::{self, Scratch},
    path::{self, AT_FDCWD},
    probes::{
        map,
        syscall::{Returned, argument},
    },
    read::{
        Typed, copy_kernel_string, copy_user, copy_user_string, follow, number, offset, typed, user,
    },
    skip::Skip,
    start,
    task::{self, Actor},
};

/// What is done to a program.
const EXECUTED: Operations = Operations::NONE.with(Operation::EXEC);

/// Where the byte strings of an exec begin.
const STRINGS: u64 = BODY + size_of::<Exec>() as u64;

/// `TP_PROTO(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`
/// ([`include/trace/events/sched.h`](https://elixir.bootlin.com/linux/v6.12/source/include/trace/events/sched.h#L399)).
///
/// Runs when the new image is in place and has not run yet: the credentials, the executable and
/// the argument block are the new ones.
#[btf_tracepoint(function = "sched_process_exec")]
pub(crate) fn process_exec(ctx: BtfTracePointContext) -> i32 {
    let bprm: Typed = ctx.arg(2);
    let _ = executed(|_| {
        // SAFETY: the argument is a `struct linux_binprm`; the members have these types.
        unsafe {
            let (filename, interpreter): (Typed, Typed) = (
                typed(bprm, offset!(bprm_filename)),
                typed(bprm, offset!(bprm_interp)),
            );
            Some(Image {
                filename,
                interpreter: if interpreter == filename {
                    ptr::null()
                } else {
                    interpreter
                },
                argc: typed(bprm, offset!(bprm_argc)),
                flags: Flags(0),
            })
        }
    });
    0
}

/// What of a new image is not to be had from the thread that has it.
pub(crate) struct Image {
    /// Kernel address of the name it was executed by.
    pub(crate) filename: Typed,
    /// That of its interpreter's name; null when there is none.
    pub(crate) interpreter: Typed,
    /// Number of arguments.
    pub(crate) argc: u32,
    /// What could not be had.
    pub(crate) flags: Flags,
}

/// The current thread has a new image, which `image` describes when asked.
#[inline(always)]
pub(crate) fn executed(image: impl FnOnce(&Actor) -> Option<Image>) -> Result<Actor, Skip> {
    let actor = Actor::current()?;
    let image = image(&actor);
    descriptor::sweep(0, u32::MAX, Sweep::EXEC.0);
    // SAFETY: the entry of a tracked process stays while one of its threads runs; the others have
    // ended when an exec succeeds.
    unsafe {
        (*actor.task).exec += 1;
        (*actor.task).shared = 0;
        (*actor.task).threads = 1;
        (*actor.task).execmem = 0;
    }
    let Some(image) = image else {
        emit::lost(maps::cpu(), Kind::EXEC);
        return Ok(actor);
    };
    let (filename, interpreter) = (number(image.filename), number(image.interpreter));
    let flags = u32::from(image.flags.0);
    record_exec(
        filename.unwrap_or(0),
        interpreter.unwrap_or(0),
        image.argc,
        flags,
    );
    let _ = map::interpreter(&actor);
    Ok(actor)
}

/// Records the new image; 0 when it is recorded. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn record_exec(filename: u64, interpreter: u64, argc: u32, flags: u32) -> u64 {
    let Ok(actor) = Actor::current() else {
        return 1;
    };
    let image = Image {
        filename: filename as Typed,
        interpreter: interpreter as Typed,
        argc,
        flags: Flags(flags as u16),
    };
    u64::from(record(&actor, &image).is_err())
}

#[inline(always)]
fn record(actor: &Actor, image: &Image) -> Result<(), Skip> {
    let frame = Frame::take(Kind::EXEC)?;
    // SAFETY: the scratch is ours until it is released.
    unsafe { (*frame.scratch).lineage = (*actor.task).lineage };
    let Some((len, flags)) = fill(&frame, actor.thread, image) else {
        frame.release();
        return Err(emit::lost(maps::cpu(), Kind::EXEC));
    };
    let what = What {
        kind: Kind::EXEC,
        flags,
        result: 0,
    };
    frame.send(actor, what, len);
    Ok(())
}

/// Fills the body and its strings; returns the frame's length and flags.
#[inline(always)]
fn fill(frame: &Frame, thread: Typed, image: &Image) -> Option<(u64, Flags)> {
    let scratch = frame.scratch;
    let body = frame.body::<Exec>();
    // SAFETY: the arguments are typed, the members have these types, the body is ours.
    unsafe {
        credentials(body, thread)?;
        let mm = follow(thread, offset!(task_mm))?;
        let exe: u64 = typed(mm, offset!(mm_exe_file));
        let fs = path::set_root(scratch, thread)?;
        if !facts::read(scratch, exe) {
            return None;
        }
        let facts = &(*scratch).facts;
        (*body).ino = facts.ino;
        (*body).dev = facts.dev;
        (*body).mode = facts.mode;
        (*body).version = facts.version;
        (*body).argc = image.argc;
        (*body).cgroup = bpf_get_current_cgroup_id();

        let mut at = STRINGS;
        let (exe_len, flags) = path::append(scratch, at, facts.mnt, facts.dentry);
        let mut flags = flags.with(image.flags);
        if auxv::value(mm, auxv::SECURE).is_some_and(|value| value != 0) {
            flags = flags.with(Flags::SECURE_EXEC);
        }
        (*body).exe_len = exe_len as u32;
        at += exe_len;
        let alike = host::seen_alike(scratch, flags);
        hook::taken(scratch);
        if alike && judge::is_undecided(scratch) {
            judge::path(scratch, EXECUTED, HostPath::SAME.view, flags);
        }

        let mnt = typed(fs, offset!(fs_pwd_mnt));
        let dentry = typed(fs, offset!(fs_pwd_dentry));
        let (cwd_len, cwd_flags) = path::append(scratch, at, mnt, dentry);
        (*body).cwd_len = cwd_len as u32;
        at += cwd_len;
        if cwd_flags.has(Flags::PATH_CUT) {
            flags = flags.with(Flags::CWD_CUT);
        }

        let (names, cut) = names(frame, at, image);
        at += names;
        if cut {
            flags = flags.with(Flags::PATH_CUT);
        }

        let kept = argument_block(frame, at, mm);
        if u64::from(kept) < (*body).argv_bytes {
            flags = flags.with(Flags::ARGV_CUT);
        }
        at += u64::from(kept);
        let (start, end) = (
            typed(mm, offset!(mm_env_start)),
            typed(mm, offset!(mm_env_end)),
        );
        let hints_len = hints::append_hints((*scratch).cpu, at, start, end);
        (*body).hints_len = hints_len as u32;
        (*body).reserved = 0;
        at += hints_len;
        (*body).host = host::append(scratch, at, flags);
        if !alike && judge::is_undecided(scratch) {
            judge::path(scratch, EXECUTED, walked(&(*body).host), flags);
        }
        Some((at + u64::from((*body).host.len), flags))
    }
}

/// How the host sees the program of a process with another root. Where nothing was walked for that, what was walked last is the
/// working directory.
#[inline(always)]
fn walked(host: &HostPath) -> u16 {
    if host.view == HostPath::SAME.view {
        HostPath::NOWHERE
    } else {
        host.view
    }
}

/// Appends the names by which the kernel was asked to execute the image; how long they are, and whether the first was cut.
#[inline(always)]
unsafe fn names(frame: &Frame, at: u64, image: &Image) -> (u64, bool) {
    let scratch = frame.scratch;
    let body = frame.body::<Exec>();
    // SAFETY: the scratch and the body are the caller's.
    unsafe {
        let room = PATH_BYTES_MAX as u64;
        let (mut all, cut) = copy_kernel_string(scratch, at, image.filename as u64, room);
        (*body).filename_len = all as u32;
        (*body).interpreter_len = 0;
        if !image.interpreter.is_null() {
            let from = image.interpreter as u64;
            let (len, _) = copy_kernel_string(scratch, at + all, from, room);
            (*body).interpreter_len = len as u32;
            all += len;
        }
        (all, cut)
    }
}

/// Appends the argument block of the memory at `mm` and fills in how long it is; returns how much of
/// it was kept.
#[inline(always)]
unsafe fn argument_block(frame: &Frame, at: u64, mm: Typed) -> u32 {
    // SAFETY: the argument is typed and the members have these types; the scratch is ours.
    unsafe {
        let start: u64 = typed(mm, offset!(mm_arg_start));
        let end: u64 = typed(mm, offset!(mm_arg_end));
        let all = end.saturating_sub(start);
        let kept = all.min(ARGV_BYTES_MAX as u64);
        let kept = if copy_user(frame.scratch, at, start, kept) {
            kept
        } else {
            0
        };
        let body = frame.body::<Exec>();
        (*body).argv_bytes = all;
        (*body).argv_len = kept as u32;
        kept as u32
    }
}

/// Credentials and namespaces of the process.
#[inline(always)]
unsafe fn credentials(body: *mut Exec, thread: Typed) -> Option<()> {
    // SAFETY: the argument is typed and the members have these types.
    unsafe {
        let cred = follow(thread, offset!(task_cred))?;
        (*body).uid = typed(cred, offset!(cred_uid));
        (*body).gid = typed(cred, offset!(cred_gid));
        (*body).euid = typed(cred, offset!(cred_euid));
        (*body).egid = typed(cred, offset!(cred_egid));
        let user_ns = follow(cred, offset!(cred_user_ns))?;
        (*body).user_ns = typed(user_ns, offset!(user_ns_inum));
        let nsproxy = follow(thread, offset!(task_nsproxy))?;
        let mnt_ns = follow(nsproxy, offset!(nsproxy_mnt_ns))?;
        (*body).mnt_ns = typed(mnt_ns, offset!(mnt_ns_inum));
        let net_ns = follow(nsproxy, offset!(nsproxy_net_ns))?;
        (*body).net_ns = typed(net_ns, offset!(net_inum));
        let (ns_pid, pid_ns) = task::own_number(thread as u64)?;
        (*body).ns_pid = ns_pid;
        (*body).pid_ns = pid_ns;
    }
    Some(())
}

/// A call of the exec family that failed: all there is of it is what the caller asked for.
#[inline(never)]
pub(crate) fn failed(actor: &Actor, call: &Returned, action: Action) -> Result<(), Skip> {
    if call.result >= 0 {
        return Err(Skip::Untraced);
    }
    let (path, arguments, dirfd) = if action == Action::EXECVE {
        (argument!(call, 0), argument!(call, 1), AT_FDCWD)
    } else {
        let dirfd = argument!(call, 0) as i32;
        (argument!(call, 1), argument!(call, 2), dirfd)
    };
    let frame = Frame::take(Kind::EXEC)?;
    let scratch = frame.scratch;
    hook::taken(scratch);
    let start_len = if start::is_relative(path) {
        start::append_whole(scratch, dirfd, STRINGS)
    } else {
        0
    };
    let at = STRINGS + start_len;
    let (filename_len, cut) = copy_user_string(scratch, at, path, PATH_BYTES_MAX as u64);
    let (argc, argv_len, argv_cut) = argv(scratch, at + filename_len, arguments);
    let body = frame.body::<Exec>();
    // SAFETY: the body is ours until the frame is sent.
    unsafe {
        clear(body);
        (*body).argv_bytes = argv_len;
        (*body).argc = argc;
        (*body).cwd_len = start_len as u32;
        (*body).filename_len = filename_len as u32;
        (*body).argv_len = argv_len as u32;
    }
    let mut flags = Flags::CLAIMED;
    if cut {
        flags = flags.with(Flags::PATH_CUT);
    }
    if argv_cut {
        flags = flags.with(Flags::ARGV_CUT);
    }
    let what = What {
        kind: Kind::EXEC,
        flags,
        result: call.result,
    };
    frame.send(actor, what, at + filename_len + argv_len);
    Ok(())
}

#[inline(always)]
unsafe fn clear(body: *mut Exec) {
    // SAFETY: the caller's body: whole words, its size is a multiple of them.
    unsafe {
        let words = body.cast::<[u64; size_of::<Exec>() / 8]>();
        *words = [0; size_of::<Exec>() / 8];
    }
}

/// State of the copying of arguments. Lives in [`Scratch`], for the same reason as the walk's.
#[repr(C)]
pub(crate) struct Arguments {
    /// Address of the next pointer.
    next: u64,
    /// Where in the frame the next argument goes.
    at: u64,
    /// Where the first one went.
    start: u64,
    count: u64,
    /// 1 when the last argument was reached.
    ended: u64,
}

/// Copies the caller's arguments to the frame at `at`; their number, their bytes, whether cut.
#[inline(always)]
fn argv(scratch: *mut Scratch, at: u64, address: u64) -> (u32, u64, bool) {
    // SAFETY: the scratch is ours; the callback gets it by way of our stack.
    unsafe {
        let state = &raw mut (*scratch).arguments;
        (*state).next = address;
        (*state).at = at;
        (*state).start = at;
        (*state).count = 0;
        (*state).ended = 0;
        let mut context = scratch;
        bpf_loop(
            ARGUMENTS_MAX,
            argument_copied as *mut c_void,
            (&raw mut context).cast(),
            0,
        );
        let len = (*state).at - (*state).start;
        ((*state).count as u32, len, (*state).ended == 0)
    }
}

unsafe extern "C" fn argument_copied(_index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the context is the pointer that `argv` holds on its stack.
    let scratch = unsafe { *context.cast::<*mut Scratch>() };
    // SAFETY: the scratch is ours until it is released.
    unsafe {
        let state = &raw mut (*scratch).arguments;
        let Some(from) = user::<u64>((*state).next) else {
            return 1;
        };
        if from == 0 {
            (*state).ended = 1;
            return 1;
        }
        let used = (*state).at - (*state).start;
        if used + PATH_BYTES_MAX as u64 > ARGV_BYTES_MAX as u64 {
            return 1;
        }
        let (len, cut) = copy_user_string(scratch, (*state).at, from, PATH_BYTES_MAX as u64);
        if cut {
            return 1;
        }
        (*state).at += len + 1;
        (*state).count += 1;
        (*state).next += 8;
        0
    }
}
