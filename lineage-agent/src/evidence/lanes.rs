//! Keyed BLAKE3 of many short inputs, four, eight or sixteen at a time.
//!
//! A record is a few hundred bytes: too short for the BLAKE3 library to use vector instructions, which
//! it does only for inputs of several chunks. But records come in numbers. Here several inputs of
//! at most one chunk each are hashed side by side: four take less than half the time, eight (AVX2) a
//! quarter, sixteen (AVX-512) a sixth.
//!
//! The tests hold it to the library, input by input. Where the processor has no such instructions the
//! library does the work.

#[cfg(target_arch = "x86_64")]
mod wide;

use super::tree::Hash;

/// Longest input hashed in a lane: one BLAKE3 chunk.
const CHUNK_BYTES: usize = 1024;

const BLOCK_BYTES: usize = 64;

/// Most inputs of one call.
pub const BATCH: usize = 64;

/// Hashes every input under `key` into `out`, at most [`BATCH`] of them.
pub(super) fn keyed_hashes(key: &Hash, inputs: &[&[u8]], out: &mut [Hash]) {
    debug_assert!(inputs.len() <= BATCH && inputs.len() == out.len());
    let mut order = [0u8; BATCH];
    let order = by_blocks(inputs, &mut order);
    #[cfg(target_arch = "x86_64")]
    let order = match wide::Width::detect() {
        Some(width) => wide::keyed_hashes(width, key, inputs, order, out),
        None => order,
    };
    let mut fours = order.chunks_exact(4);
    for four in &mut fours {
        let at: [usize; 4] = std::array::from_fn(|lane| usize::from(four[lane]));
        let hashes = four_hashes(key, at.map(|at| inputs[at]));
        for (at, hash) in at.into_iter().zip(hashes) {
            out[at] = hash;
        }
    }
    for at in fours.remainder() {
        let at = usize::from(*at);
        out[at] = keyed_hash(key, inputs[at]);
    }
}

/// Positions of the inputs, those with equally many blocks together: lanes do not wait for others.
fn by_blocks<'a>(inputs: &[&[u8]], order: &'a mut [u8; BATCH]) -> &'a [u8] {
    // One for each number of blocks a chunk can have, and one for what is longer.
    const CLASSES: usize = CHUNK_BYTES / BLOCK_BYTES + 2;
    let class = |input: &&[u8]| input.len().div_ceil(BLOCK_BYTES).min(CLASSES - 1);
    let mut next = [0u8; CLASSES + 1];
    for input in inputs {
        next[class(input) + 1] += 1;
    }
    for class in 0..CLASSES {
        next[class + 1] += next[class];
    }
    for (at, input) in (0u8..).zip(inputs) {
        let place = &mut next[class(input)];
        order[usize::from(*place)] = at;
        *place += 1;
    }
    &order[..inputs.len()]
}

fn keyed_hash(key: &Hash, input: &[u8]) -> Hash {
    *blake3::keyed_hash(key, input).as_bytes()
}

fn four_hashes(key: &Hash, inputs: [&[u8]; 4]) -> [Hash; 4] {
    #[cfg(target_arch = "x86_64")]
    if inputs.iter().all(|input| input.len() <= CHUNK_BYTES) {
        return sse2::four_hashes(key, inputs);
    }
    inputs.map(|input| keyed_hash(key, input))
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    //! BLAKE3's compression, a vector of four lanes for each word of its state.
    //!
    //! Section 2 of <https://github.com/BLAKE3-team/BLAKE3-specs>.
    #![expect(unsafe_code, reason = "vector instructions must be declared")]

    use std::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_and_si128, _mm_andnot_si128, _mm_cvtsi128_si32, _mm_or_si128,
        _mm_set_epi32, _mm_set1_epi32, _mm_shuffle_epi32, _mm_shufflehi_epi16, _mm_shufflelo_epi16,
        _mm_slli_epi32, _mm_srli_epi32, _mm_unpackhi_epi32, _mm_unpackhi_epi64, _mm_unpacklo_epi32,
        _mm_unpacklo_epi64, _mm_xor_si128,
    };

    use super::{BLOCK_BYTES, CHUNK_BYTES, Hash};

    pub(super) const CHUNK_START: u32 = 1 << 0;
    pub(super) const CHUNK_END: u32 = 1 << 1;
    pub(super) const ROOT: u32 = 1 << 3;
    pub(super) const KEYED_HASH: u32 = 1 << 4;

    pub(super) const IV: [u32; 4] = [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A];

    const ROUNDS: usize = 7;

    /// Which message word each step of each round takes: the permutation, applied round by round.
    pub(super) const SCHEDULE: [[usize; 16]; ROUNDS] = {
        let permutation = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
        let mut schedule = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]; ROUNDS];
        let mut round = 1;
        while round < ROUNDS {
            let mut word = 0;
            while word < 16 {
                schedule[round][word] = schedule[round - 1][permutation[word]];
                word += 1;
            }
            round += 1;
        }
        schedule
    };

    pub(super) fn four_hashes(key: &Hash, inputs: [&[u8]; 4]) -> [Hash; 4] {
        // SAFETY: SSE2 is part of x86-64.
        unsafe { hash(key, inputs) }
    }

    #[target_feature(enable = "sse2")]
    fn hash(key: &Hash, inputs: [&[u8]; 4]) -> [Hash; 4] {
        debug_assert!(inputs.iter().all(|input| input.len() <= CHUNK_BYTES));
        let mut state: [__m128i; 8] = std::array::from_fn(|word| {
            let bytes = key[4 * word..4 * word + 4].first_chunk().copied();
            _mm_set1_epi32(i32::from_le_bytes(bytes.unwrap_or_default()))
        });
        let blocks = inputs.map(|input| input.len().div_ceil(BLOCK_BYTES).max(1));
        let most = blocks.iter().copied().max().unwrap_or(0);
        for block in 0..most {
            let mut padded = [[0; BLOCK_BYTES]; 4];
            let (mut lens, mut flags, mut live) = ([0; 4], [KEYED_HASH; 4], [0; 4]);
            let mut pads = padded.iter_mut();
            let bytes: [&[u8; BLOCK_BYTES]; 4] = std::array::from_fn(|lane| {
                let input = inputs[lane];
                let rest = &input[(block * BLOCK_BYTES).min(input.len())..];
                lens[lane] = rest.len().min(BLOCK_BYTES) as u32;
                flags[lane] |= if block == 0 { CHUNK_START } else { 0 };
                flags[lane] |= if block + 1 == blocks[lane] {
                    CHUNK_END | ROOT
                } else {
                    0
                };
                live[lane] = if block < blocks[lane] { u32::MAX } else { 0 };
                let pad = pads.next().expect("four lanes have four pads");
                rest.first_chunk().unwrap_or_else(|| {
                    pad[..rest.len()].copy_from_slice(rest);
                    pad
                })
            });
            let next = compress(&state, &message(bytes), lanes(lens), lanes(flags));
            let live = lanes(live);
            for (old, new) in state.iter_mut().zip(next) {
                let kept = _mm_andnot_si128(live, *old);
                *old = _mm_or_si128(_mm_and_si128(live, new), kept);
            }
        }
        outputs(state)
    }

    #[target_feature(enable = "sse2")]
    fn compress(
        chaining: &[__m128i; 8],
        message: &[__m128i; 16],
        lens: __m128i,
        flags: __m128i,
    ) -> [__m128i; 8] {
        let mut v = [_mm_set1_epi32(0); 16];
        v[..8].copy_from_slice(chaining);
        for (word, iv) in IV.iter().enumerate() {
            v[8 + word] = _mm_set1_epi32(iv.cast_signed());
        }
        // Words 12 and 13, the chunk's number, are 0: there is one chunk.
        (v[14], v[15]) = (lens, flags);
        for order in &SCHEDULE {
            let m: [__m128i; 16] = std::array::from_fn(|step| message[order[step]]);
            mix(&mut v, [0, 4, 8, 12], m[0], m[1]);
            mix(&mut v, [1, 5, 9, 13], m[2], m[3]);
            mix(&mut v, [2, 6, 10, 14], m[4], m[5]);
            mix(&mut v, [3, 7, 11, 15], m[6], m[7]);
            mix(&mut v, [0, 5, 10, 15], m[8], m[9]);
            mix(&mut v, [1, 6, 11, 12], m[10], m[11]);
            mix(&mut v, [2, 7, 8, 13], m[12], m[13]);
            mix(&mut v, [3, 4, 9, 14], m[14], m[15]);
        }
        std::array::from_fn(|word| _mm_xor_si128(v[word], v[8 + word]))
    }

    /// The quarter round G.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn mix(v: &mut [__m128i; 16], [a, b, c, d]: [usize; 4], x: __m128i, y: __m128i) {
        v[a] = _mm_add_epi32(_mm_add_epi32(v[a], v[b]), x);
        v[d] = rotate_16(_mm_xor_si128(v[d], v[a]));
        v[c] = _mm_add_epi32(v[c], v[d]);
        v[b] = rotate::<12, 20>(_mm_xor_si128(v[b], v[c]));
        v[a] = _mm_add_epi32(_mm_add_epi32(v[a], v[b]), y);
        v[d] = rotate::<8, 24>(_mm_xor_si128(v[d], v[a]));
        v[c] = _mm_add_epi32(v[c], v[d]);
        v[b] = rotate::<7, 25>(_mm_xor_si128(v[b], v[c]));
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn rotate_16(v: __m128i) -> __m128i {
        _mm_shufflehi_epi16::<0b10_11_00_01>(_mm_shufflelo_epi16::<0b10_11_00_01>(v))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn rotate<const RIGHT: i32, const LEFT: i32>(v: __m128i) -> __m128i {
        _mm_or_si128(_mm_srli_epi32::<RIGHT>(v), _mm_slli_epi32::<LEFT>(v))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn lanes(words: [u32; 4]) -> __m128i {
        let [a, b, c, d] = words.map(u32::cast_signed);
        _mm_set_epi32(d, c, b, a)
    }

    /// The sixteen message words of four blocks, each a vector over the blocks.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn message(blocks: [&[u8; BLOCK_BYTES]; 4]) -> [__m128i; 16] {
        let mut words = [_mm_set1_epi32(0); 16];
        for (four, words) in words.chunks_exact_mut(4).enumerate() {
            let [a, b, c, d] = blocks.map(|block| load(block, 16 * four));
            let (low_ab, high_ab) = (_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
            let (low_cd, high_cd) = (_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));
            words[0] = _mm_unpacklo_epi64(low_ab, low_cd);
            words[1] = _mm_unpackhi_epi64(low_ab, low_cd);
            words[2] = _mm_unpacklo_epi64(high_ab, high_cd);
            words[3] = _mm_unpackhi_epi64(high_ab, high_cd);
        }
        words
    }

    /// Four words of a block.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn load(block: &[u8; BLOCK_BYTES], at: usize) -> __m128i {
        let word = |word: usize| {
            let bytes = block[at + 4 * word..].first_chunk().copied();
            u32::from_le_bytes(bytes.unwrap_or_default())
        };
        lanes([word(0), word(1), word(2), word(3)])
    }

    /// The first 32 output bytes of each lane.
    #[target_feature(enable = "sse2")]
    fn outputs(state: [__m128i; 8]) -> [Hash; 4] {
        let mut out = [[0; 32]; 4];
        for (word, v) in state.into_iter().enumerate() {
            let lanes = [
                _mm_cvtsi128_si32(v),
                _mm_cvtsi128_si32(_mm_shuffle_epi32::<1>(v)),
                _mm_cvtsi128_si32(_mm_shuffle_epi32::<2>(v)),
                _mm_cvtsi128_si32(_mm_shuffle_epi32::<3>(v)),
            ];
            for (out, lane) in out.iter_mut().zip(lanes) {
                out[4 * word..4 * word + 4].copy_from_slice(&lane.to_le_bytes());
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(key: &Hash, inputs: &[Vec<u8>]) {
        let slices: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let mut out = vec![[0; 32]; inputs.len()];
        keyed_hashes(key, &slices, &mut out);
        for (input, hash) in inputs.iter().zip(out) {
            assert_eq!(hash, keyed_hash(key, input), "{} bytes", input.len());
        }
        // Not only the widest this processor has.
        #[cfg(target_arch = "x86_64")]
        if wide::Width::detect().is_some() {
            let mut order = [0; BATCH];
            let order = by_blocks(&slices, &mut order);
            let mut out = vec![[0; 32]; inputs.len()];
            let rest = wide::keyed_hashes(wide::Width::Eight, key, &slices, order, &mut out);
            for at in &order[..order.len() - rest.len()] {
                let at = usize::from(*at);
                assert_eq!(
                    out[at],
                    keyed_hash(key, slices[at]),
                    "{} bytes",
                    slices[at].len()
                );
            }
        }
    }

    #[test]
    fn every_length_around_a_block_and_a_chunk() {
        for first in 0..1100 {
            let input = |lane: usize| {
                let bytes = (0..first + 61 * lane).map(|byte| (byte * 7 + lane) as u8);
                bytes.collect()
            };
            check(&[3; 32], &[0, 1, 2, 3].map(input));
            if first % 16 == 0 {
                let inputs: Vec<_> = (0..40).map(|lane| input(lane / 9)).collect();
                check(&[3; 32], &inputs);
            }
        }
    }

    proptest! {
        #[test]
        fn any_batch(
            key: Hash,
            inputs in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1500), 0..BATCH),
        ) {
            check(&key, &inputs);
        }
    }
}
