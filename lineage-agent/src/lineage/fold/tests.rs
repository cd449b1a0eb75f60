use std::sync::Arc;

use lineage_common::frame::{
    Cgroup, Close, Exec, Exit, File, Fork, HostPath, Kind, NO_CPU, Version,
};
use zerocopy::{FromZeros as _, Immutable, IntoBytes};

use super::*;
use crate::{
    evidence::schema::Value,
    lineage::{
        mounts::{Mount, Mounts},
        process::{ProcessState, Snapshot},
    },
};

mod found;
mod transfer;

/// Keeps what the fold sends, field by field.
#[derive(Default)]
struct Kept(Vec<Vec<(u16, String)>>);

impl Sink for Kept {
    type Error = std::convert::Infallible;

    fn next_seq(&self) -> u64 {
        self.0.len() as u64
    }

    fn append(&mut self, record: &Record<'_>) -> Result<(), Self::Error> {
        assert_eq!(record.seq, Some(self.next_seq()));
        let mut fields = Vec::new();
        record.visit(|id, value| {
            fields.push((
                id,
                match value {
                    Value::U64(value) => value.to_string(),
                    Value::I64(value) => value.to_string(),
                    Value::Text(value) => value.to_owned(),
                },
            ));
        });
        self.0.push(fields);
        Ok(())
    }
}

impl Kept {
    fn get(&self, record: usize, field: &str) -> Option<&str> {
        let id = crate::evidence::schema::FIELDS
            .iter()
            .find(|entry| entry.name == field)?
            .id;
        self.0[record]
            .iter()
            .find(|(other, _)| *other == id)
            .map(|(_, value)| value.as_str())
    }
}

struct Frames {
    fold: Fold,
    kept: Kept,
    number: u64,
}

impl Frames {
    /// A fold that knows one lineage and its root, process 10 started at 1000.
    fn started() -> Self {
        let mut fold = Fold::new(BootId([7; 16]));
        let mut kept = Kept::default();
        fold.set_utc_offset(1_000_000_000);
        let start = LineageStart {
            rules: None,
            uid: "L",
            context: "C",
            time_ns: 1,
            detail: "{}",
            from: None,
        };
        fold.start_lineage(&start, &mut kept).unwrap();
        let snapshot = Snapshot {
            time_ns: 2,
            pid: 10,
            start_ns: 1000,
            namespace: Some((1, 10)),
            state: Some(ProcessState {
                comm: b"sh".to_vec(),
                argv: b"sh\0-c\0".to_vec(),
                ..ProcessState::default()
            }),
            ..Snapshot::default()
        };
        fold.snapshot(0, &snapshot, &mut kept).unwrap();
        Self {
            fold,
            kept,
            number: 0,
        }
    }

    fn send<T: IntoBytes + Immutable>(
        &mut self,
        kind: Kind,
        (pid, start): (u32, u64),
        result: i64,
        body: &T,
        text: &[u8],
    ) -> usize {
        self.send_flagged(kind, Flags::default(), (pid, start), result, body, text)
    }

    fn send_flagged<T: IntoBytes + Immutable>(
        &mut self,
        kind: Kind,
        flags: Flags,
        (pid, start): (u32, u64),
        result: i64,
        body: &T,
        text: &[u8],
    ) -> usize {
        let header = Header {
            len: u32::try_from(size_of::<Header>() + size_of::<T>() + text.len()).unwrap(),
            kind,
            flags,
            number: self.number,
            time: 100 + self.number,
            start,
            result,
            cpu: 0,
            pid,
            tid: pid,
            lineage: 0,
            exec: 0,
            ruling: lineage_common::policy::Ruling::NONE,
            outcome: lineage_common::policy::Outcome::UNGOVERNED,
            generation: 0,
            comm: *b"sh\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            judged_len: 0,
            judged_at: 0,
        };
        self.number += 1;
        let bytes = [header.as_bytes(), body.as_bytes(), text].concat();
        let mut words = vec![0u64; bytes.len().div_ceil(8)];
        words.as_mut_bytes()[..bytes.len()].copy_from_slice(&bytes);
        let event = Event::decode(&words.as_bytes()[..bytes.len()]).unwrap();
        let record = self.kept.0.len();
        self.fold.event(&event, &mut self.kept).unwrap();
        record
    }

    fn fork(&mut self, parent: (u32, u64), child: (u32, u64)) -> usize {
        let body = Fork {
            child_start: child.1,
            child_pid: child.0,
            child_tid: child.0,
            child_ns_tid: child.0,
            child_pid_ns: 1,
            ..Fork::FAILED
        };
        self.send(Kind::FORK, parent, 0, &body, b"")
    }

    fn open(&mut self, process: (u32, u64), fd: i32, path: &[u8]) -> usize {
        self.open_seen(process, fd, path, 0, b"")
    }

    /// An open of a file that the host sees otherwise.
    fn open_seen(
        &mut self,
        process: (u32, u64),
        fd: i32,
        path: &[u8],
        view: u16,
        seen: &[u8],
    ) -> usize {
        let body = File {
            ino: 5,
            fs_magic: 0xef53,
            version: Version {
                size: 7,
                mtime_ns: 1,
                ctime_ns: 2,
                generation: 3,
                reserved: 0,
            },
            dev: 8 << 20 | 1,
            mode: 0o100_644,
            flags: 0,
            fd,
            dirfd: -100,
            path_len: u32::try_from(path.len()).unwrap(),
            host: HostPath {
                len: u16::try_from(seen.len()).unwrap(),
                view,
            },
            other_len: 0,
        };
        let text = [path, seen].concat();
        self.send(Kind::FILE_OPEN, process, i64::from(fd), &body, &text)
    }
}

fn exec(exe: &[u8], argv: &[u8]) -> (Exec, Vec<u8>) {
    let mut body = Exec::new_zeroed();
    body.exe_len = u32::try_from(exe.len()).unwrap();
    body.argv_len = u32::try_from(argv.len()).unwrap();
    (body, [exe, argv].concat())
}

#[test]
fn who_is_moved_by_others_is_in_their_container() {
    let mut frames = Frames::started();
    let moved = Cgroup {
        id: 77,
        by: 5,
        ..Cgroup::new_zeroed()
    };
    frames.fold.set_container(77, "docker:abc");
    let record = frames.send(Kind::CGROUP, (10, 1000), 0, &moved, b"");
    let kept = &frames.kept;
    assert_eq!(kept.get(record, "cgroup"), Some("77"));
    assert_eq!(
        kept.get(record, "detail"),
        Some(r#"{"path":"","container":"docker:abc","by":5}"#)
    );
}

#[test]
fn every_record_names_what_caused_it() {
    let mut frames = Frames::started();
    let (root, child) = ((10, 1000), (11, 2000));
    let fork = frames.fork(root, child);
    let before = frames.open(child, 3, b"a\0tmp\0");
    let (body, text) = exec(b"ls\0bin\0", b"ls\0-l\0");
    let ran = frames.send(Kind::EXEC, child, 0, &body, &text);
    let after = frames.open(child, 4, b"b\0tmp\0");
    let kept = &frames.kept;
    assert_eq!(
        kept.get(1, "cause"),
        Some("0"),
        "the snapshot by the start of the lineage"
    );
    assert_eq!(
        kept.get(fork, "cause"),
        Some("1"),
        "the fork by the snapshot of its creator"
    );
    assert_eq!(
        kept.get(before, "cause"),
        Some("2"),
        "what the child did first by the fork"
    );
    assert_eq!(kept.get(ran, "cause"), Some("2"), "the exec by the fork");
    assert_eq!(
        kept.get(after, "cause"),
        Some("4"),
        "what the program did by its exec"
    );
    assert_eq!(kept.get(after, "exe"), Some("/bin/ls"));
    assert_eq!(kept.get(after, "path"), Some("/tmp/b"));
    assert_eq!(kept.get(after, "process_uid"), kept.get(fork, "child_uid"));
    assert_eq!(kept.get(after, "parent_uid"), kept.get(fork, "process_uid"));
    assert_eq!(kept.get(after, "lineage_seq"), Some("5"));
    assert_eq!(kept.get(ran, "argv"), Some(r#"["ls","-l"]"#));
}

#[test]
fn a_close_names_the_open_only_if_it_is_the_same() {
    let mut frames = Frames::started();
    let root = (10, 1000);
    let opened = frames.open(root, 3, b"a\0");
    let number = frames.number - 1;
    let mut body = Close {
        bytes_read: 7,
        bytes_written: 0,
        ino: 5,
        opened_number: number,
        opened_cpu: 0,
        dev: 8 << 20 | 1,
        fd: 3,
        last: 0,
    };
    let closed = frames.send(Kind::FILE_CLOSE, root, 0, &body, b"");
    let again = frames.send(Kind::FILE_CLOSE, root, 0, &body, b"");
    body.opened_cpu = NO_CPU;
    let unused = frames.send_flagged(Kind::FILE_CLOSE, Flags::BY_EXIT, root, 0, &body, b"");
    let kept = &frames.kept;
    assert_eq!(
        kept.get(closed, "opened"),
        Some(opened.to_string().as_str())
    );
    assert_eq!(kept.get(closed, "path"), Some("/a"));
    assert_eq!(kept.get(closed, "bytes_read"), Some("7"));
    assert_eq!(kept.get(again, "opened"), None);
    assert_eq!(kept.get(unused, "bytes_read"), None);
    assert_eq!(kept.get(unused, "closed_by"), Some("exit"));
}

#[test]
fn a_process_whose_fork_was_lost_is_caused_by_the_loss() {
    let mut frames = Frames::started();
    let loss = Loss {
        cpu: 1,
        first: 4,
        count: 2,
        time: 90,
    };
    frames.fold.loss(&loss, &mut frames.kept).unwrap();
    let record = frames.open((99, 5000), 3, b"a\0");
    let kept = &frames.kept;
    assert_eq!(kept.get(2, "kind"), Some("evidence.loss"));
    assert_eq!(kept.get(2, "lost_count"), Some("2"));
    assert_eq!(kept.get(record, "cause"), Some("2"));
    assert_eq!(
        kept.get(record, "process_uid"),
        None,
        "its namespace is not guessed"
    );
}

#[test]
fn a_reused_process_id_is_another_process() {
    let mut frames = Frames::started();
    let root = (10, 1000);
    frames.fork(root, (11, 2000));
    frames.send(Kind::EXIT, (11, 2000), 0, &Exit { code: 3, signal: 0 }, b"");
    assert_eq!(frames.fold.live_processes(), 1);
    frames.fork(root, (11, 2_000_000_000));
    let record = frames.open((11, 2_000_000_000), 3, b"a\0");
    let kept = &frames.kept;
    assert_eq!(kept.get(3, "exit_code"), Some("3"));
    assert_ne!(kept.get(record, "process_uid"), kept.get(3, "process_uid"));
}

#[test]
fn times_are_utc() {
    let mut frames = Frames::started();
    let record = frames.open((10, 1000), 3, b"a\0");
    assert_eq!(frames.kept.get(record, "time_ns"), Some("1000000100"));
    assert_eq!(frames.kept.get(record, "time"), Some("1000000"));
}

#[test]
fn a_changed_context_governs_what_follows_and_is_caused_by_the_one_before() {
    let mut frames = Frames::started();
    let before = frames.open((10, 1000), 3, b"a\0");
    let mut changes = Vec::new();
    for context in ["D", "E"] {
        changes.push(frames.kept.0.len());
        let change = ContextChange {
            context,
            time_ns: 500,
            detail: "{}",
            rules: None,
        };
        let Frames { fold, kept, .. } = &mut frames;
        fold.change_context(0, &change, kept).unwrap();
        // There is no such lineage.
        fold.change_context(1, &change, kept).unwrap();
    }
    let after = frames.open((10, 1000), 4, b"b\0");
    let kept = &frames.kept;
    assert_eq!(changes, [before + 1, before + 2]);
    assert_eq!(kept.get(before, "context"), Some("C"));
    assert_eq!(kept.get(changes[0], "kind"), Some(kinds::CONTEXT_CHANGE));
    assert_eq!(kept.get(changes[0], "context"), Some("D"));
    assert_eq!(kept.get(changes[0], "cause"), Some("0"));
    assert_eq!(
        kept.get(changes[1], "cause"),
        Some(&*changes[0].to_string())
    );
    assert_eq!(kept.get(after, "context"), Some("E"));
    assert_eq!(kept.get(after, "lineage_seq"), Some(&*after.to_string()));
}

#[test]
fn a_file_has_a_path_of_the_host_where_that_is_another() {
    let mut frames = Frames::started();
    let device = 8 << 20 | 1;
    let mount = |id, dev, root: &str, point: &str| Mount {
        id,
        parent: 20,
        dev,
        root: root.as_bytes().to_vec(),
        point: point.as_bytes().to_vec(),
    };
    let root = mount(20, 1, "/", "/");
    let now = [root.clone(), mount(21, device, "/", "/srv")];
    let later = [root, mount(22, device, "/new", "/fresh")];
    let me = (10, 1000);
    let seen = |frames: &mut Frames, view, path: &[u8]| {
        let record = frames.open_seen(me, 3, b"f\0", view, path);
        let get = |field| frames.kept.get(record, field).map(str::to_owned);
        (get("host_path"), get("notes"))
    };
    let not = (None, Some("not-on-host".to_owned()));
    let at = |path: &str| (Some(path.to_owned()), None);
    assert_eq!(seen(&mut frames, 0, b""), (None, None));
    // Nothing is known of the host's mounts.
    assert_eq!(seen(&mut frames, HostPath::INSIDE, b"f\0"), (None, None));
    frames.fold.set_mounts(0, Some(Arc::new(Mounts::new(&now))));
    assert_eq!(
        seen(&mut frames, HostPath::INSIDE, b"f\0d\0"),
        at("/srv/d/f")
    );
    assert_eq!(seen(&mut frames, HostPath::INSIDE, b""), at("/srv"));
    assert_eq!(
        seen(&mut frames, HostPath::WHOLE, b"f\0jail\0"),
        at("/jail/f")
    );
    assert_eq!(seen(&mut frames, HostPath::WHOLE, b"f\0"), (None, None));
    assert_eq!(seen(&mut frames, HostPath::NOWHERE, b""), not);
    // What is mounted a moment later counts when nothing else shows it, and alone from then on.
    let from = 100 + frames.number + 2;
    frames
        .fold
        .set_mounts(from, Some(Arc::new(Mounts::new(&later))));
    assert_eq!(
        seen(&mut frames, HostPath::INSIDE, b"f\0new\0"),
        at("/srv/new/f")
    );
    assert_eq!(seen(&mut frames, HostPath::INSIDE, b"f\0"), at("/srv/f"));
    assert_eq!(
        seen(&mut frames, HostPath::INSIDE, b"f\0new\0"),
        at("/fresh/f")
    );
    assert_eq!(seen(&mut frames, HostPath::INSIDE, b"f\0"), not);
}
