//! Records what the processes of an attach have.

use crate::{event::Event, probe::Found};

use super::{RecordError, engine::Recording, registration::Registration};

/// Most descriptors and mapped files recorded that processes had when recording reached them: they are
/// recorded before anything else is, and what happens meanwhile waits in the rings.
const FOUND_MAX: u64 = 1 << 20;

impl Recording {
    /// Records what the processes have that were there.
    pub(super) fn found(
        &mut self,
        found: Found,
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
                    self.fold.event(&event, &mut self.sink)?;
                }
            }
            Ok::<(), RecordError>(())
        })?;
        let unrecorded = count.saturating_sub(FOUND_MAX);
        Ok(self.fold.found_all(unrecorded, time_ns, &mut self.sink)?)
    }
}
