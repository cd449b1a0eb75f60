//! Losses: what was not recorded is reported, and loss records that do not own up to it.

use lineage_agent::evidence::counters::{Counters, CpuCount};
use lineage_agent::evidence::manifest::Reason;
use lineage_agent::evidence::schema::Record;
use lineage_agent::verify::{Code, Options, Requirement, Trust, Verdict, verify as verify_with};
use lineage_common::frame::Kind;

use super::sample::{Host, append};
use super::{assert_says, codes, verify};

/// Counters of CPU 1, which lost some of what it produced.
fn counters(lost: u64, dropped: u64) -> Counters {
    let mut cpu = CpuCount {
        cpu: 1,
        frames: 100 + lost,
        busy: 0,
        descriptors_full: 0,
        tasks_full: 0,
        compat: 0,
        produced: [0; Kind::COUNT],
        lost: [0; Kind::COUNT],
    };
    cpu.produced[6] = 100;
    cpu.lost[6] = lost;
    Counters {
        dropped,
        cpus: vec![cpu],
    }
}

/// A log whose session ended with these counters and holds loss records of these counts.
fn log(number: u8, counters: &Counters, recorded: &[u64]) -> Host {
    let host = Host::new(number);
    let mut writer = host.writer();
    let context = super::sample::bare_context(&writer);
    append(&mut writer, &host.clock, &context);
    for count in recorded {
        let seq = writer.next_seq();
        let time_ns = 1_795_500_008_000_000_000;
        let record = Record {
            seq: Some(seq),
            time: Some(time_ns / 1000),
            time_ns: Some(time_ns),
            kind: Some("evidence.loss"),
            origin: Some("agent"),
            cpu: Some(1),
            lost_first: Some(7),
            lost_count: Some(*count),
            ..Record::default()
        };
        writer.append(&record).unwrap();
    }
    writer.commit(counters).unwrap();
    writer.close(Reason::Shutdown).unwrap();
    host
}

#[test]
fn losses_that_are_owned_up_to() {
    let host = log(20, &counters(12, 0), &[5, 7]);
    let report = verify(&host.evidence(), &host.root());
    assert_says(
        &report,
        Verdict::VerifiedWithLoss,
        Code::KernelLoss,
        "12 lost",
    );
    assert_eq!(codes(&report), [Code::KernelLoss]);
    assert_eq!((report.exit_code, report.hosts[0].loss.lost), (0, 12));
    let options = Options {
        require: vec![Requirement::NoLoss],
        ..Options::default()
    };
    let trust = Trust::parse(&[host.root()]).unwrap();
    let report = verify_with(&host.evidence(), &trust, &options, &|_, _| ()).unwrap();
    assert_eq!(report.exit_code, 1);
}

#[test]
fn losses_that_do_not_add_up() {
    for (number, counted, recorded) in [(21, 12, &[5][..]), (22, 12, &[]), (23, 12, &[5, 8])] {
        let host = log(number, &counters(counted, 0), recorded);
        let report = verify(&host.evidence(), &host.root());
        assert_says(
            &report,
            Verdict::VerifiedWithLoss,
            Code::LossUnaccounted,
            "12 lost",
        );
    }
}

#[test]
fn what_the_recorder_dropped_is_a_loss() {
    let host = log(24, &counters(0, 3), &[]);
    let report = verify(&host.evidence(), &host.root());
    assert_says(
        &report,
        Verdict::VerifiedWithLoss,
        Code::RecorderLoss,
        "3 dropped",
    );
    assert_eq!(report.hosts[0].loss.dropped, 3);
}
