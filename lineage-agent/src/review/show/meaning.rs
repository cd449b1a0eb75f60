//! What the fields of a record mean: numbers with their names, times in UTC, what is asked for in words.

use super::super::text;
use super::super::when::utc;
use crate::evidence::kinds;
use crate::evidence::schema::{Field, Record, Source, Value};
use crate::names::{self, OpenFlags};

/// Namespaces with smaller numbers were there from the start (include/uapi/linux/nsfs.h, include/linux/proc_ns.h):
/// those of the host. What is made later is numbered from here on.
const NAMESPACES_MADE_FROM: i64 = 0xf000_0000;

/// Bytes up to this are easier to read as they are.
const BYTES_PLAIN_MAX: u64 = 9_999;

/// Where the value of a field of this record comes from.
pub(super) fn source(field: &Field, record: &Record<'_>) -> &'static str {
    let kernel = || match record.origin {
        Some("agent") => "agent",
        Some("snapshot") => "snapshot",
        Some("claimed") if is_name(field.name, record) => "claimed",
        _ => "kernel",
    };
    match field.source {
        Source::Kernel => kernel(),
        Source::Claimed => "claimed",
        Source::Derived => "derived",
    }
}

/// Whether the field is one of the names that are the caller's where a record is claimed: the kernel has the rest.
fn is_name(field: &str, record: &Record<'_>) -> bool {
    match record.kind.unwrap_or_default() {
        // Which descriptor it was; what it led to is the kernel's.
        kinds::DESCRIPTOR_PASS | kinds::DESCRIPTOR_RECEIVE => field == "fd",
        kinds::NET_BIND => matches!(field, "local_addr" | "local_port"),
        _ => matches!(
            field,
            "path" | "target" | "filename" | "peer_addr" | "peer_port"
        ),
    }
}

/// What a value means beyond what it says itself. `began_ns` is when the lineage did.
pub(super) fn of(
    field: &Field,
    value: Value<'_>,
    record: &Record<'_>,
    began_ns: Option<i64>,
) -> Option<String> {
    match value {
        Value::Text(text) => of_text(field.name, text),
        Value::I64(number) => of_number(field.name, number, record, began_ns),
        Value::U64(number) => match field.name {
            "bytes_read" | "bytes_written" => large(number),
            _ => of_number(field.name, i64::try_from(number).ok()?, record, began_ns),
        },
    }
}

fn of_text(name: &str, text: &str) -> Option<String> {
    match (name, text) {
        ("kind", kind) => kinds::find(kind).map(|kind| first_sentence(kind.doc).to_owned()),
        ("origin", "kernel") => Some("from kernel structures".to_owned()),
        ("origin", "claimed") => Some("names from the process's own memory".to_owned()),
        ("origin", "snapshot") => Some("found as recording reached it".to_owned()),
        ("origin", "agent") => Some("from the recorder itself".to_owned()),
        ("protection", text) => Some(protection(text)),
        _ => None,
    }
}

fn of_number(
    name: &str,
    number: i64,
    record: &Record<'_>,
    began_ns: Option<i64>,
) -> Option<String> {
    let is = |known: i64, word: &str| (number == known).then(|| word.to_owned());
    match name {
        "time_ns" => {
            let since = number.checked_sub(began_ns?).filter(|since| *since >= 0)?;
            Some(format!("{} after the lineage began", text::duration(since)))
        }
        "mtime_ns" | "ctime_ns" => Some(format!("{} UTC", utc(number))),
        "result" => result(number, record),
        "flags" => Some(OpenFlags(number).to_string()),
        "mode" => Some(format!("{} ({:04o})", names::mode(number), number & 0o7777)),
        "dev" | "rdev" => Some(names::device(number)),
        "fd" => is(0, "standard input")
            .or_else(|| is(1, "standard output"))
            .or_else(|| is(2, "standard error")),
        "size" => u64::try_from(number).ok().and_then(large),
        "exit_signal" => names::signal(number).map(str::to_owned),
        "uid" | "gid" | "euid" | "egid" => is(0, "root"),
        "pid_ns" | "mnt_ns" | "net_ns" | "user_ns" => {
            (number < NAMESPACES_MADE_FROM).then(|| "the host's first".to_owned())
        }
        "cgroup" => is(1, "the root of the hierarchy"),
        "caps_effective" | "caps_permitted" => Some(names::capabilities(number.cast_unsigned())),
        "request" => Some(request(number, record)),
        _ => None,
    }
}

/// What a call returned.
fn result(number: i64, record: &Record<'_>) -> Option<String> {
    if number < 0 {
        return names::errno(number.saturating_neg()).map(str::to_owned);
    }
    match record.kind? {
        kinds::FILE_READ | kinds::FILE_WRITE | kinds::NET_SEND | kinds::NET_RECEIVE => {
            Some("bytes".to_owned())
        }
        kinds::FILE_OPEN | kinds::NET_ACCEPT | kinds::NET_SOCKET => {
            Some("the descriptor".to_owned())
        }
        kinds::PROCESS_FORK => {
            Some("the new process, as its creator's namespace numbers it".to_owned())
        }
        _ if number == 0 => Some("it succeeded".to_owned()),
        _ => None,
    }
}

fn request(number: i64, record: &Record<'_>) -> String {
    let uring = record.kind == Some(kinds::KERNEL_IO_URING);
    let opcode = u32::try_from(number).ok().filter(|_| uring);
    let name = opcode.and_then(names::io_uring);
    name.map_or_else(|| format!("{number:#x}"), str::to_owned)
}

/// A number of bytes in a unit that is easier to read.
fn large(bytes: u64) -> Option<String> {
    (bytes > BYTES_PLAIN_MAX).then(|| text::bytes(bytes))
}

/// `r-xp` in words.
fn protection(text: &str) -> String {
    let words = text.chars().filter_map(|letter| match letter {
        'r' => Some("read"),
        'w' => Some("write"),
        'x' => Some("execute"),
        's' => Some("shared"),
        'p' => Some("private"),
        _ => None,
    });
    words.collect::<Vec<_>>().join(", ")
}

fn first_sentence(doc: &str) -> &str {
    doc.find(". ").map_or(doc, |at| &doc[..=at])
}
