//! The objects of events: device, processes, files and ends of connections.

use std::net::IpAddr;

use serde_json::{Map, Value as Json, json};

use super::super::Place;
use super::super::fields::Fields;
use crate::evidence::kinds::{self, Ocsf as Class};
use crate::review::text::{arguments, quoted, whole_path};

/// Most characters of a command line; all arguments are in `unmapped.argv`.
const COMMAND_CHARS_MAX: usize = 8192;

/// The host.
pub(super) fn device(at: &Place<'_>) -> Json {
    let mut device = json!({
        "uid": at.host,
        "type_id": 0,
        "type": "Unknown",
        "os": { "name": "Linux", "type": "Linux", "type_id": 200 },
    });
    if let Some((hostname, boot)) = &at.named {
        device["hostname"] = hostname.as_str().into();
        device["boot_uid"] = boot.as_str().into();
    }
    device
}

/// What the class is about, and who acts.
pub(super) fn of_class(
    event: &mut Map<String, Json>,
    class: Class,
    at: &Place<'_>,
    fields: &mut Fields<'_, '_>,
) {
    match class.class {
        Class::PROCESS => of_process(event, fields),
        Class::EVIDENCE_INFO => {
            let process = program(fields);
            let evidence =
                json!({ "query_type_id": 10, "query_type": "Process", "process": process });
            event.insert("query_evidence".to_owned(), evidence);
            event.insert("query_result_id".to_owned(), 1.into());
            event.insert("query_result".to_owned(), "Exists".into());
        }
        Class::FILE => {
            let acting = acting(fields);
            event.insert("actor".to_owned(), json!({ "process": acting }));
            of_file(event, fields);
        }
        Class::NETWORK => {
            let acting = acting(fields);
            event.insert("actor".to_owned(), json!({ "process": acting }));
            of_connection(event, class, at, fields);
        }
        Class::MODULE => {
            let acting = acting(fields);
            event.insert("actor".to_owned(), json!({ "process": acting }));
            let load = json!({ "load_type_id": 1, "load_type": "Standard", "file": file(fields) });
            event.insert("module".to_owned(), load);
        }
        _ => {
            let acting = acting(fields);
            event.insert("actor".to_owned(), json!({ "process": acting }));
            event.insert("process".to_owned(), acting);
        }
    }
}

fn of_process(event: &mut Map<String, Json>, fields: &mut Fields<'_, '_>) {
    let record = fields.record;
    let (actor, process) = match record.kind {
        // Who started it is its parent, and what it has become is the process.
        Some(kinds::PROCESS_EXEC) => {
            let process = program(fields);
            let parent = process.get("parent_process").cloned();
            event.insert("launch_type_id".to_owned(), 3.into());
            event.insert("launch_type".to_owned(), "Exec".into());
            (parent.unwrap_or_else(|| process.clone()), process)
        }
        Some(kinds::PROCESS_FORK) => {
            let acting = acting(fields);
            event.insert("launch_type_id".to_owned(), 2.into());
            event.insert("launch_type".to_owned(), "Fork".into());
            let child = other(fields, "child_uid", "child_pid");
            (acting.clone(), child.unwrap_or(acting))
        }
        Some(kinds::PROCESS_EXIT | kinds::PROCESS_CREDENTIALS) => {
            if let Some(code) = fields.number("exit_code") {
                event.insert("exit_code".to_owned(), code.into());
            }
            let acting = acting(fields);
            (acting.clone(), acting)
        }
        _ => {
            let acting = acting(fields);
            let target = other(fields, "target_uid", "target_pid");
            (acting.clone(), target.unwrap_or(acting))
        }
    };
    event.insert("actor".to_owned(), json!({ "process": actor }));
    event.insert("process".to_owned(), process);
}

/// The acting process.
fn acting(fields: &mut Fields<'_, '_>) -> Json {
    let record = fields.record;
    let mut process = Map::new();
    if let Some(uid) = record.process_uid {
        identify(&mut process, uid, record.exec);
        fields.placed(&["process_uid", "exec"]);
    }
    if let Some(pid) = fields.number("pid") {
        process.insert("pid".to_owned(), pid.into());
    }
    if process.is_empty() {
        // The schema wants one of them.
        process.insert("uid".to_owned(), "unknown".into());
    }
    if let Some(tid) = fields.number("tid") {
        process.insert("ptid".to_owned(), tid.into());
    }
    if let Some(comm) = fields.text("comm") {
        process.insert("name".to_owned(), comm.into());
    }
    if let Some(exe) = fields.text("exe") {
        let name = base_name(exe);
        let file = json!({ "name": name, "path": exe, "type_id": 1, "type": "Regular File" });
        process.insert("file".to_owned(), file);
    }
    if let Some(uid) = fields.number("uid") {
        process.insert("user".to_owned(), json!({ "uid": uid.to_string() }));
    }
    if let Some(parent) = other(fields, "parent_uid", "ppid") {
        process.insert("parent_process".to_owned(), parent);
    }
    Json::Object(process)
}

/// The acting process with the program it runs, of the records that have it.
fn program(fields: &mut Fields<'_, '_>) -> Json {
    let mut process = acting(fields);
    if let Some(argv) = fields.record.argv {
        let words: Vec<String> = arguments(argv)
            .iter()
            .map(|word| quoted(word).into_owned())
            .collect();
        let line: String = words.join(" ").chars().take(COMMAND_CHARS_MAX).collect();
        process["cmd_line"] = line.into();
    }
    if let Some(cwd) = fields.text("cwd") {
        process["working_directory"] = cwd.into();
    }
    if fields.record.path.is_none()
        && let Some(executable) = process.get_mut("file")
    {
        // Of a failed exec they are not there, or of what was not executed.
        version(executable, fields);
    }
    process
}

/// Another process than the acting one.
fn other(fields: &mut Fields<'_, '_>, uid: &str, pid: &str) -> Option<Json> {
    let mut process = Map::new();
    if let Some(uid) = fields.text(uid) {
        identify(&mut process, uid, None);
    }
    if let Some(pid) = fields.number(pid) {
        process.insert("pid".to_owned(), pid.into());
    }
    (!process.is_empty()).then_some(Json::Object(process))
}

/// `cpid` names the process, `uid` the program that it runs: an id that does not change with an exec would join what
/// does not belong together.
fn identify(process: &mut Map<String, Json>, process_uid: &str, exec: Option<u64>) {
    if is_uuid(process_uid) {
        process.insert("cpid".to_owned(), process_uid.into());
    }
    let uid = match exec {
        Some(exec) => format!("{process_uid}/{exec}"),
        None => process_uid.to_owned(),
    };
    if exec.is_some() || !is_uuid(process_uid) {
        process.insert("uid".to_owned(), uid.into());
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn of_file(event: &mut Map<String, Json>, fields: &mut Fields<'_, '_>) {
    let record = fields.record;
    event.insert("file".to_owned(), file(fields));
    if matches!(record.kind, Some(kinds::FILE_RENAME | kinds::FILE_LINK))
        && let Some(target) = record.target
    {
        fields.placed(&["target", "target_dir"]);
        let path = whole_path(record.target_dir, target);
        let result =
            json!({ "name": base_name(&path), "path": path, "type_id": 0, "type": "Unknown" });
        event.insert("file_result".to_owned(), result);
    }
}

/// The file that the record is about.
fn file(fields: &mut Fields<'_, '_>) -> Json {
    let record = fields.record;
    let mut file = Map::new();
    match record.path {
        Some(path) => {
            let path = whole_path(record.dir, path);
            fields.placed(&["path", "dir"]);
            file.insert("name".to_owned(), base_name(&path).into());
            file.insert("path".to_owned(), path.into());
        }
        // The schema wants a name.
        None => drop(file.insert("name".to_owned(), "unknown".into())),
    }
    let (id, name) = file_type(record.mode);
    file.insert("type_id".to_owned(), id.into());
    file.insert("type".to_owned(), name.into());
    let mut file = Json::Object(file);
    version(&mut file, fields);
    file
}

/// Which content the file had.
fn version(file: &mut Json, fields: &mut Fields<'_, '_>) {
    if let (Some(dev), Some(ino)) = (fields.number("dev"), fields.number("ino")) {
        let generation = fields.number("generation").unwrap_or_default();
        file["uid"] = format!("{dev}/{ino}/{generation}").into();
    }
    if let Some(size) = fields.number("size") {
        file["size"] = size.into();
    }
    // Milliseconds are not all there is to know, so it goes along as well.
    if let Some(mtime_ns) = fields.record.mtime_ns {
        file["modified_time"] = mtime_ns.div_euclid(1_000_000).into();
    }
}

/// The schema's types by the type bits of `st_mode`.
fn file_type(mode: Option<i64>) -> (u8, &'static str) {
    match mode.unwrap_or_default() & 0o170_000 {
        0o100_000 => (1, "Regular File"),
        0o040_000 => (2, "Folder"),
        0o020_000 => (3, "Character Device"),
        0o060_000 => (4, "Block Device"),
        0o140_000 => (5, "Local Socket"),
        0o010_000 => (6, "Named Pipe"),
        0o120_000 => (7, "Symbolic Link"),
        _ => (0, "Unknown"),
    }
}

/// What stands behind the last slash.
fn base_name(path: &str) -> &str {
    let name = path.trim_end_matches('/');
    let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
    if name.is_empty() { path } else { name }
}

fn of_connection(
    event: &mut Map<String, Json>,
    class: Class,
    at: &Place<'_>,
    fields: &mut Fields<'_, '_>,
) {
    let record = fields.record;
    let local = end(fields, "local_addr", "local_port");
    let peer = end(fields, "peer_addr", "peer_port");
    let accepts = matches!(record.kind, Some(kinds::NET_ACCEPT | kinds::NET_LISTEN));
    let mut local = local.unwrap_or_default();
    // The local end is on this host whatever its address is.
    local.insert("uid".to_owned(), at.host.as_str().into());
    let (source, destination) = if accepts {
        (peer, Some(local))
    } else {
        (Some(local), peer)
    };
    for (name, end) in [("src_endpoint", source), ("dst_endpoint", destination)] {
        if let Some(end) = end {
            event.insert(name.to_owned(), Json::Object(end));
        }
    }
    let direction = match record.kind {
        Some(kinds::NET_CONNECT) => (2, "Outbound"),
        Some(kinds::NET_ACCEPT) => (1, "Inbound"),
        _ => (0, "Unknown"),
    };
    let known = direction.0 != 0 || record.kind == Some(kinds::NET_LISTEN);
    event.insert("is_src_dst_assignment_known".to_owned(), known.into());
    let mut info = json!({ "direction_id": direction.0, "direction": direction.1 });
    protocol(&mut info, fields);
    event.insert("connection_info".to_owned(), info);
    if class.activity == 2 {
        let (read, written) = (fields.number("bytes_read"), fields.number("bytes_written"));
        if read.is_some() || written.is_some() {
            let (read, written) = (read.unwrap_or_default(), written.unwrap_or_default());
            let all = read.saturating_add(written);
            let traffic = json!({ "bytes": all, "bytes_in": read, "bytes_out": written });
            event.insert("traffic".to_owned(), traffic);
        }
    }
}

fn protocol(info: &mut Json, fields: &mut Fields<'_, '_>) {
    let record = fields.record;
    if let Some(transport) = fields.text("transport") {
        info["protocol_name"] = transport.into();
        let number = match transport {
            "icmp" => Some(1),
            "tcp" => Some(6),
            "udp" => Some(17),
            _ => None,
        };
        if let Some(number) = number {
            info["protocol_num"] = number.into();
        }
    }
    let address = record.peer_addr.or(record.local_addr);
    let version = match address.and_then(|text| text.parse().ok()) {
        Some(IpAddr::V4(_)) => 4,
        Some(IpAddr::V6(_)) => 6,
        None => return,
    };
    info["protocol_ver_id"] = version.into();
}

/// An end of a connection: with an IP address, or a name for what is no IP.
fn end(fields: &mut Fields<'_, '_>, addr: &str, port: &str) -> Option<Map<String, Json>> {
    let address = fields.text(addr)?;
    let mut end = Map::new();
    // Whatever follows a `%` is the interface.
    let ip = address.split_once('%').map_or(address, |(ip, _)| ip);
    let key = if ip.parse::<IpAddr>().is_ok() && address.len() <= 40 {
        "ip"
    } else {
        "name"
    };
    end.insert(key.to_owned(), address.into());
    let in_range = fields
        .record_number(port)
        .is_some_and(|it| (0..=65_535).contains(&it));
    if in_range && let Some(port) = fields.number(port) {
        end.insert("port".to_owned(), port.into());
    }
    Some(end)
}
