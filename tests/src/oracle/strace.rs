//! Running strace and understanding what it prints.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::calls::{Call, Made, without_chance_of_ports};
use super::words::{Line, address, leads_to, split, text};
use super::{table, totals};

/// The words of a command line before the traced command: one file per thread in a directory, so that
/// no line is interrupted; strings in hexadecimal, so that none needs guessing; what descriptors lead to
/// resolved, with the addresses of sockets; nothing cut that is compared.
pub fn words(traces: &Path) -> Vec<OsString> {
    fs::create_dir(traces).expect("writable");
    let mut words: Vec<OsString> = ["strace", "-ff", "-qq", "-yy", "-xx", "-v", "-s", "100000"]
        .map(OsString::from)
        .into();
    words.extend(["-e", "signal=none", "-e"].map(OsString::from));
    words.push(format!("trace={}", table::traced()).into());
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
    let processes = Processes::of(&threads);
    threads
        .iter()
        .flat_map(|(thread, text)| {
            let caller = Caller {
                process: processes.of_thread(*thread),
                processes: &processes,
            };
            text.lines().flat_map(move |line| calls(line, &caller))
        })
        .collect()
}

/// Which process a thread belongs to, where it is not the only one.
struct Processes(HashMap<i64, i64>);

impl Processes {
    fn of(threads: &[(i64, String)]) -> Self {
        let mut made_by = HashMap::new();
        for (thread, text) in threads {
            for line in text.lines().filter(|line| line.contains("CLONE_THREAD")) {
                if let Some(child) = line
                    .rsplit_once(" = ")
                    .and_then(|(_, end)| end.parse().ok())
                {
                    made_by.insert(child, *thread);
                }
            }
        }
        Self(made_by)
    }

    fn of_thread(&self, mut thread: i64) -> i64 {
        while let Some(maker) = self.0.get(&thread) {
            thread = *maker;
        }
        thread
    }
}

/// Who made a call.
#[derive(Clone, Copy)]
struct Caller<'a> {
    process: i64,
    processes: &'a Processes,
}

impl Caller<'_> {
    /// Whether a number is that of the process or of one of its threads.
    fn is(&self, number: i64) -> bool {
        self.processes.of_thread(number) == self.process
    }
}

/// What a recording has of one line. Fails on what it does not understand.
fn calls(line: &str, caller: &Caller<'_>) -> Vec<Call> {
    // The thread that executes a program becomes the first thread; the rest of its line is there.
    if line.starts_with("+++ superseded") || line.starts_with("<... ") {
        return Vec::new();
    }
    let changed = line.split_once(" <pid changed to ").map(|(call, _)| call);
    let whole = changed.map_or_else(|| line.to_owned(), |call| format!("{call}) = 0"));
    // The process ended in the call, or strace did.
    let ends = ["= ?", "<unfinished ...>", "<detached ...>"];
    if ends.iter().any(|end| whole.ends_with(end)) {
        return Vec::new();
    }
    let understood = Line::of(&whole).and_then(|line| understand(&line, caller));
    understood.unwrap_or_else(|| panic!("what is {line}"))
}

fn understand(line: &Line<'_>, caller: &Caller<'_>) -> Option<Vec<Call>> {
    if table::has(table::BYTES, line.call) {
        return totals::of_line(line, caller.process);
    }
    if !is_recorded(line, caller)? {
        return Some(Vec::new());
    }
    let call = match line.call {
        "execve" | "execveat" => executed(line)?,
        "fork" | "vfork" | "clone" | "clone3" => {
            let thread = line.words.iter().any(|word| word.contains("CLONE_THREAD"));
            Call::Fork(thread, line.result.min(0))
        }
        "pipe" | "pipe2" => {
            let ends = split(line.word(0).trim_matches(['[', ']']));
            return ends.into_iter().map(opened).collect();
        }
        "socketpair" => {
            let ends = if line.result < 0 { 1 } else { 2 };
            let end = Call::Made(Made::default().with(line.call, line.result));
            return Some(vec![end; ends]);
        }
        "open" | "creat" | "openat" | "openat2" | "mq_open" | "open_by_handle_at"
        | "memfd_secret" | "memfd_create" => {
            let handle = line.call == "open_by_handle_at";
            match opened(line.end) {
                Some(opened) => opened,
                // strace does not tell what it leads to.
                None if handle && line.result >= 0 => Call::Open("of a handle".into(), line.result),
                None if line.result >= 0 => return None,
                None => Call::Open(line.text(0), line.result),
            }
        }
        "connect" => Call::Connect(address(line.word(1))?, line.result),
        "socket" | "bind" | "listen" | "accept" | "accept4" => socket(line)?,
        "mmap" => {
            let made = Made::of(None, leads_to(line.word(4))?);
            Call::Made(made.with(line.call, line.result.min(0)))
        }
        _ => Call::Made(named(line).with(line.call, line.result)),
    };
    Some(vec![call])
}

/// Whether a recording has a record of the call, going by what it is about.
fn is_recorded(line: &Line<'_>, caller: &Caller<'_>) -> Option<bool> {
    let another = |at| {
        line.number(at)
            .map(|number| number != 0 && !caller.is(number))
    };
    Some(match line.call {
        "kill" | "tkill" | "rt_sigqueueinfo" => line.word(1) != "0" && !caller.is(line.number(0)?),
        "tgkill" | "rt_tgsigqueueinfo" => line.word(2) != "0" && !caller.is(line.number(0)?),
        "pidfd_send_signal" => line.word(1) != "0" && !caller.is(behind(line.word(0))),
        "process_madvise" | "process_mrelease" => !caller.is(behind(line.word(0))),
        "move_pages" | "migrate_pages" | "sched_setaffinity" | "sched_setscheduler"
        | "sched_setparam" | "sched_setattr" => another(0)?,
        "prlimit64" => another(0)? && line.word(2) != "NULL",
        "setpriority" => line.word(0) != "PRIO_PROCESS" || another(1)?,
        "prctl" => table::has(table::OPTIONS, line.constant(0)),
        "ptrace" => table::has(table::REQUESTS, line.constant(0)),
        "personality" => !line.word(0).starts_with("0xffffffff"),
        // Other sockets are told of when something is done with them.
        "socket" => {
            let internet = line.word(0).starts_with("AF_INET");
            let of_type = |name: &str| line.word(1).split('|').any(|part| part == name);
            let usual = ["IPPROTO_IP", "IPPROTO_TCP", "IPPROTO_UDP", "IPPROTO_MPTCP"];
            let usual =
                usual.contains(&line.word(2)) && (of_type("SOCK_STREAM") || of_type("SOCK_DGRAM"));
            !(line.word(0) == "AF_UNIX" || internet && usual)
        }
        "pipe" | "pipe2" => line.result == 0,
        // Each executable mapping of a file has a record, and that one was refused.
        "mmap" => {
            let flags = line.word(3);
            line.word(2).contains("PROT_EXEC")
                && !flags.contains("MAP_ANONYMOUS")
                && (line.result >= 0 || REFUSED.contains(&line.result))
        }
        _ => true,
    })
}

/// `-EPERM` and `-EACCES`: somebody said no.
const REFUSED: [i64; 2] = [-1, -13];

/// The process that a descriptor stands for; 0 when it stands for none.
fn behind(descriptor: &str) -> i64 {
    let pid = descriptor.split_once("<pid:").map(|(_, rest)| rest);
    pid.and_then(|pid| pid.trim_end_matches('>').parse().ok())
        .unwrap_or(0)
}

/// A new descriptor and what it leads to: `3</etc/passwd>`.
fn opened(descriptor: &str) -> Option<Call> {
    let (number, _) = descriptor.split_once('<')?;
    Some(Call::Open(leads_to(descriptor)?, number.parse().ok()?))
}

fn executed(line: &Line<'_>) -> Option<Call> {
    let at = if line.call == "execve" { 1 } else { 2 };
    let file = program(line.words.get(..at)?, line.result)?;
    let argv: Option<Vec<String>> = split(line.words.get(at)?.trim_matches(['[', ']']))
        .into_iter()
        .filter(|word| *word != "NULL")
        .map(text)
        .collect();
    let argv = argv?;
    let rest = argv.get(1..).unwrap_or_default().to_vec();
    Some(Call::Exec(file, rest, line.result))
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

/// What was done with a socket, but for connecting it and moving bytes.
fn socket(line: &Line<'_>) -> Option<Call> {
    let made = match line.call {
        "socket" => Made::default().saying(line.constant(0).to_owned()),
        "bind" => Made::of(None, without_chance_of_ports(&address(line.word(1))?)),
        "listen" => Made::default().saying(line.word(1).to_owned()),
        // `4<TCP:[127.0.0.1:80->127.0.0.1:41622]>`
        _ => {
            let peer = line
                .end
                .split_once("<TCP")
                .and_then(|(_, ends)| ends.split_once("->"));
            let peer = peer.and_then(|(_, peer)| peer.rsplit_once(':'));
            let peer = peer.map_or("", |(peer, _)| peer.trim_matches(['[', ']']));
            Made::of(None, peer.to_owned())
        }
    };
    let call = line.call.trim_end_matches('4');
    Some(Call::Made(made.with(call, line.result)))
}

/// What a call names: its texts in order, and what its descriptors lead to.
fn named(line: &Line<'_>) -> Made {
    let (string, base) = (|at| line.text(at), |at| line.base(at));
    match line.call {
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
        "renameat" | "renameat2" | "linkat" | "move_mount" => {
            Made::of(base(0), string(0)).to(base(2), string(1))
        }
        "fsopen" | "add_key" | "request_key" | "delete_module" => {
            Made::default().saying(text(line.word(0)).unwrap_or_default())
        }
        "pidfd_getfd" => Made::of(leads_to(line.end), String::new()),
        call if table::has(table::OF_A_DESCRIPTOR, call) => {
            Made::of(base(0), String::new()).saying(constant(line))
        }
        call if table::has(table::NAMED, call) => Made::of(base(0), string(0)),
        _ => Made::default().saying(constant(line)),
    }
}

/// The constant that the record of a call has as well.
fn constant(line: &Line<'_>) -> String {
    let at = match line.call {
        "prctl" | "ptrace" | "seccomp" | "keyctl" | "bpf" | "setpriority" => 0,
        "kill" | "tkill" | "rt_sigqueueinfo" | "pidfd_send_signal" | "prlimit64"
        | "sched_setscheduler" | "landlock_add_rule" | "shmctl" | "msgctl" => 1,
        "tgkill" | "rt_tgsigqueueinfo" | "semctl" => 2,
        _ => return String::new(),
    };
    let constant = line.constant(at);
    // Of what else these calls can do the record has the number.
    let of_all_three = constant.starts_with("IPC_");
    let known = of_all_three || !["shmctl", "msgctl", "semctl"].contains(&line.call);
    if known {
        constant.to_owned()
    } else {
        String::new()
    }
}
