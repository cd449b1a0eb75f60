//! The tree as JSON, for programs.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::super::text;
use super::acts::{Act, Outcome};
use super::denials::Denial;
use super::process::{Ending, Process};
use super::usage::{Direction, FileUse, SocketUse};
use super::{Lineage, Tree};

/// Writes one object on one line: `lineages`, `processes` (each after its parent), `lost_frames` and,
/// in words, what else is `missing`.
pub(super) fn write(tree: &Tree, out: &mut impl Write) -> io::Result<()> {
    let lineages: Vec<_> = tree.lineages.iter().map(lineage).collect();
    write!(
        out,
        "{{\"lineages\":{},\"processes\":[",
        Value::from(lineages)
    )?;
    let mut pending: Vec<usize> = Vec::new();
    let mut first = true;
    for roots in tree.lineages.iter().map(|lineage| tree.roots(lineage)) {
        pending.extend(roots.iter().rev());
        while let Some(index) = pending.pop() {
            if !std::mem::replace(&mut first, false) {
                out.write_all(b",")?;
            }
            let process = &tree.processes[index];
            write!(out, "{}", self::process(tree, process))?;
            pending.extend(process.children.iter().rev());
        }
    }
    let missing = tree.missing.iter();
    let missing: Value = missing
        .map(|(what, times)| text::times(what, *times))
        .collect();
    writeln!(
        out,
        "],\"lost_frames\":{},\"missing\":{missing}}}",
        tree.lost
    )
}

fn lineage(lineage: &Lineage) -> Value {
    json!({
        "lineage": &*lineage.id,
        "host": &*lineage.host,
        "first_us": lineage.span.map(|(first, _)| first),
        "last_us": lineage.span.map(|(_, last)| last),
        "records": lineage.records,
        "processes": lineage.processes,
        "opens": lineage.opens,
        "connections": lineage.connections,
        "failed": lineage.failures,
        "denied": lineage.denied,
        "context_changes": lineage.context_changes,
        "records_of_further_processes": lineage.skipped,
    })
}

fn process(tree: &Tree, process: &Process) -> Value {
    let parent = process.parent.map(|parent| &tree.processes[parent]);
    let programs: Vec<_> = process
        .programs
        .iter()
        .map(|program| {
            let digest = tree.digests.of(program.file);
            json!({"exe": program.exe.as_deref(), "argv": program.argv, "blake3": digest})
        })
        .collect();
    let (exit_code, exit_signal) = match process.ending {
        Some(Ending::Status(code)) => (Some(code), None),
        Some(Ending::Signal(signal)) => (None, Some(signal)),
        None => (None, None),
    };
    json!({
        "process_uid": &*process.uid,
        "parent_uid": parent.map(|parent| &*parent.uid),
        "lineage": &*tree.lineages[process.lineage].id,
        "pid": process.pid,
        "comm": &*process.comm,
        "started_us": process.started,
        "ended_us": process.ended,
        "found_running": process.found_running,
        "new_namespaces": process.namespaces,
        "exit_code": exit_code,
        "exit_signal": exit_signal,
        "programs": programs,
        "recognised": process.recognised,
        "threads": process.threads,
        "opens": process.opens,
        "failed": process.failures,
        "failed_execs": process.failed_execs,
        "files": process.files.named.iter().map(|it| file(tree, it)).collect::<Vec<_>>(),
        "further_files": process.files.more,
        "connections": process.sockets.named.iter().map(socket).collect::<Vec<_>>(),
        "further_connections": process.sockets.more,
        "acts": process.acts.named.iter().map(act).collect::<Vec<_>>(),
        "further_acts": process.acts.more,
        "denials": process.denials.named.iter().map(denial).collect::<Vec<_>>(),
        "further_denials": process.denials.more,
    })
}

fn denial(denial: &Denial) -> Value {
    json!({
        "judged": &*denial.judged,
        "effect": &*denial.effect,
        "by": &*denial.by,
        "times": denial.times,
    })
}

fn act(act: &Act) -> Value {
    let error = match act.outcome {
        Outcome::Error(result) => Some(result),
        Outcome::Done | Outcome::Failed => None,
    };
    json!({
        "kind": &*act.kind,
        "target_pid": act.target,
        "by_pid": act.by,
        "path": act.name.as_ref().map(|name| &*name.path),
        "target": act.name.as_ref().and_then(|name| name.target.as_deref()),
        "failed": act.outcome != Outcome::Done,
        "error": error,
        "times": act.times,
    })
}

fn file(tree: &Tree, file: &FileUse) -> Value {
    json!({
        "path": &*file.path,
        "recognised": file.recognised.as_deref(),
        "times": file.times,
        "read": file.reads,
        "written": file.writes,
        "bytes_read": file.bytes_read,
        "bytes_written": file.bytes_written,
        "error": file.error,
        "blake3": tree.digests.of(file.file),
    })
}

fn socket(socket: &SocketUse) -> Value {
    json!({
        "direction": match socket.direction {
            Direction::To => "to",
            Direction::From => "from",
            Direction::On => "on",
            Direction::Pair => "pair",
            Direction::Open => "none",
        },
        "end": &*socket.end,
        "listens": socket.listens,
        "unsettled": socket.unsettled,
        "transport": &*socket.transport,
        "times": socket.times,
        "bytes_read": socket.bytes_read,
        "bytes_written": socket.bytes_written,
        "error": socket.error,
    })
}
