//! Records what the processes of an attach have.

use lineage_common::frame::File;
use rustix::fs::FileType;

use crate::{
    event::{Body, Event, Found as FoundBody},
    host::procfs::{Holder, Pipe, Pipes},
    lineage::fold::OtherEnd,
    names::OpenFlags,
    probe::Found,
};

use super::{RecordError, engine::Recording, registration::Registration};

/// Most descriptors and mapped files recorded that processes had when recording reached them: they are
/// recorded before anything else is, and what happens meanwhile waits in the rings.
const FOUND_MAX: u64 = 1 << 20;

/// File system of the pipes that have no name (`PIPEFS_MAGIC`, `include/uapi/linux/magic.h`).
const PIPEFS: u64 = 0x5049_5045;

impl Recording {
    /// Records what the processes have that were there.
    pub(super) fn found(
        &mut self,
        found: Found,
        mut pipes: Pipes,
        lineages: &[Registration],
    ) -> Result<(), RecordError> {
        let (mut count, mut time_ns) = (0, 0);
        found.each(|frame| {
            let Ok(event) = Event::decode(frame) else {
                self.unrecorded += 1;
                return Ok(());
            };
            let lineage = lineages.get(event.header.lineage as usize);
            if lineage.is_some_and(|lineage| lineage.attached) {
                count += 1;
                time_ns = event.header.time;
                if count <= FOUND_MAX {
                    self.tell_other_end(&event, &mut pipes);
                    self.fold.event(&event, &mut self.sink)?;
                }
            }
            Ok::<(), RecordError>(())
        })?;
        let unrecorded = count.saturating_sub(FOUND_MAX);
        // It has a record of its own, and is counted with what else became none.
        self.unrecorded += unrecorded;
        self.missing.dropped += unrecorded;
        Ok(self.fold.found_all(unrecorded, time_ns, &mut self.sink)?)
    }

    /// Tells the fold who is at the other end of a pipe that comes next: the kernel side knows only the
    /// processes that are recorded.
    fn tell_other_end(&mut self, event: &Event<'_>, pipes: &mut Pipes) {
        let Body::Found(FoundBody::File(file, _)) = event.body else {
            return;
        };
        let own = event.header.pid;
        let Some(pipe) = pipe(own, file.file) else {
            return;
        };
        let (holders, all) = pipes.holders(pipe);
        let flags = OpenFlags::of_host(file.file.flags);
        let recorded = |holder: &Holder| {
            let start = self.fold.start_of(holder.pid)?;
            holder.start.contains(start).then_some(start)
        };
        let others = at_other_end(holders, own, flags);
        let named = others.clone().take(OtherEnd::NAMED_MAX);
        let processes = named.map(|holder| (holder.pid, recorded(holder))).collect();
        let total = others.count();
        self.fold.set_other_end(OtherEnd {
            processes,
            total,
            all,
        });
    }
}

/// Which pipe a file is, if it is one.
fn pipe(pid: u32, file: &File) -> Option<Pipe> {
    if FileType::from_raw_mode(file.mode) != FileType::Fifo {
        return None;
    }
    Some(match file.fs_magic {
        PIPEFS => Pipe::Anonymous(file.ino),
        _ => Pipe::Named {
            pid,
            fd: file.fd,
            ino: file.ino,
        },
    })
}

/// Those that can read what the process writes, or write what it reads; the process itself only when
/// it is alone.
fn at_other_end<'a>(
    holders: impl Iterator<Item = &'a Holder> + Clone,
    own: u32,
    flags: OpenFlags,
) -> impl Iterator<Item = &'a Holder> + Clone {
    let (reads, writes) = (flags.reads(), flags.writes());
    let all = holders.filter(move |holder| reads && holder.writes || writes && holder.reads);
    let alone = !all.clone().any(|holder| holder.pid != own);
    all.filter(move |holder| alone || holder.pid != own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::procfs::StartTime;

    #[test]
    fn the_other_end_is_who_does_the_opposite() {
        let holder = |pid, reads, writes| Holder {
            pid,
            start: StartTime { ticks: 1 },
            reads,
            writes,
        };
        let holders = [
            holder(5, true, false),
            holder(7, true, true),
            holder(9, false, true),
        ];
        let of = |own, flags| -> Vec<u32> {
            let found = at_other_end(holders.iter(), own, OpenFlags(flags));
            found.map(|holder| holder.pid).collect()
        };
        let [read, write, both] = [0, 1, 2];
        assert_eq!(of(5, read), [7, 9]);
        assert_eq!(of(7, read), [9]);
        assert_eq!(of(9, write), [5, 7]);
        assert_eq!(of(7, both), [5, 9]);
        let alone = [holder(7, true, true)];
        let found = at_other_end(alone.iter(), 7, OpenFlags(read));
        assert_eq!(found.count(), 1, "it holds both ends, and nobody else any");
        let found = at_other_end(holders[..1].iter(), 5, OpenFlags(read));
        assert_eq!(found.count(), 0);
    }
}
