//! Who may use whom: the table of ARCHITECTURE.md, "Boundaries", as data.

use super::{Finding, source::Source};

/// A word that only some places may use in code.
struct Reserved {
    /// Words of which none may appear elsewhere.
    words: &'static [&'static str],
    /// Where the rule applies, by the start of the path.
    within: &'static str,
    /// Where the words may appear, by the start of the path.
    allowed: &'static [&'static str],
    /// Why, and what to do instead.
    why: &'static str,
}

const AGENT: &str = "lineage-agent/src/";
const PURE: &str = "lineage-agent/src/lineage/";

const RESERVED: &[Reserved] = &[
    Reserved {
        words: &["aya", "aya_obj"],
        within: AGENT,
        allowed: &["lineage-agent/src/probe/"],
        why: "only probe/ talks to the kernel's BPF; give it a function that does",
    },
    Reserved {
        words: &[
            "parquet",
            "arrow_array",
            "arrow_schema",
            "blake3",
            "ed25519_dalek",
        ],
        within: AGENT,
        allowed: &["lineage-agent/src/evidence/"],
        why: "only evidence/ hashes, signs and knows the file format; use what it offers",
    },
    Reserved {
        words: &["cedar_policy", "miette"],
        within: AGENT,
        allowed: &["lineage-agent/src/authority/policy/"],
        why: "only authority/policy/ knows Cedar; use what it offers",
    },
    Reserved {
        words: &["clap"],
        within: AGENT,
        allowed: &[
            "lineage-agent/src/cli.rs",
            "lineage-agent/src/cli/",
            "lineage-agent/src/main.rs",
        ],
        why: "only cli knows how the command line is parsed; pass values",
    },
    Reserved {
        words: &[
            "tokio",
            "SystemTime",
            "Instant",
            "TcpStream",
            "UdpSocket",
            "rand",
            "getrandom",
            "thread",
        ],
        within: PURE,
        allowed: &[],
        why: "lineage/ is pure: the same frames give the same records; pass the value in",
    },
    Reserved {
        words: &["std::fs", "fs::File", "std::env", "rustix"],
        within: PURE,
        allowed: &[],
        why: "lineage/ is pure: the same frames give the same records; pass the value in",
    },
];

/// Which parts of the agent each part may use. Parts that are not listed may use everything.
const PARTS: &[(&str, &[&str])] = &[
    ("cli", &[]),
    ("authority", &["authority", "evidence"]),
    ("event", &[]),
    ("batch", &[]),
    ("decisions", &["counted"]),
    ("glob", &[]),
    ("host", &["event", "evidence", "clock"]),
    ("probe", &["batch", "event", "clock", "probe"]),
    (
        "lineage",
        &[
            "batch", "event", "evidence", "glob", "lineage", "names", "clock",
        ],
    ),
    ("evidence", &["event", "evidence", "lineage", "clock"]),
    (
        "verify",
        &[
            "authority",
            "counted",
            "decisions",
            "evidence",
            "verify",
            "names",
        ],
    ),
    (
        "review",
        &["counted", "evidence", "glob", "review", "names"],
    ),
];

/// Checks one file.
pub(crate) fn check(source: &Source, findings: &mut Vec<Finding>) {
    for rule in RESERVED {
        if source.path.starts_with(rule.within)
            && !rule
                .allowed
                .iter()
                .any(|place| source.path.starts_with(place))
        {
            reserved(source, rule, findings);
        }
    }
    if let Some(rest) = source.path.strip_prefix(AGENT) {
        let part = rest.split(['/', '.']).next().unwrap_or(rest);
        if let Some((part, allowed)) = PARTS.iter().find(|(name, _)| *name == part) {
            other_parts(source, part, allowed, findings);
        }
    }
    if source.path.starts_with(PURE) {
        hash_order(source, findings);
    }
}

fn reserved(source: &Source, rule: &Reserved, findings: &mut Vec<Finding>) {
    for (index, line) in tested(source) {
        for word in rule.words {
            if has_word(line, word) {
                findings.push(Finding::new(
                    source,
                    index,
                    format!("names `{word}`: {}", rule.why),
                ));
            }
        }
    }
}

fn other_parts(source: &Source, part: &str, allowed: &[&str], findings: &mut Vec<Finding>) {
    for (index, line) in tested(source) {
        for used in line.split("crate::").skip(1) {
            let used = used
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap_or_default();
            if !used.is_empty() && used != part && !allowed.contains(&used) {
                let what = format!(
                    "{part} uses `{used}`, which is not below it; move it down or pass the value in"
                );
                findings.push(Finding::new(source, index, what));
            }
        }
    }
}

/// The order of a hash map is another one in every run.
fn hash_order(source: &Source, findings: &mut Vec<Finding>) {
    let names: Vec<&str> = source
        .code
        .iter()
        .filter(|line| line.contains("HashMap") || line.contains("HashSet"))
        .filter_map(|line| {
            let before = line.split([':', '=']).next()?;
            before
                .split_whitespace()
                .last()
                .filter(|name| has_word(before, name))
        })
        .collect();
    for (index, line) in tested(source) {
        for name in &names {
            let walks = [
                ".iter()",
                ".iter_mut()",
                ".keys()",
                ".values()",
                ".drain(",
                ".retain(",
                ".into_iter()",
            ]
            .iter()
            .any(|call| line.contains(&format!("{name}{call}")));
            let looped = line.trim_start().starts_with("for ")
                && line.trim_end_matches([' ', '{']).ends_with(*name)
                && line.contains(" in ");
            if walks || looped {
                let what = format!(
                    "walks the hash map `{name}`, whose order is not fixed; use a BTreeMap"
                );
                findings.push(Finding::new(source, index, what));
            }
        }
    }
}

/// Lines of code that are not tests.
fn tested(source: &Source) -> impl Iterator<Item = (usize, &String)> {
    let is_test = source.path.ends_with("tests.rs");
    let end = if is_test { 0 } else { source.tests_start() };
    source.code[..end].iter().enumerate()
}

/// Whether code names a word, not as part of another.
fn has_word(line: &str, word: &str) -> bool {
    let boundary = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        // After a dot it is a field, not a path.
        before != Some('.') && boundary(before) && boundary(line[at + word.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        let mut findings = Vec::new();
        check(&Source::new(path.into(), text.into()), &mut findings);
        findings.len()
    }

    #[test]
    fn libraries_stay_where_they_belong() {
        assert_eq!(
            found("lineage-agent/src/probe/attach.rs", "use aya::Ebpf;\n"),
            0
        );
        assert_eq!(
            found("lineage-agent/src/commands/record.rs", "use aya::Ebpf;\n"),
            1
        );
        assert_eq!(
            found(
                "lineage-agent/src/commands/record.rs",
                "let layaway = 1; // aya\n"
            ),
            0
        );
    }

    #[test]
    fn data_moves_one_way() {
        assert_eq!(
            found(
                "lineage-agent/src/review/ls.rs",
                "use crate::evidence::Record;\n"
            ),
            0
        );
        assert_eq!(
            found(
                "lineage-agent/src/evidence/seal.rs",
                "use crate::review::ls;\n"
            ),
            1
        );
    }

    #[test]
    fn the_pure_part_is_pure() {
        let path = "lineage-agent/src/lineage/process.rs";
        assert_eq!(found(path, "let now = SystemTime::now();\n"), 1);
        assert_eq!(
            found(path, "map: HashMap<u32, u32>,\nself.map.get(&1)\n"),
            0
        );
        assert_eq!(
            found(
                path,
                "map: HashMap<u32, u32>,\nfor x in self.map.values() {\n"
            ),
            1
        );
        assert_eq!(
            found(path, "let map = HashMap::new();\nfor x in &map {\n"),
            1
        );
    }
}
