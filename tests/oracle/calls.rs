//! System calls in the form both sides can be brought to.

use std::path::Path;

use lineage_tests::rows::{Row, Rows};

/// One call: what it named, as the kernel resolved it, and its result.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    /// execve: the name given, the arguments after the first.
    Exec(String, Vec<String>, i64),
    /// open: the file opened, or the name given when that failed.
    Open(String, i64),
    /// connect: address and port, or the name of a Unix socket.
    Connect(String, i64),
}

/// The calls a recording tells of.
pub(crate) fn of_rows(rows: &Rows) -> Vec<Call> {
    rows.0.iter().filter_map(of_row).collect()
}

fn of_row(row: &Row) -> Option<Call> {
    let path = |field| name(&row.bytes(field));
    Some(match row.text("kind") {
        "process.exec" => Call::Exec(path("filename"), arguments(row), row.int("result")),
        "file.open" => Call::Open(path("path"), row.int("result")),
        "net.connect" => {
            let port = row.get("peer_port").as_i64();
            let address = row.get("peer_addr").as_str().unwrap_or_default();
            let address = match port {
                Some(port) => format!("{address} {port}"),
                None => address.to_owned(),
            };
            Call::Connect(address, row.int("result"))
        }
        _ => return None,
    })
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

/// Text for a name, with what differs from run to run by design replaced: process ids, and the random
/// ends of git's temporary files.
pub(crate) fn name(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string();
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
pub(crate) fn check_executables(rows: &Rows) {
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
