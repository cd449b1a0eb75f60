//! The recorder killed between any two steps, found again and finished.

use super::*;
use crate::evidence::recover::{recover, recover_with};
use crate::evidence::seal::Step;
use crate::evidence::testing::{Host, SECOND, append, appended, snapshot};
use std::path::PathBuf;
use std::process::Command;

/// Tells the test binary, run again by a test here, to play the recorder that dies.
const PART: &str = "LINEAGE_TEST_CRASH";

/// Kills this process, without warning, at a step of sealing a segment.
struct KillAt(u64, Step);

impl Steps for KillAt {
    fn reached(&self, segment: u64, step: Step) {
        if (segment, step) == (self.0, self.1) {
            die();
        }
    }
}

fn die() -> ! {
    let me = rustix::process::getpid();
    rustix::process::kill_process(me, rustix::process::Signal::KILL).unwrap();
    unreachable!("killed")
}

/// What the child recorder does: three segments, two epochs, commits between.
fn record(host: &Host, steps: Arc<dyn Steps>, die_after: Option<u64>) {
    let options = Options {
        steps,
        ..Host::options()
    };
    let mut writer = host.writer_with(&options);
    let commit = |writer: &mut Writer| {
        writer.commit(&Counters::default()).unwrap();
        let done = writer.next_seq();
        // Whole or not at all: it dies at any moment.
        let (new, place) = (host.path.join("committing"), host.path.join("committed"));
        std::fs::write(&new, done.to_string()).unwrap();
        std::fs::rename(new, place).unwrap();
        if die_after.is_some_and(|limit| done >= limit) {
            appended(writer, &host.clock, 1000);
            die();
        }
    };
    appended(&mut writer, &host.clock, 1500);
    commit(&mut writer);
    writer.seal(Reason::Rows).unwrap();
    appended(&mut writer, &host.clock, 10);
    commit(&mut writer);
    host.clock.pass(3600 * SECOND);
    append(&mut writer, &host.clock);
    commit(&mut writer);
    writer.close(Reason::Shutdown).unwrap();
}

/// Not a test of its own: the part of the process that dies.
#[test]
fn part_of_a_child() {
    let Ok(part) = std::env::var(PART) else {
        return;
    };
    let words: Vec<&str> = part.split(' ').collect();
    let host = Host::at(&PathBuf::from(words[1]));
    let steps = || -> Arc<dyn Steps> {
        let step: usize = words[3].parse().unwrap();
        Arc::new(KillAt(words[2].parse().unwrap(), Step::ALL[step]))
    };
    match words[0] {
        "record" => record(&host, steps(), None),
        "append" => record(&host, Arc::new(NoSteps), words[2].parse().ok()),
        "recover" => _ = recover_with(&host.evidence(), &host.keys, &steps()).unwrap(),
        other => panic!("no part {other}"),
    }
    // The step was not reached: tell the parent.
    println!("survived");
}

/// Runs a part in a child process; true if it died as planned.
fn dies(host: &Host, part: &str, rest: &str) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "evidence::writer::crash_tests::part_of_a_child"])
        .args(["--nocapture", "--test-threads=1"])
        .env(PART, format!("{part} {} {rest}", host.path.display()))
        .output()
        .unwrap();
    let killed = output.status.signal() == Some(9);
    let survived = String::from_utf8_lossy(&output.stdout).contains("survived");
    assert!(
        killed || survived,
        "{part} {rest}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    killed
}

fn committed(host: &Host) -> u64 {
    std::fs::read_to_string(host.path.join("committed")).map_or(0, |text| text.parse().unwrap())
}

/// Files that must never change once they are there.
fn settled(host: &Host) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut files = snapshot(&host.evidence());
    files.retain(|path, _| {
        let path = path.to_string_lossy();
        !path.contains("/spool/") && !path.ends_with("log/checkpoint") && !path.contains(".p/")
    });
    files
}

/// Recovers what a crash left and checks it, also with further crashes on the way.
fn check(host: &Host, told: &str) {
    let before = settled(host);
    let clean = host.copy();
    let done = recover(&clean.evidence(), &clean.keys).unwrap();
    let records = clean.assert_sound();
    assert_eq!(records, done.records, "{told}");
    assert!(records >= committed(host), "{told}");
    let after = settled(&clean);
    for (path, bytes) in &before {
        assert_eq!(after.get(path), Some(bytes), "{told}: {}", path.display());
    }
    let complete = snapshot(&clean.evidence());
    recover(&clean.evidence(), &clean.keys).unwrap();
    assert_eq!(snapshot(&clean.evidence()), complete, "{told}: twice");
    assert_eq!(
        std::fs::read_dir(clean.path.join("keys/logs"))
            .unwrap()
            .count(),
        0,
        "{told}: the seed is still there"
    );
}

#[test]
fn killed_at_every_step_of_every_segment() {
    for segment in 0..3 {
        for step in 0..Step::ALL.len() {
            let host = Host::new();
            let told = format!("killed in segment {segment} at {:?}", Step::ALL[step]);
            let died = dies(&host, "record", &format!("{segment} {step}"));
            assert!(died, "{told}");
            check(&host, &told);
        }
    }
}

#[test]
fn killed_while_appending() {
    for limit in [1, 1500, 1501, 1511] {
        let host = Host::new();
        assert!(dies(&host, "append", &limit.to_string()));
        check(&host, &format!("killed after {limit}"));
    }
}

#[test]
fn killed_while_recovering_makes_no_difference() {
    let host = Host::new();
    assert!(dies(&host, "append", "1511"));
    let clean = host.copy();
    recover(&clean.evidence(), &clean.keys).unwrap();
    let expected = snapshot(&clean.evidence());
    let segments = clean.manifests().len() as u64;
    for segment in 0..segments {
        for step in 0..Step::ALL.len() {
            let again = host.copy();
            dies(&again, "recover", &format!("{segment} {step}"));
            recover(&again.evidence(), &again.keys).unwrap();
            assert_eq!(snapshot(&again.evidence()), expected, "{segment} {step}");
        }
    }
}

#[test]
fn a_torn_end_is_dropped_and_told() {
    let host = Host::new();
    assert!(dies(&host, "append", "1500"));
    let spool = host.below("spool/0000000000.spool");
    let whole = std::fs::read(&spool).unwrap();
    std::fs::write(&spool, [&whole[..], &[9, 0, 0]].concat()).unwrap();
    let clean = host.copy();
    let done = recover(&clean.evidence(), &clean.keys).unwrap();
    assert_eq!((done.discarded, done.crashed), (3, true));
    let manifests = clean.manifests();
    assert_eq!(manifests[0].reason, Reason::Recovery);
    assert_eq!(manifests[0].discarded, 3);
    let mut last = None;
    clean
        .read()
        .records(|record| {
            last = record.detail.map(str::to_owned);
            std::ops::ControlFlow::<()>::Continue(())
        })
        .unwrap();
    assert_eq!(
        last.unwrap(),
        r#"{"what":"the recorder ended without closing","segment":0,"discarded_bytes":3}"#
    );
    clean.assert_sound();
}

#[test]
fn damage_before_a_commit_is_not_taken_for_a_torn_end() {
    let host = Host::new();
    assert!(dies(&host, "append", "1500"));
    let spool = host.below("spool/0000000000.spool");
    let mut bytes = std::fs::read(&spool).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&spool, bytes).unwrap();
    assert!(matches!(
        recover(&host.evidence(), &host.keys),
        Err(Error::Spool { .. })
    ));
}

#[test]
fn a_recorder_goes_on_after_a_crash() {
    let host = Host::new();
    assert!(dies(&host, "append", "1500"));
    host.clock.pass(2 * 3600 * SECOND);
    let clock = Box::new(host.clock.clone());
    let identity = Host::identity();
    let mut writer = Writer::open(&host.evidence(), identity, &host.keys, clock).unwrap();
    append(&mut writer, &host.clock);
    writer.close(Reason::Shutdown).unwrap();
    host.assert_sound();
    let told: Vec<_> = host
        .manifests()
        .iter()
        .map(|it| (it.head.epoch, it.head.session, it.count, it.reason))
        .collect();
    let count = told[0].2;
    assert_eq!(
        told,
        [
            (0, 0, count, Reason::Recovery),
            (0, 1, 1, Reason::EpochEnd),
            (1, 1, 0, Reason::EpochEnd),
            (2, 1, 1, Reason::Shutdown)
        ]
    );
    let clock = Box::new(host.clock.clone());
    assert!(matches!(
        Writer::open(&host.evidence(), Host::identity(), &host.keys, clock),
        Err(Error::Closed(_))
    ));
}

#[test]
fn a_spool_without_header_is_as_if_never_made() {
    let host = Host::new();
    let mut writer = host.writer();
    appended(&mut writer, &host.clock, 5);
    writer.seal(Reason::Rows).unwrap();
    drop(writer);
    std::fs::write(host.below("spool/0000000001.spool"), [0; 100]).unwrap();
    let done = recover(&host.evidence(), &host.keys).unwrap();
    assert_eq!((done.discarded, done.records), (100, 6));
    host.assert_sound();
}

#[test]
fn a_log_that_lost_its_next_epoch_is_finished_in_it() {
    let host = Host::new();
    let mut writer = host.writer();
    append(&mut writer, &host.clock);
    host.clock.pass(3600 * SECOND);
    writer.commit(&Counters::default()).unwrap();
    drop(writer);
    std::fs::remove_file(host.below("spool/0000000001.spool")).unwrap();
    recover(&host.evidence(), &host.keys).unwrap();
    assert_eq!(host.assert_sound(), 2);
}
