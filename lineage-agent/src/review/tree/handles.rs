//! Which open descriptor of a process leads to what, to give the bytes of its close to that.

use std::collections::BTreeMap;

use super::super::filter::failed;
use super::usage::Handle;
use crate::evidence::kinds;
use crate::evidence::schema::Record;

/// Open descriptors remembered at one time.
const HANDLES_MAX: usize = 262_144;

/// The open descriptors of all processes.
#[derive(Debug, Default)]
pub(super) struct Handles {
    /// By process and number, because not every close names what it closes: what takes a number
    /// takes the place of what had it.
    open: BTreeMap<(usize, i64), Opened>,
}

#[derive(Debug)]
struct Opened {
    /// Of the record that its close names.
    seq: u64,
    handle: Handle,
}

impl Handles {
    /// Notes what a process opened, and with `None` that it is not kept.
    pub(super) fn opened(&mut self, record: &Record<'_>, process: usize, handle: Option<Handle>) {
        let (Some(seq), Some(fd)) = (record.seq, record.fd) else {
            return;
        };
        let place = (process, fd);
        let found = matches!(
            record.kind,
            Some(kinds::FILE_SNAPSHOT | kinds::NET_SNAPSHOT)
        );
        // What is found may be told after what was opened meanwhile, and be what a thread has for
        // itself: closes name what was known first.
        if failed(record) || found && self.open.contains_key(&place) {
            return;
        }
        self.open.remove(&place);
        if let Some(handle) = handle
            && self.open.len() < HANDLES_MAX
        {
            self.open.insert(place, Opened { seq, handle });
        }
    }

    /// What a process closed, if that is known.
    pub(super) fn closed(&mut self, record: &Record<'_>, process: usize) -> Option<Handle> {
        let place = (process, record.fd?);
        let opened = self.open.get(&place)?;
        if record.opened != Some(opened.seq) {
            return None;
        }
        self.open.remove(&place).map(|opened| opened.handle)
    }

    /// Forgets what a process had open when it ended: of what it was before an exec not every close
    /// names what it closes.
    pub(super) fn ended(&mut self, process: usize) {
        let all = (process, i64::MIN)..=(process, i64::MAX);
        let places: Vec<_> = self.open.range(all).map(|(place, _)| *place).collect();
        for place in places {
            self.open.remove(&place);
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record about descriptor 3.
    fn about(kind: &'static str, seq: u64) -> Record<'static> {
        Record {
            seq: Some(seq),
            kind: Some(kind),
            fd: Some(3),
            ..Record::default()
        }
    }

    fn closing(opened: u64) -> Record<'static> {
        Record {
            opened: Some(opened),
            ..about(kinds::NET_CLOSE, 99)
        }
    }

    #[test]
    fn a_number_leads_to_what_took_it_last() {
        let mut handles = Handles::default();
        for seq in 0..9 {
            let socket = Some(Handle::Socket(seq));
            handles.opened(&about(kinds::NET_CONNECT, seq as u64), 0, socket);
        }
        let other = Some(Handle::File(7));
        handles.opened(&about(kinds::FILE_OPEN, 9), 1, other);
        assert_eq!(handles.open.len(), 2);
        assert!(handles.closed(&closing(7), 0).is_none());
        let closed = handles.closed(&closing(8), 0);
        assert!(matches!(closed, Some(Handle::Socket(8))), "{closed:?}");
        assert!(handles.closed(&closing(8), 0).is_none());
        handles.opened(&about(kinds::FILE_OPEN, 10), 1, None);
        assert!(handles.open.is_empty());
    }

    #[test]
    fn what_was_opened_stays_when_it_is_found_or_another_open_fails() {
        let mut handles = Handles::default();
        let record = about(kinds::FILE_OPEN, 5);
        handles.opened(&record, 0, Some(Handle::File(0)));
        let found = about(kinds::FILE_SNAPSHOT, 6);
        handles.opened(&found, 0, Some(Handle::File(1)));
        let refused = Record {
            result: Some(-13),
            ..about(kinds::NET_BIND, 7)
        };
        handles.opened(&refused, 0, Some(Handle::Socket(0)));
        let closed = handles.closed(&closing(5), 0);
        assert!(matches!(closed, Some(Handle::File(0))), "{closed:?}");
    }

    #[test]
    fn nothing_is_left_of_a_process_that_ended() {
        let mut handles = Handles::default();
        for process in 0..3 {
            let record = about(kinds::FILE_INHERIT, 5);
            handles.opened(&record, process, Some(Handle::File(0)));
        }
        handles.ended(1);
        let left: Vec<_> = handles.open.keys().map(|(process, _)| *process).collect();
        assert_eq!(left, [0, 2]);
    }
}
