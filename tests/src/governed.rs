//! Recorders that a policy governs.

use std::fs;

use crate::recorder::Recorder;

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
