//! `process.cgroup`: who is moved to another control group, by whom.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use lineage_tests::group::Group;
use lineage_tests::programs::ACTOR;
use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::rows::unescape;
use lineage_tests::wait;
use serde_json::{Value, json};

/// A name for a group that no other test has.
fn name(what: &str) -> String {
    format!("lineage-{what}-{}", std::process::id())
}

/// A file of the group, for a script.
fn file(group: &Group, name: &str) -> String {
    group.path().join(name).display().to_string()
}

/// Lets a recorded actor tell its id and wait, does something to it, and lets it end.
fn while_it_waits(script: &str, act: impl FnOnce(&str)) -> Recorded {
    let recorder = Recorder::new();
    let mut child = recorder.start(&format!("report read 0 1 {script}"));
    let mut out = std::io::BufReader::new(child.stdout.take().expect("piped"));
    let line = wait::line(&mut out, "its id", |line| !line.is_empty());
    act(line.split_whitespace().next().expect("the process id"));
    let input = child.stdin.as_mut().expect("piped");
    std::io::Write::write_all(input, b"x").expect("the actor reads");
    recorder.finish(child.wait_with_output().expect("our own child"))
}

#[test]
fn a_process_moves_itself() {
    let (name, actor) = (name("self"), ACTOR.display());
    let group = Group::new(&name);
    let run = Recorder::new().script(&format!(
        "open @g {} O_WRONLY enter @g 0 exec {actor} actor exit 0",
        file(&group, "cgroup.procs")
    ));
    let execs = run.rows.all("process.exec", &json!({}));
    let moved = run.rows.only("process.cgroup", &json!({}));
    moved.expect(&json!({
        "process_uid": execs[0].text("process_uid"), "cause": execs[0].int("seq"),
        "origin": "kernel", "result": 0, "target_pid": null, "target_uid": null, "truncated": null,
        "cgroup": group.id(), "detail": { "path": format!("/{name}") },
    }));
    assert_ne!(execs[0].int("cgroup"), moved.int("cgroup"));
    assert_eq!(execs[1].int("cgroup"), moved.int("cgroup"));
}

#[test]
fn a_process_moves_its_child() {
    let name = name("child");
    let group = Group::new(&name);
    let run = Recorder::new().script(&format!(
        "pipe @r @w fork @c [ close @w read @r 1 ] open @g {} O_WRONLY enter @g @c close @w wait @c",
        file(&group, "cgroup.procs")
    ));
    let fork = run.rows.only("process.fork", &json!({}));
    run.rows.only("process.cgroup", &json!({})).expect(&json!({
        "process_uid": fork.text("process_uid"),
        "target_pid": fork.int("child_pid"), "target_uid": fork.text("child_uid"),
        "cgroup": group.id(), "detail": { "path": format!("/{name}") },
    }));
}

#[test]
fn a_process_is_moved_by_one_that_is_not_recorded() {
    let name = name("moved");
    let group = Group::new(&name);
    let run = while_it_waits("exit 0", |pid| group.take(pid).expect("we are root"));
    let exec = run.rows.only("process.exec", &json!({}));
    run.rows.only("process.cgroup", &json!({})).expect(&json!({
        "process_uid": exec.text("process_uid"), "pid": exec.int("pid"), "cause": exec.int("seq"),
        "comm": exec.text("comm"), "target_pid": null, "cgroup": group.id(),
        "detail": { "path": format!("/{name}"), "by": std::process::id() },
    }));
}

#[test]
fn others_may_move_without_a_record() {
    let group = Group::new(name("others"));
    let run = while_it_waits("exit 0", |_| {
        let mut other = std::process::Command::new(&*ACTOR)
            .args(["read", "0", "1"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("the actor runs");
        group.take(&other.id().to_string()).expect("we are root");
        drop(other.stdin.take());
        wait::exit("the actor", &mut other);
    });
    run.rows.none("process.cgroup", &json!({}));
}

#[test]
fn a_thread_alone_is_moved_in_an_old_hierarchy() {
    let (hierarchy, name) = (name("old"), name("thread"));
    let group = Group::old(&hierarchy, &name);
    let groups = fs::read_to_string("/proc/self/cgroup").expect("procfs is mounted");
    let line = groups
        .lines()
        .find(|line| line.contains(&format!(":name={hierarchy}:")))
        .expect("the hierarchy is there");
    let number: u64 = line
        .split(':')
        .next()
        .expect("a number")
        .parse()
        .expect("a number");
    let run = Recorder::new().script(&format!(
        "thread @t [ open @g {} O_WRONLY enter @g 0 ] join @t open @h {} O_WRONLY enter @h self",
        file(&group, "tasks"),
        file(&group, "cgroup.procs"),
    ));
    let moves = run.rows.all("process.cgroup", &json!({}));
    let thread = run.rows.only("thread.start", &json!({})).int("child_tid");
    let mut detail = json!({
        "path": format!("/{name}"), "hierarchy": number, "id": group.id(),
    });
    moves[1].expect(&json!({ "cgroup": null, "detail": detail }));
    detail["thread"] = json!(thread);
    moves[0].expect(&json!({ "cgroup": null, "tid": thread, "detail": detail }));
    assert_eq!(moves.len(), 2);
}

#[test]
fn a_hostile_name_is_only_text() {
    let pid = std::process::id();
    let name = [
        format!("lineage-{pid}\"}}{{\u{202e}\\").as_bytes(),
        b"\x1b[31m\xff\x01".as_slice(),
    ]
    .concat();
    let group = Group::new(std::ffi::OsStr::from_bytes(&name));
    let run = while_it_waits("exit 0", |pid| group.take(pid).expect("we are root"));
    let moved = run.rows.only("process.cgroup", &json!({}));
    let path = moved.get("detail")["path"].as_str().expect("a path");
    assert_eq!(unescape(path), [b"/", name.as_slice()].concat());
    run.assert_nothing_raw();
}

#[test]
fn a_path_longer_than_the_kernel_writes_is_cut() {
    let mut groups: Vec<Group> = Vec::new();
    let mut path = std::path::PathBuf::from(name("deep"));
    for depth in 0..6 {
        groups.push(Group::new(&path));
        path.push(format!("{depth}").repeat(250));
    }
    let deepest = groups.last().expect("there are some");
    let run = while_it_waits("exit 0", |pid| deepest.take(pid).expect("we are root"));
    let moved = run.rows.only("process.cgroup", &json!({}));
    moved.expect(&json!({ "truncated": "detail", "cgroup": deepest.id() }));
    // The first goes last.
    while groups.pop().is_some() {}
}

#[test]
fn a_move_that_is_refused_is_none() {
    let group = Group::new(name("refused"));
    let inner = group.path().join("inner");
    let beside = group.path().join("beside");
    for path in [&inner, &beside] {
        fs::create_dir(path).expect("we are root");
    }
    // What is beside a threaded group can have no processes until it is threaded, too.
    fs::write(inner.join("cgroup.type"), "threaded").expect("it is empty");
    let run = Recorder::new().script(&format!(
        "open @g {} O_WRONLY fails ESRCH enter @g 2147483647 fails ESRCH enter @g 4194304 \
         open @b {} O_WRONLY fails EOPNOTSUPP enter @b 0",
        file(&group, "cgroup.procs"),
        beside.join("cgroup.procs").display(),
    ));
    run.rows.none("process.cgroup", &json!({}));
    for path in [&inner, &beside] {
        fs::remove_dir(path).expect("it is empty");
    }
}

#[test]
fn a_process_that_has_ended_is_not_moved() {
    let group = Group::new(name("ended"));
    // The child is not waited for while somebody else tries to move it, and then its parent.
    let recorder = Recorder::new();
    let mut child = recorder.start(&format!(
        "fork @c [ ] print @c read 0 1 open @g {} O_WRONLY enter @g @c wait @c",
        file(&group, "cgroup.procs"),
    ));
    let mut out = std::io::BufReader::new(child.stdout.take().expect("piped"));
    let line = wait::line(&mut out, "its id", |line| !line.is_empty());
    let pid = line.trim();
    wait::until("the child's end", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it is not waited for");
        stat.contains(") Z ").then_some(())
    });
    // The kernel may say that it did.
    let _ = group.take(pid);
    let input = child.stdin.as_mut().expect("piped");
    std::io::Write::write_all(input, b"x").expect("the actor reads");
    let run = recorder.finish(child.wait_with_output().expect("our own child"));
    assert_eq!(run.rows.all("process.exit", &json!({})).len(), 2);
    run.rows
        .none("process.cgroup", &Value::Object(serde_json::Map::new()));
}
