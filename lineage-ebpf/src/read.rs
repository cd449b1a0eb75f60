//! Reading kernel memory: the primitives everything else is built from.
//!
//! There are two ways. A *typed* pointer comes from a probe's arguments or from another typed
//! pointer, and the verifier knows which structure it points to: [`typed`] and [`follow`] read it
//! with a plain load that a fault turns into 0. Any other address is *untyped*: [`Window`] shows all
//! interesting members of a structure, [`untyped`] reads one value. Where the kernel can take any address
//! for a typed pointer, they are plain loads, too, and what cannot be read is 0; elsewhere a helper copies.

use core::{ffi::c_void, mem::MaybeUninit};

use aya_ebpf::helpers::generated::{
    bpf_probe_read_kernel, bpf_probe_read_kernel_str, bpf_probe_read_user, bpf_probe_read_user_str,
};

use lineage_common::layout::CAST_CALL;

use crate::maps::Scratch;

/// What a word of the layout says of the running kernel, mostly the offset of a member: a number in an instruction, which
/// the agent puts there.
macro_rules! offset {
    ($($field:tt)+) => {{
        let value: u64;
        // SAFETY: a member of what is at `start`, of which nothing is read; and one instruction, which puts a number into a
        // register.
        #[allow(unused_unsafe, reason = "often used inside another unsafe block")]
        unsafe {
            core::arch::asm!(
                "{value} = {word}",
                value = out(reg) value,
                word = const {
                    let layout = core::mem::MaybeUninit::<lineage_common::layout::KernelLayout>::uninit();
                    let start = layout.as_ptr();
                    let bytes = (&raw const (*start).$($field)+).byte_offset_from(start);
                    lineage_common::layout::FIRST_WORD + bytes as u32 / 4
                },
                options(nomem, nostack)
            );
        }
        value as usize
    }};
}
pub(crate) use offset;

/// Pointer to a kernel structure whose type the verifier knows.
pub(crate) type Typed = *const u8;

/// A value in a structure the verifier knows.
///
/// # Safety
///
/// `structure` is a typed pointer and not null, and `T` is what the kernel has at `offset`.
#[inline(always)]
pub(crate) unsafe fn typed<T: Copy>(structure: Typed, offset: usize) -> T {
    // SAFETY: by contract; the verifier checks the type and the bounds.
    unsafe { structure.add(offset).cast::<T>().read_volatile() }
}

/// The structure a member points to, if any.
///
/// # Safety
///
/// As [`typed`], and the member is a pointer to a structure.
#[inline(always)]
pub(crate) unsafe fn follow(structure: Typed, offset: usize) -> Option<Typed> {
    // SAFETY: by contract.
    let pointer: Typed = unsafe { typed(structure, offset) };
    if pointer.is_null() {
        None
    } else {
        Some(pointer)
    }
}

/// The number that a typed pointer is: global functions take nothing else. The verifier forgets the type
/// of what is read back from memory by a helper.
#[inline(always)]
pub(crate) fn number(pointer: Typed) -> Option<u64> {
    let mut place = MaybeUninit::<Typed>::uninit();
    // SAFETY: the place is ours; volatile, because the helper reads it behind the compiler's back.
    unsafe { place.as_mut_ptr().write_volatile(pointer) };
    copied(place.as_ptr() as u64)
}

/// Whether any address can be taken for a typed pointer.
#[inline(always)]
fn casts() -> bool {
    offset!(derived.cast_function) != 0
}

/// An address, as a pointer to words that may not be there. Only where [`casts`] says so.
///
/// `bpf_rdonly_cast` ([`kernel/bpf/helpers.c`](https://elixir.bootlin.com/linux/v6.12/source/kernel/bpf/helpers.c)) is
/// no call in the end: the kernel moves a register instead. What it replaces is a helper that calls three functions.
#[inline(always)]
fn cast(address: u64) -> Typed {
    // SAFETY: the agent puts the call of a function with this signature in place of that of the helper; it accepts any
    // number for an address.
    unsafe {
        let cast: unsafe extern "C" fn(u64, u64) -> Typed =
            core::mem::transmute(CAST_CALL as usize);
        cast(address, offset!(derived.cast_words) as u64)
    }
}

/// A value at any kernel address.
#[inline(always)]
pub(crate) fn untyped<T: Copy>(address: u64) -> Option<T> {
    if casts() {
        // SAFETY: the verifier takes any part of the words for numbers.
        return Some(unsafe { cast(address).cast::<T>().read_volatile() });
    }
    copied(address)
}

/// A value at any address of the kernel or of the probe itself.
#[inline(always)]
fn copied<T: Copy>(address: u64) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the destination is exactly `T` in size; the helper tolerates any source.
    let failed = unsafe {
        bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            address as *const c_void,
        )
    };
    // SAFETY: the helper wrote every byte, zeros when it failed. That is read in any case: what the compiler thinks is
    // never looked at, it may leave a register without a value for, of which the verifier does not approve.
    let value = unsafe { value.assume_init() };
    (failed == 0).then_some(value)
}

/// A word at any kernel address; 0 when it cannot be read.
#[inline(always)]
pub(crate) fn word(address: u64) -> u64 {
    if casts() {
        return untyped(address).unwrap_or(0);
    }
    let mut word = 0u64;
    // SAFETY: the destination has the size of a word; the helper tolerates any source, and clears the
    // destination when it cannot read.
    unsafe { bpf_probe_read_kernel((&raw mut word).cast(), 8, address as *const c_void) };
    word
}

/// 1 when the two are the same, else 0. Without a branch, of which each doubles what the verifier has to
/// look at from there on.
#[inline(always)]
pub(crate) fn same(one: u64, other: u64) -> u64 {
    let mut bit = one ^ other;
    // SAFETY: arithmetic on registers; the highest bit of a number or of its negative is set, but for 0.
    unsafe {
        core::arch::asm!(
            "{negative} = {bit}", "{negative} = -{negative}", "{bit} |= {negative}", "{bit} >>= 63", "{bit} ^= 1",
            bit = inout(reg) bit, negative = out(reg) _, options(nomem, nostack)
        );
    }
    bit
}

/// A value at any user address of the current process.
#[inline(always)]
pub(crate) fn user<T: Copy>(address: u64) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the destination is exactly `T` in size; the helper tolerates any source.
    let failed = unsafe {
        bpf_probe_read_user(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            address as *const c_void,
        )
    };
    if failed != 0 {
        return None;
    }
    // SAFETY: the helper wrote every byte.
    Some(unsafe { value.assume_init() })
}

/// Copies `len` bytes of kernel memory; false when they cannot be read.
///
/// # Safety
///
/// `to` has room for `len` bytes.
#[inline(always)]
pub(crate) unsafe fn copy_kernel(to: *mut u8, len: u64, from: u64) -> bool {
    // SAFETY: by contract; the helper tolerates any source.
    unsafe { bpf_probe_read_kernel(to.cast(), len as u32, from as *const c_void) == 0 }
}

/// Copies a string of at most `room` bytes from user memory to the frame at `at`. Returns its
/// length without the NUL, and whether it was cut or could not be read.
#[inline(always)]
pub(crate) fn copy_user_string(
    scratch: *mut Scratch,
    at: u64,
    from: u64,
    room: u64,
) -> (u64, bool) {
    // SAFETY: the offset is masked, and the frame has room for twice the mask.
    let copied = unsafe {
        let to = (&raw mut (*scratch).frame)
            .cast::<u8>()
            .add(mask_frame(at) as usize);
        bpf_probe_read_user_str(to.cast(), room as u32, from as *const c_void)
    };
    string_length(copied, room)
}

/// As [`copy_user_string`], from kernel memory.
#[inline(always)]
pub(crate) fn copy_kernel_string(
    scratch: *mut Scratch,
    at: u64,
    from: u64,
    room: u64,
) -> (u64, bool) {
    // SAFETY: the offset is masked, and the frame has room for twice the mask.
    let copied = unsafe {
        let to = (&raw mut (*scratch).frame)
            .cast::<u8>()
            .add(mask_frame(at) as usize);
        bpf_probe_read_kernel_str(to.cast(), room as u32, from as *const c_void)
    };
    string_length(copied, room)
}

/// What a string helper returned, which counts the NUL and fills the room when there is more. Of an empty string older
/// kernels count none (`strncpy_from_user_nofault`, `mm/maccess.c`).
#[inline(always)]
fn string_length(copied: i64, room: u64) -> (u64, bool) {
    if copied < 0 {
        return (0, true);
    }
    let copied = mask_frame(copied as u64);
    (copied.saturating_sub(1), copied == room)
}

/// Copies `len` bytes of user memory to the frame at `at`; false when they cannot be read.
#[inline(always)]
pub(crate) fn copy_user(scratch: *mut Scratch, at: u64, from: u64, len: u64) -> bool {
    // SAFETY: offset and length are masked, and the frame has room for twice the mask.
    unsafe {
        let to = (&raw mut (*scratch).frame)
            .cast::<u8>()
            .add(mask_frame(at) as usize);
        bpf_probe_read_user(to.cast(), mask_frame(len) as u32, from as *const c_void) == 0
    }
}

/// Copies `len` bytes of user memory; false when they cannot be read.
///
/// # Safety
///
/// `to` has room for `len` bytes.
#[inline(always)]
pub(crate) unsafe fn copy_user_to(to: *mut u8, len: u64, from: u64) -> bool {
    // SAFETY: by contract; the helper tolerates any source.
    unsafe { bpf_probe_read_user(to.cast(), len as u32, from as *const c_void) == 0 }
}

/// Room for a part of a kernel structure, where it is copied. It lives in [`Scratch`] and not on the stack, because all
/// frames of a probe together have 512 bytes of that.
#[repr(C)]
pub(crate) struct Window<const WORDS: usize> {
    words: [u64; WORDS],
}

/// The part of a structure that a window was opened on last.
#[derive(Clone, Copy)]
pub(crate) struct Filled {
    bytes: *const u8,
    start: usize,
}

/// Words for a window of `bytes` bytes.
pub(crate) const fn words(bytes: usize) -> usize {
    bytes / 8
}

impl<const WORDS: usize> Window<WORDS> {
    /// Opens it on the first `bytes` bytes from offset `start` of the structure at `address`.
    #[inline(always)]
    pub(crate) fn fill(&mut self, address: u64, start: usize, bytes: usize) -> Option<Filled> {
        if casts() {
            let bytes = cast(address + start as u64);
            return Some(Filled { bytes, start });
        }
        let to = (&raw mut self.words).cast::<u8>();
        // SAFETY: no caller asks for more than the window has, and the verifier checks that.
        let copied = unsafe { copy_kernel(to, bytes as u64, address + start as u64) };
        copied.then_some(Filled { bytes: to, start })
    }
}

impl Filled {
    /// The value at `offset` of the structure.
    ///
    /// # Safety
    ///
    /// `T` is what the kernel has at `offset`; that the offset lies in the window was checked by the
    /// agent, and the verifier checks it again. The window was not filled again since.
    #[inline(always)]
    pub(crate) unsafe fn get<T: Copy>(self, offset: usize) -> T {
        // SAFETY: by contract.
        unsafe {
            self.bytes
                .add(offset - self.start)
                .cast::<T>()
                .read_volatile()
        }
    }
}

/// `value & 0xffff`, in an instruction that the compiler can neither move nor remove: it knows the
/// value's bounds when the verifier no longer does.
#[inline(always)]
pub(crate) fn mask_frame(value: u64) -> u64 {
    let mut masked = value;
    // SAFETY: one arithmetic instruction on a register.
    unsafe { core::arch::asm!("{0} &= 0xffff", inout(reg) masked, options(nomem, nostack)) };
    masked
}

/// `value & 0xff`, likewise.
#[inline(always)]
pub(crate) fn mask_name(value: u64) -> u64 {
    let mut masked = value;
    // SAFETY: one arithmetic instruction on a register.
    unsafe { core::arch::asm!("{0} &= 0xff", inout(reg) masked, options(nomem, nostack)) };
    masked
}

/// `value & 0x7f`, likewise.
#[inline(always)]
pub(crate) fn mask_unix(value: u64) -> u64 {
    let mut masked = value;
    // SAFETY: one arithmetic instruction on a register.
    unsafe { core::arch::asm!("{0} &= 0x7f", inout(reg) masked, options(nomem, nostack)) };
    masked
}

/// `value & 0x1fff`, likewise: a place in the room of a key.
#[inline(always)]
pub(crate) fn mask_key(value: u64) -> u64 {
    let mut masked = value;
    // SAFETY: one arithmetic instruction on a register.
    unsafe { core::arch::asm!("{0} &= 0x1fff", inout(reg) masked, options(nomem, nostack)) };
    masked
}

/// Stores a word at an address that need not be aligned, which the architectures the probes know
/// can do; the compiler would store byte by byte.
///
/// # Safety
///
/// `to` has room for the word.
#[inline(always)]
pub(crate) unsafe fn store(to: *mut u8, word: u64) {
    // SAFETY: by contract.
    unsafe {
        core::arch::asm!("*(u64 *)({0} + 0) = {1}", in(reg) to, in(reg) word, options(nostack));
    }
}

/// The word at `from`, which need not be aligned, likewise.
///
/// # Safety
///
/// A word can be read there.
#[inline(always)]
pub(crate) unsafe fn load(from: *const u8) -> u64 {
    let word: u64;
    // SAFETY: by contract.
    unsafe {
        core::arch::asm!("{1} = *(u64 *)({0} + 0)", in(reg) from, lateout(reg) word, options(nostack, readonly));
    }
    word
}

/// `value & 0x1f`, likewise: the number of a place in a table of 32.
#[inline(always)]
pub(crate) fn mask_32(value: u64) -> u64 {
    let mut masked = value;
    // SAFETY: one arithmetic instruction on a register.
    unsafe { core::arch::asm!("{0} &= 0x1f", inout(reg) masked, options(nomem, nostack)) };
    masked
}
