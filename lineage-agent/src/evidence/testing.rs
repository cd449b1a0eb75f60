//! A host for tests: keys, a clock that moves when told, and a check of everything written.

mod sound;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use zeroize::Zeroizing;

use super::keys::{Keys, Plan, Secrets};
use super::manifest::Manifest;
use super::reader::{Evidence, Host as HostEvidence};
use super::schema::Record;
use super::writer::{Identity, Options, Writer};
use crate::clock::{Clock, Now};

/// First second of the enrolment.
pub(super) const START: i64 = 1_795_500_000;
pub(super) const SECOND: i64 = 1_000_000_000;

/// A clock a test moves.
#[derive(Clone)]
pub(super) struct TestClock(Arc<[AtomicI64; 2]>);

impl TestClock {
    fn new() -> Self {
        let wall = START * SECOND + 7 * SECOND;
        Self(Arc::new([
            AtomicI64::new(1000 * SECOND),
            AtomicI64::new(wall),
        ]))
    }

    pub(super) fn pass(&self, nanoseconds: i64) {
        for clock in &*self.0 {
            clock.fetch_add(nanoseconds, Ordering::SeqCst);
        }
    }

    pub(super) fn step(&self, nanoseconds: i64) {
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

/// A host with keys in one directory and evidence in another.
pub(super) struct Host {
    pub(super) path: PathBuf,
    pub(super) keys: Arc<Keys>,
    pub(super) clock: TestClock,
    _temp: Option<tempfile::TempDir>,
}

impl Host {
    pub(super) fn new() -> Self {
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
        Keys::create(&temp.path().join("keys"), plan, &secrets).unwrap();
        let mut host = Self::at(temp.path());
        host._temp = Some(temp);
        host
    }

    /// The host in a directory made by another.
    pub(super) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            keys: Arc::new(Keys::open(&path.join("keys")).unwrap()),
            clock: TestClock::new(),
            _temp: None,
        }
    }

    /// A host with the same keys and evidence in another place.
    pub(super) fn copy(&self) -> Self {
        let temp = tempfile::tempdir().unwrap();
        copy_tree(&self.path, temp.path());
        let mut host = Self::at(temp.path());
        host._temp = Some(temp);
        host
    }

    pub(super) fn identity() -> Identity {
        Identity {
            hostname: b"build 7".to_vec(),
            boot: "0b1a7b5e-6c6c-4a2e-9d2b-0d6c2c3f9f55".to_owned(),
            agent: [3; 32],
            probes: [4; 32],
        }
    }

    pub(super) fn options() -> Options {
        Options {
            log_id: Some([5; 16]),
            ..Options::default()
        }
    }

    pub(super) fn writer(&self) -> Writer {
        self.writer_with(&Self::options())
    }

    pub(super) fn writer_with(&self, options: &Options) -> Writer {
        let clock = Box::new(self.clock.clone());
        Writer::create_with(
            &self.evidence(),
            Self::identity(),
            &self.keys,
            clock,
            options,
        )
        .unwrap()
    }

    pub(super) fn evidence(&self) -> PathBuf {
        self.path.join("evidence")
    }

    pub(super) fn below(&self, name: &str) -> PathBuf {
        let host = self.keys.host_id().directory();
        self.evidence().join(host).join(name)
    }

    pub(super) fn read(&self) -> HostEvidence {
        let evidence = Evidence::open(&self.evidence()).unwrap();
        let [host] = <[HostEvidence; 1]>::try_from(evidence.into_hosts()).unwrap();
        host
    }

    pub(super) fn manifests(&self) -> Vec<Manifest> {
        let host = self.read();
        host.manifests()
            .unwrap()
            .into_iter()
            .map(|segment| host.manifest(segment).unwrap().unwrap())
            .collect()
    }
}

/// Appends the next record, at the time of the clock.
pub(super) fn append(writer: &mut Writer, clock: &TestClock) {
    let seq = writer.next_seq();
    let time_ns = clock.now().boot_ns + writer.offset_ns();
    let path = format!("/data/{seq}");
    writer
        .append(&Record {
            seq: Some(seq),
            time: Some(time_ns.div_euclid(1000)),
            time_ns: Some(time_ns),
            kind: Some("file.open"),
            cause: seq.checked_sub(1),
            path: Some(&path),
            fd: Some(-1),
            bytes_read: Some(u64::MAX),
            ..Record::default()
        })
        .unwrap();
}

/// Appends some records, a microsecond apart.
pub(super) fn appended(writer: &mut Writer, clock: &TestClock, count: usize) {
    for _ in 0..count {
        clock.pass(1000);
        append(writer, clock);
    }
}

/// Every file below a directory with its bytes.
pub(super) fn snapshot(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    walk(path, &mut |file| {
        let name = file.strip_prefix(path).unwrap().to_owned();
        files.insert(name, std::fs::read(file).unwrap());
    });
    files
}

fn copy_tree(from: &Path, to: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    walk(from, &mut |file| {
        let target = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(file, target).unwrap();
    });
    for private in ["keys", "keys/logs"] {
        let _ = std::fs::create_dir_all(to.join(private));
        let mode = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(to.join(private), mode).unwrap();
    }
}

fn walk(path: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, visit);
        } else {
            visit(&path);
        }
    }
}
