//! How the host sees a file, where the process sees it otherwise.

use std::{collections::VecDeque, sync::Arc};

use lineage_common::frame::HostPath;
use serde_json::json;

use super::Fold;
use crate::{
    event::HostFile,
    lineage::{mounts::Mounts, text::replace},
};

/// What the note says when the host has no path for a file.
const NOT_ON_HOST: &str = "not-on-host";

/// Most tables of mounts that wait for their time; beyond, the first ones are taken too early.
const NEXT_MAX: usize = 16;

/// The host's mounts: those of the present, and those that will be.
#[derive(Debug, Default)]
pub(super) struct HostMounts {
    now: Option<Arc<Mounts>>,
    /// Each with the boot time from which on they are the present ones, in that order.
    next: VecDeque<(u64, Option<Arc<Mounts>>)>,
    /// A place inside a file system, while it is looked for.
    inside: Vec<u8>,
}

impl HostMounts {
    fn add(&mut self, time_ns: u64, mounts: Option<Arc<Mounts>>) {
        if self.next.len() >= NEXT_MAX
            && let Some((_, mounts)) = self.next.pop_front()
        {
            self.now = mounts;
        }
        self.next.push_back((time_ns, mounts));
    }

    fn advance(&mut self, time_ns: u64) {
        while let Some((_, mounts)) = self.next.pop_front_if(|(from, _)| *from <= time_ns) {
            self.now = mounts;
        }
    }

    /// Replaces a place inside a file system by the path the host has for it, if it has one; `None` when
    /// it is not known what is mounted. A mount is noticed a moment after it was made: what is seen
    /// nowhere yet is looked for in the next tables.
    fn find(&mut self, dev: u32, path: &mut Vec<u8>) -> Option<bool> {
        std::mem::swap(&mut self.inside, path);
        let next = self.next.iter().filter_map(|(_, mounts)| mounts.as_ref());
        let mut tables = self.now.iter().chain(next).peekable();
        tables.peek()?;
        Some(tables.any(|mounts| mounts.find(dev, &self.inside, path)))
    }
}

impl Fold {
    /// Says what the host has mounted where from this boot time on; `None` when it is not known.
    pub fn set_mounts(&mut self, time_ns: u64, mounts: Option<Arc<Mounts>>) {
        self.mounts.add(time_ns, mounts);
    }

    /// Says which container a control group belongs to; of several groups the last counts.
    pub fn set_container(&mut self, cgroup: u64, container: &str) {
        if self.container_of(cgroup).is_none() {
            self.container = Some((cgroup, container.to_owned()));
        }
    }

    /// The container that a control group belongs to, as far as it was said.
    pub(super) fn container_of(&self, cgroup: u64) -> Option<&str> {
        let (known, container) = self.container.as_ref()?;
        (*known == cgroup).then_some(container)
    }

    /// Fills `container` with what is known of a control group, as JSON.
    pub(super) fn set_container_of(&mut self, cgroup: u64) {
        self.scratch.container.clear();
        if let Some((known, container)) = &self.container
            && *known == cgroup
        {
            let detail = json!({ "container": container }).to_string();
            self.scratch.container.push_str(&detail);
        }
    }

    /// Fills `host_path` for a file on `dev` whose path is in the scratch already, and adds a note when
    /// the host has no path for it.
    pub(super) fn set_host_path(&mut self, time_ns: u64, dev: u32, host: &HostFile<'_>) {
        let text = &mut self.scratch;
        text.host_path.clear();
        if host.view == HostPath::SAME.view {
            return;
        }
        self.mounts.advance(time_ns);
        text.bytes.clear();
        host.path.write_to(&mut text.bytes);
        let found = match host.view {
            HostPath::WHOLE => Some(true),
            HostPath::INSIDE => self.mounts.find(dev, &mut text.bytes),
            _ => Some(false),
        };
        match found {
            Some(true) => replace(&mut text.host_path, &text.bytes),
            Some(false) => text.add_note(NOT_ON_HOST),
            None => {}
        }
        if text.host_path == text.path {
            text.host_path.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::mounts::Mount;

    /// The root on device 1, and device 2 at this place.
    fn table(point: &str) -> Option<Arc<Mounts>> {
        let mount = |id, parent, dev, point: &str| Mount {
            id,
            parent,
            dev,
            root: b"/".to_vec(),
            point: point.as_bytes().to_vec(),
        };
        Some(Arc::new(Mounts::new(&[
            mount(20, 1, 1, "/"),
            mount(21, 20, 2, point),
        ])))
    }

    fn find(mounts: &mut HostMounts, time_ns: u64) -> String {
        let mut path = b"/x".to_vec();
        mounts.advance(time_ns);
        assert_eq!(mounts.find(2, &mut path), Some(true));
        String::from_utf8(path).unwrap()
    }

    #[test]
    fn each_table_counts_from_its_time_on() {
        let mut mounts = HostMounts::default();
        for (time_ns, point) in [(0, "/a"), (100, "/b"), (200, "/c"), (300, "/d")] {
            mounts.add(time_ns, table(point));
        }
        for (time_ns, path) in [(50, "/a/x"), (150, "/b/x"), (300, "/d/x")] {
            assert_eq!(find(&mut mounts, time_ns), path);
        }
    }

    #[test]
    fn no_more_wait_than_there_is_room_for() {
        let mut mounts = HostMounts::default();
        mounts.add(0, table("/a"));
        for time_ns in 0..100 {
            mounts.add(1000 + time_ns, table(&format!("/{time_ns}")));
        }
        assert_eq!(mounts.next.len(), NEXT_MAX);
        assert_eq!(find(&mut mounts, 0), "/83/x");
    }
}
