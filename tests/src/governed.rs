//! Recorders that a policy governs, and what may be expected of them on this kernel.

use std::fs;
use std::process::Command;
use std::sync::LazyLock;

use lineage_common::policy::{Operation, Resource, UNIX};
use lineage_common::tier::{Denied, Tier};
use serde_json::Value;

use crate::programs::LINEAGE;
use crate::recorder::Recorder;

/// How early what is denied is stopped in the best tier of this kernel, as the agent says.
pub static TIER: LazyLock<Tier> = LazyLock::new(|| {
    let output = Command::new(&*LINEAGE).args(["doctor", "--json"]).output();
    let output = output.expect("the lineage binary runs").stdout;
    let said: Value = serde_json::from_slice(&output).expect("one line of JSON");
    let name = said["tier"].as_str().expect("something can be governed");
    Tier::named(name).expect("a tier")
});

/// What becomes in that tier of what is denied, which is told as records have it in `judged`: all the ways it can come to,
/// the best first.
///
/// # Panics
///
/// When it begins with no operation.
#[must_use]
pub fn promised(judged: &str) -> &'static [Denied] {
    let (name, object) = judged.split_once([' ', ',']).unwrap_or((judged, ""));
    let known = Operation::ALL.iter().find(|(_, known, _)| *known == name);
    let (operation, _, resources) = known.unwrap_or_else(|| panic!("no operation: {judged}"));
    // An address is always told, the path of a socket not.
    let socket = object.is_empty() || object.starts_with(UNIX);
    let resource = match **resources {
        [Resource::Endpoint, second] if socket => second,
        [first, ..] => first,
        [] => unreachable!("operations are done to something"),
    };
    TIER.denied(*operation, resource)
}

/// Rules for tests: below `open/` everything is allowed, below `closed/` nothing, and only the actor may be executed.
pub const RULES: &str = r#"
    @id("run") permit (principal, action == Action::"exec", resource) when { resource.path == "ACTOR" };
    @id("open") permit (principal, action, resource is File) when { resource.path like "ROOT/open/*" };
    @id("read") permit (principal, action == Action::"read", resource is File);
    @id("own") permit (principal, action in [Action::"signal", Action::"ptrace"], resource is Process)
    when { resource.relation == "inside" };
    @id("closed") forbid (principal, action, resource is File) when { resource.path like "ROOT/closed/*" };
"#;

/// A recorder with the files `open/file` and `closed/file`.
#[must_use]
pub fn furnished() -> Recorder {
    let recorder = Recorder::new();
    for (name, text) in [("open", "a"), ("closed", "b")] {
        fs::create_dir(recorder.path(name)).expect("writable");
        let _path = recorder.file(&format!("{name}/file"), text);
    }
    recorder
}

/// The same, which [`RULES`] and more rules govern.
#[must_use]
pub fn governed(mode: &str, more: &str) -> Recorder {
    furnished().policy(&format!("{RULES}{more}"), mode)
}
