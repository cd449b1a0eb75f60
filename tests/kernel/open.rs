//! `file.open`: the file the kernel opened, not the name the caller used.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::rows::{Row, version};
use serde_json::json;

// As the evidence has them on every architecture.
const O_LARGEFILE: i64 = 0o100_000;
const O_DIRECTORY: i64 = 0o200_000;

/// The record of the only open of this path, with what stat(2) says about the file.
fn open_of<'a>(run: &'a Recorded, path: &Path) -> &'a Row {
    let open = run.rows.only("file.open", &json!({ "path": path }));
    let file = fs::metadata(path).expect("it is there");
    open.expect(&json!({
        "origin": "kernel", "dev": file.dev(), "ino": file.ino(), "mode": file.mode(),
        "truncated": null, "notes": null,
    }));
    open.expect(&version(&file));
    assert_eq!(open.int("fd"), open.int("result"));
    open
}

#[test]
fn created_read_and_written() {
    let recorder = Recorder::new();
    let (new, old) = (recorder.path("new"), recorder.file("old", "content"));
    let run = recorder.script(&format!(
        "open @a {} O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC open @b {} O_RDONLY print @a print @b",
        new.display(),
        old.display()
    ));
    let fds: Vec<i64> = run
        .stdout()
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    let flags = |row: &Row| row.int("flags") & !O_LARGEFILE;
    let open = open_of(&run, &new);
    assert_eq!(open.int("fd"), fds[0]);
    assert_eq!(
        flags(open),
        i64::from(libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC)
    );
    let open = open_of(&run, &old);
    assert_eq!((open.int("fd"), flags(open)), (fds[1], 0));
}

#[test]
fn which_version_of_a_file_it_was() {
    let recorder = Recorder::new();
    let file = recorder.file("file", "first");
    let shown = file.display();
    let run = recorder.script(&format!(
        "open @a {shown} O_RDWR write @a 7000 close @a open @b {shown} O_RDONLY close @b \
         unlink {shown} open @c {shown} O_RDWR|O_CREAT close @c"
    ));
    let opens = run.rows.all("file.open", &json!({ "path": file }));
    let [before, after, another] = opens.as_slice() else {
        panic!("{opens:#?}");
    };
    before.expect(&json!({ "size": 5 }));
    after.expect(&json!({ "size": 7000, "ino": before.int("ino") }));
    assert!(after.int("mtime_ns") > before.int("mtime_ns"));
    assert!(after.int("ctime_ns") > before.int("ctime_ns"));
    assert_eq!(after.int("generation"), before.int("generation"));
    another.expect(&version(&fs::metadata(&file).expect("it is there")));
    if another.int("ino") == before.int("ino") {
        assert_ne!(another.int("generation"), before.int("generation"));
    }
}

#[test]
fn by_every_call_and_every_name() {
    let recorder = Recorder::new();
    let root = recorder.path("").canonicalize().expect("it is there");
    fs::create_dir_all(root.join("a/b")).expect("writable");
    for name in [
        "plain", "relative", "dots", "target", "at", "two", "legacy", "created", "path",
    ] {
        fs::write(root.join("a/b").join(name), name).expect("writable");
    }
    symlink("b", root.join("a/link")).expect("writable");
    symlink("target", root.join("a/b/link")).expect("writable");
    let legacy = if cfg!(target_arch = "x86_64") {
        "open-old"
    } else {
        "open"
    };
    let shown = root.display();
    let run = recorder.script(&format!(
        "open @x {shown}/a/b/plain O_RDONLY chdir {shown}/a \
         open @x b/relative O_RDONLY open @x ../a/./b/../b//dots O_RDONLY open @x link/link O_RDONLY \
         open @dir b O_RDONLY|O_DIRECTORY openat @x @dir at O_RDONLY openat2 @x b/two O_RDWR \
         {legacy} @x b/legacy O_RDONLY open @x b/path O_PATH"
    ));
    for name in [
        "plain", "relative", "dots", "target", "at", "two", "legacy", "path",
    ] {
        open_of(&run, &root.join("a/b").join(name));
    }
    let directory = open_of(&run, &root.join("a/b"));
    assert_ne!(directory.int("flags") & O_DIRECTORY, 0);
}

#[test]
fn failures_have_their_errno_and_what_was_asked_for() {
    let recorder = Recorder::new();
    let file = recorder.file("file", "").display().to_string();
    symlink("loop", recorder.path("loop")).expect("writable");
    let root = recorder.path("").display().to_string();
    let run = recorder.script(&format!(
        "chdir {root} fails ENOENT open @x no/such/file O_RDONLY fails ENOTDIR open @x {file}/x O_RDONLY \
         fails EEXIST open @x {file} O_WRONLY|O_CREAT|O_EXCL fails ELOOP open @x loop O_RDONLY \
         fails EISDIR open @x . O_WRONLY fails ENOENT openat2 @x nowhere O_RDWR"
    ));
    let asked = [
        ("no/such/file".to_owned(), -2, libc::O_RDONLY),
        (format!("{file}/x"), -20, libc::O_RDONLY),
        (file, -17, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL),
        ("loop".to_owned(), -40, libc::O_RDONLY),
        (".".to_owned(), -21, libc::O_WRONLY),
        ("nowhere".to_owned(), -2, libc::O_RDWR),
    ];
    for (path, result, flags) in asked {
        run.rows
            .only("file.open", &json!({ "path": path, "result": result }))
            .expect(&json!({
                "origin": "claimed", "fd": null, "dev": null, "ino": null, "flags": flags,
            }));
    }
}

#[test]
fn names_survive_byte_for_byte() {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let recorder = Recorder::new();
    let names: [&[u8]; 4] = [
        b"\xff\xfe\x80",
        b"\x1b[2J\x07\n\t",
        b"a\\x41\\",
        "\u{202e}é".as_bytes(),
    ];
    let paths = names.map(|name| {
        let path = recorder.path(std::ffi::OsStr::from_bytes(name));
        fs::write(&path, "").expect("writable");
        path
    });
    let words = paths.iter().flat_map(|path| {
        [
            "open".into(),
            "@x".into(),
            path.clone().into_os_string(),
            "O_RDONLY".into(),
        ]
    });
    let run = recorder.actor(words.collect::<Vec<std::ffi::OsString>>());
    for path in paths {
        let bytes = path.into_os_string().into_vec();
        let found = run.rows.all("file.open", &json!({}));
        let found = found
            .iter()
            .filter(|row| row.bytes("path") == bytes)
            .count();
        assert_eq!(found, 1, "{}", bytes.escape_ascii());
    }
    run.assert_nothing_raw();
}

/// Makes a file whose absolute path has exactly this many bytes, in directories of 200 and a rest.
pub(crate) fn deep(root: &Path, bytes: usize) -> PathBuf {
    let mut path = root.canonicalize().expect("it is there");
    let length = |path: &Path| path.as_os_str().len();
    while bytes - length(&path) > 201 + 256 {
        path.push("d".repeat(200));
        fs::create_dir(&path).expect("writable");
    }
    path.push("m".repeat((bytes - length(&path) - 2) / 2));
    fs::create_dir(&path).expect("writable");
    path.push("f".repeat(bytes - length(&path) - 1));
    assert_eq!(length(&path), bytes);
    fs::write(&path, "deep").expect("writable");
    path
}

#[test]
fn the_longest_path_there_is() {
    let recorder = Recorder::new();
    // PATH_MAX counts the NUL.
    let path = deep(&recorder.path(""), 4095);
    let run = recorder.script(&format!("open @x {} O_RDONLY", path.display()));
    open_of(&run, &path);
}

#[test]
fn a_path_beyond_the_limit_is_cut_and_says_so() {
    let recorder = Recorder::new();
    let base = deep(&recorder.path(""), 4000);
    let base = base.parent().expect("it has one").display();
    let (one, two) = ("x".repeat(200), "y".repeat(200));
    let run = recorder.script(&format!(
        "chdir {base} mkdir {one} chdir {one} mkdir {two} chdir {two} open @x leaf O_WRONLY|O_CREAT"
    ));
    let open = run.rows.only("file.open", &json!({ "truncated": "path" }));
    // What is kept is the end: the file and the directories next to it. It does not look whole.
    let path = open.text("path");
    assert!(path.starts_with("/…/"), "{open:?}");
    assert!(path.ends_with(&format!("/{one}/{two}/leaf")), "{open:?}");
    run.rows.only("file.close", &json!({ "path": path }));
}

#[test]
fn through_a_bind_mount_as_the_process_sees_it() {
    let recorder = Recorder::new();
    for name in ["source", "target"] {
        fs::create_dir(recorder.path(name)).expect("writable");
    }
    let file = recorder.file("source/file", "");
    let (source, target) = (recorder.path("source"), recorder.path("target"));
    let (shown, inside) = (source.display(), target.display());
    let run = recorder.script(&format!(
        "unshare CLONE_NEWNS mount-bind {shown} {inside} open @x {inside}/file O_RDONLY"
    ));
    let facts = fs::metadata(&file).expect("it is there");
    run.rows
        .only("file.open", &json!({ "path": target.join("file") }))
        .expect(&json!({
            "dev": facts.dev(), "ino": facts.ino(), "origin": "kernel",
        }));
}

#[test]
fn below_another_root_as_the_process_sees_it() {
    let recorder = Recorder::new();
    fs::create_dir(recorder.path("jail")).expect("writable");
    let file = recorder.file("jail/file", "");
    let outside = recorder.file("outside", "");
    let run = recorder.script(&format!(
        "open @o {} O_RDONLY chroot {} open @x /file O_RDONLY chdir / open @y ../../file O_WRONLY",
        outside.display(),
        recorder_path(&file)
    ));
    let facts = fs::metadata(&file).expect("it is there");
    let opens = run.rows.all("file.open", &json!({ "path": "/file" }));
    assert_eq!(opens.len(), 2);
    for open in opens {
        open.expect(&json!({ "dev": facts.dev(), "ino": facts.ino(), "origin": "kernel" }));
    }
}

/// The directory a file is in, as text.
fn recorder_path(file: &Path) -> String {
    file.parent().expect("it has one").display().to_string()
}

#[test]
fn a_file_without_a_name_says_so() {
    let recorder = Recorder::new();
    let root = recorder.path("").canonicalize().expect("it is there");
    let file = recorder.file("file", "").display().to_string();
    let shown = root.display();
    let run = recorder.script(&format!(
        "open @a {file} O_RDONLY print @a unlink {file} dup2 @a 9 \
         open @again /proc/self/fd/9 O_RDONLY open @t {shown} O_TMPFILE|O_RDWR"
    ));
    let again = run
        .rows
        .only("file.open", &json!({ "path": file, "notes": "unlinked" }));
    let first = run
        .rows
        .only("file.open", &json!({ "path": file, "notes": null }));
    assert_eq!(again.int("ino"), first.int("ino"));
    let unnamed = run.rows.all("file.open", &json!({ "notes": "unlinked" }));
    assert_eq!(unnamed.len(), 2, "{unnamed:#?}");
}

#[test]
fn a_relative_name_that_fails_has_the_directory_it_starts_from() {
    let recorder = Recorder::new();
    let root = recorder.path("").canonicalize().expect("it is there");
    fs::create_dir(root.join("sub")).expect("writable");
    let at = root.join("sub").display().to_string();
    let root = root.display().to_string();
    let run = recorder.script(&format!(
        "open @d {at} O_RDONLY|O_DIRECTORY chdir {root} fails ENOENT open @x here O_RDONLY \
         fails ENOENT openat @x @d ../there O_RDONLY fails ENOENT open @x {root}/whole O_RDONLY \
         fails EBADF openat @x 777 nowhere O_RDONLY chdir / fails ENOENT openat2 @x not-in-root O_RDWR"
    ));
    let dir_of = |path: &str, dir: Option<&str>| {
        run.rows
            .only("file.open", &json!({ "path": path }))
            .expect(&json!({ "dir": dir, "origin": "claimed", "host_path": null }));
    };
    dir_of("here", Some(root.trim_end_matches('/')));
    dir_of("../there", Some(&at));
    dir_of(&format!("{root}/whole"), None);
    dir_of("nowhere", None);
    dir_of("not-in-root", Some("/"));
    for row in run.rows.all("file.open", &json!({ "origin": "kernel" })) {
        row.expect(&json!({ "dir": null }));
    }
}
