//! Names of capabilities (include/uapi/linux/capability.h).

/// By their numbers.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A set of capabilities in words: `none`, `all`, those that are in it, or those that are not where that is shorter.
/// Bits without a name are numbers.
#[must_use]
pub fn capabilities(set: u64) -> String {
    let known: u64 = (1 << NAMES.len()) - 1;
    if set & known == known && set & !known == 0 {
        return "all".to_owned();
    }
    let listed = |set: u64| {
        let bits = (0..64).filter(|bit| set >> bit & 1 == 1);
        let names = bits.map(|bit| {
            NAMES
                .get(bit)
                .map_or_else(|| bit.to_string(), |name| (*name).to_owned())
        });
        names.collect::<Vec<_>>().join(", ")
    };
    match set.count_ones() as usize {
        0 => "none".to_owned(),
        some if some > NAMES.len() / 2 && set & !known == 0 => {
            format!("all but {}", listed(known & !set))
        }
        _ => listed(set),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_told_the_short_way() {
        assert_eq!(capabilities(0), "none");
        assert_eq!(capabilities((1 << 41) - 1), "all");
        assert_eq!(capabilities(1 << 21 | 1), "CHOWN, SYS_ADMIN");
        assert_eq!(
            capabilities(((1 << 41) - 1) & !(1 << 12)),
            "all but NET_ADMIN"
        );
        assert_eq!(capabilities(1 << 63), "63");
        assert!(capabilities(u64::MAX).ends_with("61, 62, 63"));
    }
}
