//! Policies as tables: what can be looked up, and what is found.
//!
//! What is found for the longest prefix is the whole answer: at compile time each entry takes in what all
//! shorter ones say.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

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
}

impl Operation {
    /// Its name in policies; `None` for a number that is none.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        let found = Self::ALL.iter().find(|(operation, ..)| *operation == self);
        found.map(|(_, name, _)| *name)
    }
}

/// Bytes of a path that a key holds: the kernel allows 256 with what precedes it (`LPM_DATA_SIZE_MAX`,
/// `kernel/bpf/lpm_trie.c`). What policies say is shorter, so of a longer path the first bytes
/// decide.
pub const PATH_KEY_BYTES: usize = 248;

/// Protocols that policies tell apart.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
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
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
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
}

const _: () = {
    assert!(size_of::<Ruling>() == 4);
};
