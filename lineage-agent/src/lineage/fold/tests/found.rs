use lineage_common::frame::{FoundFile, FoundMap, Socket};

use super::*;

const ROOT: (u32, u64) = (10, 1000);
const DEV: u32 = 8 << 20 | 1;

fn file(fd: i32, ino: u64, path: &[u8]) -> File {
    let mut file = File::new_zeroed();
    file.ino = ino;
    file.fs_magic = 0xef53;
    file.dev = DEV;
    file.fd = fd;
    file.path_len = u32::try_from(path.len()).unwrap();
    file
}

impl Frames {
    /// A descriptor that was found.
    fn found(&mut self, fd: i32, ino: u64, path: &[u8]) -> usize {
        let body = FoundFile {
            file: file(fd, ino, path),
            position: 42,
        };
        self.send(Kind::FILE_SNAPSHOT, ROOT, 0, &body, path)
    }

    /// The first use of a descriptor.
    fn used(&mut self, fd: i32, ino: u64, path: &[u8]) -> usize {
        let body = file(fd, ino, path);
        self.send(Kind::FILE_INHERIT, ROOT, 0, &body, path)
    }

    /// A close of which the probes know no open.
    fn closed(&mut self, flags: Flags, result: i64, (first, last): (i32, i32)) -> usize {
        let mut body = Close::new_zeroed();
        (body.opened_cpu, body.fd, body.last) = (NO_CPU, first, last);
        self.send_flagged(Kind::FILE_CLOSE, flags, ROOT, result, &body, b"")
    }

    fn count(&self) -> usize {
        self.kept.0.len()
    }
}

#[test]
fn the_first_use_of_what_was_found_makes_no_record() {
    let mut frames = Frames::started();
    let found = frames.found(3, 5, b"a\0");
    let kept = &frames.kept;
    assert_eq!(kept.get(found, "kind"), Some("file.snapshot"));
    assert_eq!(kept.get(found, "origin"), Some("snapshot"));
    assert_eq!(kept.get(found, "offset"), Some("42"));
    assert_eq!(kept.get(found, "cause"), Some("1"));
    assert_eq!(kept.get(found, "result"), None);
    assert_eq!(kept.get(found, "tid"), None);
    let number = frames.number;
    let close = frames.used(3, 5, b"a\0");
    assert_eq!(frames.count(), close);
    let mut body = Close::new_zeroed();
    (body.fd, body.last, body.opened_number, body.bytes_read) = (3, 3, number, 9);
    frames.send(Kind::FILE_CLOSE, ROOT, 0, &body, b"");
    let kept = &frames.kept;
    assert_eq!(kept.get(close, "opened"), Some(&*found.to_string()));
    assert_eq!(kept.get(close, "bytes_read"), Some("9"));
    assert_eq!(kept.get(close, "path"), Some("/a"));
}

#[test]
fn an_unused_descriptor_that_was_found_is_known_when_it_is_closed() {
    let mut frames = Frames::started();
    let found = frames.found(3, 5, b"a\0");
    let refused = frames.closed(Flags(0), -9, (3, 3));
    let closed = frames.closed(Flags(0), 0, (3, 3));
    let again = frames.closed(Flags(0), 0, (3, 3));
    let kept = &frames.kept;
    assert_eq!(kept.get(refused, "opened"), None);
    assert_eq!(kept.get(closed, "opened"), Some(&*found.to_string()));
    assert_eq!(kept.get(closed, "bytes_written"), Some("0"));
    assert_eq!(kept.get(closed, "ino"), Some("5"));
    assert_eq!(kept.get(again, "opened"), None);
}

#[test]
fn what_happened_before_the_look_is_about_something_else() {
    let mut frames = Frames::started();
    frames.number = 50;
    let found = frames.found(3, 5, b"a\0");
    frames.number = 10;
    let earlier = frames.closed(Flags(0), 0, (3, 3));
    assert_eq!(frames.kept.get(earlier, "opened"), None);
    frames.number = 60;
    let later = frames.closed(Flags(0), 0, (3, 3));
    assert_eq!(frames.kept.get(later, "opened"), Some(&*found.to_string()));

    frames.number = 70;
    frames.found(4, 5, b"a\0");
    frames.number = 20;
    // It has a record of its own, and what was found at that number later is that one.
    let opened = frames.open(ROOT, 4, b"a\0");
    frames.number = 80;
    let mut body = Close::new_zeroed();
    (body.fd, body.last, body.opened_number) = (4, 4, 20);
    let closed = frames.send(Kind::FILE_CLOSE, ROOT, 0, &body, b"");
    assert_eq!(
        frames.kept.get(closed, "opened"),
        Some(&*opened.to_string())
    );
}

#[test]
fn what_is_found_does_not_take_the_place_of_what_was_opened() {
    let mut frames = Frames::started();
    let opened = frames.open(ROOT, 3, b"a\0");
    let number = frames.number - 1;
    let found = frames.found(3, 5, b"a\0");
    assert_eq!(frames.kept.get(found, "kind"), Some("file.snapshot"));
    let mut body = Close::new_zeroed();
    (body.fd, body.last, body.opened_number) = (3, 3, number);
    let closed = frames.send(Kind::FILE_CLOSE, ROOT, 0, &body, b"");
    assert_eq!(
        frames.kept.get(closed, "opened"),
        Some(&*opened.to_string())
    );
}

#[test]
fn another_file_at_the_number_is_inherited() {
    let mut frames = Frames::started();
    frames.found(3, 5, b"a\0");
    let used = frames.used(3, 6, b"b\0");
    assert_eq!(frames.kept.get(used, "kind"), Some("file.inherit"));
    let closed = frames.closed(Flags(0), 0, (3, 3));
    assert_eq!(frames.kept.get(closed, "opened"), None);
}

#[test]
fn an_exec_forgets_what_was_found_before_it() {
    let mut frames = Frames::started();
    frames.found(3, 5, b"a\0");
    frames.number = 50;
    frames.found(4, 6, b"b\0");
    frames.number = 20;
    let (body, text) = exec(b"ls\0bin\0", b"ls\0");
    frames.send(Kind::EXEC, ROOT, 0, &body, &text);
    frames.number = 60;
    let used = frames.used(3, 5, b"a\0");
    assert_eq!(frames.kept.get(used, "kind"), Some("file.inherit"));
    frames.used(4, 6, b"b\0");
    assert_eq!(frames.count(), used + 1);
}

#[test]
fn a_range_and_a_replacement_close_what_was_found() {
    let mut frames = Frames::started();
    let first = frames.found(3, 5, b"a\0");
    frames.found(5, 6, b"b\0");
    frames.found(100_000, 7, b"c\0");
    frames.used(5, 6, b"b\0");
    let replaced = frames.closed(Flags::BY_REPLACE, 0, (3, 3));
    let nothing = frames.closed(Flags::BY_REPLACE, 0, (3, 3));
    assert_eq!(frames.count(), nothing);
    let closed = frames.closed(Flags::BY_RANGE, 0, (4, i32::MAX));
    assert_eq!(frames.count(), closed + 1);
    let kept = &frames.kept;
    assert_eq!(kept.get(replaced, "opened"), Some(&*first.to_string()));
    assert_eq!(kept.get(replaced, "closed_by"), Some("replace"));
    assert_eq!(kept.get(closed, "fd"), Some("100000"));
    assert_eq!(kept.get(closed, "closed_by"), Some("close_range"));
    let empty = frames.closed(Flags::BY_RANGE, 0, (9, 4));
    assert_eq!(frames.count(), empty);
}

#[test]
fn a_socket_that_was_found_is_closed_as_one() {
    let mut frames = Frames::started();
    let mut socket = Socket::new_zeroed();
    (socket.ino, socket.fd, socket.family, socket.socket_type) = (8, 3, 1, 1);
    (socket.peer_ino, socket.peer_pid) = (9, 77);
    let found = frames.send(Kind::NET_SNAPSHOT, ROOT, 0, &socket, b"");
    let closed = frames.closed(Flags(0), 0, (3, 3));
    let kept = &frames.kept;
    assert_eq!(kept.get(found, "kind"), Some("net.snapshot"));
    assert_eq!(kept.get(found, "peer_pid"), Some("77"));
    assert_eq!(kept.get(found, "peer_ino"), Some("9"));
    assert_eq!(kept.get(closed, "kind"), Some("net.close"));
    assert_eq!(kept.get(closed, "transport"), Some("unix-stream"));
    assert_eq!(kept.get(closed, "dev"), None);
}

/// A header of something found by another thread, in another table.
fn header(tid: u32, table: u64) -> Header {
    let mut header = Header::new_zeroed();
    (header.pid, header.start) = ROOT;
    (header.tid, header.number, header.cpu) = (tid, table, NO_CPU);
    header
}

fn found_in(frames: &mut Frames, header: &Header, fd: i32) {
    let file = file(fd, 5, b"a\0");
    let event = crate::event::FileEvent {
        file: &file,
        path: b"a\0",
        host: crate::event::HostFile {
            view: 0,
            path: crate::event::ReversedPath(b""),
        },
        other: None,
    };
    let found = crate::event::Found::File(event, 0);
    frames.fold.found(header, &found, &mut frames.kept).unwrap();
}

#[test]
fn the_own_descriptors_of_a_thread_are_recorded_apart_and_shared_ones_once() {
    let mut frames = Frames::started();
    let first = frames.count();
    for (tid, table) in [(10, 1), (11, 2), (12, 1), (13, 2)] {
        found_in(&mut frames, &header(tid, table), 3);
        found_in(&mut frames, &header(tid, table), 4);
    }
    assert_eq!(frames.count(), first + 4);
    assert_eq!(frames.kept.get(first, "tid"), None);
    assert_eq!(frames.kept.get(first + 2, "tid"), Some("11"));
    // What the process closes is its own.
    let closed = frames.closed(Flags(0), 0, (3, 3));
    assert_eq!(frames.kept.get(closed, "opened"), Some(&*first.to_string()));
}

#[test]
fn of_mappings_that_are_only_read_the_first_of_each_file_is_recorded() {
    let mut frames = Frames::started();
    let map = |frames: &mut Frames, ino: u64, flags: u64, start: u64| {
        let mut body = FoundMap::new_zeroed();
        body.file = file(-1, ino, b"x\0");
        (body.flags, body.start, body.end, body.offset) = (flags, start, start + 1, start * 2);
        frames.send(Kind::MAP_SNAPSHOT, ROOT, 0, &body, b"x\0")
    };
    let first = frames.count();
    let (read, execute, write_shared) = (0x71, 0x75, 0xfb);
    for (ino, flags, start) in [
        (1, read, 1),
        (1, execute, 2),
        (1, read, 3),
        (2, read, 4),
        (2, read, 5),
        (3, write_shared, 6),
        (3, write_shared, 7),
    ] {
        map(&mut frames, ino, flags, start);
    }
    frames.fold.found_all(0, 0, &mut frames.kept).unwrap();
    let kept = &frames.kept;
    let recorded: Vec<_> = (first..frames.count())
        .map(|record| {
            let text = |field| kept.get(record, field).unwrap();
            (text("ino"), text("protection"), text("offset"))
        })
        .collect();
    let expected = [
        ("1", "r-xp", "4"),
        ("3", "rw-s", "12"),
        ("3", "rw-s", "14"),
        ("2", "r--p", "8"),
    ];
    assert_eq!(recorded, expected);
    assert_eq!(kept.get(first, "kind"), Some("file.map"));
    assert_eq!(
        kept.get(first, "detail"),
        Some(r#"{"start":"0x2","end":"0x3"}"#)
    );
}

#[test]
fn what_was_too_much_to_record_is_told() {
    let mut frames = Frames::started();
    frames.fold.found_all(3, 5, &mut frames.kept).unwrap();
    let last = frames.count() - 1;
    assert_eq!(frames.kept.get(last, "kind"), Some("evidence.loss"));
    let detail = frames.kept.get(last, "detail").unwrap();
    assert!(detail.contains(r#""count":3"#), "{detail}");
}

#[test]
fn a_process_nobody_knows_has_nothing() {
    let mut frames = Frames::started();
    let before = frames.count();
    let mut unknown = header(99, 1);
    unknown.pid = 99;
    found_in(&mut frames, &unknown, 3);
    assert_eq!(frames.count(), before);
}
