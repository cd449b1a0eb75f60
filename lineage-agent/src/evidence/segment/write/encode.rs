//! How values lie in pages: the encodings of
//! [`Encodings.md`](https://github.com/apache/parquet-format/blob/master/Encodings.md) that segments are written in.
//!
//! All take what comes in runs, because that is how most columns are.

/// Values of a column, each with how often it comes in a row.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: Vec<(u32, u32)>,
}

impl Runs {
    /// Adds a value, `count` times.
    #[inline]
    pub(super) fn push(&mut self, value: u32, count: u32) {
        match self.runs.last_mut() {
            Some(last) if last.0 == value => last.1 += count,
            _ if count > 0 => self.runs.push((value, count)),
            _ => {}
        }
    }

    /// The values and how often each comes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.runs.iter().copied()
    }

    pub(super) fn clear(&mut self) {
        self.runs.clear();
    }
}

/// Values in a group of the hybrid encoding: what is packed is packed by groups.
const GROUP: usize = 8;

/// Appends run lengths and packed groups of values of `width` bits (*RLE/Bit-Packing Hybrid*).
pub(super) fn hybrid(runs: &Runs, width: u32, out: &mut Vec<u8>) {
    let mut groups: Vec<[u64; GROUP]> = Vec::new();
    let (mut group, mut filled) = ([0; GROUP], 0);
    for (value, mut count) in runs.iter() {
        while count > 0 {
            if filled == 0 && count as usize >= GROUP {
                packed_groups(&mut groups, width, out);
                varint(u64::from(count) << 1, out);
                out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
                break;
            }
            let taken = (GROUP - filled).min(count as usize);
            group[filled..filled + taken].fill(u64::from(value));
            filled += taken;
            // No more than a group.
            count -= u32::try_from(taken).unwrap_or(count);
            if filled == GROUP {
                groups.push(group);
                filled = 0;
            }
        }
    }
    if filled > 0 {
        group[filled..].fill(0);
        groups.push(group);
    }
    packed_groups(&mut groups, width, out);
}

fn packed_groups(groups: &mut Vec<[u64; GROUP]>, width: u32, out: &mut Vec<u8>) {
    if groups.is_empty() {
        return;
    }
    varint((groups.len() as u64) << 1 | 1, out);
    pack(groups.as_flattened(), width, out);
    groups.clear();
}

/// Values in a block of deltas, and in each of its parts, which have a width of their own.
const BLOCK: usize = 128;
const PART: usize = 32;

/// Appends what each value is more than the one before (*DELTA_BINARY_PACKED*).
pub(super) fn delta(values: &[i64], out: &mut Vec<u8>) {
    varint(BLOCK as u64, out);
    varint((BLOCK / PART) as u64, out);
    varint(values.len() as u64, out);
    let Some((first, rest)) = values.split_first() else {
        return zigzag(0, out);
    };
    zigzag(*first, out);
    let mut before = *first;
    for block in rest.chunks(BLOCK) {
        let mut deltas = [0i64; BLOCK];
        for (delta, value) in deltas.iter_mut().zip(block) {
            *delta = value.wrapping_sub(before);
            before = *value;
        }
        delta_block(&deltas[..block.len()], out);
    }
}

fn delta_block(deltas: &[i64], out: &mut Vec<u8>) {
    let least = deltas.iter().copied().min().unwrap_or(0);
    zigzag(least, out);
    // What is beyond the end is as the least: parts that have no values need no bits and are not written.
    debug_assert!(!deltas.is_empty());
    let mut more = [0u64; BLOCK];
    for (more, delta) in more.iter_mut().zip(deltas) {
        *more = delta.wrapping_sub(least).cast_unsigned();
    }
    let widths: [u32; BLOCK / PART] = std::array::from_fn(|part| {
        let part = &more[part * PART..(part + 1) * PART];
        width(part.iter().fold(0, |all, value| all | value))
    });
    out.extend(widths.map(|width| u8::try_from(width).unwrap_or(u8::MAX)));
    for (part, width) in more.chunks(PART).zip(widths) {
        if width > 0 {
            pack(part, width, out);
        }
    }
}

/// Bits that hold every value up to this one.
pub(super) fn width(largest: u64) -> u32 {
    u64::BITS - largest.leading_zeros()
}

/// Appends values of `width` bits one after the other, the lowest bit first.
fn pack(values: &[u64], width: u32, out: &mut Vec<u8>) {
    let (mut word, mut filled) = (0u64, 0);
    for value in values {
        word |= value << filled;
        let end = filled + width;
        if end < u64::BITS {
            filled = end;
            continue;
        }
        out.extend_from_slice(&word.to_le_bytes());
        // What had no room; of a value that had all of it, nothing.
        word = value.checked_shr(u64::BITS - filled).unwrap_or(0);
        filled = end - u64::BITS;
    }
    out.extend_from_slice(&word.to_le_bytes()[..filled.div_ceil(8) as usize]);
}

/// Appends a number in groups of seven bits (*ULEB128*).
fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends a number with a sign, small ones of either sign in few bytes.
fn zigzag(value: i64, out: &mut Vec<u8>) {
    varint((value << 1 ^ value >> 63).cast_unsigned(), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_specification() {
        // *Bit-Packing*: the numbers 0 to 7 in three bits each.
        let mut out = Vec::new();
        pack(&[0, 1, 2, 3, 4, 5, 6, 7], 3, &mut out);
        assert_eq!(out, [0b1000_1000, 0b1100_0110, 0b1111_1010]);
        // *DELTA_BINARY_PACKED*, example 1, in blocks of the size that is used here: 1 to 5.
        let mut out = Vec::new();
        delta(&[1, 2, 3, 4, 5], &mut out);
        assert_eq!(out, [0x80, 1, 4, 5, 2, 2, 0, 0, 0, 0]);
    }

    #[test]
    fn runs_are_told_once_and_others_packed() {
        let mut runs = Runs::default();
        for (value, count) in [(1, 9), (0, 2), (1, 3), (0, 20)] {
            runs.push(value, count);
        }
        let mut out = Vec::new();
        hybrid(&runs, 1, &mut out);
        // Nine times 1; 0 0 1 1 1 0 0 0; seventeen times 0.
        assert_eq!(out, [18, 1, 3, 0b0001_1100, 34, 0]);
    }
}
