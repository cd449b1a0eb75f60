//! System calls in the form both sides can be brought to.

use std::path::Path;

use super::{table, totals};
use crate::rows::{Row, Rows};

/// One call: what it named, as the kernel resolved it, and its result.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// execve: the name given, the arguments after the first.
    Exec(String, Vec<String>, i64),
    /// open: the file opened, or the name given when that failed.
    Open(String, i64),
    /// connect: address and port, or the name of a Unix socket.
    Connect(String, i64),
    /// fork and its like: whether it made a thread.
    Fork(bool, i64),
    /// All that a process moved through descriptors of a file: the process, the file, the bytes read and
    /// written.
    Moved(i64, String, i64, i64),
    /// Any other call.
    Made(Made),
}

/// A call with up to two names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Made {
    call: String,
    path: String,
    target: String,
    text: String,
    result: i64,
}

impl Made {
    /// What a name leads to from a directory, when that is known.
    pub fn of(directory: Option<String>, path: String) -> Self {
        Self {
            path: joined(directory, path),
            ..Self::default()
        }
    }

    /// A second name.
    #[must_use]
    pub fn to(self, directory: Option<String>, target: String) -> Self {
        Self {
            target: joined(directory, target),
            ..self
        }
    }

    /// Text that is no path.
    #[must_use]
    pub fn saying(self, text: String) -> Self {
        Self { text, ..self }
    }

    /// Which call, and its result.
    #[must_use]
    pub fn with(self, call: &str, result: i64) -> Self {
        Self {
            call: call.to_owned(),
            result,
            ..self
        }
    }
}

/// A name that starts from a directory, with it; what a descriptor leads to, when there is no name.
fn joined(directory: Option<String>, path: String) -> String {
    match directory {
        Some(directory) if path.is_empty() => directory,
        Some(directory) if !path.starts_with('/') => format!("{directory} {path}"),
        _ => path,
    }
}

/// The calls a recording tells of, and the bytes of each process and file.
pub fn of_rows(rows: &Rows) -> Vec<Call> {
    let each = rows.0.iter().filter_map(of_row);
    each.chain(totals::of_rows(rows)).collect()
}

fn of_row(row: &Row) -> Option<Call> {
    let path = |field| name(&row.bytes(field));
    Some(match row.text("kind") {
        "process.exec" => Call::Exec(path("filename"), arguments(row), row.int("result")),
        "file.open" => Call::Open(seen_from_outside(row), row.int("result")),
        "file.map" => executable(row)?,
        // Only the first of a program.
        "process.execmem" => return None,
        "net.connect" => Call::Connect(address(row, "peer"), row.int("result")),
        "process.fork" => Call::Fork(false, row.get("result").as_i64().unwrap_or(0).min(0)),
        "thread.start" => Call::Fork(true, row.get("result").as_i64().unwrap_or(0).min(0)),
        kind if kind.starts_with("net.") => socket(kind, row)?,
        _ => made(row)?,
    })
}

/// The path of a file: strace looks from outside of a chroot.
fn seen_from_outside(row: &Row) -> String {
    let field = match row.get("host_path") {
        none if none.is_null() => "path",
        _ => "host_path",
    };
    name(&row.bytes(field))
}

/// A file mapped for execution by a call of the process.
fn executable(row: &Row) -> Option<Call> {
    let by_call = row.get("call") == "mmap" && row.text("protection").contains('x');
    by_call.then(|| {
        let made = Made::of(None, seen_from_outside(row));
        // Where it is mapped differs from run to run by design.
        Call::Made(made.with("mmap", row.int("result").min(0)))
    })
}

/// What was done with a socket, but for connecting it and moving bytes.
fn socket(kind: &str, row: &Row) -> Option<Call> {
    let detail = row.get("detail");
    let made = match kind {
        "net.bind" => Made::of(None, without_chance_of_ports(&address(row, "local"))),
        "net.listen" => Made::default().saying(detail["backlog"].to_string()),
        "net.accept" => {
            let tcp = row.text("transport") == "tcp" && row.int("result") >= 0;
            let peer = tcp.then(|| row.text("peer_addr").to_owned());
            Made::of(None, peer.unwrap_or_default())
        }
        "net.socket" => Made::default().saying(family(detail["family"].as_i64()?).to_owned()),
        "net.pair" => Made::default(),
        _ => return None,
    };
    let call = match kind {
        "net.pair" => "socketpair",
        other => other.trim_start_matches("net."),
    };
    Some(Call::Made(made.with(call, row.int("result"))))
}

/// Address and port of an end of a socket. Other families than those of strace's text have none.
fn address(row: &Row, end: &str) -> String {
    let address = row.get(&format!("{end}_addr")).as_str();
    let transport = row.get("transport").as_str().unwrap_or_default();
    let other = ["netlink", "packet", "vsock", "alg"]
        .iter()
        .any(|family| transport.starts_with(family));
    let address = address.filter(|_| !other).unwrap_or_default();
    match row.get(&format!("{end}_port")).as_i64() {
        Some(port) if !other => format!("{address} {port}"),
        _ => address.to_owned(),
    }
}

/// An address and port, without a port that the kernel chose.
pub fn without_chance_of_ports(address: &str) -> String {
    /// `/proc/sys/net/ipv4/ip_local_port_range`, as it is where nobody changed it.
    const CHOSEN: std::ops::RangeInclusive<u16> = 32768..=60999;
    match address.rsplit_once(' ') {
        Some((address, port))
            if port
                .parse()
                .is_ok_and(|port| port == 0 || CHOSEN.contains(&port)) =>
        {
            format!("{address} CHOSEN")
        }
        _ => address.to_owned(),
    }
}

/// The name of an address family of which sockets are recorded when they are made.
pub fn family(number: i64) -> &'static str {
    let known = FAMILIES
        .iter()
        .find(|(_, known)| i64::from(*known) == number);
    known.map_or("", |(name, _)| name)
}

const FAMILIES: [(&str, i32); 6] = [
    ("AF_INET", libc::AF_INET),
    ("AF_INET6", libc::AF_INET6),
    ("AF_NETLINK", libc::AF_NETLINK),
    ("AF_PACKET", libc::AF_PACKET),
    ("AF_ALG", libc::AF_ALG),
    ("AF_VSOCK", libc::AF_VSOCK),
];

/// What a record's `detail` has that strace shows as well: a text, or the name of a constant.
const TOLD: [&str; 12] = [
    "content",
    "attribute",
    "module",
    "type",
    "signal",
    "option",
    "request",
    "operation",
    "command",
    "resource",
    "policy",
    "which",
];

/// A call whose record has its name.
fn made(row: &Row) -> Option<Call> {
    let call = row.get("call").as_str()?;
    if !table::each(call) {
        return None;
    }
    let detail = row.get("detail");
    // strace shows no type of a bind mount: the kernel does not look at it.
    let bind = detail["flags"]
        .as_array()
        .is_some_and(|flags| flags.iter().any(|flag| flag == "MS_BIND"));
    let told = TOLD
        .iter()
        .find_map(|what| detail[*what].as_str())
        .filter(|_| !bind)
        .unwrap_or_default();
    // strace tells the working directory only where it is an argument.
    let at = call.trim_end_matches('2').ends_with("at")
        || ["move_mount", "open_tree", "mount_setattr", "fspick"].contains(&call);
    let directory = |field| {
        let known = at && !row.get(field).is_null();
        known.then(|| name(&row.bytes(field)))
    };
    let text = |field| match row.get(field) {
        value if value.is_null() => String::new(),
        _ => name(&row.bytes(field)),
    };
    Some(Call::Made(
        Made::of(directory("dir"), text("path"))
            .to(directory("target_dir"), text("target"))
            .saying(name(&crate::rows::unescape(told)))
            .with(call, row.int("result")),
    ))
}

/// The arguments after the first. The kernel replaced a script's first by the interpreter, perhaps
/// an argument of its own, and the script.
fn arguments(row: &Row) -> Vec<String> {
    let argv: Vec<String> = row.argv().iter().map(|argument| name(argument)).collect();
    let own = match row.get("interpreter").as_str() {
        Some(_) => argv
            .iter()
            .position(|argument| *argument == row.text("filename"))
            .unwrap_or(0),
        None => 0,
    };
    argv.into_iter().skip(own + 1).collect()
}

/// How git begins the names of its temporary files, which end with six random letters.
const TEMPORARY: [&str; 7] = [
    "tmp_obj_",
    "tmp_pack_",
    "tmp_idx_",
    "tmp_rev_",
    "refs_",
    "packs_",
    // What `git init` tries symbolic links with.
    "t",
];

/// Text for a name, with what differs from run to run by design replaced: process ids, numbers of pipes and
/// sockets, and the random ends of git's temporary files.
pub fn name(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string();
    if let Some((kind, number)) = text.split_once(":[") {
        match kind {
            "pipe" => return "pipe:[NUMBER]".to_owned(),
            "socket" => return kind.to_owned(),
            // The kernel's own text of a namespace begins with which one it is.
            "cgroup" | "ipc" | "mnt" | "net" | "pid" | "time" | "user" | "uts" => {
                return format!("nsfs:[{number}");
            }
            _ => {}
        }
    }
    let in_proc = text.starts_with("/proc/");
    let in_git = text.contains(".git/");
    let parts = text.split('/').map(|part| {
        if in_proc && !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            return "PID".to_owned();
        }
        if in_git {
            without_chance(part)
        } else {
            part.to_owned()
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// A part of a path below `.git` without a process id or random letters.
fn without_chance(part: &str) -> String {
    // Packs in the making: `.tmp-<process id>-pack…`.
    if let Some((_, rest)) = part
        .strip_prefix(".tmp-")
        .and_then(|part| part.split_once('-'))
    {
        return format!(".tmp-PID-{rest}");
    }
    let random =
        |rest: &str| rest.len() == 6 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let prefix = TEMPORARY
        .iter()
        .find(|prefix| part.strip_prefix(**prefix).is_some_and(random));
    prefix.map_or_else(|| part.to_owned(), |prefix| format!("{prefix}RANDOM"))
}

/// The executable of every successful exec is the file its name leads to.
pub fn check_executables(rows: &Rows) {
    for exec in rows.all("process.exec", &serde_json::json!({ "result": 0 })) {
        let program = exec
            .get("interpreter")
            .as_str()
            .unwrap_or(exec.text("filename"));
        if let Ok(file) = Path::new(exec.text("cwd")).join(program).canonicalize() {
            // An interpreter may be a script itself; its own interpreter then is what runs.
            let script = std::fs::read(&file).is_ok_and(|bytes| bytes.starts_with(b"#!"));
            assert!(
                script || file.to_str() == Some(exec.text("exe")),
                "{exec:?}"
            );
        }
    }
}
