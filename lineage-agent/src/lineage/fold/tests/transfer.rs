use lineage_common::frame::Use;

use super::*;

const ROOT: (u32, u64) = (10, 1000);

/// A read or write of five bytes through descriptor 3, which the frame of this number opened.
fn used(frames: &mut Frames, kind: Kind, opened: u64, version: Version) -> usize {
    let mut body = Use::new_zeroed();
    (body.fd, body.ino, body.dev) = (3, 5, 8 << 20 | 1);
    (body.opened_number, body.version) = (opened, version);
    frames.send(kind, ROOT, 5, &body, b"")
}

fn opened(frames: &mut Frames) -> (usize, u64) {
    let number = frames.number;
    let mut body = File::new_zeroed();
    (body.fd, body.ino, body.path_len) = (3, 5, 2);
    (frames.send(Kind::FILE_OPEN, ROOT, 3, &body, b"a\0"), number)
}

#[test]
fn a_use_names_what_was_opened_and_leaves_it_open() {
    let mut frames = Frames::started();
    let (open, number) = opened(&mut frames);
    let version = Version {
        size: 7,
        mtime_ns: 8,
        ctime_ns: 9,
        generation: 0,
        reserved: 0,
    };
    let read = used(&mut frames, Kind::READ, number, version);
    let write = used(&mut frames, Kind::WRITE, number, Version::default());
    let kept = &frames.kept;
    for (row, kind) in [(read, "file.read"), (write, "file.write")] {
        assert_eq!(kept.get(row, "kind"), Some(kind));
        assert_eq!(kept.get(row, "opened"), Some(&*open.to_string()));
        assert_eq!(kept.get(row, "path"), Some("/a"));
        assert_eq!(kept.get(row, "result"), Some("5"));
        assert_eq!(kept.get(row, "fd"), Some("3"));
        assert_eq!(kept.get(row, "ino"), Some("5"));
        assert_eq!(kept.get(row, "dev"), Some("2049"));
    }
    let versions = ["size", "mtime_ns", "ctime_ns", "generation"];
    assert_eq!(
        versions.map(|field| kept.get(read, field)),
        [Some("7"), Some("8"), Some("9"), Some("0")]
    );
    assert_eq!(versions.map(|field| kept.get(write, field)), [None; 4]);
}

#[test]
fn a_use_of_another_opening_names_none() {
    let mut frames = Frames::started();
    let (_, number) = opened(&mut frames);
    let read = used(&mut frames, Kind::READ, number + 1, Version::default());
    assert_eq!(frames.kept.get(read, "opened"), None);
    assert_eq!(frames.kept.get(read, "path"), None);
    assert_eq!(frames.kept.get(read, "ino"), Some("5"));
}
