//! How deep a text is nested, before anything recursive reads it: the parser has no limit of its own, and ends the
//! program where the stack does.

/// Most brackets that are open at one time.
const BRACKETS_MAX: usize = 32;

/// Most operators in one rule. Entries of lists are none.
const OPERATORS_MAX: usize = 400;

/// Operators that are words.
const WORDS: [&[u8]; 5] = [b"if", b"in", b"is", b"like", b"has"];

/// What is too deep, with the line it is in.
pub(super) fn problem(text: &str) -> Option<String> {
    let (mut line, mut brackets, mut operators) = (1, 0_usize, 0);
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\n' => line += 1,
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\n' => line += 1,
                        b'\\' => drop(bytes.next()),
                        _ => {}
                    }
                }
            }
            // To Cedar it ends a comment, to people it does not.
            b'\r' if bytes.peek() != Some(&b'\n') => {
                return Some(format!("line {line}: a carriage return that ends no line"));
            }
            b'/' if bytes.peek() == Some(&b'/') => {
                while bytes
                    .next_if(|byte| !matches!(byte, b'\n' | b'\r'))
                    .is_some()
                {}
            }
            b'[' => {
                brackets += 1;
                // It may take a member out of what is before it.
                operators += 1;
            }
            b'(' | b'{' => brackets += 1,
            b')' | b']' | b'}' => brackets = brackets.saturating_sub(1),
            b';' => operators = 0,
            b'&' | b'|' | b'=' | b'<' | b'>' | b'!' | b'+' | b'-' | b'*' | b'.' => operators += 1,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let mut word = vec![byte];
                let of_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
                while let Some(byte) = bytes.next_if(of_word) {
                    word.push(byte);
                }
                operators += usize::from(WORDS.contains(&&*word));
            }
            _ => {}
        }
        if brackets > BRACKETS_MAX {
            return Some(format!(
                "line {line}: more than {BRACKETS_MAX} brackets are open"
            ));
        }
        if operators > OPERATORS_MAX {
            return Some(format!(
                "line {line}: a rule of more than {OPERATORS_MAX} operators; make it several rules, or a list"
            ));
        }
    }
    None
}
