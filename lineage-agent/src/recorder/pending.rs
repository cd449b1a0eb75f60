//! Changes of what governs, on their way to the engine and until their time has come.

use std::{
    collections::VecDeque,
    sync::{Arc, mpsc},
};

use tokio::sync::oneshot;

use crate::lineage::mounts::Mounts;

use super::{RecordError, engine::Control};

/// One change of what governs.
#[derive(Debug)]
pub(super) struct Change {
    /// Boot time in nanoseconds from which on it governs: when all documents of it were there, or when
    /// the engine heard of it, if later events were recorded by then. So it is exactly the later records
    /// that name the new context.
    pub(super) time_ns: u64,
    /// What it is.
    pub(super) what: What,
    /// Is told when it is recorded.
    pub(super) recorded: oneshot::Sender<()>,
}

/// What changes.
#[derive(Debug)]
pub(super) enum What {
    /// These lineages have another context from then on.
    Contexts {
        /// What changed, as JSON.
        detail: String,
        contexts: Vec<NewContext>,
    },
    /// A lineage is made from another one.
    Lineage(Box<Delegated>),
}

/// A lineage that is made from another one.
#[derive(Debug)]
pub(super) struct Delegated {
    /// Its identity.
    pub(super) uid: String,
    /// Digest of its first context.
    pub(super) context: String,
    /// How it came about, as JSON.
    pub(super) detail: String,
    /// The names of the rules that govern it.
    pub(super) rules: Arc<[String]>,
    /// The process that it is made from: id, and start in nanoseconds of boot time.
    pub(super) from: (u32, u64),
}

/// Another context of a lineage.
#[derive(Debug)]
pub(super) struct NewContext {
    /// The lineage, by its number.
    pub(super) lineage: u32,
    /// Digest of the context.
    pub(super) context: String,
    /// The names of the rules of the next generation, if it is about that.
    pub(super) rules: Option<Arc<[String]>>,
}

/// Where changes of what governs the lineages are told to the engine.
#[derive(Debug)]
pub(super) struct Changes(mpsc::SyncSender<Control>);

impl Changes {
    /// To the engine at the other end.
    pub(super) fn to(engine: mpsc::SyncSender<Control>) -> Self {
        Self(engine)
    }

    /// Tells of a change, or why none can be told any more: the recording fails of that. False when
    /// nobody listens any more.
    pub(super) fn tell(&self, change: Result<Change, RecordError>) -> bool {
        self.0.send(Control::Change(change)).is_ok()
    }

    /// Tells what the host has mounted from this boot time on; `None` when that is not known.
    pub(super) fn tell_mounts(&self, time_ns: u64, mounts: Option<Arc<Mounts>>) {
        // An engine that has ended says so itself.
        let _ = self.0.send(Control::Mounts(time_ns, mounts));
    }
}

/// Changes in the order they were told, and up to when everything is recorded.
#[derive(Debug, Default)]
pub(super) struct Pending {
    changes: VecDeque<Change>,
    /// Boot time in nanoseconds.
    recorded: u64,
}

impl Pending {
    /// Takes note of a change. Told late, it governs what is recorded from here on: what happened
    /// before is recorded already.
    pub(super) fn add(&mut self, mut change: Change) {
        change.time_ns = self.not_before(change.time_ns);
        self.changes.push_back(change);
    }

    /// The next change that was made by this boot time.
    pub(super) fn due(&mut self, time_ns: u64) -> Option<Change> {
        self.changes
            .pop_front_if(|change| change.time_ns <= time_ns)
    }

    /// Everything up to this boot time is recorded.
    pub(super) fn recorded(&mut self, time_ns: u64) {
        self.recorded = self.not_before(time_ns);
    }

    /// The boot time, or the latest by which something may be recorded already.
    pub(super) fn not_before(&self, time_ns: u64) -> u64 {
        self.recorded.max(time_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(time_ns: u64) -> Change {
        Change {
            time_ns,
            what: What::Contexts {
                detail: String::new(),
                contexts: Vec::new(),
            },
            recorded: oneshot::channel().0,
        }
    }

    #[test]
    fn a_change_waits_for_its_time() {
        let mut pending = Pending::default();
        pending.add(change(20));
        pending.add(change(30));
        assert!(pending.due(19).is_none());
        assert_eq!(pending.due(25).map(|change| change.time_ns), Some(20));
        assert!(pending.due(25).is_none());
        assert!(pending.due(u64::MAX).is_some());
    }

    #[test]
    fn none_is_earlier_than_what_is_recorded() {
        let mut pending = Pending::default();
        pending.recorded(100);
        pending.recorded(90);
        pending.add(change(20));
        assert_eq!(pending.due(100).map(|change| change.time_ns), Some(100));
        assert_eq!(pending.not_before(101), 101);
    }
}
