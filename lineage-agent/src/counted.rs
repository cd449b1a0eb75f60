//! Numbers with the word for what they count, as people write them.

use std::fmt::Display;

/// `1 record`, `12 003 records`.
pub(crate) fn counted<N: Display + PartialEq + From<u8>>(
    number: N,
    one: &str,
    many: &str,
) -> String {
    let what = if number == N::from(1) { one } else { many };
    format!("{} {what}", grouped(number))
}

/// A whole number with its digits in groups of three.
pub(crate) fn grouped(number: impl Display) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped() {
        let numbers = [0, 999, 1000, 12_003, 1_234_567];
        assert_eq!(
            numbers.map(grouped),
            ["0", "999", "1 000", "12 003", "1 234 567"]
        );
    }

    #[test]
    fn one_is_not_many() {
        let processes = |number: usize| counted(number, "process", "processes");
        assert_eq!(
            [0, 1, 2, 1001].map(processes),
            ["0 processes", "1 process", "2 processes", "1 001 processes"]
        );
    }
}
