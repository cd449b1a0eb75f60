//! Processes that act on others: which one is meant, in whatever pid namespace the caller is.

use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::rows::Row;
use serde_json::{Value, json};

fn detail(row: &Row) -> Value {
    row.get("detail").clone()
}

/// What a record about the process that this fork created must say.
fn about(fork: &Row) -> Value {
    json!({ "target_uid": fork.text("child_uid"), "target_pid": fork.int("child_pid") })
}

fn calls<'a>(run: &'a Recorded, kind: &str, call: &str) -> Vec<&'a Row> {
    run.rows.all(kind, &json!({ "call": call }))
}

#[test]
fn the_process_a_call_is_about() {
    let run = Recorder::new().script(
        "fork @c [ call @r prctl 1 9 ; pause ] pidfd @p @c call @r kill @c 23 ; \
         call @r pidfd_send_signal @p 23 0 0 ; call @r pidfd_getfd @p 0 0 ; \
         call @r process_vm_readv @c 0 0 0 0 0 ; call @r ptrace 16 @c 0 0 ; call @r ptrace 17 @c 0 0 ; \
         call @r perf_event_open room @c -1 -1 0 ; call @r perf_event_open room @p -1 -1 4 ; \
         call @r prlimit64 @c 7 room 0 ; call @r setpriority 0 @c 5 ; call @r setpriority 0 self 0 ; \
         call @r sched_setaffinity @c 0 0 ; call @r process_mrelease @p 0 ; \
         call @r prctl 1499557217 @c 0 0 0 ; call @r kill @c 9 ;",
    );
    let child = about(run.rows.only("process.fork", &json!({})));
    for (kind, call) in [
        ("process.signal", "kill"),
        ("process.signal", "pidfd_send_signal"),
        ("process.getfd", "pidfd_getfd"),
        ("process.memory", "process_vm_readv"),
        ("process.ptrace", "ptrace"),
        ("process.resources", "prlimit64"),
        ("process.resources", "setpriority"),
        ("process.resources", "sched_setaffinity"),
        ("process.memory", "process_mrelease"),
    ] {
        let rows = calls(&run, kind, call);
        assert!(!rows.is_empty(), "{call}");
        for row in rows {
            row.expect(&child);
        }
    }
    let perf = calls(&run, "kernel.perf", "perf_event_open");
    perf[0].expect(&child);
    perf[1].expect(&json!({ "target_pid": null, "target_uid": null }));
    assert_eq!(detail(perf[1])["flags"], json!(["PERF_FLAG_PID_CGROUP"]));
    let tracer = run.rows.all("process.prctl", &child);
    assert_eq!(detail(tracer[0])["option"], "PR_SET_PTRACER");
    let sent = calls(&run, "process.signal", "pidfd_send_signal");
    sent[0].expect(&json!({ "path": "anon_inode:[pidfd]", "notes": null }));
}

#[test]
fn numbers_are_those_of_the_callers_namespace() {
    let run = Recorder::new().script(
        "unshare CLONE_NEWPID fork @a [ fork @b [ pause ] call @r kill @b 23 ; call @r kill 1 9 ; \
         call @r tgkill @b @b 23 ; call @r kill 77 23 ; call @r kill -1 23 ; \
         call @r kill @b 9 ; ] wait @a",
    );
    let forks = run.rows.all("process.fork", &json!({}));
    let (first, second) = (forks[0], forks[1]);
    assert_eq!((first.int("ns_pid"), second.int("ns_pid")), (1, 2));
    assert_ne!(second.int("child_pid"), 2);
    for row in calls(&run, "process.signal", "tgkill") {
        row.expect(&about(second));
    }
    let kills = calls(&run, "process.signal", "kill");
    let told: Vec<_> = kills.iter().map(|row| detail(row)["pid"].clone()).collect();
    assert_eq!(told, [2, 77, -1, 2].map(|pid| json!(pid)));
    kills[0].expect(&about(second));
    let none = json!({ "target_pid": null, "target_uid": null });
    kills[1].expect(&none);
    kills[2].expect(&none);
    kills[3].expect(&about(second));
}

#[test]
fn processes_that_are_gone_or_not_recorded() {
    let own = std::process::id();
    let run = Recorder::new().script(&format!(
        "fork @c [ ] pidfd @p @c wait @c call @r kill @c 23 ; call @r pidfd_send_signal @p 23 0 0 ; \
         call @r kill {own} 23 ; call @r kill -2147483647 23 ; call @r kill 2147483647 23 ;"
    ));
    let child = run.rows.only("process.fork", &json!({})).int("child_pid");
    let kills = calls(&run, "process.signal", "kill");
    let none = json!({ "target_pid": null, "target_uid": null, "result": -3 });
    for at in [0, 2, 3] {
        kills[at].expect(&none);
    }
    kills[1].expect(&json!({ "target_pid": own, "result": 0 }));
    assert_eq!(kills[1].text("target_uid").len(), 36);
    calls(&run, "process.signal", "pidfd_send_signal")[0]
        .expect(&json!({ "target_pid": child, "target_uid": null, "result": -3 }));
}

#[test]
fn files_that_stand_for_a_process() {
    let mut outside = std::process::Command::new("/bin/sleep")
        .arg("600")
        .spawn()
        .expect("it runs");
    let pid = outside.id();
    let run = Recorder::new().script(&format!(
        "open @m /proc/{pid}/mem O_RDWR open @t /proc/{pid}/task/{pid}/maps O_RDONLY \
         open @d /proc/{pid} O_RDONLY openat @e @d environ O_RDONLY \
         open @s /proc/self/maps O_RDONLY open @u /proc/uptime O_RDONLY \
         pidfd @p {pid} socketpair @a @b stream pass @a @p ; \
         fork @c [ read @t 1 ] wait @c call @r pidfd_send_signal @d 23 0 0 ;"
    ));
    outside.kill().expect("ours");
    outside.wait().expect("ours");
    let opened = |path: String| run.rows.only("file.open", &json!({ "path": path }));
    let target = opened(format!("/proc/{pid}/mem"));
    assert_eq!(target.int("target_pid"), i64::from(pid));
    let target = json!({ "target_pid": pid, "target_uid": target.text("target_uid") });
    for path in [
        format!("/proc/{pid}/task/{pid}/maps"),
        format!("/proc/{pid}"),
        format!("/proc/{pid}/environ"),
    ] {
        opened(path).expect(&target);
    }
    let maps = json!({ "path": format!("/proc/{pid}/task/{pid}/maps") });
    run.rows.only("file.inherit", &maps).expect(&target);
    run.rows.only("descriptor.pass", &json!({})).expect(&target);
    calls(&run, "process.signal", "pidfd_send_signal")[0].expect(&target);
    let own = run.rows.only("process.exec", &json!({})).int("pid");
    for path in [format!("/proc/{own}/maps"), "/proc/uptime".to_owned()] {
        opened(path).expect(&json!({ "target_pid": null, "target_uid": null }));
    }
}

#[test]
fn a_file_of_a_child_names_the_child() {
    let recorder = Recorder::new();
    // The child waits until it has been looked at.
    let fifo = recorder.path("fifo").display().to_string();
    let script = format!("mkfifo {fifo}; : <{fifo} & cat /proc/$!/status; : >{fifo}; wait");
    let run = recorder.run(["/bin/sh", "-c", &script]);
    let opens = run.rows.all("file.open", &json!({}));
    let status = opens
        .iter()
        .find(|open| open.text("path").ends_with("/status"));
    let status = status.expect("it was opened");
    let child = json!({ "child_pid": status.int("target_pid") });
    let fork = run.rows.only("process.fork", &child);
    assert_eq!(status.text("target_uid"), fork.text("child_uid"));
}
