//! Records of files mapped and of memory made executable.

use std::fmt::Write as _;

use lineage_common::{
    calls,
    frame::{Behind, Header, Map, NO_CALL},
};

use super::{Fold, Sink, file::set_version, found::EXECUTABLE};
use crate::{
    event::FileEvent,
    evidence::kinds,
    lineage::{
        arguments,
        files::{Opening, Purpose},
        text::{protection, some, stat_dev},
    },
    names::OpenFlags,
};

/// `PROT_*`, whose lower bits are those of `VM_*`; `MAP_SHARED` (`include/uapi/linux/mman.h`), and
/// what is `VM_MAYSHARE` for it (`include/linux/mm.h`).
const PROTECTION: u32 = 0x7;
const SHARED: u32 = 0x1;
/// `MAP_SHARED|MAP_ANONYMOUS`: there is a file of the kernel's own behind it.
const SHARED_MEMORY: u32 = 0x21;
const MAY_SHARE: u64 = 0x80;

impl Fold {
    pub(super) fn map<S: Sink>(
        &mut self,
        header: &Header,
        event: &FileEvent<'_>,
        map: &Map,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let file = event.file;
        let call = calls::named(map.number).map(|call| call.name);
        tell(map, header.result >= 0, &mut self.scratch.text);
        let shown = protection(state(map));
        self.scratch.set_file_flags(header.flags, file.fs_magic);
        if map.behind != Behind::FILE {
            let shared_memory = map.flags & SHARED_MEMORY == SHARED_MEMORY;
            let kind = if shared_memory && (u64::from(map.protection) | map.state) & EXECUTABLE == 0
            {
                kinds::FILE_MAP
            } else {
                kinds::PROCESS_EXECMEM
            };
            return self
                .emit(header, kind, sink, |text, record| {
                    record.call = call;
                    record.protection = Some(shown);
                    record.detail = Some(&text.text);
                    record.truncated = some(&text.truncated);
                })
                .map(drop);
        }
        self.scratch.set_file(event, header.flags);
        self.set_host_path(header.time, file.dev, &event.host);
        let seq = self.emit(header, kinds::FILE_MAP, sink, |text, record| {
            record.call = call;
            record.path = Some(&text.path);
            record.host_path = some(&text.host_path);
            record.fd = (file.fd >= 0).then_some(i64::from(file.fd));
            record.flags = Some(OpenFlags::of_host(file.flags).0);
            record.mode = Some(i64::from(file.mode));
            record.dev = Some(stat_dev(file.dev));
            record.ino = Some(file.ino.cast_signed());
            record.offset = i64::try_from(map.offset).ok();
            record.protection = Some(shown);
            record.detail = Some(&text.text);
            record.truncated = some(&text.truncated);
            record.notes = some(&text.notes);
            set_version(record, &file.version);
            if map.number == NO_CALL {
                record.result = None;
            }
        })?;
        // A change of protection that failed can have had its effect before.
        if header.result >= 0 || map.state & EXECUTABLE != 0 {
            let interpreter = map.number == NO_CALL;
            let purpose = Purpose::Mapped {
                at: (map.start, map.end),
                runs: interpreter || state(map) & EXECUTABLE != 0,
            };
            self.tell(header, event, purpose, (seq, Opening::Other), sink);
        }
        Ok(())
    }
}

/// `VM_*` of the memory; where it could not be looked at, those that were asked for.
fn state(map: &Map) -> u64 {
    if map.state != 0 {
        return map.state;
    }
    let shared = if map.flags & SHARED != 0 {
        MAY_SHARE
    } else {
        0
    };
    u64::from(map.protection & PROTECTION) | shared
}

/// Where it is, and what was asked for, as JSON. Programs map files all the time, so it is written at once.
fn tell(map: &Map, succeeded: bool, out: &mut String) {
    out.clear();
    out.push('{');
    if succeeded || map.start != 0 {
        let (start, end) = (map.start, map.end);
        // Text takes whatever is written.
        let _ = write!(out, r#""start":"{start:#x}","end":"{end:#x}","#);
    }
    if map.number == NO_CALL {
        out.push_str(r#""what":"interpreter"}"#);
        return;
    }
    out.push_str(r#""protection":"#);
    arguments::protection_into(map.protection, out);
    if map.flags != 0 {
        out.push_str(r#","flags":"#);
        arguments::mapping_into(map.flags, out);
    }
    out.push('}');
}
