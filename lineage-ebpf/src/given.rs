//! Names that callers gave, judged by what they say.
//!
//! What a name led to the kernel does not keep until the call returns. So where nothing is asked before, what is
//! judged is the path of the directory that the name starts from, which is the kernel's, and behind it the name as it
//! was given, without `.` and empty components. Links in the middle of it can lead elsewhere, and another thread can
//! change it meanwhile. What has a `..` in it is denied: without its links nobody knows where that leads.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use lineage_common::{
    limits::PATH_BYTES_MAX,
    policy::{Outcome, PATH_KEY_BYTES},
};

use crate::{
    facts, host,
    judge::{self, Operations},
    key,
    maps::{self, Scratch},
    path::{self, AT_FDCWD},
    read::{Typed, mask_frame, offset, typed},
    task,
};

/// Where a name is in a frame, and what it starts from.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    /// The descriptor of the directory, or `AT_FDCWD`; without a name what is acted on itself.
    pub(crate) dirfd: i32,
    /// Where in the frame it begins.
    pub(crate) at: u64,
    /// Its bytes.
    pub(crate) len: u64,
}

/// Judges an operation on what a name says, as [`judge::decide`] does; denied at once when there are reasons. `end` is
/// where the frame has room.
#[inline(always)]
pub(crate) fn judge(
    scratch: *mut Scratch,
    operations: Operations,
    name: Name,
    reasons: u32,
    end: u64,
) -> u64 {
    // SAFETY: the scratch is the caller's.
    let cpu = unsafe { (*scratch).cpu };
    let place = u64::from(name.dirfd as u32) | end << 32;
    let name = name.at | name.len << 32;
    judge_given(cpu, operations.0, place, name, reasons)
}

/// [`judge`] in the scratch of `cpu`; descriptor and end of the frame, begin and length of the name in one word each. A
/// global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge_given(
    cpu: u32,
    operations: u32,
    place: u64,
    name: u64,
    mut reasons: u32,
) -> u64 {
    let Some(scratch) = maps::scratch(cpu) else {
        return 0;
    };
    let (at, len) = (mask_frame(name), mask_frame(name >> 32));
    let end = mask_frame(place >> 32);
    // SAFETY: the scratch is the caller's.
    unsafe {
        let first = *(&raw const (*scratch).frame).cast::<u8>().add(at as usize);
        if reasons == 0 {
            reasons = start(scratch, place as i32, len != 0 && first == b'/', end);
        }
        if reasons == 0 {
            let behind = join(scratch, at, len);
            if behind == UNKNOWN {
                reasons = Outcome::CUT;
            } else {
                key::end(scratch, behind);
            }
        }
        judge::decide(scratch, Operations(operations), reasons).unwrap_or(0)
    }
}

/// The `struct file` behind a descriptor; 0 when there is none. Not inlined: its stack is free otherwise.
#[inline(never)]
fn opened(thread: Typed, fd: i32) -> u64 {
    task::file(task::files(thread), fd).unwrap_or(0)
}

/// Walks to where a name starts from as the host sees it; why that cannot be judged, if it cannot.
#[inline(always)]
unsafe fn start(scratch: *mut Scratch, dirfd: i32, absolute: bool, at: u64) -> u32 {
    let thread = task::current();
    let Some(fs) = path::set_root(scratch, thread) else {
        return Outcome::CUT;
    };
    // SAFETY: the scratch is the caller's; `fs_struct` has these members.
    unsafe {
        if absolute {
            (*scratch).facts.mnt = typed(fs, offset!(fs_root_mnt));
            (*scratch).facts.dentry = typed(fs, offset!(fs_root_dentry));
        } else if dirfd == AT_FDCWD {
            (*scratch).facts.mnt = typed(fs, offset!(fs_pwd_mnt));
            (*scratch).facts.dentry = typed(fs, offset!(fs_pwd_dentry));
        } else {
            let file = opened(thread, dirfd);
            if file == 0 || !facts::read(scratch, file) {
                return Outcome::CUT;
            }
        }
        let (mnt, dentry) = ((*scratch).facts.mnt, (*scratch).facts.dentry);
        let (len, flags) = path::append(scratch, at, mnt, dentry);
        let host = host::append(scratch, at + len, flags);
        judge::unknown(host.view, flags)
    }
}

/// The length of what says nothing: more than a key holds.
const UNKNOWN: u64 = PATH_KEY_BYTES as u64 + 1;

/// Where the joining is. Lives in [`Scratch`]: what is there the verifier does not follow number by number.
#[repr(C)]
pub(crate) struct Joining {
    /// Where in the frame the name begins.
    name: u64,
    /// Its bytes.
    len: u64,
    /// Bytes behind the walked path so far.
    behind: u64,
    /// How many there were before this component.
    begin: u64,
    /// Bytes of the component so far.
    component: u64,
    /// How many of these are dots, if all are.
    dots: u64,
}

/// Puts a name behind the path in the key; how many bytes are there then, [`UNKNOWN`] when the name goes up.
#[inline(always)]
unsafe fn join(scratch: *mut Scratch, name: u64, len: u64) -> u64 {
    if len == 0 {
        return 0;
    }
    let mut context = scratch;
    // SAFETY: the scratch is the caller's; the callback gets it by way of our stack. One step more than there are bytes ends
    // the last component.
    unsafe {
        (*scratch).joining = Joining {
            name,
            len,
            behind: 0,
            begin: 0,
            component: 0,
            dots: 0,
        };
        bpf_loop(
            PATH_BYTES_MAX as u32 + 1,
            byte as *mut c_void,
            (&raw mut context).cast(),
            0,
        );
        (&raw const (*scratch).joining.behind).read_volatile()
    }
}

/// Takes one byte of a name, or its end.
unsafe extern "C" fn byte(index: u64, context: *mut c_void) -> i64 {
    // SAFETY: the context is what `join` holds on its stack; offsets are masked, and there is room for more.
    unsafe {
        let scratch = *context.cast::<*mut Scratch>();
        let state = &raw mut (*scratch).joining;
        let ends = index >= (*state).len;
        let at = mask_frame((*state).name + index);
        let byte = *(&raw const (*scratch).frame).cast::<u8>().add(at as usize);
        if ends || byte == b'/' {
            let (component, dots) = ((*state).component, (*state).dots);
            if component == 2 && dots == 2 {
                (*state).behind = UNKNOWN;
                return 1;
            }
            if component == 1 && dots == 1 {
                (*state).behind = (*state).begin;
            }
            (*state).component = 0;
            (*state).dots = 0;
            return i64::from(ends);
        }
        if (*state).component == 0 {
            (*state).begin = (*state).behind;
            (*state).behind = key::append(scratch, (*state).behind, b'/');
        }
        (*state).behind = key::append(scratch, (*state).behind, byte);
        (*state).component += 1;
        if byte == b'.' {
            (*state).dots += 1;
        }
        0
    }
}
