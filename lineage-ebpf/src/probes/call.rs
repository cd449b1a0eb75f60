//! Calls that are recorded as they are: which one, its arguments, what they name, and its result.
//!
//! What a name leads to the kernel does not keep until the call returns, so a name is the caller's
//! claim; the directory it starts from, and what a descriptor leads to, are the kernel's.

mod judged;

use lineage_common::{
    calls::Shape,
    frame::{Call, Credentials, Flags, Kind, Namespaces, Other},
    layout::Action,
    limits::PATH_BYTES_MAX,
    policy::Named,
};

use crate::{
    emit::{BODY, Frame, What},
    hook, judge,
    maps::{self, Scratch},
    namespaces, other,
    path::AT_FDCWD,
    probes::{
        ioctl,
        syscall::{Returned, argument},
    },
    read::{Typed, copy_user_string, follow, mask_frame, offset, same, typed, user},
    skip::Skip,
    start,
    task::{self, Actor},
};

/// Where the names begin in a frame.
const NAMES: u64 = BODY + size_of::<Call>() as u64;

/// Longest text that is no path.
const TEXT_BYTES_MAX: u64 = 256;

/// Records a call whose action has a shape.
#[inline(never)]
pub(crate) fn returned(actor: &Actor, call: &Returned, action: Action) -> Result<(), Skip> {
    let action = if action == Action::IOCTL {
        ioctl::action(actor, call)
    } else {
        action
    };
    if !wanted(actor, call, action) {
        return Err(Skip::Untraced);
    }
    let shape = maps::shape(action).ok_or(Skip::Untraced)?;
    let frame = Frame::take(Kind::CALL)?;
    let body = frame.body::<Call>();
    clear(body, call);
    hook::taken(frame.scratch);
    // SAFETY: the body is ours until the frame is sent.
    unsafe {
        let relation = process(body, actor, shape, action);
        let own = (*body).other.pid == actor.pid();
        if own && others_only(action) && !to_group(body, action) {
            frame.release();
            return Err(Skip::Untraced);
        }
        judged::call(&frame, actor, call, action, relation);
    }
    let mut claimed = Flags(0);
    if action == Action::IOCTL_TWO {
        let other = ioctl::other(call);
        if other.claimed {
            claimed = Flags::CLAIMED;
        }
        // SAFETY: the body is ours until the frame is sent.
        unsafe { (*body).arguments[2] = u64::from(other.fd as u32) };
    }
    let mut at = NAMES;
    if call.result >= 0 {
        // SAFETY: the scratch and the body are ours until the frame is sent.
        unsafe {
            let len = state(frame.scratch, actor.thread, shape.state);
            (*body).state_len = len as u32;
            at += len;
        }
    }
    let strings = at;
    let (at, flags) = names(&frame, shape, at);
    if judge::is_undecided(frame.scratch)
        && call.result >= 0
        && let Some(operation) = maps::judged_call(call.number)
    {
        // SAFETY: the scratch is ours until the frame is sent, and the strings are complete.
        unsafe {
            (*frame.scratch).lineage = (*actor.task).lineage;
            judged::names(
                frame.scratch,
                judged::bases(shape, operation),
                strings,
                at,
                flags,
            );
        }
    }
    let what = What {
        kind: Kind::CALL,
        flags: flags.with(claimed),
        result: call.result,
    };
    frame.send(actor, what, at);
    Ok(())
}

/// The arguments, and nothing else yet.
#[inline(always)]
fn clear(body: *mut Call, call: &Returned) {
    let arguments = [
        argument!(call, 0),
        argument!(call, 1),
        argument!(call, 2),
        argument!(call, 3),
        argument!(call, 4),
        argument!(call, 5),
        i64::from(AT_FDCWD) as u64,
        call.result as u64,
    ];
    // SAFETY: the body is the caller's until the frame is sent.
    unsafe {
        (*body).arguments = arguments;
        (*body).ino = 0;
        (*body).fs_magic = 0;
        (*body).dev = 0;
        (*body).mode = 0;
        (*body).number = call.number;
        (*body).reserved = 0;
        (*body).base_len = 0;
        (*body).name_len = 0;
        (*body).target_base_len = 0;
        (*body).target_len = 0;
        (*body).text_len = 0;
        (*body).state_len = 0;
    }
}

/// Appends both paths and the text to the frame at `at`; returns where it ends and the flags.
#[inline(always)]
fn names(frame: &Frame, shape: Shape, at: u64) -> (u64, Flags) {
    let body = frame.body::<Call>();
    let mut at = at;
    // SAFETY: the scratch and the body are ours until the frame is sent.
    unsafe {
        let lens = &raw mut (*body).base_len;
        let which = named(shape.base, shape.name);
        let mut flags = Flags(name(frame.scratch, which, at, lens) as u16);
        at += u64::from(*lens) + u64::from(*lens.add(1));

        let lens = &raw mut (*body).target_base_len;
        let which = named(shape.target_base, shape.target) | SECOND;
        let met = Flags(name(frame.scratch, which, at, lens) as u16);
        if met.has(Flags::PATH_CUT) {
            flags = flags.with(Flags::TARGET_CUT);
        }
        if met.has(Flags::CLAIMED) {
            flags = flags.with(Flags::CLAIMED);
        }
        at += u64::from(*lens) + u64::from(*lens.add(1));

        if shape.text < Shape::NONE {
            let from = (*body).arguments[usize::from(shape.text & 7)];
            let (len, cut) = copy_user_string(frame.scratch, at, from, TEXT_BYTES_MAX);
            (*body).text_len = len as u32;
            at += len;
            if from != 0 {
                flags = flags.with(Flags::CLAIMED);
                if cut {
                    flags = flags.with(Flags::TEXT_CUT);
                }
            }
        }
        (at, flags)
    }
}

/// More than any byte.
const UNREADABLE: u32 = 256;

/// Set in that word for the second path.
const SECOND: u64 = 1 << 16;

/// The arguments that are the base and the name, in one word: a function has few arguments.
#[inline(always)]
fn named(base: u8, name: u8) -> u64 {
    u64::from(base) | u64::from(name) << 8
}

/// Appends a base and a name to the frame at `at` and writes their lengths to `lens`; returns the
/// [`Flags`] met.
///
/// Not inlined: its stack is free again afterwards.
#[inline(never)]
unsafe fn name(scratch: *mut Scratch, which: u64, at: u64, lens: *mut u32) -> u64 {
    let (base, name) = (which & 0xff, which >> 8 & 0xff);
    if base >= u64::from(Shape::NONE) {
        return 0;
    }
    // SAFETY: the scratch is the caller's; an argument's position is masked to their number.
    unsafe {
        let body = (&raw mut (*scratch).frame)
            .cast::<u8>()
            .add(BODY as usize)
            .cast::<Call>();
        let dirfd = (*body).arguments[(base & 7) as usize] as i32;
        let from = if name < u64::from(Shape::NONE) {
            (*body).arguments[(name & 7) as usize]
        } else {
            0
        };
        let mut flags = Flags(0);
        let mut len = 0;
        // A number and not an option: LLVM would read what is not there.
        let first = match user::<u8>(from) {
            Some(byte) => u32::from(byte),
            None if from == 0 => 0,
            None => UNREADABLE,
        };
        if first == UNREADABLE {
            return u64::from(Flags::CLAIMED.with(Flags::PATH_CUT).0);
        }
        if first != u32::from(b'/') {
            let appended = start::append(scratch, dirfd, at);
            len = mask_frame(appended);
            flags = Flags((appended >> 32) as u16);
            if len != 0 && dirfd != AT_FDCWD && which & SECOND == 0 {
                let facts = &raw const (*scratch).facts;
                (*body).ino = (*facts).ino;
                (*body).fs_magic = (*facts).magic;
                (*body).dev = (*facts).dev;
                (*body).mode = (*facts).mode;
            }
        }
        *lens = len as u32;
        if first != 0 {
            let (name_len, cut) = copy_user_string(scratch, at + len, from, PATH_BYTES_MAX as u64);
            *lens.add(1) = name_len as u32;
            flags = flags.with(Flags::CLAIMED);
            if cut {
                flags = flags.with(Flags::PATH_CUT);
            }
        }
        u64::from(flags.0)
    }
}

/// Puts what the shape asks for of the process's state behind the body; returns its bytes.
#[inline(never)]
unsafe fn state(scratch: *mut Scratch, thread: Typed, which: u8) -> u64 {
    // SAFETY: the scratch is the caller's, and has room behind the body.
    unsafe {
        let place = (&raw mut (*scratch).frame).cast::<u8>().add(NAMES as usize);
        let done = match which {
            Shape::CREDENTIALS => {
                credentials(place.cast(), thread).map(|()| size_of::<Credentials>())
            }
            Shape::NAMESPACES => {
                namespaces::of_task(place.cast(), thread as u64).map(|()| size_of::<Namespaces>())
            }
            _ => None,
        };
        done.unwrap_or(0) as u64
    }
}

#[inline(always)]
unsafe fn credentials(to: *mut Credentials, thread: Typed) -> Option<()> {
    // SAFETY: the argument is typed and the members have these types.
    unsafe {
        let cred = follow(thread, offset!(task_cred))?;
        (*to).uid = typed(cred, offset!(cred_uid));
        (*to).gid = typed(cred, offset!(cred_gid));
        (*to).suid = typed(cred, offset!(cred_suid));
        (*to).sgid = typed(cred, offset!(cred_sgid));
        (*to).euid = typed(cred, offset!(cred_euid));
        (*to).egid = typed(cred, offset!(cred_egid));
        (*to).fsuid = typed(cred, offset!(cred_fsuid));
        (*to).fsgid = typed(cred, offset!(cred_fsgid));
        // Up to 6.2 a set is two half words, the lower one first: `struct kernel_cap_struct`.
        (*to).inheritable = set(cred, offset!(cred_inheritable));
        (*to).permitted = set(cred, offset!(cred_permitted));
        (*to).effective = set(cred, offset!(cred_effective));
        (*to).bounding = set(cred, offset!(cred_bounding));
        (*to).ambient = set(cred, offset!(cred_ambient));
        (*to).securebits = typed(cred, offset!(cred_securebits));
        let user_ns = follow(cred, offset!(cred_user_ns))?;
        (*to).user_ns = typed(user_ns, offset!(user_ns_inum));
    }
    Some(())
}

/// A set of capabilities, by halves, which every kernel allows.
#[inline(always)]
unsafe fn set(cred: Typed, offset: usize) -> u64 {
    // SAFETY: by contract of the caller.
    unsafe {
        let (low, high): (u32, u32) = (typed(cred, offset), typed(cred, offset + 4));
        u64::from(low) | u64::from(high) << 32
    }
}

/// `PR_*` (`include/uapi/linux/prctl.h`) that change what a process may do, who may look at it, or
/// what it seems to be: dumpable, keep capabilities, seccomp, bounding set, securebits, its memory
/// map, reaping, no new privileges, ambient capabilities, speculation, user dispatch, no execution of
/// what was writable, pointer authentication, shadow stacks.
const OPTIONS: u64 = bits(&[4, 8, 22, 24, 28, 35, 36, 38, 47, 53, 59, 60]);
const LATER_OPTIONS: u64 = bits(&[65 - 64, 75 - 64, 76 - 64]);
const OPTION_PTRACER: u64 = 0x5961_6d61;

/// `PTRACE_*` (`include/uapi/linux/ptrace.h`, `arch/x86/include/uapi/asm/ptrace-abi.h`): to be traced,
/// words and registers written, kill, attach, detach.
const REQUESTS: u64 = bits(&[0, 4, 5, 6, 8, 13, 15, 16, 17]);

/// Those that every architecture has: options, signal information, sets of registers, attach, mask of
/// signals, user dispatch, the system call itself.
const COMMON_REQUESTS: u64 = bits(&[0, 3, 5, 6, 0xb, 0x10, 0x12]);
const FIRST_COMMON: u64 = 0x4200;

const fn bits(positions: &[u32]) -> u64 {
    let mut bits = 0;
    let mut index = 0;
    while index < positions.len() {
        bits |= 1 << positions[index];
        index += 1;
    }
    bits
}

/// Whether a call of this action is worth a record.
#[inline(always)]
fn wanted(actor: &Actor, call: &Returned, action: Action) -> bool {
    let in_set = |set: u64, value: u64| value < 64 && set >> value & 1 != 0;
    match action {
        Action::PRCTL => {
            let option = u64::from(argument!(call, 0) as u32);
            in_set(OPTIONS, option)
                || in_set(LATER_OPTIONS, option.wrapping_sub(64))
                || option == OPTION_PTRACER
        }
        Action::PTRACE => {
            let request = argument!(call, 0);
            in_set(REQUESTS, request) || in_set(COMMON_REQUESTS, request.wrapping_sub(FIRST_COMMON))
        }
        Action::SIGNAL => argument!(call, 1) as u32 != 0 && !own(actor, argument!(call, 0)),
        Action::SIGNAL_THREAD => argument!(call, 2) as u32 != 0 && !own(actor, argument!(call, 0)),
        Action::SIGNAL_PIDFD => argument!(call, 1) as u32 != 0,
        // 0 is the caller.
        Action::OTHER => argument!(call, 0) as u32 != 0,
        Action::LIMITS => argument!(call, 0) as u32 != 0 && argument!(call, 2) != 0,
        Action::PRIORITY => argument!(call, 0) as u32 != 0 || argument!(call, 1) as u32 != 0,
        // Asks only.
        Action::PERSONALITY => argument!(call, 0) as u32 != u32::MAX,
        _ => true,
    }
}

/// Whether calls of this action are recorded only when they are about another process.
#[inline(always)]
fn others_only(action: Action) -> bool {
    matches!(
        action,
        Action::SIGNAL
            | Action::SIGNAL_THREAD
            | Action::SIGNAL_PIDFD
            | Action::OTHER
            | Action::OTHER_PIDFD
            | Action::LIMITS
            | Action::PRIORITY
    )
}

/// `PERF_FLAG_PID_CGROUP` (`include/uapi/linux/perf_event.h`): the id is a descriptor of a group.
const PERF_GROUP: u64 = 4;

/// `PTRACE_TRACEME` (`include/uapi/linux/ptrace.h`): the process is traced by its parent.
const TRACE_ME: u64 = 0;

/// `PIDFD_SIGNAL_PROCESS_GROUP` (`include/uapi/linux/pidfd.h`).
pub(crate) const SIGNAL_GROUP: u32 = 4;

/// Whether a signal goes to the group whose first process a descriptor is of.
#[inline(always)]
unsafe fn to_group(body: *mut Call, action: Action) -> bool {
    // SAFETY: the body is the caller's.
    action == Action::SIGNAL_PIDFD && unsafe { (*body).arguments[3] } as u32 & SIGNAL_GROUP != 0
}

/// Fills in which process the call is about; how that stands to the acting one, as a number of [`Named`].
#[inline(never)]
unsafe fn process(body: *mut Call, actor: &Actor, shape: Shape, action: Action) -> u64 {
    // SAFETY: the body is the caller's; an argument's position is masked to their number.
    unsafe {
        (*body).other = Other::default();
        if shape.process == Shape::NONE {
            return Named::NONE.0.into();
        }
        let argument = (*body).arguments[usize::from(shape.process & 7)] as i32;
        let arguments = &raw const (*body).arguments;
        let no_process = match action {
            Action::PRCTL => (*arguments)[0] as u32 != OPTION_PTRACER as u32,
            Action::PERF => (*arguments)[4] & PERF_GROUP != 0,
            // `PRIO_PROCESS` is 0 (`include/uapi/linux/resource.h`).
            Action::PRIORITY => (*arguments)[0] as u32 != 0,
            _ => false,
        };
        if no_process {
            return Named::NONE.0.into();
        }
        let pid = if shape.process & Shape::PIDFD != 0 {
            task::file(actor.files, argument).and_then(other::of_file)
        } else {
            other::numbered(actor.thread, argument)
        };
        let lineage = (*actor.task).lineage;
        // Its number means nothing.
        if action == Action::PTRACE && (*arguments)[0] == TRACE_ME {
            return Named::INSIDE.0.into();
        }
        let Some(pid) = pid else {
            return match action {
                Action::SIGNAL if maps::governs() && argument <= 0 => {
                    other::relation_of_group(actor.thread, argument, lineage)
                }
                _ => Named::OUTSIDE.0.into(),
            };
        };
        other::fill(&raw mut (*body).other, pid);
        if !maps::governs() {
            Named::NONE.0.into()
        } else if to_group(body, action) {
            other::members(pid, lineage)
        } else if (*body).other.pid == actor.pid() {
            // What is done to oneself is not judged.
            Named::NONE.0.into()
        } else {
            other::relation(pid, lineage)
        }
    }
}

/// Whether the process calls itself `pid`. Language runtimes signal their own threads all the time. Not inlined: its
/// stack is free otherwise.
#[inline(never)]
fn own(actor: &Actor, pid: u64) -> bool {
    // SAFETY: a thread is typed; the member is a pointer.
    let leader: u64 = unsafe { typed(actor.thread, offset!(task_group_leader)) };
    // Compared where the compiler cannot do it ahead, of a number that was not read.
    task::own_number(leader)
        .is_some_and(|(number, _)| same(number.into(), u64::from(pid as u32)) == 1)
}
