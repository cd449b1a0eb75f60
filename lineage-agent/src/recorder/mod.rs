//! Records: from the kernel's rings to sealed evidence.

pub mod launch;
pub mod snapshot;
