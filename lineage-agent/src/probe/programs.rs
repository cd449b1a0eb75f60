//! Loads the programs of the object into the kernel and attaches them.

use std::fs::File;

use aya::{
    Btf, Ebpf,
    programs::{BtfTracePoint, Iter, ProgramError, TracePoint},
};

use super::{
    ProbeError,
    catalog::{Entry, Optional, Probe},
};

/// The program that lists processes.
pub(super) const LIST: &str = "tasks";

/// Those that show what tracked processes have, each with the kind of object it is run for.
const FOUND: [(&str, &str); 2] = [("descriptors", "task_file"), ("mappings", "task_vma")];

/// Loads the programs that show what tracked processes have open and mapped; their output, to be read
/// like files. They run as it is read. Loaded only now, because most recordings need none of it.
pub(super) fn found(ebpf: &mut Ebpf) -> Result<[File; 2], ProbeError> {
    let btf = Btf::from_sys_fs().map_err(|error| ProbeError::Load(error.into()))?;
    for (name, object) in FOUND {
        with(ebpf, name, |program| {
            let program: &mut Iter = program.try_into()?;
            program.load(object, &btf)
        })?;
    }
    let [descriptors, mappings] = FOUND.map(|(name, _)| output(ebpf, name));
    Ok([descriptors?, mappings?])
}

/// The output of one of the programs that the agent runs.
pub(super) fn output(ebpf: &mut Ebpf, name: &'static str) -> Result<File, ProbeError> {
    let refused = |said| ProbeError::Program { name, said };
    let program: &mut Iter = ebpf
        .program_mut(name)
        .ok_or(ProbeError::Object(name))?
        .try_into()
        .map_err(|error: ProgramError| refused(error.into()))?;
    let link = program
        .attach()
        .and_then(|id| program.take_link(id))
        .map_err(|error| refused(error.into()))?;
    link.into_file().map_err(|error| refused(error.into()))
}

/// What is loaded and attached.
#[derive(Debug)]
pub(super) struct Programs {
    /// Which programs there must be.
    pub(super) entry: Entry,
    /// What else there is.
    pub(super) optional: Vec<&'static Optional>,
}

impl Programs {
    /// All of them, in the order they are attached.
    pub(super) fn probes(&self) -> impl Iterator<Item = &'static Probe> {
        let optional = self.optional.iter().map(|optional| &optional.probe);
        self.entry.probes().iter().chain(optional)
    }

    /// Loads them and the list of processes; then attaches them. An optional one that the kernel
    /// refuses is not there afterwards.
    pub(super) fn attach(&mut self, ebpf: &mut Ebpf) -> Result<(), ProbeError> {
        let btf = Btf::from_sys_fs().map_err(|error| ProbeError::Load(error.into()))?;
        let probes = self.entry.probes();
        for probe in probes {
            load_one(ebpf, probe, &btf)?;
        }
        self.optional
            .retain(|optional| load_one(ebpf, &optional.probe, &btf).is_ok());
        with(ebpf, LIST, |program| {
            let program: &mut Iter = program.try_into()?;
            program.load("task", &btf)
        })?;
        // Loading all before attaching any: either everything is seen or nothing.
        for probe in probes {
            if probe.may_warn && warnings_are_fatal() {
                continue;
            }
            with(ebpf, probe.name, |program| attach_one(program, probe))?;
        }
        self.optional.retain(|optional| {
            let probe = &optional.probe;
            let attach = |program: &mut _| attach_one(program, probe);
            with(ebpf, probe.name, attach).is_ok()
        });
        Ok(())
    }
}

fn load_one(ebpf: &mut Ebpf, probe: &'static Probe, btf: &Btf) -> Result<(), ProbeError> {
    with(ebpf, probe.name, |program| {
        if probe.group.is_empty() {
            let program: &mut BtfTracePoint = program.try_into()?;
            program.load(probe.hook, btf)
        } else {
            let program: &mut TracePoint = program.try_into()?;
            program.load()
        }
    })
}

fn attach_one(program: &mut aya::programs::Program, probe: &Probe) -> Result<(), ProgramError> {
    if probe.group.is_empty() {
        let program: &mut BtfTracePoint = program.try_into()?;
        program.attach().map(drop)
    } else {
        let program: &mut TracePoint = program.try_into()?;
        program.attach(probe.group, probe.hook).map(drop)
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
pub(super) fn with(
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
