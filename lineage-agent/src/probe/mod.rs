//! The kernel boundary: loads the probes, tracks processes, reads frames.
//!
//! [`Probes::load`] either attaches everything and has checked it, or refuses with one sentence
//! that says what is missing. Only this module knows that the probes are BPF programs.

#![allow(
    unsafe_code,
    reason = "the rings and counters are memory shared with the kernel"
)]

use std::time::{Duration, Instant};

use lineage_common::{
    calls::{Machine, Syscall},
    frame::CpuCounters,
    layout::KernelLayout,
    limits::{BULK_RING_BYTES, CONTROL_RING_BYTES, GOVERNED_MAX},
    policy::{Governance, Mode},
    tier::Tier,
};
use zerocopy::IntoBytes;

mod attach;
pub mod btf;
pub mod catalog;
mod check;
mod constants;
mod counters;
mod error;
mod events;
mod family;
mod found;
mod governance;
mod hooks;
pub mod layout;
mod plain;
mod preflight;
mod programs;
mod reader;
mod ring;
mod socket_hooks;
pub mod syscalls;
mod tier;
mod tracking;
mod trial;
mod trim;
mod uninterrupted;
mod warnings;

pub use counters::Counters;
pub use error::ProbeError;
pub use found::Found;
pub use governance::{AddressRule, PathRule, Rules};
pub use reader::{Drained, Reader};

use attach::Attached;
use btf::Btf;
use catalog::{Entry, WITHOUT_OPTIONAL};
use programs::Programs;
use trial::Became;
use uninterrupted::uninterrupted;

/// Names an [`Entry`] to use instead of the fitting one, so that both can be tested on one kernel.
const ENTRY_VARIABLE: &str = "LINEAGE_ENTRY";

/// Names the best [`Tier`] to use, for the same reason.
const TIER_VARIABLE: &str = "LINEAGE_TIER";

/// How to load the probes.
#[derive(Debug, Clone)]
pub struct Options {
    /// Size of the ring for forks, execs and exits in bytes: a power of two, at least a page.
    pub control_ring_bytes: u32,
    /// Size of the ring for files and sockets in bytes: a power of two, at least a page.
    pub bulk_ring_bytes: u32,
    /// How the probes are entered; `None` for what fits the kernel.
    pub entry: Option<Entry>,
    /// Calls that are not looked at.
    pub left_out: Vec<&'static Syscall>,
    /// Whether something is to be governed.
    pub governs: bool,
    /// The least tier to govern in.
    pub require_tier: Tier,
    /// The best to govern in, so that all can be tested on one kernel.
    pub best_tier: Tier,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            control_ring_bytes: CONTROL_RING_BYTES,
            bulk_ring_bytes: BULK_RING_BYTES,
            entry: std::env::var(ENTRY_VARIABLE)
                .ok()
                .and_then(|name| Entry::named(&name)),
            left_out: Vec::new(),
            governs: false,
            require_tier: Tier::Trace,
            best_tier: std::env::var(TIER_VARIABLE)
                .ok()
                .and_then(|name| Tier::named(&name))
                .unwrap_or(Tier::Lsm),
        }
    }
}

/// A process that [`Probes::track`] or [`Probes::attach_tree`] began to track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tracked {
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Process id of its parent.
    pub parent: u32,
    /// Its start (`CLOCK_BOOTTIME` in nanoseconds), as in [`lineage_common::frame::Header::start`].
    pub start: u64,
    /// Inode number of the pid namespace it was created in.
    pub pid_ns: u32,
    /// Its process id there.
    pub ns_pid: u32,
}

/// Lineage of the agent itself during the self-check; never seen by anyone.
const SELF_CHECK: u32 = u32::MAX;

/// Lineage of the child that is denied everything, likewise.
const TRIAL: u32 = GOVERNED_MAX - 1;

/// The probes, attached. Dropping it detaches them.
#[derive(Debug)]
pub struct Probes {
    attached: Attached,
    layout: KernelLayout,
    counters: Counters,
    /// When entries of ended processes were last looked for.
    reaped: Instant,
    /// Tiers that are better than the one in use, and why they are not.
    better: Vec<(Tier, String)>,
}

impl Probes {
    /// Loads, attaches and checks the probes.
    ///
    /// # Errors
    ///
    /// [`ProbeError`]; nothing is left attached.
    pub fn load(options: &Options) -> Result<(Self, Reader), ProbeError> {
        if !options.governs {
            return Self::load_in(options, None);
        }
        let mut better = Vec::new();
        for (tier, _) in Tier::ALL.into_iter().rev() {
            let why = match tier::available(tier) {
                _ if tier > options.best_tier => format!("{TIER_VARIABLE} forbids it"),
                Ok(()) => match Self::load_in(options, Some(tier)) {
                    Err(error @ (ProbeError::Powerless { .. } | ProbeError::Hook { .. })) => {
                        error.to_string()
                    }
                    Ok((probes, reader)) => return Ok((Self { better, ..probes }, reader)),
                    Err(error) => return Err(error),
                },
                Err(why) => why,
            };
            if tier <= options.require_tier {
                let required = tier.name();
                return Err(ProbeError::Tier { required, why });
            }
            better.push((tier, why));
        }
        Err(ProbeError::Object("the tiers"))
    }

    /// [`Self::load`] with what the tier needs to govern; with `None` nothing is governed.
    fn load_in(options: &Options, tier: Option<Tier>) -> Result<(Self, Reader), ProbeError> {
        preflight::check_process()?;
        let machine = Machine::native().ok_or(ProbeError::Architecture(std::env::consts::ARCH))?;
        let (entry, layout, optional) = {
            let bytes = std::fs::read(btf::VMLINUX)
                .map_err(|_| ProbeError::NoBtf { path: btf::VMLINUX })?;
            let btf = Btf::parse(&bytes)?;
            preflight::check_features(&btf)?;
            let entry = options.entry.unwrap_or_else(|| Entry::fitting(&btf));
            let mut layout = layout::resolve(&btf, machine)?;
            if entry == Entry::Guarded {
                events::resolve(&mut layout.derived)?;
                events::resolve_optional(&mut layout.derived);
            }
            let optional = entry.optional(&btf, &layout);
            (entry, layout, optional)
        };
        let programs = Programs { entry, optional };
        let (attached, reader) = attach::attach(options, &layout, machine, programs, tier)?;
        let counters = reader.counters().clone();
        let mut probes = Self {
            attached,
            layout,
            counters,
            reaped: Instant::now(),
            better: Vec::new(),
        };
        let reader = probes.check(reader)?;
        Ok((probes, reader))
    }

    /// Checks the probes with a child of the agent, and puts everything back to the beginning.
    fn check(&mut self, mut reader: Reader) -> Result<Reader, ProbeError> {
        let own = std::process::id();
        self.track(own, SELF_CHECK)?;
        let checked = check::check(&mut reader);
        let entry = self.entry();
        let tracking = &mut self.attached.tracking;
        uninterrupted(entry, || tracking.remove_with_descriptors(own));
        checked?;
        self.check_tier()?;
        // Nobody is tracked now, so once the running probes have ended nothing is numbered.
        tracking::settle();
        let cpus = self.counters.cpus();
        let attached = &mut self.attached;
        uninterrupted(entry, || {
            attached.tracking.remove_with_descriptors(own);
            attached.clear_counters(cpus)
        })?;
        reader.restart();
        Ok(reader)
    }

    /// Checks that what is denied is stopped as the tier promises.
    fn check_tier(&mut self) -> Result<(), ProbeError> {
        let Some(tier) = self.attached.tier else {
            return Ok(());
        };
        let governance = Governance {
            generation: 1,
            until_ns: u64::MAX,
            mode: Mode::ENFORCE,
            ..Governance::NONE
        };
        // No table has anything about it.
        let number = self.stage(governance, &Rules::default(), 0)?;
        self.switch(&[TRIAL], number)?;
        let became = trial::denied(|pid| self.track(pid, TRIAL).map(drop))?;
        let entry = self.entry();
        let governing = &mut self.attached.governing;
        uninterrupted(entry, || governing.forget(TRIAL))?;
        let promised = match tier {
            Tier::Lsm => Became::Refused,
            Tier::Fexit | Tier::Trace => Became::Ended,
        };
        if became == promised {
            return Ok(());
        }
        Err(ProbeError::Powerless { tier: tier.name() })
    }

    /// The tier in which something is governed, if it is.
    #[must_use]
    pub fn tier(&self) -> Option<Tier> {
        self.attached.tier
    }

    /// Tiers that are better than that, and why they are not to be had.
    #[must_use]
    pub fn better(&self) -> &[(Tier, String)] {
        &self.better
    }

    /// Tracks one process and all it will create from now on. What it has created already is not
    /// looked for, so this is for one that waits to be let loose.
    ///
    /// # Errors
    ///
    /// [`ProbeError::NoProcess`] when it does not exist, [`ProbeError::Track`] when the table is
    /// full.
    pub fn track(&mut self, pid: u32, lineage: u32) -> Result<Tracked, ProbeError> {
        let entry = self.entry();
        let Attached { ebpf, tracking, .. } = &mut self.attached;
        uninterrupted(entry, || tracking.track(ebpf, pid, lineage))
    }

    /// Tracks a running process and all its descendants; none escapes by being created or orphaned
    /// meanwhile. Returns those that were running: for what they create from then on, frames come.
    ///
    /// # Errors
    ///
    /// As [`Self::track`], and [`ProbeError::LinksMissed`] when more processes were created and
    /// ended meanwhile than could be noted. Those found until then stay tracked.
    pub fn attach_tree(&mut self, pid: u32, lineage: u32) -> Result<Vec<Tracked>, ProbeError> {
        let entry = self.entry();
        let Attached { ebpf, tracking, .. } = &mut self.attached;
        uninterrupted(entry, || tracking.attach(ebpf, pid, lineage))
    }

    /// Puts a policy in place, which governs nothing yet; the number it has from now on. Where `spare` is not 0, another one
    /// with as many rules of each kind must have room besides.
    ///
    /// # Errors
    ///
    /// [`ProbeError`] when there is no room, or the kernel refuses: then nothing is in place.
    pub fn stage(
        &mut self,
        governance: Governance,
        rules: &Rules<'_>,
        spare: usize,
    ) -> Result<u32, ProbeError> {
        let entry = self.entry();
        let governing = &mut self.attached.governing;
        uninterrupted(entry, || governing.stage(governance, rules, spare))
    }

    /// Lets a policy that is in place govern lineages from now on.
    ///
    /// # Errors
    ///
    /// [`ProbeError`] when there is no room, or the kernel refuses.
    pub fn switch(&mut self, lineages: &[u32], number: u32) -> Result<(), ProbeError> {
        let entry = self.entry();
        let governing = &mut self.attached.governing;
        uninterrupted(entry, || governing.switch(lineages, number))
    }

    /// Whether somebody did what was denied and could not be prevented, so that names lead elsewhere: a link, a rename, a mount.
    /// From then on nothing is authorised any more.
    ///
    /// # Errors
    ///
    /// [`ProbeError`] when the kernel refuses.
    pub fn breached(&mut self) -> Result<bool, ProbeError> {
        let entry = self.entry();
        let governing = &mut self.attached.governing;
        uninterrupted(entry, || governing.breached())
    }

    /// Lets what governs authorise again after that.
    ///
    /// # Errors
    ///
    /// [`ProbeError`] when the kernel refuses.
    pub fn pardon(&mut self) -> Result<(), ProbeError> {
        let entry = self.entry();
        let governing = &mut self.attached.governing;
        uninterrupted(entry, || governing.pardon())
    }

    /// Takes a policy away that governs nothing any more.
    pub fn retire(&mut self, number: u32, rules: &Rules<'_>) {
        // Whoever decides by it at this moment is to find all of it.
        tracking::settle();
        let entry = self.entry();
        let governing = &mut self.attached.governing;
        uninterrupted(entry, || governing.retire(number, rules));
    }

    /// Makes a budget with these limits, by [`lineage_common::policy::Spent`]; its place, from 1.
    ///
    /// # Errors
    ///
    /// [`ProbeError`] when there is no room.
    pub fn budget(
        &mut self,
        limits: [u64; lineage_common::policy::SPENT_COUNT],
    ) -> Result<u16, ProbeError> {
        let entry = self.entry();
        let governing = &mut self.attached.governing;
        uninterrupted(entry, || governing.budget(limits))
    }

    /// Lets what governs a lineage end at this boot time in nanoseconds: from then on nothing is allowed.
    ///
    /// # Errors
    ///
    /// [`ProbeError`] when the kernel refuses.
    pub fn end_governance(&mut self, lineage: u32, until_ns: u64) -> Result<(), ProbeError> {
        let entry = self.entry();
        let governing = &mut self.attached.governing;
        uninterrupted(entry, || governing.end(lineage, until_ns))
    }

    /// Which lineage a process belongs to.
    ///
    /// # Errors
    ///
    /// [`ProbeError::NotTracked`] when it is not recorded.
    pub fn lineage_of(&mut self, pid: u32) -> Result<(Tracked, u32), ProbeError> {
        let entry = self.entry();
        let Attached { ebpf, tracking, .. } = &mut self.attached;
        uninterrupted(entry, || tracking.lineage_of(ebpf, pid))
    }

    /// Gives a process, and what it creates from now on, to another lineage.
    ///
    /// # Errors
    ///
    /// [`ProbeError::NotTracked`] when it has ended meanwhile.
    pub fn give(&mut self, process: Tracked, lineage: u32) -> Result<(), ProbeError> {
        let entry = self.entry();
        let Attached { ebpf, tracking, .. } = &mut self.attached;
        uninterrupted(entry, || tracking.give(ebpf, process, lineage))
    }

    /// What the tracked processes have open and mapped. It is looked at as it is read.
    ///
    /// # Errors
    ///
    /// [`ProbeError::Program`] when the kernel refuses the programs that look.
    pub fn found(&mut self) -> Result<Found, ProbeError> {
        let found = programs::found(&mut self.attached.ebpf)?;
        trim::trim();
        Ok(Found::new(found))
    }

    /// How many processes are tracked now; 0 only when it is certain that there is none.
    pub fn tracked(&mut self) -> usize {
        /// How often entries are compared with the processes there are.
        const REAP_EVERY: Duration = Duration::from_secs(1);
        let entry = self.entry();
        let numbered = self.numbered();
        let Attached { ebpf, tracking, .. } = &mut self.attached;
        let tracked = tracking.pids().len();
        if tracked == 0 {
            // A walk misses a process that is created behind it by one that ends before it: the
            // probes have numbered the creation then.
            return usize::from(self.numbered() != numbered);
        }
        if self.reaped.elapsed() < REAP_EVERY {
            return tracked;
        }
        self.reaped = Instant::now();
        // What could not be looked at now is looked at in a second.
        let _ = uninterrupted(entry, || tracking.reap(ebpf));
        tracked
    }

    /// How many frames the probes have numbered.
    fn numbered(&self) -> u64 {
        let cpus = 0..self.counters.cpus();
        cpus.map(|cpu| self.counters.read(cpu).number).sum()
    }

    /// What the probes said since the last call, for an operator: each is a sentence about something
    /// that is not recorded, and rare.
    pub fn warnings(&mut self) -> Vec<String> {
        self.attached.warnings.take()
    }

    /// Runs of the probes that the kernel skipped: events that nobody saw.
    ///
    /// # Errors
    ///
    /// [`ProbeError::Object`] when a program is gone.
    pub fn recursion_misses(&self) -> Result<u64, ProbeError> {
        self.attached.recursion_misses()
    }

    /// How many instructions the kernel's verifier looked at for each loaded program, most first. It
    /// refuses a program at a million.
    #[must_use]
    pub fn verified(&self) -> Vec<(&str, u32)> {
        self.attached.verified()
    }

    /// How the probes are entered.
    #[must_use]
    pub fn entry(&self) -> Entry {
        self.attached.programs.entry
    }

    /// Names of the blind spots that this kernel has and others have not.
    #[must_use]
    pub fn unseen(&self) -> Vec<&'static str> {
        let seen = &self.attached.programs.optional;
        let unseen = |name: &&&str| !seen.iter().any(|optional| optional.without == **name);
        WITHOUT_OPTIONAL.iter().filter(unseen).copied().collect()
    }

    /// How many CPUs have counters.
    #[must_use]
    pub fn cpus(&self) -> usize {
        self.counters.cpus()
    }

    /// The counters of one CPU.
    #[must_use]
    pub fn counters(&self, cpu: usize) -> CpuCounters {
        self.counters.read(cpu)
    }

    /// The object that was loaded, byte for byte: its digest goes into the environment record.
    #[must_use]
    pub fn object(&self) -> &'static [u8] {
        attach::object()
    }

    /// The resolved layout of the kernel: its digest goes into the environment record.
    #[must_use]
    pub fn layout_bytes(&self) -> &[u8] {
        self.layout.as_bytes()
    }
}
