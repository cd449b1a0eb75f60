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

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        use rustix::time::{ClockId, clock_gettime};
        #[cfg(target_os = "linux")]
        let boot = clock_gettime(ClockId::Boottime);
        #[cfg(not(target_os = "linux"))]
        let boot = clock_gettime(ClockId::Monotonic);
        let wall = clock_gettime(ClockId::Realtime);
        let nanoseconds = |time: rustix::time::Timespec| {
            time.tv_sec
                .saturating_mul(1_000_000_000)
                .saturating_add(time.tv_nsec)
        };
        Now {
            boot_ns: nanoseconds(boot),
            wall_ns: nanoseconds(wall),
        }
    }
}
