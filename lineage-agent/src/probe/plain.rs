//! Keys and values of maps: our types by the trait that aya asks for.

use aya::Pod;
use zerocopy::{FromBytes, IntoBytes};

/// One of them, as it is in memory.
#[repr(transparent)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Plain<T>(pub(super) T);

// SAFETY: `IntoBytes` says that there is no padding, `FromBytes` that all bytes are a value.
unsafe impl<T: FromBytes + IntoBytes + Copy + 'static> Pod for Plain<T> {}
