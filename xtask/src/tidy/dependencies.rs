//! Dependencies: pinned in one place, from the registry, under licences that `deny.toml` allows.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Finding, source::Source};
use crate::sh;

/// Checks the manifests and everything they bring in.
pub(crate) fn check(sources: &[Source], findings: &mut Vec<Finding>) -> Result<()> {
    for source in sources
        .iter()
        .filter(|source| source.path.ends_with("/Cargo.toml"))
    {
        pinned_in_workspace(source, findings);
    }
    let deny = sources
        .iter()
        .find(|source| source.path == "deny.toml")
        .context("deny.toml is missing")?;
    let allowed = allowed(&deny.text);
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let metadata = sh::cargo([
        "metadata",
        "--quiet",
        "--locked",
        "--format-version=1",
        "--filter-platform",
        &platform,
    ]);
    let metadata: Value =
        serde_json::from_str(&sh::output(metadata)?).context("cargo's metadata is not JSON")?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo's metadata has no packages")?;
    for package in packages {
        if let Some(what) = refused(package, &allowed) {
            findings.push(Finding::new(deny, 0, what));
        }
    }
    Ok(())
}

/// Crates take versions from the workspace, so that there is one of each.
fn pinned_in_workspace(source: &Source, findings: &mut Vec<Finding>) {
    let mut section = "";
    for (index, line) in source.text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]")
            && !line.is_empty()
            && !line.starts_with('#')
            && !line.contains("workspace = true")
        {
            let what = "has a dependency of its own; put it into the workspace's Cargo.toml";
            findings.push(Finding::new(source, index, what));
        }
    }
}

/// The quoted words of `allow = […]`.
fn allowed(deny: &str) -> BTreeSet<&str> {
    let list = deny.split_once("allow = [").map_or("", |(_, rest)| rest);
    let list = list.split(']').next().unwrap_or_default();
    list.split('"').skip(1).step_by(2).collect()
}

/// Why a package may not be used.
fn refused(package: &Value, allowed: &BTreeSet<&str>) -> Option<String> {
    let name = package["name"].as_str().unwrap_or("?");
    if let Some(source) = package["source"].as_str()
        && !source.starts_with("registry+")
    {
        return Some(format!(
            "{name} comes from {source}; use a released version"
        ));
    }
    let licence = package["license"].as_str().unwrap_or_default();
    (!permits(licence, allowed)).then(|| {
        format!("{name} is under `{licence}`, which is not allowed here; use another crate")
    })
}

/// Whether a licence expression can be met: one side of every `OR`, all of every `AND`.
fn permits(licence: &str, allowed: &BTreeSet<&str>) -> bool {
    // Old manifests write `/` for `OR`. Parentheses around an `OR` are the only ones in use, so
    // that reading `AND` as the outer operator there and as the inner one elsewhere decides alike.
    let licence = licence.replace('/', " OR ");
    if let Some((group, rest)) = licence
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'))
    {
        let rest = rest.trim().strip_prefix("AND ").unwrap_or_default();
        return permits(group, allowed) && (rest.is_empty() || permits(rest, allowed));
    }
    licence
        .split(" OR ")
        .any(|side| side.split(" AND ").all(|one| allowed.contains(one.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licence_expressions() {
        let allowed =
            allowed("[licenses]\nallow = [\n  \"MIT\",\n  \"Apache-2.0\",\n]\nx = [\"GPL\"]\n");
        assert_eq!(allowed.len(), 2);
        for good in [
            "MIT",
            "GPL-3.0 OR MIT",
            "MIT/GPL-3.0",
            "MIT AND Apache-2.0",
            "(MIT OR X) AND MIT",
        ] {
            assert!(permits(good, &allowed), "{good}");
        }
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR X) AND GPL-3.0"] {
            assert!(!permits(bad, &allowed), "{bad}");
        }
    }

    #[test]
    fn versions_stand_in_the_workspace() {
        let text =
            "[dependencies]\na.workspace = true\nb = { workspace = true }\nc = \"1\"\n".into();
        let mut findings = Vec::new();
        pinned_in_workspace(&Source::new("x/Cargo.toml".into(), text), &mut findings);
        assert_eq!(findings.len(), 1);
    }
}
