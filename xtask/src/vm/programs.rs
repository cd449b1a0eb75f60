//! The programs in a virtual machine: statically linked, because nothing else is there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{build, cross, paths, sh};

/// Programs for one machine type, without debug information.
pub(crate) struct Programs {
    /// PID 1.
    pub(crate) init: PathBuf,
    /// The kernel tests.
    pub(crate) tests: Vec<PathBuf>,
    /// All that goes beside the tests, and the tests.
    pub(crate) others: Vec<PathBuf>,
}

/// The test targets that need nothing but a kernel.
const KERNEL_TESTS: [&str; 1] = ["kernel"];

/// What the tests run, besides the agent itself.
const BESIDE: [&str; 1] = ["actor"];

/// Builds them.
pub(crate) fn compiled(arch: &str) -> Result<Programs> {
    sh::say("Building", "the tests, linked statically");
    let mut cargo = sh::cargo([
        "build",
        "--workspace",
        "--exclude",
        "lineage-ebpf",
        "--tests",
        "--message-format=json-render-diagnostics",
    ]);
    build::linked_statically(&mut cargo, arch);
    cargo.stderr(std::process::Stdio::inherit());
    let built = executables(&sh::output(cargo)?);
    let agent = build::agent(arch)?;
    let stripped = paths::target("vm").join(format!("programs-{arch}"));
    fs::create_dir_all(&stripped)
        .with_context(|| format!("cannot create {}", stripped.display()))?;
    let take = |kind: &str, name: &str| {
        let found = built
            .iter()
            .find(|one| one.kind == kind && one.name == name);
        found
            .map(|one| strip(arch, &one.path, &stripped.join(name)))
            .transpose()
    };
    let init = take("bin", "init")?.context("the tests have no program `init`")?;
    let mut tests = Vec::new();
    for name in KERNEL_TESTS {
        tests.extend(take("test", name)?);
    }
    if tests.is_empty() {
        bail!(
            "there are no kernel tests to run: {} is missing",
            KERNEL_TESTS.join(", ")
        );
    }
    let mut others = tests.clone();
    others.push(strip(arch, &agent, &stripped.join("lineage"))?);
    for name in BESIDE {
        others.push(take("bin", name)?.with_context(|| format!("there is no program `{name}`"))?);
    }
    Ok(Programs {
        init,
        tests,
        others,
    })
}

struct Executable {
    kind: String,
    name: String,
    path: PathBuf,
}

/// The executables in cargo's messages. A program that is also built as its own unit tests is named
/// twice; only the program counts.
fn executables(messages: &str) -> Vec<Executable> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| {
            let kind = message["target"]["kind"][0].as_str()?;
            let is_test = message["profile"]["test"].as_bool()?;
            if is_test != (kind == "test") {
                return None;
            }
            Some(Executable {
                kind: kind.to_owned(),
                name: message["target"]["name"].as_str()?.to_owned(),
                path: message["executable"].as_str()?.into(),
            })
        })
        .collect()
}

/// Copies a program without its debug information, which would fill the machine's memory.
fn strip(arch: &str, from: &Path, to: &Path) -> Result<PathBuf> {
    let newer = |a: &Path, b: &Path| {
        let time = |path: &Path| fs::metadata(path).and_then(|data| data.modified());
        matches!((time(a), time(b)), (Ok(a), Ok(b)) if a > b)
    };
    if !newer(to, from) {
        let mut strip = sh::command(cross::tool(arch, "objcopy"), ["--strip-debug"]);
        strip.arg(from).arg(to);
        sh::output(strip)?;
    }
    Ok(to.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_and_its_unit_tests_are_told_apart() {
        let messages = r#"
{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"init"},"profile":{"test":true},"executable":"/d/init-1"}
{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"init"},"profile":{"test":false},"executable":"/d/init"}
{"reason":"compiler-artifact","target":{"kind":["test"],"name":"kernel"},"profile":{"test":true},"executable":"/d/kernel-1"}
{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"x"},"profile":{"test":false},"executable":null}
{"reason":"build-finished","success":true}"#;
        let found: Vec<_> = executables(messages)
            .into_iter()
            .map(|one| one.path)
            .collect();
        assert_eq!(
            found,
            [PathBuf::from("/d/init"), PathBuf::from("/d/kernel-1")]
        );
    }
}
