//! Running strace and understanding what it prints.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::calls::{Call, Made, TRACED, name, signal_to_another};
use super::errno;

/// The words of a command line before the traced command: one file per thread in a directory, so that
/// no line is interrupted; strings in hexadecimal, so that none needs guessing; paths of descriptors
/// resolved; nothing cut.
pub fn words(traces: &Path) -> Vec<OsString> {
    fs::create_dir(traces).expect("writable");
    let mut words: Vec<OsString> = ["strace", "-ff", "-qq", "-y", "-xx", "-v", "-s", "1000000"]
        .map(OsString::from)
        .into();
    words.extend(["-e", "signal=none", "-e"].map(OsString::from));
    words.push(format!("trace={}", TRACED.replace(' ', ",")).into());
    words.extend([
        OsString::from("-o"),
        traces.join("trace").into(),
        "--".into(),
    ]);
    words
}

/// Runs a command under strace; gives the calls of all its processes.
pub fn run(traces: &Path, complete: impl FnOnce(&mut Command)) -> Vec<Call> {
    let words = words(traces);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
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
    read(traces)
}

/// The calls of all processes that were traced into a directory.
pub fn read(traces: &Path) -> Vec<Call> {
    let threads: Vec<(i64, String)> = fs::read_dir(traces)
        .expect("readable")
        .map(|entry| {
            let path = entry.expect("readable").path();
            let thread = path.extension().and_then(|end| end.to_str());
            let thread = thread.and_then(|end| end.parse().ok()).expect("a number");
            (thread, fs::read_to_string(path).expect("ASCII"))
        })
        .collect();
    // Which process a thread belongs to, where it is not the only one.
    let mut made_by: HashMap<i64, i64> = HashMap::new();
    for (thread, text) in &threads {
        for line in text.lines().filter(|line| line.contains("CLONE_THREAD")) {
            if let Some(child) = line
                .rsplit_once(" = ")
                .and_then(|(_, end)| end.parse().ok())
            {
                made_by.insert(child, *thread);
            }
        }
    }
    let process = |mut thread: i64| {
        while let Some(maker) = made_by.get(&thread) {
            thread = *maker;
        }
        thread
    };
    threads
        .iter()
        .flat_map(|(thread, text)| {
            let own = process(*thread);
            text.lines().flat_map(move |line| calls(line, own))
        })
        .collect()
}

/// What a recording has of one line. Fails on what it does not understand.
fn calls(line: &str, own: i64) -> Vec<Call> {
    // The thread that executes a program becomes the first thread; the rest of its line is there.
    if line.starts_with("+++ superseded") || line.starts_with("<... ") {
        return Vec::new();
    }
    let changed = line.split_once(" <pid changed to ").map(|(call, _)| call);
    let whole = changed.map_or_else(|| line.to_owned(), |call| format!("{call}) = 0"));
    // The process ended in the call.
    if whole.ends_with("= ?") || whole.ends_with("<unfinished ...>") {
        return Vec::new();
    }
    understand(&whole, own).unwrap_or_else(|| panic!("what is {line}"))
}

fn understand(line: &str, own: i64) -> Option<Vec<Call>> {
    let (call, end) = line.rsplit_once(" = ")?;
    let (verb, arguments) = call.split_once('(')?;
    let words = split(arguments.trim_end().strip_suffix(')')?);
    let result = result(end)?;
    let call = match verb {
        "execve" | "execveat" => {
            let at = if verb == "execve" { 1 } else { 2 };
            let file = program(words.get(..at)?, result)?;
            let argv: Option<Vec<String>> = split(words.get(at)?.trim_matches(['[', ']']))
                .into_iter()
                .filter(|word| *word != "NULL")
                .map(text)
                .collect();
            let argv = argv?;
            let rest = argv.get(1..).unwrap_or_default().to_vec();
            Call::Exec(file, rest, result)
        }
        "open" | "creat" | "openat" | "openat2" => {
            if result >= 0 {
                opened(end)?
            } else {
                let asked = words.iter().find_map(|word| text(word));
                Call::Open(asked.unwrap_or_default(), result)
            }
        }
        "connect" => Call::Connect(address(arguments)?, result),
        "fork" | "vfork" | "clone" | "clone3" => {
            Call::Fork(arguments.contains("CLONE_THREAD"), result.min(0))
        }
        "kill" | "tkill" | "tgkill" => {
            let signal = words.last()?;
            let to: i64 = words[0].split('<').next()?.parse().ok()?;
            return Some(Vec::from_iter(signal_to_another(
                verb, to, own, signal, result,
            )));
        }
        "prctl" => {
            let option = words.first()?.split(' ').next()?;
            return Some(Vec::from_iter(Made::option(option, result)));
        }
        "pipe" | "pipe2" if result == 0 => {
            let ends = split(words.first()?.trim_matches(['[', ']']));
            return ends.into_iter().map(opened).collect();
        }
        "pipe" | "pipe2" => return Some(Vec::new()),
        "memfd_create" if result >= 0 => opened(end)?,
        "memfd_create" => Call::Open(String::new(), result),
        _ => Call::Made(named(verb, &words).with(verb, result)),
    };
    Some(vec![call])
}

/// A new descriptor and what it leads to: `3</etc/passwd>`.
fn opened(descriptor: &str) -> Option<Call> {
    let (number, path) = descriptor.split_once('<')?;
    Some(Call::Open(directory(&hex(path)?), number.parse().ok()?))
}

/// What the kernel calls the program: of a descriptor, a name below `/dev/fd`. When it failed nothing
/// is left of that, and the record has the caller's name.
fn program(words: &[&str], result: i64) -> Option<String> {
    let file = text(words.last()?)?;
    let descriptor = match words {
        [at, _] if !file.starts_with('/') && result == 0 => {
            at.split_once('<').map(|(number, _)| number)
        }
        _ => None,
    };
    Some(match descriptor {
        Some("AT_FDCWD") | None => file,
        Some(number) if file.is_empty() => format!("/dev/fd/{number}"),
        Some(number) => format!("/dev/fd/{number}/{file}"),
    })
}

/// What a call names: its quoted strings in order, and the directories its descriptors lead to.
fn named(verb: &str, words: &[&str]) -> Made {
    let quoted: Vec<String> = words.iter().filter_map(|word| text(word)).collect();
    let string = |at: usize| quoted.get(at).cloned().unwrap_or_default();
    // Nothing is known of a name that cannot be read.
    let readable = |at: usize| !words.get(at + 1).is_some_and(|word| word.starts_with("0x"));
    let base = |at: usize| {
        let (_, path) = words.get(at)?.split_once('<')?;
        readable(at).then(|| hex(path).map(|bytes| directory(&bytes)))?
    };
    match verb {
        "symlink" => Made::of(None, string(1)).saying(string(0)),
        "symlinkat" => Made::of(base(1), string(1)).saying(string(0)),
        "mount" => Made::of(None, string(1))
            .to(None, string(0))
            .saying(string(2)),
        "fsetxattr" | "fremovexattr" => Made::of(base(0), String::new()).saying(string(0)),
        "setxattr" | "lsetxattr" | "removexattr" | "lremovexattr" => {
            Made::of(None, string(0)).saying(string(1))
        }
        "rename" | "link" | "pivot_root" => Made::of(None, string(0)).to(None, string(1)),
        "renameat" | "renameat2" | "linkat" => Made::of(base(0), string(0)).to(base(2), string(1)),
        // The name is not a path, and not recorded.
        "sethostname" => Made::default(),
        _ => Made::of(base(0), string(0)),
    }
}

/// The path of a directory, without the mark of a removed one.
fn directory(path: &[u8]) -> String {
    name(path.strip_suffix(b" (deleted)").unwrap_or(path))
}

/// The arguments: what is between commas that are in no bracket.
fn split(arguments: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut depth, mut from) = (0_i32, 0);
    for (at, byte) in arguments.bytes().enumerate() {
        match byte {
            b'[' | b'{' | b'(' => depth += 1,
            b']' | b'}' | b')' => depth -= 1,
            b',' if depth == 0 => {
                words.push(arguments[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    words.push(arguments[from..].trim());
    words.retain(|word| !word.is_empty());
    words
}

/// A number, or a negated errno by its name; `?` is what a signal interrupts, and the kernel begins again.
fn result(end: &str) -> Option<i64> {
    match end.strip_prefix("-1 ").or_else(|| end.strip_prefix("? ")) {
        Some(error) => Some(-errno::number(error.split(' ').next()?)),
        None => end.split(['<', ' ']).next()?.parse().ok(),
    }
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
    // Of AF_UNSPEC and families without ports only the family is compared.
    let Some((_, port)) = arguments.split_once("htons(") else {
        return Some(String::new());
    };
    let (port, _) = port.split_once(')')?;
    Some(format!("{} {port}", text()?))
}

/// The text of a quoted word.
fn text(word: &str) -> Option<String> {
    word.starts_with('"')
        .then(|| hex(word).map(|bytes| name(&bytes)))?
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
