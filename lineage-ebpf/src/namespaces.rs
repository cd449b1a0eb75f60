//! The namespaces of a task, and which of them another one does not share.

use lineage_common::{
    frame::{Clone3, Namespaces},
    layout::ABSENT,
};

use crate::read::{offset, same, untyped, word};

/// Fills in the namespaces of the task at `task`.
#[inline(always)]
pub(crate) unsafe fn of_task(to: *mut Namespaces, task: u64) -> Option<()> {
    let proxy: u64 = untyped(task + offset!(task_nsproxy) as u64)?;
    let cred: u64 = untyped(task + offset!(task_cred) as u64)?;
    // SAFETY: by contract of the caller.
    unsafe {
        (*to).mnt = inum(proxy, offset!(nsproxy_mnt_ns), offset!(mnt_ns_inum));
        (*to).net = inum(proxy, offset!(nsproxy_net_ns), offset!(net_inum));
        (*to).uts = inum(proxy, offset!(nsproxy_uts_ns), offset!(uts_ns_inum));
        (*to).ipc = inum(proxy, offset!(nsproxy_ipc_ns), offset!(ipc_ns_inum));
        (*to).pid_for_children = inum(proxy, offset!(nsproxy_pid_ns), offset!(pid_ns_inum));
        (*to).cgroup = inum(proxy, offset!(nsproxy_cgroup_ns), offset!(cgroup_ns_inum));
        (*to).time_for_children = 0;
        if has_time() && offset!(time_ns_inum) != ABSENT as usize {
            (*to).time_for_children = inum(proxy, offset!(nsproxy_time_ns), offset!(time_ns_inum));
        }
        (*to).user = inum(cred, offset!(cred_user_ns), offset!(user_ns_inum));
    }
    Some(())
}

/// The inode number of the namespace that a member points to; 0 when there is none.
#[inline(always)]
fn inum(structure: u64, member: usize, number: usize) -> u32 {
    match untyped::<u64>(structure + member as u64) {
        Some(0) | None => 0,
        Some(namespace) => untyped(namespace + number as u64).unwrap_or(0),
    }
}

/// The `struct user_namespace` of a task's credentials.
#[inline(always)]
pub(crate) fn of_users(task: u64) -> u64 {
    let cred = word(task + offset!(task_cred) as u64);
    word(cred + offset!(cred_user_ns) as u64)
}

/// Which namespaces differ between two `struct nsproxy`.
#[inline(always)]
pub(crate) fn differing(one: u64, other: u64) -> Clone3 {
    let mut shared = 0;
    let mut compare = |member: usize, flag: Clone3| {
        shared |= flag.0 * same(word(one + member as u64), word(other + member as u64));
    };
    compare(offset!(nsproxy_mnt_ns), Clone3::NEWNS);
    compare(offset!(nsproxy_net_ns), Clone3::NEWNET);
    compare(offset!(nsproxy_uts_ns), Clone3::NEWUTS);
    compare(offset!(nsproxy_ipc_ns), Clone3::NEWIPC);
    compare(offset!(nsproxy_pid_ns), Clone3::NEWPID);
    compare(offset!(nsproxy_cgroup_ns), Clone3::NEWCGROUP);
    let mut all = Clone3::NAMESPACES.0 & !Clone3::NEWUSER.0 & !Clone3::NEWTIME.0;
    if has_time() {
        compare(offset!(nsproxy_time_ns), Clone3::NEWTIME);
        all |= Clone3::NEWTIME.0;
    }
    Clone3(all & !shared)
}

/// Whether the kernel has namespaces of time.
#[inline(always)]
fn has_time() -> bool {
    offset!(nsproxy_time_ns) != ABSENT as usize
}
