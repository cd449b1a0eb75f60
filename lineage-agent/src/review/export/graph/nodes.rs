//! What is said of a node, and what names it in every export.

use serde_json::Value as Json;

use super::{Context, Node, NodeKind};
use crate::evidence::schema::Record;
use crate::evidence::text::hex;
use crate::evidence::{digest, kinds};
use crate::review::export::program::{Program, ProgramId};
use crate::review::filter::endpoint;
use crate::review::text::{arguments, quoted};

/// Most characters of a command line in a node.
const COMMAND_CHARS_MAX: usize = 1024;

/// The beginning of a digest: enough to tell nodes apart.
pub(super) fn short(text: &str) -> String {
    hex(&digest::of(text.as_bytes())[..10])
}

/// The name of a program's node, by which it is the same in every export.
fn program_id(id: &ProgramId) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if id.uid.len() <= 36 && !id.uid.is_empty() && id.uid.bytes().all(plain) {
        format!("program-{}-{}", id.uid, id.exec)
    } else {
        format!("program-x{}-{}", short(&id.uid), id.exec)
    }
}

pub(super) fn program_node(program: &Program<Option<usize>>, argv: Option<&str>) -> Node {
    let name = program.name();
    let label = match program.pid {
        Some(pid) => format!("{name} {pid}"),
        None => name.to_owned(),
    };
    let mut texts = vec![
        ("process_uid", program.id.uid.to_string()),
        ("lineage", program.lineage.to_string()),
    ];
    if !program.exe.is_empty() {
        texts.push(("exe", program.exe.to_string()));
    }
    if let Some(argv) = argv {
        let words: Vec<String> = arguments(argv)
            .iter()
            .map(|word| quoted(word).into_owned())
            .collect();
        let line = words.join(" ").chars().take(COMMAND_CHARS_MAX).collect();
        texts.push(("command", line));
    }
    let exec = i64::try_from(program.id.exec).unwrap_or(i64::MAX);
    let mut numbers = vec![("exec", exec)];
    numbers.extend(program.pid.map(|pid| ("pid", pid)));
    Node {
        kind: NodeKind::Program,
        id: program_id(&program.id).into(),
        label,
        began_ns: program.began_ns,
        ended_ns: None,
        texts,
        numbers,
    }
}

pub(super) fn file_node(id: String, record: &Record<'_>) -> Node {
    let path = match record.kind {
        Some(kinds::PROCESS_EXEC) => record.exe,
        _ => record.path,
    };
    let (dev, ino) = (
        record.dev.unwrap_or_default(),
        record.ino.unwrap_or_default(),
    );
    let label = path.map_or_else(|| format!("inode {dev}/{ino}"), str::to_owned);
    let numbers = [
        ("dev", record.dev),
        ("ino", record.ino),
        ("generation", record.generation),
        ("size", record.size),
        ("mtime_ns", record.mtime_ns),
        ("ctime_ns", record.ctime_ns),
    ];
    Node {
        kind: NodeKind::File,
        id: id.into(),
        label,
        began_ns: record.time_ns.unwrap_or_default(),
        ended_ns: None,
        texts: path
            .map(|path| ("path", path.to_owned()))
            .into_iter()
            .collect(),
        numbers: numbers
            .into_iter()
            .filter_map(|(name, number)| Some((name, number?)))
            .collect(),
    }
}

pub(super) fn connection_node(id: String, record: &Record<'_>, peer: Option<String>) -> Node {
    let local = record.local_addr.map(|it| endpoint(it, record.local_port));
    let transport = record.transport.unwrap_or_default();
    let shown = peer.as_deref().or(local.as_deref()).unwrap_or("socket");
    let label = format!("{shown} {transport}");
    let mut texts = vec![("transport", transport.to_owned())];
    texts.extend(local.map(|local| ("local", local)));
    texts.extend(peer.map(|peer| ("peer", peer)));
    Node {
        kind: NodeKind::Connection,
        id: id.into(),
        label,
        began_ns: record.time_ns.unwrap_or_default(),
        ended_ns: None,
        texts,
        numbers: record.ino.map(|ino| ("ino", ino)).into_iter().collect(),
    }
}

/// What a context says; a document that is missing or malformed says nothing but whose it is.
pub(super) fn context_of(lineage: &str, document: Option<&[u8]>) -> Context {
    let document: Json = document
        .and_then(|bytes| serde_json::from_slice(bytes).ok())
        .unwrap_or_default();
    let digest = |value: &Json| {
        let text = value.as_str()?;
        let known = text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit());
        known.then(|| text.to_owned())
    };
    let grants = document["grants"].as_array();
    Context {
        lineage: lineage.into(),
        grants: grants
            .map(|grants| grants.iter().filter_map(digest).collect())
            .unwrap_or_default(),
        policy: digest(&document["policy"]),
    }
}
