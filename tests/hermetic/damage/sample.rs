//! Small evidence made with the real writer, and copies of it to damage.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};

use lineage_agent::authority::policy::source::SCHEMA;
use lineage_agent::clock::{Clock, Now};
use lineage_agent::evidence::counters::Counters;
use lineage_agent::evidence::keys::{Keys, Plan, Secrets};
use lineage_agent::evidence::manifest::Reason;
use lineage_agent::evidence::schema::Record;
use lineage_agent::evidence::text::hex;
use lineage_agent::evidence::writer::{Identity, Options, Writer};
use tempfile::TempDir;

/// First second of epoch 0.
const START: i64 = 1_795_500_000;
const SECOND: i64 = 1_000_000_000;
/// Nanoseconds of an epoch.
pub(crate) const EPOCH: i64 = 3600 * SECOND;

/// A clock the test moves.
#[derive(Clone)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub(crate) fn pass(&self, nanoseconds: i64) {
        self.0.fetch_add(nanoseconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        let boot_ns = self.0.load(Ordering::SeqCst);
        Now {
            boot_ns,
            wall_ns: boot_ns + (START - 1000) * SECOND,
        }
    }
}

/// A host with keys and one log.
pub(crate) struct Host {
    temp: TempDir,
    pub(crate) keys: Arc<Keys>,
    pub(crate) clock: TestClock,
}

impl Host {
    /// Enrols a host whose secrets follow from a number.
    pub(crate) fn new(number: u8) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let plan = Plan {
            start: START.unsigned_abs(),
            seconds: 3600,
            count: 24,
        };
        let secrets = Secrets {
            host: [number; 32].into(),
            seed: [number + 100; 32].into(),
        };
        let keys = Keys::create(&temp.path().join("keys"), plan, &secrets).unwrap();
        Self {
            temp,
            keys: Arc::new(keys),
            clock: TestClock(Arc::new(AtomicI64::new(1007 * SECOND))),
        }
    }

    pub(crate) fn writer(&self) -> Writer {
        let options = Options {
            log_id: Some([5; 16]),
            ..Options::default()
        };
        let clock = Box::new(self.clock.clone());
        Writer::create_with(&self.evidence(), identity(), &self.keys, clock, &options).unwrap()
    }

    pub(crate) fn evidence(&self) -> PathBuf {
        self.temp.path().join("evidence")
    }

    /// The epoch root as a pin.
    pub(crate) fn root(&self) -> String {
        format!("root:{}", hex(&self.keys.enrolment().root))
    }

    /// The host key as a pin.
    pub(crate) fn key(&self) -> String {
        self.keys.verifier().to_string()
    }

    pub(crate) fn copy(&self) -> Copy {
        let temp = tempfile::tempdir().unwrap();
        copy_tree(&self.evidence(), temp.path()).unwrap();
        let dir = temp.path().join(self.keys.host_id().directory());
        Copy {
            temp,
            dir,
            trust: self.root(),
        }
    }
}

pub(crate) fn identity() -> Identity {
    Identity {
        hostname: b"build 7".to_vec(),
        boot: "0b1a7b5e-6c6c-4a2e-9d2b-0d6c2c3f9f55".to_owned(),
        agent: [3; 32],
        probes: [4; 32],
    }
}

/// A lineage's name.
pub(crate) const LINEAGE: &str = "5f0c9a3e-0d0e-4f57-8f1e-3c7a41f0b7aa";

/// A context of which nothing is known but whose it is, stored.
pub(crate) fn bare_context(writer: &Writer) -> String {
    let context = format!(r#"{{"lineage":"{LINEAGE}"}}"#);
    writer.artifact(context.as_bytes()).unwrap()
}

/// A context with what it names, stored.
fn context(writer: &Writer) -> String {
    let store = |text: &str| writer.artifact(text.as_bytes()).unwrap();
    let (mounts, recognisers) = (store("[]"), store("version = 1\n"));
    let environment = format!(r#"{{"mounts":"{mounts}","recognisers":["{recognisers}"]}}"#);
    let environment = store(&environment);
    let (schema, policy) = (
        store(SCHEMA),
        store("permit (principal, action, resource);"),
    );
    let policy = store(&format!(
        r#"{{"generation":1,"levels":[[{{"blake3":"{policy}","name":"p.cedar"}}]],"schema":"{schema}"}}"#
    ));
    store(&format!(
        r#"{{"enforcement":"audit","environment":"{environment}","lineage":"{LINEAGE}","policy":"{policy}"}}"#
    ))
}

/// Appends one record of the lineage; the first of a log starts it.
pub(crate) fn append(writer: &mut Writer, clock: &TestClock, context: &str) {
    let cause = writer.next_seq().checked_sub(1);
    append_caused(writer, clock, context, cause);
}

/// Appends a record with this cause.
pub(crate) fn append_caused(
    writer: &mut Writer,
    clock: &TestClock,
    context: &str,
    cause: Option<u64>,
) {
    clock.pass(1_000_000);
    let seq = writer.next_seq();
    let time_ns = clock.now().boot_ns + writer.offset_ns();
    let path = format!("/data/{}/\\xff\u{e9}", seq % 50);
    let record = Record {
        seq: Some(seq),
        time: Some(time_ns.div_euclid(1000)),
        time_ns: Some(time_ns),
        kind: Some(if seq == 0 {
            "lineage.start"
        } else {
            "file.open"
        }),
        origin: Some("kernel"),
        lineage: Some(LINEAGE),
        lineage_seq: Some(seq),
        cause,
        context: Some(context),
        pid: Some(4242),
        path: (!seq.is_multiple_of(3)).then_some(&path),
        result: Some(-2),
        bytes_read: seq.is_multiple_of(5).then_some(u64::MAX - seq),
        ..Record::default()
    };
    writer.append(&record).unwrap();
}

/// Records of the segments that have any: 0, 1 and 3. The first has two blocks.
pub(crate) const RECORDS: [u64; 3] = [1100, 40, 10];

/// A complete log: two segments of epoch 0, the second ending it, an empty epoch 1, and epoch 2 with
/// one segment that ends with the shutdown.
pub(crate) static SEALED: LazyLock<Host> = LazyLock::new(|| {
    let host = Host::new(1);
    let mut writer = host.writer();
    let context = context(&writer);
    let fill = |writer: &mut Writer, records: u64| {
        (0..records).for_each(|_| append(writer, &host.clock, &context));
        writer.commit(&Counters::default()).unwrap();
    };
    fill(&mut writer, RECORDS[0]);
    writer.seal(Reason::Rows).unwrap();
    fill(&mut writer, RECORDS[1]);
    host.clock.pass(2 * EPOCH);
    writer.commit(&Counters::default()).unwrap();
    fill(&mut writer, RECORDS[2]);
    let summary = writer.close(Reason::Shutdown).unwrap();
    assert_eq!(summary.segments, 4);
    host
});

/// As [`SEALED`], but each record has half its number as cause, so that a chain has few of them.
pub(crate) static BRANCHED: LazyLock<Host> = LazyLock::new(|| {
    let host = Host::new(4);
    let mut writer = host.writer();
    let context = context(&writer);
    let fill = |writer: &mut Writer, records: u64| {
        for _ in 0..records {
            let seq = writer.next_seq();
            append_caused(writer, &host.clock, &context, (seq > 0).then_some(seq / 2));
        }
        writer.commit(&Counters::default()).unwrap();
    };
    fill(&mut writer, RECORDS[0]);
    writer.seal(Reason::Rows).unwrap();
    fill(&mut writer, RECORDS[1]);
    host.clock.pass(2 * EPOCH);
    writer.commit(&Counters::default()).unwrap();
    fill(&mut writer, RECORDS[2]);
    writer.close(Reason::Shutdown).unwrap();
    host
});

/// A complete log of a few records: quick to verify many times.
pub(crate) static SMALL: LazyLock<Host> = LazyLock::new(|| {
    let host = Host::new(3);
    let mut writer = host.writer();
    let context = bare_context(&writer);
    (0..3).for_each(|_| append(&mut writer, &host.clock, &context));
    writer.close(Reason::Shutdown).unwrap();
    host
});

/// A log whose recorder was killed: one segment sealed, then records with two commits, and after
/// them more that no commit covers.
pub(crate) static OPEN: LazyLock<Host> = LazyLock::new(|| {
    let host = Host::new(2);
    let mut writer = host.writer();
    let context = bare_context(&writer);
    for (records, seal) in [(30, true), (20, false), (10, false)] {
        (0..records).for_each(|_| append(&mut writer, &host.clock, &context));
        writer.commit(&Counters::default()).unwrap();
        if seal {
            writer.seal(Reason::Rows).unwrap();
        }
    }
    (0..5).for_each(|_| append(&mut writer, &host.clock, &context));
    drop(writer);
    host
});

/// A copy of evidence, to be damaged.
pub(crate) struct Copy {
    pub(crate) temp: TempDir,
    pub(crate) dir: PathBuf,
    pub(crate) trust: String,
}

impl Copy {
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.dir.join(below)
    }

    /// Path of a segment's Parquet file.
    pub(crate) fn segment(&self, segment: u64) -> PathBuf {
        let name = format!("{segment:010}.parquet");
        let dates = std::fs::read_dir(self.path("events")).unwrap();
        let mut paths = dates.map(|date| date.unwrap().path().join(&name));
        paths.find(|path| path.exists()).unwrap()
    }

    pub(crate) fn edit(&self, below: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let path = self.path(below);
        let mut bytes = std::fs::read(&path).unwrap();
        edit(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
    }

    /// Every file, relative to the host's directory, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        list(&self.dir, &self.dir, &mut files);
        files.sort();
        files
    }
}

fn list(root: &Path, folder: &Path, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(root, &path, files);
        } else {
            files.push(
                path.strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned(),
            );
        }
    }
}

/// Copies a directory and what is in it.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
