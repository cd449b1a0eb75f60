//! A file, and for Rust the same lines without comments and without what is inside of literals, so
//! that a rule about code does not stumble over prose.

/// One file of the repository.
pub(crate) struct Source {
    /// From the root, with `/`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
    /// For Rust: line by line, comments and the inside of literals blanked. Empty otherwise.
    pub(crate) code: Vec<String>,
}

impl Source {
    /// Takes a file in.
    pub(crate) fn new(path: String, text: String) -> Self {
        let code = if path.ends_with(".rs") {
            blanked(&text).lines().map(str::to_owned).collect()
        } else {
            Vec::new()
        };
        Self { path, text, code }
    }

    /// The first line of the tests at the end of a file, or the number of lines.
    pub(crate) fn tests_start(&self) -> usize {
        self.code
            .iter()
            .position(|line| line.trim() == "#[cfg(test)]")
            .filter(|at| self.code.get(at + 1).is_some_and(|next| next.contains('{')))
            .unwrap_or(self.code.len())
    }
}

/// What the lexer is inside of.
#[derive(Clone, Copy)]
enum Inside {
    Code,
    LineComment,
    BlockComment(usize),
    Text,
    RawText(usize),
}

fn blanked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut inside = Inside::Code;
    let mut at = 0;
    while let Some(&here) = chars.get(at) {
        let rest = &chars[at..];
        let (next, length) = step(inside, rest);
        let keep = matches!((inside, next), (Inside::Code, Inside::Code));
        for &one in &rest[..length.min(rest.len())] {
            out.push(if keep || one == '\n' { one } else { ' ' });
        }
        debug_assert!(length > 0, "the lexer moves on at {here}");
        inside = next;
        at += length;
    }
    out
}

/// What comes after the next token, and how many characters it has.
fn step(inside: Inside, rest: &[char]) -> (Inside, usize) {
    let starts = |with: &str| {
        with.chars()
            .enumerate()
            .all(|(i, c)| rest.get(i) == Some(&c))
    };
    match inside {
        Inside::Code if starts("//") => (Inside::LineComment, 2),
        Inside::Code if starts("/*") => (Inside::BlockComment(1), 2),
        Inside::Code if starts("\"") => (Inside::Text, 1),
        Inside::Code if starts("'\\") => (Inside::Code, character(rest)),
        Inside::Code if starts("'") && rest.get(2) == Some(&'\'') => (Inside::Code, 3),
        Inside::Code if starts("r\"") || starts("r#") => raw(rest),
        // A name that ends in `r` does not start a raw string.
        Inside::Code => (Inside::Code, word(rest)),
        Inside::LineComment if starts("\n") => (Inside::Code, 1),
        Inside::BlockComment(1) if starts("*/") => (Inside::Code, 2),
        Inside::BlockComment(depth) if starts("*/") => (Inside::BlockComment(depth - 1), 2),
        Inside::BlockComment(depth) if starts("/*") => (Inside::BlockComment(depth + 1), 2),
        Inside::Text if starts("\\") => (Inside::Text, 2),
        Inside::Text if starts("\"") => (Inside::Code, 1),
        Inside::RawText(hashes) if starts(&format!("\"{}", "#".repeat(hashes))) => {
            (Inside::Code, 1 + hashes)
        }
        other => (other, 1),
    }
}

fn character(rest: &[char]) -> usize {
    // After the escaped character, which may be a quote itself.
    rest.iter()
        .skip(3)
        .position(|&c| c == '\'')
        .map_or(2, |at| at + 4)
}

fn raw(rest: &[char]) -> (Inside, usize) {
    let hashes = rest[1..].iter().take_while(|&&c| c == '#').count();
    if rest.get(1 + hashes) == Some(&'"') {
        (Inside::RawText(hashes), 2 + hashes)
    } else {
        // `r#type`: an identifier.
        (Inside::Code, 1)
    }
}

fn word(rest: &[char]) -> usize {
    let is_word = |c: &&char| c.is_alphanumeric() || **c == '_';
    // `br"…"` is a raw string as well: its `b` stands alone.
    if rest[0] == 'b' && matches!(rest.get(1), Some('r' | '"' | '\'')) {
        return 1;
    }
    rest.iter().take_while(is_word).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::blanked;

    #[track_caller]
    fn check(text: &str, code: &str) {
        assert_eq!(blanked(text), code);
    }

    #[test]
    fn comments_are_blank() {
        check("a // b\nc", "a     \nc");
        check("a /* b /* c */ d */ e", "a                   e");
    }

    #[test]
    fn literals_are_blank() {
        check(r#"f("x // \" y") + 1"#, "f(           ) + 1");
        check("r#\"a\"b\"# ; br\"x\"; r#type", "         ; b    ; r#type");
    }

    #[test]
    fn a_quote_is_not_a_lifetime() {
        check(
            "'\"' \"a\" 'x &'a str '\\'' \"b\"",
            "'\"'     'x &'a str '\\''    ",
        );
    }

    #[test]
    fn lines_stay_lines() {
        check("\"a\nb\" c", "  \n   c");
    }
}
