//! Records of calls that are only counted.

use lineage_common::{
    calls::Machine,
    compat::{self, X32_BIT},
    frame::{Counted, Header},
    tally::Class,
};
use serde_json::{Map, Value, json};

use super::{Fold, Sink};
use crate::{
    event::TallyEvent,
    evidence::kinds,
    lineage::{
        ioctl,
        text::{some, stat_dev},
    },
    names,
};

impl Fold {
    pub(super) fn tally<S: Sink>(
        &mut self,
        header: &Header,
        event: &TallyEvent<'_>,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let counted = event.counted;
        let is_first = counted.calls == 1;
        let device = matches!(counted.class, Class::CHARACTER | Class::BLOCK);
        self.scratch.set_flags(header.flags, "path");
        if let Some(path) = event.path {
            self.scratch.set_path(path);
            let path = self.scratch.path.as_str();
            let place = (counted.class, counted.device);
            self.processes.device(header.pid, header.start, place, path);
        } else {
            let known = self.processes.get(header.pid, header.start);
            let path = known.and_then(|process| {
                let place = (counted.class, counted.device);
                process.devices.get(&place).map(|path| &**path)
            });
            self.scratch.path.clear();
            self.scratch.path.push_str(path.unwrap_or_default());
        }
        let said = say(counted);
        let detail = (!said.told.is_empty()).then(|| Value::Object(said.told).to_string());
        self.emit(header, said.kind, sink, |text, record| {
            record.call = said.call;
            record.path = some(&text.path);
            record.truncated = some(&text.truncated);
            record.notes = some(&text.notes);
            record.count = Some(counted.calls);
            record.request = said.request;
            record.detail = detail.as_deref();
            if device {
                record.rdev = Some(stat_dev(counted.device));
            }
            if counted.ino != 0 {
                record.dev = Some(stat_dev(counted.dev));
                record.ino = Some(counted.ino.cast_signed());
                record.mode = Some(i64::from(counted.mode));
            }
            if !is_first {
                record.result = None;
            }
        })
        .map(drop)
    }
}

/// What a class of calls is, in the words of a record.
struct Said {
    kind: &'static str,
    call: Option<&'static str>,
    request: Option<i64>,
    told: Map<String, Value>,
}

fn say(counted: &Counted) -> Said {
    let code = Some(i64::from(counted.code));
    let mut told = Map::new();
    let (kind, call, request) = match counted.class {
        Class::CHARACTER | Class::BLOCK => {
            told = match counted.class {
                Class::CHARACTER => ioctl::tell_of(counted.device, counted.code),
                _ => ioctl::tell(counted.code),
            };
            (kinds::FILE_IOCTL, Some("ioctl"), code)
        }
        Class::IO_URING => {
            if let Some(name) = names::io_uring(counted.code) {
                told.insert("opcode".to_owned(), json!(name));
            }
            (kinds::KERNEL_IO_URING, Some("io_uring_submit"), code)
        }
        Class::COMPAT => {
            let table = match Machine::native() {
                Some(Machine::Aarch64) => "arm",
                _ if counted.code & X32_BIT != 0 => "x32",
                _ => "i386",
            };
            told.insert("table".to_owned(), json!(table));
            let name = Machine::native().and_then(|machine| compat::name(machine, counted.code));
            (kinds::PROCESS_COMPAT, name, code)
        }
        Class::AIO => (kinds::KERNEL_CONTROL, Some("io_submit"), None),
        _ => (kinds::KERNEL_CONTROL, None, code),
    };
    if counted.failed > 0 && counted.calls > 1 {
        told.insert("failed".to_owned(), json!(counted.failed));
    }
    Said {
        kind,
        call,
        request,
        told,
    }
}
