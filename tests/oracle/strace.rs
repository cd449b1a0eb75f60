//! Running strace and understanding what it prints.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::calls::{Call, name};

/// Runs a command under strace; gives the calls of all its processes.
pub(crate) fn run(traces: &Path, complete: impl FnOnce(&mut Command)) -> Vec<Call> {
    fs::create_dir(traces).expect("writable");
    let mut command = Command::new("strace");
    // One file per process, so that no line is interrupted; strings in hexadecimal, so that none
    // needs guessing; paths of descriptors resolved; nothing cut.
    command.args([
        "-ff",
        "-qq",
        "-y",
        "-xx",
        "-v",
        "-s",
        "1000000",
        "-e",
        "signal=none",
    ]);
    command.args([
        "-e",
        "trace=execve,execveat,open,openat,openat2,creat,connect",
    ]);
    command.arg("-o").arg(traces.join("trace")).arg("--");
    complete(&mut command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .expect("strace is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut calls = Vec::new();
    for entry in fs::read_dir(traces).expect("readable") {
        let text = fs::read_to_string(entry.expect("readable").path()).expect("ASCII");
        calls.extend(
            text.lines()
                .map(|line| call(line).unwrap_or_else(|| panic!("what is {line}"))),
        );
    }
    calls
}

fn call(line: &str) -> Option<Call> {
    let (call, end) = line.rsplit_once(" = ")?;
    let (verb, arguments) = call.split_once('(')?;
    let result = result(end)?;
    Some(match verb {
        "execve" => {
            let (file, rest) = arguments.split_once(", [")?;
            let (argv, _) = rest.split_once(']')?;
            let argv: Option<Vec<String>> = strings(argv).map(|word| Some(name(&word?))).collect();
            Call::Exec(name(&hex(file)?), argv?.split_first()?.1.to_vec(), result)
        }
        "open" | "creat" | "openat" | "openat2" => {
            let resolved = end.split_once('<').map(|(_, path)| path);
            let asked = arguments.split('"').nth(1)?;
            Call::Open(
                name(&hex(if result < 0 { asked } else { resolved? })?),
                result,
            )
        }
        "connect" => Call::Connect(address(arguments)?, result),
        _ => return None,
    })
}

/// A number, or a negated errno by its name.
fn result(end: &str) -> Option<i64> {
    let Some(error) = end.strip_prefix("-1 ") else {
        return end.split(['<', ' ']).next()?.parse().ok();
    };
    let errno = match error.split(' ').next()? {
        "ENOENT" => libc::ENOENT,
        "ENXIO" => libc::ENXIO,
        "ENOEXEC" => libc::ENOEXEC,
        "EACCES" => libc::EACCES,
        "EEXIST" => libc::EEXIST,
        "ENOTDIR" => libc::ENOTDIR,
        "EISDIR" => libc::EISDIR,
        "ELOOP" => libc::ELOOP,
        "EINPROGRESS" => libc::EINPROGRESS,
        "ECONNREFUSED" => libc::ECONNREFUSED,
        "ENETUNREACH" => libc::ENETUNREACH,
        other => panic!("add {other} to the table"),
    };
    Some(-i64::from(errno))
}

/// `{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("…")}` and its like.
fn address(arguments: &str) -> Option<String> {
    let quoted = || hex(arguments.split('"').nth(1)?);
    let text = || String::from_utf8(quoted()?).ok();
    if arguments.contains("AF_UNIX") {
        let hidden = if arguments.contains("sun_path=@") {
            "@"
        } else {
            ""
        };
        return Some(format!("{hidden}{}", text()?));
    }
    let (_, port) = arguments.split_once("htons(")?;
    let (port, _) = port.split_once(')')?;
    Some(format!("{} {port}", text()?))
}

/// The quoted strings of a list.
fn strings(list: &str) -> impl Iterator<Item = Option<Vec<u8>>> {
    list.split(", ").map(hex)
}

/// `\x2f\x61`, perhaps in quotes, perhaps followed by something else.
fn hex(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_start_matches('"');
    let end = text.find(|c: char| c != '\\' && c != 'x' && !c.is_ascii_hexdigit());
    let digits = &text[..end.unwrap_or(text.len())];
    digits
        .split("\\x")
        .skip(1)
        .map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect()
}
