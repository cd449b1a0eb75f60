//! The field registry: every field a record can have, once.
//!
//! The record type, the canonical bytes, the Parquet columns, the reader, `--ndjson` and
//! `docs/schema.md` all follow from the table below. It is append-only: an id is never reused and a
//! type never changes, because old evidence is hashed under it. All fields may be absent (null);
//! adding one never changes an old record's hash.

/// How a field is hashed and stored. Unsigned values are stored as signed 64-bit columns (Parquet's
/// unsigned types become decimals in some engines) holding the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// Unsigned 64-bit; canonical tag 1; Parquet INT64.
    U64,
    /// Signed 64-bit; canonical tag 2; Parquet INT64.
    I64,
    /// Microseconds since 1970 UTC; canonical tag 2; Parquet TIMESTAMP(MICROS, UTC).
    Micros,
    /// UTF-8 text with the reversible escape of `evidence::escape`; canonical tag 3; Parquet STRING.
    Text,
}

/// Where the value of a field comes from, when the record itself is `origin = kernel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Read from kernel structures by the probe.
    Kernel,
    /// Read from user memory: the process could have written anything there.
    Claimed,
    /// Worked out by the agent from other fields of the evidence.
    Derived,
}

/// One entry of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Number in the canonical bytes and Parquet field id. Never reused.
    pub id: u16,
    /// Column name.
    pub name: &'static str,
    /// How it is hashed and stored.
    pub field_type: FieldType,
    /// Where it comes from.
    pub source: Source,
    /// Meaning and unit.
    pub doc: &'static str,
}

/// A field's value, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// [`FieldType::U64`]
    U64(u64),
    /// [`FieldType::I64`] and [`FieldType::Micros`]
    I64(i64),
    /// [`FieldType::Text`]
    Text(&'a str),
}

/// Maps a type of the table to the Rust type that holds it.
macro_rules! rust_type {
    (U64, $a:lifetime) => { u64 };
    (I64, $a:lifetime) => { i64 };
    (Micros, $a:lifetime) => { i64 };
    (Text, $a:lifetime) => { &$a str };
}

/// Wraps a field of the record as a [`Value`].
macro_rules! wrap {
    (U64, $value:expr) => {
        Value::U64($value)
    };
    (I64, $value:expr) => {
        Value::I64($value)
    };
    (Micros, $value:expr) => {
        Value::I64($value)
    };
    (Text, $value:expr) => {
        Value::Text($value)
    };
}

/// Takes a [`Value`] apart if it has the field's type.
macro_rules! unwrap {
    (U64, $value:expr) => {
        if let Value::U64(inner) = $value {
            Some(inner)
        } else {
            None
        }
    };
    (I64, $value:expr) => {
        if let Value::I64(inner) = $value {
            Some(inner)
        } else {
            None
        }
    };
    (Micros, $value:expr) => {
        if let Value::I64(inner) = $value {
            Some(inner)
        } else {
            None
        }
    };
    (Text, $value:expr) => {
        if let Value::Text(inner) = $value {
            Some(inner)
        } else {
            None
        }
    };
}

macro_rules! registry {
    ($($id:literal $name:ident $type:ident $source:ident $doc:literal;)*) => {
        /// Every field, by ascending id.
        pub const FIELDS: &[Field] = &[$(Field {
            id: $id,
            name: stringify!($name),
            field_type: FieldType::$type,
            source: Source::$source,
            doc: $doc,
        }),*];

        /// One record: an event with its cause and context; what is hashed and what a row holds.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Record<'a> {
            $(#[doc = $doc] pub $name: Option<rust_type!($type, 'a)>,)*
        }

        impl<'a> Record<'a> {
            /// Calls `visit` with id and value of every present field, by ascending id.
            #[inline]
            pub fn visit(&self, mut visit: impl FnMut(u16, Value<'a>)) {
                $(if let Some(value) = self.$name {
                    visit($id, wrap!($type, value));
                })*
            }

            /// Calls `visit` with every field of the registry, in its order, present or not.
            #[inline]
            pub fn visit_all(&self, mut visit: impl FnMut(usize, Option<Value<'a>>)) {
                let mut index = 0;
                $(
                    visit(index, self.$name.map(|value| wrap!($type, value)));
                    index += 1;
                )*
                let _ = index;
            }

            /// The value of the field with this id; `None` when the record does not have it.
            #[must_use]
            pub fn get(&self, id: u16) -> Option<Value<'a>> {
                match id {
                    $($id => self.$name.map(|value| wrap!($type, value)),)*
                    _ => None,
                }
            }

            /// Sets the field with this id. False when there is no such field or the value has
            /// another type; the record is then unchanged.
            #[inline]
            pub fn set(&mut self, id: u16, value: Value<'a>) -> bool {
                match id {
                    $($id => match unwrap!($type, value) {
                        Some(inner) => {
                            self.$name = Some(inner);
                            true
                        }
                        None => false,
                    },)*
                    _ => false,
                }
            }
        }
    };
}

registry! {
    1 seq U64 Derived "Position in the host's log, from 0, without gaps. Names exactly one record.";
    2 time Micros Derived "When it happened, UTC: `time_ns` rounded down to microseconds.";
    3 time_ns I64 Derived "When it happened, or for a snapshot when it was read, which is after what else was recorded in the moments of an attach: nanoseconds since 1970 UTC, from the kernel's boot-time clock plus the offset the segment's manifest gives.";
    4 kind Text Kernel "What happened: see the list of kinds.";
    5 origin Text Derived "How the facts are known: `kernel` (kernel structures), `claimed` (the names are from user memory, because the kernel holds none: the call failed, or it is one that leaves none behind), `snapshot` (found at attach, in kernel structures or procfs), `agent` (the recorder itself).";
    6 lineage Text Derived "The lineage: UUID of the launch or attach all its processes descend from.";
    7 lineage_seq U64 Derived "Position among the records of this lineage, from 0, without gaps.";
    8 cause U64 Derived "`seq` of the record that caused this one: the exec, fork or snapshot that made the process what it is; for the first record of a lineage the record that registered it.";
    9 context Text Derived "BLAKE3 of the context document in `artifacts/` that governed this record, 64 hex digits.";
    10 process_uid Text Derived "The acting process: UUIDv8 over boot id, pid namespace, start time and pid (OCSF CPID). Never repeats.";
    11 exec U64 Kernel "Successful execs of the process before this record, itself included.";
    12 parent_uid Text Derived "`process_uid` of the process that created the acting process.";
    13 pid I64 Kernel "Process id in the initial pid namespace.";
    14 tid I64 Kernel "Thread id in the initial pid namespace.";
    15 ppid I64 Derived "Process id of the process that created the acting process.";
    16 comm Text Kernel "Name of the acting thread, at most 15 bytes.";
    17 exe Text Kernel "Path of the executable the process runs (for a script, its interpreter), as its mount namespace and root show it.";
    18 result I64 Kernel "Result of the system call: 0, a descriptor or a count; a negated errno when it failed.";
    19 path Text Kernel "The file, as the process's mount namespace and root show it. For a failed call what the caller asked for.";
    20 fd I64 Kernel "File descriptor.";
    21 flags I64 Kernel "Open flags (`O_*`) of the open file description; for a snapshot with `O_CLOEXEC` if an exec closes the descriptor; for `file.open` with `O_CREAT`, `O_EXCL`, `O_NOCTTY`, `O_TRUNC` and `O_CLOEXEC` as the call asked for them. In the encoding of asm-generic (the one of x86) on every architecture.";
    22 mode I64 Kernel "Type and permission bits of the file (`st_mode`).";
    23 dev I64 Kernel "Device the file is on, encoded as `st_dev` of stat(2).";
    24 ino I64 Kernel "Inode number of the file or socket.";
    25 opened U64 Derived "`seq` of the record that opened, connected, accepted, bound or first used this descriptor. Of a close while very many are open, only that record has path or addresses; beyond 131072 it is not named.";
    26 bytes_read U64 Kernel "Bytes read or received through this descriptor by this process until it was closed, also by what the process was before an exec.";
    27 bytes_written U64 Kernel "Bytes written or sent through this descriptor by this process until it was closed, also by what the process was before an exec.";
    28 closed_by Text Kernel "What closed the descriptor: `close`, `close_range`, `replace` (dup2 and the like), `exec` (close-on-exec), `exit`.";
    29 transport Text Kernel "`tcp`, `udp`, `icmp` and other protocols by name, `raw-` before that of a raw socket; `unix-stream`, `unix-dgram`, `unix-seqpacket`; `netlink-route` and the like; `packet-raw`, `packet-dgram`; `vsock-stream` and the like; or `family/type/protocol` in numbers.";
    30 local_addr Text Kernel "Address of the local end: IPv4, IPv6 (RFC 5952) or a Unix socket path; `@name` for an abstract one; the port id of a netlink socket, `kernel` for 0, with the groups after a slash; the interface of a packet socket; the context id of a vsock.";
    31 local_port I64 Kernel "Port of the local end.";
    32 peer_addr Text Kernel "Address of the other end, as `local_addr`.";
    33 peer_port I64 Kernel "Port of the other end.";
    34 argv Text Claimed "Arguments as a JSON array of strings (each escaped). What the process was given; it may have overwritten it since.";
    35 argc I64 Kernel "Number of arguments.";
    36 cwd Text Kernel "Working directory.";
    37 filename Text Kernel "The name given to exec, as the caller wrote it; for a script, the script.";
    38 interpreter Text Kernel "Interpreter the kernel took from a script's first line.";
    39 uid I64 Kernel "Real user id, initial user namespace.";
    40 gid I64 Kernel "Real group id, initial user namespace.";
    41 euid I64 Kernel "Effective user id, initial user namespace.";
    42 egid I64 Kernel "Effective group id, initial user namespace.";
    43 ns_pid I64 Kernel "Process id in the process's own pid namespace.";
    44 pid_ns I64 Kernel "Inode number of the pid namespace (`/proc/PID/ns/pid`).";
    45 mnt_ns I64 Kernel "Inode number of the mount namespace.";
    46 net_ns I64 Kernel "Inode number of the network namespace.";
    47 user_ns I64 Kernel "Inode number of the user namespace of the credentials.";
    48 cgroup I64 Kernel "Id of the control group in the unified hierarchy.";
    49 child_uid Text Derived "`process_uid` of the process created.";
    50 child_pid I64 Kernel "Process id of the process created.";
    51 child_tid I64 Kernel "Thread id of the process or thread created.";
    52 exit_code I64 Kernel "Status given to exit, 0-255.";
    53 exit_signal I64 Kernel "Signal that ended the process.";
    54 truncated Text Derived "Names of the fields of this record that were cut at a limit, comma separated. A path of the kernel that is cut begins with `/…/` instead of what is left out, also in later records; one that the caller wrote has lost its end.";
    55 notes Text Derived "Conditions worth knowing, comma separated: `unlinked` (the file had lost its name), `unreachable` (it is not below the process's root), `core-dump`, `privileged-exec` (the kernel told the program that it has rights which who executed it had not, as a set-user-id program or one with capabilities has: `AT_SECURE`), `traceparent-malformed`, `tracestate-malformed`, `baggage-malformed` (the environment had one that is left out because it has not the form), `more-not-recorded` (more descriptors went with the messages of this call, and only these are recorded), `gone` (the process ended before it could be looked at), `not-on-host` (the process has another root or mount namespace, and the host has no path to the file).";
    56 detail Text Derived "What else there is to say, as JSON: of a call its arguments, with the kernel's names for numbers.";
    57 cpu I64 Derived "For `evidence.loss`: the CPU whose frames were lost.";
    58 lost_first U64 Derived "For `evidence.loss`: number of the first frame lost on that CPU.";
    59 lost_count U64 Derived "For `evidence.loss`: frames lost in a row on that CPU.";
    60 dir Text Kernel "The directory that `path` starts from, when that is relative and claimed: the path itself is what the caller wrote.";
    61 target Text Claimed "The second path of a call: the new name of a rename or link, the source of a mount.";
    62 target_dir Text Kernel "The directory that `target` starts from, when that is relative.";
    63 call Text Kernel "Name of the system call.";
    64 target_uid Text Derived "`process_uid` of the process acted on, or of the other one that a file stands for (a pidfd, what is below `/proc/PID`); absent when it was gone as the call returned, or the call names none or several.";
    65 target_pid I64 Kernel "Process id of that process in the initial pid namespace. What the caller called it is in `detail`.";
    66 generation I64 Kernel "Generation of the inode (`i_generation`): tells a reused inode number apart where the file system keeps one, else 0.";
    67 size I64 Kernel "Size of the file in bytes; for `file.truncate` the one asked for.";
    68 mtime_ns I64 Kernel "Last change of the file's content, nanoseconds since 1970 UTC.";
    69 ctime_ns I64 Kernel "Last change of the inode, nanoseconds since 1970 UTC: with `dev`, `ino`, `generation` and `size` the version of the file.";
    70 blake3 Text Derived "BLAKE3 of the file's content, 64 hex digits.";
    71 host_path Text Derived "`path`, or of an exec `exe`, as the host sees it (the root and mount namespace of the recorder), where that differs: the process has another root or mount namespace.";
    72 peer_uid Text Derived "`process_uid` of the process at the other end, when it is one of those recorded.";
    73 peer_pid I64 Kernel "Process id, in the initial pid namespace, of the process at the other end. Of a Unix socket the one that connected, listened or made the pair, as the kernel noted it: another may use the socket since, and it may have ended. Of a pipe found at attach one that held its other end. Otherwise the one of the record `other_end`.";
    74 peer_ino I64 Kernel "Inode number of the socket at the other end of a Unix socket. Absent until that is accepted, and when it is closed.";
    75 other_end U64 Derived "`seq` of the latest record about the other end of the same connection: TCP between sockets of one network namespace, also when that end has just been closed, or Unix. The later record names the earlier.";
    76 cookie U64 Kernel "Cookie of the socket (`SO_COOKIE`), by which other tools name it. The kernel gives one when somebody first asks; absent when nobody had.";
    77 caps_effective I64 Kernel "Effective capabilities, a bit for each (capabilities(7)).";
    78 caps_permitted I64 Kernel "Permitted capabilities, a bit for each (`CAP_*`).";
    79 recognised Text Derived "What the recognisers of the recording take this for, such as `model-file` or `pip-install`: labels in the order of the alphabet, comma separated (see docs/recognisers.md). They follow from the other fields and the files of recognisers, which are artifacts named in the environment document.";
    80 offset I64 Kernel "Position in the file: of a descriptor, or of a mapping's first byte.";
    81 protection Text Kernel "What a mapping allows: `r`, `w`, `x` or `-`, then `s` (shared) or `p` (private), as /proc/PID/maps shows it.";
    82 count U64 Kernel "Of a call that is only counted: 1 for the first of its kind (the same `kind`, `call`, `request` and `rdev`) of the process, at once; when the process ends, how many there were, if there was more than that one.";
    83 request I64 Kernel "What was asked for, as the kernel numbers it: of ioctl, ptrace and bpf, the opcode for io_uring, the number of a call of another table.";
    84 rdev I64 Kernel "The device a device file stands for, encoded as `st_rdev` of stat(2).";
    88 socket_ino I64 Kernel "Inode number of the socket that a descriptor was passed through.";
    90 entry Text Derived "What an interpreter was given to run: the script as it was named, or the name of a module. From `argv`, or from `filename` when the kernel ran the script.";
    91 verdict Text Kernel "What the policy said, computed in the kernel: `allow` or `deny`. Absent when nothing governs this act.";
    92 effect Text Kernel "What came of that: `allowed`; `prevented` (it did not happen), `killed-before-run` (the program was ended before its first instruction), `killed-after-effect` (it happened, and the process was ended), `would-deny` (it happened: the policy is only audited), `not-prevented` (it happened, and the process could not be ended).";
    93 rule Text Kernel "The rule that decided: name of the policy, colon, name of the rule. Absent when it is denied because no rule permits it.";
    94 grant_level I64 Kernel "Which grant of the chain decided, from 0: of what is allowed the last one, of what is not the first that does not allow it.";
    95 table_generation I64 Kernel "Counts what has governed the lineage, from 1: which of it decided.";
    96 judged Text Kernel "What the decision is about: the names of actions in policies, comma separated (opening a file to read and write it are two), a space, and what they were judged by. That is the path as the host sees it (of a long one the first 248 bytes, which decide), as in `read,write /srv/x`; of two names the one that decided; of a Unix socket `unix:` and its path; of other connections the address, port and protocol that were asked for, as `connect 10.0.0.1:443/tcp`; of what has a name that, as `use mount` and `signal outside`. No path follows when it is not known whole or the host has none: then it is denied.";
    97 reason Text Kernel "Why it is denied whatever the rules say: `over` (the grant has ended, or was taken back), `path-cut` (the path is longer than what is read of it), `not-on-host` (the host has no path to it), `no-entry` (the tables say nothing about it), `budget` (that of the grant is spent).";
    100 traceparent Text Claimed "The trace that the program is told to be a part of: `TRACEPARENT` in the environment it was executed with, of the form that W3C Trace Context has. A hint that nobody vouches for: any process can have set it. One that has not the form is left out, with `traceparent-malformed` in `notes`.";
    101 tracestate Text Claimed "What tracing systems say besides, `TRACESTATE`, where there is a `traceparent`; likewise. Of a member that may hold a secret only the key.";
    102 baggage Text Claimed "What the trace carries along, `BAGGAGE` (W3C Baggage); likewise. Of a member that may hold a secret only the key.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_ascend_without_reuse() {
        assert!(FIELDS.windows(2).all(|pair| pair[0].id < pair[1].id));
    }

    #[test]
    fn every_field_can_be_set_and_visited() {
        for field in FIELDS {
            let value = match field.field_type {
                FieldType::U64 => Value::U64(7),
                FieldType::I64 | FieldType::Micros => Value::I64(-7),
                FieldType::Text => Value::Text("seven"),
            };
            let mut record = Record::default();
            assert!(record.set(field.id, value), "{}", field.name);
            let mut seen = Vec::new();
            record.visit(|id, value| seen.push((id, value)));
            assert_eq!(seen, [(field.id, value)]);
            assert_eq!(record.get(field.id), Some(value));
            assert_eq!(Record::default().get(field.id), None);
        }
    }

    #[test]
    fn a_value_of_another_type_is_refused() {
        let mut record = Record::default();
        assert!(!record.set(1, Value::Text("1")));
        assert!(!record.set(9999, Value::U64(1)));
        assert_eq!(record, Record::default());
    }
}
