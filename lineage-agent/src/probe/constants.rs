//! Puts what only the running kernel tells into the instructions of the object.
//!
//! Where a member of a structure is, the probes have as a number in an instruction, which is the shortest way there is, and
//! a constant to the verifier. The object has the number of a word of the layout there; here it becomes what that says.
//!
//! The object format has a way to call kernel functions by name, which the loader does not know. So the probes call a
//! helper of a number that no kernel has, and these instructions become what the verifier expects: the type id of the
//! function, and the mark for a call of such. Where the kernel has no such function they stay as they are: the probes go
//! another way there, and the verifier removes them unseen.

use lineage_common::layout::{CAST_CALL, FIRST_WORD, KernelLayout};
use zerocopy::{FromBytes, IntoBytes};

/// `BPF_ALU64 | BPF_MOV | BPF_K` (`include/uapi/linux/bpf.h`): the number is extended by its sign.
const MOVE: u8 = 0xb7;

/// `BPF_ALU | BPF_MOV | BPF_K`: by zeros, as the words of the layout are.
const MOVE_HALF: u8 = 0xb4;

/// `BPF_JMP | BPF_CALL`.
const CALL: u8 = 0x85;

/// `BPF_PSEUDO_KFUNC_CALL`, as the source register of a call.
const KERNEL_FUNCTION: u8 = 2 << 4;

/// Bytes of an instruction: code, registers, offset, and the number.
const INSTRUCTION: usize = 8;

/// What there was to put.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Put {
    pub(super) words: usize,
    pub(super) calls: usize,
}

/// Puts a layout's words and its function into the object.
pub(super) fn put(object: &mut [u8], layout: &KernelLayout) -> Put {
    let (words, _) = <[u32]>::ref_from_prefix(layout.as_bytes()).expect("a layout is words");
    let function = layout.derived.cast_function;
    let mut put = Put { words: 0, calls: 0 };
    // Sections of code begin at multiples of an instruction's size.
    for place in object.chunks_exact_mut(INSTRUCTION) {
        let [code, registers, 0, 0, a, b, c, d] = *place else {
            continue;
        };
        let number = u32::from_ne_bytes([a, b, c, d]);
        let word = number.checked_sub(FIRST_WORD);
        let word = word.and_then(|word| words.get(word as usize));
        let (code, registers, number) = match (code, word) {
            (MOVE, Some(word)) => {
                put.words += 1;
                (MOVE_HALF, registers, *word)
            }
            (CALL, _) if number == CAST_CALL && registers == 0 && function != 0 => {
                put.calls += 1;
                (CALL, KERNEL_FUNCTION, function)
            }
            _ => continue,
        };
        place[..2].copy_from_slice(&[code, registers]);
        place[4..].copy_from_slice(&number.to_ne_bytes());
    }
    put
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instruction(code: u8, registers: u8, number: u32) -> [u8; INSTRUCTION] {
        let [a, b, c, d] = number.to_ne_bytes();
        [code, registers, 0, 0, a, b, c, d]
    }

    fn after(before: &[[u8; INSTRUCTION]], layout: &KernelLayout) -> (Vec<u8>, Put) {
        let mut object = before.concat();
        let put = put(&mut object, layout);
        (object, put)
    }

    #[test]
    fn words_and_calls_are_replaced_and_nothing_else() {
        let mut layout = KernelLayout::UNKNOWN;
        let words = layout.as_bytes().len() / 4;
        layout.derived.cast_function = 0x0102;
        layout.derived.cast_words = u32::MAX;
        let last = FIRST_WORD + u32::try_from(words).unwrap() - 1;
        let other = instruction(CALL, 0, 5);
        let beyond = instruction(MOVE, 3, last + 1);
        let call = instruction(CALL, 0, CAST_CALL);
        let (object, put) = after(
            &[other, instruction(MOVE, 7, last), beyond, call, other],
            &layout,
        );
        assert_eq!(put, Put { words: 1, calls: 1 });
        let word = instruction(MOVE_HALF, 7, u32::MAX);
        let call = instruction(CALL, KERNEL_FUNCTION, 0x0102);
        assert_eq!(object, [other, word, beyond, call, other].concat());
    }

    #[test]
    fn without_the_function_its_calls_stay() {
        let call = instruction(CALL, 0, CAST_CALL);
        let (object, put) = after(&[call], &KernelLayout::UNKNOWN);
        assert_eq!(put, Put { words: 0, calls: 0 });
        assert_eq!(object, call);
    }
}
