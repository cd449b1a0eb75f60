//! Paces and names; whole outputs are in the golden tests of the command.

use super::super::line::Screen;
use super::super::text::width;
use super::*;
use crate::evidence::escape::is_hidden;

const MS: i64 = 1_000_000;

fn exec(time_ns: i64, exe: &str) -> Record<'_> {
    Record {
        seq: Some(7),
        time_ns: Some(time_ns),
        kind: Some(kinds::PROCESS_EXEC),
        exe: Some(exe),
        result: Some(0),
        ..Record::default()
    }
}

fn timeline(per_ns: Option<i64>, records: &[Record<'_>]) -> Timeline {
    let mut pace = Pace::new(per_ns);
    for record in records {
        pace.record(record).unwrap();
    }
    let mut timeline = Timeline::new(&pace);
    for record in records {
        timeline.record(record);
    }
    timeline
}

fn written(timeline: &Timeline, columns: Option<usize>, all: bool) -> String {
    let mut out = Vec::new();
    let screen = Screen {
        columns,
        colour: false,
    };
    timeline.write(&mut out, screen, all).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn intervals_are_as_long_as_some_forty_lines_need() {
    for length in [1, 1_000, 3_600_000, 90 * 86_400_000] {
        let records: Vec<_> = (0..1000)
            .map(|at| exec(at * length * MS, "/bin/a"))
            .collect();
        let lines = timeline(None, &records).intervals.len();
        assert!((14..=40).contains(&lines), "{lines} lines of {length} ms");
    }
    // A pause is no reason for longer ones.
    let mut records: Vec<_> = (0..30).map(|at| exec(at * MS, "/bin/a")).collect();
    records.push(exec(86_400_000 * MS, "/bin/a"));
    let paused = timeline(None, &records);
    assert_eq!(paused.intervals.len(), 31);
    assert!(paused.step_ns <= MS, "{}", paused.step_ns);
    let shown = written(&paused, Some(80), false);
    assert!(
        shown.contains("⋮ 23 h 59 min without records\n1970-01-02 UTC\n"),
        "{shown}"
    );
}

#[test]
fn times_at_the_limits_of_numbers_are_no_fault() {
    let records = [i64::MIN, -1, 0, i64::MAX].map(|time| exec(time, "/bin/a"));
    for per_ns in [None, Some(1), Some(i64::MAX)] {
        let timeline = timeline(per_ns, &records);
        written(&timeline, Some(80), false);
        timeline.write_json(&mut Vec::new()).unwrap();
    }
    let mut pace = Pace::new(Some(1));
    let outcome =
        (0..=pace::INTERVALS_MAX as i64).try_for_each(|time| pace.record(&exec(time, "a")));
    assert_eq!(outcome, Err(TooMany));
}

#[test]
fn what_stands_out_most_comes_first_and_is_kept() {
    let names: Vec<_> = (0..200).map(|at| format!("/bin/{at}")).collect();
    let mut records: Vec<_> = names.iter().map(|name| exec(0, name)).collect();
    records.push(Record {
        kind: Some(kinds::FILE_OPEN),
        path: Some("/home/u/.ssh/id_rsa"),
        flags: Some(0),
        result: Some(3),
        ..exec(0, "/bin/a")
    });
    let timeline = timeline(None, &records);
    let interval = &timeline.intervals[&0];
    assert_eq!((interval.named.len(), interval.more), (NAMES_MAX, 137));
    assert_eq!(&*interval.ranked()[0].name, "/home/u/.ssh/id_rsa");
    let shown = written(&timeline, Some(80), false);
    assert!(shown.lines().all(|line| width(line) <= 80), "{shown}");
    let last = shown.lines().last().unwrap();
    assert!(
        last.contains(" r /home/u/.ssh/id_rsa 0 1 2") && last.contains(" +1"),
        "{last}"
    );
    let all = written(&timeline, Some(80), true);
    assert!(
        all.lines().count() > 8 && all.lines().all(|line| width(line) <= 80),
        "{all}"
    );
}

#[test]
fn nothing_that_a_name_holds_is_obeyed() {
    let timeline = timeline(None, &[exec(0, "/bin/\x1b[2J\u{202e}漢字\n"), exec(1, "")]);
    let mut json = Vec::new();
    timeline.write_json(&mut json).unwrap();
    let json = String::from_utf8(json).unwrap();
    for text in [
        &written(&timeline, Some(80), false),
        &written(&timeline, None, true),
        &json,
    ] {
        let hidden = text
            .chars()
            .find(|letter| *letter != '\n' && is_hidden(*letter));
        assert_eq!(hidden, None, "{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["intervals"][0]["process"], 2);
}
