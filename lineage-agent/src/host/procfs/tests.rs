//! Snapshots of real processes, compared with what the test knows of them.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::*;

fn procfs() -> Procfs {
    Procfs::at("/proc").unwrap()
}

/// A process that answers once it runs and waits until its input ends.
struct Waiting(Child);

impl Waiting {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
        Self(child)
    }

    fn end(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

const SCRIPT: &str = "echo ready; read line";

#[test]
fn a_snapshot_says_what_the_process_is() {
    let directory = tempfile::tempdir().unwrap();
    let cwd = directory.path().canonicalize().unwrap();
    let argument = std::ffi::OsStr::from_bytes(b"not utf-8: \xff\n\x1b[31m");
    let waiting = Waiting::start(
        Command::new("/bin/sh")
            .arg0("odd name")
            .args(["-c", SCRIPT])
            .arg(argument)
            .current_dir(&cwd),
    );
    let before = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let snapshot = procfs().snapshot(waiting.0.id()).unwrap().unwrap();
    assert_eq!(snapshot.pid, waiting.0.id());
    assert_eq!(snapshot.ppid, std::process::id());
    assert_eq!(snapshot.tids, [waiting.0.id()]);
    assert!(
        snapshot.start
            <= StartTime::of_boottime(before.tv_sec as u64 * 1_000_000_000 + before.tv_nsec as u64)
    );
    let shell = std::fs::canonicalize("/bin/sh").unwrap();
    let exe = snapshot.exe.unwrap();
    assert_eq!(exe.path, shell.as_os_str().as_bytes());
    assert!(!exe.unlinked && !exe.unreachable);
    assert_eq!(snapshot.cwd.unwrap().path, cwd.as_os_str().as_bytes());
    let mut argv = b"odd name\0-c\0".to_vec();
    argv.extend_from_slice(SCRIPT.as_bytes());
    argv.extend_from_slice(b"\0not utf-8: \xff\n\x1b[31m\0");
    assert_eq!(snapshot.argv, argv);
    assert!(!snapshot.argv_cut);
    assert_eq!(snapshot.comm, b"sh");
    assert_eq!(
        snapshot.credentials.uids[0],
        rustix::process::getuid().as_raw()
    );
    assert_eq!(
        snapshot.credentials.gids[1],
        rustix::process::getegid().as_raw()
    );
    assert_eq!(
        snapshot.namespaces.pid,
        namespace(&procfs().directory("self").unwrap().unwrap(), "ns/pid")
    );
    assert!(snapshot.namespaces.mnt.is_some() && snapshot.namespaces.net.is_some());
    waiting.end();
}

#[test]
fn descendants_come_after_their_parents() {
    let nested = "sh -c 'sh -c \"echo ready; read line\"; true'; true";
    let waiting = Waiting::start(Command::new("/bin/sh").args(["-c", nested]));
    let found = procfs().descendants(waiting.0.id()).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].ppid, waiting.0.id());
    assert_eq!(found[1].ppid, found[0].pid);
    waiting.end();
}

#[test]
fn a_process_that_is_gone_or_only_waits_to_be_collected_is_absent() {
    let mut child = Command::new("/bin/true")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Its end of the pipe closes when it exits.
    std::io::copy(child.stdout.as_mut().unwrap(), &mut std::io::sink()).unwrap();
    while procfs().snapshot(child.id()).unwrap().is_some() {
        std::thread::yield_now();
    }
    child.wait().unwrap();
    assert_eq!(procfs().snapshot(child.id()).unwrap(), None);
    assert_eq!(procfs().snapshot(u32::MAX).unwrap(), None);
}

#[test]
fn a_name_that_ends_like_a_deleted_file_is_told_from_one() {
    let directory = tempfile::tempdir().unwrap();
    let odd = directory
        .path()
        .canonicalize()
        .unwrap()
        .join("sh (deleted)");
    std::fs::copy("/bin/sh", &odd).unwrap();
    let waiting = Waiting::start(Command::new(&odd).args(["-c", SCRIPT]));
    let exe = procfs()
        .snapshot(waiting.0.id())
        .unwrap()
        .unwrap()
        .exe
        .unwrap();
    assert_eq!(exe.path, odd.as_os_str().as_bytes());
    assert!(!exe.unlinked);
    let kept = directory.path().join("other name");
    std::fs::hard_link(&odd, kept).unwrap();
    std::fs::remove_file(&odd).unwrap();
    let exe = procfs()
        .snapshot(waiting.0.id())
        .unwrap()
        .unwrap()
        .exe
        .unwrap();
    assert_eq!(exe.path, odd.as_os_str().as_bytes());
    assert!(exe.unlinked);
    waiting.end();
}

#[test]
fn a_process_whose_first_thread_has_ended_still_has_its_files() {
    let script = "import ctypes, sys, threading\n\
        threading.Thread(target=lambda: (print('ready', flush=True), sys.stdin.read())).start()\n\
        ctypes.CDLL(None).syscall(60 if sys.maxsize and __import__('platform').machine() == 'x86_64' else 93, 0)";
    let waiting = Waiting::start(Command::new("python3").args(["-c", script]));
    // The first thread may still be on its way out; when it is gone the answer is the same.
    let pid = waiting.0.id();
    loop {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap();
        if Stat::parse(&stat).unwrap().ended {
            break;
        }
        std::thread::yield_now();
    }
    let snapshot = procfs().snapshot(pid).unwrap().unwrap();
    assert_eq!(snapshot.tids.len(), 2);
    assert!(snapshot.exe.is_some() && !snapshot.argv.is_empty());
    waiting.end();
}

#[test]
fn the_cgroup_id_is_the_inode_of_its_directory() {
    let Some(cgroups) = procfs().cgroups else {
        return;
    };
    let me = procfs().directory("self").unwrap().unwrap();
    let text = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let path = text
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .unwrap();
    let id = cgroups.id_of(&me).unwrap();
    let expected = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .iter()
        .filter_map(|mount| std::fs::metadata(format!("{mount}{path}")).ok())
        .map(|metadata| std::os::unix::fs::MetadataExt::ino(&metadata))
        .collect::<Vec<_>>();
    assert!(expected.contains(&id), "{id} of {expected:?}");
}

#[test]
fn an_argument_block_over_the_limit_is_cut_and_says_so() {
    let long = "x".repeat(ARGV_BYTES_MAX);
    let waiting = Waiting::start(Command::new("/bin/sh").args(["-c", SCRIPT, &long]));
    let snapshot = procfs().snapshot(waiting.0.id()).unwrap().unwrap();
    assert_eq!(snapshot.argv.len(), ARGV_BYTES_MAX);
    assert!(snapshot.argv_cut);
    let _ = std::io::stdout().flush();
    waiting.end();
}
