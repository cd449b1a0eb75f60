//! Calls that are counted, because there may be very many of them: the first of each is recorded at
//! once, and how many there were when the process ends.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What sort of call is counted.
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
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
)]
pub struct Class(pub u32);

impl Class {
    /// Nothing is counted here: the entry names one that is. See [`TallyKey`].
    pub const LISTED: Self = Self(0);
    /// `ioctl` on a character device; the code is the request.
    pub const CHARACTER: Self = Self(1);
    /// `ioctl` on a block device; the code is the request.
    pub const BLOCK: Self = Self(2);
    /// A request submitted to an `io_uring`; the code is its opcode.
    pub const IO_URING: Self = Self(3);
    /// A call of another table than the native one; the code is its number.
    pub const COMPAT: Self = Self(4);
    /// `io_submit`
    pub const AIO: Self = Self(5);
}

/// Key of the map of tallies.
///
/// A process's tallies are numbered, and under [`Class::LISTED`] with the number as code the map has
/// which they are: so they are found when it ends, without a look at those of others.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct TallyKey {
    /// `start_boottime` of the process.
    pub start: u64,
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// What sort of call.
    pub class: Class,
    /// Which of them.
    pub code: u32,
    /// The device, in the kernel's encoding; 0 when it is not about one.
    pub device: u32,
}

/// Value of the map of tallies.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Tally {
    /// How many calls.
    pub calls: u64,
    /// How many of them failed.
    pub failed: u64,
    /// What is counted, as in its key.
    pub class: Class,
    /// Likewise.
    pub code: u32,
    /// Likewise.
    pub device: u32,
    /// Always 0.
    pub reserved: u32,
}

const _: () = {
    assert!(size_of::<TallyKey>() == 24);
    assert!(size_of::<Tally>() == 32);
};
