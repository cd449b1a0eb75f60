//! Identities that never repeat: processes and lineages.

use sha2::{Digest as _, Sha256};

/// Clock ticks of `/proc/PID/stat` in nanoseconds: `USER_HZ` is 100 on every Linux ABI.
const TICK_NS: u64 = 10_000_000;

/// The kernel's boot identifier (`/proc/sys/kernel/random/boot_id`) in RFC 9562 binary form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootId(pub [u8; 16]);

impl BootId {
    /// Parses the usual hyphenated form; surrounding white space is ignored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        let mut digits = text.trim().bytes().filter(|byte| *byte != b'-');
        for byte in &mut bytes {
            let high = char::from(digits.next()?).to_digit(16)?;
            let low = char::from(digits.next()?).to_digit(16)?;
            *byte = u8::try_from(high << 4 | low).ok()?;
        }
        digits.next().is_none().then_some(Self(bytes))
    }
}

/// Where and when a process came to be, as the kernel holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Birth {
    /// `start_boottime` of the thread group leader, nanoseconds.
    pub start_ns: u64,
    /// Inode number of the pid namespace the process was created in.
    pub pid_ns: u32,
    /// Process id in that namespace.
    pub ns_pid: u32,
}

/// `process_uid`: the OCSF Common Process Identifier, which other tools can compute from procfs.
///
/// SHA-256 over boot id, pid namespace, start in clock ticks and namespace pid, the first 16 bytes
/// marked as an RFC 9562 version 8 UUID; see `ocsf/common-process-id`, `specification.md`, *Linux*.
/// Integers are in host order, as that specification says.
#[must_use]
pub fn process_uid(boot: BootId, birth: Birth) -> String {
    let mut digest = Sha256::new();
    digest.update(boot.0);
    digest.update(u64::from(birth.pid_ns).to_ne_bytes());
    digest.update((birth.start_ns / TICK_NS).to_ne_bytes());
    digest.update(u64::from(birth.ns_pid).to_ne_bytes());
    uuid8(&digest.finalize())
}

/// Identity of a lineage: a version 8 UUID over the process it starts from, to the nanosecond, and
/// its number in this recording.
#[must_use]
pub fn lineage_uid(boot: BootId, root: Birth, number: u32) -> String {
    let mut digest = Sha256::new();
    digest.update(b"lineage v1 lineage");
    digest.update(boot.0);
    digest.update(root.pid_ns.to_le_bytes());
    digest.update(root.ns_pid.to_le_bytes());
    digest.update(root.start_ns.to_le_bytes());
    digest.update(number.to_le_bytes());
    uuid8(&digest.finalize())
}

/// The first 16 bytes of a digest as a version 8 UUID (RFC 9562, section 5.8).
fn uuid8(digest: &[u8]) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).expect("a nibble is a hex digit"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the CPID specification, section *Linux*.
    #[test]
    fn agrees_with_the_cpid_specification() {
        let boot = BootId::parse("2899dae4-4fa4-4eef-95b6-6bc95325f61a").unwrap();
        let birth = Birth {
            start_ns: 555_580_000_000,
            pid_ns: 4_026_532_263,
            ns_pid: 29,
        };
        assert_eq!(
            process_uid(boot, birth),
            "b770a0ed-8463-822c-b5f6-30d9081ddbd9"
        );
    }

    #[test]
    fn a_boot_id_of_another_form_is_refused() {
        for text in [
            "",
            "2899dae4",
            "2899dae4-4fa4-4eef-95b6-6bc95325f61a00",
            "zz99dae44fa44eef95b6",
        ] {
            assert_eq!(BootId::parse(text), None, "{text}");
        }
    }
}
