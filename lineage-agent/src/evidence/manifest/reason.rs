//! Why segments are sealed.

/// Why a segment was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It had enough records.
    Rows,
    /// Its spool was large enough.
    Bytes,
    /// Its first record was old enough.
    Time,
    /// The host's clock was set; the next segment has another offset.
    Clock,
    /// The manifest would not have had room for more lineages or contexts.
    Limit,
    /// The recorder stopped and will go on.
    Stop,
    /// The recorder did not stop by itself.
    Recovery,
    /// Its epoch ended. Final for the epoch.
    EpochEnd,
    /// The log is complete. Final for the epoch and the log.
    Shutdown,
}

impl Reason {
    const ALL: [Self; 9] = [
        Self::Rows,
        Self::Bytes,
        Self::Time,
        Self::Clock,
        Self::Limit,
        Self::Stop,
        Self::Recovery,
        Self::EpochEnd,
        Self::Shutdown,
    ];

    /// The word in the manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Bytes => "bytes",
            Self::Time => "time",
            Self::Clock => "clock",
            Self::Limit => "limit",
            Self::Stop => "stop",
            Self::Recovery => "recovery",
            Self::EpochEnd => "epoch-end",
            Self::Shutdown => "shutdown",
        }
    }

    /// The reason with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// Whether no further segment may be in the same epoch.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::EpochEnd | Self::Shutdown)
    }
}
