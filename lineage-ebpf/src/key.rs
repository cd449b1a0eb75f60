//! The key by which a path or a name is looked up in the tables of the policies.
//!
//! A path is walked from the file to the root, so its key grows towards its beginning, component by component, in the
//! same steps: no second pass puts it together. What is put behind a path that was walked, and whatever was not walked,
//! grows from the middle on.

use lineage_common::{
    limits::{NAME_BYTES_MAX, PATH_BYTES_MAX},
    policy::{KEY_HEAD_BITS, NAME_BYTES, PATH_KEY_BYTES, PathKey, Ruling},
};

use crate::{
    maps::{self, Scratch},
    read::{copy_kernel, load, mask_frame, mask_key, mask_name, store},
};

/// What precedes the path in a key: the length of the prefix, the table and the operation.
const HEAD: usize = size_of::<maps::PathRuleKey>() - PATH_KEY_BYTES;

/// More than any place that [`mask_key`] lets through.
const PLACES: usize = 0x2000;

/// Where a path ends that was walked, and where everything else begins.
const MIDDLE: u64 = (PATH_BYTES_MAX + 2 * NAME_BYTES_MAX) as u64;

/// Longest component that is copied in words: cheaper than a copy of the exact length.
const SHORT: u64 = 32;

/// The key, with room for whatever is written. Lives in [`Scratch`].
#[repr(C)]
pub(crate) struct KeyRoom {
    /// Where it begins.
    begin: u64,
    /// Bits of it that count.
    prefix_len: u32,
    reserved: u32,
    /// Before each place there is room for the head; behind each for the longest path that a key holds, and for what a
    /// copy in words writes beyond that.
    bytes: [u8; HEAD + PLACES + PATH_KEY_BYTES + SHORT as usize],
}

/// The place `at` in the room.
#[inline(always)]
unsafe fn place(scratch: *mut Scratch, at: u64) -> *mut u8 {
    // SAFETY: the scratch is the caller's, and the place is masked.
    unsafe {
        (&raw mut (*scratch).key.bytes)
            .cast::<u8>()
            .add(HEAD + mask_key(at) as usize)
    }
}

/// Begins the key of a path that is walked, which is empty yet.
#[inline(always)]
pub(crate) unsafe fn begin(scratch: *mut Scratch) {
    // SAFETY: the scratch is the caller's.
    unsafe { (*scratch).key.begin = MIDDLE };
}

/// Puts a component of `len` bytes before what is there; it is in the frame, where it ends at `end`.
#[inline(always)]
pub(crate) unsafe fn prepend(scratch: *mut Scratch, end: u64, len: u64) {
    // SAFETY: the scratch is the caller's; offsets and lengths are masked, and there is room for both.
    unsafe {
        let frame = (&raw const (*scratch).frame).cast::<u8>();
        let behind = (*scratch).key.begin;
        if len <= SHORT {
            // Words that end with it: what they have before it is written over by the next component or by the head.
            let from = frame.add(mask_frame(end - SHORT) as usize);
            let to = place(scratch, behind - SHORT);
            for word in 0..SHORT as usize / 8 {
                store(to.add(word * 8), load(from.add(word * 8)));
            }
        } else {
            let from = frame.add(mask_frame(end - len) as usize);
            copy_kernel(place(scratch, behind - len), mask_name(len), from as u64);
        }
        let begin = behind - len - 1;
        *place(scratch, begin) = b'/';
        (*scratch).key.begin = begin;
    }
}

/// Begins a key that was not walked: where its bytes go, of which there may be as many as a key holds.
#[inline(always)]
pub(crate) unsafe fn given(scratch: *mut Scratch) -> *mut u8 {
    // SAFETY: the scratch is the caller's; the middle is a place.
    unsafe {
        begin(scratch);
        (&raw mut (*scratch).key.bytes)
            .cast::<u8>()
            .add(HEAD + MIDDLE as usize)
    }
}

/// Puts a byte behind a walked path that has `behind` bytes already behind its components; how many there are then. Of what
/// is longer than a key the first bytes decide.
#[inline(always)]
pub(crate) unsafe fn append(scratch: *mut Scratch, behind: u64, byte: u8) -> u64 {
    // SAFETY: the scratch is the caller's.
    unsafe {
        if MIDDLE + behind - (*scratch).key.begin >= PATH_KEY_BYTES as u64 {
            return behind;
        }
        *place(scratch, MIDDLE + behind) = byte;
    }
    behind + 1
}

/// Ends a path, which is the root if nothing is there, with `behind` bytes behind what was walked.
#[inline(always)]
pub(crate) unsafe fn end(scratch: *mut Scratch, behind: u64) {
    // SAFETY: the scratch is the caller's.
    unsafe {
        let key = &raw mut (*scratch).key;
        let end = MIDDLE + behind;
        if (*key).begin == end {
            (*key).begin = end - 1;
            *place(scratch, end - 1) = b'/';
        }
        *place(scratch, end) = 0;
        let len = (end - (*key).begin).min(PATH_KEY_BYTES as u64);
        let counted = (len + 1).min(PATH_KEY_BYTES as u64);
        (*key).prefix_len = KEY_HEAD_BITS + 8 * counted as u32;
        (*scratch).judged_len = len as u32;
    }
}

/// Makes the key that of what has a name of its own, by its number.
#[inline(always)]
pub(crate) unsafe fn name(scratch: *mut Scratch, named: u32) {
    let [first, second] = maps::name(named);
    // SAFETY: the scratch is the caller's, and there is room for more than a name.
    unsafe {
        let to = given(scratch);
        store(to, first);
        store(to.add(8), second);
        (*scratch).key.prefix_len = KEY_HEAD_BITS + 8 * NAME_BYTES as u32;
        (*scratch).judged_len = u32::from(maps::name_length(named));
    }
}

/// Whether the second byte is that of a separator: then the first component has no name.
#[inline(always)]
pub(crate) unsafe fn is_nameless(scratch: *mut Scratch) -> bool {
    // SAFETY: the scratch is the caller's.
    unsafe { *place(scratch, (*scratch).key.begin + 1) == b'/' }
}

/// What the table says about an operation on what the key says.
#[inline(always)]
pub(crate) unsafe fn look_up(scratch: *mut Scratch, table: u32, operation: u32) -> Option<Ruling> {
    const { assert!(HEAD == 4 + size_of::<PathKey>() - PATH_KEY_BYTES) };
    // SAFETY: the scratch is the caller's; before and behind each place there is room.
    unsafe {
        let key = &raw mut (*scratch).key;
        let head = place(scratch, (*key).begin).sub(HEAD);
        // In two words, of which the first has the table too.
        store(head.add(4), u64::from(table) | u64::from(operation) << 32);
        store(head, u64::from((*key).prefix_len) | u64::from(table) << 32);
        maps::path_rule(&*head.cast(), operation)
    }
}

/// Keeps what was judged for the record: other paths are walked before that is sent.
#[inline(always)]
pub(crate) unsafe fn keep(scratch: *mut Scratch) {
    // SAFETY: the scratch is the caller's; behind each place there is room for the longest key.
    unsafe {
        let from = place(scratch, (*scratch).key.begin);
        let to = &raw mut (*scratch).waiting.path;
        for word in 0..PATH_KEY_BYTES / 8 {
            (*to)[word] = load(from.add(word * 8));
        }
    }
}
