//! What a reviewer would call what happened: programs, files, hosts, denials, out of records.
//!
//! One record can be several of these: a file that is opened to read and write, a program that is denied. A record
//! that says nothing of the kind (a fork, a close of a pipe) is none.

use std::borrow::Cow;

use super::denial::Outcome;
use super::filter::{endpoint, failed};
use super::notable::{self, Class};
use super::text::whole_path;
use crate::evidence::kinds;
use crate::evidence::schema::Record;
use crate::names::{self, OpenFlags};

/// What it is; the order is that in which they are worth naming.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// Something is missing from the evidence.
    Loss,
    /// A policy denied it.
    Denied,
    /// A policy that is only audited would have.
    Audited,
    /// The system refused it (`EACCES`, `EPERM`).
    Refused,
    /// A connection to another host, or to a Unix socket that gives power over others; or the attempt.
    To,
    /// A connection from another host.
    From,
    /// An address to be reached at.
    On,
    /// A file was opened to be written, or made.
    Writes,
    /// A name of a file was removed.
    Removes,
    /// A file was opened to be read, or mapped.
    Reads,
    /// A program was started.
    Program,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Happening<'a> {
    pub(super) what: What,
    /// The program, path, host, or what was denied.
    pub(super) name: Cow<'a, str>,
    /// How much it is worth naming.
    pub(super) class: Class,
}

/// `EPERM` and `EACCES`.
const REFUSED: [i64; 2] = [-1, -13];

/// Calls `found` with all that a record says.
pub(super) fn each<'a>(record: &Record<'a>, mut found: impl FnMut(Happening<'a>)) {
    let mut tell = |what, name: Cow<'a, str>, class| found(Happening { what, name, class });
    if let Some(outcome) = Outcome::of(record) {
        let asked = record.judged.unwrap_or("?");
        let what = match outcome.effect {
            "would-deny" => What::Audited,
            _ => What::Denied,
        };
        tell(
            what,
            format!("{asked} ({outcome})").into(),
            Class::Sensitive,
        );
    } else if let Some(error) = record.result.filter(|result| REFUSED.contains(result)) {
        let error = names::errno(-error).unwrap_or("?");
        tell(
            What::Refused,
            format!("{} {error}", object(record)).into(),
            Class::Notable,
        );
    }
    match record.kind.unwrap_or_default() {
        kinds::EVIDENCE_LOSS => {
            let lost = record.lost_count.unwrap_or_default();
            let name = super::text::what(record.detail.unwrap_or_default());
            let name = name.map_or_else(|| format!("{lost} events"), |(what, _)| what);
            tell(What::Loss, name.into(), Class::Sensitive);
        }
        kinds::PROCESS_EXEC if !failed(record) => {
            let exe = record.exe.unwrap_or("?");
            tell(What::Program, exe.into(), Class::Notable);
        }
        kinds::FILE_OPEN | kinds::FILE_INHERIT | kinds::FILE_MAP if !failed(record) => {
            file(record, tell);
        }
        kinds::FILE_UNLINK | kinds::FILE_RMDIR if !failed(record) => {
            tell(What::Removes, path(record), Class::Notable);
        }
        kinds::FILE_RENAME | kinds::FILE_LINK if !failed(record) => {
            if record.kind == Some(kinds::FILE_RENAME) {
                tell(What::Removes, path(record), Class::Notable);
            }
            let target = whole_path(record.target_dir, record.target.unwrap_or("?"));
            tell(What::Writes, target.into(), Class::Notable);
        }
        kinds::FILE_SYMLINK | kinds::FILE_MKNOD | kinds::FILE_TRUNCATE if !failed(record) => {
            tell(What::Writes, path(record), Class::Notable);
        }
        _ => connection(record, tell),
    }
}

/// A file that was opened, or that a process has from another.
fn file<'a>(record: &Record<'a>, mut tell: impl FnMut(What, Cow<'a, str>, Class)) {
    let Some(path) = record.path else { return };
    // What is mapped has its own flags, and was opened before.
    let flags = match record.kind {
        Some(kinds::FILE_MAP) => OpenFlags(0),
        _ => OpenFlags(record.flags.unwrap_or_default()),
    };
    let class = notable::class(path, record.mode.unwrap_or_default(), flags, None);
    if notable::is_no_file(path) {
        return;
    }
    if flags.writes() {
        tell(What::Writes, path.into(), class);
    }
    if flags.reads()
        && !flags.directory()
        && !notable::is_directory(record.mode.unwrap_or_default())
    {
        tell(What::Reads, path.into(), class);
    }
}

fn connection<'a>(record: &Record<'a>, mut tell: impl FnMut(What, Cow<'a, str>, Class)) {
    let peer = record.peer_addr.filter(|addr| !addr.is_empty());
    let local = record.local_addr.filter(|addr| !addr.is_empty());
    let transport = record.transport.unwrap_or_default();
    let unix = transport.starts_with("unix") || transport.starts_with("netlink");
    let error = record.result.filter(|_| failed(record));
    let with = |addr: &str, port| Cow::Owned(format!("{} {transport}", endpoint(addr, port)));
    match (record.kind.unwrap_or_default(), peer, local) {
        (kinds::NET_CONNECT, Some(peer), _) if !unix => {
            let mut name = with(peer, record.peer_port);
            if let Some(error) = error.and_then(|error| names::errno(-error)) {
                name = format!("{name} {error}").into();
            }
            tell(What::To, name, Class::Notable);
        }
        (kinds::NET_CONNECT, Some(peer), _) if !notable::is_absent_service(peer, error) => {
            let class = notable::class(peer, 0, OpenFlags(0), None);
            tell(What::To, peer.into(), class);
        }
        (kinds::NET_SEND, Some(peer), _) if record.origin == Some("claimed") && !unix => {
            tell(What::To, with(peer, record.peer_port), Class::Notable);
        }
        (kinds::NET_ACCEPT, Some(peer), _) if !unix && error.is_none() => {
            // Who connects chooses a new port each time.
            tell(What::From, with(peer, None), Class::Notable);
        }
        (kinds::NET_BIND | kinds::NET_LISTEN, _, Some(local)) if !unix && error.is_none() => {
            tell(What::On, with(local, record.local_port), Class::Notable);
        }
        _ => {}
    }
}

/// What a record is about, in a word.
fn object(record: &Record<'_>) -> String {
    let named = record.path.map(|path| whole_path(record.dir, path));
    let end = |addr: Option<&str>, port| {
        addr.filter(|addr| !addr.is_empty())
            .map(|addr| endpoint(addr, port))
    };
    named
        .or_else(|| record.filename.map(str::to_owned))
        .or_else(|| end(record.peer_addr, record.peer_port))
        .or_else(|| end(record.local_addr, record.local_port))
        .or_else(|| record.call.map(str::to_owned))
        .unwrap_or_else(|| record.kind.unwrap_or("?").to_owned())
}

fn path<'a>(record: &Record<'a>) -> Cow<'a, str> {
    let path = record.path.unwrap_or("?");
    match record.dir {
        Some(_) => whole_path(record.dir, path).into(),
        None => path.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(record: &Record<'_>) -> Vec<(What, String)> {
        let mut all = Vec::new();
        each(record, |it| all.push((it.what, it.name.into_owned())));
        all
    }

    #[test]
    fn one_record_can_say_several_things() {
        let opened = Record {
            kind: Some(kinds::FILE_OPEN),
            path: Some("/srv/x"),
            flags: Some(2),
            result: Some(3),
            verdict: Some("deny"),
            effect: Some("would-deny"),
            judged: Some("read,write /srv/x"),
            rule: Some("a.cedar:no"),
            ..Record::default()
        };
        assert_eq!(
            told(&opened),
            [
                (What::Audited, "read,write /srv/x (a.cedar:no)".to_owned()),
                (What::Writes, "/srv/x".to_owned()),
                (What::Reads, "/srv/x".to_owned()),
            ]
        );
        let refused = Record {
            result: Some(-13),
            verdict: None,
            ..opened
        };
        assert_eq!(
            told(&refused),
            [(What::Refused, "/srv/x EACCES".to_owned())]
        );
        let pipe = Record {
            path: Some("pipe:[7]"),
            verdict: None,
            ..opened
        };
        assert_eq!(told(&pipe), []);
    }

    #[test]
    fn hosts_are_named_and_services_of_the_own_host_are_not() {
        let connect = |addr, port, transport, result| Record {
            kind: Some(kinds::NET_CONNECT),
            peer_addr: Some(addr),
            peer_port: port,
            transport: Some(transport),
            result: Some(result),
            ..Record::default()
        };
        let to = |name: &str| vec![(What::To, name.to_owned())];
        assert_eq!(
            told(&connect("::1", Some(9), "tcp", -111)),
            to("[::1]:9 tcp ECONNREFUSED")
        );
        assert_eq!(
            told(&connect("/run/docker.sock", None, "unix-stream", 0)),
            to("/run/docker.sock")
        );
        assert_eq!(
            told(&connect("/run/nscd/socket", None, "unix-stream", -2)),
            []
        );
        let rename = Record {
            kind: Some(kinds::FILE_RENAME),
            dir: Some("/srv"),
            path: Some("a"),
            target: Some("/srv/b"),
            result: Some(0),
            ..Record::default()
        };
        assert_eq!(
            told(&rename),
            [
                (What::Removes, "/srv/a".to_owned()),
                (What::Writes, "/srv/b".to_owned())
            ]
        );
    }
}
