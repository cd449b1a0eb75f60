//! `process.fork` and `thread.start`: who was created by whom, by whatever call.

use std::collections::BTreeMap;
use std::path::Path;

use lineage_tests::group::Group;
use lineage_tests::programs::ACTOR;
use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::rows::Row;
use serde_json::{Value, json};

#[test]
fn every_way_to_create_a_process() {
    let actor = ACTOR.display();
    let run = Recorder::new().script(&format!(
        "fork @a [ exit 11 ] wait @a vfork @b [ exit 12 ] wait @b clone3 @c [ exit 13 ] wait @c \
         spawn @d {actor} spawned exit 14 ; wait @d \
         print @a print @b print @c print @d"
    ));
    let pids: Vec<i64> = run
        .stdout()
        .lines()
        .map(|line| line.parse().expect("a process id"))
        .collect();
    let parent = run.rows.all("process.exec", &json!({}))[0];
    for (pid, status) in pids.into_iter().zip(11..) {
        let fork = run.rows.only("process.fork", &json!({ "child_pid": pid }));
        fork.expect(&json!({
            "pid": parent.int("pid"), "process_uid": parent.text("process_uid"),
            "child_tid": pid, "origin": "kernel", "cause": parent.int("seq"),
        }));
        let exit = run.rows.only("process.exit", &json!({ "pid": pid }));
        exit.expect(&json!({
            "exit_code": status, "process_uid": fork.text("child_uid"), "ppid": parent.int("pid"),
            "parent_uid": parent.text("process_uid"), "exe": *ACTOR,
        }));
    }
    let spawned = run.rows.only("process.exit", &json!({ "exit_code": 14 }));
    assert_eq!(run.rows.cause(spawned).text("kind"), "process.exec");
}

#[test]
fn an_orphan_keeps_its_creator() {
    let recorder = Recorder::new();
    let file = recorder.path("file");
    let path = file.display();
    // The middle process ends first; the grandchild then waits for nothing but its own open.
    let run = recorder.script(&format!(
        "pipe @r @w fork @middle [ fork @orphan [ close @r open @f {path} O_WRONLY|O_CREAT ] exit 0 ] \
         wait @middle close @w read @r 1"
    ));
    let open = run
        .rows
        .only("file.open", &json!({ "path": path.to_string() }));
    let fork = run.rows.cause(open);
    fork.expect(&json!({
        "kind": "process.fork", "child_uid": open.text("process_uid"),
        "process_uid": open.text("parent_uid"), "pid": open.int("ppid"),
    }));
    let first = run.rows.cause(fork);
    first.expect(&json!({ "kind": "process.fork", "child_pid": open.int("ppid") }));
}

#[test]
fn a_relay_of_short_lives_is_recorded_to_its_end() {
    let recorder = Recorder::new();
    let file = recorder.path("file").display().to_string();
    // At no moment are there more than two, and none is there for long: hard to see for whoever
    // walks a table to learn whether anybody is left.
    let run = recorder.script(&format!("relay 10000 open @f {file} O_WRONLY|O_CREAT"));
    assert_eq!(run.rows.all("process.fork", &json!({})).len(), 10_000);
    run.rows.only("file.open", &json!({ "path": file }));
}

#[test]
fn threads_are_told_apart_from_processes() {
    let recorder = Recorder::new();
    let path = recorder.path("file").display().to_string();
    let run = recorder.script(&format!(
        "thread @t [ name worker open @f {path} O_WRONLY|O_CREAT close @f fork @p [ exit 5 ] wait @p ] join @t"
    ));
    let start = run.rows.only("thread.start", &json!({}));
    let open = run.rows.only("file.open", &json!({ "path": path }));
    open.expect(&json!({
        "pid": start.int("pid"), "tid": start.int("child_tid"), "comm": "worker",
        "process_uid": start.text("process_uid"),
    }));
    assert_ne!(open.int("pid"), open.int("tid"));
    // The file was the process's, whichever thread opened it.
    run.rows
        .only("file.close", &json!({ "opened": open.int("seq") }));
    let child = run.rows.only("process.exit", &json!({ "exit_code": 5 }));
    child.expect(&json!({ "parent_uid": start.text("process_uid"), "ppid": start.int("pid") }));
    run.rows
        .only("thread.exit", &json!({ "tid": start.int("child_tid") }));
}

#[test]
fn a_storm_of_processes_is_complete() {
    let branch = "fork @b [ repeat 100 [ fork @c [ fork @d [ ] wait @d ] wait @c ] ]";
    let run = Recorder::new().script(&format!("repeat 4 [ {branch} ] repeat 4 [ wait -1 ]"));
    // Four branches, each a hundred times a child with a child.
    let forks = run.rows.all("process.fork", &json!({}));
    assert_eq!(forks.len(), 4 + 4 * 100 * 2);
    // The command's own end, too.
    assert_eq!(
        run.rows.all("process.exit", &json!({})).len(),
        forks.len() + 1
    );
}

/// The record of the process with the id that the script printed in this line.
fn created(run: &Recorded, line: usize) -> &Row {
    let out = run.stdout();
    let pid = out.lines().nth(line).expect("a process id");
    let pid: i64 = pid.parse().expect("a process id");
    run.rows.only("process.fork", &json!({ "child_pid": pid }))
}

#[test]
fn what_a_new_process_shares_is_told() {
    let actor = ACTOR.display();
    let run = Recorder::new().script(&format!(
        "clone-with CLONE_FILES @a [ ] wait @a clone-with CLONE_FS @b [ ] wait @b \
         clone-with CLONE_FS|CLONE_FILES|CLONE_PARENT @c [ ] spawn @d {actor} spawned exit 0 ; wait @d \
         print @a print @b print @c print @d"
    ));
    let expected = [
        json!(["CLONE_FILES"]),
        json!(["CLONE_FS"]),
        json!(["CLONE_FS", "CLONE_FILES", "CLONE_PARENT"]),
        json!(["CLONE_VM"]),
    ];
    for (line, flags) in expected.into_iter().enumerate() {
        created(&run, line).expect(&json!({
            "detail": { "flags": flags },
            "mnt_ns": null, "net_ns": null, "user_ns": null, "cgroup": null,
        }));
    }
}

#[test]
fn of_a_plain_fork_or_thread_there_is_nothing_to_tell() {
    // Also after the creator has changed its own namespaces: it is nothing new then.
    let run = Recorder::new().script(
        "fork @a [ ] wait @a clone3 @b [ ] wait @b vfork @c [ ] wait @c thread @t [ ] join @t \
         unshare CLONE_NEWNS|CLONE_NEWUTS|CLONE_NEWPID fork @d [ ] wait @d",
    );
    let forks = run.rows.all("process.fork", &json!({}));
    assert_eq!(forks.len(), 4);
    for created in forks
        .iter()
        .copied()
        .chain([run.rows.only("thread.start", &json!({}))])
    {
        created.expect(&json!({
            "detail": null, "mnt_ns": null, "net_ns": null, "user_ns": null, "cgroup": null,
        }));
    }
    assert_ne!(forks[3].int("pid_ns"), forks[2].int("pid_ns"));
}

/// The names procfs has for namespaces, and those of the flag that makes one and of what tells of it.
const NAMESPACES: &[(&str, &str, &str)] = &[
    ("mnt", "CLONE_NEWNS", "mnt_ns"),
    ("net", "CLONE_NEWNET", "net_ns"),
    ("user", "CLONE_NEWUSER", "user_ns"),
    ("pid", "CLONE_NEWPID", "pid_ns"),
    ("pid_for_children", "CLONE_NEWPID", "pid_ns_for_children"),
    ("uts", "CLONE_NEWUTS", "uts_ns"),
    ("ipc", "CLONE_NEWIPC", "ipc_ns"),
    ("cgroup", "CLONE_NEWCGROUP", "cgroup_ns"),
    ("time_for_children", "CLONE_NEWTIME", "time_ns_for_children"),
];

/// Creates a process with these flags; what the kernel told it of its namespaces, and the record.
fn with_namespaces(flags: &str) -> (BTreeMap<String, i64>, Row) {
    let looks: String = NAMESPACES
        .iter()
        .map(|(name, ..)| (name, format!("/proc/self/ns/{name}")))
        .filter(|(_, link)| Path::new(link).exists())
        .map(|(name, link)| format!("open @n {link} O_RDONLY tell {name} @n close @n "))
        .collect();
    let run = Recorder::new().script(&format!("clone-with {flags} @c [ {looks} ] wait @c"));
    let out = run.stdout();
    let told = out.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[0].to_owned(), words[3].parse().expect("a number"))
    });
    let told = told.collect();
    let row = run.rows.only("process.fork", &json!({})).clone();
    (told, row)
}

/// Fails unless the record has the namespaces the process found itself in.
fn agree(told: &BTreeMap<String, i64>, row: &Row) {
    for (name, _, field) in NAMESPACES {
        let Some(number) = told.get(*name) else {
            continue;
        };
        let recorded = match *field {
            "mnt_ns" | "net_ns" | "user_ns" | "pid_ns" => row.get(field),
            other => &row.get("detail")[other],
        };
        assert_eq!(recorded, &json!(number), "{name} of {row:?}");
    }
}

#[test]
fn namespaces_made_with_a_process_are_told() {
    for (name, flag, _) in NAMESPACES {
        let own = std::fs::read_link(format!("/proc/self/ns/{name}"));
        let Ok(own) = own else {
            continue;
        };
        let (told, row) = with_namespaces(flag);
        assert_eq!(row.get("detail")["flags"], json!([flag]), "{row:?}");
        assert!(
            !own.to_string_lossy().contains(&told[*name].to_string()),
            "{own:?} {told:?}"
        );
        agree(&told, &row);
    }
}

#[test]
fn several_namespaces_at_once_are_told() {
    let (told, row) =
        with_namespaces("CLONE_NEWNS|CLONE_NEWUTS|CLONE_NEWIPC|CLONE_NEWUSER|CLONE_NEWPID");
    let flags = [
        "CLONE_NEWNS",
        "CLONE_NEWUTS",
        "CLONE_NEWIPC",
        "CLONE_NEWUSER",
        "CLONE_NEWPID",
    ];
    assert_eq!(row.get("detail")["flags"], json!(flags));
    agree(&told, &row);
    row.expect(&json!({ "ns_pid": 1, "cgroup": null }));
}

#[test]
fn a_process_made_in_another_control_group_says_which() {
    let group = Group::new(format!("lineage-into-{}", std::process::id()));
    let path = group.path().display().to_string();
    let run = Recorder::new().script(&format!(
        "open @g {path} O_RDONLY clone-into @g @c [ ] wait @c fork @d [ ] wait @d"
    ));
    let forks = run.rows.all("process.fork", &json!({}));
    forks[0].expect(&json!({
        "cgroup": group.id(), "detail": { "flags": ["CLONE_INTO_CGROUP"] }, "mnt_ns": null,
    }));
    forks[1].expect(&json!({ "cgroup": null, "detail": Value::Null }));
}
