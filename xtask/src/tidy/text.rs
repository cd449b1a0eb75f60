//! Rules for every text file.

use super::{Finding, source::Source};

/// Parts of paths that exist on one machine only, and hosts that mirrors stand in for. Split, so
/// that this file does not contain them.
const MACHINE: [(&str, &str); 6] = [
    ("/Users", "/"),
    ("/work", "/"),
    ("/root/", "."),
    ("deb.debian", ".org"),
    ("files.pythonhosted", ".org"),
    ("static.rust", "-lang.org"),
];

/// Written by tools, not by us.
const GENERATED: [&str; 3] = ["Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT"];

/// Checks one file.
pub(crate) fn check(source: &Source, findings: &mut Vec<Finding>) {
    if GENERATED.contains(&source.path.as_str()) {
        return;
    }
    for (index, line) in source.text.split('\n').enumerate() {
        if line.ends_with([' ', '\t']) {
            findings.push(Finding::new(
                source,
                index,
                "ends in white space; remove it",
            ));
        }
        if line.contains('\r') {
            findings.push(Finding::new(
                source,
                index,
                "has a carriage return; end lines with \\n",
            ));
        }
        for (start, end) in MACHINE {
            let found = format!("{start}{end}");
            if line.contains(&found) {
                let what =
                    format!("names `{found}`, which is one machine's; say it for every machine");
                findings.push(Finding::new(source, index, what));
            }
        }
    }
    if !source.text.is_empty() && (!source.text.ends_with('\n') || source.text.ends_with("\n\n")) {
        let last = source.text.lines().count().saturating_sub(1);
        findings.push(Finding::new(
            source,
            last,
            "does not end in exactly one line feed",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        let mut findings = Vec::new();
        check(&Source::new("a.md".into(), text.into()), &mut findings);
        findings.into_iter().map(|one| one.line).collect()
    }

    #[test]
    fn white_space_and_line_ends() {
        assert_eq!(lines("a\nb\n"), [0; 0]);
        assert_eq!(lines("a \nb\r\nc"), [1, 2, 3]);
    }

    #[test]
    fn machine_paths() {
        assert_eq!(lines(&format!("see {}{}x\n", "/work", "/")), [1]);
    }
}
