//! Time, passed in: what records and evidence say must not depend on when a test runs.

/// Two clocks read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// `CLOCK_BOOTTIME` in nanoseconds: what the kernel stamps events with. Never set, never stops.
    pub boot_ns: i64,
    /// Nanoseconds since 1970 UTC by the host's clock, which may be set.
    pub wall_ns: i64,
}

impl Now {
    /// What must be added to boot time to get the host's idea of UTC.
    #[must_use]
    pub fn offset_ns(self) -> i64 {
        self.wall_ns.saturating_sub(self.boot_ns)
    }
}

/// A source of time.
pub trait Clock: Send {
    /// The time now.
    fn now(&self) -> Now;
}

/// How often both clocks are read at most, when what comes between takes longer than [`CLOSE_NS`].
const TRIES: u32 = 8;
/// Between two readings of one clock nothing else has run.
const CLOSE_NS: i64 = 2000;

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let mut closest = read();
        for _ in 1..TRIES {
            if closest.0 <= CLOSE_NS {
                break;
            }
            let again = read();
            if again.0 < closest.0 {
                closest = again;
            }
        }
        closest.1
    }
}

/// Both clocks, and how long that took in nanoseconds: the one lies in the middle of the other.
fn read() -> (i64, Now) {
    use rustix::time::ClockId;
    #[cfg(target_os = "linux")]
    const BOOT: ClockId = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const BOOT: ClockId = ClockId::Monotonic;
    let nanoseconds = |clock| {
        let time = rustix::time::clock_gettime(clock);
        time.tv_sec
            .saturating_mul(1_000_000_000)
            .saturating_add(time.tv_nsec)
    };
    let before = nanoseconds(BOOT);
    let wall_ns = nanoseconds(ClockId::Realtime);
    let took = nanoseconds(BOOT).saturating_sub(before);
    let boot_ns = before.saturating_add(took / 2);
    (took, Now { boot_ns, wall_ns })
}
