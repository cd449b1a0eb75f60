//! Atomic operations on words in maps, as instructions: the compiler offers none for this target.
//!
//! For what several CPUs write, because a process has threads, and for what the agent must see in
//! order. What one CPU alone writes needs none of them: no probe is preempted but for those of hooks, which have no CPU's own.

use core::arch::asm;

/// Adds to a word.
///
/// # Safety
///
/// `word` is an aligned word of a map.
#[inline(always)]
pub(crate) unsafe fn add(word: *mut u64, value: u64) {
    // SAFETY: by contract.
    unsafe {
        asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) word, in(reg) value, options(nostack));
    }
}

/// Adds to a word and returns what it was before.
///
/// # Safety
///
/// As [`add`].
#[inline(always)]
pub(crate) unsafe fn fetch_add(word: *mut u64, value: u64) -> u64 {
    let mut value = value;
    // SAFETY: by contract.
    unsafe {
        asm!("{1} = atomic_fetch_add((u64 *)({0} + 0), {1})", in(reg) word, inout(reg) value,
            options(nostack));
    }
    value
}

/// Sets bits of a word.
///
/// # Safety
///
/// As [`add`].
#[inline(always)]
pub(crate) unsafe fn or(word: *mut u64, bits: u64) {
    // SAFETY: by contract.
    unsafe {
        asm!("lock *(u64 *)({0} + 0) |= {1}", in(reg) word, in(reg) bits, options(nostack));
    }
}

/// Keeps only these bits of a word.
///
/// # Safety
///
/// As [`add`].
#[inline(always)]
pub(crate) unsafe fn and(word: *mut u64, bits: u64) {
    // SAFETY: by contract.
    unsafe {
        asm!("lock *(u64 *)({0} + 0) &= {1}", in(reg) word, in(reg) bits, options(nostack));
    }
}

/// Replaces a word and returns what it was before.
///
/// # Safety
///
/// As [`add`].
#[inline(always)]
pub(crate) unsafe fn exchange(word: *mut u64, value: u64) -> u64 {
    let mut value = value;
    // SAFETY: by contract.
    unsafe {
        asm!("{1} = xchg_64({0} + 0, {1})", in(reg) word, inout(reg) value, options(nostack));
    }
    value
}

/// Adds to a half word and returns what it was before.
///
/// # Safety
///
/// `half` is an aligned half word of a map.
#[inline(always)]
pub(crate) unsafe fn fetch_add_half(half: *mut u32, value: u32) -> u32 {
    let mut result = u64::from(value);
    // SAFETY: by contract. The 32-bit register holds the lower half of the 64-bit one.
    unsafe {
        asm!("w1 = atomic_fetch_add((u32 *)({0} + 0), w1)", in(reg) half,
            inout("r1") result, options(nostack));
    }
    result as u32
}

/// Sets bits of a half word.
///
/// # Safety
///
/// As [`fetch_add_half`].
#[inline(always)]
pub(crate) unsafe fn or_half(half: *mut u32, bits: u32) {
    // SAFETY: by contract.
    unsafe {
        asm!("lock *(u32 *)({0} + 0) |= w1", in(reg) half, in("r1") u64::from(bits),
            options(nostack));
    }
}

/// Sets bits of a half word and returns what it was before.
///
/// # Safety
///
/// As [`fetch_add_half`].
#[inline(always)]
pub(crate) unsafe fn fetch_or_half(half: *mut u32, bits: u32) -> u32 {
    let mut result = u64::from(bits);
    // SAFETY: by contract. The 32-bit register holds the lower half of the 64-bit one.
    unsafe {
        asm!("w1 = atomic_fetch_or((u32 *)({0} + 0), w1)", in(reg) half,
            inout("r1") result, options(nostack));
    }
    result as u32
}

/// Keeps only these bits of a half word.
///
/// # Safety
///
/// As [`fetch_add_half`].
#[inline(always)]
pub(crate) unsafe fn and_half(half: *mut u32, bits: u32) {
    // SAFETY: by contract.
    unsafe {
        asm!("lock *(u32 *)({0} + 0) &= w1", in(reg) half, in("r1") u64::from(bits),
            options(nostack));
    }
}
