//! The kinds of records: every value the field `kind` can have, once.
//!
//! What a kind means, which fields it carries and what it is in OCSF (the Open Cybersecurity Schema
//! Framework, whose consumers meet these records in exports) follow from the table below; so do
//! `docs/schema.md`, the colours and facts of `lineage ls`, and the check that a record carries
//! nothing its kind does not list. Like the field registry it is append-only.

/// One kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Value of the field `kind`.
    pub name: &'static str,
    /// What happened.
    pub doc: &'static str,
    /// What the kind's records have in common beyond [`COMMON`].
    pub group: Group,
    /// Fields of this kind, besides [`COMMON`] and, where a process acts, [`ACTOR`]. Any may be
    /// absent: not known, or without meaning because the call failed.
    pub fields: &'static [&'static str],
    /// Class and activity in OCSF 1.x; `None` where OCSF has no word for it.
    pub ocsf: Option<Ocsf>,
}

/// Which part of the story a kind tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Processes and threads coming, changing and going.
    Process,
    /// Files.
    File,
    /// Sockets.
    Net,
    /// The recorder about its own work; no process acts.
    Recorder,
}

/// A place in the Open Cybersecurity Schema Framework.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ocsf {
    /// `class_uid`.
    pub class: u32,
    /// `activity_id` within the class; 99 is "other", with the kind as its name.
    pub activity: u32,
}

impl Ocsf {
    /// Process Activity.
    pub const PROCESS: u32 = 1007;
    /// File System Activity.
    pub const FILE: u32 = 1001;
    /// Network Activity.
    pub const NETWORK: u32 = 4001;
    /// Process Query: a process found, not seen starting.
    pub const PROCESS_QUERY: u32 = 5015;
    /// `activity_id` of what a class has no word for.
    pub const OTHER: u32 = 99;

    /// `type_uid`: class and activity in one number.
    #[must_use]
    pub const fn type_uid(self) -> u32 {
        self.class * 100 + self.activity
    }
}

impl Kind {
    /// Whether a record of this kind may carry the field of this name.
    #[must_use]
    pub fn carries(&self, field: &str) -> bool {
        COMMON.contains(&field)
            || (self.group != Group::Recorder && ACTOR.contains(&field))
            || self.fields.contains(&field)
    }
}

/// The kind with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// Fields any record carries.
pub const COMMON: &[&str] = &[
    "seq",
    "time",
    "time_ns",
    "kind",
    "origin",
    "lineage",
    "lineage_seq",
    "cause",
    "context",
];

/// Fields of every record in which a process acts.
pub const ACTOR: &[&str] = &[
    "process_uid",
    "exec",
    "parent_uid",
    "pid",
    "tid",
    "ppid",
    "comm",
    "exe",
    "result",
    "truncated",
    "notes",
];

macro_rules! kinds {
    ($($constant:ident = $name:literal, $group:ident, $ocsf:expr, [$($field:ident)*], $doc:literal;)*) => {
        $(#[doc = $doc] pub const $constant: &str = $name;)*

        /// Every kind, in the order of a process's life.
        pub const KINDS: &[Kind] = &[$(Kind {
            name: $name,
            doc: $doc,
            group: Group::$group,
            fields: &[$(stringify!($field)),*],
            ocsf: $ocsf,
        }),*];
    };
}

const fn ocsf(class: u32, activity: u32) -> Option<Ocsf> {
    Some(Ocsf { class, activity })
}

kinds! {
    LINEAGE_START = "lineage.start", Recorder, None,
        [detail],
        "A lineage was registered: by launching a command or by attaching to a process. The root cause of all its records.";
    PROCESS_SNAPSHOT = "process.snapshot", Process, ocsf(Ocsf::PROCESS_QUERY, 1),
        [argv argc cwd dev ino mode uid gid euid egid ns_pid pid_ns mnt_ns net_ns user_ns cgroup caps_effective caps_permitted detail],
        "A process as it was found when recording reached it; what it did before was not seen. `detail` has the other credentials and namespaces, and the `environment`: what its memory shows of it, so claimed; names of variables, and values only when they were asked for and may be no secret.";
    PROCESS_FORK = "process.fork", Process, ocsf(Ocsf::PROCESS, Ocsf::OTHER),
        [child_uid child_pid child_tid ns_pid pid_ns],
        "The process created another one (`ns_pid` and `pid_ns` are the new one's), or could not.";
    THREAD_START = "thread.start", Process, None,
        [child_tid],
        "The process created a thread.";
    PROCESS_EXEC = "process.exec", Process, ocsf(Ocsf::PROCESS, 1),
        [path filename interpreter argv argc cwd dev ino mode generation size mtime_ns ctime_ns uid gid euid egid ns_pid pid_ns mnt_ns net_ns user_ns cgroup],
        "The process became another program, or could not. `dev`, `ino`, `mode` and the version (`generation`, `size`, `mtime_ns`, `ctime_ns`) are the executable's; `path` is there when it failed.";
    FILE_OPEN = "file.open", File, ocsf(Ocsf::FILE, 14),
        [path fd flags mode dev ino generation size mtime_ns ctime_ns],
        "A file was opened or created, or could not be.";
    FILE_INHERIT = "file.inherit", File, ocsf(Ocsf::FILE, 14),
        [path fd flags mode dev ino generation size mtime_ns ctime_ns],
        "First use of a file descriptor the process did not open itself: inherited, duplicated, received, or open before recording.";
    FILE_CLOSE = "file.close", File, ocsf(Ocsf::FILE, Ocsf::OTHER),
        [path fd dev ino opened bytes_read bytes_written closed_by],
        "A file descriptor was closed; what went through it in this process.";
    NET_BIND = "net.bind", Net, ocsf(Ocsf::NETWORK, Ocsf::OTHER),
        [fd ino transport local_addr local_port],
        "A socket was given a local address, or could not be.";
    NET_CONNECT = "net.connect", Net, ocsf(Ocsf::NETWORK, 1),
        [fd ino transport local_addr local_port peer_addr peer_port],
        "A socket was connected, or could not be (OCSF activity 4, Fail, when `result` is negative).";
    NET_ACCEPT = "net.accept", Net, ocsf(Ocsf::NETWORK, 1),
        [fd ino transport local_addr local_port peer_addr peer_port],
        "A connection was accepted, or could not be.";
    NET_INHERIT = "net.inherit", Net, ocsf(Ocsf::NETWORK, Ocsf::OTHER),
        [fd ino transport local_addr local_port peer_addr peer_port],
        "First use of a socket the process did not connect, accept or bind itself.";
    NET_CLOSE = "net.close", Net, ocsf(Ocsf::NETWORK, 2),
        [fd ino transport local_addr local_port peer_addr peer_port opened bytes_read bytes_written closed_by],
        "A socket was closed; what went through it in this process.";
    THREAD_EXIT = "thread.exit", Process, None,
        [exit_code exit_signal],
        "A thread ended and its process goes on.";
    PROCESS_EXIT = "process.exit", Process, ocsf(Ocsf::PROCESS, 2),
        [exit_code exit_signal],
        "The last thread of the process ended.";
    CONTEXT_CHANGE = "context.change", Recorder, None,
        [detail],
        "What governs the lineage changed: from here on its records name another context, as does this one. `detail` says what changed and from what to what. Its cause is the change before, or the start of the lineage.";
    LINEAGE_END = "lineage.end", Recorder, None,
        [detail],
        "Recording of the lineage ended; `detail` says why and what is still running.";
    EVIDENCE_LOSS = "evidence.loss", Recorder, None,
        [cpu lost_first lost_count detail],
        "Something that happened is not recorded, and that is known: with `cpu`, frames the kernel numbered but had no room for; without, what `detail` says, a crash of the recorder or a full disk.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::schema::FIELDS;

    #[test]
    fn every_listed_field_is_in_the_registry_once() {
        for kind in KINDS {
            for (index, name) in kind.fields.iter().enumerate() {
                assert!(FIELDS.iter().any(|field| field.name == *name), "{name}");
                assert!(!kind.fields[..index].contains(name), "{name} twice");
                assert!(!COMMON.contains(name), "{name} is common to all");
            }
        }
        for name in COMMON.iter().chain(ACTOR) {
            assert!(FIELDS.iter().any(|field| field.name == *name), "{name}");
        }
    }

    #[test]
    fn every_field_of_the_registry_is_carried_by_some_kind() {
        for field in FIELDS {
            assert!(
                KINDS.iter().any(|kind| kind.carries(field.name)),
                "{}",
                field.name
            );
        }
    }

    #[test]
    fn names_are_unique_and_found() {
        for kind in KINDS {
            assert_eq!(find(kind.name), Some(kind));
        }
        assert_eq!(find("process.teleport"), None);
    }
}
