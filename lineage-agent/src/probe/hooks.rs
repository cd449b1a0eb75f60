//! What is asked of security modules, as data: the programs of the two tiers that answer there.

use aya::{
    Btf, Ebpf,
    programs::{FEntry, Lsm, Program, ProgramError},
};

use lineage_common::tier::Tier;

use super::{ProbeError, programs::with};

/// A question, and who answers it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hook {
    /// The program of the tier `lsm`, and its hook.
    lsm: (&'static str, &'static str),
    /// The program of the tier `fexit`, and the function at whose entry it is; none where that would be no earlier than the
    /// return of the call.
    fexit: Option<(&'static str, &'static str)>,
}

const HOOKS: &[Hook] = &[
    hook(
        "lsm_exec",
        "bprm_check_security",
        "fentry_exec",
        "security_bprm_check",
    ),
    hook("lsm_open", "file_open", "fentry_open", "security_file_open"),
    hook(
        "lsm_unlink",
        "path_unlink",
        "fentry_unlink",
        "security_path_unlink",
    ),
    hook(
        "lsm_rmdir",
        "path_rmdir",
        "fentry_rmdir",
        "security_path_rmdir",
    ),
    hook(
        "lsm_mkdir",
        "path_mkdir",
        "fentry_mkdir",
        "security_path_mkdir",
    ),
    hook(
        "lsm_mknod",
        "path_mknod",
        "fentry_mknod",
        "security_path_mknod",
    ),
    hook(
        "lsm_symlink",
        "path_symlink",
        "fentry_symlink",
        "security_path_symlink",
    ),
    hook("lsm_link", "path_link", "fentry_link", "security_path_link"),
    hook(
        "lsm_rename",
        "path_rename",
        "fentry_rename",
        "security_path_rename",
    ),
    hook(
        "lsm_truncate",
        "path_truncate",
        "fentry_truncate",
        "security_path_truncate",
    ),
    hook(
        "lsm_chmod",
        "path_chmod",
        "fentry_chmod",
        "security_path_chmod",
    ),
    hook(
        "lsm_chown",
        "path_chown",
        "fentry_chown",
        "security_path_chown",
    ),
    hook(
        "lsm_connect",
        "unix_stream_connect",
        "fentry_connect",
        "security_unix_stream_connect",
    ),
    hook(
        "lsm_bind",
        "socket_bind",
        "fentry_bind",
        "security_socket_bind",
    ),
    refusal("lsm_listen", "socket_listen"),
    refusal("lsm_accept", "socket_accept"),
    refusal("lsm_send", "unix_may_send"),
    refusal("lsm_kill", "task_kill"),
    refusal("lsm_ptrace", "ptrace_access_check"),
    refusal("lsm_traceme", "ptrace_traceme"),
];

const fn hook(
    lsm: &'static str,
    of_lsm: &'static str,
    fexit: &'static str,
    of_fexit: &'static str,
) -> Hook {
    Hook {
        lsm: (lsm, of_lsm),
        fexit: Some((fexit, of_fexit)),
    }
}

const fn refusal(lsm: &'static str, of_lsm: &'static str) -> Hook {
    Hook {
        lsm: (lsm, of_lsm),
        fexit: None,
    }
}

impl Hook {
    /// The program of a tier and what it is attached to.
    fn of(&self, tier: Tier) -> Option<(&'static str, &'static str)> {
        match tier {
            Tier::Lsm => Some(self.lsm),
            Tier::Fexit => self.fexit,
            Tier::Trace => None,
        }
    }
}

/// Names of the programs of a tier.
pub(super) fn programs(tier: Tier) -> impl Iterator<Item = &'static str> {
    HOOKS.iter().filter_map(move |hook| Some(hook.of(tier)?.0))
}

/// Loads and attaches the programs of a tier. One that the kernel refuses leaves a question that nobody answers, so that
/// is an error.
pub(super) fn attach(ebpf: &mut Ebpf, tier: Tier) -> Result<(), ProbeError> {
    let btf = Btf::from_sys_fs().map_err(|error| ProbeError::Load(error.into()))?;
    let refused = |hook| {
        move |error| match error {
            ProbeError::Program { said, .. } => ProbeError::Hook {
                tier: tier.name(),
                hook,
                said,
            },
            other => other,
        }
    };
    let all = || HOOKS.iter().filter_map(|hook| hook.of(tier));
    for (name, hook) in all() {
        with(ebpf, name, |program| load(program, hook, &btf)).map_err(refused(hook))?;
    }
    for (name, hook) in all() {
        with(ebpf, name, attach_one).map_err(refused(hook))?;
    }
    Ok(())
}

fn load(program: &mut Program, hook: &str, btf: &Btf) -> Result<(), ProgramError> {
    match program {
        Program::Lsm(program) => Lsm::load(program, hook, btf),
        program => <&mut FEntry>::try_from(program)?.load(hook, btf),
    }
}

fn attach_one(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::Lsm(program) => program.attach().map(drop),
        program => <&mut FEntry>::try_from(program)?.attach().map(drop),
    }
}
