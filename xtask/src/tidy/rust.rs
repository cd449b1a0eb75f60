//! Rules for Rust: size, shape, and what must not be left in.

use super::{Finding, source::Source};

/// Lines of code of a file: documentation, blank lines and tests at its end do not count.
const FILE_LINES_MAX: usize = 400;
/// Lines of a function from its signature to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Files that are longer for a reason, with a limit of their own.
const LONGER_FILES: [(&str, usize, &str); 0] = [];

/// Functions that are longer for a reason.
const LONGER_FUNCTIONS: [(&str, &str, &str); 0] = [];

/// Left over from writing; each with what belongs there instead.
const LEFTOVERS: [(&str, &str); 5] = [
    ("todo!(", "is not finished; finish it"),
    ("unimplemented!(", "is not finished; finish it"),
    ("dbg!(", "is a print for debugging; remove it"),
    ("#[ignore", "hides a test; make it run or remove it"),
    (
        "thread::sleep(",
        "waits for time; wait for the thing itself",
    ),
];

/// Where a leftover is none.
const NOT_LEFT_OVER: [(&str, &str, &str); 2] = [
    (
        "tests/src/wait.rs",
        "thread::sleep(",
        "the one place that looks again and again, for conditions that announce themselves in no way",
    ),
    (
        "lineage-agent/src/probe/tracking.rs",
        "thread::sleep(",
        "a kernel without global membarrier has no other way to let running probes end",
    ),
];

/// Checks one file.
pub(crate) fn check(source: &Source, findings: &mut Vec<Finding>) {
    if !source.path.ends_with(".rs") {
        return;
    }
    starts_with_its_doc(source, findings);
    file_length(source, findings);
    function_lengths(source, findings);
    leftovers(source, findings);
    unsafe_code(source, findings);
}

fn starts_with_its_doc(source: &Source, findings: &mut Vec<Finding>) {
    let documented = source.text.starts_with("//!");
    // Tests in a file of their own say in their names what they are.
    if !documented && !is_test_file(&source.path) {
        findings.push(Finding::new(
            source,
            0,
            "has no `//!` doc; say what the file is for",
        ));
    }
}

fn file_length(source: &Source, findings: &mut Vec<Finding>) {
    if is_test_file(&source.path) {
        return;
    }
    let limit = LONGER_FILES
        .iter()
        .find(|(path, ..)| *path == source.path)
        .map_or(FILE_LINES_MAX, |(_, limit, _)| *limit);
    let code = source.code[..source.tests_start()].iter().enumerate();
    let mut lines = code.filter(|(_, line)| !line.trim().is_empty());
    if let Some((first_too_many, _)) = lines.nth(limit) {
        let length = limit + 1 + lines.count();
        let what = format!("has {length} lines of code, {limit} are the limit; split it");
        findings.push(Finding::new(source, first_too_many, what));
    }
}

fn function_lengths(source: &Source, findings: &mut Vec<Finding>) {
    let mut start: Option<(usize, String, String)> = None;
    for (index, line) in source.code.iter().enumerate() {
        if let Some((from, closing, name)) = &start {
            if line == closing || line.ends_with(';') && line.len() < closing.len() {
                let length = index - from + 1;
                let reasoned = LONGER_FUNCTIONS
                    .iter()
                    .any(|(path, function, _)| *path == source.path && function == name);
                if length > FUNCTION_LINES_MAX && !reasoned {
                    let what = format!(
                        "`{name}` has {length} lines, {FUNCTION_LINES_MAX} are the limit; split it"
                    );
                    findings.push(Finding::new(source, *from, what));
                }
                start = None;
            }
        } else if let Some(name) = function_name(line)
            && !line.trim_end().ends_with(['}', ';'])
        {
            let indent = line.len() - line.trim_start().len();
            start = Some((index, format!("{}}}", " ".repeat(indent)), name.to_owned()));
        }
    }
}

/// The name of the function that a line starts.
fn function_name(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    loop {
        match words.next()? {
            "fn" => return words.next()?.split(['(', '<']).next(),
            "pub" | "const" | "async" | "unsafe" | "extern" => {}
            // The blanked `"C"` vanishes; `pub(crate)` and `pub(in …)` stay.
            word if word.starts_with("pub(") => {}
            _ => return None,
        }
    }
}

fn leftovers(source: &Source, findings: &mut Vec<Finding>) {
    for (index, line) in source.code.iter().enumerate() {
        for (leftover, what) in LEFTOVERS {
            let reasoned = NOT_LEFT_OVER
                .iter()
                .any(|(path, allowed, _)| *path == source.path && *allowed == leftover);
            if line.contains(leftover) && !reasoned {
                findings.push(Finding::new(source, index, format!("`{leftover}` {what}")));
            }
        }
    }
}

/// Every block says why it is sound. Clippy checks what it compiles; this checks every target.
fn unsafe_code(source: &Source, findings: &mut Vec<Finding>) {
    let lines: Vec<&str> = source.text.lines().collect();
    for (index, code) in source.code.iter().enumerate() {
        let block = code.contains("unsafe {") || code.trim_start().starts_with("unsafe impl");
        if block && !has_reason(&lines, index) {
            let what = "is unsafe without `// SAFETY:` above it; say why it is sound";
            findings.push(Finding::new(source, index, what));
        }
    }
}

/// Whether the statement of line `index`, or the comment above it, has the word.
fn has_reason(lines: &[&str], index: usize) -> bool {
    // A statement may start some lines above its block.
    const STATEMENT_LINES_MAX: usize = 6;
    let mut above = lines[..index].iter().rev();
    for line in above.by_ref().take(STATEMENT_LINES_MAX) {
        let line = line.trim();
        if line.starts_with("// SAFETY:") {
            return true;
        }
        if line.starts_with("//") {
            break;
        }
        if line.ends_with([';', '}']) {
            return false;
        }
    }
    above
        .take_while(|line| line.trim().starts_with("//"))
        .any(|line| line.contains("SAFETY:"))
}

fn is_test_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == "tests.rs"
        || name.ends_with("_tests.rs")
        || path.contains("/tests/")
        || path.starts_with("tests/") && !path.starts_with("tests/src/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(usize, String)> {
        let mut findings = Vec::new();
        check(
            &Source::new("x/src/a.rs".into(), format!("//! A.\n{text}")),
            &mut findings,
        );
        findings
            .into_iter()
            .map(|one| (one.line, one.what))
            .collect()
    }

    #[test]
    fn leftovers_are_found_in_code_only() {
        assert_eq!(found("// todo!()\nfn f() { g(\"todo!()\") }\n"), []);
        assert_eq!(found("fn f() { todo!() }\n").len(), 1);
    }

    #[test]
    fn unsafe_needs_its_reason() {
        assert_eq!(
            found("fn f() {\n    // SAFETY: it is.\n    unsafe { g() }\n}\n"),
            []
        );
        assert_eq!(
            found(
                "fn f() {\n    // SAFETY: it\n    // is.\n    let x =\n        unsafe { g() };\n}\n"
            ),
            []
        );
        assert_eq!(found("fn f() {\n    unsafe { g() }\n}\n")[0].0, 3);
        let other = "fn f() {\n    // SAFETY: x\n    unsafe { g() };\n    unsafe { g() }\n}\n";
        assert_eq!(found(other)[0].0, 5);
    }

    #[test]
    fn long_functions_and_files_are_found() {
        let long = format!("pub(crate) fn f() {{\n{}}}\n", "    g();\n".repeat(70));
        assert!(found(&long)[0].1.contains("`f` has 72 lines"));
        assert!(
            found(&"const A: u8 = 1;\n".repeat(FILE_LINES_MAX + 1))[0]
                .1
                .contains("401 lines")
        );
        let tests = format!(
            "#[cfg(test)]\nmod tests {{\n{}}}\n",
            "// x\n".repeat(FILE_LINES_MAX)
        );
        assert_eq!(found(&tests), []);
    }
}
