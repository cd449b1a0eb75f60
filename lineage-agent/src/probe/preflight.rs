//! What must be so before anything is loaded, each with a sentence of its own when it is not.

use rustix::thread::{CapabilitySet, capabilities};

use super::{ProbeError, btf::Btf, catalog::FEATURES};

/// Inode number of the initial pid namespace, `PROC_PID_INIT_INO`
/// (`include/linux/proc_ns.h`).
const INITIAL_PID_NAMESPACE: u64 = 0xefff_fffc;

/// Checks privileges and the namespace.
pub(super) fn check_process() -> Result<(), ProbeError> {
    let Ok(sets) = capabilities(None) else {
        return Err(ProbeError::Capability { missing: "CAP_BPF" });
    };
    let has = |capability| {
        sets.effective.contains(capability) || sets.effective.contains(CapabilitySet::SYS_ADMIN)
    };
    if !has(CapabilitySet::BPF) {
        return Err(ProbeError::Capability { missing: "CAP_BPF" });
    }
    if !has(CapabilitySet::PERFMON) {
        return Err(ProbeError::Capability {
            missing: "CAP_PERFMON",
        });
    }
    let namespace = rustix::fs::stat("/proc/self/ns/pid").map_err(|error| ProbeError::Read {
        path: "/proc/self/ns/pid",
        source: error.into(),
    })?;
    if namespace.st_ino != INITIAL_PID_NAMESPACE {
        return Err(ProbeError::PidNamespace);
    }
    Ok(())
}

/// Checks that the kernel has what the probes use.
pub(super) fn check_features(btf: &Btf<'_>) -> Result<(), ProbeError> {
    for feature in FEATURES {
        if !btf.has_function(feature.function) {
            return Err(ProbeError::TooOld {
                release: rustix::system::uname()
                    .release()
                    .to_string_lossy()
                    .into_owned(),
                feature: feature.function,
                used_for: feature.used_for,
                since: feature.since,
            });
        }
    }
    Ok(())
}
