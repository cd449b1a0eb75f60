//! The hooks of the root control group that are asked before a process connects, takes an address or sends to one.

use std::fs::{self, File};

use aya::{
    Ebpf,
    programs::{CgroupAttachMode, CgroupSockAddr},
};

use super::{ProbeError, programs::with};

/// The programs, named as the hooks they are for.
const HOOKS: [&str; 6] = [
    "connect4", "connect6", "bind4", "bind6", "sendmsg4", "sendmsg6",
];

/// Loads and attaches them.
pub(super) fn attach(ebpf: &mut Ebpf) -> Result<(), ProbeError> {
    let root = root()?;
    for name in HOOKS {
        with(ebpf, name, |program| {
            let program: &mut CgroupSockAddr = program.try_into()?;
            program.load()?;
            program.attach(&root, CgroupAttachMode::Single).map(drop)
        })?;
    }
    Ok(())
}

/// The root of the unified hierarchy, wherever it is mounted.
fn root() -> Result<File, ProbeError> {
    let refused = |_| ProbeError::NoUnifiedHierarchy;
    let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(refused)?;
    let found = mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let fields: Vec<&str> = place.split(' ').collect();
        (kind.starts_with("cgroup2 ") && fields.get(3) == Some(&"/"))
            .then(|| fields.get(4).copied())?
    });
    File::open(found.ok_or(ProbeError::NoUnifiedHierarchy)?).map_err(refused)
}
