//! Why something that was recorded is not in a proposal.

/// A reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It did not succeed.
    Failed,
    /// A policy that was enforced denied it.
    Denied,
    /// The host has no path to it.
    NotOnHost,
    /// Its names were given in another root or mount namespace.
    Elsewhere,
    /// Its path is not known whole.
    Cut,
    /// Its path is the caller's word only.
    Claimed,
    /// It has no place in a file system.
    NoPlace,
    /// A name goes up by `..`.
    Upward,
    /// Its path is not text that people can read.
    NotText,
    /// Its path is longer than any rule's.
    TooLong,
    /// No address is known.
    NoAddress,
    /// It was judged as something that this program does not propose rules for.
    Unknown,
    /// There are too many different things.
    TooMany,
}

impl Reason {
    /// One word for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Denied => "denied",
            Self::NotOnHost => "not-on-host",
            Self::Elsewhere => "elsewhere",
            Self::Cut => "cut",
            Self::Claimed => "claimed",
            Self::NoPlace => "no-place",
            Self::Upward => "upward",
            Self::NotText => "not-text",
            Self::TooLong => "too-long",
            Self::NoAddress => "no-address",
            Self::Unknown => "unknown",
            Self::TooMany => "too-many",
        }
    }

    /// In words, of something that was done.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Failed => "did not succeed",
            Self::Denied => "denied by a policy that was enforced",
            Self::NotOnHost => {
                "on files that have no path on the host (another root or mount namespace)"
            }
            Self::Elsewhere => {
                "by names of a process with another root or mount namespace: what they are on the host is not recorded"
            }
            Self::Cut => "on paths that are not known whole",
            Self::Claimed => "on paths that are only what the caller wrote",
            Self::NoPlace => {
                "on what has no place in a file system: pipes, sockets, relative names of sockets"
            }
            Self::Upward => "by names with `..` in them",
            Self::NotText => "on paths that are not UTF-8, or have control or invisible characters",
            Self::TooLong => "on paths of more than 247 bytes, which no rule can name",
            Self::NoAddress => "with no address that is known",
            Self::Unknown => "judged as something that no rule is proposed for",
            Self::TooMany => {
                "on more different things than a proposal has room for: propose for parts of the evidence"
            }
        }
    }
}

/// How often, and where first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    /// Records.
    pub records: u64,
    /// `seq` of the first of them.
    pub first: u64,
}
