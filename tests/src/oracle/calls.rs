//! System calls in the form both sides can be brought to.

use std::path::Path;

use crate::rows::{Row, Rows};

/// The calls compared; those with a question mark are not known to every strace.
pub const TRACED: &str = "execve execveat open openat openat2 creat memfd_create pipe pipe2 connect fork vfork clone clone3 \
    rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat mkdir mkdirat rmdir mknod mknodat \
    truncate ftruncate fallocate chmod fchmod fchmodat ?fchmodat2 chown lchown fchown fchownat utime utimes \
    futimesat utimensat setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr mount umount2 \
    pivot_root chroot kill tkill tgkill setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid \
    setgroups capset unshare prctl seccomp sethostname personality";

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

    /// prctl, with an option that is recorded.
    pub fn option(option: &str, result: i64) -> Option<Call> {
        const RECORDED: [&str; 13] = [
            "PR_SET_DUMPABLE",
            "PR_SET_KEEPCAPS",
            "PR_SET_SECCOMP",
            "PR_CAPBSET_DROP",
            "PR_SET_SECUREBITS",
            "PR_SET_MM",
            "PR_SET_CHILD_SUBREAPER",
            "PR_SET_NO_NEW_PRIVS",
            "PR_CAP_AMBIENT",
            "PR_SET_SPECULATION_CTRL",
            "PR_SET_SYSCALL_USER_DISPATCH",
            "PR_SET_MDWE",
            "PR_SET_PTRACER",
        ];
        RECORDED.contains(&option).then(|| {
            let made = Self::default().saying(option.to_owned());
            Call::Made(made.with("prctl", result))
        })
    }
}

/// A signal, when it is one and not to the process itself.
pub fn signal_to_another(call: &str, to: i64, own: i64, signal: &str, result: i64) -> Option<Call> {
    (signal != "0" && to != own).then(|| {
        let made = Made::default().saying(signal.to_owned());
        Call::Made(made.with(call, result))
    })
}

/// A name that starts from a directory, with it; what a descriptor leads to, when there is no name.
fn joined(directory: Option<String>, path: String) -> String {
    match directory {
        Some(directory) if path.is_empty() => directory,
        Some(directory) if !path.starts_with('/') => format!("{directory} {path}"),
        _ => path,
    }
}

/// The calls a recording tells of.
pub fn of_rows(rows: &Rows) -> Vec<Call> {
    rows.0.iter().filter_map(of_row).collect()
}

fn of_row(row: &Row) -> Option<Call> {
    let path = |field| name(&row.bytes(field));
    Some(match row.text("kind") {
        "process.exec" => Call::Exec(path("filename"), arguments(row), row.int("result")),
        "file.open" => {
            // strace looks from outside of a chroot.
            let file = match row.get("host_path") {
                none if none.is_null() => path("path"),
                _ => path("host_path"),
            };
            Call::Open(file, row.int("result"))
        }
        "net.connect" => {
            let port = row.get("peer_port").as_i64();
            let address = row.get("peer_addr").as_str().unwrap_or_default();
            let address = match port {
                Some(port) => format!("{address} {port}"),
                None => address.to_owned(),
            };
            Call::Connect(address, row.int("result"))
        }
        "process.fork" => Call::Fork(false, row.get("result").as_i64().unwrap_or(0).min(0)),
        "thread.start" => Call::Fork(true, row.get("result").as_i64().unwrap_or(0).min(0)),
        _ => made(row)?,
    })
}

/// A call whose record has its name.
fn made(row: &Row) -> Option<Call> {
    let call = row.get("call").as_str()?;
    if !TRACED.split([' ', '?']).any(|traced| traced == call) {
        return None;
    }
    let detail = row.get("detail");
    // strace shows no type of a bind mount: the kernel does not look at it.
    let bind = detail["flags"]
        .as_array()
        .is_some_and(|flags| flags.iter().any(|flag| flag == "MS_BIND"));
    let told = ["content", "attribute", "type", "signal", "option"]
        .iter()
        .find_map(|what| detail[*what].as_str())
        .filter(|_| !bind)
        .unwrap_or_default();
    // strace tells the working directory only where it is an argument.
    let at = call.trim_end_matches('2').ends_with("at");
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

/// Text for a name, with what differs from run to run by design replaced: process ids, numbers of pipes,
/// and the random ends of git's temporary files.
pub fn name(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string();
    if text.starts_with("pipe:[") {
        return "pipe:[NUMBER]".to_owned();
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
