//! Documents: every link leads somewhere, every file they name exists.

use std::collections::BTreeSet;

use super::{Finding, source::Source};
use crate::paths;

/// Checks all Markdown files against all files.
pub(crate) fn check(sources: &[Source], findings: &mut Vec<Finding>) {
    let top: BTreeSet<&str> = sources
        .iter()
        .filter_map(|source| source.path.split_once('/'))
        .map(|(dir, _)| dir)
        .collect();
    for source in sources.iter().filter(|source| source.path.ends_with(".md")) {
        let mut fenced = false;
        for (index, line) in source.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            }
            if fenced {
                continue;
            }
            for link in links(line) {
                if let Some(what) = broken(source, link, sources) {
                    findings.push(Finding::new(source, index, what));
                }
            }
            for path in named_files(line, &top) {
                if !exists(path) {
                    let what = format!("names `{path}`, which does not exist; name what does");
                    findings.push(Finding::new(source, index, what));
                }
            }
        }
    }
}

/// What is wrong with a link; other sites are not asked.
fn broken(source: &Source, link: &str, sources: &[Source]) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let path = if file.is_empty() {
        source.path.clone()
    } else {
        resolve(&source.path, file)
    };
    if !file.is_empty() && !exists(&path) {
        return Some(format!(
            "links to `{path}`, which does not exist; link to what does"
        ));
    }
    let target = sources.iter().find(|one| one.path == path)?;
    let lost =
        !anchor.is_empty() && path.ends_with(".md") && !anchors(&target.text).contains(anchor);
    lost.then(|| format!("links to `#{anchor}`, which {path} has no heading for"))
}

/// A link's path from the root of the repository.
fn resolve(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn exists(path: &str) -> bool {
    paths::root().join(path).exists()
}

/// The targets of `[text](target)`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next())
}

/// Paths of the repository in code marks: they start with one of its directories.
fn named_files<'a>(line: &'a str, top: &BTreeSet<&str>) -> Vec<&'a str> {
    line.split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| {
            code.split_once('/')
                .is_some_and(|(dir, _)| top.contains(dir))
                && code
                    .chars()
                    .all(|c| c.is_alphanumeric() || "/._-".contains(c))
        })
        .collect()
}

/// The anchors of a document's headings, made the way forges make them.
fn anchors(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let sources = [
            Source::new("docs/a.md".into(), text.into()),
            Source::new("xtask/src/main.rs".into(), "//! X.\n".into()),
        ];
        let mut findings = Vec::new();
        check(&sources, &mut findings);
        findings.into_iter().map(|one| one.what).collect()
    }

    #[test]
    fn links_lead_somewhere() {
        assert_eq!(
            found("# One two\n[x](../Cargo.toml) [y](#one-two) [z](https://example.org)\n"),
            [""; 0]
        );
        assert_eq!(found("[x](nothing.md)\n").len(), 1);
        assert_eq!(found("[x](../README-not.md#a)\n").len(), 1);
    }

    #[test]
    fn named_files_exist() {
        assert_eq!(found("`xtask/src/main.rs` and `either/or`\n"), [""; 0]);
        assert_eq!(found("`xtask/src/not.rs`\n").len(), 1);
        assert_eq!(found("```\n`xtask/src/not.rs`\n```\n"), [""; 0]);
    }
}
