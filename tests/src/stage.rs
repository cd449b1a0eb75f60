//! The stages from a frame to what a verifier says of it, each by itself and always with the same input: what the
//! micro-benchmarks time, and whose instructions are counted.

mod input;

use std::hint::black_box;

use anyhow::{Context as _, Result, bail};
use lineage_agent::authority::policy::compile as compile_policies;
use lineage_agent::authority::policy::source::{Schema, Source};
use lineage_agent::batch::Frames as _;
use lineage_agent::event::Event;
use lineage_agent::evidence::record;
use lineage_agent::evidence::segment::SegmentWriter;
use lineage_agent::evidence::tree::{BATCH, Hash, RecordTree, record_leaves};

use self::input::{Logs, Passed, encoded, fill, fold, records, sealed};
use crate::workload::{Workload, policy};

/// Rules of the policy that is compiled.
const RULES: usize = 500;

/// A stage that is ready to be run.
pub struct Stage {
    /// What one run goes through: events, records, or rules.
    pub units: u64,
    run: Box<dyn FnMut() -> Result<()>>,
}

/// Makes the input of a stage, of so many programs and for so many runs.
type Prepare = fn(u64, usize) -> Result<Stage>;

/// All stages, in the order of the data: name, what its cost is told by, and how it is prepared.
const STAGES: [(&str, &str, Prepare); 11] = [
    ("decode", "event", decode),
    ("correlate", "event", correlate),
    ("encode", "record", encode),
    ("leaves", "record", leaves),
    ("tree", "record", tree),
    ("append", "record", append),
    ("parquet", "record", parquet),
    ("seal", "record", seal),
    ("verify", "record", verify),
    ("replay", "record", replay),
    ("compile", "rule", compile),
];

/// The names of all stages, each with what its cost is told by.
pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    STAGES.into_iter().map(|(name, unit, _)| (name, unit))
}

impl Stage {
    /// The stage of this name.
    ///
    /// # Errors
    ///
    /// When there is none, or its input cannot be made.
    pub fn named(name: &str, programs: u64, runs: usize) -> Result<Self> {
        match STAGES.into_iter().find(|stage| stage.0 == name) {
            Some((_, _, prepare)) => prepare(programs, runs),
            None => bail!("no stage is named {name:?}"),
        }
    }

    /// Goes through the input once.
    ///
    /// # Errors
    ///
    /// The stage's, or that it was prepared for fewer runs.
    pub fn run(&mut self) -> Result<()> {
        (self.run)()
    }

    fn new(units: usize, run: impl FnMut() -> Result<()> + 'static) -> Self {
        Self {
            units: units as u64,
            run: Box::new(run),
        }
    }
}

/// Frames, checked and decoded in place.
fn decode(programs: u64, _runs: usize) -> Result<Stage> {
    let ring = Workload::of(programs)?.ring;
    Ok(Stage::new(ring.places().len(), move || {
        for place in ring.places() {
            black_box(Event::decode(ring.frame(place))?);
        }
        Ok(())
    }))
}

/// Frames, put into order, decoded, and folded into records that go nowhere.
fn correlate(programs: u64, _runs: usize) -> Result<Stage> {
    let workload = Workload::of(programs)?;
    Ok(Stage::new(workload.ring.places().len(), move || {
        fold(&workload, &mut Passed::default())
    }))
}

/// Records to their canonical bytes.
fn encode(programs: u64, _runs: usize) -> Result<Stage> {
    let records = records(&Workload::of(programs)?)?;
    let mut bytes = Vec::new();
    Ok(Stage::new(records.len(), move || {
        for record in &records {
            bytes.clear();
            record::encode_into(record, &mut bytes)?;
            black_box(&bytes);
        }
        Ok(())
    }))
}

/// Canonical bytes to leaf hashes, as many at a time as the writer takes.
fn leaves(programs: u64, _runs: usize) -> Result<Stage> {
    let encoded = encoded(&Workload::of(programs)?)?;
    Ok(Stage::new(encoded.len(), move || {
        for batch in encoded.chunks(BATCH) {
            let mut records: [&[u8]; BATCH] = [&[]; BATCH];
            for (place, record) in records.iter_mut().zip(batch) {
                *place = record.bytes();
            }
            let mut hashes = [[0; 32]; BATCH];
            record_leaves(&records[..batch.len()], &mut hashes[..batch.len()]);
            black_box(&hashes);
        }
        Ok(())
    }))
}

/// Leaf hashes to the root of a record tree.
fn tree(programs: u64, _runs: usize) -> Result<Stage> {
    let encoded = encoded(&Workload::of(programs)?)?;
    let hash = |bytes: &[u8]| *blake3::hash(bytes).as_bytes();
    let leaves: Vec<Hash> = encoded.iter().map(|one| hash(one.bytes())).collect();
    Ok(Stage::new(leaves.len(), move || {
        let mut tree = RecordTree::default();
        for batch in leaves.chunks(BATCH) {
            let mut used_up = [[0; 32]; BATCH];
            let used_up = &mut used_up[..batch.len()];
            used_up.copy_from_slice(batch);
            tree.push_all(used_up);
        }
        black_box(tree.root());
        Ok(())
    }))
}

/// Records to a spool with its commits: encoded, hashed and written.
fn append(programs: u64, runs: usize) -> Result<Stage> {
    let workload = Workload::of(programs)?;
    let records = records(&workload)?;
    let mut logs = Logs::begin(&workload, runs)?;
    // A log that goes away waits for what it writes, which is not to be a part of this.
    let mut written = Vec::new();
    Ok(Stage::new(records.len(), move || {
        let log = logs.next().context("it was prepared for fewer runs")?;
        written.push(fill(log, &records)?);
        Ok(())
    }))
}

/// Encoded records to a Parquet file in memory.
fn parquet(programs: u64, _runs: usize) -> Result<Stage> {
    let encoded = encoded(&Workload::of(programs)?)?;
    Ok(Stage::new(encoded.len(), move || {
        let mut writer = SegmentWriter::new(Vec::new())?;
        for record in &encoded {
            writer.push(record.bytes())?;
        }
        black_box(writer.finish("workload", 0, &[0; 32])?);
        Ok(())
    }))
}

/// A spool to a segment with its manifest and the checkpoint over it.
fn seal(programs: u64, runs: usize) -> Result<Stage> {
    let workload = Workload::of(programs)?;
    let records = records(&workload)?;
    let logs = Logs::begin(&workload, runs)?;
    let place = logs.place.clone();
    let filled = logs.map(|log| fill(log, &records));
    let mut filled = filled.collect::<Result<Vec<_>>>()?;
    Ok(Stage::new(records.len(), move || {
        let _keep = &place;
        let log = filled.pop().context("it was prepared for fewer runs")?;
        log.close().map(drop)
    }))
}

/// All of a log, by one thread.
fn verify(programs: u64, _runs: usize) -> Result<Stage> {
    verified(&Workload::of(programs)?)
}

/// The same of a log whose opens and execs a policy allowed: Cedar is asked again.
fn replay(programs: u64, _runs: usize) -> Result<Stage> {
    verified(&Workload::governed(programs)?)
}

fn verified(workload: &Workload) -> Result<Stage> {
    let records = records(workload)?;
    let (place, log) = sealed(workload, &records)?;
    Ok(Stage::new(records.len(), move || {
        let _keep = &place;
        log.verify()
    }))
}

/// A policy to tables for the kernel, once its text is read.
fn compile(_programs: u64, _runs: usize) -> Result<Stage> {
    let schema = Schema::new();
    let source = Source::parse("policy", policy(RULES).as_bytes(), &schema)?;
    let levels = [vec![source]];
    Ok(Stage::new(RULES, move || {
        black_box(compile_policies(&levels, &schema)?);
        Ok(())
    }))
}
