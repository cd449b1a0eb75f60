//! What the probes and the recorder counted, as lines of a manifest or a commit.
//!
//! Losses are evidence: whatever was produced and not delivered shows here, signed.

use std::fmt::Write as _;

use lineage_common::frame::{CpuCounters, Kind};

use super::text::{Lines, TextError, decimal};

/// Names of the kinds of frames, by their number.
const KINDS: [&str; Kind::COUNT] = [
    "kind-0",
    "process.fork",
    "thread.start",
    "process.exec",
    "process.exit",
    "thread.exit",
    "file.open",
    "file.inherit",
    "file.close",
    "net.connect",
    "net.accept",
    "net.bind",
    "net.inherit",
    "net.close",
    "call",
    "kind-15",
    "kind-16",
    "kind-17",
    "kind-18",
    "kind-19",
    "kind-20",
    "kind-21",
    "kind-22",
    "kind-23",
    "kind-24",
    "kind-25",
    "kind-26",
    "kind-27",
    "tally",
    "kind-29",
    "kind-30",
    "kind-31",
];

/// Longest `cpu` lines a manifest holds itself, in bytes; longer ones become an artifact.
pub const INLINE_BYTES_MAX: usize = 16_384;

/// Everything counted since the session began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events the recorder itself had to drop.
    pub dropped: u64,
    /// CPUs with a counter that is not 0, ascending.
    pub cpus: Vec<CpuCount>,
}

/// Counters of one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuCount {
    /// The CPU.
    pub cpu: u32,
    /// Frames numbered.
    pub frames: u64,
    /// Probe runs that could not even count a frame.
    pub busy: u64,
    /// Descriptors and counted calls whose totals could not be kept.
    pub descriptors_full: u64,
    /// Processes that could not be tracked.
    pub tasks_full: u64,
    /// System calls of 32-bit programs, which are not decoded.
    pub compat: u64,
    /// Frames put into a ring, by kind.
    pub produced: [u64; Kind::COUNT],
    /// Frames the rings had no room for, by kind.
    pub lost: [u64; Kind::COUNT],
}

impl Counters {
    /// The counters of all CPUs as the probes keep them, indexed by CPU.
    #[must_use]
    pub fn new(cpus: &[CpuCounters], dropped: u64) -> Self {
        let counted = |(cpu, counters): (usize, &CpuCounters)| {
            let count = CpuCount {
                cpu: u32::try_from(cpu).expect("CPU numbers are 32-bit"),
                frames: counters.number,
                busy: counters.busy,
                descriptors_full: counters.descriptors_full + counters.tallies_full,
                tasks_full: counters.tasks_full,
                compat: counters.compat,
                produced: counters.produced,
                lost: counters.lost,
            };
            (!count.is_zero()).then_some(count)
        };
        Self {
            dropped,
            cpus: cpus.iter().enumerate().filter_map(counted).collect(),
        }
    }

    /// The `cpu` lines.
    #[must_use]
    pub fn lines(&self) -> String {
        let mut out = String::new();
        for count in &self.cpus {
            count.write_line(&mut out);
        }
        out
    }

    /// Reads all `cpu` lines that follow.
    ///
    /// # Errors
    ///
    /// [`TextError`] when one is malformed or out of order.
    pub fn read_cpus(lines: &mut Lines<'_>) -> Result<Vec<CpuCount>, TextError> {
        let mut cpus: Vec<CpuCount> = Vec::new();
        while let Some(value) = lines.optional("cpu")? {
            let count =
                CpuCount::parse(value).ok_or_else(|| lines.error("not the counters of a CPU"))?;
            if cpus.last().is_some_and(|last| count.cpu <= last.cpu) {
                return Err(lines.error("CPUs not in ascending order"));
            }
            cpus.push(count);
        }
        Ok(cpus)
    }

    /// Whether no counter is lower here than in `earlier`.
    #[must_use]
    pub fn continues(&self, earlier: &Self) -> bool {
        self.dropped >= earlier.dropped
            && earlier.cpus.iter().all(|before| {
                let now = self.cpus.iter().find(|now| now.cpu == before.cpu);
                now.is_some_and(|now| {
                    now.values()
                        .zip(before.values())
                        .all(|(now, before)| now >= before)
                })
            })
    }
}

impl CpuCount {
    /// Frames the rings had no room for, of all kinds.
    #[must_use]
    pub fn lost_total(&self) -> u64 {
        self.lost
            .iter()
            .fold(0, |sum, lost| sum.saturating_add(*lost))
    }

    /// Whether anything happened on this CPU that no record can show.
    #[must_use]
    pub fn has_loss(&self) -> bool {
        self.lost_total() > 0
            || [
                self.busy,
                self.descriptors_full,
                self.tasks_full,
                self.compat,
            ] != [0; 4]
    }

    fn is_zero(&self) -> bool {
        self.values().all(|value| value == 0)
    }

    fn values(&self) -> impl Iterator<Item = u64> + '_ {
        [
            self.frames,
            self.busy,
            self.descriptors_full,
            self.tasks_full,
            self.compat,
        ]
        .into_iter()
        .chain(self.produced)
        .chain(self.lost)
    }

    fn write_line(&self, out: &mut String) {
        let _ = write!(
            out,
            "cpu {} {} {} {} {} {}",
            self.cpu, self.frames, self.busy, self.descriptors_full, self.tasks_full, self.compat
        );
        for (kind, (produced, lost)) in self.produced.iter().zip(self.lost).enumerate().skip(1) {
            if (*produced, lost) != (0, 0) {
                let _ = write!(out, " {} {produced} {lost}", KINDS[kind]);
            }
        }
        out.push('\n');
    }

    fn parse(value: &str) -> Option<Self> {
        let mut words = value.split(' ');
        let number = |words: &mut std::str::Split<'_, char>| decimal(words.next()?);
        let mut count = Self {
            cpu: u32::try_from(number(&mut words)?).ok()?,
            frames: number(&mut words)?,
            busy: number(&mut words)?,
            descriptors_full: number(&mut words)?,
            tasks_full: number(&mut words)?,
            compat: number(&mut words)?,
            produced: [0; Kind::COUNT],
            lost: [0; Kind::COUNT],
        };
        let mut last_kind = 0;
        while let Some(name) = words.next() {
            let kind = KINDS.iter().position(|kind| *kind == name)?;
            count.produced[kind] = number(&mut words)?;
            count.lost[kind] = number(&mut words)?;
            if kind <= last_kind || (count.produced[kind], count.lost[kind]) == (0, 0) {
                return None;
            }
            last_kind = kind;
        }
        (!count.is_zero()).then_some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    fn counters() -> Counters {
        let mut cpus = [CpuCounters::new_zeroed(); 4];
        cpus[1].number = 12;
        cpus[1].produced[6] = 10;
        cpus[1].lost[6] = 2;
        cpus[3].busy = 1;
        Counters::new(&cpus, 3)
    }

    #[test]
    fn lines_read_back() {
        let lines = counters().lines();
        assert_eq!(lines, "cpu 1 12 0 0 0 0 file.open 10 2\ncpu 3 0 1 0 0 0\n");
        let mut reader = Lines::untitled(lines.as_bytes()).unwrap();
        assert_eq!(Counters::read_cpus(&mut reader).unwrap(), counters().cpus);
    }

    #[test]
    fn one_spelling_only() {
        for bad in [
            "cpu 1 0 0 0 0 0\n",
            "cpu 1 1 0 0 0\n",
            "cpu 1 1 0 0 0 0 file.open 0 0\n",
            "cpu 1 1 0 0 0 0 file.open 1 0 process.fork 1 0\n",
            "cpu 1 1 0 0 0 0 file.open 1 0 file.open 1 0\n",
            "cpu 1 1 0 0 0 0 other 1 0\n",
            "cpu 2 1 0 0 0 0\ncpu 1 1 0 0 0 0\n",
        ] {
            let mut reader = Lines::untitled(bad.as_bytes()).unwrap();
            assert!(Counters::read_cpus(&mut reader).is_err(), "{bad}");
        }
    }

    #[test]
    fn counters_never_fall() {
        let earlier = counters();
        let mut later = earlier.clone();
        later.cpus[0].produced[6] += 1;
        assert!(later.continues(&earlier));
        assert!(!earlier.continues(&later));
    }
}
