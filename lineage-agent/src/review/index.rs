//! All flows of a host, kept so that the next question is answered without reading every record.
//!
//! As long as memory has room for them, flows are gathered anew for each question. From some millions on they are
//! written to a directory, sorted by either end, where each question reads the few blocks it needs. What is there is
//! no evidence: it can be removed at any time, and is made again when records came after it. Whoever can write to the
//! directory decides what `why` says, so it belongs to whoever asks and nobody else can write to it.

mod blocks;
mod sorter;
#[cfg(test)]
mod tests;
mod varint;

use std::fs::DirBuilder;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use self::blocks::{Covers, FlowFile};
use self::sorter::Sorter;
use super::flow::{Flow, Gather, Node};
use super::walk::{Flows, Order, Sorted};
use crate::evidence::error::{Error, Result};
use crate::evidence::files::Dir;
use crate::evidence::reader::Host;

/// The files, for each order.
const NAMES: [(Order, &str); 2] = [(Order::To, "flows.to"), (Order::From, "flows.from")];

/// Flows that are held in memory by default: twice that takes some 200 MB.
pub const MEMORY_FLOWS: usize = 1 << 21;

/// Bits of a directory that let others write to it.
const OTHERS_WRITE: u32 = 0o022;
/// The bit that lets everybody change only what is their own there.
const STICKY: u32 = 0o1000;

/// Flows of a host, and what is known to be missing of its records.
pub struct HostFlows {
    flows: Box<dyn Flows>,
    /// What of the evidence is missing.
    pub missing: Option<Error>,
}

/// Until when records matter.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// Up to the one with this `seq`: what came later is no cause of it.
    Seq(u64),
    /// To the end.
    End,
}

/// Where flows are kept, and whom to tell what is done.
pub struct Keeping<'a> {
    /// The directory, which is made when it is needed.
    pub place: &'a Path,
    /// Most flows that are held in memory, twice; with more they are kept.
    pub memory: usize,
    /// Told of records that were read, now and then, and of how many there are, once flows are being written.
    pub progress: &'a dyn Fn(u64, Option<u64>),
}

impl HostFlows {
    /// The flows of a host: from the directory if it holds them, otherwise from all records.
    ///
    /// # Errors
    ///
    /// [`Error`] when the records cannot be read or the flows cannot be written.
    pub fn of(host: &Host, until: Until, keeping: &Keeping<'_>) -> Result<Self> {
        let now = covered(host)?;
        if let Some(index) = Index::kept(host, keeping.place, until, now.as_ref())? {
            return Ok(Self {
                flows: Box::new(index),
                missing: None,
            });
        }
        let mut making = Making::new(host, keeping, now.map(|now| now.records));
        let missing = match making.read() {
            Err(missing @ Error::Incomplete { .. }) => Some(missing),
            read => read.map(|()| None)?,
        };
        // What was made without all records must not be found by the next question.
        let covers = now.filter(|_| missing.is_none()).unwrap_or_default();
        let flows = making.finish(&covers)?;
        Ok(Self { flows, missing })
    }

    /// The flows.
    #[must_use]
    pub fn flows(&self) -> &dyn Flows {
        &*self.flows
    }
}

/// All records that are sealed now; none when no log tells. Others can still be lost, and their numbers be given again.
pub(super) fn covered(host: &Host) -> Result<Option<Covers>> {
    // Whoever reads the records says what is wrong with it.
    let Some((segments, root)) = host.log_head().ok().flatten() else {
        return Ok(None);
    };
    let last = segments.checked_sub(1).map(|last| host.manifest(last));
    let Some(last) = last.transpose()?.flatten() else {
        return Ok(None);
    };
    Ok(Some(Covers {
        segments,
        root,
        records: last.head.first.saturating_add(last.count),
    }))
}

/// Flows in files.
struct Index {
    path: PathBuf,
    /// By where they lead, and by where they come from.
    files: [FlowFile; 2],
}

impl Index {
    /// What is kept of a host, if it holds all that matters.
    fn kept(host: &Host, place: &Path, until: Until, now: Option<&Covers>) -> Result<Option<Self>> {
        let Some(now) = now.filter(|_| place.is_dir()) else {
            return Ok(None);
        };
        let place = Dir::open(place)?;
        let Some(dir) = place.child(&host.id().directory())? else {
            return Ok(None);
        };
        refuse_shared(&place, STICKY)?;
        refuse_shared(&dir, 0)?;
        let Some(index) = Self::open(&dir)? else {
            return Ok(None);
        };
        let covers = *index.files[0].covers();
        let enough = match until {
            Until::End => {
                let last = host.last_seq()?.map_or(0, |last| last.saturating_add(1));
                covers == *now && last == now.records
            }
            Until::Seq(seq) => seq < covers.records && is_earlier(host, &covers, now)?,
        };
        // What is gone since is to be told.
        let enough = enough && host.manifests()?.len() as u64 >= covers.segments;
        Ok(Some(index).filter(|_| enough))
    }

    /// What a directory holds, unless that is nothing, or nothing whole.
    fn open(dir: &Dir) -> Result<Option<Self>> {
        let mut files = Vec::new();
        for (order, name) in NAMES {
            match sorter::open(dir, name, order) {
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::InvalidData => {}
                opened => files.extend(opened?),
            }
        }
        let files = <[FlowFile; 2]>::try_from(files).ok();
        // Another one may be making them anew just now.
        let files = files.filter(|[to, from]| to.covers() == from.covers());
        Ok(files.map(|files| Self {
            path: dir.path().to_owned(),
            files,
        }))
    }

    fn each_between(
        &self,
        file: usize,
        first: (Node, u64),
        last: (Node, u64),
        visit: &mut dyn FnMut(&Flow) -> ControlFlow<()>,
    ) -> Result<()> {
        let read = self.files[file].each_between(first, last, visit);
        read.map_err(Error::io("read", self.path.join(NAMES[file].1)))
    }
}

/// Whether the log was once what was covered, and has only grown since.
fn is_earlier(host: &Host, covers: &Covers, now: &Covers) -> Result<bool> {
    if covers.segments == now.segments {
        return Ok(covers.root == now.root);
    }
    Ok(host.log_root_of(covers.segments)? == Some(covers.root))
}

impl Flows for Index {
    fn each_into(
        &self,
        node: Node,
        time: u64,
        visit: &mut dyn FnMut(&Flow) -> ControlFlow<()>,
    ) -> Result<()> {
        self.each_between(0, (node, 0), (node, time), visit)
    }

    fn each_out_of(
        &self,
        node: Node,
        time: u64,
        visit: &mut dyn FnMut(&Flow) -> ControlFlow<()>,
    ) -> Result<()> {
        self.each_between(1, (node, time), (node, u64::MAX), visit)
    }

    fn each(&self, visit: &mut dyn FnMut(&Flow) -> ControlFlow<()>) -> Result<()> {
        let [to, _] = &self.files;
        let mut at = 0;
        let error = || Error::io("read", self.path.join(NAMES[0].1));
        while let Some(flows) = to.block(at).map_err(error())? {
            if flows.iter().try_for_each(&mut *visit).is_break() {
                break;
            }
            at += 1;
        }
        Ok(())
    }
}

/// Flows on their way from records to where they are found.
struct Making<'a> {
    host: &'a Host,
    keeping: &'a Keeping<'a>,
    /// Records there are.
    total: Option<u64>,
    sorters: [Sorter; 2],
    /// Where they are written, once memory has no room for them.
    dir: Option<Dir>,
}

/// Records between two times that progress is told of.
const TOLD_EVERY: u64 = 1 << 16;

impl<'a> Making<'a> {
    fn new(host: &'a Host, keeping: &'a Keeping<'a>, total: Option<u64>) -> Self {
        Self {
            host,
            keeping,
            total,
            sorters: NAMES.map(|(order, _)| Sorter::new(order, keeping.memory)),
            dir: None,
        }
    }

    /// Reads all records. With [`Error::Incomplete`], all that are there.
    fn read(&mut self) -> Result<()> {
        let (mut gather, mut records) = (Gather::default(), 0);
        let host = self.host;
        let read = host.records(|record| {
            gather.record(record);
            records += 1;
            if records % TOLD_EVERY == 0 && self.dir.is_some() {
                (self.keeping.progress)(records, self.total);
            }
            match self.take(gather.take()) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            }
        });
        self.take(gather.finish().into_iter())?;
        match read? {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn take(&mut self, flows: impl Iterator<Item = Flow>) -> Result<()> {
        for flow in flows {
            for sorter in &mut self.sorters {
                if sorter.push(flow) {
                    let dir = match &self.dir {
                        Some(dir) => dir,
                        None => self.dir.insert(made(self.host, self.keeping.place)?),
                    };
                    sorter.spill(dir)?;
                }
            }
        }
        Ok(())
    }

    fn finish(self, covers: &Covers) -> Result<Box<dyn Flows>> {
        let Some(dir) = self.dir else {
            let [to, from] = self.sorters.map(Sorter::in_memory);
            return Ok(Box::new(Sorted::of(to, from)));
        };
        for (sorter, (_, name)) in self.sorters.into_iter().zip(NAMES) {
            sorter.finish(&dir, name, covers)?;
        }
        let index = Index::open(&dir)?;
        let gone = || Error::io("read", dir.path())(io::ErrorKind::NotFound.into());
        Ok(Box::new(index.ok_or_else(gone)?))
    }
}

/// The directory of a host below a place for what is derived from its evidence; both are made if they are not there.
///
/// # Errors
///
/// [`Error::Io`]
pub fn directory(place: &Path, host: &Host) -> Result<Dir> {
    let all = DirBuilder::new().recursive(true).mode(0o700).create(place);
    all.map_err(Error::io("create", place))?;
    let place = Dir::open(place)?;
    refuse_shared(&place, STICKY)?;
    let dir = place.make(&host.id().directory(), 0o700)?;
    refuse_shared(&dir, 0)?;
    Ok(dir)
}

/// Refuses a directory in which others can put what they like in the place of what is there, unless it has one of these
/// bits.
fn refuse_shared(dir: &Dir, unless: u32) -> Result<()> {
    let (owner, mode) = dir.owner_and_mode()?;
    let own = owner == 0 || owner == rustix::process::geteuid().as_raw();
    if own && (mode & OTHERS_WRITE == 0 || mode & unless != 0) {
        return Ok(());
    }
    let why = "others can write to it, and so decide what is found there";
    let why = io::Error::new(io::ErrorKind::PermissionDenied, why);
    Err(Error::io("use", dir.path())(why))
}

/// Makes the directory of a host, and takes it for this process alone.
fn made(host: &Host, place: &Path) -> Result<Dir> {
    let dir = directory(place, host)?;
    dir.lock_waiting()?;
    sorter::clean(&dir)?;
    Ok(dir)
}
