//! Between the thread that waits for files and whoever waits for that thread.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use super::Left;

/// What whoever waits for the end can see and do.
#[derive(Debug, Default)]
pub(in crate::recorder) struct Watched {
    /// Set by them: files are waited for no longer.
    hurry: AtomicBool,
    left: Mutex<Option<Left>>,
}

impl Watched {
    /// Files are waited for no longer.
    pub(in crate::recorder) fn hurry(&self) {
        self.hurry.store(true, Ordering::Relaxed);
    }

    /// What is waited for, if it is files.
    pub(in crate::recorder) fn left(&self) -> Option<Left> {
        let left = self.left.lock();
        left.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether that was said.
    pub(in crate::recorder) fn is_hurried(&self) -> bool {
        self.hurry.load(Ordering::Relaxed)
    }

    /// Says what is waited for.
    pub(in crate::recorder) fn set(&self, left: Option<Left>) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = left;
    }
}
