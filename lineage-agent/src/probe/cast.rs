//! Puts calls of a kernel function where the object has calls of a helper that does not exist.
//!
//! The object format has a way to call kernel functions by name, which the loader does not know. So the probes call a
//! helper of a number that no kernel has, and here these instructions become what the verifier expects: the type id of the
//! function, and the mark for a call of such. Where the kernel has no such function they stay as they are: the probes go
//! another way there, and the verifier removes them unseen.

use lineage_common::layout::CAST_CALL;

/// `BPF_JMP | BPF_CALL` (`include/uapi/linux/bpf.h`).
const CALL: u8 = 0x85;

/// `BPF_PSEUDO_KFUNC_CALL`, as the source register of a call (`include/uapi/linux/bpf.h`).
const KERNEL_FUNCTION: u8 = 2 << 4;

/// Bytes of an instruction: code, registers, offset, and the number.
const INSTRUCTION: usize = 8;

/// The same object, calling the kernel function that has this type id; how many such calls there are.
pub(super) fn put(object: &mut [u8], function: u32) -> usize {
    let mut calls = 0;
    let wanted = instruction(0, CAST_CALL);
    // Sections of code begin at multiples of an instruction's size.
    for place in object.chunks_exact_mut(INSTRUCTION) {
        if place == wanted {
            place.copy_from_slice(&instruction(KERNEL_FUNCTION, function));
            calls += 1;
        }
    }
    calls
}

fn instruction(registers: u8, number: u32) -> [u8; INSTRUCTION] {
    let [a, b, c, d] = number.to_ne_bytes();
    [CALL, registers, 0, 0, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_calls_are_replaced() {
        let mut object = Vec::new();
        let other = instruction(0, 5);
        for each in [other, instruction(0, CAST_CALL), other] {
            object.extend(each);
        }
        assert_eq!(put(&mut object, 0x0102), 1);
        assert_eq!(object[..8], other);
        assert_eq!(object[8..16], instruction(KERNEL_FUNCTION, 0x0102));
        assert_eq!(object[16..], other);
    }
}
