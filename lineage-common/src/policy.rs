//! Policies as tables: what can be looked up, and what is found.
//!
//! What is found for the longest prefix is the whole answer: at compile time each entry takes in what all
//! shorter ones say.

mod named;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub use named::{NAME_BYTES, NAMES, NAMES_COUNT, Named};

/// What is done, as policies name it.
#[repr(transparent)]
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
)]
pub struct Operation(pub u8);

/// What an operation is done to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Resource {
    /// A program, by its path.
    Program,
    /// A file, by its path.
    File,
    /// An internet address with port and protocol.
    Endpoint,
    /// A Unix socket, by its path.
    UnixSocket,
    /// Something of the kernel, by its name.
    Facility,
    /// Another process, by how it stands to the one that acts.
    Process,
}

impl Resource {
    /// Its type in policies.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Program => "Program",
            Self::File => "File",
            Self::Endpoint => "Endpoint",
            Self::UnixSocket => "UnixSocket",
            Self::Facility => "Facility",
            Self::Process => "Process",
        }
    }

    /// Its attribute that is a text, by which it is looked up; of an endpoint there is none.
    #[must_use]
    pub fn text(self) -> Option<&'static str> {
        match self {
            Self::Program | Self::File | Self::UnixSocket => Some("path"),
            Self::Endpoint => None,
            Self::Facility => Some("name"),
            Self::Process => Some("relation"),
        }
    }

    /// Whether there can be one with this text.
    #[must_use]
    pub fn has(self, text: &str) -> bool {
        match self {
            Self::Facility => Named::FACILITIES.iter().any(|(_, name, _)| *name == text),
            Self::Process => Named::RELATIONS.iter().any(|(_, name)| *name == text),
            _ => true,
        }
    }
}

macro_rules! operations {
    ($($number:literal $constant:ident $name:literal $($resource:ident)|+ $doc:literal;)*) => {
        impl Operation {
            $(#[doc = $doc] pub const $constant: Self = Self($number);)*

            /// Every operation, with the action's name in policies and what it can be done to.
            pub const ALL: &'static [(Self, &'static str, &'static [Resource])] =
                &[$((Self($number), $name, &[$(Resource::$resource),+])),*];
        }
    };
}

operations! {
    1 EXEC "exec" Program "Executes a program.";
    2 READ "read" File "Opens a file to read.";
    3 WRITE "write" File "Opens a file to write, or sets its size.";
    4 CREATE "create" File "Makes a file, directory or device.";
    5 DELETE "delete" File "Removes a name.";
    6 RENAME "rename" File "Gives a file another name: both names are judged.";
    7 LINK "link" File "Gives a file one more name, or makes a symbolic link.";
    8 CHMOD "chmod" File "Changes owner, permissions or attributes.";
    9 CONNECT "connect" Endpoint | UnixSocket "Connects to somebody.";
    10 BIND "bind" Endpoint | UnixSocket "Takes an address.";
    11 LISTEN "listen" Endpoint | UnixSocket "Waits for others to connect.";
    12 ACCEPT "accept" Endpoint | UnixSocket "Takes the connection of somebody.";
    13 SEND "send" Endpoint | UnixSocket "Sends to an address without a connection.";
    14 USE "use" Facility "Makes use of something of the kernel.";
    15 PTRACE "ptrace" Process "Looks into another process, or changes it.";
    16 SIGNAL "signal" Process "Sends another process a signal.";
    17 MAP "map" File "Maps a file to execute what is in it.";
}

impl Operation {
    /// Its name in policies; `None` for a number that is none.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        let found = Self::ALL.iter().find(|(operation, ..)| *operation == self);
        found.map(|(_, name, _)| *name)
    }
}

/// What precedes the path of a Unix socket in texts, which tells it from an address.
pub const UNIX: &str = "unix:";

/// Bits before the path or the address in a key, all of which always count.
pub const KEY_HEAD_BITS: u32 = 64;

/// Bits of an address, IPv4 ones as IPv6.
pub const ADDRESS_BITS: u32 = 128;

/// Bytes of a path that a key holds: the kernel allows 256 with what precedes it (`LPM_DATA_SIZE_MAX`,
/// `kernel/bpf/lpm_trie.c`). What policies say is shorter, so of a longer path the first bytes
/// decide.
pub const PATH_KEY_BYTES: usize = 248;

/// Key of the tries of paths, after the length of the prefix.
///
/// It begins with table and operation, so every table is a part of the same trie, and another one takes its
/// place by its number. A path ends with a NUL, which is part of an entry that means exactly this path.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct PathKey {
    /// The table: [`Governance::table`].
    pub table: u32,
    /// What is done, and for a Unix socket [`Self::UNIX_SOCKET`] besides.
    pub operation: u32,
    /// The path; what is beyond the prefix does not count.
    pub path: [u8; PATH_KEY_BYTES],
}

impl PathKey {
    /// The path is a Unix socket's, not a file's.
    pub const UNIX_SOCKET: u32 = 1 << 8;

    /// Names of the tries, the last of which has what the others are not for. What is asked most has one of its own: each bit
    /// in which keys of one trie differ is a step more for all.
    pub const TRIES: [&str; 3] = ["READ_RULES", "WRITE_RULES", "PATH_RULES"];

    /// Which of [`Self::TRIES`] has the keys with an [`Self::operation`].
    #[must_use]
    pub const fn trie(operation: u32) -> usize {
        const READ: u32 = Operation::READ.0 as u32;
        const WRITE: u32 = Operation::WRITE.0 as u32;
        match operation {
            READ => 0,
            WRITE => 1,
            _ => 2,
        }
    }
}

/// Key of the trie of addresses, after the length of the prefix.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct AddressKey {
    /// The table: [`Governance::table`].
    pub table: u32,
    /// What is done.
    pub operation: Operation,
    /// With which protocol.
    pub protocol: Protocol,
    /// How many of [`Governance::port_bounds`] the port has reached.
    pub port_class: u8,
    /// Always 0.
    pub reserved: u8,
    /// The address; of IPv4 as an IPv4-mapped one (RFC 4291, section 2.5.5.2), so that both spellings
    /// are one.
    pub address: [u8; 16],
}

/// The end of a connection that a decision is about, as it was asked for: port 0 is any that is free.
#[repr(C)]
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct End {
    /// The address, as in [`AddressKey::address`].
    pub address: [u8; 16],
    /// The port.
    pub port: u16,
    /// With which protocol.
    pub protocol: Protocol,
    /// Always 0.
    pub reserved: [u8; 5],
}

/// What was decided about a call before it had an effect, until the call returns: value of a map by thread.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Decided {
    /// What the policy said.
    pub ruling: Ruling,
    /// What came of that.
    pub outcome: Outcome,
    /// [`Governance::generation`]
    pub generation: u32,
    /// What was asked.
    pub operation: u32,
    /// About what.
    pub end: End,
}

/// What governs a lineage: value of the map of governance. One that a lineage uses is not changed, but for
/// its end.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Governance {
    /// Where its rules are.
    pub table: u32,
    /// Counts what has governed, from 1.
    pub generation: u32,
    /// Boot time in nanoseconds from which on nothing is allowed any more.
    pub until_ns: u64,
    /// [`Mode`]
    pub mode: Mode,
    /// How many of [`Self::port_bounds`] there are.
    pub port_bounds_count: u32,
    /// Ports at which classes begin, ascending; then [`u16::MAX`], of which none is counted.
    pub port_bounds: [u16; PORT_BOUNDS_MAX + 1],
    /// Of each level the place of its [`Budget`], from 1; 0 when it has none.
    pub budgets: [u16; BUDGET_LEVELS],
}

impl Governance {
    /// Nothing is governed by it yet.
    pub const NONE: Self = Self {
        table: 0,
        generation: 0,
        until_ns: 0,
        mode: Mode::AUDIT,
        port_bounds_count: 0,
        port_bounds: [u16::MAX; PORT_BOUNDS_MAX + 1],
        budgets: [0; BUDGET_LEVELS],
    };
}

/// Levels of grants that can have a budget: all there can be.
pub const BUDGET_LEVELS: usize = 8;

/// Places in a [`Budget`]: a power of two, so that the kernel's verifier believes a mask.
pub const SPENT_COUNT: usize = 4;

/// What is counted in a [`Budget`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spent {
    /// A program executed.
    Exec = 0,
    /// A connection begun.
    Connection = 1,
    /// A byte sent through an internet socket.
    Byte = 2,
}

/// How much all processes that are bound to a grant, or to one below it, may do together: value of the map of budgets.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Budget {
    /// The most there may be, by [`Spent`]; [`u64::MAX`] for no limit.
    pub limits: [u64; SPENT_COUNT],
    /// What there was; more than that when something was denied for it.
    pub spent: [u64; SPENT_COUNT],
}

/// What becomes of what a policy denies.
#[repr(transparent)]
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct Mode(pub u32);

impl Mode {
    /// It is recorded.
    pub const AUDIT: Self = Self(0);
    /// It is prevented, or who does it is ended.
    pub const ENFORCE: Self = Self(1);
}

/// What came of judging.
#[repr(transparent)]
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct Outcome(pub u32);

impl Outcome {
    /// Nothing governs it.
    pub const UNGOVERNED: Self = Self(0);
    /// It is allowed.
    pub const ALLOWED: Self = Self(1);
    /// It is denied, and nothing was done about it.
    pub const DENIED: Self = Self(2);
    /// It is denied, and the process was sent `SIGKILL`.
    pub const KILLED: Self = Self(3);
    /// It is denied, and the signal could not be sent.
    pub const NOT_KILLED: Self = Self(4);
    /// It is denied, and the call was refused before it had an effect.
    pub const PREVENTED: Self = Self(5);
    /// What of it is one of those.
    pub const KIND: u32 = 0xff;
    /// Denied because the path is not known whole.
    pub const CUT: u32 = 1 << 8;
    /// Denied because the host has no path to it.
    pub const NOT_ON_HOST: u32 = 1 << 9;
    /// Denied because what governs is over.
    pub const OVER: u32 = 1 << 10;
    /// Denied because the table has no entry for it.
    pub const NO_ENTRY: u32 = 1 << 11;
    /// It is about a Unix socket.
    pub const UNIX_SOCKET: u32 = 1 << 12;
    /// Denied because the budget of a grant is spent.
    pub const BUDGET: u32 = 1 << 30;
    /// What was judged: from this bit on one for each operation, by its number.
    pub const OPERATIONS_SHIFT: u32 = 12;

    /// Whether an operation was judged.
    #[must_use]
    pub const fn judges(self, operation: Operation) -> bool {
        self.0 & Self::of(operation) != 0
    }

    /// That an operation was judged.
    #[must_use]
    pub const fn of(operation: Operation) -> u32 {
        1 << operation.0 << Self::OPERATIONS_SHIFT
    }
}

/// Protocols that policies tell apart.
#[repr(transparent)]
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
)]
pub struct Protocol(pub u8);

impl Protocol {
    /// Any other.
    pub const OTHER: Self = Self(0);
    /// TCP
    pub const TCP: Self = Self(1);
    /// UDP
    pub const UDP: Self = Self(2);

    /// All of them, with their names in policies.
    pub const ALL: [(Self, &'static str); 3] = [
        (Self::TCP, "tcp"),
        (Self::UDP, "udp"),
        (Self::OTHER, "other"),
    ];
}

/// Most bounds between classes of ports of one table.
pub const PORT_BOUNDS_MAX: usize = 63;

/// What a policy says.
#[repr(C)]
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct Ruling {
    /// 1 when it is allowed, else 0.
    pub allowed: u8,
    /// The grant that decided: of what is allowed the last one, of what is not the first that does not
    /// allow it. 0 is the first.
    pub level: u8,
    /// The rule that decided, by its place in the table's list; [`Self::NO_RULE`] when it is denied because no
    /// rule allows it.
    pub rule: u16,
}

impl Ruling {
    /// No rule: nothing allows it.
    pub const NO_RULE: u16 = u16::MAX;

    /// Nothing was asked.
    pub const NONE: Self = Self {
        allowed: 0,
        level: 0,
        rule: 0,
    };
}

const _: () = {
    assert!(size_of::<PathKey>() == 256);
    assert!(size_of::<AddressKey>() == 24);
    assert!(size_of::<Decided>() == 40);
    assert!(size_of::<Governance>() == 24 + 2 * (PORT_BOUNDS_MAX + 1 + BUDGET_LEVELS));
    assert!(size_of::<Budget>() == 64);
    assert!(size_of::<Ruling>() == 4);
    // Every operation has a bit of its own, above all others.
    assert!(Operation::ALL.len() == Operation::MAP.0 as usize);
    assert!(Operation::MAP.0 as u32 + Outcome::OPERATIONS_SHIFT < u32::BITS);
    assert!(Outcome::of(Operation::EXEC) > Outcome::UNIX_SOCKET);
};
