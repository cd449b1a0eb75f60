//! Which records to show.

mod near;

use std::borrow::Cow;

use super::text::whole_path;
use super::when::Between;
use crate::evidence::kinds::{KINDS, Kind};
use crate::evidence::schema::Record;
use crate::glob::Glob;

/// Conditions a record must meet, all of them; an empty list is no condition.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Kinds, any of them.
    pub kinds: Vec<&'static Kind>,
    /// Acting or created processes, any of them.
    pub pids: Vec<i64>,
    /// Files, programs or Unix sockets, any of them.
    pub paths: Vec<Glob>,
    /// Ends of a connection as `address:port`, any of them.
    pub peers: Vec<Glob>,
    /// Names of the acting thread, any of them.
    pub comms: Vec<Glob>,
    /// Labels of the recognisers, any of them.
    pub recognised: Vec<Glob>,
    /// Lineages, by the beginning of their ids.
    pub lineages: Vec<String>,
    /// Verdicts of policies, any of them.
    pub decisions: Vec<String>,
    /// Only system calls that failed.
    pub failed: bool,
    /// Between which moments, or records.
    pub between: Between,
}

/// A name that is no kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("find a kind of record called {name:?}: {}", near::suggestion(name))]
pub struct UnknownKind {
    /// What was asked for.
    pub name: String,
}

/// `EINPROGRESS`: a connect that goes on without its caller has not failed.
const IN_PROGRESS: i64 = -115;

/// Whether the system call behind a record failed.
#[must_use]
pub fn failed(record: &Record<'_>) -> bool {
    record
        .result
        .is_some_and(|result| result < 0 && result != IN_PROGRESS)
}

impl Filter {
    /// Whether to show this record.
    #[must_use]
    pub fn matches(&self, record: &Record<'_>) -> bool {
        (!self.failed || failed(record))
            && self.between.contains(record)
            && any(&self.kinds, |kind| record.kind == Some(kind.name))
            && any(&self.pids, |pid| {
                record.pid == Some(*pid) || record.child_pid == Some(*pid)
            })
            && any(&self.comms, |glob| {
                record.comm.is_some_and(|comm| glob.matches(comm))
            })
            && any(&self.recognised, |glob| {
                let labels = record.recognised.into_iter();
                labels
                    .flat_map(|it| it.split(','))
                    .any(|it| glob.matches(it))
            })
            && any(&self.lineages, |start| {
                record
                    .lineage
                    .is_some_and(|id| id.starts_with(start.as_str()))
            })
            && any(&self.decisions, |decision| record.verdict == Some(decision))
            && any(&self.paths, |glob| {
                paths_of(record).any(|path| glob.matches(&path))
            })
            && any(&self.peers, |glob| peer_matches(record, glob))
    }
}

/// The kinds a name means: a whole kind (`file.open`), a group (`file`), or what happened (`open`).
///
/// # Errors
///
/// [`UnknownKind`] when it is none of these.
pub fn kinds_named(name: &str) -> Result<Vec<&'static Kind>, UnknownKind> {
    let wanted = name.strip_suffix(".*").unwrap_or(name);
    let found: Vec<_> = KINDS
        .iter()
        .filter(|kind| {
            let parts = kind.name.split_once('.');
            kind.name == wanted
                || parts.is_some_and(|(group, what)| group == wanted || what == wanted)
        })
        .collect();
    if found.is_empty() {
        Err(UnknownKind {
            name: name.to_owned(),
        })
    } else {
        Ok(found)
    }
}

fn any<T>(wanted: &[T], test: impl FnMut(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(test)
}

/// What the record is about, not who acts.
fn paths_of<'a>(record: &Record<'a>) -> impl Iterator<Item = Cow<'a, str>> {
    let program = record.filename.and(record.exe);
    let named = [
        (record.dir, record.path),
        (record.target_dir, record.target),
    ];
    let named = named
        .into_iter()
        .filter_map(|(dir, path)| match (dir, path?) {
            (None, path) => Some(Cow::Borrowed(path)),
            (dir, path) => Some(Cow::Owned(whole_path(dir, path))),
        });
    let others = [
        record.filename,
        record.interpreter,
        program,
        record.local_addr,
        record.peer_addr,
    ];
    named
        .chain(others.into_iter().flatten().map(Cow::Borrowed))
        .filter(|path| !path.is_empty())
}

fn peer_matches(record: &Record<'_>, glob: &Glob) -> bool {
    // `*:443` means a port, and not an IPv6 address that ends so.
    let bare = glob.count(':') != 1;
    let end = |addr: Option<&str>, port: Option<i64>| {
        addr.is_some_and(|addr| bare && glob.matches(addr) || glob.matches(&endpoint(addr, port)))
    };
    end(record.peer_addr, record.peer_port) || end(record.local_addr, record.local_port)
}

/// An address with its port, IPv6 in brackets.
#[must_use]
pub fn endpoint(addr: &str, port: Option<i64>) -> String {
    match port {
        Some(port) if addr.contains(':') => format!("[{addr}]:{port}"),
        Some(port) => format!("{addr}:{port}"),
        None => addr.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_by_name_group_or_verb() {
        let names = |name| {
            kinds_named(name)
                .unwrap()
                .iter()
                .map(|kind| kind.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names("file.open"), ["file.open"]);
        assert!(names("file").contains(&"file.close"));
        assert!(names("file").iter().all(|name| name.starts_with("file.")));
        assert_eq!(names("file.*"), names("file"));
        assert_eq!(names("exit"), ["thread.exit", "process.exit"]);
        assert!(
            kinds_named("fil")
                .unwrap_err()
                .to_string()
                .contains("file.open")
        );
    }

    #[test]
    fn conditions_are_all_met() {
        let record = Record {
            kind: Some("net.connect"),
            pid: Some(7),
            peer_addr: Some("::1"),
            peer_port: Some(80),
            result: Some(-111),
            ..Record::default()
        };
        let mut filter = Filter::default();
        assert!(filter.matches(&record));
        filter.kinds = kinds_named("net").unwrap();
        filter.pids = vec![6, 7];
        filter.failed = true;
        filter.peers = vec![Glob::new("*:1")];
        assert!(!filter.matches(&record));
        filter.peers = vec![Glob::new("::1")];
        assert!(filter.matches(&record));
        filter.peers = vec![Glob::new("[::1]:*")];
        assert!(filter.matches(&record));
        assert!(!filter.matches(&Record {
            result: Some(IN_PROGRESS),
            ..record
        }));
        filter.recognised = vec![Glob::new("b*")];
        assert!(!filter.matches(&record));
        let labelled = |recognised| Record {
            recognised: Some(recognised),
            ..record
        };
        assert!(filter.matches(&labelled("a,bc")));
        assert!(!filter.matches(&labelled("ab,c")));
        filter.recognised.clear();
        filter.paths = vec![Glob::new("/etc/*")];
        assert!(!filter.matches(&record));
    }
}
