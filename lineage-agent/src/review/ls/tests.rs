//! Lines of single records; whole listings are in the golden tests of the command.

use super::*;

fn listed(columns: usize, records: &[Record<'_>]) -> String {
    let screen = Screen {
        columns: Some(columns),
        colour: false,
    };
    let mut ls = Ls::new(Vec::new(), screen);
    for record in records {
        ls.record(record).unwrap();
    }
    String::from_utf8(ls.into_inner()).unwrap()
}

fn acting(kind: &'static str) -> Record<'static> {
    Record {
        seq: Some(7),
        time: Some(1_795_500_000_123_456),
        kind: Some(kind),
        pid: Some(4711),
        tid: Some(4711),
        comm: Some("sh"),
        ..Record::default()
    }
}

#[test]
fn mounts_come_from_where_they_are_taken() {
    let made = |call, path, target| Record {
        call: Some(call),
        dir: Some("/srv"),
        path: Some(path),
        target: Some(target),
        target_dir: Some("/run"),
        ..acting(kinds::FILE_MOUNT)
    };
    let shown = listed(
        200,
        &[
            made("mount", "m", "proc"),
            made("move_mount", "a", "b"),
            made("pivot_root", "new", "new/old"),
        ],
    );
    for line in [
        " /srv/m ← proc mount\n",
        " /srv/a → /run/b move_mount\n",
        " /srv/new → /run/new/old pivot_root\n",
    ] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
}

#[test]
fn the_date_is_said_once() {
    let first = acting(kinds::PROCESS_EXIT);
    let next_day = Record {
        time: first.time.map(|time| time + DAY_US),
        ..first
    };
    assert_eq!(
        listed(80, &[first, first, next_day]),
        "2026-11-24 UTC\n  \
           7 06:00:00.123  4711 sh      exit\n  \
           7 06:00:00.123  4711 sh      exit\n\
         2026-11-25 UTC\n  \
           7 06:00:00.123  4711 sh      exit\n"
    );
}

#[test]
fn by_which_rule_something_was_denied_is_never_cut_for_the_rest() {
    let denied = Record {
        path: Some("/srv/secret.txt"),
        result: Some(3),
        verdict: Some("deny"),
        effect: Some("killed-after-effect"),
        rule: Some("agent.cedar:no-secrets"),
        ..acting(kinds::FILE_OPEN)
    };
    let rule = "✗ denied, killed-after-effect: agent.cedar:no-secrets\n";
    let wide = listed(160, &[denied]);
    assert!(wide.ends_with(&format!("/srv/secret.txt {rule}")), "{wide}");
    let narrow = listed(80, &[denied]);
    assert!(
        narrow.ends_with(&format!("/srv/secret.txt\n    {rule}")),
        "{narrow}"
    );
}
