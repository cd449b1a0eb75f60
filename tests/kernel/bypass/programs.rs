//! Programs that are run in other ways than by their names.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use lineage_tests::programs::ACTOR;
use serde_json::json;

use super::{Way, governed, tried};

#[test]
fn what_is_not_permitted_is_not_executed_in_any_way() {
    let rules = r#"
        permit (principal, action == Action::"exec", resource) when { resource.path == "ROOT/open/script" };
        permit (principal, action in [Action::"read", Action::"write"], resource is File)
        when { resource.path like "/memfd:*" };
    "#;
    let recorder = governed("enforce", rules);
    fs::copy(&*ACTOR, recorder.path("closed/program")).expect("writable");
    let line = recorder.placed("#!ROOT/closed/program print reached\n");
    let script = recorder.file("open/script", line);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("our own");
    let ways = [
        "fails EPERM exec ROOT/closed/program actor print reached ;",
        "fails EPERM exec ROOT/open/script ;",
        "open @p ROOT/closed/program O_PATH fails EPERM exec-fd @p actor print reached ;",
        "fails EPERM exec /proc/self/root/ROOT/closed/program actor print reached ;",
    ];
    let way = |script, judged| Way::new(script, "process.exec", judged);
    let judged = "exec ROOT/closed/program";
    let mut ways = ways.map(|script| way(script, judged)).to_vec();
    // A program in memory has a name of the kernel's: who may make one may not yet run it. By another name the same
    // program may be run: it is the file that counts.
    let size = fs::metadata(&*ACTOR).expect("it is there").len();
    let memory = format!(
        "fork @d [ exec /proc/self/exe actor ; ] wait @d fork @e [ open @p ACTOR O_PATH exec-fd @p actor ; ] wait @e memfd @m program open @p ACTOR O_RDONLY copy @m @p {size} \
         fails EPERM exec-fd @m actor print reached ;"
    );
    ways.push(way(&memory, "exec /memfd:program"));
    let run = tried(recorder, &ways);
    let allowed = run
        .rows
        .all("process.exec", &json!({ "rule": "p.cedar:run" }));
    assert_eq!(allowed.len(), 3);
}

/// A file is run by whoever maps it to be executed, which is what `ld.so program` does, or copies it into such memory, or
/// into a file in memory.
#[test]
fn programs_are_not_run_by_mapping_or_copying_them() {
    let whole = "PROT_READ|PROT_EXEC MAP_PRIVATE";
    let map = |path: &str| format!("open @p {path} O_RDONLY map @p 4096 0 {whole} ");
    let refused = map("ROOT/open/file") + &map("ROOT/program").replace(" map", " fails EPERM map");
    // Where hooks are asked, a file in memory is judged as it is opened again.
    let ways = [
        Way::new(
            "memfd @m program fails EPERM open @a /proc/self/fd/3 O_RDWR",
            "file.open",
            "read,write /memfd:program",
        ),
        Way::new(&refused, "file.map", "map ROOT/program"),
        Way::new(
            "open @p ROOT/program O_RDONLY call @m mmap 0 4096 1 2 @p 0 ; call @r mprotect @m 4096 5 ;",
            "file.map",
            "map ROOT/program",
        ),
        Way::new(
            "call @m mmap 0 4096 7 34 -1 0 ;",
            "process.execmem",
            "use execmem",
        ),
        Way::new(
            "call @m mmap 0 4096 3 34 -1 0 ; call @r mprotect @m 4096 5 ;",
            "process.execmem",
            "use execmem",
        ),
        Way::new(
            "call @m mmap 0 4096 7 33 -1 0 ;",
            "file.map",
            "map /dev/zero",
        ),
    ];
    let recorder = governed("enforce", "");
    fs::copy(&*ACTOR, recorder.path("program")).expect("writable");
    let run = tried(recorder, &ways);
    let mapped = run.rows.only("file.map", &json!({ "verdict": "allow" }));
    mapped.expect(&json!({ "rule": "p.cedar:open" }));
}
