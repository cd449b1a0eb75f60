//! `process.exec`: what runs, with which arguments, as whom, where.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use lineage_tests::programs::ACTOR;
use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::rows::version;
use serde_json::json;

/// Number of a namespace or of a control group's directory.
fn inode(path: impl AsRef<Path>) -> u64 {
    fs::metadata(path).expect("it is there").ino()
}

/// A copy of the actor, to be another file by another name.
fn copy(recorder: &Recorder, name: &str) -> std::path::PathBuf {
    let path = recorder.path(name);
    fs::copy(&*ACTOR, &path).expect("room for a copy");
    path
}

#[test]
fn all_facts_of_the_command() {
    let run = Recorder::new().script("name other exit 0");
    let actor = ACTOR.to_str().expect("the build directory is UTF-8");
    let exec = run.rows.only("process.exec", &json!({ "filename": actor }));
    let file = fs::metadata(&*ACTOR).expect("it is there");
    exec.expect(&json!({
        "origin": "kernel", "result": 0, "exec": 1, "exe": actor, "interpreter": null,
        "argc": 5, "cwd": std::env::current_dir().expect("a directory"),
        "dev": file.dev(), "ino": file.ino(), "mode": file.mode(),
        "uid": 0, "gid": 0, "euid": 0, "egid": 0, "comm": "actor", "truncated": null,
    }));
    exec.expect(&version(&file));
    let expected = [actor, "name", "other", "exit", "0"].map(|word| word.as_bytes().to_vec());
    assert_eq!(exec.argv(), expected);
    exec.expect(&json!({
        "pid_ns": inode("/proc/self/ns/pid"), "mnt_ns": inode("/proc/self/ns/mnt"),
        "net_ns": inode("/proc/self/ns/net"), "user_ns": inode("/proc/self/ns/user"),
    }));
    run.rows
        .only("process.exit", &json!({ "comm": "other", "exe": actor }));
    assert_eq!(run.rows.cause(exec).text("kind"), "process.snapshot");
}

#[test]
fn arguments_survive_byte_for_byte() {
    let odd: [&[u8]; 8] = [
        b"\xff\xfe",
        b"\x1b[31mred\x1b[0m",
        b"tab\tnewline\n",
        b"back\\slash \\x41 \"quoted\"",
        b"",
        "é 日本 🦀".as_bytes(),
        "\u{202e}reversed\u{200b}".as_bytes(),
        b"\xed\xa0\x80 surrogate",
    ];
    let words = ["spawn", "@child"].map(OsString::from).into_iter();
    let words = words.chain([
        ACTOR.clone().into_os_string(),
        "print".into(),
        "argv1".into(),
    ]);
    let words = words.chain(odd.map(|word| OsStr::from_bytes(word).to_owned()));
    // The spawned actor does not understand its arguments: it ends with 124, as told to.
    let words = words.chain([";".into(), "exit".into(), "0".into()]);
    let run = Recorder::new().actor(words);
    let exec = run.rows.only("process.exec", &json!({ "argc": 10 }));
    assert_eq!(exec.argv()[2..], odd.map(<[u8]>::to_vec));
    run.assert_nothing_raw();
}

#[test]
fn long_arguments_are_cut_and_say_so() {
    let long = "x".repeat(100_000);
    let run = Recorder::new().actor(["print", "a", "spawn", "@p", "/bin/true", "true", &long, ";"]);
    let exec = run
        .rows
        .only("process.exec", &json!({ "filename": "/bin/true" }));
    exec.expect(&json!({ "argc": 2, "truncated": "argv" }));
    let argv = exec.argv();
    assert_eq!(argv[0], b"true");
    assert!(
        long.as_bytes().starts_with(&argv[1]) && argv[1].len() > 30_000,
        "{}",
        argv[1].len()
    );
}

#[test]
fn a_link_and_a_relative_name_lead_to_the_file() {
    let recorder = Recorder::new();
    let program = copy(&recorder, "program");
    symlink("program", recorder.path("link")).expect("writable");
    let directory = recorder
        .path("")
        .to_str()
        .expect("UTF-8")
        .trim_end_matches('/')
        .to_owned();
    let run = recorder.script(&format!(
        "chdir {directory} spawn @a link link exit 0 ; wait @a fails ENOENT spawn @b ./x/../program program ; exit 0"
    ));
    // `x` is missing: that one fails before the new program begins.
    run.rows.only(
        "process.exec",
        &json!({ "filename": "link", "exe": program, "cwd": directory }),
    );
    run.rows.only(
        "process.exec",
        &json!({ "filename": "./x/../program", "result": -2, "origin": "claimed" }),
    );
}

#[test]
fn a_script_names_itself_and_its_interpreter() {
    let recorder = Recorder::new();
    let actor = ACTOR.to_str().expect("UTF-8");
    let script = recorder.file("script", format!("#!{actor} print\n"));
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("our own file");
    let path = script.to_str().expect("UTF-8").to_owned();
    let run = recorder.script(&format!("exec {path} ignored exit 7"));
    assert_eq!(
        (run.output.status.code(), run.stdout()),
        (Some(7), format!("{path}\n"))
    );
    let exec = run.rows.only("process.exec", &json!({ "filename": path }));
    let file = fs::metadata(&*ACTOR).expect("it is there");
    exec.expect(&json!({
        "interpreter": actor, "exe": actor, "argc": 5, "exec": 2, "result": 0,
        "dev": file.dev(), "ino": file.ino(),
    }));
    let expected = [actor, "print", &path, "exit", "7"].map(|word| word.as_bytes().to_vec());
    assert_eq!(exec.argv(), expected);
}

#[test]
fn failures_have_their_errno_and_what_was_asked_for() {
    let recorder = Recorder::new();
    let plain = recorder.file("plain", "not a program");
    let garbage = recorder.file("garbage", "\u{1}garbage");
    fs::set_permissions(&garbage, fs::Permissions::from_mode(0o755)).expect("our own file");
    let (plain, garbage) = (plain.display(), garbage.display());
    let run = recorder.script(&format!(
        "fails ENOENT exec /no/such/file one two ; fails EACCES exec {plain} p ; \
         fails ENOEXEC exec {garbage} g ; fails ENOTDIR exec {plain}/below b ;"
    ));
    let asked = [
        (
            "/no/such/file".to_owned(),
            -2,
            vec![b"one".to_vec(), b"two".to_vec()],
        ),
        (plain.to_string(), -13, vec![b"p".to_vec()]),
        (garbage.to_string(), -8, vec![b"g".to_vec()]),
        (format!("{plain}/below"), -20, vec![b"b".to_vec()]),
    ];
    for (filename, result, argv) in asked {
        let exec = run
            .rows
            .only("process.exec", &json!({ "filename": filename }));
        // The process stays what it was.
        exec.expect(&json!({ "result": result, "origin": "claimed", "exec": 1, "exe": *ACTOR }));
        assert_eq!(exec.argv(), argv);
    }
}

#[test]
fn a_thread_that_executes_takes_over_the_process() {
    let actor = ACTOR.display();
    let run = Recorder::new().script(&format!(
        "thread @idle [ pause ] thread @t [ exec {actor} second print @none exit 9 ] pause"
    ));
    assert_eq!(run.output.status.code(), Some(9));
    let exec = run.rows.only("process.exec", &json!({ "exec": 2 }));
    assert_eq!(
        exec.int("pid"),
        exec.int("tid"),
        "the thread got the leader's id"
    );
    assert_eq!(exec.argv()[0], b"second");
    assert_eq!(
        run.rows
            .all("thread.start", &json!({ "pid": exec.int("pid") }))
            .len(),
        2
    );
    run.rows.only(
        "process.exit",
        &json!({ "pid": exec.int("pid"), "exit_code": 9 }),
    );
}

#[test]
fn a_program_in_memory_has_no_name() {
    let recorder = Recorder::new();
    let bytes = fs::metadata(&*ACTOR).expect("it is there").len();
    let actor = ACTOR.display();
    let run = recorder.script(&format!(
        "memfd @memory hidden open @file {actor} O_RDONLY sendfile @memory @file {bytes} \
         exec-fd @memory ghost exit 4"
    ));
    assert_eq!(run.output.status.code(), Some(4));
    let exec = run.rows.only("process.exec", &json!({ "exec": 2 }));
    exec.expect(&json!({ "notes": "unlinked" }));
    assert!(exec.text("exe").contains("memfd:hidden"), "{exec:?}");
    assert_eq!(exec.argv()[0], b"ghost");
}

#[test]
fn credentials_are_those_of_the_new_program() {
    let recorder = Recorder::new();
    fs::set_permissions(recorder.path(""), fs::Permissions::from_mode(0o755)).expect("ours");
    let program = copy(&recorder, "program");
    let program = program.display();
    let run = recorder.script(&format!(
        "setgid 65533 setuid 65534 exec {program} p exit 0"
    ));
    run.rows
        .only("process.exec", &json!({ "exec": 2 }))
        .expect(&json!({
            "uid": 65534, "euid": 65534, "gid": 65533, "egid": 65533,
        }));
}

#[test]
fn a_relative_name_that_fails_has_the_directory_it_starts_from() {
    let recorder = Recorder::new();
    let root = recorder.path("").canonicalize().expect("it is there");
    let root = root.display().to_string();
    let run = recorder.script(&format!(
        "chdir {root} fails ENOENT exec no/such one ; fails ENOENT exec {root}/whole two ; \
         open @d /proc O_RDONLY call @n execveat @d =there 0 0 0 ;"
    ));
    let of = |path: &str, dir: Option<&str>| {
        run.rows
            .only("process.exec", &json!({ "path": path }))
            .expect(&json!({ "dir": dir, "filename": path, "result": -2, "cwd": null }));
    };
    of("no/such", Some(root.trim_end_matches('/')));
    of(&format!("{root}/whole"), None);
    of("there", Some("/proc"));
}

#[test]
fn a_program_that_raises_the_rights_of_its_caller_is_noted() {
    let recorder = Recorder::new();
    let [raising, plain, by_group, capable] =
        ["raising", "plain", "by-group", "capable"].map(|name| recorder.path(name));
    for (path, mode) in [
        (&raising, 0o4755),
        (&plain, 0o755),
        (&by_group, 0o2755),
        (&capable, 0o755),
    ] {
        fs::copy(&*ACTOR, path).expect("room");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
    }
    // `struct vfs_cap_data` (`include/uapi/linux/capability.h`), revision 2, effective: `CAP_NET_RAW`.
    let words: [u32; 5] = [0x0200_0001, 1 << 13, 0, 0, 0];
    let capabilities: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&capable, "security.capability", &capabilities, flags).expect("ours");
    let open = |name: &str, path: &Path| format!("open @{name} {} O_RDONLY ", path.display());
    let run = recorder.script(&format!(
        "{}{}{}{} fork @r [ exec-fd @a actor exit 1 ] wait @r setgid 4321 setuid 4321 \
         fork @p [ exec-fd @b actor exit 2 ] wait @p fork @g [ exec-fd @c actor exit 3 ] wait @g \
         fork @k [ exec-fd @d actor exit 5 ] wait @k \
         exec-fd @a actor exit 4",
        open("a", &raising),
        open("b", &plain),
        open("c", &by_group),
        open("d", &capable),
    ));
    let exec_of = |status: i64| {
        let exit = run
            .rows
            .only("process.exit", &json!({ "exit_code": status }));
        run.rows.cause(exit)
    };
    // Root gains nothing.
    exec_of(1).expect(&json!({ "notes": null, "uid": 0, "euid": 0 }));
    exec_of(2).expect(&json!({ "notes": null, "uid": 4321, "euid": 4321 }));
    exec_of(3).expect(&json!({ "notes": "privileged-exec", "egid": 0, "gid": 4321, "euid": 4321 }));
    exec_of(4).expect(&json!({ "notes": "privileged-exec", "uid": 4321, "euid": 0 }));
    exec_of(5).expect(&json!({ "notes": "privileged-exec", "uid": 4321, "euid": 4321 }));
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A recording of an actor with these variables, behind many others and a very long one.
fn with_variables(recorder: Recorder, variables: &[(&str, &str)]) -> Recorded {
    let mut command = recorder.command();
    command.env_clear();
    for number in 0..300 {
        command.env(format!("A{number}"), "x".repeat(number));
    }
    // The rest of a variable is none, whatever it begins with.
    let piece = format!("BAGGAGE={}", "y".repeat(2039));
    command.env("AA", format!("{}{}", "x".repeat(2044), piece.repeat(8)));
    command.envs(variables.iter().copied());
    command.arg("--").arg(&*ACTOR).args(["exit", "0"]);
    let output = command.output();
    recorder.finish(output.expect("the lineage binary runs"))
}

/// A trace context is a hint that the environment has, whatever is recorded of that.
#[test]
fn what_a_program_is_told_of_a_trace_is_a_claim() {
    let variables = [
        ("TRACEPARENT", PARENT),
        ("TRACESTATE", "congo=t61rcWkgMzE"),
        ("BAGGAGE", "user=alice,api_key=hidden"),
    ];
    let run = with_variables(Recorder::new(), &variables);
    let expected = json!({
        "traceparent": PARENT, "tracestate": "congo=t61rcWkgMzE", "baggage": "user=alice,api_key",
        "notes": null, "truncated": null,
    });
    run.rows
        .only("process.exec", &json!({ "result": 0 }))
        .expect(&expected);

    let none = Recorder::new().option("--environment").option("none");
    let run = with_variables(none, &variables);
    let expected =
        json!({ "traceparent": null, "tracestate": null, "baggage": null, "notes": null });
    run.rows
        .only("process.exec", &json!({ "result": 0 }))
        .expect(&expected);
}

#[test]
fn what_is_no_trace_context_is_left_out_and_said() {
    let long = format!("a=b,c={}", "d".repeat(5000));
    let variables = [
        ("TRACEPARENT", "00-\u{1b}[31m"),
        ("TRACESTATE", "a=b"),
        ("BAGGAGE", &long),
        ("TRACEPARENTS", PARENT),
    ];
    let run = with_variables(Recorder::new(), &variables);
    let expected = json!({
        "traceparent": null, "tracestate": null, "baggage": "a=b",
        "notes": "traceparent-malformed", "truncated": "baggage",
    });
    run.rows
        .only("process.exec", &json!({ "result": 0 }))
        .expect(&expected);
    run.assert_nothing_raw();
}
