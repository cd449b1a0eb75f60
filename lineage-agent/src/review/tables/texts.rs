//! Texts that occur many times, each held once.

use std::collections::HashMap;

/// Bytes of all texts together; further ones are left out.
const BYTES_MAX: usize = 256 << 20;

/// A text, or none.
pub(super) type Id = Option<u32>;

#[derive(Debug, Default)]
pub(super) struct Texts {
    ids: HashMap<Box<str>, u32>,
    list: Vec<Box<str>>,
    bytes: usize,
    /// Texts that there was no room for.
    pub(super) left_out: u64,
}

impl Texts {
    pub(super) fn id(&mut self, text: Option<&str>) -> Id {
        let text = text?;
        if let Some(id) = self.ids.get(text) {
            return Some(*id);
        }
        let id = u32::try_from(self.list.len()).ok();
        let Some(id) = id.filter(|_| self.bytes + text.len() <= BYTES_MAX) else {
            self.left_out += 1;
            return None;
        };
        self.bytes += text.len();
        self.ids.insert(text.into(), id);
        self.list.push(text.into());
        Some(id)
    }

    pub(super) fn get(&self, id: Id) -> Option<&str> {
        Some(self.list.get(id? as usize)?)
    }
}
