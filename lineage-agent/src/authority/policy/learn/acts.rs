//! What a record tells that was done, as policies name it.

use std::net::{IpAddr, SocketAddr};

use lineage_common::policy::{Named, Operation, PATH_KEY_BYTES, Protocol, Resource, UNIX};

use super::left_out::Reason;
use crate::evidence::{
    escape::{is_hidden, unescape},
    kinds,
    schema::Record,
};

/// Something that was done to something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Act {
    pub(super) operation: Operation,
    pub(super) thing: Thing,
}

/// To what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Thing {
    /// What has a text: a program, file or Unix socket its path, others their name or relation.
    Text(Resource, String),
    /// An end of a connection.
    End(Protocol, IpAddr, u16),
}

/// What of a record says what was done.
#[derive(Clone, Copy)]
enum Told {
    /// The executable.
    Program,
    /// The file and the flags it was opened with.
    Opened,
    /// The names that the caller gave, one or two.
    Names(Operation),
    /// The process's own end.
    Own(Operation),
    /// The other end.
    Peer(Operation),
    /// The other end, where the caller gave it with the message.
    Message,
    /// The file, if it is mapped to be executed.
    Mapped,
    /// Memory without a file.
    Memory,
    /// How the process acted on stands to the one that acts.
    Other(Operation),
    /// New namespaces, if there are any.
    Created,
}

/// Kinds of records about what policies can speak of.
const KINDS: &[(&str, Told)] = &[
    (kinds::PROCESS_EXEC, Told::Program),
    (kinds::FILE_OPEN, Told::Opened),
    (kinds::FILE_RENAME, Told::Names(Operation::RENAME)),
    (kinds::FILE_LINK, Told::Names(Operation::LINK)),
    (kinds::FILE_SYMLINK, Told::Names(Operation::LINK)),
    (kinds::FILE_UNLINK, Told::Names(Operation::DELETE)),
    (kinds::FILE_RMDIR, Told::Names(Operation::DELETE)),
    (kinds::FILE_MKDIR, Told::Names(Operation::CREATE)),
    (kinds::FILE_MKNOD, Told::Names(Operation::CREATE)),
    (kinds::FILE_TRUNCATE, Told::Names(Operation::WRITE)),
    (kinds::FILE_CHMOD, Told::Names(Operation::CHMOD)),
    (kinds::FILE_CHOWN, Told::Names(Operation::CHMOD)),
    (kinds::FILE_XATTR, Told::Names(Operation::CHMOD)),
    (kinds::NET_BIND, Told::Own(Operation::BIND)),
    (kinds::NET_LISTEN, Told::Own(Operation::LISTEN)),
    (kinds::NET_ACCEPT, Told::Own(Operation::ACCEPT)),
    (kinds::NET_CONNECT, Told::Peer(Operation::CONNECT)),
    (kinds::NET_SEND, Told::Message),
    (kinds::FILE_MAP, Told::Mapped),
    (kinds::PROCESS_EXECMEM, Told::Memory),
    (kinds::PROCESS_SIGNAL, Told::Other(Operation::SIGNAL)),
    (kinds::PROCESS_PTRACE, Told::Other(Operation::PTRACE)),
    (kinds::PROCESS_MEMORY, Told::Other(Operation::PTRACE)),
    (kinds::PROCESS_GETFD, Told::Other(Operation::PTRACE)),
    (kinds::PROCESS_FORK, Told::Created),
    (kinds::PROCESS_COMPAT, Told::Created),
];

/// `EINPROGRESS`: a connect that goes on without its caller has not failed.
const IN_PROGRESS: i64 = -115;

/// What is known of processes from earlier records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// The one that acts has another root or mount namespace than the host.
    pub(super) elsewhere: bool,
    /// Whether the one acted on is of the same lineage, if that can be told.
    pub(super) inside: Option<bool>,
}

/// What was done; nothing when policies do not speak of it.
pub(super) fn acts(record: &Record<'_>, known: Known) -> Result<Vec<Act>, Reason> {
    let told = KINDS.iter().find(|(kind, _)| record.kind == Some(kind));
    let told = told.map(|(_, told)| *told);
    let plain = matches!(told, None | Some(Told::Created));
    if plain && record.judged.is_none() && facility(record).is_none() {
        return Ok(Vec::new());
    }
    if record
        .result
        .is_some_and(|result| result < 0 && result != IN_PROGRESS)
    {
        return Err(Reason::Failed);
    }
    if !matches!(record.effect, None | Some("allowed" | "would-deny")) {
        return Err(Reason::Denied);
    }
    // What was judged is what will be judged; without a policy it follows from what was recorded.
    match record.judged {
        Some(judged) => judged_acts(record, judged),
        None => recorded_acts(record, told, known),
    }
}

/// The script that was executed, by the name that was given: where hooks are asked before, they are about it as well as about
/// its interpreter.
pub(super) fn script(record: &Record<'_>, known: Known) -> Result<Option<Act>, Reason> {
    if record.kind != Some(kinds::PROCESS_EXEC) || record.interpreter.is_none() {
        return Ok(None);
    }
    if is_cut(record, "filename") {
        return Err(Reason::Cut);
    }
    if known.elsewhere {
        return Err(Reason::Elsewhere);
    }
    let name = record.filename.ok_or(Reason::NoPlace)?;
    let path = joined(record.cwd.unwrap_or_default(), name)?;
    let act = on_path(Operation::EXEC, Resource::Program, plain(&path)?);
    Ok(Some(act))
}

/// What was done, by what was recorded.
fn recorded_acts(
    record: &Record<'_>,
    told: Option<Told>,
    known: Known,
) -> Result<Vec<Act>, Reason> {
    let elsewhere = known.elsewhere;
    match told {
        Some(Told::Program) => Ok(vec![on_path(
            Operation::EXEC,
            Resource::Program,
            own_path(record)?,
        )]),
        Some(Told::Opened) => {
            let path = own_path(record)?;
            let each = opened(record.flags.unwrap_or_default());
            let each = each.map(|operation| on_path(operation, Resource::File, path.clone()));
            Ok(each.collect())
        }
        Some(Told::Names(operation)) => names(record, operation, elsewhere),
        Some(Told::Own(operation)) => {
            let (addr, port) = (record.local_addr, record.local_port);
            Ok(vec![end(record, operation, addr, port, elsewhere)?])
        }
        Some(Told::Peer(operation)) => {
            let (addr, port) = (record.peer_addr, record.peer_port);
            Ok(vec![end(record, operation, addr, port, elsewhere)?])
        }
        Some(Told::Message) => {
            let judged = matches!(record.transport, Some("udp" | "unix-dgram"));
            // Without an address of its own a message goes where the socket is connected to already.
            if !judged || record.origin != Some("claimed") {
                return Ok(Vec::new());
            }
            let (addr, port) = (record.peer_addr, record.peer_port);
            Ok(vec![end(record, Operation::SEND, addr, port, elsewhere)?])
        }
        Some(Told::Mapped) if !is_mapped_to_execute(record) => Ok(Vec::new()),
        Some(Told::Mapped) => {
            let path = own_path(record)?;
            Ok(vec![on_path(Operation::MAP, Resource::File, path)])
        }
        Some(Told::Memory) => Ok(vec![named(Operation::USE, Named::EXECMEM)]),
        Some(Told::Other(operation)) => {
            let itself = record.target_uid.is_some() && record.target_uid == record.process_uid;
            // Signal 0 only asks.
            let asks = record
                .detail
                .is_some_and(|detail| detail.contains("\"signal\":0"));
            let relation = match known.inside {
                Some(true) => Named::INSIDE,
                Some(false) => Named::OUTSIDE,
                None => return Err(Reason::TooMany),
            };
            let act = named(operation, relation);
            Ok((!itself && !asks).then_some(act).into_iter().collect())
        }
        // Of a fork only what it made anew is a facility, of other calls what they are.
        Some(Told::Created) | None => {
            let used = facility(record).map(|facility| named(Operation::USE, facility));
            Ok(used.into_iter().collect())
        }
    }
}

/// Whether the process itself mapped it, so that it can be executed: without a call it is the kernel that maps, for an exec.
fn is_mapped_to_execute(record: &Record<'_>) -> bool {
    let executable = |allowed: &str| allowed.contains('x');
    record.call.is_some() && record.protection.is_some_and(executable)
}

/// Whether a process was created that shares the descriptors of its creator.
fn shares_files(record: &Record<'_>) -> bool {
    let flags = record.detail;
    flags.is_some_and(|flags| flags.contains("\"CLONE_FILES\""))
}

/// What a record says was used of the kernel.
fn facility(record: &Record<'_>) -> Option<Named> {
    match record.kind? {
        kinds::PROCESS_COMPAT => Some(Named::COMPAT),
        // The user namespace is told only where namespaces are made.
        kinds::PROCESS_FORK => {
            let namespace = record.user_ns.map(|_| Named::NAMESPACE);
            namespace.or(shares_files(record).then_some(Named::SHARED_FILES))
        }
        kinds::FILE_IOCTL => None,
        _ => record
            .call
            .filter(|call| *call != "ioctl")
            .and_then(Named::of_call),
    }
}

fn named(operation: Operation, name: Named) -> Act {
    let resource = match operation {
        Operation::USE => Resource::Facility,
        _ => Resource::Process,
    };
    on_path(operation, resource, name.name().to_owned())
}

fn on_path(operation: Operation, resource: Resource, path: String) -> Act {
    Act {
        operation,
        thing: Thing::Text(resource, path),
    }
}

/// What a decision was about: names of actions, a space, and what it was looked up by.
fn judged_acts(record: &Record<'_>, judged: &str) -> Result<Vec<Act>, Reason> {
    let Some((actions, object)) = judged.split_once(' ') else {
        return Err(
            if record.reason == Some("not-on-host") || is_not_on_host(record) {
                Reason::NotOnHost
            } else {
                Reason::Cut
            },
        );
    };
    let act = |name: &str| {
        let known = Operation::ALL.iter().find(|(_, known, _)| *known == name);
        let (operation, _, resources) = known.ok_or(Reason::Unknown)?;
        let thing = match (object.strip_prefix(UNIX), *resources) {
            (None, [resource @ (Resource::Program | Resource::File)]) => {
                Thing::Text(*resource, plain(object)?)
            }
            (None, [resource @ (Resource::Facility | Resource::Process)]) => {
                let known = resource.has(object).then(|| object.to_owned());
                Thing::Text(*resource, known.ok_or(Reason::Unknown)?)
            }
            (None, [Resource::Endpoint, _]) => internet(object).ok_or(Reason::Unknown)?,
            (Some(socket), [_, Resource::UnixSocket]) => {
                Thing::Text(Resource::UnixSocket, plain(socket)?)
            }
            _ => return Err(Reason::Unknown),
        };
        Ok(Act {
            operation: *operation,
            thing,
        })
    };
    actions.split(',').map(act).collect()
}

/// `10.0.0.1:443/tcp`
fn internet(text: &str) -> Option<Thing> {
    let (address, protocol) = text.rsplit_once('/')?;
    let address: SocketAddr = address.parse().ok()?;
    let known = Protocol::ALL.iter().find(|(_, name)| *name == protocol)?;
    Some(Thing::End(
        known.0,
        address.ip().to_canonical(),
        address.port(),
    ))
}

/// What was done to a file by opening it so; the record does not tell whether it was there before.
fn opened(flags: i64) -> impl Iterator<Item = Operation> {
    const ACCESS: i64 = 0o3;
    const WRITE_ONLY: i64 = 0o1;
    const CREATE: i64 = 0o100;
    const TRUNCATE: i64 = 0o1000;
    const PATH_ONLY: i64 = 0o10_000_000;
    let any = flags & PATH_ONLY == 0;
    let access = flags & ACCESS;
    [
        (access != WRITE_ONLY, Operation::READ),
        (access != 0 || flags & TRUNCATE != 0, Operation::WRITE),
        (flags & CREATE != 0, Operation::CREATE),
    ]
    .into_iter()
    .filter_map(move |(done, operation)| (any && done).then_some(operation))
}

/// The path of the program or file that a record is about, as the host has it.
fn own_path(record: &Record<'_>) -> Result<String, Reason> {
    let (field, own) = match record.kind {
        Some(kinds::PROCESS_EXEC) => ("exe", record.exe),
        _ => ("path", record.path),
    };
    if is_cut(record, field) {
        return Err(Reason::Cut);
    }
    if is_not_on_host(record) {
        return Err(Reason::NotOnHost);
    }
    if record.origin == Some("claimed") {
        return Err(Reason::Claimed);
    }
    plain(record.host_path.or(own).ok_or(Reason::NoPlace)?)
}

fn is_cut(record: &Record<'_>, field: &str) -> bool {
    let cut = record.truncated.unwrap_or_default();
    cut.split(',').any(|name| name == field)
}

/// Whether a record says that the host has no path to its file.
pub(super) fn is_not_on_host(record: &Record<'_>) -> bool {
    let notes = record.notes.unwrap_or_default();
    notes.split(',').any(|note| note == "not-on-host")
}

/// One operation on the names that a caller gave.
fn names(record: &Record<'_>, operation: Operation, elsewhere: bool) -> Result<Vec<Act>, Reason> {
    if is_cut(record, "path") || is_cut(record, "target") {
        return Err(Reason::Cut);
    }
    if elsewhere {
        return Err(Reason::Elsewhere);
    }
    let first = (record.dir, record.path);
    let second = (record.target_dir, record.target);
    let mut acts = Vec::new();
    for (dir, name) in [first, second] {
        let Some(name) = name else {
            continue;
        };
        let path = joined(dir.unwrap_or_default(), name)?;
        acts.push(on_path(operation, Resource::File, plain(&path)?));
    }
    if acts.is_empty() {
        return Err(Reason::NoPlace);
    }
    Ok(acts)
}

/// A name from where it starts, without what has no meaning in it. Both are escaped, which leaves slashes and dots alone.
fn joined(dir: &str, name: &str) -> Result<String, Reason> {
    let dir = if name.starts_with('/') { "" } else { dir };
    if dir.is_empty() && !name.starts_with('/') {
        return Err(Reason::NoPlace);
    }
    let mut path = String::new();
    for part in dir.split('/').chain(name.split('/')) {
        match part {
            "" | "." => {}
            ".." => return Err(Reason::Upward),
            part => {
                path.push('/');
                path.push_str(part);
            }
        }
    }
    if path.is_empty() {
        path.push('/');
    }
    Ok(path)
}

/// One operation on an end of a connection.
fn end(
    record: &Record<'_>,
    operation: Operation,
    addr: Option<&str>,
    port: Option<i64>,
    elsewhere: bool,
) -> Result<Act, Reason> {
    let transport = record.transport.unwrap_or_default();
    let addr = addr.ok_or(Reason::NoAddress)?;
    let thing = if transport.starts_with("unix-") {
        if elsewhere && !addr.starts_with('@') {
            return Err(Reason::Elsewhere);
        }
        Thing::Text(Resource::UnixSocket, plain(addr)?)
    } else {
        let address: IpAddr = addr.parse().map_err(|_| Reason::NoAddress)?;
        let port = port.and_then(|port| u16::try_from(port).ok());
        let known = Protocol::ALL.iter().find(|(_, name)| *name == transport);
        let protocol = known.map_or(Protocol::OTHER, |(protocol, _)| *protocol);
        Thing::End(
            protocol,
            address.to_canonical(),
            port.ok_or(Reason::NoAddress)?,
        )
    };
    Ok(Act { operation, thing })
}

/// A path as it stands in a policy, from the escaped one.
fn plain(escaped: &str) -> Result<String, Reason> {
    // What is left out of a path that is cut has this in its place.
    if escaped.starts_with("/…/") {
        return Err(Reason::Cut);
    }
    if !escaped.starts_with(['/', '@']) {
        return Err(Reason::NoPlace);
    }
    let bytes = unescape(escaped).ok_or(Reason::NotText)?;
    let path = String::from_utf8(bytes).map_err(|_| Reason::NotText)?;
    if path
        .chars()
        .any(|c| is_hidden(c) || c == char::REPLACEMENT_CHARACTER)
    {
        return Err(Reason::NotText);
    }
    if path.len() > PATH_KEY_BYTES - 1 {
        return Err(Reason::TooLong);
    }
    Ok(path)
}
