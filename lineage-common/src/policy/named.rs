//! What policies speak of that is neither a file nor an address: it has a name, and is looked up by it like a path.

/// Bytes of a name in the table of the probes, with its NUL.
pub const NAME_BYTES: usize = 16;

/// Names there can be; 0 is none.
pub const NAMES_COUNT: usize = 32;

/// A name: of a facility of the kernel, or of how another process stands to the one that acts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Named(pub u8);

macro_rules! facilities {
    ($($number:literal $constant:ident $name:literal [$($call:literal)*] $doc:literal;)*) => {
        impl Named {
            $(#[doc = $doc] pub const $constant: Self = Self($number);)*

            /// Every facility, with its name in policies and the calls that use it whatever their arguments; of `unshare`
            /// only what makes a namespace, of `ioctl` only what puts input into a terminal.
            pub const FACILITIES: &'static [(Self, &'static str, &'static [&'static str])] =
                &[$((Self($number), $name, &[$($call),*])),*];
        }
    };
}

facilities! {
    1 IO_URING "io_uring" ["io_uring_setup" "io_uring_register"]
        "Opens, connects and sends without a call for each, and with its arguments where none is seen.";
    2 AIO "aio" ["io_setup" "io_submit"] "Reads and writes without a call for each.";
    3 COMPAT "compat" [] "Calls of 32-bit programs, whose arguments are not read.";
    4 MOUNT "mount" ["mount" "umount2" "pivot_root" "move_mount" "open_tree" "open_tree_attr" "mount_setattr"
        "fsopen" "fspick" "fsconfig" "fsmount"] "Changes which file a path leads to.";
    5 NAMESPACE "namespace" ["unshare" "setns"] "Another view of files, networks, processes or users; `clone` too.";
    6 BPF "bpf" ["bpf"] "Programs and maps in the kernel.";
    7 PERF "perf" ["perf_event_open"] "Looks at what other processes and the kernel do.";
    8 MODULE "module" ["init_module" "finit_module" "delete_module"] "Code in the kernel.";
    9 KEXEC "kexec" ["kexec_load" "kexec_file_load"] "Another kernel.";
    10 EXECMEM "execmem" [] "Memory made executable that no file is behind: what is read can be run.";
    11 FANOTIFY "fanotify" ["fanotify_init" "fanotify_mark"] "Descriptors of what others open.";
    12 USERFAULTFD "userfaultfd" ["userfaultfd"] "Holds the kernel up where it reads memory.";
    13 IO_PORTS "io_ports" ["iopl" "ioperm"] "Devices without the kernel.";
    14 ACCT "acct" ["acct"] "Has the kernel write to a file.";
    15 SWAP "swap" ["swapon" "swapoff"] "Has the kernel write memory to a file.";
    16 SYSV "sysv" ["shmget" "shmat" "shmctl" "msgget" "msgsnd" "msgrcv" "msgctl" "semget" "semctl"]
        "Memory and messages shared by number with whoever knows it.";
    17 PERSONALITY "personality" ["personality"] "Another way to lay out and protect memory.";
    18 KEYS "keys" ["add_key" "request_key" "keyctl"] "Keys, for which the kernel can start programs of its own.";
    19 REBOOT "reboot" ["reboot"] "The end of everything that runs.";
    20 NETLINK "netlink" [] "Sockets that talk to the kernel: its network, filters, devices.";
    21 SOCKET "socket" [] "Sockets of other families and types than TCP, UDP and Unix: raw ones, packets, virtual machines.";
    22 TERMINAL "terminal" ["ioctl"] "Input put into a terminal as if somebody had typed it (`TIOCSTI`, `TIOCLINUX`).";
    23 SHARED_FILES "shared_files" [] "A process that shares the descriptors of another one (`clone` with `CLONE_FILES`, and no thread).";
}

impl Named {
    /// None.
    pub const NONE: Self = Self(0);
    /// The other process is of the same lineage.
    pub const INSIDE: Self = Self(30);
    /// It is not, or nobody knows.
    pub const OUTSIDE: Self = Self(31);

    /// How processes stand to one another.
    pub const RELATIONS: [(Self, &'static str); 2] =
        [(Self::INSIDE, "inside"), (Self::OUTSIDE, "outside")];

    /// The name in policies; empty for a number that is none.
    #[must_use]
    pub const fn name(self) -> &'static str {
        let mut index = 0;
        while index < Self::FACILITIES.len() {
            if Self::FACILITIES[index].0.0 == self.0 {
                return Self::FACILITIES[index].1;
            }
            index += 1;
        }
        match self {
            Self::INSIDE => "inside",
            Self::OUTSIDE => "outside",
            _ => "",
        }
    }

    /// The facility that a call uses.
    #[must_use]
    pub fn of_call(name: &str) -> Option<Self> {
        let uses = |(_, _, calls): &&(Self, _, &[&str])| calls.contains(&name);
        Self::FACILITIES.iter().find(uses).map(|(named, ..)| *named)
    }
}

/// Every name as the probes put it into a key: with zeros behind it.
pub const NAMES: [[u8; NAME_BYTES]; NAMES_COUNT] = {
    let mut names = [[0; NAME_BYTES]; NAMES_COUNT];
    let mut number = 0;
    while number < NAMES_COUNT {
        let name = Named(number as u8).name().as_bytes();
        assert!(name.len() < NAME_BYTES);
        let mut at = 0;
        while at < name.len() {
            names[number][at] = name[at];
            at += 1;
        }
        number += 1;
    }
    names
};
