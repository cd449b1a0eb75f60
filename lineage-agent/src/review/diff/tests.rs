//! Runs compared; whole outputs are in the golden tests of the command.

use super::super::filter::Filter;
use super::super::line::Screen;
use super::super::text::width;
use super::*;
use crate::evidence::escape::is_hidden;
use crate::evidence::kinds;
use crate::evidence::schema::Record;

const UID: Option<&str> = Some("00001000-0000-8000-8000-00000000000a");

fn exec<'a>(exe: &'a str, argv: &'a str) -> Record<'a> {
    Record {
        seq: Some(3),
        kind: Some(kinds::PROCESS_EXEC),
        process_uid: UID,
        pid: Some(4711),
        exe: Some(exe),
        argv: Some(argv),
        cwd: Some("/srv/a"),
        result: Some(0),
        ..Record::default()
    }
}

fn file<'a>(kind: &'static str, path: &'a str) -> Record<'a> {
    Record {
        seq: Some(4),
        kind: Some(kind),
        path: Some(path),
        flags: Some(0),
        result: Some(3),
        mode: Some(0o100_644),
        dev: Some(1),
        ino: Some(2),
        generation: Some(0),
        size: Some(5),
        mtime_ns: Some(6),
        ctime_ns: Some(7),
        ..Record::default()
    }
}

fn exit(code: i64) -> Record<'static> {
    Record {
        kind: Some(kinds::PROCESS_EXIT),
        process_uid: UID,
        exit_code: Some(code),
        ..Record::default()
    }
}

fn diff(exact: bool, a: &[Record<'_>], b: &[Record<'_>]) -> Diff {
    let run = |records: &[Record<'_>]| {
        let mut run = Run::new(exact, Filter::default());
        run.host("9f3c");
        records.iter().for_each(|record| run.record(record));
        run
    };
    Diff::new(run(a), run(b))
}

fn written(diff: &Diff, columns: Option<usize>) -> String {
    let mut out = Vec::new();
    let screen = Screen {
        columns,
        colour: false,
    };
    let shown = Shown {
        names: ["run1", "run2"],
        most: 20,
    };
    diff.write(&mut out, screen, shown).unwrap();
    String::from_utf8(out).unwrap()
}

/// The differences, without what the runs are.
fn lines(diff: &Diff) -> Vec<String> {
    let shown = written(diff, None);
    shown.lines().skip(3).map(str::to_owned).collect()
}

#[test]
fn what_is_the_same_is_no_difference() {
    let records = [
        exec("/bin/sh", r#"["sh","x"]"#),
        file(kinds::FILE_OPEN, "/srv/a/x"),
        exit(0),
    ];
    for exact in [false, true] {
        let same = diff(exact, &records, &records);
        assert!(same.is_empty());
        assert_eq!(written(&same, None), "");
        assert_eq!(same.json()["equal"], true);
    }
}

#[test]
fn how_a_command_ended_is_compared() {
    let run = |code| {
        [
            exec("/usr/bin/python3", r#"["python3","a.py"]"#),
            exit(code),
        ]
    };
    let other = diff(false, &run(0), &run(1));
    assert_eq!(
        lines(&other),
        ["commands", "~ 3 python3 a.py exit 0 → exit 1"]
    );
}

#[test]
fn another_digest_of_the_same_program_is_a_change_and_of_a_library_too() {
    let run = |digest: &'static str| {
        let version = Record {
            exe: Some("/usr/bin/python3"),
            argv: Some(r#"["python3"]"#),
            result: Some(0),
            path: None,
            ..file(kinds::PROCESS_EXEC, "")
        };
        let library = Record {
            ino: Some(9),
            ..file(kinds::FILE_OPEN, "/usr/lib/libssl.so.3")
        };
        let digest_of = |record: Record<'static>| Record {
            kind: Some(kinds::FILE_DIGEST),
            blake3: Some(digest),
            ..record
        };
        // Digests come later.
        [version, library, digest_of(version), digest_of(library)]
    };
    let other = diff(false, &run("9f3c9f3c9f3c9f3c"), &run("12ab12ab12ab12ab"));
    assert_eq!(
        lines(&other),
        [
            "programs",
            "~ 4 /usr/bin/python3 digest 9f3c9f3c9f3c → 12ab12ab12ab",
            "",
            "files read",
            "~ 4 /usr/lib/libssl.so.3 digest 9f3c9f3c9f3c → 12ab12ab12ab",
        ]
    );
}

#[test]
fn new_and_gone_are_told_with_what_was_done() {
    let sent = |bytes| Record {
        seq: Some(8),
        kind: Some(kinds::NET_CLOSE),
        peer_addr: Some("203.0.113.7"),
        peer_port: Some(443),
        transport: Some("tcp"),
        bytes_written: Some(bytes),
        ..Record::default()
    };
    let connect = Record {
        kind: Some(kinds::NET_CONNECT),
        result: Some(0),
        ..sent(0)
    };
    let library = file(kinds::FILE_OPEN, "/usr/lib/libssl.so.3");
    let other = diff(
        false,
        &[file(kinds::FILE_OPEN, "/data/x"), library],
        &[connect, connect, sent(10_000)],
    );
    assert_eq!(
        lines(&other),
        [
            "hosts",
            "+ 8 → 203.0.113.7:443 tcp ×2, wrote 10.0 kB",
            "",
            "files read",
            "- 4 /data/x"
        ]
    );
    // As much again is worth a word, a little more is not.
    let little = diff(false, &[connect, sent(10_000)], &[connect, sent(15_000)]);
    assert!(little.is_empty());
    let exactly = diff(true, &[connect, sent(10_000)], &[connect, sent(15_000)]);
    assert_eq!(
        lines(&exactly),
        ["hosts", "~ 8 → 203.0.113.7:443 tcp wrote 10.0 kB → 15.0 kB"]
    );
    let much = diff(false, &[connect, sent(10_000)], &[connect, sent(90_000)]);
    assert_eq!(
        lines(&much),
        ["hosts", "~ 8 → 203.0.113.7:443 tcp wrote 10.0 kB → 90.0 kB"]
    );
}

#[test]
fn noise_is_left_out_unless_it_is_to_be_exact() {
    let run = |path: &'static str| {
        let written = Record {
            flags: Some(0o1101),
            ..file(kinds::FILE_OPEN, path)
        };
        [exec("/bin/sh", "[]"), written]
    };
    let (a, b) = (run("/tmp/tmpabc123"), run("/tmp/tmpxyz789"));
    assert!(diff(false, &a, &b).is_empty());
    assert_eq!(
        lines(&diff(true, &a, &b)),
        ["files written", "+ 4 /tmp/tmpxyz789", "- 4 /tmp/tmpabc123"]
    );
}

#[test]
fn nothing_that_a_name_holds_is_obeyed_and_lines_fit() {
    let path = format!("/srv/\x1b[2J\u{202e}漢字\n{}", "x".repeat(300));
    let argv = format!(r#"["sh","{}","\u001b[2J"]"#, "y".repeat(9000));
    let b = [
        exec("/bin/\u{9b}sh", &argv),
        file(kinds::FILE_OPEN, &path),
        exec("", "\x1b"),
    ];
    let other = diff(false, &[], &b);
    for text in [written(&other, Some(80)), written(&other, None)] {
        let hidden = text
            .chars()
            .find(|letter| *letter != '\n' && is_hidden(*letter));
        assert_eq!(hidden, None, "{text}");
    }
    let shown = written(&other, Some(80));
    assert!(shown.lines().all(|line| width(line) <= 80), "{shown}");
    assert_eq!(
        other.json()["differences"].as_array().map(Vec::len),
        Some(4)
    );
}
