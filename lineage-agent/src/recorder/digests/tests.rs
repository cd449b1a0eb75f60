use std::time::Instant;

use lineage_common::frame::Version;

use super::*;
use crate::event::ReversedPath;
use crate::names::OpenFlags;

const REGULAR: u32 = 0o100_644;

fn digests() -> Digests {
    Digests::start(&Request {
        patterns: Vec::new(),
        wait: Duration::ZERO,
    })
    .unwrap()
}

fn seen(ino: u64, lineage: u32) -> FileSeen<'static> {
    FileSeen {
        seq: ino,
        lineage,
        pid: u32::MAX >> 1,
        parent: None,
        time_ns: 1_000_000_000,
        purpose: Purpose::Open {
            fd: 3,
            flags: OpenFlags(0),
        },
        perhaps: None,
        asked: false,
        path: ReversedPath(b"main.py\0nowhere\0no-such-directory\0"),
        shown: "/no-such-directory/nowhere/main.py",
        host_shown: "",
        dev: 1,
        ino,
        mode: REGULAR,
        fs_magic: 0xef53,
        version: Version::default(),
    }
}

fn decided(digests: &mut Digests) -> Vec<Decided> {
    std::iter::from_fn(|| digests.decided()).collect()
}

#[test]
fn what_finds_no_room_is_recorded_as_that_and_nothing_is_forgotten() {
    let mut digests = digests();
    // Nobody hands them over meanwhile, so none is read.
    let more = 10;
    for ino in 0..(WAITING_MAX + more) as u64 {
        digests.seen(&seen(ino, 0));
    }
    assert_eq!(digests.waiting(), WAITING_MAX);
    let full = decided(&mut digests);
    assert_eq!(full.len(), more);
    for one in &full {
        assert_eq!(one.detail.as_deref(), Some(r#"{"reason":"queue-full"}"#));
    }
    digests.seen(&seen(WAITING_MAX as u64, 0));
    assert!(decided(&mut digests).is_empty(), "told already");
    let started = Instant::now();
    while digests.waiting() > WAITING_MAX / 2 {
        assert!(digests.wait(Duration::from_millis(20)));
        assert!(started.elapsed() < Duration::from_secs(60));
    }
    // Now there is room.
    digests.seen(&seen(WAITING_MAX as u64, 0));
    digests.end();
    let rest = decided(&mut digests);
    assert_eq!(rest.len(), WAITING_MAX + 1);
    for one in &rest {
        let detail = one.detail.as_deref().unwrap();
        let known = [r#"{"reason":"gone"}"#, r#"{"reason":"not-waited"}"#];
        assert!(known.contains(&detail), "{detail}");
    }
    assert_eq!((digests.waiting(), digests.text_bytes), (0, 0));
    assert!(!digests.wait(Duration::from_secs(1)));
}

#[test]
fn every_lineage_is_told_of_a_file_they_share() {
    let mut digests = digests();
    for lineage in [0, 1, 0, 70] {
        digests.seen(&seen(5, lineage));
    }
    assert_eq!(digests.waiting(), 1);
    let started = Instant::now();
    while digests.wait(Duration::from_millis(20)) {
        assert!(started.elapsed() < Duration::from_secs(60));
    }
    let told: Vec<_> = decided(&mut digests)
        .iter()
        .map(|one| one.asker.lineage)
        .collect();
    assert_eq!(told, [0, 1, 70]);
}

#[test]
fn only_what_is_read_and_has_content_is_asked_for() {
    let mut digests = digests();
    let write_only = Purpose::Open {
        fd: 3,
        flags: OpenFlags(1),
    };
    let unasked = [
        FileSeen {
            purpose: write_only,
            ..seen(1, 0)
        },
        FileSeen {
            mode: 0o40_755,
            ..seen(2, 0)
        },
        FileSeen {
            shown: "/etc/passwd",
            ..seen(3, 0)
        },
    ];
    for file in &unasked {
        digests.seen(file);
    }
    assert_eq!(digests.waiting(), 0);
    assert!(decided(&mut digests).is_empty());
    let huge = Version {
        size: FILE_BYTES_MAX + 1,
        ..Version::default()
    };
    let refused = [
        (
            FileSeen {
                mode: 0o10_644,
                ..seen(4, 0)
            },
            "not-regular",
        ),
        (
            FileSeen {
                fs_magic: 0x9fa0,
                ..seen(5, 0)
            },
            "made-up",
        ),
        (
            FileSeen {
                version: huge,
                ..seen(6, 0)
            },
            "too-large",
        ),
    ];
    for (file, why) in &refused {
        digests.seen(file);
        let [one] = &decided(&mut digests)[..] else {
            panic!("one record each");
        };
        let expected = format!(r#"{{"reason":"{why}"}}"#);
        assert_eq!(one.detail.as_deref(), Some(&*expected));
    }
}

/// A file in a directory, as it was opened by a process that has ended; with it what it is shown as.
fn opened(directory: &std::path::Path, name: &str) -> (Vec<u8>, String, FileSeen<'static>) {
    use std::os::unix::fs::MetadataExt as _;
    let path = directory.join(name);
    std::fs::write(&path, name).unwrap();
    let file = std::fs::metadata(&path).unwrap();
    let shown = path.to_str().unwrap().to_owned();
    let mut reversed = Vec::new();
    for component in shown.split('/').skip(1).collect::<Vec<_>>().iter().rev() {
        reversed.extend(component.as_bytes());
        reversed.push(0);
    }
    let time = |seconds: i64, rest: i64| seconds * 1_000_000_000 + rest;
    let seen = FileSeen {
        dev: file.dev().cast_signed(),
        version: Version {
            size: i64::try_from(file.len()).unwrap(),
            mtime_ns: time(file.mtime(), file.mtime_nsec()),
            ctime_ns: time(file.ctime(), file.ctime_nsec()),
            ..Version::default()
        },
        ..seen(file.ino(), 0)
    };
    (reversed, shown, seen)
}

#[test]
fn what_the_name_of_a_script_leads_to_is_read_once_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().canonicalize().unwrap();
    std::os::unix::fs::symlink("script", directory.join("link")).unwrap();
    let name = directory.join("link");
    let perhaps = Some(name.to_str().unwrap());
    let files = ["script", "other"].map(|name| opened(&directory, name));
    let mut digests = digests();
    for (path, shown, seen) in &files {
        let path = ReversedPath(path);
        let file = FileSeen {
            perhaps,
            path,
            shown,
            ..*seen
        };
        for lineage in [0, 0, 1] {
            digests.seen(&FileSeen { lineage, ..file });
        }
        digests.seen(&FileSeen {
            perhaps: None,
            ..file
        });
    }
    let started = Instant::now();
    while digests.wait(Duration::from_millis(20)) {
        assert!(started.elapsed() < Duration::from_secs(60));
    }
    let decided = decided(&mut digests);
    let told: Vec<_> = decided
        .iter()
        .map(|one| (&*one.path, one.asker.lineage, one.content.is_some()))
        .collect();
    let script = &*files[0].1;
    assert_eq!(told, [(script, 0, true), (script, 1, true)]);
}
