//! Which container a process is in, as the names of its control groups tell.
//!
//! Container managers put the id of a container into the path of its control group. Nothing but
//! that habit makes it true: it is a hint that orders a display, and no proof.

/// Length of an id in hex digits, as Docker, containerd, CRI-O and Podman choose it.
const ID_DIGITS: usize = 64;

/// Longest name taken of managers that let the user choose it.
const NAME_BYTES_MAX: usize = 128;

/// The container the lines of a `/proc/PID/cgroup` name, as `MANAGER:ID`; `None` when they name none.
/// The innermost one, where there are several in each other.
#[must_use]
pub fn of_cgroups(text: &[u8]) -> Option<String> {
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let path = line.splitn(3, |byte| *byte == b':').nth(2)?;
        of_path(str::from_utf8(path).ok()?)
    })
}

/// The container a control group's path names.
pub(super) fn of_path(path: &str) -> Option<String> {
    let mut found = None;
    let mut above = "";
    for part in path.split('/') {
        if let Some(container) = of_part(above, part) {
            found = Some(container);
        }
        above = part;
    }
    found
}

/// Names of units that managers make, before the id and `.scope`.
const SCOPES: [(&str, &str); 4] = [
    ("docker-", "docker"),
    ("cri-containerd-", "containerd"),
    ("crio-", "cri-o"),
    ("libpod-", "podman"),
];

fn of_part(above: &str, part: &str) -> Option<String> {
    let unit = part.strip_suffix(".scope").unwrap_or(part);
    for (prefix, manager) in SCOPES {
        if let Some(id) = unit.strip_prefix(prefix).filter(|id| is_id(id)) {
            return Some(format!("{manager}:{id}"));
        }
    }
    if is_id(part) {
        let manager = match above {
            "docker" => "docker",
            _ if above.starts_with("pod") || above.contains("-pod") => "kubernetes",
            _ => "unknown",
        };
        return Some(format!("{manager}:{part}"));
    }
    let named = [
        (part.strip_prefix("lxc.payload."), "lxc"),
        ((above == "lxc").then_some(part), "lxc"),
        (machine(part), "machine"),
    ];
    named.into_iter().find_map(|(name, manager)| {
        let name = name.filter(|name| is_name(name))?;
        Some(format!("{manager}:{name}"))
    })
}

/// The machine of a unit of systemd-machined, `machine-NAME.scope`.
fn machine(part: &str) -> Option<&str> {
    part.strip_prefix("machine-")?.strip_suffix(".scope")
}

fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn of(path: &str) -> Option<String> {
        of_cgroups(format!("1:name=systemd:/\n0::{path}\n").as_bytes())
    }

    #[test]
    fn managers_are_known_by_their_habits() {
        for (path, manager) in [
            (format!("/docker/{ID}"), "docker"),
            (format!("/system.slice/docker-{ID}.scope"), "docker"),
            (
                format!("/kubepods.slice/kubepods-burstable-pod1.slice/cri-containerd-{ID}.scope"),
                "containerd",
            ),
            (
                format!("/kubepods/burstable/pod5f0c9a3e/{ID}"),
                "kubernetes",
            ),
            (
                format!("/machine.slice/libpod-{ID}.scope/container"),
                "podman",
            ),
            (format!("/a/crio-{ID}.scope"), "cri-o"),
            (format!("/default/{ID}"), "unknown"),
        ] {
            assert_eq!(of(&path), Some(format!("{manager}:{ID}")), "{path}");
        }
        assert_eq!(of("/lxc.payload.web/init").as_deref(), Some("lxc:web"));
        assert_eq!(
            of("/machine.slice/machine-deb.scope").as_deref(),
            Some("machine:deb")
        );
    }

    #[test]
    fn the_innermost_counts_and_most_are_in_none() {
        let other = ID.replace('0', "f");
        assert_eq!(
            of(&format!("/docker/{ID}/docker/{other}")),
            Some(format!("docker:{other}"))
        );
        for path in ["/", "/user.slice/user-0.slice/session-1.scope", "/docker"] {
            assert_eq!(of(path), None, "{path}");
        }
        assert_eq!(of_cgroups(b"0::/\xff\n:\n\n"), None);
    }
}
