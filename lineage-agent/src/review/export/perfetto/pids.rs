//! Numbers of processes in a trace, where each number is one process for good.
//!
//! A process has its own id there, unless another one of the trace had it before: ids of processes are used again,
//! and several hosts have the same.

/// Ids that Linux gives to processes are below this (`PID_MAX_LIMIT`).
const REAL_END: i64 = 1 << 22;

const WORD_BITS: i64 = 64;

/// The numbers that are in use, and were.
#[derive(Debug)]
pub(super) struct Pids {
    used: Vec<u64>,
    next: i64,
}

impl Pids {
    /// None yet; 0 is the recorder's.
    pub(super) fn new() -> Self {
        Self {
            used: Vec::new(),
            next: REAL_END,
        }
    }

    /// A number for a process with this id.
    pub(super) fn take(&mut self, pid: Option<i64>) -> i64 {
        match pid {
            Some(pid @ 1..REAL_END) if self.first(pid) => pid,
            _ => {
                self.next += 1;
                self.next
            }
        }
    }

    fn first(&mut self, pid: i64) -> bool {
        let (word, bit) = (pid / WORD_BITS, pid % WORD_BITS);
        let word = usize::try_from(word).unwrap_or_default();
        if word >= self.used.len() {
            self.used.resize(word + 1, 0);
        }
        let before = self.used[word];
        self.used[word] |= 1 << bit;
        before != self.used[word]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_given_twice() {
        let mut pids = Pids::new();
        assert_eq!(pids.take(Some(4711)), 4711);
        assert_eq!(pids.take(Some(64)), 64);
        let others = [
            Some(4711),
            Some(64),
            None,
            Some(-1),
            Some(i64::MAX),
            Some(0),
        ];
        let others = others.map(|pid| pids.take(pid));
        for (index, other) in others.iter().enumerate() {
            assert!(*other > REAL_END && !others[..index].contains(other));
        }
    }
}
