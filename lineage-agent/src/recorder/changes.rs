//! Changes of the environment while something is recorded: each makes a new context.
//!
//! A thread of its own waits for the kernel's notices and looks regularly at what announces itself
//! in no way. It stores the documents, so that the engine need not wait for the disk, and tells the
//! engine from when on which contexts govern.

use std::{
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    clock::{Clock as _, SystemClock},
    evidence::writer::Artifacts,
    host::notices::End,
};

use super::{RecordError, contexts::Contexts, pending::Changes, surroundings::Surroundings};

/// How often it is looked at what does not announce itself.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Shortest time between two readings of the table of mounts.
const READ_GAP: Duration = Duration::from_millis(10);

/// Shortest time between two changes. The first of many is told at once, the others together: a
/// container that starts makes tens of mounts.
const GAP: Duration = Duration::from_millis(250);

/// Longest that time becomes while changes go on and on.
const GAP_MAX: Duration = Duration::from_secs(4);

/// The thread, from outside. Dropping it ends the thread, after one last look.
#[derive(Debug)]
pub(super) struct Watch {
    end: End,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(super) fn spawn(
        surroundings: Surroundings,
        contexts: Contexts,
        artifacts: Artifacts,
        changes: Changes,
    ) -> Result<Self, RecordError> {
        let system = |what| move |source| RecordError::System { what, source };
        let end = surroundings.notices().end();
        let end = end.map_err(system("watch the environment"))?;
        let mut watcher = Watcher {
            surroundings,
            contexts,
            artifacts,
            changes,
        };
        let thread = thread::Builder::new()
            .name("environment".to_owned())
            .spawn(move || {
                if let Err(error) = watcher.watch() {
                    watcher.changes.tell(Err(error));
                }
            })
            .map_err(system("start a thread"))?;
        Ok(Self {
            end,
            thread: Some(thread),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end.signal();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Watcher {
    surroundings: Surroundings,
    contexts: Contexts,
    artifacts: Artifacts,
    changes: Changes,
}

impl Watcher {
    fn watch(&mut self) -> Result<(), RecordError> {
        let mut pace = Pace::new(Instant::now());
        let mut read = Instant::now();
        // When the earliest of what was noticed and not told yet was noticed.
        let mut first = None;
        loop {
            let mut timeout = pace.rest(Instant::now(), first.is_some());
            if self.surroundings.stale() {
                timeout = timeout.min((read + READ_GAP).saturating_duration_since(Instant::now()));
            }
            let noticed = self.surroundings.notices().wait(timeout);
            let noticed = noticed.map_err(|source| RecordError::System {
                what: "watch the environment",
                source,
            })?;
            let now = Instant::now();
            self.surroundings.note(noticed);
            if noticed.mounts || noticed.hostname || noticed.clock {
                first.get_or_insert(now);
            }
            if self.surroundings.stale() && (now >= read + READ_GAP || noticed.end) {
                self.tell_mounts();
                read = Instant::now();
            }
            let waited = pace.rest(now, first.is_some()).is_zero();
            if !(waited || noticed.end) {
                continue;
            }
            let changed = self.look(first.take().unwrap_or(now))?;
            pace.looked(now, changed);
            if noticed.end {
                return Ok(());
            }
        }
    }

    /// Reads what is mounted, and tells it at once: the paths of what follows depend on it.
    fn tell_mounts(&mut self) {
        let time_ns = boot_time_ns();
        self.surroundings.read_mounts();
        self.changes
            .tell_mounts(time_ns, self.surroundings.mounts());
    }

    /// Reads the environment, and tells when it is another one; whether it was.
    fn look(&mut self, noticed: Instant) -> Result<bool, RecordError> {
        let Some(mut difference) = self.surroundings.renew(&self.artifacts)? else {
            return Ok(false);
        };
        let reason = format!("environment: {}", difference.names.join(", "));
        // How long before the record it was known that something is different.
        difference.detail["delay_ms"] = u64::try_from(noticed.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .into();
        self.contexts.surround(
            self.surroundings.digest(),
            &reason,
            difference.detail.to_string(),
        )?;
        Ok(true)
    }
}

fn boot_time_ns() -> u64 {
    u64::try_from(SystemClock.now().boot_ns).unwrap_or(0)
}

/// When to look again: at once after a notice, but not more often than [`GAP`] allows.
#[derive(Debug)]
struct Pace {
    gap: Duration,
    /// When it was last looked.
    last: Instant,
    /// When a notice may be followed again.
    free: Instant,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self {
            gap: GAP,
            last: now,
            free: now,
        }
    }

    /// How long to wait for further notices before it is looked.
    fn rest(&self, now: Instant, noticed: bool) -> Duration {
        let look = if noticed {
            self.free
        } else {
            self.free.max(self.last + LOOK_EVERY)
        };
        look.saturating_duration_since(now)
    }

    fn looked(&mut self, now: Instant, changed: bool) {
        if changed {
            let calm = now.saturating_duration_since(self.free) > self.gap;
            self.gap = if calm {
                GAP
            } else {
                (self.gap * 2).min(GAP_MAX)
            };
            self.free = now + self.gap;
        }
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_a_storm_in_growing_steps() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert_eq!(pace.rest(start, false), LOOK_EVERY);
        let mut now = start + Duration::from_secs(10);
        assert_eq!(pace.rest(now, true), Duration::ZERO);
        let mut gaps = Vec::new();
        for _ in 0..7 {
            pace.looked(now, true);
            let rest = pace.rest(now, true);
            gaps.push(rest.as_millis());
            now += rest;
        }
        assert_eq!(gaps, [250, 500, 1000, 2000, 4000, 4000, 4000]);
        now += Duration::from_secs(10);
        pace.looked(now, true);
        assert_eq!(pace.rest(now, true), GAP);
    }

    #[test]
    fn looking_in_vain_changes_nothing_but_when_it_is_looked_again() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.looked(start + LOOK_EVERY, false);
        assert_eq!(pace.rest(start + LOOK_EVERY, true), Duration::ZERO);
        assert_eq!(pace.rest(start + LOOK_EVERY, false), LOOK_EVERY);
    }
}
