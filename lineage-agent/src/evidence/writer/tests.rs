use super::*;
use crate::evidence::keys::KeyError;
use crate::evidence::recover::recover;
use crate::evidence::testing::{Host, SECOND, START, append, appended, snapshot};
use crate::evidence::text::hex;
use crate::evidence::tree::{Records, root};
use std::ops::ControlFlow;

#[test]
fn what_is_written_reads_back() {
    let host = Host::new();
    let mut writer = host.writer();
    appended(&mut writer, &host.clock, 5000);
    writer.commit(&Counters::default()).unwrap();
    writer.seal(Reason::Rows).unwrap();
    appended(&mut writer, &host.clock, 10);
    let summary = writer.close(Reason::Shutdown).unwrap();
    assert_eq!((summary.segments, summary.records), (2, 5010));

    assert_eq!(host.assert_sound(), 5010);
    let manifests = host.manifests();
    let file = manifests[0].parquet.clone().unwrap();
    let bytes = std::fs::read(host.below(&file.path)).unwrap();
    assert_eq!(file.digest, *blake3::hash(&bytes).as_bytes());
    let blocks = std::fs::read(host.below("blocks/0000000000")).unwrap();
    let (blocks, _) = blocks.as_chunks::<32>();
    assert_eq!(root::<Records>(blocks.iter().copied()), manifests[0].root);
    assert_eq!((manifests[1].head.first, manifests[1].count), (5000, 10));
    assert_eq!(manifests[1].reason, Reason::Shutdown);
    assert_eq!(manifests[0].head.hostname, "build\\x207");

    assert_eq!(std::fs::read_dir(host.below("spool")).unwrap().count(), 0);
}

#[test]
fn all_records_can_be_visited_in_order_sealed_or_not() {
    let host = Host::new();
    let mut writer = host.writer();
    appended(&mut writer, &host.clock, 20);
    writer.seal(Reason::Rows).unwrap();
    appended(&mut writer, &host.clock, 20);
    writer.commit(&Counters::default()).unwrap();
    drop(writer);
    let evidence = crate::evidence::reader::Evidence::open(&host.evidence()).unwrap();
    let mut seen = Vec::new();
    evidence
        .records(|id, record| {
            assert_eq!(id, host.keys.host_id());
            seen.push(record.seq.unwrap());
            ControlFlow::<()>::Continue(())
        })
        .unwrap();
    assert_eq!(seen, (0..40).collect::<Vec<_>>());
}

#[test]
fn every_epoch_ends_once_and_empty_ones_are_told() {
    let host = Host::new();
    let mut writer = host.writer();
    appended(&mut writer, &host.clock, 3);
    host.clock.pass(3 * 3600 * SECOND);
    writer.commit(&Counters::default()).unwrap();
    append(&mut writer, &host.clock);
    writer.close(Reason::Shutdown).unwrap();
    assert_eq!(host.assert_sound(), 4);
    let told: Vec<_> = host
        .manifests()
        .iter()
        .map(|manifest| (manifest.head.epoch, manifest.count, manifest.reason))
        .collect();
    assert_eq!(
        told,
        [
            (0, 3, Reason::EpochEnd),
            (1, 0, Reason::EpochEnd),
            (2, 0, Reason::EpochEnd),
            (3, 1, Reason::Shutdown)
        ]
    );
    for pair in host.manifests().windows(2) {
        assert_eq!(pair[1].head.opened, pair[0].closed);
    }
}

#[test]
fn a_record_past_the_epoch_starts_the_next_one() {
    let host = Host::new();
    let mut writer = host.writer();
    append(&mut writer, &host.clock);
    host.clock.pass(3600 * SECOND);
    append(&mut writer, &host.clock);
    writer.close(Reason::Shutdown).unwrap();
    let epochs: Vec<_> = host.manifests().iter().map(|it| it.head.epoch).collect();
    assert_eq!(epochs, [0, 1]);
}

#[test]
fn a_clock_set_back_within_the_epoch_is_followed() {
    let host = Host::new();
    let mut writer = host.writer();
    host.clock.pass(1000 * SECOND);
    append(&mut writer, &host.clock);
    host.clock.step(-600 * SECOND);
    for _ in 0..5 {
        host.clock.pass(2 * SECOND);
        writer.commit(&Counters::default()).unwrap();
        append(&mut writer, &host.clock);
    }
    assert_eq!(writer.offset_ns(), host.clock.now().offset_ns());
    writer.close(Reason::Shutdown).unwrap();
    host.assert_sound();
    let reasons: Vec<_> = host.manifests().iter().map(|it| it.reason).collect();
    assert_eq!(reasons, [Reason::Clock, Reason::Shutdown]);
}

#[test]
fn a_clock_set_back_before_the_epoch_is_held_and_shown() {
    let host = Host::new();
    let mut writer = host.writer();
    append(&mut writer, &host.clock);
    host.clock.step(-7200 * SECOND);
    for _ in 0..5 {
        host.clock.pass(2 * SECOND);
        writer.commit(&Counters::default()).unwrap();
        append(&mut writer, &host.clock);
    }
    writer.close(Reason::Shutdown).unwrap();
    host.assert_sound();
    let manifests = host.manifests();
    assert_eq!(manifests.len(), 1);
    assert!(manifests[0].times.unwrap().0 >= START * SECOND);
    assert_eq!(
        manifests[0].head.offset - manifests[0].wall_offset,
        7200 * SECOND
    );
}

#[test]
fn a_clock_set_forward_ends_the_epochs_between() {
    let host = Host::new();
    let mut writer = host.writer();
    append(&mut writer, &host.clock);
    host.clock.step(2 * 3600 * SECOND);
    writer.commit(&Counters::default()).unwrap();
    append(&mut writer, &host.clock);
    writer.close(Reason::Shutdown).unwrap();
    host.assert_sound();
    let epochs: Vec<_> = host.manifests().iter().map(|it| it.head.epoch).collect();
    assert_eq!(epochs, [0, 1, 2]);
}

#[test]
fn an_enrolment_that_is_over_stops_the_recorder_and_loses_nothing() {
    let host = Host::new();
    let mut writer = host.writer();
    append(&mut writer, &host.clock);
    host.clock.pass(30 * 3600 * SECOND);
    assert!(matches!(
        writer.commit(&Counters::default()),
        Err(Error::Key(KeyError::Ended(24)))
    ));
    drop(writer);
    recover(&host.evidence(), &host.keys).unwrap();
    assert!(host.assert_sound() >= 1);
}

#[test]
fn records_out_of_order_are_refused_and_change_nothing() {
    let host = Host::new();
    let mut writer = host.writer();
    append(&mut writer, &host.clock);
    let time_ns = host.clock.now().boot_ns + writer.offset_ns();
    let good = Record {
        seq: Some(1),
        time: Some(time_ns.div_euclid(1000)),
        time_ns: Some(time_ns),
        kind: Some("file.open"),
        ..Record::default()
    };
    for bad in [
        Record {
            seq: Some(2),
            ..good
        },
        Record { seq: None, ..good },
        Record { kind: None, ..good },
        Record {
            time: Some(0),
            ..good
        },
        Record {
            cause: Some(1),
            ..good
        },
        Record {
            time_ns: Some(0),
            time: Some(0),
            ..good
        },
        Record {
            time_ns: Some(i64::MAX),
            time: Some(i64::MAX / 1000),
            ..good
        },
        Record {
            context: Some("x"),
            ..good
        },
        Record {
            lineage: Some("a b"),
            lineage_seq: Some(0),
            ..good
        },
        Record {
            lineage: Some("a"),
            ..good
        },
    ] {
        assert!(
            matches!(writer.append(&bad), Err(Error::Record(_))),
            "{bad:?}"
        );
    }
    writer.append(&good).unwrap();
    assert_eq!(writer.close(Reason::Shutdown).unwrap().records, 2);
}

#[test]
fn same_records_keys_and_clock_give_the_same_bytes() {
    let [one, other] = [(); 2].map(|()| {
        let host = Host::new();
        let mut writer = host.writer();
        for _ in 0..3 {
            appended(&mut writer, &host.clock, 2500);
            writer.artifact(b"a document").unwrap();
            writer.commit(&Counters::default()).unwrap();
            host.clock.pass(61 * SECOND);
            writer.commit(&Counters::default()).unwrap();
        }
        host.clock.pass(3600 * SECOND);
        append(&mut writer, &host.clock);
        writer.close(Reason::Shutdown).unwrap();
        host.assert_sound();
        snapshot(&host.evidence())
    });
    assert!(one.len() > 15);
    assert_eq!(one, other);
}

#[test]
fn a_stopped_log_goes_on_without_a_gap() {
    let host = Host::new();
    let mut writer = host.writer();
    append(&mut writer, &host.clock);
    writer.close(Reason::Stop).unwrap();
    let clock = Box::new(host.clock.clone());
    let mut writer = Writer::open(&host.evidence(), Host::identity(), &host.keys, clock).unwrap();
    append(&mut writer, &host.clock);
    writer.close(Reason::Shutdown).unwrap();
    assert_eq!(host.assert_sound(), 2);
}

#[test]
fn one_writer_at_a_time() {
    let host = Host::new();
    let writer = host.writer();
    let clock = Box::new(host.clock.clone());
    assert!(matches!(
        Writer::open(&host.evidence(), Host::identity(), &host.keys, clock),
        Err(Error::Busy(_))
    ));
    drop(writer);
    let clock = Box::new(host.clock.clone());
    assert!(matches!(
        Writer::create(&host.evidence(), Host::identity(), &host.keys, clock),
        Err(Error::Exists(_))
    ));
}

#[test]
fn whoever_comes_too_late_leaves_the_evidence_of_the_first_as_it_is() {
    let host = Host::new();
    let mut writer = host.writer();
    appended(&mut writer, &host.clock, 5);
    writer.commit(&Counters::default()).unwrap();
    let create = || {
        let clock = Box::new(host.clock.clone());
        Writer::create(&host.evidence(), Host::identity(), &host.keys, clock)
    };
    let before = snapshot(&host.evidence());
    assert!(matches!(create(), Err(Error::Busy(_))));
    assert_eq!(snapshot(&host.evidence()), before);
    writer.close(Reason::Shutdown).unwrap();
    let before = snapshot(&host.evidence());
    assert!(matches!(create(), Err(Error::Exists(_))));
    assert_eq!(snapshot(&host.evidence()), before);
    assert_eq!(host.assert_sound(), 5);
}

#[test]
fn a_log_that_cannot_begin_leaves_nothing() {
    let host = Host::new();
    std::fs::create_dir(host.evidence()).unwrap();
    host.clock.pass(25 * 3600 * SECOND);
    let clock = Box::new(host.clock.clone());
    let created = Writer::create(&host.evidence(), Host::identity(), &host.keys, clock);
    assert!(matches!(created, Err(Error::Key(KeyError::Ended(_)))));
    assert_eq!(std::fs::read_dir(host.evidence()).unwrap().count(), 0);
}

#[test]
fn a_log_of_another_host_is_not_gone_on_with() {
    let host = Host::new();
    let other = host.evidence().join(format!("host={}", "7".repeat(32)));
    std::fs::create_dir_all(other).unwrap();
    let clock = Box::new(host.clock.clone());
    let opened = Writer::open(&host.evidence(), Host::identity(), &host.keys, clock);
    assert!(matches!(opened, Err(Error::OtherHost { host, .. }) if host == "7".repeat(32)));
}

#[test]
fn more_contexts_than_a_manifest_holds_make_another_segment() {
    let host = Host::new();
    let mut writer = host.writer();
    for n in 0..300u64 {
        let context = hex(blake3::hash(&n.to_le_bytes()).as_bytes());
        let lineage = format!("lineage-{}", n / 2);
        let time_ns = host.clock.now().boot_ns + writer.offset_ns();
        writer
            .append(&Record {
                seq: Some(n),
                time: Some(time_ns.div_euclid(1000)),
                time_ns: Some(time_ns),
                kind: Some("file.open"),
                lineage: Some(&lineage),
                lineage_seq: Some(n % 2),
                context: Some(&context),
                ..Record::default()
            })
            .unwrap();
    }
    writer.close(Reason::Shutdown).unwrap();
    assert_eq!(host.assert_sound(), 300);
    let manifests = host.manifests();
    assert_eq!(manifests[0].reason, Reason::Limit);
    assert_eq!(manifests[0].contexts.len(), 256);
    assert_eq!(manifests[0].lineages.len(), 128);
}

#[test]
fn a_spool_that_changed_under_the_recorder_is_not_sealed() {
    let host = Host::new();
    let mut writer = host.writer();
    appended(&mut writer, &host.clock, 1000);
    writer.commit(&Counters::default()).unwrap();
    let spool = host.below("spool/0000000000.spool");
    let mut bytes = std::fs::read(&spool).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let file = std::fs::File::options().write(true).open(&spool).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes[middle..=middle], middle as u64)
        .unwrap();
    let error = writer.close(Reason::Shutdown).unwrap_err();
    assert!(matches!(error, Error::Spool { .. }), "{error}");
    assert!(spool.exists());
    assert_eq!(
        std::fs::read_dir(host.below("manifests")).unwrap().count(),
        0
    );
}

#[test]
fn a_failed_sync_stops_everything_and_the_evidence_says_so() {
    let host = Host::new();
    let mut writer = host.writer();
    appended(&mut writer, &host.clock, 10);
    // A pipe cannot be synced: the kernel refuses as it would for a failing disk.
    let (_reader, pipe) = std::io::pipe().unwrap();
    let pipe = std::fs::File::from(std::os::fd::OwnedFd::from(pipe));
    writer.threads.sync(Arc::new(pipe));
    let error = loop {
        match writer.commit(&Counters::default()) {
            Ok(()) => std::thread::yield_now(),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Io { .. }), "{error}");
    let again = writer.commit(&Counters::default());
    assert!(matches!(again, Err(Error::Stopped(_))));
    assert!(writer.close(Reason::Shutdown).is_err());
    recover(&host.evidence(), &host.keys).unwrap();
    assert_eq!(host.assert_sound(), 12);
    let mut losses = Vec::new();
    host.read()
        .records(|record| {
            losses.extend(record.detail.map(str::to_owned));
            ControlFlow::<()>::Continue(())
        })
        .unwrap();
    assert!(losses[0].contains("could not be written"), "{losses:?}");
    assert!(losses[1].contains("ended without closing"), "{losses:?}");
    let manifest = &host.manifests()[0];
    assert_eq!((manifest.reason, manifest.dropped), (Reason::Recovery, 1));
}

#[test]
fn a_directory_that_cannot_be_made_is_refused_with_its_name() {
    let host = Host::new();
    let clock = Box::new(host.clock.clone());
    let created = Writer::create(
        std::path::Path::new("/proc/evidence"),
        Host::identity(),
        &host.keys,
        clock,
    );
    let error = created.err().unwrap().to_string();
    assert!(error.starts_with("create /proc/evidence"), "{error}");
}
