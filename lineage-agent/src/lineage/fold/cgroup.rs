//! Records of moves to other control groups.

use lineage_common::frame::Header;
use serde_json::{Map, Value, json};

use super::{Fold, Sink, call::set_other};
use crate::{
    event::CgroupEvent,
    evidence::kinds,
    lineage::text::{replace, some},
};

impl Fold {
    pub(super) fn cgroup<S: Sink>(
        &mut self,
        header: &Header,
        event: &CgroupEvent<'_>,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let moved = event.moved;
        let unified = moved.hierarchy == 0;
        self.scratch.set_flags(header.flags, "");
        replace(&mut self.scratch.text, event.path);
        let mut told = Map::new();
        let mut tell = |name: &str, value: Value| told.insert(name.to_owned(), value);
        tell("path", json!(self.scratch.text));
        if unified {
            if let Some(container) = self.container_of(moved.id) {
                tell("container", json!(container));
            }
        } else {
            tell("hierarchy", json!(moved.hierarchy));
            tell("id", json!(moved.id));
        }
        if moved.thread != 0 {
            tell("thread", json!(moved.thread));
        }
        if moved.by != 0 {
            tell("by", json!(moved.by));
        }
        let other = self.other(&moved.other);
        let detail = Value::Object(told).to_string();
        self.emit(header, kinds::PROCESS_CGROUP, sink, |text, record| {
            record.cgroup = unified.then_some(moved.id.cast_signed());
            record.truncated = some(&text.truncated);
            record.detail = Some(&detail);
            set_other(record, &other);
        })
        .map(drop)
    }
}
