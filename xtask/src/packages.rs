//! System packages, on systems that have apt. Elsewhere the caller says what to install by hand.

use anyhow::{Result, bail};

use crate::sh;

/// Seconds to wait for another apt to finish.
const LOCK_WAIT_SECONDS: u32 = 300;

/// Whether this is a system whose packages we know.
pub(crate) fn have_apt() -> bool {
    sh::find("apt-get").is_some() && sh::find("dpkg-query").is_some()
}

/// Whether a package is installed.
pub(crate) fn installed(package: &str) -> bool {
    let query = sh::command("dpkg-query", ["-W", "-f=${db:Status-Status}", package]);
    sh::output(query).is_ok_and(|status| status == "installed")
}

/// Whether the configured sources offer a package. Refreshes the lists once when they do not.
pub(crate) fn offered(package: &str) -> Result<bool> {
    if candidate(package) {
        return Ok(true);
    }
    refresh()?;
    Ok(candidate(package))
}

/// Installs programs that are missing; each is named with the package that has it.
pub(crate) fn programs(why: &str, wanted: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|(program, _)| sh::find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        install(why, &missing)
    }
}

/// Installs packages, or says how to when that needs somebody else.
pub(crate) fn install(why: &str, packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|name| !installed(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !have_apt() {
        bail!(
            "{why} needs `{list}` (Debian's names); install them with your system's package manager"
        );
    }
    sh::say("Installing", format!("{list} ({why})"));
    if let Err(first) = apt_get("apt-install", &["install"], &missing) {
        // Old lists point at versions the mirror no longer has.
        sh::say("Refreshing", "the package lists, because that did not work");
        refresh()?;
        return apt_get("apt-install", &["install"], &missing).map_err(|_| first);
    }
    Ok(())
}

/// Reads the package lists again.
pub(crate) fn refresh() -> Result<()> {
    apt_get("apt-update", &["update"], &[])
}

fn candidate(package: &str) -> bool {
    sh::output(sh::command("apt-cache", ["policy", package])).is_ok_and(|text| {
        text.lines()
            .find_map(|line| line.trim().strip_prefix("Candidate:"))
            .is_some_and(|version| version.trim() != "(none)")
    })
}

fn apt_get(log: &str, verb: &[&str], packages: &[&str]) -> Result<()> {
    let wait = format!("DPkg::Lock::Timeout={LOCK_WAIT_SECONDS}");
    let mut args = vec![
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-y",
        "--no-install-recommends",
        "-o",
        &wait,
    ];
    args.extend(verb);
    args.extend(packages);
    if !sh::is_root() {
        let can_sudo =
            sh::find("sudo").is_some() && sh::output(sh::command("sudo", ["-n", "true"])).is_ok();
        if !can_sudo {
            bail!(
                "installing needs root; run this, then the task again:\n    sudo {}",
                args.join(" ")
            );
        }
        args.insert(0, "sudo");
        args.insert(1, "-n");
    }
    sh::quiet(log, sh::command(args[0], &args[1..]))
}
