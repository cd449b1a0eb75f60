//! Where a segment must stand: after the one before, within its epoch.

use super::finding::{Code, Finding};
use crate::evidence::epoch::Statement;
use crate::evidence::manifest::{Head, Reason};
use crate::evidence::text::hex;
use crate::evidence::tree::Hash;

/// What the next manifest, or the spool that is to become one, must fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    /// `first` of the next.
    pub(super) next: u64,
    pub(super) epoch: u32,
    pub(super) session: u64,
    pub(super) closed: i64,
    pub(super) reason: Reason,
    /// BLAKE3 of the manifest; none of a spool.
    pub(super) digest: Option<Hash>,
}

/// First and last nanosecond of an epoch.
pub(super) fn window(statement: &Statement) -> (i64, i64) {
    let nanoseconds = |seconds: u64| {
        i64::try_from(seconds)
            .unwrap_or(i64::MAX)
            .saturating_mul(1_000_000_000)
    };
    (nanoseconds(statement.start), nanoseconds(statement.end))
}

/// Skew between the clocks of kernel and host that is not a finding.
const SKEW_NS: i64 = 300 * 1_000_000_000;

/// What the times of an epoch's records must lie within.
pub(super) fn widened_window(statement: &Statement) -> (i64, i64) {
    let (start, end) = window(statement);
    (start.saturating_sub(SKEW_NS), end.saturating_add(SKEW_NS))
}

impl Before {
    /// Checks that a head continues link, sequence, epoch, time and session of the segment before.
    /// The head of a spool may not know its link yet.
    pub(super) fn check(&self, head: &Head, checks: &mut Vec<Finding>) {
        let mut unless = |good: bool, code, expected: String, found: String| {
            if !good {
                checks.push(Finding::new(code).expected(expected).found(found));
            }
        };
        if let Some(digest) = &self.digest {
            unless(
                head.previous == *digest,
                Code::ManifestLink,
                hex(digest),
                hex(&head.previous),
            );
        }
        let first = |first| format!("first {first}");
        unless(
            head.first == self.next,
            Code::SequenceGap,
            first(self.next),
            first(head.first),
        );
        let epoch = match self.reason {
            Reason::Shutdown => None,
            Reason::EpochEnd => self.epoch.checked_add(1),
            _ => Some(self.epoch),
        };
        let expected = epoch.map_or_else(
            || "no segment after shutdown".to_owned(),
            |epoch| format!("epoch {epoch}"),
        );
        unless(
            epoch == Some(head.epoch),
            Code::EpochRule,
            expected,
            format!("epoch {}", head.epoch),
        );
        let expected = format!("opened at {} or later", self.closed);
        unless(
            head.opened >= self.closed,
            Code::ClockRule,
            expected,
            format!("opened at {}", head.opened),
        );
        let expected = format!("session {} or the next", self.session);
        let follows = matches!(head.session.checked_sub(self.session), Some(0 | 1));
        unless(
            follows,
            Code::ManifestBad,
            expected,
            format!("session {}", head.session),
        );
    }
}
