//! A loop whose length in instructions is known.
#![expect(
    unsafe_code,
    reason = "no other language says how many instructions it becomes"
)]

use std::arch::asm;

/// Two instructions in each round.
pub(crate) fn two_each(rounds: u32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: it changes the one register it is given.
    unsafe {
        asm!("2:", "dec {0:e}", "jnz 2b", inout(reg) rounds => _, options(nomem, nostack));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: it changes the one register it is given.
    unsafe {
        asm!("2:", "subs {0:w}, {0:w}, #1", "b.ne 2b", inout(reg) rounds => _, options(nomem, nostack));
    }
}
