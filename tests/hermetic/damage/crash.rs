//! A recorder killed between any two steps of sealing leaves evidence that is verified as it is.

use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use lineage_agent::evidence::counters::Counters;
use lineage_agent::evidence::manifest::Reason;
use lineage_agent::evidence::seal::{Step, Steps};
use lineage_agent::evidence::writer::{Options, Writer};
use lineage_agent::verify::Verdict;
use tempfile::TempDir;

use super::sample::{EPOCH, Host, append, copy_tree, identity};
use super::verify;

/// Takes a copy of the evidence at every step.
struct Copies {
    evidence: PathBuf,
    taken: Mutex<Vec<(u64, Step, TempDir)>>,
}

impl Steps for Copies {
    fn reached(&self, segment: u64, step: Step) {
        // The thread that records goes on meanwhile and may give a file its name.
        let copy = loop {
            let copy = tempfile::tempdir().unwrap();
            match copy_tree(&self.evidence, copy.path()) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                done => break done.map(|()| copy).unwrap(),
            }
        };
        self.taken.lock().unwrap().push((segment, step, copy));
    }
}

#[test]
fn a_copy_taken_at_any_step_is_verified() {
    let host = Host::new(30);
    let copies = Arc::new(Copies {
        evidence: host.evidence(),
        taken: Mutex::default(),
    });
    let options = Options {
        steps: Arc::clone(&copies) as Arc<dyn Steps>,
        ..Options::default()
    };
    let clock = Box::new(host.clock.clone());
    let mut writer =
        Writer::create_with(&host.evidence(), identity(), &host.keys, clock, &options).unwrap();
    let context = super::sample::bare_context(&writer);
    for _ in 0..1100 {
        append(&mut writer, &host.clock, &context);
    }
    writer.seal(Reason::Rows).unwrap();
    append(&mut writer, &host.clock, &context);
    host.clock.pass(2 * EPOCH);
    writer.commit(&Counters::default()).unwrap();
    append(&mut writer, &host.clock, &context);
    writer.close(Reason::Shutdown).unwrap();
    let taken = copies.taken.lock().unwrap();
    assert!(taken.len() > 30, "{}", taken.len());
    for (segment, step, copy) in &*taken {
        let report = verify(copy.path(), &host.root());
        let good = report.verdict == Verdict::Verified;
        assert!(good, "{step:?} of segment {segment}:\n{}", report.text());
        add_to_spools(copy, &host);
        let report = verify(copy.path(), &host.root());
        let good = report.verdict == Verdict::Verified;
        assert!(good, "{step:?} of {segment}, torn:\n{}", report.text());
    }
}

/// Bytes that are no frame end a spool, also one that is complete.
fn add_to_spools(copy: &TempDir, host: &Host) {
    let spools = copy.path().join(host.keys.host_id().directory());
    for spool in std::fs::read_dir(spools.join("spool")).unwrap() {
        let path = spool.unwrap().path();
        if path.extension().is_some_and(|end| end == "spool") {
            let mut spool = std::fs::File::options().append(true).open(path).unwrap();
            spool.write_all(&[0xff; 7]).unwrap();
        }
    }
}
