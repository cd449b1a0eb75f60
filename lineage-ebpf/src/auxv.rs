//! What the kernel told a program when it executed it: the auxiliary vector, of which it keeps what it
//! wrote (`saved_auxv`, `create_elf_tables` in `fs/binfmt_elf.c`).

use crate::read::{Typed, offset, untyped};

/// `AT_BASE`, `AT_SECURE` (`include/uapi/linux/auxvec.h`): where the interpreter of the executable is, and
/// whether the new image has rights which who executed it had not.
pub(crate) const BASE: u64 = 7;
pub(crate) const SECURE: u64 = 23;

/// How many entries are looked at: both are among the first twenty.
const ENTRIES_MAX: u64 = 24;

/// The value under `key` of the memory at `mm`; `None` when it has none. Of a 32-bit program, whose vector
/// has another form, it has none.
#[inline(always)]
pub(crate) fn value(mm: Typed, key: u64) -> Option<u64> {
    let vector = mm as u64 + offset!(mm_saved_auxv) as u64;
    let mut entry = 0;
    while entry < ENTRIES_MAX {
        let [name, value]: [u64; 2] = untyped(vector + entry * 16)?;
        if name == key {
            return Some(value);
        }
        if name == 0 {
            break;
        }
        entry += 1;
    }
    None
}
