//! The same with eight lanes (AVX2) or sixteen (AVX-512), where the processor has them.
#![expect(
    unsafe_code,
    reason = "vector instructions are called after asking the processor for them"
)]

use core::arch::x86_64::{
    __m256i, __m512i, _mm256_add_epi32, _mm256_or_si256, _mm256_permute2x128_si256,
    _mm256_set_epi8, _mm256_set1_epi32, _mm256_shuffle_epi8, _mm256_slli_epi32, _mm256_srli_epi32,
    _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
    _mm256_xor_si256, _mm512_add_epi32, _mm512_ror_epi32, _mm512_set1_epi32, _mm512_xor_si512,
};

use super::sse2::{CHUNK_END, CHUNK_START, IV, KEYED_HASH, ROOT, SCHEDULE};
use super::{BLOCK_BYTES, CHUNK_BYTES, Hash};

/// Registers of a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// AVX2
    Eight,
    /// AVX-512; there is AVX2 as well.
    Sixteen,
}

impl Width {
    /// The widest this processor has.
    pub(super) fn detect() -> Option<Self> {
        if !is_x86_feature_detected!("avx2") {
            None
        } else if is_x86_feature_detected!("avx512f") {
            Some(Self::Sixteen)
        } else {
            Some(Self::Eight)
        }
    }
}

/// Hashes as many of the inputs at `order` as fill all lanes of a group; returns the positions of
/// the others. Inputs longer than a chunk are left to the caller.
pub(super) fn keyed_hashes<'a>(
    width: Width,
    key: &Hash,
    inputs: &[&[u8]],
    order: &'a [u8],
    out: &mut [Hash],
) -> &'a [u8] {
    match width {
        Width::Eight => groups::<8>(width, key, inputs, order, out),
        Width::Sixteen => groups::<16>(width, key, inputs, order, out),
    }
}

fn groups<'a, const N: usize>(
    width: Width,
    key: &Hash,
    inputs: &[&[u8]],
    order: &'a [u8],
    out: &mut [Hash],
) -> &'a [u8] {
    let mut rest = order;
    while let Some((group, tail)) = rest.split_first_chunk::<N>() {
        let group = group.map(usize::from);
        let lanes = group.map(|at| inputs[at]);
        // They are in order of their length.
        if lanes[N - 1].len() > CHUNK_BYTES {
            break;
        }
        for (at, hash) in group.into_iter().zip(hash(width, key, &lanes)) {
            out[at] = hash;
        }
        rest = tail;
    }
    rest
}

/// A word of every lane.
type Words<const N: usize> = [u32; N];

/// What one compression takes besides the state.
struct Input<const N: usize> {
    message: [Words<N>; 16],
    lens: Words<N>,
    flags: Words<N>,
}

fn hash<const N: usize>(width: Width, key: &Hash, inputs: &[&[u8]; N]) -> [Hash; N] {
    let mut state = [[0; N]; 8];
    for (words, bytes) in state.iter_mut().zip(key.as_chunks().0) {
        *words = [u32::from_le_bytes(*bytes); N];
    }
    let last = inputs.map(|input| input.len().div_ceil(BLOCK_BYTES).max(1) - 1);
    let mut hashes = [[0; 32]; N];
    for block in 0..=last.into_iter().max().unwrap_or(0) {
        compress(width, &mut state, &input(inputs, &last, block));
        // What a lane computes after its last block does not count.
        for lane in (0..N).filter(|lane| last[*lane] == block) {
            for (bytes, words) in hashes[lane].as_chunks_mut().0.iter_mut().zip(&state) {
                *bytes = words[lane].to_le_bytes();
            }
        }
    }
    hashes
}

/// This block of every input.
#[inline]
fn input<const N: usize>(inputs: &[&[u8]; N], last: &[usize; N], block: usize) -> Input<N> {
    let mut gathered = Input {
        message: [[0; N]; 16],
        lens: [0; N],
        flags: [KEYED_HASH; N],
    };
    let mut padded = [[0; BLOCK_BYTES]; N];
    let mut blocks: [&[u8; BLOCK_BYTES]; N] = [&[0; BLOCK_BYTES]; N];
    for ((lane, input), padded) in inputs.iter().enumerate().zip(&mut padded) {
        let rest = input.get(block * BLOCK_BYTES..).unwrap_or_default();
        blocks[lane] = rest.first_chunk().unwrap_or_else(|| {
            padded[..rest.len()].copy_from_slice(rest);
            padded
        });
        gathered.lens[lane] = rest.len().min(BLOCK_BYTES) as u32;
        gathered.flags[lane] |= if block == 0 { CHUNK_START } else { 0 };
        gathered.flags[lane] |= if block == last[lane] {
            CHUNK_END | ROOT
        } else {
            0
        };
    }
    for (group, blocks) in blocks.as_chunks().0.iter().enumerate() {
        // SAFETY: there is AVX2 in every width.
        let words = unsafe { transpose(blocks) };
        for (lanes, words) in gathered.message.iter_mut().zip(words) {
            lanes[8 * group..8 * (group + 1)].copy_from_slice(&words);
        }
    }
    gathered
}

/// The words of eight blocks, those at the same place together. Rows become columns in three steps, in each of which
/// pairs of registers exchange halves of twice the size.
#[target_feature(enable = "avx2")]
fn transpose(blocks: &[&[u8; BLOCK_BYTES]; 8]) -> [Words<8>; 16] {
    let mut words = [[0; 8]; 16];
    for (half, words) in words.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let row = |lane: usize| {
            let bytes: [u8; 32] = blocks[lane].as_chunks().0[half];
            // SAFETY: both are nothing but bits, and as many.
            unsafe { core::mem::transmute::<[u8; 32], __m256i>(bytes) }
        };
        let twos = |a, b| (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
        let fours = |a, b| (_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
        let (a0, a1) = twos(row(0), row(1));
        let (b0, b1) = twos(row(2), row(3));
        let (c0, c1) = twos(row(4), row(5));
        let (d0, d1) = twos(row(6), row(7));
        let ((e0, e1), (e2, e3)) = (fours(a0, b0), fours(a1, b1));
        let ((f0, f1), (f2, f3)) = (fours(c0, d0), fours(c1, d1));
        for (at, e, f) in [(0, e0, f0), (1, e1, f1), (2, e2, f2), (3, e3, f3)] {
            let first = _mm256_permute2x128_si256::<0x20>(e, f);
            let second = _mm256_permute2x128_si256::<0x31>(e, f);
            for (at, column) in [(at, first), (at + 4, second)] {
                // SAFETY: as above.
                words[at] = unsafe { core::mem::transmute::<__m256i, Words<8>>(column) };
            }
        }
    }
    words
}

/// One compression in every lane.
#[inline]
fn compress<const N: usize>(width: Width, state: &mut [Words<N>; 8], input: &Input<N>) {
    let (state, input) = (std::ptr::from_mut(state), std::ptr::from_ref(input));
    match (width, N) {
        // SAFETY: N is 8, so the types are the same; the processor has AVX2, or the width would be
        // another.
        (Width::Eight, 8) => unsafe { eight(&mut *state.cast(), &*input.cast()) },
        // SAFETY: N is 16, so the types are the same; the processor has AVX-512.
        (Width::Sixteen, 16) => unsafe { sixteen(&mut *state.cast(), &*input.cast()) },
        _ => unreachable!("groups are as wide as the registers"),
    }
}

/// Defines the compression for one kind of register: its operations on 32-bit words, and how it
/// rotates them to the right.
macro_rules! compression {
    (
        $name:ident, $feature:literal, $lanes:literal, $register:ty,
        $add:ident, $xor:ident, $set:ident,
        |$x:ident| $rotate_16:expr, $rotate_12:expr, $rotate_8:expr, $rotate_7:expr
    ) => {
        #[target_feature(enable = $feature)]
        fn $name(state: &mut [Words<$lanes>; 8], input: &Input<$lanes>) {
            // SAFETY: both are nothing but bits, and as many.
            let load = |words| unsafe { core::mem::transmute::<Words<$lanes>, $register>(words) };
            // SAFETY: as above.
            let store = |v| unsafe { core::mem::transmute::<$register, Words<$lanes>>(v) };
            let m = input.message.map(load);
            let mut v = [$set(0); 16];
            for (word, words) in state.iter().enumerate() {
                v[word] = load(*words);
            }
            for (word, iv) in IV.iter().enumerate() {
                v[8 + word] = $set(iv.cast_signed());
            }
            (v[14], v[15]) = (load(input.lens), load(input.flags));
            macro_rules! mix {
                ($a:literal, $b:literal, $c:literal, $d:literal, $one:expr, $other:expr) => {
                    v[$a] = $add($add(v[$a], v[$b]), m[$one]);
                    let $x = $xor(v[$d], v[$a]);
                    v[$d] = $rotate_16;
                    v[$c] = $add(v[$c], v[$d]);
                    let $x = $xor(v[$b], v[$c]);
                    v[$b] = $rotate_12;
                    v[$a] = $add($add(v[$a], v[$b]), m[$other]);
                    let $x = $xor(v[$d], v[$a]);
                    v[$d] = $rotate_8;
                    v[$c] = $add(v[$c], v[$d]);
                    let $x = $xor(v[$b], v[$c]);
                    v[$b] = $rotate_7;
                };
            }
            // Written out, so that the message's words are where the round needs them.
            macro_rules! round {
                ($round:literal) => {
                    mix!(0, 4, 8, 12, SCHEDULE[$round][0], SCHEDULE[$round][1]);
                    mix!(1, 5, 9, 13, SCHEDULE[$round][2], SCHEDULE[$round][3]);
                    mix!(2, 6, 10, 14, SCHEDULE[$round][4], SCHEDULE[$round][5]);
                    mix!(3, 7, 11, 15, SCHEDULE[$round][6], SCHEDULE[$round][7]);
                    mix!(0, 5, 10, 15, SCHEDULE[$round][8], SCHEDULE[$round][9]);
                    mix!(1, 6, 11, 12, SCHEDULE[$round][10], SCHEDULE[$round][11]);
                    mix!(2, 7, 8, 13, SCHEDULE[$round][12], SCHEDULE[$round][13]);
                    mix!(3, 4, 9, 14, SCHEDULE[$round][14], SCHEDULE[$round][15]);
                };
            }
            round!(0);
            round!(1);
            round!(2);
            round!(3);
            round!(4);
            round!(5);
            round!(6);
            for (word, words) in state.iter_mut().enumerate() {
                *words = store($xor(v[word], v[8 + word]));
            }
        }
    };
}

compression!(
    eight,
    "avx2",
    8,
    __m256i,
    _mm256_add_epi32,
    _mm256_xor_si256,
    _mm256_set1_epi32,
    |x| _mm256_shuffle_epi8(
        x,
        _mm256_set_epi8(
            13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2, 13, 12, 15, 14, 9, 8, 11, 10, 5,
            4, 7, 6, 1, 0, 3, 2,
        )
    ),
    _mm256_or_si256(_mm256_srli_epi32(x, 12), _mm256_slli_epi32(x, 20)),
    _mm256_shuffle_epi8(
        x,
        _mm256_set_epi8(
            12, 15, 14, 13, 8, 11, 10, 9, 4, 7, 6, 5, 0, 3, 2, 1, 12, 15, 14, 13, 8, 11, 10, 9, 4,
            7, 6, 5, 0, 3, 2, 1,
        )
    ),
    _mm256_or_si256(_mm256_srli_epi32(x, 7), _mm256_slli_epi32(x, 25))
);

compression!(
    sixteen,
    "avx512f",
    16,
    __m512i,
    _mm512_add_epi32,
    _mm512_xor_si512,
    _mm512_set1_epi32,
    |x| _mm512_ror_epi32(x, 16),
    _mm512_ror_epi32(x, 12),
    _mm512_ror_epi32(x, 8),
    _mm512_ror_epi32(x, 7)
);
