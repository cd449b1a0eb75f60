//! Files mapped into memory, and memory made executable.
//!
//! Programs reserve memory all the time, so the arguments decide first, without anything being looked
//! at. What matters is then looked at where it is: in the mapping, not behind the descriptor, which
//! another thread may have replaced and which a change of protection does not name.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_find_vma;
use lineage_common::{
    frame::{Behind, File, Flags, HostPath, Kind, Map, NO_CALL},
    layout::Action,
    policy::{Named, Operation},
    task::{Descriptor, ExecMem, Mapped},
};

use crate::{
    atomic::or_half,
    auxv, descriptor,
    emit::{self, BODY, Frame, What},
    host,
    judge::{self, Operations},
    maps::{self, Scratch},
    path,
    probes::{
        syscall::{Returned, argument},
        transfer,
    },
    read::{Typed, follow, offset, typed},
    skip::Skip,
    task::{self, Actor},
};

/// `VM_EXEC` (`include/linux/mm.h`).
const VM_EXEC: u64 = 4;

/// Where the path begins in a frame.
const PATH: u64 = BODY + size_of::<Map>() as u64;

/// `PROT_WRITE`, `PROT_EXEC` (`include/uapi/asm-generic/mman-common.h`).
const WRITABLE: u32 = 0x2;
const EXECUTABLE: u32 = 0x4;

/// `MAP_SHARED` is a bit of `MAP_SHARED_VALIDATE` as well; `MAP_ANONYMOUS`
/// (`include/uapi/linux/mman.h`, `include/uapi/asm-generic/mman-common.h`).
const SHARED: u32 = 0x1;
const ANONYMOUS: u32 = 0x20;

/// `-EPERM` and `-EACCES`: somebody said no.
const REFUSED: [i64; 2] = [-1, -13];

/// Numbers from this one on, as results, are negated errnos: `MAX_ERRNO` (`include/linux/err.h`).
const ERRNO_MAX: i64 = 4095;

/// What a call asked for, or an exec did. Lives in [`Scratch`] for [`record_map`].
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Asked {
    start: u64,
    length: u64,
    offset: u64,
    result: i64,
    protection: u32,
    flags: u32,
    fd: i32,
    number: u32,
}

/// What is found behind an address. Lives in [`Scratch`].
#[repr(C)]
pub(crate) struct Memory {
    /// First address of the mapping, and the one after its last.
    start: u64,
    end: u64,
    /// Position in the file, in pages.
    page: u64,
    /// `VM_*`.
    state: u64,
    /// [`Behind`].
    behind: u32,
    reserved: u32,
}

/// Whether a call is worth more than this look at its arguments: one that maps a file, or memory that a
/// child will share, or that makes memory executable.
#[inline(always)]
fn matters(call: &Returned, action: Action) -> bool {
    argument!(call, 2) as u32 & EXECUTABLE != 0
        || (action == Action::MMAP && !is_private_memory(argument!(call, 3) as u32))
}

/// Whether these flags are of memory without a file: for what is shared the kernel makes one.
#[inline(always)]
fn is_private_memory(flags: u32) -> bool {
    flags & (ANONYMOUS | SHARED) == ANONYMOUS
}

/// Records the first use of a descriptor that is mapped.
#[inline(always)]
fn used(call: &Returned, action: Action) {
    let mapped = action == Action::MMAP && argument!(call, 3) as u32 & ANONYMOUS == 0;
    if mapped && !(-ERRNO_MAX..0).contains(&call.result) {
        transfer::move_bytes(argument!(call, 4) as i32, Descriptor::READ, 0);
    }
}

/// `mmap`, `mprotect`, `pkey_mprotect`.
#[inline(always)]
pub(crate) fn returned(actor: &Actor, call: &Returned, action: Action) -> Result<(), Skip> {
    if !matters(call, action) {
        return Err(Skip::Untraced);
    }
    used(call, action);
    mapped(actor, call, action)
}

/// A call that [`matters`], after [`used`]. Not inlined: its stack must not add to that of the other calls.
#[inline(never)]
fn mapped(actor: &Actor, call: &Returned, action: Action) -> Result<(), Skip> {
    let asked = Asked::of(call, action);
    if asked.failed() {
        // A change of protection is made mapping by mapping: it can fail after it had its effect.
        let may_matter = action == Action::MPROTECT || REFUSED.contains(&asked.result);
        if asked.protection & EXECUTABLE == 0 || !may_matter {
            return Err(Skip::Untraced);
        }
    } else if asked.fd >= 0 {
        let new = descriptor::mapped(actor, asked.fd, asked.ways());
        if !new && asked.protection & EXECUTABLE == 0 {
            return Err(Skip::Untraced);
        }
    }
    if is_private_memory(asked.flags) && !is_first(actor, &asked, asked.failed()) {
        return Err(Skip::Untraced);
    }
    record(asked)
}

impl Asked {
    #[inline(always)]
    fn of(call: &Returned, action: Action) -> Self {
        let asked = Self {
            start: argument!(call, 0),
            length: argument!(call, 1),
            offset: 0,
            result: call.result,
            protection: argument!(call, 2) as u32,
            flags: 0,
            fd: -1,
            number: call.number,
        };
        if action != Action::MMAP {
            return asked;
        }
        let flags = argument!(call, 3) as u32;
        Self {
            start: if asked.failed() {
                asked.start
            } else {
                call.result as u64
            },
            offset: argument!(call, 5),
            flags,
            fd: if flags & ANONYMOUS == 0 {
                argument!(call, 4) as i32
            } else {
                -1
            },
            ..asked
        }
    }

    /// Whether the result is an error: it may be an address otherwise.
    #[inline(always)]
    fn failed(&self) -> bool {
        self.result < 0 && self.result >= -ERRNO_MAX
    }

    /// In which ways a file is mapped.
    #[inline(always)]
    fn ways(&self) -> u32 {
        match (self.flags & SHARED != 0, self.protection & WRITABLE != 0) {
            (false, _) => Mapped::PRIVATE,
            (true, false) => Mapped::SHARED,
            (true, true) => Mapped::SHARED | Mapped::WRITABLE,
        }
    }
}

/// Whether the process makes memory without a file executable for the first time in this way, or is
/// refused to: compilers at run time do it all the time.
#[inline(always)]
fn is_first(actor: &Actor, asked: &Asked, refused: bool) -> bool {
    let way = if asked.flags == 0 {
        ExecMem::PROTECTED
    } else {
        ExecMem::MAPPED
    };
    let way = if refused {
        way << ExecMem::REFUSED
    } else {
        way
    };
    // SAFETY: the entry of a tracked process stays while one of its threads runs.
    unsafe {
        if (*actor.task).execmem & way != 0 {
            return false;
        }
        or_half(&raw mut (*actor.task).execmem, way);
    }
    true
}

/// Records the interpreter that the kernel has just mapped beside a new image, where there is one.
#[inline(always)]
pub(crate) fn interpreter(actor: &Actor) -> Result<(), Skip> {
    // SAFETY: a thread is typed; the member is a pointer.
    let mm = unsafe { follow(actor.thread, offset!(task_mm)) }.ok_or(Skip::Untraced)?;
    let start = auxv::value(mm, auxv::BASE).unwrap_or(0);
    if start == 0 {
        return Err(Skip::Untraced);
    }
    let asked = Asked {
        start,
        length: 0,
        offset: 0,
        result: 0,
        protection: 0,
        flags: 0,
        fd: -1,
        number: NO_CALL,
    };
    record(asked)
}

/// Records what was asked for, with what is there now.
#[inline(always)]
fn record(asked: Asked) -> Result<(), Skip> {
    let cpu = maps::cpu();
    let scratch = maps::scratch(cpu).ok_or(Skip::Unreadable)?;
    // SAFETY: the scratch is this CPU's, and no other probe on it touches this part.
    unsafe { (*scratch).asked = asked };
    match record_map(cpu) {
        0 => Ok(()),
        _ => Err(Skip::Untraced),
    }
}

/// [`record`] of what is in the scratch of `cpu`; 0 when it is recorded. A global function, see [`crate`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn record_map(cpu: u32) -> u64 {
    let (Ok(actor), Some(scratch)) = (Actor::current(), maps::scratch(cpu)) else {
        return 1;
    };
    // SAFETY: as in `record`.
    let asked = unsafe { &(*scratch).asked };
    u64::from(record_here(&actor, asked).is_err())
}

#[inline(always)]
fn record_here(actor: &Actor, asked: &Asked) -> Result<(), Skip> {
    let frame = Frame::take(Kind::MAP)?;
    if path::set_root(frame.scratch, actor.thread).is_none() {
        frame.release();
        return Err(emit::lost(maps::cpu(), Kind::MAP));
    }
    let mut behind = look(actor, frame.scratch, asked);
    // SAFETY: the scratch is ours until the frame is sent.
    let executable = unsafe { (*frame.scratch).memory.state } & VM_EXEC != 0;
    let refused = asked.failed() && !executable;
    let nothing_done = refused && !REFUSED.contains(&asked.result);
    if asked.flags & ANONYMOUS != 0 && behind != Behind::FILE {
        // What is shared has a file, which could not be looked at: then that is said. Executable, it counts
        // as what has none.
        behind = if asked.protection & EXECUTABLE == 0 {
            Behind::UNKNOWN
        } else {
            Behind::NOTHING
        };
    }
    let asked_before = is_private_memory(asked.flags);
    if nothing_done
        || (behind == Behind::NOTHING && !asked_before && !is_first(actor, asked, refused))
    {
        frame.release();
        return Err(Skip::Untraced);
    }
    let body = frame.body::<Map>();
    let (len, flags) = fill(&frame, asked, behind);
    // SAFETY: the body is ours until the frame is sent.
    unsafe {
        (*body).protection = asked.protection;
        (*body).flags = asked.flags;
        (*body).number = asked.number;
        (*body).behind = behind;
    }
    // SAFETY: as above.
    let state = unsafe { (*frame.scratch).memory.state };
    let asked_for = state == 0 && !asked.failed() && asked.protection & EXECUTABLE != 0;
    if asked.number != NO_CALL && (executable || asked_for) {
        judged(&frame, actor, behind, flags);
    }
    let what = What {
        kind: Kind::MAP,
        flags,
        result: asked.result,
    };
    frame.send(actor, what, len);
    Ok(())
}

/// Judges what can be executed now, that the process itself has mapped. What is there while nobody could look counts as
/// what has no file.
#[inline(always)]
fn judged(frame: &Frame, actor: &Actor, behind: Behind, flags: Flags) {
    const MAPPED: Operations = Operations::NONE.with(Operation::MAP);
    if behind != Behind::FILE {
        judge::name(frame, actor, Operation::USE, Named::EXECMEM);
        return;
    }
    let body = frame.body::<Map>();
    // SAFETY: the scratch and the body are ours until the frame is sent; the entry of a tracked process stays while
    // one of its threads runs.
    unsafe {
        (*frame.scratch).lineage = (*actor.task).lineage;
        judge::path(frame.scratch, MAPPED, (*body).file.host.view, flags);
    }
}

/// What a look at an address needs, on the stack of [`look`].
struct Look {
    scratch: *mut Scratch,
}

/// Looks at what is mapped at the address, and reads the file, if there is one.
#[inline(always)]
fn look(actor: &Actor, scratch: *mut Scratch, asked: &Asked) -> Behind {
    let mut look = Look { scratch };
    let unmapped = asked.failed() && asked.flags != 0;
    // SAFETY: the scratch is ours; the thread is typed, and the callback gets the state that lives as
    // long as the call.
    unsafe {
        let memory = &raw mut (*scratch).memory;
        (*memory).state = 0;
        (*memory).behind = Behind::UNKNOWN.0;
        if !unmapped {
            bpf_find_vma(
                actor.thread.cast_mut().cast(),
                asked.start,
                found as *mut c_void,
                (&raw mut look).cast(),
                0,
            );
        }
        if is_private_memory(asked.flags) {
            return Behind::NOTHING;
        }
        let behind = Behind((*memory).behind);
        if behind == Behind::UNKNOWN
            && asked.fd >= 0
            && let Some(file) = task::file(actor.files, asked.fd)
            && read(scratch, file)
        {
            return Behind::FILE;
        }
        behind
    }
}

/// Reads the file behind a mapping.
#[inline(always)]
unsafe fn read(scratch: *mut Scratch, file: u64) -> bool {
    // SAFETY: the scratch is the caller's.
    unsafe {
        let root = (*scratch).walk.root_sb;
        (*scratch).facts.read_mapped(file, root)
    }
}

/// The mapping at the address. The kernel holds the lock of the address space meanwhile.
unsafe extern "C" fn found(_thread: Typed, vma: Typed, context: *mut c_void) -> i64 {
    // SAFETY: the context is the state that `look` holds on its stack; the mapping is typed, and its
    // members have these types.
    unsafe {
        let look = &*context.cast::<Look>();
        let scratch = look.scratch;
        let memory = &raw mut (*scratch).memory;
        (*memory).start = typed(vma, offset!(vma_start));
        (*memory).end = typed(vma, offset!(vma_end));
        (*memory).page = typed(vma, offset!(vma_pgoff));
        (*memory).state = typed(vma, offset!(vma_flags));
        (*memory).behind = match follow(vma, offset!(vma_file)) {
            None => Behind::NOTHING.0,
            Some(file) if read(scratch, file as u64) => Behind::FILE.0,
            Some(_) => Behind::UNKNOWN.0,
        };
    }
    0
}

/// Fills in the file and where it is, and appends its path; the frame's length and flags.
#[inline(always)]
fn fill(frame: &Frame, asked: &Asked, behind: Behind) -> (u64, Flags) {
    let scratch = frame.scratch;
    let body = frame.body::<Map>();
    // SAFETY: the scratch and the body are ours until the frame is sent.
    unsafe {
        let memory = &raw const (*scratch).memory;
        (*body).start = asked.start;
        (*body).end = whole_pages(asked.start.wrapping_add(asked.length));
        (*body).offset = asked.offset;
        (*body).state = (*memory).state;
        if (*memory).state != 0 && behind == Behind::FILE {
            let first = (*memory).page << (offset!(derived.page_shift) & 63);
            (*body).offset = first + asked.start.wrapping_sub((*memory).start);
            if asked.number == NO_CALL {
                (*body).end = (*memory).end;
            }
        }
        if behind != Behind::FILE {
            nothing(&raw mut (*body).file);
            let unknown = behind == Behind::UNKNOWN;
            let flags = if unknown { Flags::PATH_CUT } else { Flags(0) };
            return (PATH, flags);
        }
        let facts = &raw const (*scratch).facts;
        let (path_len, flags) = path::append(scratch, PATH, (*facts).mnt, (*facts).dentry);
        let host = host::append(scratch, PATH + path_len, flags);
        (*facts).fill(&raw mut (*body).file, asked.fd, path_len);
        (*body).file.host = host;
        (PATH + path_len + u64::from(host.len), flags)
    }
}

/// The first address of a page that is not below.
#[inline(always)]
fn whole_pages(address: u64) -> u64 {
    let last = (1 << (offset!(derived.page_shift) & 63)) - 1;
    address.wrapping_add(last) & !last
}

/// There is no file.
#[inline(always)]
unsafe fn nothing(file: *mut File) {
    // SAFETY: the caller's: whole words, its size is a multiple of them.
    unsafe {
        *file.cast::<[u64; size_of::<File>() / 8]>() = [0; size_of::<File>() / 8];
        (*file).fd = -1;
        (*file).host = HostPath::SAME;
    }
}
