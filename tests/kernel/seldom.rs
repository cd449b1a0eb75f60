//! Calls that programs make seldom: each makes exactly one record, with the result the kernel gave, which is
//! another one on a kernel that does not have the call.

use std::collections::HashMap;
use std::fs;

use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::rows::Rows;
use serde_json::{Value, json};

/// In a mount namespace of its own, where `at` is a directory: the kind of the record, the call and its
/// arguments for the actor, and what `detail` has. A result is known under the name of its call: `@fsopen`.
const MOUNTS: &str = r#"
    file.mount fsopen =tmpfs 0 ; {"type": "tmpfs"}
    file.mount fsconfig @fsopen 6 0 0 0 ; {"command": 6}
    file.mount fsmount @fsopen 0 0 ; null
    file.mount move_mount @fsmount = -100 =at 4 ; null
    file.mount open_tree -100 =at 1 ; {"flags": ["OPEN_TREE_CLONE"]}
    file.mount open_tree_attr -100 =at 1 0 0 ; null
    file.mount mount_setattr -100 =at 4096 #1,0,0,0 32 ; {"flags": ["AT_EMPTY_PATH"]}
    file.mount fspick -100 =at 0 ; null
    process.namespace setns 99 131072 ; {"flags": ["CLONE_NEWNS"]}
"#;

/// Where `file` is a file, `@file` it opened, and `@child` a process.
const OTHERS: &str = r#"
    process.sysv shmget 0 4096 896 ; {"key": 0, "bytes": 4096, "flags": "0o1600"}
    process.sysv shmat @shmget 0 4096 ; {"id": "@shmget", "flags": "0o10000"}
    process.sysv shmctl @shmget 0 0 ; {"id": "@shmget", "command": "IPC_RMID"}
    process.sysv msgget 0 896 ; {"key": 0, "flags": "0o1600"}
    process.sysv msgsnd @msgget #1,2 8 0 ; {"id": "@msgget", "bytes": 8}
    process.sysv msgrcv @msgget room 8 0 2048 ; {"id": "@msgget"}
    process.sysv msgctl @msgget 0 0 ; {"id": "@msgget", "command": "IPC_RMID"}
    process.signal rt_sigqueueinfo @child 18 #18,4294967295,0 ; {"pid": "@child", "signal": "SIGCONT"}
    process.signal rt_tgsigqueueinfo @child @child 18 #18,4294967295,0 ; {"tid": "@child", "signal": "SIGCONT"}
    process.resources move_pages @child 0 0 0 0 0 ; {"pid": "@child", "pages": 0}
    process.resources migrate_pages @child 0 0 0 ; {"pid": "@child"}
    process.resources sched_setscheduler @child 3 #0 ; {"pid": "@child", "policy": "SCHED_BATCH"}
    process.resources sched_setparam @child #0 ; {"pid": "@child"}
    process.resources sched_setattr @child #48,0,0,0,0,0 0 ; {"pid": "@child"}
    file.chmod fchmodat2 -100 =file 384 0 ; {"flags": []}
    file.xattr setxattrat -100 =file 0 =user.a 0 0 ; {"attribute": "user.a"}
    file.xattr removexattrat -100 =file 0 =user.a ; {"attribute": "user.a"}
    file.xattr file_setattr -100 =file 0 0 0 ; null
    file.open open_by_handle_at -100 #0 0 ; null
    file.open memfd_secret 0 ; null
"#;

/// Those of the kernel itself, as far as they harm nobody: most fail.
const KERNEL: &str = r#"
    kernel.keys add_key =user =lineage =payload 7 -1 ; {"type": "user"}
    kernel.keys request_key =user =lineage 0 -1 ; {"type": "user"}
    kernel.userfaultfd userfaultfd 1 ; {"flags": 1}
    kernel.io_uring io_uring_setup 4 room ; {"entries": 4}
    kernel.io_uring io_uring_register @io_uring_setup 4 0 0 ; {"ring": "@io_uring_setup", "opcode": 4}
    kernel.module init_module =garbage 7 = ; {"bytes": 7}
    kernel.module finit_module @file = 0 ; {"flags": 0}
    kernel.control io_setup 4 room ; {"events": 4}
    kernel.control fanotify_init 0 0 ; {"flags": 0}
    kernel.control fanotify_mark @fanotify_init 1 32 -100 =file ; {"group": "@fanotify_init", "flags": 1}
    kernel.control kexec_load 0 0 0 99 ; {"segments": 0, "flags": 99}
    kernel.control kexec_file_load 99 99 0 0 99 ; {"flags": 99}
    kernel.control reboot 0 0 0 0 ; {"command": 0}
    kernel.control swapoff =none ; null
    kernel.control acct =none ; null
    kernel.control quotactl 0 =/dev/none 7 0 ; {"command": 0, "id": 7}
    kernel.control quotactl_fd 99 0 7 0 ; {"command": 0, "id": 7}
    kernel.control setdomainname =x -1 ; null
    kernel.control settimeofday 0 0 ; null
    kernel.control clock_settime 99 #0,0 ; {"clock": 99}
    process.restrict landlock_create_ruleset #1 8 0 ; {"bytes": 8, "flags": 0}
    process.restrict landlock_add_rule @landlock_create_ruleset 1 #0,0 0 ; {"type": "LANDLOCK_RULE_PATH_BENEATH"}
    process.restrict landlock_restrict_self @landlock_create_ruleset 0 ; {"ruleset": "@landlock_create_ruleset"}
"#;

/// One line of these.
#[derive(Debug)]
struct Seldom {
    kind: &'static str,
    call: &'static str,
    arguments: &'static str,
    detail: Value,
}

impl Seldom {
    fn of(line: &'static str) -> Self {
        let (made, detail) = line.split_once(" ; ").expect("a call and what it says");
        let mut words = made.trim().splitn(3, ' ');
        let mut word = || words.next().expect("a kind, a call and arguments");
        Self {
            kind: word(),
            call: word(),
            arguments: word(),
            detail: serde_json::from_str(detail).expect("JSON"),
        }
    }
}

/// Steps that make the calls and print their results.
fn steps(calls: &[Seldom]) -> String {
    let steps = calls.iter().map(|seldom| {
        let (call, arguments) = (seldom.call, seldom.arguments);
        format!("call @{call} {call} {arguments} ; print @{call} ")
    });
    steps.collect()
}

/// What each result was, by the name the actor has for it: the lines it printed, in order.
fn results(run: &Recorded, names: &[&'static str]) -> HashMap<String, i64> {
    let stdout = run.stdout();
    let lines: Vec<i64> = stdout
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    assert_eq!(lines.len(), names.len(), "{stdout}");
    let names = names.iter().map(|name| format!("@{name}"));
    names.zip(lines).collect()
}

/// Fails unless the call has exactly one record, which says this.
fn made_once(rows: &Rows, results: &HashMap<String, i64>, seldom: &Seldom) {
    let result = results[&format!("@{}", seldom.call)];
    if seldom.kind == "file.open" {
        // Such a record does not name its call.
        rows.only(seldom.kind, &json!({ "result": result }));
        return;
    }
    let row = rows.only(seldom.kind, &json!({ "call": seldom.call }));
    row.expect(&json!({ "result": result }));
    for (name, value) in seldom.detail.as_object().into_iter().flatten() {
        let named = value.as_str().and_then(|name| results.get(name));
        let value = named.map_or_else(|| value.clone(), |result| json!(result));
        assert_eq!(row.get("detail")[name], value, "{name} of {row:?}");
    }
}

#[test]
fn each_makes_one_record_with_the_result_of_the_kernel() {
    let recorder = Recorder::new();
    let root = recorder.path("").canonicalize().expect("it is there");
    fs::create_dir(root.join("at")).expect("writable");
    fs::write(root.join("file"), "garbage").expect("writable");
    let lines = [MOUNTS, OTHERS, KERNEL].into_iter().flat_map(str::lines);
    let all: Vec<Seldom> = lines
        .filter(|line| !line.is_empty())
        .map(Seldom::of)
        .collect();
    let script = format!(
        "chdir {} unshare CLONE_NEWNS open @file file O_RDWR fork @child [ pause ] print @child {} kill @child 9",
        root.display(),
        steps(&all),
    );
    let run = recorder.script(&script);
    let names: Vec<&str> = std::iter::once("child")
        .chain(all.iter().map(|seldom| seldom.call))
        .collect();
    let results = results(&run, &names);
    for seldom in &all {
        made_once(&run.rows, &results, seldom);
    }
    // What is the same on every kernel.
    for (call, result) in [
        ("fsconfig", 0),
        ("move_mount", 0),
        ("msgsnd", 0),
        ("msgrcv", 8),
        ("rt_sigqueueinfo", 0),
        ("open_by_handle_at", -22),
        ("reboot", -22),
        ("swapoff", -2),
    ] {
        assert_eq!(results[&format!("@{call}")], result, "{call}");
    }
}

/// Reads and writes of several buffers: at a position, or with -1 at the file's own.
#[test]
fn vectors_are_read_and_written_whole() {
    let recorder = Recorder::new();
    let file = recorder.file("file", vec![b'x'; 100]).canonicalize();
    let file = file.expect("it is there").display().to_string();
    let calls = [
        ("preadv", "10 0", (7, 0)),
        ("preadv2", "-1 -1 0", (7, 0)),
        ("pwritev", "10 0", (0, 7)),
        ("pwritev2", "-1 -1 0", (0, 7)),
    ];
    let steps: String = calls
        .iter()
        .map(|(call, place, _)| {
            format!("open @f {file} O_RDWR call @r {call} @f &3,4 2 {place} ; print @r close @f ")
        })
        .collect();
    let run = recorder.script(&steps);
    assert_eq!(run.stdout(), "7\n".repeat(calls.len()));
    let closes = run.rows.all("file.close", &json!({ "path": file }));
    assert_eq!(closes.len(), calls.len());
    for ((call, _, (read, written)), close) in calls.iter().zip(closes) {
        close.expect(&json!({ "bytes_read": read, "bytes_written": written }));
        let kind = if *read > 0 { "file.read" } else { "file.write" };
        let first = json!({ "opened": close.int("opened"), "result": 7 });
        assert_eq!(run.rows.all(kind, &first).len(), 1, "{call}");
    }
}

/// Bytes that get into a pipe, out of one, and from one into another, by calls for that.
#[test]
fn pages_given_to_a_pipe_and_repeated_in_another() {
    let run = Recorder::new().script(
        "pipe @in @out pipe @in2 @out2 print @in print @out print @in2 print @out2 \
         call @r vmsplice @out &3,4 2 0 ; print @r call @r tee @in @out2 5 0 ; print @r read @in 7 \
         call @r vmsplice @in2 &4,3 2 0 ; print @r \
         close @in close @out close @in2 close @out2",
    );
    let stdout = run.stdout();
    let numbers: Vec<i64> = stdout
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    assert_eq!(numbers[4..], [7, 5, 5]);
    let totals = [(12, 0), (0, 7), (5, 0), (0, 5)];
    for (fd, (read, written)) in numbers.iter().zip(totals) {
        run.rows
            .only("file.close", &json!({ "fd": fd, "closed_by": "close" }))
            .expect(&json!({ "bytes_read": read, "bytes_written": written }));
    }
}

/// The kernel tells who waits whether it wrote the memory of the process to a file.
#[test]
fn a_process_that_leaves_its_memory_behind() {
    const DUMPED: i64 = 0x80;
    let recorder = Recorder::new();
    let root = recorder.path("").canonicalize().expect("it is there");
    let run = recorder.script(&format!(
        "chdir {} fork @a [ call @r prlimit64 0 4 #-1,-1 0 ; kill self 6 pause ] print @a status @s @a print @s \
         fork @b [ kill self 9 pause ] print @b status @s @b print @s",
        root.display()
    ));
    let stdout = run.stdout();
    let numbers: Vec<i64> = stdout
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    for ends in numbers.chunks(2) {
        let exit = run.rows.only("process.exit", &json!({ "pid": ends[0] }));
        exit.expect(&json!({ "exit_code": null, "exit_signal": ends[1] & !DUMPED }));
        let said = exit.get("notes") == "core-dump";
        assert_eq!(said, ends[1] & DUMPED != 0, "{exit:?}");
    }
    // A program that takes it decides, and so does the directory.
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("procfs");
    if !pattern.contains(['|', '@', '/']) {
        assert_eq!(numbers[1], DUMPED | 6);
    }
}
