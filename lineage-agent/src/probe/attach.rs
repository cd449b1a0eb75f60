//! Loads the object and attaches its programs.

use std::cmp::Reverse;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    maps::{Array, Map, MapData},
};
use lineage_common::{
    calls::Machine,
    frame::{CpuCounters, WIRE_MARK, WIRE_VERSION},
    layout::KernelLayout,
    limits::{DECIDED_MAX, INTERPRETERS_MAX, PIDS_MAX},
    tier::Tier,
};
use zerocopy::{FromZeros, IntoBytes};

use super::{
    Options, ProbeError,
    catalog::Entry,
    constants,
    counters::Counters,
    governance::Governing,
    hooks,
    plain::Plain,
    programs::Programs,
    reader::Reader,
    ring::{Mapping, Ring},
    socket_hooks, syscalls,
    tracking::Tracking,
    trim::trim,
    uninterrupted::uninterrupted,
    warnings::Warnings,
};

/// The object, as `cargo xtask build` left it.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lineage-ebpf.o"));

/// Loaded and attached programs and the maps the agent writes.
#[derive(Debug)]
pub(super) struct Attached {
    /// Owns the programs and their links: dropping it detaches them.
    pub(super) ebpf: Ebpf,
    pub(super) tracking: Tracking,
    pub(super) governing: Governing,
    pub(super) warnings: Warnings,
    pub(super) programs: Programs,
    /// In which something is governed, if it is.
    pub(super) tier: Option<Tier>,
}

/// The object's bytes, for the environment record.
pub(super) fn object() -> &'static [u8] {
    OBJECT
}

/// Loads and attaches everything.
pub(super) fn attach(
    options: &Options,
    layout: &KernelLayout,
    machine: Machine,
    mut programs: Programs,
    tier: Option<Tier>,
) -> Result<(Attached, Reader), ProbeError> {
    check_version()?;
    check_size(options.control_ring_bytes)?;
    check_size(options.bulk_ring_bytes)?;
    let cpus = possible_cpus()?;
    let loading = Loading {
        options,
        layout,
        machine,
        entry: programs.entry,
        cpus,
        tier,
    };
    let mut ebpf = loading.load()?;
    programs.attach(&mut ebpf)?;
    if let Some(tier) = tier {
        socket_hooks::attach(&mut ebpf)?;
        hooks::attach(&mut ebpf, tier)?;
    }
    trim();
    // The rings come last: mapped, they count as memory of this process, and loading takes enough.
    let counters = Counters::new(map(&ebpf, "COUNTERS")?.fd().as_fd(), cpus as usize)
        .map_err(ProbeError::Map)?;
    let control = ring(&ebpf, "CONTROL", options.control_ring_bytes)?;
    let bulk = ring(&ebpf, "BULK", options.bulk_ring_bytes)?;
    let page = rustix::param::page_size();
    let mapped = |name, bytes| {
        Mapping::new(map(&ebpf, name)?.fd().as_fd(), bytes, 0, true).map_err(ProbeError::Map)
    };
    let (waiting, blocks_taken) = (mapped("READER", page)?, mapped("BLOCKS_TAKEN", page)?);
    let marks = mapped("TRACKED", PIDS_MAX as usize / 8)?;
    let tracking = Tracking::new(&mut ebpf, marks, blocks_taken)?;
    let governing = Governing::new(&mut ebpf)?;
    let warnings =
        Warnings::new(&mut ebpf).map_err(|error| ProbeError::Load(anyhow::Error::new(error)))?;
    let reader = Reader::new(control, bulk, counters, waiting).map_err(ProbeError::Map)?;
    let attached = Attached {
        ebpf,
        tracking,
        governing,
        warnings,
        programs,
        tier,
    };
    Ok((attached, reader))
}

/// What the object is loaded with.
struct Loading<'a> {
    options: &'a Options,
    layout: &'a KernelLayout,
    machine: Machine,
    entry: Entry,
    cpus: u32,
    tier: Option<Tier>,
}

impl Loading<'_> {
    /// Loads the object: its maps are made, its programs relocated.
    fn load(&self) -> Result<Ebpf, ProbeError> {
        let table = syscalls::table(self.machine, &self.options.left_out, self.tier.is_some());
        let facilities = syscalls::facilities(self.machine);
        let judged = syscalls::judged(self.machine);
        let interpreters = match self.entry {
            Entry::Typed => 1,
            Entry::Guarded => INTERPRETERS_MAX,
        };
        let governs = u32::from(self.tier.is_some());
        let hooked: u32 = match self.tier {
            None | Some(Tier::Trace) => 0,
            Some(Tier::Fexit) => 1,
            Some(Tier::Lsm) => 2,
        };
        let (spare, waiting) = if hooked != 0 {
            (self.spare_scratches(), DECIDED_MAX)
        } else {
            (0, 1)
        };
        let scratches = [self.cpus, spare];
        let mut loader = EbpfLoader::new();
        loader
            // The kernel's types are megabytes, and nothing in the object is moved by them: that is what the layout is for.
            .btf(None)
            .map_max_entries("INTERPRETERS", interpreters)
            .override_global("SYSCALLS", table.as_bytes(), true)
            .override_global("FACILITIES", &facilities, true)
            .override_global("JUDGED_CALLS", judged.as_slice(), true)
            .override_global("GOVERNS", &governs, true)
            .override_global("HOOKED", &hooked, true)
            .override_global("SPARE_SCRATCHES", scratches.as_bytes(), true)
            .map_max_entries("CONTROL", self.options.control_ring_bytes)
            .map_max_entries("BULK", self.options.bulk_ring_bytes)
            .map_max_entries("COUNTERS", self.cpus)
            .map_max_entries("SCRATCH", self.cpus + spare)
            .map_max_entries("WAITING", waiting)
            .verifier_log_level(VerifierLogLevel::DEBUG);
        let object = self.object()?;
        uninterrupted(self.entry, || loader.load(object.as_bytes()))
            .map_err(|error| ProbeError::Load(error.into()))
    }

    /// The object as this kernel takes it, in words: it is read in place.
    fn object(&self) -> Result<Vec<u64>, ProbeError> {
        let mut object = vec![0; OBJECT.len().div_ceil(size_of::<u64>())];
        object.as_mut_bytes()[..OBJECT.len()].copy_from_slice(OBJECT);
        let put = constants::put(object.as_mut_bytes(), self.layout);
        if put.words == 0 || put.calls == 0 && self.layout.derived.cast_function != 0 {
            return Err(ProbeError::Object("the layout"));
        }
        Ok(object)
    }

    /// How many scratches there are for hooks, which can be preempted while they use one.
    fn spare_scratches(&self) -> u32 {
        /// Two of a processor's hooks preempted by a third is rare enough.
        const PER_CPU: u32 = 2;
        /// At least and at most: each is some 130 KiB of the kernel's memory.
        const RANGE: (u32, u32) = (8, 64);
        (self.cpus * PER_CPU).clamp(RANGE.0, RANGE.1)
    }
}

impl Attached {
    /// Sets all counters to 0. Nothing may be tracked.
    pub(super) fn clear_counters(&mut self, cpus: usize) -> Result<(), ProbeError> {
        let map = self
            .ebpf
            .map_mut("COUNTERS")
            .ok_or(ProbeError::Object("COUNTERS"))?;
        let mut counters: Array<_, Plain<CpuCounters>> = map.try_into()?;
        for cpu in 0..cpus {
            let cpu = u32::try_from(cpu).map_err(|_| ProbeError::Object("COUNTERS"))?;
            counters.set(cpu, Plain(CpuCounters::new_zeroed()), 0)?;
        }
        Ok(())
    }

    /// How many instructions the verifier looked at for each program, most first; none where the
    /// kernel does not tell (before 5.16).
    pub(super) fn verified(&self) -> Vec<(&str, u32)> {
        let mut programs: Vec<_> = self
            .ebpf
            .programs()
            .filter_map(|(name, program)| {
                let info = program.info().ok()?;
                Some((name, info.verified_instruction_count()?))
            })
            .collect();
        programs.sort_unstable_by_key(|(name, instructions)| (Reverse(*instructions), *name));
        programs
    }

    /// Runs of the programs that the kernel skipped, because that CPU was already in one: events
    /// nobody saw.
    pub(super) fn recursion_misses(&self) -> Result<u64, ProbeError> {
        let mut misses = 0;
        let probes = self.programs.probes().map(|probe| probe.name);
        let hooks = self.tier.into_iter().flat_map(hooks::programs);
        for name in probes.chain(hooks) {
            let program = self.ebpf.program(name).ok_or(ProbeError::Object(name))?;
            let fd = program
                .fd()
                .map_err(|error| ProbeError::Load(error.into()))?;
            misses += fd_info(fd.as_fd().as_raw_fd(), "recursion_misses:");
        }
        Ok(misses)
    }
}

/// A number in `/proc/self/fdinfo`; kernels that do not have it do not skip silently either.
fn fd_info(fd: i32, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(0)
}

fn map<'a>(ebpf: &'a Ebpf, name: &'static str) -> Result<&'a MapData, ProbeError> {
    match ebpf.map(name) {
        Some(Map::Array(data) | Map::RingBuf(data)) => Ok(data),
        _ => Err(ProbeError::Object(name)),
    }
}

fn ring(ebpf: &Ebpf, name: &'static str, bytes: u32) -> Result<Ring, ProbeError> {
    let fd: OwnedFd = map(ebpf, name)?
        .fd()
        .as_fd()
        .try_clone_to_owned()
        .map_err(|error| ProbeError::Load(error.into()))?;
    Ring::new(fd, bytes as usize).map_err(ProbeError::Map)
}

/// Refuses an object built from another version of `lineage_common`.
fn check_version() -> Result<(), ProbeError> {
    let found = OBJECT
        .windows(WIRE_MARK.len() + 4)
        .filter_map(|bytes| bytes.strip_prefix(&WIRE_MARK))
        .find_map(|version| version.try_into().ok())
        .map(u32::from_le_bytes);
    if found != Some(WIRE_VERSION) {
        return Err(ProbeError::Version {
            expected: WIRE_VERSION,
            found,
        });
    }
    Ok(())
}

fn check_size(bytes: u32) -> Result<(), ProbeError> {
    if bytes.is_power_of_two() && bytes as usize >= rustix::param::page_size() {
        return Ok(());
    }
    Err(ProbeError::RingSize(bytes))
}

/// One more than the highest CPU the machine can have.
fn possible_cpus() -> Result<u32, ProbeError> {
    const PATH: &str = "/sys/devices/system/cpu/possible";
    let text =
        std::fs::read_to_string(PATH).map_err(|source| ProbeError::Read { path: PATH, source })?;
    text.trim()
        .rsplit([',', '-'])
        .next()
        .and_then(|last| last.parse::<u32>().ok())
        .and_then(|last| last.checked_add(1))
        .ok_or(ProbeError::Object(PATH))
}
