//! The files by name: who used them, what went in and out, whether they are worth a look.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::super::filter::failed;
use super::super::notable::{self, Class};
use super::super::text::whole_path;
use super::strings::Strings;
use crate::evidence::kinds::{self, Group};
use crate::evidence::schema::Record;
use crate::names::OpenFlags;

/// Most names; uses of further ones are counted.
const FILES_MAX: usize = 200_000;

/// Bits of the column `uses`.
mod use_of {
    pub(super) const READ: u8 = 1;
    pub(super) const WRITTEN: u8 = 2;
    /// Made, removed, renamed, or its attributes were changed.
    pub(super) const CHANGED: u8 = 4;
    pub(super) const EXECUTED: u8 = 8;
}

/// Columns of files.
#[derive(Debug, Default, Serialize)]
pub(super) struct Files {
    host: Vec<u32>,
    path: Vec<u32>,
    /// 0 part of the system, 1 data, 2 recognised, 3 written or refused, 4 may hold a secret.
    class: Vec<u8>,
    uses: Vec<u8>,
    opens: Vec<u32>,
    failed: Vec<u32>,
    denied: Vec<u32>,
    /// Of descriptors that were closed.
    bytes_read: Vec<u64>,
    bytes_written: Vec<u64>,
    processes: Vec<u32>,
    /// What a recogniser takes it for.
    label: Vec<u32>,
    /// Digest of its content, of the last version that has one.
    #[serde(rename = "blake3")]
    digest: Vec<u32>,
    first: Vec<Option<u32>>,
    /// Uses of files beyond the limit.
    left_out: u64,
    /// By name, of this host.
    #[serde(skip)]
    ids: HashMap<u32, u32>,
    #[serde(skip)]
    used_by: HashSet<(u32, u32)>,
}

impl Files {
    /// A new host begins: its names are others.
    pub(super) fn begin(&mut self) {
        self.ids.clear();
        self.used_by.clear();
    }

    /// Takes a record, and gives the file that it is about.
    pub(super) fn add(
        &mut self,
        record: &Record<'_>,
        host: u32,
        process: Option<u32>,
        row: Option<u32>,
        strings: &mut Strings,
    ) -> Option<u32> {
        let file = self.file(record, host, row, strings)?;
        let at = file as usize;
        let kind = record.kind.unwrap_or_default();
        let error = failed(record);
        self.uses[at] |= uses(record, error);
        self.class[at] = self.class[at].max(class(record) as u8);
        let count = |column: &mut Vec<u32>, is: bool| {
            column[at] = column[at].saturating_add(u32::from(is));
        };
        count(&mut self.opens, kind == kinds::FILE_OPEN && !error);
        count(&mut self.failed, error);
        count(&mut self.denied, record.verdict == Some("deny"));
        if let Some(process) = process {
            count(&mut self.processes, self.used_by.insert((file, process)));
        }
        if kind == kinds::FILE_CLOSE {
            let read = record.bytes_read.unwrap_or_default();
            let written = record.bytes_written.unwrap_or_default();
            self.bytes_read[at] = self.bytes_read[at].saturating_add(read);
            self.bytes_written[at] = self.bytes_written[at].saturating_add(written);
        }
        if let Some(label) = record.recognised {
            self.label[at] = strings.id(label);
        }
        if let Some(digest) = record.blake3 {
            self.digest[at] = strings.id(digest);
        }
        Some(file)
    }

    /// Whether a use of a file is worth a look by itself.
    pub(super) fn is_notable(&self, record: &Record<'_>) -> bool {
        let told = [kinds::FILE_CLOSE, kinds::FILE_DIGEST, kinds::FILE_MAP];
        let kind = record.kind.unwrap_or_default();
        is_file(kind) && !told.contains(&kind) && class(record) > Class::Ordinary
    }

    fn file(
        &mut self,
        record: &Record<'_>,
        host: u32,
        row: Option<u32>,
        strings: &mut Strings,
    ) -> Option<u32> {
        let name = match record.kind? {
            kinds::PROCESS_EXEC | kinds::PROCESS_SNAPSHOT if !failed(record) => record.exe?.into(),
            _ if record.transport.is_some() => return None,
            _ => whole_path(record.dir, record.path?),
        };
        let path = strings.id(&name);
        if let Some(known) = self.ids.get(&path) {
            return Some(*known);
        }
        let id = u32::try_from(self.path.len()).ok()?;
        if self.path.len() == FILES_MAX {
            self.left_out += 1;
            return None;
        }
        self.ids.insert(path, id);
        self.host.push(host);
        self.path.push(path);
        self.class.push(0);
        self.uses.push(0);
        self.bytes_read.push(0);
        self.bytes_written.push(0);
        self.first.push(row);
        let counts = [
            &mut self.opens,
            &mut self.failed,
            &mut self.denied,
            &mut self.processes,
            &mut self.label,
            &mut self.digest,
        ];
        for column in counts {
            column.push(0);
        }
        Some(id)
    }
}

fn is_file(kind: &str) -> bool {
    kinds::find(kind).is_some_and(|kind| kind.group == Group::File)
}

/// How much this use makes the file worth a look.
fn class(record: &Record<'_>) -> Class {
    let kind = record.kind.unwrap_or_default();
    let Some(path) = record
        .path
        .filter(|_| is_file(kind) && kind != kinds::FILE_DIGEST)
    else {
        return Class::Ordinary;
    };
    let error = record.result.filter(|_| failed(record));
    let flags = OpenFlags(record.flags.unwrap_or_default());
    let class = notable::class(path, record.mode.unwrap_or_default(), flags, error);
    // What has no flags of its own says nothing of what it is used for.
    let told = match kind {
        kinds::FILE_OPEN | kinds::FILE_INHERIT | kinds::FILE_SNAPSHOT => class,
        _ if class == Class::Sensitive => class,
        kinds::FILE_WRITE if class > Class::Ordinary => Class::Notable,
        _ if error.is_none() && changes(kind) => Class::Notable,
        _ => Class::Ordinary,
    };
    match record.recognised {
        Some(_) => told.max(Class::Recognised),
        None => told,
    }
}

/// Whether a kind changes names or attributes of files.
fn changes(kind: &str) -> bool {
    let attributes = matches!(
        kind,
        kinds::FILE_TRUNCATE | kinds::FILE_CHMOD | kinds::FILE_CHOWN | kinds::FILE_XATTR
    );
    attributes || kinds::changes_names(kind)
}

fn uses(record: &Record<'_>, error: bool) -> u8 {
    if error {
        return 0;
    }
    match record.kind.unwrap_or_default() {
        kinds::FILE_READ => use_of::READ,
        kinds::FILE_WRITE => use_of::WRITTEN,
        kinds::PROCESS_EXEC => use_of::EXECUTED,
        kinds::FILE_CLOSE => {
            let read = record.bytes_read.is_some_and(|bytes| bytes > 0);
            let written = record.bytes_written.is_some_and(|bytes| bytes > 0);
            (u8::from(read) * use_of::READ) | (u8::from(written) * use_of::WRITTEN)
        }
        kind if changes(kind) => use_of::CHANGED,
        _ => 0,
    }
}
