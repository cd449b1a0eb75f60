use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::read::{BUFFER_BYTES, Watch, digest};
use super::*;
use crate::evidence::digest::of;

/// No descriptor, and no process either.
const NOBODY: u32 = u32::MAX >> 1;

fn identity(path: &Path) -> Identity {
    let file = fs::symlink_metadata(path).unwrap();
    let nanoseconds = |seconds: i64, rest: i64| seconds * 1_000_000_000 + rest;
    Identity {
        dev: file.dev().cast_signed(),
        ino: file.ino(),
        version: Version {
            size: i64::try_from(file.len()).unwrap(),
            mtime_ns: nanoseconds(file.mtime(), file.mtime_nsec()),
            ctime_ns: nanoseconds(file.ctime(), file.ctime_nsec()),
            ..Version::default()
        },
    }
}

/// What an event about the file as it is now asks for, by a process that has ended.
fn wanted(path: &Path) -> Wanted {
    Wanted {
        ticket: 1,
        identity: identity(path),
        pid: NOBODY,
        parent: None,
        held: Held::Program,
        named: None,
        path: path.as_os_str().as_encoded_bytes().into(),
        host_path: path.as_os_str().as_encoded_bytes().into(),
    }
}

/// The same, by this process, which has it open.
fn held(path: &Path, file: &File) -> Wanted {
    Wanted {
        pid: std::process::id(),
        held: Held::Descriptor(file.as_raw_fd()),
        ..wanted(path)
    }
}

/// Does something after so many bytes.
struct Meanwhile<F>(u64, RefCell<Option<F>>);

impl<F: FnOnce()> Watch for Meanwhile<F> {
    fn go_on(&self, bytes: u64) -> bool {
        if bytes >= self.0
            && let Some(act) = self.1.take()
        {
            act();
        }
        true
    }
}

struct Nothing;

impl Watch for Nothing {
    fn go_on(&self, _bytes: u64) -> bool {
        true
    }
}

fn read(wanted: &Wanted) -> Result<Found, Reason> {
    digest(wanted, &mut vec![0; BUFFER_BYTES], &Nothing)
}

/// Reads and does something in the middle of it.
fn read_while(wanted: &Wanted, bytes: u64, act: impl FnOnce()) -> Result<Found, Reason> {
    let watch = Meanwhile(bytes, RefCell::new(Some(act)));
    digest(wanted, &mut vec![0; BUFFER_BYTES], &watch)
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }
}

/// Waits until the next change has another time.
fn next_tick() {
    let start = Instant::now();
    let tick = Duration::from_nanos(tick_ns().unsigned_abs());
    while start.elapsed() < 2 * tick {
        std::hint::spin_loop();
    }
}

#[test]
fn a_file_is_found_by_its_path_and_by_who_holds_it() {
    let place = Place::new();
    for content in [b"".as_slice(), b"print('hello')\n", &[7; 3 * BUFFER_BYTES]] {
        let path = place.file("main.py", content);
        let found = Ok(Found {
            digest: of(content),
            other_device: false,
        });
        assert_eq!(read(&wanted(&path)), found);
        let open = File::open(&path).unwrap();
        let mut elsewhere = held(&path, &open);
        elsewhere.path = (*b"/no/such/name").into();
        elsewhere.host_path = elsewhere.path.clone();
        assert_eq!(read(&elsewhere), found);
    }
}

#[test]
fn a_file_is_found_where_a_process_has_it_mapped() {
    let program = std::env::current_exe().unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let ours = maps
        .lines()
        .find(|line| line.ends_with(program.to_str().unwrap()));
    let (start, rest) = ours.unwrap().split_once('-').unwrap();
    let (end, _) = rest.split_once(' ').unwrap();
    let address = |text| u64::from_str_radix(text, 16).unwrap();
    let mut mapped = wanted(&program);
    mapped.pid = std::process::id();
    mapped.path = (*b"/no/such/name").into();
    mapped.host_path = mapped.path.clone();
    mapped.held = Held::Mapping((address(start), address(end)));
    let found = read(&mapped).map(|found| found.digest);
    match found {
        Ok(digest) => assert_eq!(digest, of(&fs::read(&program).unwrap())),
        // Not everybody may follow such a link.
        Err(reason) => assert!(matches!(reason, Reason::Unreadable(_)), "{reason:?}"),
    }
    mapped.held = Held::Mapping((address(start) + 1, address(end)));
    assert!(read(&mapped).is_err());
}

#[test]
fn a_file_in_another_root_is_found_where_the_host_has_it() {
    let place = Place::new();
    let path = place.file("main.py", b"code");
    let mut inside = wanted(&path);
    inside.path = (*b"/main.py").into();
    assert_eq!(read(&inside).map(|found| found.digest), Ok(of(b"code")));
}

#[test]
fn another_file_under_the_name_is_never_taken() {
    let place = Place::new();
    let path = place.file("run", b"first");
    let before = wanted(&path);
    next_tick();
    fs::rename(place.file("other", b"other"), &path).unwrap();
    assert_eq!(read(&before), Err(Reason::Gone));
    let mine = Wanted {
        pid: std::process::id(),
        ..before
    };
    assert_eq!(read(&mine), Err(Reason::Replaced));
}

#[test]
fn a_link_in_the_way_is_not_followed() {
    let place = Place::new();
    fs::create_dir(place.path("a")).unwrap();
    let path = place.file("a/run", b"content");
    let before = wanted(&path);
    fs::rename(place.path("a"), place.path("b")).unwrap();
    symlink("b", place.path("a")).unwrap();
    // It is the file, and a path of the kernel has no links in it.
    assert_eq!(read(&before), Err(Reason::Gone));
    // Or the link might get its inode number.
    let _open = File::open(&path).unwrap();
    fs::remove_file(place.path("a")).unwrap();
    fs::rename(place.path("b"), place.path("a")).unwrap();
    fs::remove_file(&path).unwrap();
    symlink("/dev/zero", &path).unwrap();
    assert_eq!(read(&before), Err(Reason::Gone));
}

#[test]
fn a_removed_file_is_gone_or_has_changed_for_who_holds_it() {
    let place = Place::new();
    let path = place.file("run", b"content");
    let open = File::open(&path).unwrap();
    let (ended, lives) = (wanted(&path), held(&path, &open));
    next_tick();
    fs::remove_file(&path).unwrap();
    assert_eq!(read(&ended), Err(Reason::Gone));
    // Its inode says that something happened to it, and not that it was only its name.
    assert_eq!(read(&lives), Err(Reason::Changed(vec!["ctime_ns"])));
}

#[test]
fn what_changes_before_or_while_it_is_read_has_no_digest() {
    let place = Place::new();
    let path = place.file("model.pt", &[1; 4 * BUFFER_BYTES]);
    let middle = 2 * BUFFER_BYTES as u64;
    let write = |path: &Path| {
        let file = File::options().write(true).open(path).unwrap();
        file.write_at(&[2], 0).unwrap();
    };
    let before = wanted(&path);
    next_tick();
    let changed = Err(Reason::Changed(vec!["mtime_ns", "ctime_ns"]));
    assert_eq!(read_while(&before, middle, || write(&path)), changed);
    let before = wanted(&path);
    next_tick();
    let grow = || {
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(&[3; 7]).unwrap();
    };
    let grown = Err(Reason::Changed(vec!["size", "mtime_ns", "ctime_ns"]));
    assert_eq!(read_while(&before, middle, grow), grown);
    let before = wanted(&path);
    next_tick();
    let cut = || {
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(5)
            .unwrap();
    };
    assert_eq!(read_while(&before, middle, cut), grown);
    let before = wanted(&path);
    next_tick();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(read(&before), Err(Reason::Changed(vec!["ctime_ns"])));
    assert!(read(&wanted(&path)).is_ok());
}

#[test]
fn replacing_the_name_while_the_file_is_read_does_no_harm() {
    let place = Place::new();
    let content = [1; 4 * BUFFER_BYTES];
    let path = place.file("model.pt", &content);
    let open = File::open(&path).unwrap();
    let before = held(&path, &open);
    let replace = || fs::rename(place.file("other", b"other"), &path).unwrap();
    next_tick();
    // The name it loses is a change of its inode.
    let result = read_while(&before, BUFFER_BYTES as u64, replace);
    assert_eq!(result, Err(Reason::Changed(vec!["ctime_ns"])));
}

#[test]
fn nothing_but_regular_files_is_opened() {
    let place = Place::new();
    let fifo = place.path("pipe.py");
    let mode = Mode::from_raw_mode(0o600);
    mknodat(CWD, &fifo, FileType::Fifo, mode, 0).unwrap();
    // Nobody writes: opening it the usual way would wait for ever.
    assert_eq!(read(&wanted(&fifo)), Err(Reason::NotRegular));
    let directory = place.path("dir.py");
    fs::create_dir(&directory).unwrap();
    assert_eq!(read(&wanted(&directory)), Err(Reason::NotRegular));
    let path = place.file("main.py", b"code");
    let before = wanted(&path);
    fs::remove_file(&path).unwrap();
    mknodat(CWD, &path, FileType::Fifo, mode, 0).unwrap();
    let result = read(&before);
    let refused = [Reason::Gone, Reason::Replaced, Reason::NotRegular].map(Err);
    // The FIFO may have the inode number of the file before it.
    let changed = matches!(result, Err(Reason::Changed(_)));
    assert!(changed || refused.contains(&result), "{result:?}");
}

#[test]
fn a_file_beyond_all_limits_is_not_begun() {
    let place = Place::new();
    let path = place.file("huge.safetensors", b"");
    let file = File::options().write(true).open(&path).unwrap();
    if file.set_len(FILE_BYTES_MAX.unsigned_abs() + 1).is_ok() {
        assert_eq!(read(&wanted(&path)), Err(Reason::TooLarge));
    }
}

#[test]
fn a_descriptor_used_again_says_nothing_of_the_file() {
    let place = Place::new();
    let (path, other) = (place.file("a.py", b"a"), place.file("b.py", b"b"));
    let now = File::open(&other).unwrap();
    let stale = held(&path, &now);
    assert_eq!(read(&stale).map(|found| found.digest), Ok(of(b"a")));
}

#[test]
fn the_threads_read_all_and_are_told_to_stop() {
    let place = Place::new();
    let mut pool = Pool::start().unwrap();
    for ticket in 0..300 {
        let path = place.file(&format!("{ticket}.py"), ticket.to_string().as_bytes());
        let wanted = wanted(&path);
        pool.push(Wanted { ticket, ..wanted });
    }
    let mut seen = [false; 300];
    let started = Instant::now();
    while seen.contains(&false) {
        pool.tend();
        if let Some(outcome) = pool.wait(Duration::from_millis(20)) {
            let content = outcome.ticket.to_string();
            let found = outcome.result.map(|found| found.digest);
            assert_eq!(found, Ok(of(content.as_bytes())));
            let at = &mut seen[usize::try_from(outcome.ticket).unwrap()];
            assert!(!std::mem::replace(at, true), "one outcome each");
        }
        assert!(started.elapsed() < Duration::from_secs(60));
    }
    assert_eq!(pool.progress(), []);
    // A sparse file takes long, and none of the time of who has had enough of it.
    let path = place.file("huge.safetensors", b"");
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(100 << 30).unwrap();
    pool.push(wanted(&path));
    let started = Instant::now();
    while pool.progress().iter().all(|progress| progress.bytes == 0) {
        pool.tend();
        assert!(started.elapsed() < Duration::from_secs(60));
    }
    assert!(pool.stuck().is_empty());
    drop(pool);
}

#[test]
fn reading_leaves_no_trace_in_the_access_time() {
    let place = Place::new();
    let path = place.file("main.py", b"code");
    let before = fs::metadata(&path).unwrap();
    assert!(read(&wanted(&path)).is_ok());
    let after = fs::metadata(&path).unwrap();
    assert_eq!(
        (before.atime(), before.atime_nsec()),
        (after.atime(), after.atime_nsec())
    );
}

/// Numbers and times can be made to agree on two devices; where file systems have one each, the device
/// decides.
#[test]
fn a_file_on_another_device_is_another_file() {
    let place = Place::new();
    let path = place.file("main.py", b"print('hello')\n");
    let mut twin = wanted(&path);
    assert!(read(&twin).is_ok());
    twin.identity.dev += 1;
    let system = rustix::fs::statfs(&path).unwrap();
    let shows_others = [0x9123_683e, 0x794c_7630, 0xca45_1a4e].contains(&(system.f_type as u32));
    let found = read(&twin);
    if shows_others {
        assert!(found.unwrap().other_device);
    } else {
        assert!(
            matches!(found, Err(Reason::Replaced | Reason::Gone)),
            "{found:?}"
        );
    }
}
