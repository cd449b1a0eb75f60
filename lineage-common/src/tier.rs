//! How policies are enforced: what becomes of what they deny, by what the kernel lets the recorder attach to.

use crate::policy::{Operation, Resource};

/// A way of enforcing. The later can do all that the earlier can.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Tier {
    /// Decisions where system calls return, at exec before the new image runs, and in the hooks of control groups.
    Trace,
    /// Decisions in the kernel's security hooks, which tell which file a name led to, but cannot refuse.
    Fexit,
    /// Decisions in the kernel's security hooks, which refuse.
    Lsm,
}

/// What becomes of an operation that a policy denies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Denied {
    /// It does not happen.
    Prevented,
    /// The program is ended before its first instruction.
    KilledBeforeRun,
    /// It happens, and the process is ended before it goes on.
    KilledAfter,
    /// The same, but what is judged is the name that the process gave: links in the middle of it can lead elsewhere.
    KilledAfterByName,
}

impl Tier {
    /// All of them, with their names.
    pub const ALL: [(Self, &'static str); 3] = [
        (Self::Trace, "trace"),
        (Self::Fexit, "fexit"),
        (Self::Lsm, "lsm"),
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Fexit => "fexit",
            Self::Lsm => "lsm",
        }
    }

    /// What becomes of what is denied, for a person.
    #[must_use]
    pub fn does(self) -> &'static str {
        match self {
            Self::Lsm => {
                "programs, files, connections, and what is done to other processes that a policy denies are refused before \
                 they have an effect. Connections from the internet are accepted, extended attributes changed, files mapped \
                 to be executed and the kernel's facilities used, and the process is ended as the call returns"
            }
            Self::Fexit => {
                "programs that a policy denies are ended before they run, connections refused before they are made; \
                 other acts happen, and the process is ended as the call returns"
            }
            Self::Trace => {
                "programs that a policy denies are ended before they run, connections refused before they are made; \
                 other acts happen, and the process is ended as the call returns. What changes names or attributes is \
                 judged by the name as it was given, which links can lead elsewhere"
            }
        }
    }

    /// Names of what is not prevented in it, for documents: see `docs/policies.md`.
    #[must_use]
    pub fn gaps(self) -> &'static [&'static str] {
        match self {
            Self::Lsm => &["attributes-after-effect", "calls-after-effect"],
            Self::Fexit => &[
                "attributes-after-effect",
                "calls-after-effect",
                "files-after-effect",
                "others-after-effect",
            ],
            Self::Trace => &[
                "attributes-after-effect",
                "calls-after-effect",
                "files-after-effect",
                "names-as-given",
                "others-after-effect",
            ],
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, known)| *known == name);
        found.map(|(tier, _)| *tier)
    }

    /// What becomes of an operation on such a resource when it is denied: all the ways it can come to, the best first.
    #[must_use]
    pub fn denied(self, operation: Operation, resource: Resource) -> &'static [Denied] {
        use Denied::{KilledAfter, KilledAfterByName, KilledBeforeRun, Prevented};
        match (operation, resource) {
            // The hooks of control groups are there in every tier.
            (Operation::CONNECT | Operation::BIND, Resource::Endpoint) => &[Prevented],
            // Bytes are counted when they have been sent.
            (Operation::SEND, Resource::Endpoint) => &[Prevented, KilledAfter],
            // Of an address that a message goes to the kernel keeps nothing.
            (Operation::SEND, _) if self != Self::Lsm => &[KilledAfter, KilledAfterByName],
            // An address that the kernel chooses is known when it has.
            (Operation::LISTEN, Resource::Endpoint) if self == Self::Lsm => {
                &[Prevented, KilledAfter]
            }
            // To which of the host's addresses a connection comes is known when it is there.
            (Operation::ACCEPT, Resource::Endpoint) => &[KilledAfter],
            // What was allowed as somebody began to wait is judged again when a connection is there.
            (Operation::ACCEPT, _) if self == Self::Lsm => &[Prevented, KilledAfter],
            // About what is done to a process that is traced already nobody is asked.
            (Operation::PTRACE, _) if self == Self::Lsm => &[Prevented, KilledAfter],
            // No hook that has the path is asked about extended attributes.
            (Operation::CHMOD, _) if self == Self::Lsm => &[Prevented, KilledAfterByName],
            (Operation::CHMOD, _) => &[KilledAfter, KilledAfterByName],
            // One that the kernel gives a name by itself is known when it has it.
            (Operation::BIND, Resource::UnixSocket) if self == Self::Lsm => {
                &[Prevented, KilledAfter]
            }
            _ if self == Self::Lsm && HOOKED.contains(&operation) => &[Prevented],
            (Operation::EXEC, _) => &[KilledBeforeRun],
            _ if self != Self::Trace => &[KilledAfter],
            (Operation::DELETE | Operation::RENAME | Operation::LINK, _) => &[KilledAfterByName],
            // Of what is opened, or is a descriptor, the kernel tells the file; of other calls the name is all there is.
            (Operation::WRITE | Operation::CREATE, _) => &[KilledAfter, KilledAfterByName],
            _ => &[KilledAfter],
        }
    }
}

/// What the kernel's security hooks are asked about.
const HOOKED: &[Operation] = &[
    Operation::EXEC,
    Operation::READ,
    Operation::WRITE,
    Operation::CREATE,
    Operation::DELETE,
    Operation::RENAME,
    Operation::LINK,
    Operation::CONNECT,
    Operation::SEND,
    Operation::LISTEN,
    Operation::SIGNAL,
];

impl Denied {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Prevented => "prevented",
            Self::KilledBeforeRun => "killed before it runs",
            Self::KilledAfter => "killed after the effect",
            Self::KilledAfterByName => "killed after the effect, judged by the name as given",
        }
    }

    /// As records have it in `effect`.
    #[must_use]
    pub const fn effect(self) -> &'static str {
        match self {
            Self::Prevented => "prevented",
            Self::KilledBeforeRun => "killed-before-run",
            Self::KilledAfter | Self::KilledAfterByName => "killed-after-effect",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for (tier, name) in Tier::ALL {
            assert_eq!((Tier::named(name), tier.name()), (Some(tier), name));
        }
        assert_eq!(Tier::named("none"), None);
    }

    #[test]
    fn a_later_tier_is_never_worse() {
        for (operation, _, resources) in Operation::ALL {
            for resource in *resources {
                let worst = |tier: Tier| {
                    let ways = tier.denied(*operation, *resource);
                    assert!(ways.is_sorted());
                    ways.last().copied()
                };
                let worst = Tier::ALL.map(|(tier, _)| worst(tier));
                assert!(worst.is_sorted_by(|less, more| less >= more), "{worst:?}");
            }
        }
        let denied = |tier: Tier| tier.denied(Operation::DELETE, Resource::File);
        assert_eq!(denied(Tier::Trace), [Denied::KilledAfterByName]);
        assert_eq!(denied(Tier::Fexit), [Denied::KilledAfter]);
        assert_eq!(denied(Tier::Lsm), [Denied::Prevented]);
        let denied = |operation, resource| Tier::Lsm.denied(operation, resource);
        let listen = denied(Operation::LISTEN, Resource::Endpoint);
        assert_eq!(listen, [Denied::Prevented, Denied::KilledAfter]);
        for resource in [Resource::UnixSocket, Resource::Process] {
            let operation = match resource {
                Resource::Process => Operation::SIGNAL,
                _ => Operation::SEND,
            };
            assert_eq!(denied(operation, resource), [Denied::Prevented]);
        }
        for (operation, resource) in [
            (Operation::ACCEPT, Resource::Endpoint),
            (Operation::MAP, Resource::File),
            (Operation::USE, Resource::Facility),
        ] {
            let ways = denied(operation, resource);
            assert!(!ways.contains(&Denied::Prevented), "{operation:?}");
        }
    }
}
