//! Calls that are only counted: the first of each makes a record, and at the end of the process there
//! is one of how many there were.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use lineage_common::{
    frame::{Counted, Flags, Kind},
    limits::TALLIES_PER_PROCESS_MAX,
    policy::{Named, Operation},
    tally::{Class, Tally, TallyKey},
};

use crate::{
    atomic::{add, fetch_add_half},
    emit::{BODY, Frame, What},
    facts, judge,
    maps::{self, TALLIES},
    path,
    skip::Skip,
    task::Actor,
};

/// Where the path begins in a frame.
const PATH: u64 = BODY + size_of::<Counted>() as u64;

/// `BPF_NOEXIST` (`include/uapi/linux/bpf.h`).
const NO_EXIST: u64 = 1;

/// Numbers below which a result is no negated errno, `MAX_ERRNO` (`include/linux/err.h`): some calls
/// return addresses.
const ERRNO_MAX: i64 = 4095;

/// One call to be counted.
pub(crate) struct Once {
    key: TallyKey,
    /// The `struct file` of the device; 0 when it is not about one.
    file: u64,
    result: i64,
}

impl Once {
    /// A call of the acting process.
    #[inline(always)]
    pub(crate) fn new(actor: &Actor, class: Class, code: u32, result: i64) -> Self {
        Self {
            key: TallyKey {
                // SAFETY: the entry of a tracked process stays while one of its threads runs.
                start: unsafe { (*actor.task).start },
                pid: actor.pid(),
                class,
                code,
                device: 0,
            },
            file: 0,
            result,
        }
    }

    /// On a device.
    #[inline(always)]
    pub(crate) fn on(self, device: u32, file: u64) -> Self {
        Self {
            key: TallyKey { device, ..self.key },
            file,
            ..self
        }
    }

    /// What of the kernel it uses, if a policy can speak of it.
    #[inline(always)]
    fn facility(&self) -> Named {
        match self.key.class {
            Class::IO_URING => Named::IO_URING,
            Class::COMPAT => Named::COMPAT,
            Class::AIO => Named::AIO,
            _ => Named::NONE,
        }
    }

    #[inline(always)]
    fn failed(&self) -> u64 {
        u64::from(self.result < 0 && self.result >= -ERRNO_MAX)
    }
}

/// Counts a call that is not about a device. Not inlined: its stack is free otherwise.
#[inline(never)]
pub(crate) fn call(actor: &Actor, class: Class, code: u32, result: i64) -> Result<(), Skip> {
    count(actor, &Once::new(actor, class, code, result))
}

/// Counts a call, and judges it: each, because what is denied must not go on where it is only counted.
#[inline(never)]
pub(crate) fn count(actor: &Actor, once: &Once) -> Result<(), Skip> {
    let done = counted(actor, once);
    if maps::governs() && done != Ok(Told::First) && once.facility() != Named::NONE {
        let frame = Frame::take(Kind::TALLY)?;
        judge::name(&frame, actor, Operation::USE, once.facility());
        frame.release();
    }
    done.map(drop)
}

/// What became of a call.
#[derive(PartialEq, Eq)]
enum Told {
    /// It was recorded.
    First,
    /// It was counted.
    Again,
}

#[inline(always)]
fn counted(actor: &Actor, once: &Once) -> Result<Told, Skip> {
    if again(once) {
        return Ok(Told::Again);
    }
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    if unsafe { (*actor.task).tallies } >= TALLIES_PER_PROCESS_MAX {
        return full();
    }
    let tally = Tally {
        calls: 1,
        failed: once.failed(),
        class: once.key.class,
        code: once.key.code,
        device: once.key.device,
        reserved: 0,
    };
    if TALLIES.insert(once.key, tally, NO_EXIST).is_err() {
        // Another thread was faster, or there is no room.
        return if again(once) { Ok(Told::Again) } else { full() };
    }
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    let number = unsafe { fetch_add_half(&raw mut (*actor.task).tallies, 1) };
    if TALLIES.insert(listed(once.key, number), tally, 0).is_err() {
        let _ = TALLIES.remove(once.key);
        return full();
    }
    first(actor, once).map(|()| Told::First)
}

/// Counts a call that is not the first of its kind.
#[inline(always)]
fn again(once: &Once) -> bool {
    let Some(tally) = TALLIES.get_ptr_mut(once.key) else {
        return false;
    };
    // SAFETY: map values stay writable.
    unsafe {
        add(&raw mut (*tally).calls, 1);
        if once.failed() != 0 {
            add(&raw mut (*tally).failed, 1);
        }
    }
    true
}

/// The key under which the map has which tally of the process this number has.
#[inline(always)]
fn listed(key: TallyKey, number: u32) -> TallyKey {
    TallyKey {
        class: Class::LISTED,
        code: number,
        device: 0,
        ..key
    }
}

#[inline(always)]
fn full() -> Result<Told, Skip> {
    if let Some(counters) = maps::counters(maps::cpu()) {
        // SAFETY: map values live as long as the program.
        unsafe { add(&raw mut (*counters).tallies_full, 1) };
    }
    Err(Skip::Lost)
}

/// Records the first call of a kind, with the path of its device.
#[inline(never)]
fn first(actor: &Actor, once: &Once) -> Result<(), Skip> {
    let frame = Frame::take(Kind::TALLY)?;
    judge::name(&frame, actor, Operation::USE, once.facility());
    let body = frame.body::<Counted>();
    // SAFETY: the body is ours until the frame is sent.
    unsafe {
        (*body).calls = 1;
        (*body).failed = once.failed();
        (*body).ino = 0;
        (*body).class = once.key.class;
        (*body).code = once.key.code;
        (*body).device = once.key.device;
        (*body).dev = 0;
        (*body).mode = 0;
        (*body).path_len = 0;
    }
    let mut met = (0, Flags(0));
    if once.file != 0
        && path::set_root(frame.scratch, actor.thread).is_some()
        && facts::read(frame.scratch, once.file)
    {
        // SAFETY: the scratch and the body are ours until the frame is sent.
        unsafe {
            let facts = &(*frame.scratch).facts;
            (*body).ino = facts.ino;
            (*body).dev = facts.dev;
            (*body).mode = facts.mode;
            met = path::append(frame.scratch, PATH, facts.mnt, facts.dentry);
            (*body).path_len = met.0 as u32;
        }
    }
    let what = What {
        kind: Kind::TALLY,
        flags: met.1,
        result: once.result,
    };
    frame.send(actor, what, PATH + met.0);
    Ok(())
}

/// Ends the tallies of a process that ends.
#[inline(always)]
pub(crate) fn sweep(actor: &Actor) {
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    let tallies = unsafe { (*actor.task).tallies };
    if tallies == 0 {
        return;
    }
    let mut actor = *actor;
    // SAFETY: the callback gets the state that lives as long as the call.
    unsafe {
        bpf_loop(
            // Threads that counted at the same time may have gone beyond.
            tallies.min(2 * TALLIES_PER_PROCESS_MAX),
            sweep_one as *mut c_void,
            (&raw mut actor).cast(),
            0,
        );
    }
}

unsafe extern "C" fn sweep_one(index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the context is the state that `sweep` holds on its stack.
    let actor = unsafe { &*context.cast::<Actor>() };
    let mut key = TallyKey {
        // SAFETY: the entry of a tracked process stays while one of its threads runs.
        start: unsafe { (*actor.task).start },
        pid: actor.pid(),
        class: Class::LISTED,
        code: index as u32,
        device: 0,
    };
    let Some(listed) = TALLIES.get_ptr(key) else {
        return 0;
    };
    // SAFETY: map values stay readable.
    let (class, code, device) = unsafe { ((*listed).class, (*listed).code, (*listed).device) };
    let _ = TALLIES.remove(key);
    key = TallyKey {
        class,
        code,
        device,
        ..key
    };
    if let Some(tally) = TALLIES.get_ptr(key) {
        // SAFETY: map values stay readable.
        unsafe {
            if (*tally).calls > 1 {
                let _ = total(actor, &*tally);
            }
        }
        let _ = TALLIES.remove(key);
    }
    0
}

/// Records how many calls of a kind there were.
#[inline(always)]
fn total(actor: &Actor, tally: &Tally) -> Result<(), Skip> {
    let frame = Frame::take(Kind::TALLY)?;
    let body = frame.body::<Counted>();
    // SAFETY: the body is ours until the frame is sent.
    unsafe {
        (*body).calls = tally.calls;
        (*body).failed = tally.failed;
        (*body).ino = 0;
        (*body).class = tally.class;
        (*body).code = tally.code;
        (*body).device = tally.device;
        (*body).dev = 0;
        (*body).mode = 0;
        (*body).path_len = 0;
    }
    let what = What {
        kind: Kind::TALLY,
        flags: Flags(0),
        result: 0,
    };
    frame.send(actor, what, PATH);
    Ok(())
}
