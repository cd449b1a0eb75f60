//! What happens to the content of a regular file between two uses of a descriptor.
//!
//! Two things show it. The map of turns tells exactly what the tracked processes write, even within a
//! clock tick; a write becomes known when its call returns, so of calls that overlap the order is that
//! of their returns. The time of the last change tells of everybody else: writers that are not tracked,
//! mappings, `truncate`. It stands still within a tick, and when the descriptor itself is written
//! through after a change by others, that change is not noticed.

use aya_ebpf::helpers::generated::bpf_jiffies64;
use lineage_common::{limits::USES_AT_ONCE_MAX, task::Descriptor};

use crate::{atomic::fetch_add_half, maps, version};

/// Number and CPU of the frame that recorded the descriptor, in one word: no other descriptor has it.
#[inline(always)]
unsafe fn token(descriptor: *mut Descriptor) -> u64 {
    // SAFETY: by contract of the caller.
    unsafe { (*descriptor).opened_number << 16 ^ u64::from((*descriptor).opened_cpu) }
}

/// Whether reading through the descriptor, as was done before, is news: others changed the content.
///
/// # Safety
///
/// The descriptor is in a map, and was noted (see [`note`]).
#[inline(always)]
pub(crate) unsafe fn is_news_to_read(descriptor: *mut Descriptor) -> bool {
    // SAFETY: by contract; map values stay readable.
    unsafe {
        let inode = (*descriptor).inode;
        if version::mtime(inode) != (*descriptor).mtime_ns {
            return true;
        }
        maps::turn(inode)
            .is_some_and(|turn| (*turn).inode == inode && (*turn).number != (*descriptor).turn)
    }
}

/// Whether writing through the descriptor, as was done before, is news: others wrote, or read what was
/// written. Also true when the turn has to be noted anew.
///
/// # Safety
///
/// As [`is_news_to_read`].
#[inline(always)]
pub(crate) unsafe fn is_news_to_write(descriptor: *mut Descriptor) -> bool {
    // SAFETY: by contract; map values stay readable.
    unsafe {
        let inode = (*descriptor).inode;
        if (*descriptor).used & Descriptor::READ != 0 {
            (*descriptor).mtime_ns = version::mtime(inode);
        }
        maps::turn(inode).is_some_and(|turn| {
            (*turn).inode != inode || (*turn).read != 0 || (*turn).writer != token(descriptor)
        })
    }
}

/// Notes a use of the descriptor, the first of its way or one that is news. False when it is none after
/// all: nothing is known of others, because another file had the place.
///
/// Two files that take a place at the same moment can leave it mixed up; then one use more is news.
///
/// # Safety
///
/// The descriptor is in a map, and its inode is known.
#[inline(always)]
pub(crate) unsafe fn note(descriptor: *mut Descriptor, way: u32, first: bool) -> bool {
    // SAFETY: by contract; map values stay writable.
    unsafe {
        let inode = (*descriptor).inode;
        (*descriptor).mtime_ns = version::mtime(inode);
        let Some(turn) = maps::turn(inode) else {
            return first;
        };
        let ours = (*turn).inode == inode;
        if way == Descriptor::READ {
            if ours {
                (*descriptor).turn = (*turn).number;
                if (*turn).writer != token(descriptor) {
                    (*turn).read = 1;
                }
            }
            return true;
        }
        (*turn).inode = inode;
        (*turn).writer = token(descriptor);
        // Before the number: who sees the new one reads in the new turn.
        (*turn).read = 0;
        (*descriptor).turn = fetch_add_half(&raw mut (*turn).number, 1).wrapping_add(1);
        first || ours
    }
}

/// Whether there may be a record of the descriptor's use now. Each draws one clock tick, up to some
/// that are yet to come.
///
/// # Safety
///
/// The descriptor is in a map.
#[inline(always)]
pub(crate) unsafe fn draw(descriptor: *mut Descriptor) -> bool {
    // SAFETY: the helper takes nothing; by contract, map values stay writable.
    unsafe {
        let now = bpf_jiffies64() as u32;
        let ahead = (*descriptor).drawn.wrapping_sub(now);
        if ahead == USES_AT_ONCE_MAX {
            return false;
        }
        // More is not ahead but long ago.
        let from = if ahead < USES_AT_ONCE_MAX {
            (*descriptor).drawn
        } else {
            now
        };
        (*descriptor).drawn = from.wrapping_add(1);
        true
    }
}
