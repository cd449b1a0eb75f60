//! The environment document: what was true of host, kernel and recorder while evidence was made.
//!
//! Canonical JSON (keys sorted, no white space), stored in the evidence under its digest and named
//! by every context. It holds nothing that changes while a recorder runs undisturbed, so the same
//! circumstances have the same digest, and another digest means that something changed. What cannot
//! be read is `null`: unknown, not absent.

use std::fs;

use rustix::fs::{FsWord, statfs};
use rustix::system::uname;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::container;
use crate::evidence::escape::escape;

/// What the recorder knows of itself.
#[derive(Debug, Clone, Copy)]
pub struct Recorder<'a> {
    /// Version of the agent.
    pub version: &'a str,
    /// Digest of the agent's executable.
    pub digest: &'a str,
    /// Digest of the object file the probes were loaded from.
    pub probes: &'a str,
    /// Digest of the kernel field offsets the probes were given.
    pub layout: &'a str,
    /// How events are seen: `trace`, as calls return.
    pub tier: &'a str,
    /// How what is denied is stopped, where something is governed.
    pub enforcement: Option<Enforcement<'a>>,
    /// Names of what is not seen; see [`crate::host::blind_spots`].
    pub blind_spots: &'a [&'a str],
    /// Digest of the document of mounts; see [`crate::host::mounts`].
    pub mounts: Option<&'a str>,
    /// How often the clock was set since recording began.
    pub clock_steps: u64,
    /// Digests of the files of recognisers, in the order they were read.
    pub recognisers: &'a [String],
    /// Names of the calls that it was told not to record.
    pub left_out: &'a [&'a str],
}

/// The document. Field order is the canonical order: serialisation writes fields as declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Environment<'a> {
    /// The recorder.
    pub agent: Agent<'a>,
    /// Names of what is not seen.
    pub blind_spots: Vec<&'a str>,
    /// Id of this boot (`/proc/sys/kernel/random/boot_id`).
    pub boot: Option<String>,
    /// Control groups: `unified`, `hybrid` (unified beside the old ones), `legacy` or `none`.
    pub cgroups: &'static str,
    /// The clock.
    pub clock: Clock,
    /// The container the recorder is in, by the names of its control groups.
    pub container: Option<String>,
    /// CPUs the system may ever have.
    pub cpus: Option<usize>,
    /// Name of the host in its own words, escaped like all text.
    pub hostname: String,
    /// The kernel.
    pub kernel: Kernel,
    /// Names of the calls that the recorder was told not to record.
    pub left_out: &'a [&'a str],
    /// The installation: a digest of `/etc/machine-id`, which itself stays on the host (its manual
    /// page asks for that) and cannot be recovered from it.
    pub machine: Option<String>,
    /// Inode number of the recorder's mount namespace: a process in it has the mounts of this document.
    pub mnt_ns: Option<u32>,
    /// Digest of the document of what is mounted where.
    pub mounts: Option<&'a str>,
    /// The probes.
    pub probes: Probes<'a>,
    /// Digests of the files of recognisers in the order they were read: a later one replaces what an
    /// earlier one gives the same label.
    pub recognisers: &'a [String],
    /// Version of this document.
    pub version: u32,
}

/// The recorder's program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Agent<'a> {
    /// Digest of the executable.
    pub digest: &'a str,
    /// Its version.
    pub version: &'a str,
}

/// The clock that `time` is read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Clock {
    /// The hardware behind it, such as `tsc`.
    pub source: Option<String>,
    /// How often it was set since recording began.
    pub steps: u64,
    /// Whether the kernel considers it disciplined by NTP or the like (adjtimex(2)).
    pub synchronised: Option<bool>,
}

/// The running kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// `none`, `integrity` or `confidentiality` (kernel_lockdown(7)).
    pub lockdown: Option<String>,
    /// Active security modules in their order.
    pub lsm: Option<Vec<String>>,
    /// Hardware name, such as `x86_64`.
    pub machine: String,
    /// Release, such as `6.1.0-28-cloud-amd64`.
    pub release: String,
    /// Build of the release.
    pub version: String,
}

/// The kernel side of the recorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Probes<'a> {
    /// Digest of the object file.
    pub digest: &'a str,
    /// How what is denied is stopped; `null` where nothing is governed.
    pub enforcement: Option<Enforcement<'a>>,
    /// Digest of the field offsets.
    pub layout: &'a str,
    /// How events are seen.
    pub tier: &'a str,
}

/// How what policies deny is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Enforcement<'a> {
    /// Names of what happens all the same; see `docs/policies.md`.
    pub not_prevented: &'a [&'a str],
    /// `lsm`, `fexit` or `trace`.
    pub tier: &'a str,
}

impl<'a> Environment<'a> {
    /// Reads the environment.
    #[must_use]
    pub fn read(recorder: Recorder<'a>) -> Self {
        let system = uname();
        Self {
            agent: Agent {
                digest: recorder.digest,
                version: recorder.version,
            },
            blind_spots: recorder.blind_spots.to_vec(),
            boot: line("/proc/sys/kernel/random/boot_id"),
            cgroups: cgroups(),
            clock: Clock {
                source: line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
                steps: recorder.clock_steps,
                synchronised: clock::synchronised(),
            },
            container: fs::read("/proc/self/cgroup")
                .ok()
                .and_then(|groups| container::of_cgroups(&groups)),
            cpus: line("/sys/devices/system/cpu/possible").and_then(|list| count_cpus(&list)),
            hostname: escape(system.nodename().to_bytes()),
            kernel: Kernel {
                lockdown: line("/sys/kernel/security/lockdown").and_then(|text| chosen(&text)),
                lsm: line("/sys/kernel/security/lsm")
                    .map(|names| names.split(',').map(str::to_owned).collect()),
                machine: escape(system.machine().to_bytes()),
                release: escape(system.release().to_bytes()),
                version: escape(system.version().to_bytes()),
            },
            left_out: recorder.left_out,
            machine: machine(),
            mnt_ns: mount_namespace(),
            mounts: recorder.mounts,
            probes: Probes {
                digest: recorder.probes,
                enforcement: recorder.enforcement,
                layout: recorder.layout,
                tier: recorder.tier,
            },
            recognisers: recorder.recognisers,
            version: 1,
        }
    }

    /// The canonical bytes, which the digest covers.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a struct of strings and numbers serialises")
    }
}

/// A file of one line, escaped; `None` when it cannot be read or is empty.
fn line(path: &str) -> Option<String> {
    let text = escape(fs::read(path).ok()?.trim_ascii());
    (!text.is_empty()).then_some(text)
}

/// The word in brackets: `none [integrity] confidentiality`.
fn chosen(text: &str) -> Option<String> {
    let word = text.split_once('[')?.1.split_once(']')?.0;
    Some(word.to_owned())
}

/// CPUs in a list such as `0-3,8` (`Documentation/admin-guide/cputopology.rst`).
fn count_cpus(list: &str) -> Option<usize> {
    list.split(',').try_fold(0_usize, |count, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        count.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

/// The number in `mnt:[4026531841]`.
fn mount_namespace() -> Option<u32> {
    let link = fs::read_link("/proc/self/ns/mnt").ok()?;
    let number = link.to_str()?.strip_prefix("mnt:[")?.strip_suffix(']')?;
    number.parse().ok()
}

/// `CGROUP2_SUPER_MAGIC` and `TMPFS_MAGIC`, include/uapi/linux/magic.h.
const CGROUP2_MAGIC: FsWord = 0x6367_7270;
const TMPFS_MAGIC: FsWord = 0x0102_1994;

/// Which control groups are mounted, as systemd's `sd_booted` kin tells it (cgroups(7)).
fn cgroups() -> &'static str {
    let kind = |path: &str| statfs(path).map(|found| found.f_type).ok();
    match kind("/sys/fs/cgroup") {
        Some(CGROUP2_MAGIC) => "unified",
        Some(TMPFS_MAGIC) if kind("/sys/fs/cgroup/unified") == Some(CGROUP2_MAGIC) => "hybrid",
        Some(TMPFS_MAGIC) => "legacy",
        _ => "none",
    }
}

/// Where the machine id is (machine-id(5)); the second place is that of older systems.
const MACHINE_IDS: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

fn machine() -> Option<String> {
    MACHINE_IDS
        .iter()
        .find_map(|path| machine_digest(&fs::read(path).ok()?))
}

/// The first 16 bytes of SHA-256 over a name of this use and the id's text, in hex. `None` for what
/// is no id, such as the `uninitialized` of an image before its first boot.
fn machine_digest(id: &[u8]) -> Option<String> {
    let id = id.trim_ascii();
    let is_id = id.len() == 32
        && id.iter().all(u8::is_ascii_hexdigit)
        && id.iter().any(|digit| *digit != b'0');
    is_id.then(|| {
        let digest = Sha256::new()
            .chain_update(b"lineage v1 machine\n")
            .chain_update(id)
            .finalize();
        crate::evidence::text::hex(&digest[..16])
    })
}

mod clock {
    //! adjtimex(2), which only `libc` offers.

    #![expect(unsafe_code, reason = "adjtimex has no safe wrapper")]

    /// Whether the kernel's clock is synchronised; `None` where reading it is forbidden.
    pub(super) fn synchronised() -> Option<bool> {
        // SAFETY: `timex` is plain data for which zeros are valid.
        let mut state: libc::timex = unsafe { std::mem::zeroed() };
        // SAFETY: `modes` is 0, so the call only fills the structure it is given.
        let answer = unsafe { libc::adjtimex(&raw mut state) };
        (answer >= 0).then_some(state.status & libc::STA_UNSYNC == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDER: Recorder<'_> = Recorder {
        version: "0.1.0",
        digest: "aa",
        probes: "bb",
        layout: "cc",
        tier: "trace",
        enforcement: None,
        blind_spots: &["io_uring"],
        mounts: Some("dd"),
        clock_steps: 0,
        recognisers: &[],
        left_out: &[],
    };

    #[test]
    fn the_document_is_canonical_and_stable() {
        let bytes = Environment::read(RECORDER).to_bytes();
        assert_eq!(bytes, Environment::read(RECORDER).to_bytes());
        // Sorted by serde_json's own map, which keeps keys in order.
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), value.to_string());
        assert_eq!(value["mounts"], "dd");
        assert_eq!(value["boot"].as_str().unwrap().len(), 36);
        assert!(value["cpus"].as_u64().unwrap() >= 1);
    }

    #[test]
    fn the_machine_id_itself_is_never_shown() {
        let digest = machine_digest(b"0123456789abcdef0123456789abcdef\n").unwrap();
        assert_eq!(digest, "5db17af62f2b148d473c9bc087921b66");
        for none in [
            &b""[..],
            b"uninitialized\n",
            b"00000000000000000000000000000000",
        ] {
            assert_eq!(machine_digest(none), None);
        }
    }

    #[test]
    fn lists_of_the_kernel_are_read() {
        assert_eq!(count_cpus("0"), Some(1));
        assert_eq!(count_cpus("0-3,8"), Some(5));
        assert_eq!(count_cpus("3-0"), None);
        assert_eq!(count_cpus(""), None);
        assert_eq!(
            chosen("none [integrity] confidentiality").as_deref(),
            Some("integrity")
        );
        assert_eq!(chosen("none"), None);
    }
}
