use super::*;
use crate::evidence::keys::{Plan, Secrets};
use crate::evidence::manifest::Manifest;
use crate::evidence::note::Note;
use crate::evidence::segment::SegmentFile;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use zeroize::Zeroizing;

/// First second of the enrolment, and the boot time that belongs to it.
const START: i64 = 1_795_500_000;
const SECOND: i64 = 1_000_000_000;

/// A clock a test moves.
#[derive(Clone)]
struct TestClock(Arc<[AtomicI64; 2]>);

impl TestClock {
    fn new() -> Self {
        let wall = START * SECOND + 7 * SECOND;
        Self(Arc::new([
            AtomicI64::new(1000 * SECOND),
            AtomicI64::new(wall),
        ]))
    }

    fn pass(&self, nanoseconds: i64) {
        self.0
            .iter()
            .for_each(|clock| _ = clock.fetch_add(nanoseconds, Ordering::SeqCst));
    }

    fn step(&self, nanoseconds: i64) {
        self.0[1].fetch_add(nanoseconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        Now {
            boot_ns: self.0[0].load(Ordering::SeqCst),
            wall_ns: self.0[1].load(Ordering::SeqCst),
        }
    }
}

struct Host {
    temp: tempfile::TempDir,
    keys: Arc<Keys>,
    clock: TestClock,
}

impl Host {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let plan = Plan {
            start: START.unsigned_abs(),
            seconds: 3600,
            count: 24,
        };
        let secrets = Secrets {
            host: Zeroizing::new([1; 32]),
            seed: Zeroizing::new([2; 32]),
        };
        let keys = Keys::create(&temp.path().join("keys"), plan, &secrets).unwrap();
        Self {
            temp,
            keys: Arc::new(keys),
            clock: TestClock::new(),
        }
    }

    fn writer(&self) -> Writer {
        let identity = Identity {
            hostname: b"build 7".to_vec(),
            boot: "0b1a7b5e-6c6c-4a2e-9d2b-0d6c2c3f9f55".to_owned(),
            agent: [3; 32],
            probes: [4; 32],
        };
        let options = Options {
            log_id: Some([5; 16]),
            ..Options::default()
        };
        let clock = Box::new(self.clock.clone());
        Writer::create_with(&self.evidence(), identity, &self.keys, clock, options).unwrap()
    }

    fn evidence(&self) -> PathBuf {
        self.temp.path().join("evidence")
    }

    fn path(&self, below: &str) -> PathBuf {
        let host = self.keys.host_id().directory();
        self.evidence().join(host).join(below)
    }

    fn manifests(&self) -> Vec<Manifest> {
        let mut paths: Vec<_> = std::fs::read_dir(self.path("manifests"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        paths
            .iter()
            .map(|path| Manifest::parse(&std::fs::read(path).unwrap()).unwrap())
            .collect()
    }
}

fn append(writer: &mut Writer, clock: &TestClock) {
    let seq = writer.next_seq();
    let time_ns = clock.now().boot_ns + writer.offset_ns();
    let path = format!("/data/{seq}");
    writer
        .append(&Record {
            seq: Some(seq),
            time: Some(time_ns.div_euclid(1000)),
            time_ns: Some(time_ns),
            kind: Some("file.open"),
            lineage: Some("5f0c9a3e-0d0e-4f57-8f1e-3c7a41f0b7aa"),
            lineage_seq: Some(seq),
            cause: seq.checked_sub(1),
            path: Some(&path),
            fd: Some(-1),
            bytes_read: Some(u64::MAX),
            ..Record::default()
        })
        .unwrap();
}

fn appended(writer: &mut Writer, clock: &TestClock, count: usize) {
    for _ in 0..count {
        clock.pass(1000);
        append(writer, clock);
    }
}

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

    let manifests = host.manifests();
    let mut tree = crate::evidence::tree::RecordTree::default();
    let file = manifests[0].parquet.clone().unwrap();
    let bytes = std::fs::read(host.path(&file.path)).unwrap();
    assert_eq!(file.digest, *blake3::hash(&bytes).as_bytes());
    let segment = SegmentFile::open(std::fs::File::open(host.path(&file.path)).unwrap()).unwrap();
    assert_eq!(segment.shape().rows, 5000);
    segment
        .records(|record| {
            let mut bytes = Vec::new();
            crate::evidence::record::encode_into(record, &mut bytes).unwrap();
            use crate::evidence::tree::Hashing as _;
            tree.push(crate::evidence::tree::Records::leaf(&bytes));
            ControlFlow::<()>::Continue(())
        })
        .unwrap();
    assert_eq!(tree.root(), manifests[0].root);
    assert_eq!(
        std::fs::read(host.path("blocks/0000000000")).unwrap(),
        tree.into_blocks().concat()
    );
    assert_eq!((manifests[1].head.first, manifests[1].count), (5000, 10));
    assert_eq!(manifests[1].reason, Reason::Shutdown);
    assert_eq!(manifests[0].head.hostname, "build\\x207");

    let note = std::fs::read(host.path("log/checkpoint")).unwrap();
    let note = Note::parse(&note).unwrap();
    let mut key = host.keys.verifier();
    key.name = summary.origin.to_string();
    assert_eq!(note.is_signed_by(&key), Ok(true));
    key.name = summary.origin.epoch_key_name(0);
    key.key = host.keys.epoch_file(0).unwrap().statement.key;
    assert_eq!(note.is_signed_by(&key), Ok(true));
    assert_eq!(std::fs::read_dir(host.path("spool")).unwrap().count(), 0);
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
fn a_clock_set_back_is_held_and_shown() {
    let host = Host::new();
    let mut writer = host.writer();
    append(&mut writer, &host.clock);
    host.clock.step(-3600 * SECOND);
    writer.commit(&Counters::default()).unwrap();
    append(&mut writer, &host.clock);
    writer.close(Reason::Shutdown).unwrap();
    let manifests = host.manifests();
    let (min, _) = manifests.last().unwrap().times.unwrap();
    assert!(min >= START * SECOND);
    let last = manifests.last().unwrap();
    assert_ne!(last.head.offset, last.wall_offset);
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
