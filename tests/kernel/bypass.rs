//! Ways round a policy that somebody could try, one by one, and what becomes of them. The table "Ways round" of
//! `docs/policies.md` names these tests.
//!
//! All of them run in the best tier of the kernel, and expect what that tier promises.

mod addresses;
mod files;
mod kernel;
mod programs;
mod rules;
mod sockets;

use lineage_common::tier::Denied;
use lineage_tests::governed::{self, promised};
use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::rows::Row;
use serde_json::json;

/// Lets everything be used that has a name.
const FACILITIES: &str = r#"permit (principal, action == Action::"use", resource is Facility);"#;

/// A recorder as the others have it, in the best tier there is.
fn governed(mode: &str, more: &str) -> Recorder {
    governed::governed(mode, more).best_tier()
}

/// A way round that is denied once, in its last step.
#[derive(Clone, Copy, Debug)]
struct Way<'a> {
    /// Its steps. One that can be refused is behind `fails EPERM`, which says nothing of it where it is ended.
    script: &'a str,
    /// The kind of its record.
    kind: &'a str,
    /// What is judged; `PORT` stands for the port of the record's own end.
    judged: &'a str,
}

impl<'a> Way<'a> {
    const fn new(script: &'a str, kind: &'a str, judged: &'a str) -> Self {
        Self {
            script,
            kind,
            judged,
        }
    }

    /// What must become of it: the best that the tier promises.
    fn promise(&self) -> Denied {
        let promised = promised(self.judged).first();
        *promised.expect("something becomes of it")
    }
}

/// What wait(2) tells of a process that a way ended.
const ENDED: &str = "9";
/// What it tells of one that came through to the step behind the way, which is `exit 42`.
const WENT_ON: &str = "10752";

/// The script of processes, one after the other, of which each goes one of these ways; what became of each is on the
/// output.
fn each_alone<'a>(ways: impl IntoIterator<Item = &'a str>) -> String {
    let alone = |way| format!("fork @c [ {way} exit 42 ] status @s @c print @s ");
    ways.into_iter().map(alone).collect()
}

/// Goes ways, each in a process of its own; of each becomes what the tier promises, and there are no other denials.
fn tried(recorder: Recorder, ways: &[Way<'_>]) -> Recorded {
    let script = recorder.placed(&each_alone(ways.iter().map(|way| way.script)));
    let run = recorder.script(&script);
    let said = run.stdout();
    let mut ends = said.lines();
    let mut denied = run.rows.0.iter().filter(|row| row.get("verdict") == "deny");
    for way in ways {
        let Some(row) = denied.next() else {
            panic!("{way:?} is not denied\n{said}{}", run.stderr());
        };
        let (promise, port) = (way.promise(), row.get("local_port").to_string());
        let judged = run.recorder.placed(way.judged).replace("PORT", &port);
        let refused = promise == Denied::Prevented;
        let end = if refused { WENT_ON } else { ENDED };
        assert_eq!(
            (
                row.text("kind"),
                row.text("judged"),
                row.text("effect"),
                ends.next()
            ),
            (way.kind, &*judged, promise.effect(), Some(end)),
            "{way:?}\n{}",
            run.stderr()
        );
        if refused {
            row.expect(&json!({ "result": -1 }));
        }
    }
    assert_eq!((denied.next(), ends.next()), (None, None));
    run
}

/// Runs a script that nothing ends.
fn passed(recorder: Recorder, script: &str) -> Recorded {
    let script = recorder.placed(script);
    let run = recorder.script(&format!("{script} print reached"));
    assert_eq!(run.stdout(), "reached\n", "{script}\n{}", run.stderr());
    run
}

/// Nothing is authorised after it, in any process: what is there now could help others.
fn breached(recorder: Recorder, script: &str) -> Recorded {
    let script = recorder.placed(script);
    let run = recorder.script(&format!("{script} print reached"));
    assert_eq!(run.stdout(), "", "{script}\n{}", run.stderr());
    let changes = run.rows.all("context.change", &json!({}));
    let is_breach = |row: &&&Row| row.get("detail")["authority"] == "breach";
    assert_eq!(changes.iter().filter(is_breach).count(), 1, "{changes:?}");
    let told = run.stderr();
    assert!(told.contains("nothing is authorised any more"), "{told}");
    run
}
