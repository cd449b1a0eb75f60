//! Numbers in as few bytes as they need: LEB128, the signed ones as distances, zigzag
//! (<https://protobuf.dev/programming-guides/encoding>).

/// Appends a number.
pub(super) fn push(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number from the front; none when it does not end, or is none of 64 bits.
pub(super) fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Appends a number as its distance from another one.
pub(super) fn push_signed(number: u64, base: u64, out: &mut Vec<u8>) {
    let distance = number.wrapping_sub(base).cast_signed();
    push((distance << 1 ^ distance >> 63).cast_unsigned(), out);
}

/// Takes a number that was pushed with the same `base`.
pub(super) fn take_signed(base: u64, rest: &mut &[u8]) -> Option<u64> {
    let zigzag = take(rest)?;
    let distance = zigzag >> 1 ^ (zigzag & 1).wrapping_neg();
    Some(base.wrapping_add(distance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let numbers = [0, 1, 127, 128, 1 << 32, u64::MAX - 1, u64::MAX];
        for number in numbers {
            for base in numbers {
                let mut bytes = Vec::new();
                push(number, &mut bytes);
                push_signed(number, base, &mut bytes);
                let mut rest = &bytes[..];
                assert_eq!(take(&mut rest), Some(number));
                assert_eq!(take_signed(base, &mut rest), Some(number));
                assert!(rest.is_empty());
            }
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        assert_eq!(take(&mut &[][..]), None);
        assert_eq!(take(&mut &[0x80][..]), None);
        assert_eq!(take(&mut &[0xff; 11][..]), None);
        let mut large = vec![0xff; 9];
        large.push(2);
        assert_eq!(take(&mut &large[..]), None);
    }
}
