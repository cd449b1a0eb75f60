//! `process.fork` and `thread.start`: who was created by whom, by whatever call.

use lineage_tests::programs::ACTOR;
use lineage_tests::recorder::Recorder;
use serde_json::json;

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
