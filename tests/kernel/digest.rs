//! `file.digest`: what was in the programs, scripts and files that were used, or why that is not known.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lineage_tests::programs::ACTOR;
use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::rows::{Row, version};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde_json::{Value, json};

fn blake3_of(content: &[u8]) -> String {
    blake3::hash(content).to_hex().to_string()
}

fn of_file(path: impl AsRef<Path>) -> String {
    blake3_of(&fs::read(path).expect("it is there"))
}

/// The only digest of this path, which must be right for the file that is there, and name it.
fn right(run: &Recorded, path: impl AsRef<Path>) -> &Row {
    let path = path.as_ref();
    let digest = run.rows.only("file.digest", &json!({ "path": path }));
    let file = fs::metadata(path).expect("it is there");
    digest.expect(&json!({
        "origin": "agent", "blake3": of_file(path), "dev": file.dev(), "ino": file.ino(),
        "process_uid": null, "pid": null,
    }));
    digest.expect(&version(&file));
    let cause = run.rows.cause(digest);
    for field in ["dev", "ino", "generation", "size", "mtime_ns", "ctime_ns"] {
        assert_eq!(cause.get(field), digest.get(field), "{field}");
    }
    digest
}

/// The reason of the only digest of this path, which has none.
fn reason(run: &Recorded, path: impl AsRef<Path>) -> (&Row, String) {
    let digest = run
        .rows
        .only("file.digest", &json!({ "path": path.as_ref() }));
    assert_eq!(digest.get("blake3"), &Value::Null, "{digest:?}");
    let detail = digest.get("detail");
    let why = detail["reason"].as_str().expect("a reason");
    (digest, why.to_owned())
}

fn executable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("our own file");
}

#[test]
fn programs_scripts_and_files_by_name() {
    let recorder = Recorder::new();
    let root = recorder.path("").canonicalize().expect("it is there");
    let script = root.join("no-ending");
    fs::write(&script, "#!/bin/sh\nexit 0\n").expect("writable");
    executable(&script);
    let library = recorder.file("libx.so.1.2", "library").canonicalize();
    let library = library.expect("it is there");
    let model = recorder.file("model.safetensors", vec![7; 3_000_000]);
    let model = model.canonicalize().expect("it is there");
    let (text, written) = (recorder.file("README", "x"), recorder.path("new.py"));
    let (text, written) = (text.display(), written.display());
    let run = recorder.script(&format!(
        "chdir {} spawn @s ./no-ending ./no-ending ; wait @s open @l {} O_RDONLY open @m {} O_RDONLY \
         open @t {text} O_RDONLY open @w {written} O_WRONLY|O_CREAT write @w 5",
        root.display(),
        library.display(),
        model.display()
    ));
    let actor = right(&run, &*ACTOR);
    assert_eq!(run.rows.cause(actor).text("kind"), "process.exec");
    let script = right(&run, &script);
    let opened = run.rows.cause(script);
    assert_eq!(opened.text("kind"), "file.open", "by its interpreter");
    let shell = fs::canonicalize("/bin/sh").expect("there is one");
    right(&run, shell);
    for file in [&library, &model] {
        assert_eq!(run.rows.cause(right(&run, file)).text("kind"), "file.open");
    }
    for name in ["README", "new.py"] {
        let path = root.join(name);
        run.rows.none("file.digest", &json!({ "path": path }));
    }
    let last = run.rows.0.last().expect("records");
    assert_eq!(last.text("kind"), "lineage.end", "digests come before");
}

#[test]
fn a_script_has_its_digest_however_it_is_run() {
    let recorder = Recorder::new();
    let root = recorder.path("").canonicalize().expect("it is there");
    let files = [
        "argument", "option", "by-env", "open", "code", "other", "linked", "far",
    ];
    for file in files {
        fs::write(root.join(file), format!(": {file}\n")).expect("writable");
    }
    let by_env = root.join("by-env");
    fs::write(&by_env, "#!/usr/bin/env sh\n: by-env\n").expect("writable");
    executable(&by_env);
    symlink("linked", root.join("link")).expect("writable");
    symlink(&root, root.join("here")).expect("writable");
    // Opens what it was given as any interpreter does.
    let python = root.join("python3");
    fs::copy(&*ACTOR, &python).expect("room for a copy");
    // The test machines have no env.
    let has_env = Path::new("/usr/bin/env").exists();
    let run_by_env = ["", "spawn @c ./by-env by-env ; wait @c"][usize::from(has_env)];
    let run = recorder.script(&format!(
        "chdir {} spawn @a /bin/sh sh argument ; wait @a {run_by_env} \
         spawn @b /bin/sh sh -e ./../{}/option x ; wait @b \
         spawn @d ./python3 python3 open @x open O_RDONLY open @y other O_RDONLY ; wait @d \
         spawn @e /bin/sh sh -c :<code ; wait @e spawn @f /bin/sh sh link ; wait @f \
         spawn @g /bin/sh sh here/here/far ; wait @g",
        root.display(),
        root.file_name().expect("a name").display(),
    ));
    for file in ["argument", "option", "by-env", "open", "linked", "far"] {
        if file == "by-env" && !has_env {
            continue;
        }
        let opened = run.rows.cause(right(&run, root.join(file)));
        assert_eq!(opened.text("kind"), "file.open", "{file}");
    }
    for file in ["code", "other"] {
        let path = json!({ "path": root.join(file) });
        run.rows.only("file.open", &path);
        run.rows.none("file.digest", &path);
    }
}

#[test]
fn patterns_are_added_and_all_is_switched_off() {
    let recorder = Recorder::new().option("--digest").option("*.weights");
    let root = recorder.path("").canonicalize().expect("it is there");
    let recorder = recorder
        .option("--digest")
        .option(format!("{}/deep/*", root.display()));
    fs::create_dir_all(root.join("deep/er")).expect("writable");
    let files = ["a.weights", "deep/er/x", "other"];
    let mut script = String::new();
    for file in files {
        fs::write(root.join(file), file).expect("writable");
        write!(script, "open @x {} O_RDONLY ", root.join(file).display()).expect("a string");
    }
    let run = recorder.script(&script);
    right(&run, root.join("a.weights"));
    right(&run, root.join("deep/er/x"));
    run.rows
        .none("file.digest", &json!({ "path": root.join("other") }));
    let recorder = Recorder::new().option("--no-digests");
    let file = recorder.file("main.py", "code");
    let run = recorder.script(&format!("open @x {} O_RDONLY", file.display()));
    run.rows.none("file.digest", &json!({}));
}

#[test]
fn one_version_is_read_once_and_each_version_is_told() {
    let recorder = Recorder::new();
    let file = recorder.file("lib.so", "first");
    let file = file.canonicalize().expect("it is there");
    let shown = file.display();
    let run = recorder.script(&format!(
        "repeat 1000 [ fork @p [ open @x {shown} O_RDONLY close @x ] wait @p ]"
    ));
    let opens = run.rows.all("file.open", &json!({ "path": file }));
    assert_eq!(opens.len(), 1000);
    let digest = right(&run, &file);
    assert_eq!(digest.int("cause"), opens[0].int("seq"));
}

#[test]
fn a_thousand_scripts() {
    let recorder = Recorder::new();
    let root = recorder.path("").canonicalize().expect("it is there");
    let mut script = String::new();
    for number in 0..1000 {
        fs::write(
            root.join(format!("{number}.py")),
            format!("print({number})"),
        )
        .expect("room");
        write!(script, "open @x {number}.py O_RDONLY close @x ").expect("a string");
    }
    let run = recorder.script(&format!("chdir {} {script}", root.display()));
    let digests: HashMap<&str, &Row> = run
        .rows
        .all("file.digest", &json!({}))
        .into_iter()
        .map(|row| (row.text("path"), row))
        .collect();
    for number in 0..1000 {
        let path = root.join(format!("{number}.py"));
        let digest = digests[path.to_str().expect("text")];
        let expected = blake3_of(format!("print({number})").as_bytes());
        assert_eq!(digest.text("blake3"), expected, "{digest:?}");
    }
}

#[test]
fn what_is_replaced_at_once_has_its_own_digest_or_none() {
    let recorder = Recorder::new();
    let root = recorder.path("").canonicalize().expect("it is there");
    let mut script = String::new();
    for number in 0..200 {
        fs::write(root.join(format!("{number}.py")), format!("old {number}")).expect("room");
        fs::write(root.join(format!("{number}.new")), format!("new {number}")).expect("room");
        write!(
            script,
            "open @x {number}.py O_RDONLY close @x rename {number}.new {number}.py "
        )
        .expect("a string");
    }
    // A program that is another one under its name as soon as it runs, and one that has none.
    let programs = ["replaced", "removed"].map(|name| root.join(name));
    for program in &programs {
        fs::copy(&*ACTOR, program).expect("room for a copy");
    }
    let [replaced, removed] = programs.each_ref().map(|path| path.display());
    fs::write(root.join("other"), "other").expect("room");
    let run = recorder.script(&format!(
        "chdir {} {script} spawn @a {replaced} x rename other {replaced} ; wait @a \
         spawn @b {removed} x unlink {removed} ; wait @b",
        root.display()
    ));
    let mut known = 0;
    for number in 0..200 {
        let path = root.join(format!("{number}.py"));
        let digest = run.rows.only("file.digest", &json!({ "path": path }));
        match digest.get("blake3").as_str() {
            Some(found) => {
                known += 1;
                assert_eq!(found, blake3_of(format!("old {number}").as_bytes()));
            }
            None => assert_is_lost(digest),
        }
    }
    assert!(known < 200, "this test has shown nothing");
    for program in &programs {
        let digest = run.rows.only("file.digest", &json!({ "path": program }));
        match digest.get("blake3").as_str() {
            Some(found) => assert_eq!(found, of_file(&*ACTOR)),
            None => assert_is_lost(digest),
        }
    }
}

#[test]
fn a_file_in_another_root_is_found_after_the_process_has_ended() {
    let recorder = Recorder::new();
    let root = recorder.path("").canonicalize().expect("it is there");
    fs::create_dir(root.join("jail")).expect("writable");
    let file = root.join("jail/main.py");
    fs::write(&file, "code").expect("writable");
    let run = recorder.script(&format!(
        "fork @p [ chroot {}/jail open @x /main.py O_RDONLY ] wait @p",
        root.display()
    ));
    let digest = run.rows.only("file.digest", &json!({ "path": "/main.py" }));
    digest.expect(&json!({ "blake3": of_file(&file) }));
    digest.expect(&version(&fs::metadata(&file).expect("it is there")));
}

/// The record says that the file was not there any more as it was.
fn assert_is_lost(digest: &Row) {
    let why = digest.get("detail")["reason"].as_str();
    let why = why.expect("a reason");
    assert!(["gone", "changed", "replaced"].contains(&why), "{digest:?}");
}

#[test]
fn what_is_no_regular_file_is_not_opened() {
    let recorder = Recorder::new();
    let root = recorder.path("").canonicalize().expect("it is there");
    let (fifo, device) = (root.join("pipe.py"), root.join("null.js"));
    let mode = Mode::from_raw_mode(0o600);
    mknodat(CWD, &fifo, FileType::Fifo, mode, 0).expect("root may");
    let null = makedev(1, 3);
    let made = mknodat(CWD, &device, FileType::CharacterDevice, mode, null);
    fs::create_dir(root.join("dir.py")).expect("writable");
    symlink("/proc/self/status", root.join("link.py")).expect("writable");
    let mut script = format!("open @a {} O_RDWR ", fifo.display());
    if made.is_ok() {
        write!(script, "open @b {} O_RDONLY ", device.display()).expect("a string");
    }
    let shown = root.display();
    let recorder = recorder.option("--digest").option("status");
    let run = recorder.script(&format!(
        "{script} open @c {shown}/dir.py O_RDONLY|O_DIRECTORY open @d {shown}/link.py O_RDONLY"
    ));
    assert_eq!(reason(&run, &fifo).1, "not-regular");
    if made.is_ok() {
        assert_eq!(reason(&run, &device).1, "not-regular");
    }
    run.rows
        .none("file.digest", &json!({ "path": root.join("dir.py") }));
    let status = run.rows.all("file.digest", &json!({}));
    let status = status
        .iter()
        .find(|row| row.text("path").ends_with("/status"));
    assert_eq!(
        status.expect("it matches").get("detail")["reason"],
        "made-up"
    );
}

/// A file that is all hole.
fn sparse(path: &Path, bytes: u64) -> PathBuf {
    let file = File::create(path).expect("writable");
    file.set_len(bytes)
        .expect("the file system has large files");
    path.canonicalize().expect("it is there")
}

#[test]
fn a_huge_file_delays_neither_the_end_nor_the_others() {
    let recorder = Recorder::new().option("--digest-wait").option("3");
    let huge = sparse(&recorder.path("huge.safetensors"), 100 << 30);
    let beyond = sparse(&recorder.path("beyond.gguf"), (1 << 40) + 1);
    let small = recorder.file("main.py", "code").canonicalize();
    let small = small.expect("it is there");
    let started = Instant::now();
    let run = recorder.script(&format!(
        "open @h {} O_RDONLY open @b {} O_RDONLY open @s {} O_RDONLY",
        huge.display(),
        beyond.display(),
        small.display()
    ));
    assert!(started.elapsed() < Duration::from_secs(60));
    let (digest, why) = reason(&run, &huge);
    assert_eq!(why, "not-waited");
    digest.expect(&json!({ "size": 100_u64 << 30 }));
    assert_eq!(reason(&run, &beyond).1, "too-large");
    right(&run, &small);
    let said = run.stderr();
    // How many are left then is a matter of time.
    let expected = ", at most 3 s: Ctrl-C ends that";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn memory_does_not_follow_the_number_of_files() {
    let recorder = Recorder::new().option("--json");
    let root = recorder.path("").canonicalize().expect("it is there");
    fs::create_dir(root.join("d")).expect("writable");
    // Long names, of characters that take four times as many to show.
    let name = format!("{}.py", "\u{202e}".repeat(80));
    let files = 5000;
    for number in 0..files {
        fs::write(root.join(format!("d/{number}{name}")), number.to_string()).expect("room");
    }
    let script = format!("for f in {}/d/*; do : <\"$f\"; done", root.display());
    let run = recorder.run(["/bin/sh", "-c", &script]);
    let digests = run.rows.all("file.digest", &json!({}));
    assert!(digests.len() > files, "{}", digests.len());
    let said = run.stderr();
    let summary: Value = serde_json::from_str(said.trim()).expect("one line of JSON");
    let peak = summary["peak_rss_bytes"].as_u64().expect("a number");
    assert!(peak < 300 << 20, "{peak} bytes");
}
