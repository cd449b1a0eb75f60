//! Evidence of a workload, written as the recorder writes it, by a clock that follows the records.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::Result;
use lineage_agent::clock::{Clock, Now};
use lineage_agent::evidence::counters::Counters;
use lineage_agent::evidence::error::Error;
use lineage_agent::evidence::keys::{Keys, Plan, Secrets};
use lineage_agent::evidence::manifest::Reason;
use lineage_agent::evidence::schema::Record;
use lineage_agent::evidence::writer::{Identity, Options, Writer};
use lineage_agent::lineage::fold::Sink;
use lineage_agent::verify::{self, Trust, Verdict};

use super::{BEGIN_NS, OFFSET_NS, Workload};

/// Records between two commits: a tenth of a second of a busy host.
const COMMIT_EVERY: u64 = 10_000;

/// A log that is being written.
pub struct Recording {
    writer: Writer,
    clock: Told,
    evidence: PathBuf,
    root: String,
}

impl Recording {
    /// Begins a log for a workload in a directory, which gets the keys, too. Its number and the keys are fixed, so that
    /// every byte is the same each time.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from being written.
    pub fn begin(directory: &Path, workload: &Workload) -> Result<Self> {
        let clock = Told(Arc::new(AtomicI64::new(BEGIN_NS.cast_signed() - 10_000)));
        let seconds = clock.now().wall_ns / 1_000_000_000;
        let plan = Plan {
            start: seconds.unsigned_abs() - 3600,
            seconds: 86_400,
            count: 2,
        };
        let secrets = Secrets {
            host: [7; 32].into(),
            seed: [8; 32].into(),
        };
        let keys = Arc::new(Keys::create(&directory.join("keys"), plan, &secrets)?);
        let identity = Identity {
            hostname: b"workload".to_vec(),
            boot: "0b1a7b5e-6c6c-4a2e-9d2b-0d6c2c3f9f55".to_owned(),
            agent: [1; 32],
            probes: [2; 32],
        };
        let options = Options {
            log_id: Some([9; 16]),
            ..Options::default()
        };
        let evidence = directory.join("evidence");
        let writer = Writer::create_with(
            &evidence,
            identity,
            &keys,
            Box::new(clock.clone()),
            &options,
        )?;
        for document in &workload.documents {
            writer.artifact(document)?;
        }
        let root = keys.enrolment().root;
        let root: String = root.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            writer,
            clock,
            evidence,
            root: format!("root:{root}"),
        })
    }

    /// Signs what there is.
    ///
    /// # Errors
    ///
    /// The writer's.
    pub fn commit(&mut self) -> Result<()> {
        Ok(self.writer.commit(&Counters::default())?)
    }

    /// Seals and ends the log.
    ///
    /// # Errors
    ///
    /// The writer's.
    pub fn close(self) -> Result<Sealed> {
        self.writer.close(Reason::Shutdown)?;
        Ok(Sealed {
            evidence: self.evidence,
            trust: Trust::parse(&[self.root])?,
        })
    }
}

impl Sink for Recording {
    type Error = Error;

    fn next_seq(&self) -> u64 {
        self.writer.next_seq()
    }

    fn append(&mut self, record: &Record<'_>) -> Result<(), Error> {
        let time_ns = record.time_ns.unwrap_or(OFFSET_NS) - OFFSET_NS;
        self.clock.0.store(time_ns, Ordering::Relaxed);
        self.writer.append(record)?;
        if self.writer.next_seq().is_multiple_of(COMMIT_EVERY) {
            self.writer.commit(&Counters::default())?;
        }
        Ok(())
    }
}

/// A log that is complete.
pub struct Sealed {
    evidence: PathBuf,
    trust: Trust,
}

impl Sealed {
    /// Verifies it with one thread.
    ///
    /// # Errors
    ///
    /// When it is not good, with what a person would read.
    pub fn verify(&self) -> Result<()> {
        let options = verify::Options {
            threads: std::num::NonZeroUsize::MIN,
            ..verify::Options::default()
        };
        let report = verify::verify(&self.evidence, &self.trust, &options, &|_, _| ())?;
        anyhow::ensure!(report.verdict == Verdict::Verified, "{}", report.text());
        Ok(())
    }
}

/// A clock that is told the time: of boot, in nanoseconds.
#[derive(Clone)]
struct Told(Arc<AtomicI64>);

impl Clock for Told {
    fn now(&self) -> Now {
        let boot_ns = self.0.load(Ordering::Relaxed);
        Now {
            boot_ns,
            wall_ns: boot_ns + OFFSET_NS,
        }
    }
}
