//! Why a probe run ends without a frame.

/// Not an error: most runs end this way, and most of them at the first line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skip {
    /// The call is not one that is recorded.
    Untraced,
    /// Not skipped, but to be recorded by `transfer::report`.
    News,
    /// The message has no address.
    Unaddressed,
    /// The process is not tracked.
    Untracked,
    /// A kernel structure was gone or not readable.
    Unreadable,
    /// The frame was counted as lost; nothing more to do.
    Lost,
}
