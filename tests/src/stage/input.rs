//! What stages begin with: records in all forms, and logs.

use std::hint::black_box;
use std::rc::Rc;

use anyhow::Result;
use lineage_agent::batch::{Frames as _, Watermark};
use lineage_agent::event::Event;
use lineage_agent::evidence::record::{Owned, RecordError};
use lineage_agent::evidence::schema::Record;
use lineage_agent::lineage::fold::Sink;
use lineage_agent::lineage::order::{Order, Ordered};
use tempfile::TempDir;

use crate::workload::{Recording, Sealed, Workload};

/// Frames that are taken out of the rings at a time.
const DRAINED: usize = 2048;

/// Folds all frames of a workload, as the recorder does it: in order, some at a time.
pub(super) fn fold<S>(workload: &Workload, sink: &mut S) -> Result<()>
where
    S: Sink<Error: std::error::Error + Send + Sync + 'static>,
{
    let ring = &workload.ring;
    let mut fold = workload.fold(sink)?;
    let mut order = Order::default();
    let mut rest = ring.places();
    while !rest.is_empty() {
        let (drained, later) = rest.split_at(DRAINED.min(rest.len()));
        for place in drained {
            order.arrived.push(ring.frame(place), *place);
        }
        // What has just arrived waits for the next time, as whatever comes with it may come from another CPU.
        let newest = order.arrived.entries().last().map(|entry| entry.time);
        let time = newest.filter(|_| !later.is_empty());
        let watermark = Watermark {
            time: time.unwrap_or(u64::MAX),
            numbers: Vec::new(),
        };
        order.release(&watermark, ring, |ordered| -> Result<()> {
            match ordered {
                Ordered::Frame(frame) => fold.event(&Event::decode(frame)?, sink)?,
                Ordered::Loss(loss) => fold.loss(&loss, sink)?,
            }
            Ok(())
        })?;
        rest = later;
    }
    Ok(workload.end(&mut fold, sink)?)
}

/// Records go nowhere.
#[derive(Default)]
pub(super) struct Passed(u64);

impl Sink for Passed {
    type Error = RecordError;

    fn next_seq(&self) -> u64 {
        self.0
    }

    fn append(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        self.0 += 1;
        black_box(record);
        Ok(())
    }
}

/// Records are kept.
#[derive(Default)]
struct Kept(Vec<Owned>);

impl Sink for Kept {
    type Error = RecordError;

    fn next_seq(&self) -> u64 {
        self.0.len() as u64
    }

    fn append(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        self.0.push(Owned::of(record)?);
        Ok(())
    }
}

/// The records of a workload, encoded.
pub(super) fn encoded(workload: &Workload) -> Result<Vec<Owned>> {
    let mut kept = Kept::default();
    fold(workload, &mut kept)?;
    Ok(kept.0)
}

/// The records of a workload. Their text lives as long as the program, which only measures.
pub(super) fn records(workload: &Workload) -> Result<Vec<Record<'static>>> {
    let encoded: &'static [Owned] = Vec::leak(encoded(workload)?);
    Ok(encoded.iter().map(Owned::get).collect())
}

/// Logs without records.
pub(super) struct Logs {
    /// Where they are, until nobody needs it any more.
    pub(super) place: Rc<TempDir>,
    begun: std::vec::IntoIter<Recording>,
}

impl Logs {
    pub(super) fn begin(workload: &Workload, count: usize) -> Result<Self> {
        let place = Rc::new(tempfile::tempdir()?);
        let log =
            |number: usize| Recording::begin(&place.path().join(number.to_string()), workload);
        let begun = (0..count).map(log).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            place,
            begun: begun.into_iter(),
        })
    }
}

impl Iterator for Logs {
    type Item = Recording;

    fn next(&mut self) -> Option<Recording> {
        self.begun.next()
    }
}

/// Appends all records, and commits.
pub(super) fn fill(mut log: Recording, records: &[Record<'_>]) -> Result<Recording> {
    for record in records {
        log.append(record)?;
    }
    log.commit()?;
    Ok(log)
}

/// A complete log of the records, and the directory it is in.
pub(super) fn sealed(workload: &Workload, records: &[Record<'_>]) -> Result<(TempDir, Sealed)> {
    let place = tempfile::tempdir()?;
    let log = Recording::begin(place.path(), workload)?;
    let log = fill(log, records)?.close()?;
    Ok((place, log))
}
