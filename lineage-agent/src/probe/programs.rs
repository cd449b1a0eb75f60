//! Loads the programs of the object into the kernel and attaches them.

use aya::{
    Btf, Ebpf,
    programs::{BtfTracePoint, Iter, ProgramError, TracePoint},
};

use super::{
    ProbeError,
    catalog::{Entry, Probe},
};

/// The program that lists processes.
pub(super) const LIST: &str = "tasks";

/// Loads what `entry` names, and the list of processes; then attaches what `entry` names.
pub(super) fn attach(ebpf: &mut Ebpf, entry: Entry) -> Result<(), ProbeError> {
    let btf = Btf::from_sys_fs().map_err(|error| ProbeError::Load(error.into()))?;
    for probe in entry.probes() {
        with(ebpf, probe.name, |program| match entry {
            Entry::Typed => {
                let program: &mut BtfTracePoint = program.try_into()?;
                program.load(probe.hook, &btf)
            }
            Entry::Guarded => {
                let program: &mut TracePoint = program.try_into()?;
                program.load()
            }
        })?;
    }
    with(ebpf, LIST, |program| {
        let program: &mut Iter = program.try_into()?;
        program.load("task", &btf)
    })?;
    // Loading all before attaching any: either everything is seen or nothing.
    for probe in entry.probes() {
        if probe.may_warn && warnings_are_fatal() {
            continue;
        }
        with(ebpf, probe.name, |program| {
            attach_one(program, entry, probe)
        })?;
    }
    Ok(())
}

fn attach_one(
    program: &mut aya::programs::Program,
    entry: Entry,
    probe: &Probe,
) -> Result<(), ProgramError> {
    match entry {
        Entry::Typed => {
            let program: &mut BtfTracePoint = program.try_into()?;
            program.attach().map(drop)
        }
        Entry::Guarded => {
            let program: &mut TracePoint = program.try_into()?;
            program.attach(probe.group, probe.hook).map(drop)
        }
    }
}

/// Whether a warning of the kernel stops the machine.
fn warnings_are_fatal() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/panic_on_warn").is_ok_and(|value| value.trim() != "0")
}

/// Does something with a program; an error names it.
///
/// The kernel stops looking at a program when a signal arrives, and wants to be asked again
/// (`do_check` in `kernel/bpf/verifier.c`).
fn with(
    ebpf: &mut Ebpf,
    name: &'static str,
    act: impl Fn(&mut aya::programs::Program) -> Result<(), ProgramError>,
) -> Result<(), ProbeError> {
    /// How often.
    const TRIES: usize = 10;
    let program = ebpf.program_mut(name).ok_or(ProbeError::Object(name))?;
    let mut tries = 1..TRIES;
    loop {
        match act(program) {
            Err(error) if is_interrupted(&error) && tries.next().is_some() => {}
            done => {
                return done.map_err(|error| ProbeError::Program {
                    name,
                    said: error.into(),
                });
            }
        }
    }
}

fn is_interrupted(error: &ProgramError) -> bool {
    let error = match error {
        ProgramError::LoadError { io_error, .. } => io_error,
        ProgramError::SyscallError(error) => &error.io_error,
        _ => return false,
    };
    matches!(
        error.kind(),
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted
    )
}
