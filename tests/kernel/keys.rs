//! Signing keys last for some time only: their end is told before it comes, and respected when it has.

use std::time::{SystemTime, UNIX_EPOCH};

use lineage_agent::evidence::keys::{Keys, Plan, Secrets};
use lineage_tests::recorder::Recorder;

use crate::refusals::{assert_refused, attempt, into_nowhere};

const DAY: i64 = 86_400;
const DAYS_OF_YEAR: u32 = 365;

/// A recorder with keys for a year, which end this many seconds from now. They were made for days,
/// not for hours: so many take long to make.
fn with_left(seconds: i64) -> Recorder {
    let recorder = Recorder::without_keys();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("a clock after 1970").as_secs();
    let plan = Plan {
        start: now.saturating_add_signed(seconds - i64::from(DAYS_OF_YEAR) * DAY),
        seconds: DAY.unsigned_abs(),
        count: DAYS_OF_YEAR,
    };
    let secrets = Secrets::random().expect("random bytes");
    Keys::create(&recorder.path("keys"), plan, &secrets).expect("a new directory");
    recorder
}

#[test]
fn their_end_is_told_in_the_last_twelfth() {
    let run = with_left(30 * DAY + 3600).script("exit 0");
    let said = run.stderr();
    assert!(
        said.contains("the keys of this host end in 30 days"),
        "{said}"
    );
    assert!(said.contains("lineage key new --keys DIR"), "{said}");
    let run = with_left(DAY + 3600).script("exit 0");
    let said = run.stderr();
    assert!(
        said.contains("the keys of this host end in 1 day,"),
        "{said}"
    );
    let run = with_left(3600).script("exit 0");
    let said = run.stderr();
    assert!(
        said.contains("the keys of this host end within a day,"),
        "{said}"
    );
}

#[test]
fn nothing_is_said_before() {
    let said = with_left(31 * DAY).script("exit 0").stderr();
    assert!(!said.contains("keys"), "{said}");
}

#[test]
fn nothing_is_said_when_nothing_is_recorded() {
    let recorder = with_left(DAY);
    // Which only shows once the keys are in use.
    let output = attempt(&recorder, &mut into_nowhere(&recorder));
    assert_refused(&output, 125, &["/proc/evidence"]);
}

#[test]
fn when_they_have_ended_nothing_is_recorded() {
    let recorder = with_left(-DAY);
    let output = attempt(&recorder, &mut recorder.command());
    assert_refused(&output, 125, &["epochs", "over", "lineage key new"]);
    assert!(!recorder.path("evidence").exists());
}
