//! Tests of the whole: see `hermetic/` and `kernel/`.
