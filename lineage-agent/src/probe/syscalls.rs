//! Which system calls are recorded, by number, for each architecture.

use lineage_common::{
    calls::{Machine, SYSCALLS},
    layout::{Action, SYSCALLS_MAX},
};

/// What a probe does at the return of each system call, indexed by its number.
pub type Table = [Action; SYSCALLS_MAX];

/// The table for a machine.
#[must_use]
pub fn table(machine: Machine) -> Table {
    let compat = match machine {
        Machine::X86_64 => I386,
        Machine::Aarch64 => ARM,
    };
    let mut table = [Action::NONE; SYSCALLS_MAX];
    for number in compat {
        table[usize::from(*number)] = Action::COMPAT_ONLY;
    }
    for call in SYSCALLS {
        if let Some(number) = machine.number(call) {
            table[number] = call.action;
        }
    }
    table
}

/// [`arch/x86/entry/syscalls/syscall_32.tbl`](https://elixir.bootlin.com/linux/v6.12/source/arch/x86/entry/syscalls/syscall_32.tbl):
/// numbers of the calls that would be recorded.
const I386: &[u16] = &[
    2, 3, 4, 5, 6, 8, 9, 10, 11, 14, 15, 16, 21, 22, 23, 26, 30, 37, 38, 39, 40, 42, 46, 51, 52,
    61, 63, 70, 71, 74, 79, 81, 83, 87, 88, 92, 93, 94, 95, 101, 102, 103, 110, 111, 115, 117, 120,
    121, 124, 128, 129, 131, 136, 138, 139, 145, 146, 164, 170, 172, 178, 180, 181, 182, 185, 187,
    190, 193, 194, 198, 203, 204, 206, 207, 208, 210, 212, 213, 214, 215, 216, 217, 226, 227, 228,
    235, 236, 237, 238, 239, 245, 264, 270, 271, 277, 278, 279, 280, 283, 286, 287, 288, 295, 296,
    297, 298, 299, 301, 302, 303, 304, 306, 310, 313, 315, 316, 320, 324, 330, 331, 333, 334, 335,
    336, 337, 338, 339, 342, 343, 345, 346, 347, 348, 350, 353, 354, 356, 357, 358, 359, 361, 362,
    364, 369, 370, 371, 372, 374, 377, 378, 379, 393, 394, 395, 396, 397, 399, 400, 401, 402, 404,
    405, 412, 417, 418, 419, 424, 425, 427, 428, 429, 430, 431, 432, 433, 435, 436, 437, 438, 440,
    442, 443, 446, 447, 448, 452, 460, 463, 466, 467, 469,
];

/// [`arch/arm/tools/syscall.tbl`](https://elixir.bootlin.com/linux/v6.12/source/arch/arm/tools/syscall.tbl):
/// numbers of the calls that would be recorded.
const ARM: &[u16] = &[
    2, 3, 4, 5, 6, 8, 9, 10, 11, 14, 15, 16, 21, 23, 26, 37, 38, 39, 40, 42, 46, 51, 52, 61, 63,
    70, 71, 74, 79, 81, 83, 87, 88, 92, 93, 94, 95, 103, 111, 115, 120, 121, 124, 128, 129, 131,
    136, 138, 139, 145, 146, 164, 170, 172, 178, 180, 181, 182, 185, 187, 190, 193, 194, 198, 203,
    204, 206, 207, 208, 210, 212, 213, 214, 215, 216, 218, 226, 227, 228, 235, 236, 237, 238, 239,
    243, 262, 268, 269, 274, 275, 276, 277, 281, 282, 283, 285, 289, 290, 291, 292, 296, 297, 299,
    300, 301, 302, 303, 304, 305, 307, 308, 309, 310, 311, 322, 323, 324, 325, 326, 328, 329, 330,
    331, 333, 337, 340, 342, 343, 347, 348, 352, 358, 359, 361, 362, 363, 364, 365, 366, 367, 368,
    371, 372, 374, 375, 376, 377, 379, 382, 383, 385, 386, 387, 388, 391, 392, 393, 401, 404, 405,
    412, 417, 418, 419, 424, 425, 427, 428, 429, 430, 431, 432, 433, 435, 436, 437, 438, 440, 442,
    443, 446, 447, 448, 452, 460, 463, 466, 467, 469,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_in_the_table_once() {
        for machine in [Machine::X86_64, Machine::Aarch64] {
            let mut numbers: Vec<_> = SYSCALLS
                .iter()
                .filter_map(|call| machine.number(call))
                .collect();
            numbers.sort_unstable();
            assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(numbers.iter().all(|number| *number < SYSCALLS_MAX));
        }
        for compat in [I386, ARM] {
            assert!(compat.is_sorted());
            assert!(compat.iter().all(|n| usize::from(*n) < SYSCALLS_MAX));
        }
    }

    #[test]
    fn native_calls_win_over_compat_numbers() {
        let native = table(Machine::X86_64);
        assert_eq!(native[3], Action::CLOSE);
        assert_eq!(native[59], Action::EXECVE);
        assert_eq!(native[5], Action::COMPAT_ONLY);
        assert_eq!(native[24], Action::NONE);
        assert_eq!(table(Machine::Aarch64)[221], Action::EXECVE);
    }
}
