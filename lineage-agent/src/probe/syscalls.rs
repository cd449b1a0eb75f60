//! Which system calls are recorded, by number, for each architecture.

use lineage_common::layout::{Action, SYSCALLS_MAX};

/// What a probe does at the return of each system call, indexed by its number.
pub type Table = [Action; SYSCALLS_MAX];

/// A system call's number and what to do.
type Entry = (u16, Action);

/// The architecture whose kernel is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// x86-64
    X86_64,
    /// 64-bit ARM
    Aarch64,
}

impl Machine {
    /// The machine this program was built for, if the probes know its registers.
    #[must_use]
    pub const fn native() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::X86_64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Aarch64)
        } else {
            None
        }
    }

    /// The table for this machine.
    #[must_use]
    pub fn table(self) -> Table {
        let (native, compat) = match self {
            Self::X86_64 => (X86_64, I386),
            Self::Aarch64 => (AARCH64, ARM),
        };
        let mut table = [Action::NONE; SYSCALLS_MAX];
        for number in compat {
            table[usize::from(*number)] = Action::COMPAT_ONLY;
        }
        for (number, action) in native {
            table[usize::from(*number)] = *action;
        }
        table
    }
}

/// [`arch/x86/entry/syscalls/syscall_64.tbl`](https://elixir.bootlin.com/linux/v6.12/source/arch/x86/entry/syscalls/syscall_64.tbl)
const X86_64: &[Entry] = &[
    (0, Action::READ),
    (1, Action::WRITE),
    (2, Action::OPEN),
    (3, Action::CLOSE),
    (17, Action::READ),  // pread64
    (18, Action::WRITE), // pwrite64
    (19, Action::READ),  // readv
    (20, Action::WRITE), // writev
    (33, Action::DUP2),
    (40, Action::SENDFILE),
    (41, Action::SOCKET),
    (42, Action::CONNECT),
    (43, Action::ACCEPT),
    (44, Action::WRITE), // sendto
    (45, Action::READ),  // recvfrom
    (46, Action::WRITE), // sendmsg
    (47, Action::READ),  // recvmsg
    (49, Action::BIND),
    (56, Action::FORK), // clone
    (57, Action::FORK),
    (58, Action::FORK), // vfork
    (59, Action::EXECVE),
    (85, Action::CREAT),
    (257, Action::OPENAT),
    (275, Action::SPLICE),
    (276, Action::TEE),
    (278, Action::WRITE),  // vmsplice
    (288, Action::ACCEPT), // accept4
    (292, Action::DUP2),   // dup3
    (295, Action::READ),   // preadv
    (296, Action::WRITE),  // pwritev
    (299, Action::RECVMMSG),
    (304, Action::OPEN_BY_HANDLE),
    (307, Action::SENDMMSG),
    (322, Action::EXECVEAT),
    (326, Action::SPLICE), // copy_file_range
    (327, Action::READ),   // preadv2
    (328, Action::WRITE),  // pwritev2
    (435, Action::FORK),   // clone3
    (436, Action::CLOSE_RANGE),
    (437, Action::OPENAT2),
];

/// [`arch/x86/entry/syscalls/syscall_32.tbl`](https://elixir.bootlin.com/linux/v6.12/source/arch/x86/entry/syscalls/syscall_32.tbl):
/// numbers of the calls that would be recorded.
const I386: &[u16] = &[
    2, 3, 4, 5, 6, 8, 11, 63, 102, 120, 145, 146, 180, 181, 187, 190, 239, 295, 313, 315, 316, 330,
    333, 334, 337, 342, 345, 358, 359, 361, 362, 364, 369, 370, 371, 372, 377, 378, 379, 435, 436,
    437,
];

/// [`include/uapi/asm-generic/unistd.h`](https://elixir.bootlin.com/linux/v6.12/source/include/uapi/asm-generic/unistd.h)
const AARCH64: &[Entry] = &[
    (24, Action::DUP2), // dup3
    (56, Action::OPENAT),
    (57, Action::CLOSE),
    (63, Action::READ),
    (64, Action::WRITE),
    (65, Action::READ),  // readv
    (66, Action::WRITE), // writev
    (67, Action::READ),  // pread64
    (68, Action::WRITE), // pwrite64
    (69, Action::READ),  // preadv
    (70, Action::WRITE), // pwritev
    (71, Action::SENDFILE),
    (75, Action::WRITE), // vmsplice
    (76, Action::SPLICE),
    (77, Action::TEE),
    (198, Action::SOCKET),
    (200, Action::BIND),
    (202, Action::ACCEPT),
    (203, Action::CONNECT),
    (206, Action::WRITE), // sendto
    (207, Action::READ),  // recvfrom
    (211, Action::WRITE), // sendmsg
    (212, Action::READ),  // recvmsg
    (220, Action::FORK),  // clone
    (221, Action::EXECVE),
    (242, Action::ACCEPT), // accept4
    (243, Action::RECVMMSG),
    (265, Action::OPEN_BY_HANDLE),
    (269, Action::SENDMMSG),
    (281, Action::EXECVEAT),
    (285, Action::SPLICE), // copy_file_range
    (286, Action::READ),   // preadv2
    (287, Action::WRITE),  // pwritev2
    (435, Action::FORK),   // clone3
    (436, Action::CLOSE_RANGE),
    (437, Action::OPENAT2),
];

/// [`arch/arm/tools/syscall.tbl`](https://elixir.bootlin.com/linux/v6.12/source/arch/arm/tools/syscall.tbl):
/// numbers of the calls that would be recorded.
const ARM: &[u16] = &[
    2, 3, 4, 5, 6, 8, 11, 63, 120, 145, 146, 180, 181, 187, 190, 239, 281, 282, 283, 285, 289, 290,
    291, 292, 296, 297, 322, 340, 342, 343, 358, 361, 362, 365, 366, 371, 374, 387, 391, 392, 393,
    435, 436, 437,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_in_the_table_once() {
        for native in [X86_64, AARCH64] {
            for (index, (number, _)) in native.iter().enumerate() {
                assert!(usize::from(*number) < SYSCALLS_MAX);
                assert!(native[..index].iter().all(|(other, _)| other < number));
            }
        }
        for compat in [I386, ARM] {
            assert!(compat.is_sorted());
            assert!(compat.iter().all(|n| usize::from(*n) < SYSCALLS_MAX));
        }
    }

    #[test]
    fn native_calls_win_over_compat_numbers() {
        let table = Machine::X86_64.table();
        assert_eq!(table[3], Action::CLOSE);
        assert_eq!(table[59], Action::EXECVE);
        assert_eq!(table[5], Action::COMPAT_ONLY);
        assert_eq!(table[39], Action::NONE);
        assert_eq!(Machine::Aarch64.table()[221], Action::EXECVE);
    }
}
