//! What the kernel decides is what Cedar says, and the table as user space reads it: over random policies, of which one
//! recording asks hundreds of questions.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use lineage_agent::authority::policy::{
    Compiled, compile,
    engine::{Engine, Object},
    profile::Target,
    source::{Schema, Source},
};
use lineage_common::policy::{Operation, Protocol, Resource, Ruling};
use lineage_tests::recorder::Recorder;
use lineage_tests::rows::Row;
use serde_json::json;

/// Policies, each in a recording of its own.
const ROUNDS: u64 = 6;
/// Connections asked for in each.
const CONNECTIONS: usize = 250;

/// Numbers that follow from a seed: xorshift64* (Marsaglia, "Xorshift RNGs").
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).expect("31 bits") % limit
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }

    /// A condition, of atoms that `atom` makes.
    fn condition(&mut self, depth: usize, atom: &impl Fn(&mut Self) -> String) -> String {
        if depth == 0 {
            return atom(self);
        }
        let next = |random: &mut Self| random.condition(depth - 1, atom);
        match self.below(5) {
            0 => format!("({} && {})", next(self), next(self)),
            1 => format!("({} || {})", next(self), next(self)),
            2 => format!("!({})", next(self)),
            3 => format!(
                "(if {} then {} else {})",
                next(self),
                next(self),
                next(self)
            ),
            _ => atom(self),
        }
    }
}

/// A path of few and short names, so that they often begin alike, below `root`.
fn path(random: &mut Random, root: &str) -> String {
    let names = ["a", "b", "ab", "ba"];
    let depth = random.below(4);
    (0..depth).fold(root.to_owned(), |path, _| {
        format!("{path}/{}", random.of(&names))
    })
}

fn about_paths(random: &mut Random, root: &str) -> String {
    let path = path(random, root);
    match random.below(5) {
        0 => format!("resource.path == \"{path}\""),
        1 => format!("resource.path != \"{path}\""),
        2 => format!("[\"{path}\", \"{path}/a\"].contains(resource.path)"),
        3 => format!("resource.path like \"{path}/*\""),
        _ => format!("resource.path like \"{path}*\""),
    }
}

fn about_ends(random: &mut Random) -> String {
    let (last, bits, port) = (random.below(5), 24 + random.below(9), random.below(7));
    match random.below(5) {
        0 => format!("resource.address.isInRange(ip(\"127.0.0.{last}/{bits}\"))"),
        1 => format!("resource.address == ip(\"127.0.0.{last}\")"),
        2 => format!(
            "resource.port {} {port}",
            random.of(&["==", "!=", "<", "<=", ">", ">="])
        ),
        3 => format!("resource.protocol == \"{}\"", random.of(&["tcp", "udp"])),
        _ => "resource.address.isIpv4()".to_owned(),
    }
}

/// A policy under which the actor runs.
fn policy(random: &mut Random, root: &str) -> String {
    let mut text = "permit (principal, action == Action::\"exec\", resource);\n".to_owned();
    for (kind, actions) in [
        (
            "File",
            &[
                "action",
                "action == Action::\"read\"",
                "action in Action::\"modify\"",
            ][..],
        ),
        ("Endpoint", &["action", "action == Action::\"connect\""][..]),
    ] {
        for _ in 0..2 + random.below(6) {
            let effect = random.of(&["permit", "permit", "forbid"]);
            let (action, clause) = (random.of(actions), random.of(&["when", "unless"]));
            let condition = if kind == "File" {
                random.condition(2, &|random| about_paths(random, root))
            } else {
                random.condition(2, &about_ends)
            };
            let _ = writeln!(
                text,
                "{effect} (principal, {action}, resource is {kind}) {clause} {{ {condition} }};"
            );
        }
    }
    text
}

/// Files at the root and in directories below; their paths.
fn files(root: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    let names = ["a", "b", "ab", "ba"];
    for first in names {
        for second in names {
            let directory = root.join(first).join(second);
            fs::create_dir_all(&directory).expect("writable");
            for third in ["a", "ab", "c"] {
                paths.push(directory.join(third));
            }
        }
        paths.push(root.join(first).join("c"));
    }
    paths.push(root.join("aa"));
    for path in &paths {
        fs::write(path, "").expect("writable");
    }
    paths
        .iter()
        .map(|path| path.display().to_string())
        .collect()
}

/// Both who must say the same.
struct Oracle {
    engine: Engine,
    compiled: Compiled,
}

impl Oracle {
    fn new(text: &str) -> Self {
        let schema = Arc::new(Schema::new());
        let source = Source::parse("p.cedar", text.as_bytes(), &schema);
        let levels = vec![vec![
            source.unwrap_or_else(|error| panic!("{error}\n{text}")),
        ]];
        let compiled = compile(&levels, &schema).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let engine = Engine::new(&levels, schema).expect("one level");
        Self { engine, compiled }
    }

    /// Fails unless the record says of the operations what both do.
    fn compare(&self, row: &Row, operations: &[Operation], object: &Object, context: &str) {
        let mut last = None;
        for operation in operations {
            let resource = match object {
                Object::Path(_) => Resource::File,
                Object::Endpoint { .. } => Resource::Endpoint,
            };
            let target = Target {
                operation: *operation,
                resource,
            };
            let ruling = match object {
                Object::Path(path) => self.compiled.table.path(target, path.as_bytes()),
                Object::Endpoint {
                    address,
                    port,
                    protocol,
                } => self
                    .compiled
                    .table
                    .address(*operation, *protocol, *address, *port),
            };
            let ruling = ruling.expect("an entry for everything");
            let answer = self.engine.decide(target, object);
            assert_eq!(ruling.allowed == 1, answer.allowed, "{object:?} {context}");
            last = Some((ruling, answer));
            if ruling.allowed == 0 {
                break;
            }
        }
        let (
            Ruling {
                allowed,
                level,
                rule,
            },
            answer,
        ) = last.expect("an operation");
        let named = self.compiled.rules.get(usize::from(rule));
        let rule = named.map(|rule| rule.name.as_str());
        let said = (
            row.text("verdict"),
            row.int("grant_level"),
            row.get("rule").as_str(),
        );
        let verdict = if allowed == 1 { "allow" } else { "deny" };
        assert_eq!(
            said,
            (verdict, i64::from(level), rule),
            "{object:?} {context}"
        );
        match rule {
            Some(rule) => assert!(answer.rules.iter().any(|name| name == rule), "{context}"),
            None => assert!(answer.rules.is_empty(), "{context}"),
        }
    }
}

#[test]
fn the_kernel_says_what_cedar_says() {
    let given = std::env::var("LINEAGE_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let first: u64 = given.unwrap_or(0x5eed);
    let mut cases = 0;
    for seed in first..first + if given.is_some() { 1 } else { ROUNDS } {
        cases += round(seed);
    }
    assert!(given.is_some() || cases > 2000, "{cases}");
}

/// Ways to open a file, and what each is judged as.
const MODES: [(&str, &[Operation]); 3] = [
    ("O_RDONLY", &[Operation::READ]),
    ("O_WRONLY", &[Operation::WRITE]),
    ("O_RDWR", &[Operation::READ, Operation::WRITE]),
];

fn round(seed: u64) -> usize {
    let random = &mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let recorder = Recorder::new();
    let root = recorder
        .path("")
        .canonicalize()
        .expect("it is there")
        .join("t");
    let paths = files(&root);
    let text = policy(random, &root.display().to_string());
    let context = format!("LINEAGE_SEED={seed}\n{text}");
    let oracle = Oracle::new(&text);
    let recorder = recorder.policy(&text, "audit").best_tier();

    let mut script = String::new();
    for path in &paths {
        for (flags, _) in MODES {
            let _ = write!(script, "open @f {path} {flags} close @f ");
        }
    }
    let mut ends: Vec<SocketAddr> = Vec::new();
    for _ in 0..CONNECTIONS {
        let address = IpAddr::from([127, 0, 0, 1 + u8::try_from(random.below(4)).expect("small")]);
        let port = 1 + u16::try_from(random.below(6)).expect("small");
        ends.push((address, port).into());
        // Half of them by the other spelling of the same address.
        let (family, word) = if random.below(2) == 0 {
            ("inet", format!("{address}"))
        } else {
            ("inet6", format!("[::ffff:{address}]"))
        };
        let _ = write!(
            script,
            "socket @s {family} dgram connect @s {word}:{port} close @s "
        );
    }
    let run = recorder.script(&script);
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());

    let opens = run.rows.all("file.open", &json!({}));
    let mut opens = opens.iter();
    for path in &paths {
        for (_, operations) in MODES {
            let row = opens.find(|row| row.get("path").as_str() == Some(path));
            let row = row.unwrap_or_else(|| panic!("no record of {path}"));
            oracle.compare(row, operations, &Object::Path(path.clone()), &context);
        }
    }
    let connects = run.rows.all("net.connect", &json!({}));
    assert_eq!(connects.len(), ends.len());
    for (row, end) in connects.iter().zip(&ends) {
        let object = Object::Endpoint {
            address: end.ip(),
            port: end.port(),
            protocol: Protocol::UDP,
        };
        oracle.compare(row, &[Operation::CONNECT], &object, &context);
    }
    paths.len() * MODES.len() + ends.len()
}
