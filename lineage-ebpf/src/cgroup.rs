//! Control groups.

use crate::read::{offset, untyped, word};

/// The `struct cgroup` of a task in the unified hierarchy.
#[inline(always)]
pub(crate) fn of_task(task: u64) -> u64 {
    let css_set = word(task + offset!(task_cgroups) as u64);
    word(css_set + offset!(css_set_default) as u64)
}

/// The id of the `struct cgroup` at `group`.
#[inline(always)]
pub(crate) fn id(group: u64) -> Option<u64> {
    let node: u64 = untyped(group + offset!(cgroup_node) as u64)?;
    untyped(node + offset!(kernfs_node_id) as u64)
}
