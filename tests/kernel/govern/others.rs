//! What is done to others, or lets others in.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;

use lineage_tests::governed;
use lineage_tests::outsider::Outsider;
use lineage_tests::programs::ACTOR;
use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::rows::Row;
use serde_json::json;

use super::is_prevented;

/// A recorder in the best tier, of which rules about files are of no matter here.
fn governed(mode: &str, rules: &str) -> Recorder {
    governed::governed(mode, rules).best_tier()
}

/// The only decision of a kind.
fn told(row: &Row, judged: &str, effect: &str) {
    assert!(row.text("judged").starts_with(judged), "{row:?}");
    row.expect(&json!({ "effect": effect }));
}

/// What comes before, the step, the kind of its record, what is judged.
const TOWARDS_OTHERS: &[(&str, &str, &str, &str)] = &[
    (
        "socket @a inet stream bind @a 127.0.0.1:0",
        "listen @a",
        "net.listen",
        "listen 127.0.0.1:",
    ),
    (
        "socket @a inet6 stream bind @a [::1]:0",
        "listen @a",
        "net.listen",
        "listen [::1]:",
    ),
    (
        "socket @a unix stream bind @a unix:ROOT/open/s",
        "listen @a",
        "net.listen",
        "listen unix:ROOT/open/s",
    ),
    (
        "socket @a unix stream bind @a unix:ROOT/open/l listen @a \
         socket @b unix stream connect @b unix:ROOT/open/l",
        "accept @c @a",
        "net.accept",
        "accept unix:ROOT/open/l",
    ),
    (
        "socket @a unix dgram",
        "sendto @a 1 unix:ROOT/closed/d",
        "net.send",
        "send unix:ROOT/closed/d",
    ),
    (
        "socket @a unix dgram",
        "sendmmsg @a 1 [ unix:ROOT/closed/d ]",
        "net.send",
        "send unix:ROOT/closed/d",
    ),
    (
        "socket @a unix dgram",
        "connect @a unix:ROOT/closed/d",
        "net.connect",
        "connect unix:ROOT/closed/d",
    ),
    ("", "kill PID 9", "process.signal", "signal outside"),
    (
        "pidfd @p PID",
        "call @r pidfd_send_signal @p 9 0 0 ;",
        "process.signal",
        "signal outside",
    ),
    (
        "",
        "call @r ptrace 16 PID 0 0 ;",
        "process.ptrace",
        "ptrace outside",
    ),
    (
        "",
        "call @r process_vm_readv PID &8 1 #MEMORY,8 1 0 ;",
        "process.memory",
        "ptrace outside",
    ),
    (
        "pidfd @p PID",
        "call @r pidfd_getfd @p 1 0 ;",
        "process.getfd",
        "ptrace outside",
    ),
    (
        "",
        "call @r ptrace 0 0 0 0 ;",
        "process.ptrace",
        "ptrace inside",
    ),
];

/// Nothing of that is permitted.
const RULES: &str = r#"
    permit (principal, action == Action::"bind", resource);
    @id("l") permit (principal, action in [Action::"listen", Action::"connect"], resource is UnixSocket)
    when { resource.path == "ROOT/open/l" };
    @id("none") forbid (principal, action in [Action::"signal", Action::"ptrace"], resource);
"#;

/// Every step in a process of its own, `fails` before those that have no result of their own, all to outsiders of their own.
fn towards_others(mode: &str, fails: &str) -> (Recorded, Vec<Outsider>) {
    let recorder = governed(mode, RULES);
    let _receiver = UnixDatagram::bind(recorder.path("closed/d")).expect("writable");
    let outsiders: Vec<_> = TOWARDS_OTHERS.iter().map(|_| Outsider::new()).collect();
    let mut script = String::new();
    for ((before, step, ..), outsider) in TOWARDS_OTHERS.iter().zip(&outsiders) {
        let fails = if step.starts_with("call") { "" } else { fails };
        let steps = outsider.named(&format!("{before} {fails} {step}"));
        script += &format!("fork @c [ {steps} print alive ] status @s @c ");
    }
    let script = recorder.placed(&script);
    (recorder.script(&script), outsiders)
}

/// Each step is told once, with this effect; the result of the call is one of success, or not.
fn all_told(run: &Recorded, effect: &str, succeeded: bool) {
    for (_, _, kind, judged) in TOWARDS_OTHERS {
        let same = |(_, _, other, about): &&(_, _, &str, &str)| (other, about) == (kind, judged);
        let steps = TOWARDS_OTHERS.iter().filter(same).count();
        let judged = run.recorder.placed(judged);
        let mut denied = run.rows.all(kind, &json!({ "verdict": "deny" }));
        denied.retain(|row| row.text("judged").starts_with(&judged));
        assert_eq!(denied.len(), steps, "{judged}: {denied:?}");
        for row in denied {
            row.expect(&json!({ "effect": effect }));
            assert_eq!(row.int("result") >= 0, succeeded, "{row:?}");
        }
    }
}

#[test]
fn what_is_done_to_others_is_refused_where_it_can_be() {
    let (effect, fails, alive) = if is_prevented() {
        ("prevented", "fails EPERM", "alive\n")
    } else {
        ("killed-after-effect", "", "")
    };
    let (run, outsiders) = towards_others("enforce", fails);
    assert_eq!(run.stdout(), alive.repeat(TOWARDS_OTHERS.len()));
    all_told(&run, effect, !is_prevented());
    for ((_, step, ..), mut outsider) in TOWARDS_OTHERS.iter().zip(outsiders) {
        assert_eq!(outsider.lives(), is_prevented() || !kills(step), "{step}");
    }
}

/// It is told once, and happens.
#[test]
fn what_is_done_to_others_happens_when_it_is_only_audited() {
    let (run, outsiders) = towards_others("audit", "");
    assert_eq!(run.stdout(), "alive\n".repeat(TOWARDS_OTHERS.len()));
    all_told(&run, "would-deny", true);
    for ((_, step, ..), mut outsider) in TOWARDS_OTHERS.iter().zip(outsiders) {
        assert_eq!(outsider.lives(), !kills(step), "{step}");
    }
}

/// Whether a step ends who it is done to.
fn kills(step: &str) -> bool {
    step.starts_with("kill") || step.contains("send_signal")
}

/// Signal 0, signals to oneself and one's threads, what procfs shows of others, and that a parent's end is told.
#[test]
fn what_only_asks_or_is_done_to_oneself_is_not_judged() {
    let recorder = governed("enforce", RULES);
    let other = Outsider::new();
    let script = "kill PID 0 call @r tgkill PID PID 0 ; kill self 18 call @r tgkill self self 18 ; \
         thread @t [ kill self 18 ] join @t call @q process_vm_readv self &8 0 #0,0 0 0 ; open @a /proc/PID/environ O_RDONLY read @a 64 \
         open @b /proc/PID/maps O_RDONLY read @b 64 print alive";
    let run = recorder.script(&other.named(script));
    assert_eq!(run.stdout(), "alive\n", "{}", run.stderr());
    run.rows.none("process.signal", &json!({}));
    run.rows.none("file.open", &json!({ "verdict": "deny" }));
}

/// Whoever ends in the middle of a signal to itself is asked about the one that its child wants at its end.
#[test]
fn a_child_is_told_of_its_parents_end() {
    let recorder = governed("enforce", RULES);
    let script = recorder.placed(
        "call @r prctl 36 1 0 0 0 ; \
         fork @p [ pipe @in @out fork @c [ call @r prctl 1 10 0 0 0 ; write @out 1 until ROOT/open/go [ ] ] \
         read @in 1 kill self 9 ] status @s @p print @s \
         open @f ROOT/open/go O_WRONLY|O_CREAT status @t -1 print @t",
    );
    let run = recorder.script(&script);
    assert_eq!(run.stdout(), "9\n10\n", "{}", run.stderr());
}

/// One of them is the recorder, which the signal would end.
#[test]
fn a_signal_reaches_all_of_a_group_or_nobody() {
    let recorder = governed("enforce", "");
    let script = if is_prevented() {
        "fork @c [ pause ] fails EPERM kill 0 10 print alive kill @c 9 status @s @c print @s kill -1 23"
    } else {
        "kill 0 18 print alive"
    };
    let mut command = recorder.command();
    command.arg("--").arg(&*ACTOR).process_group(0);
    let output = command.args(script.split_whitespace()).output();
    let run = recorder.finish(output.expect("the recorder runs"));
    let denied = run
        .rows
        .all("process.signal", &json!({ "verdict": "deny" }));
    let (effect, said) = if is_prevented() {
        assert_eq!(denied.len(), 2, "{denied:?}");
        ("prevented", "alive\n9\n")
    } else {
        ("killed-after-effect", "")
    };
    for row in denied {
        told(row, "signal outside", effect);
    }
    assert_eq!(run.stdout(), said);
}

/// A group that is inside, by its number and by a descriptor of its first process, which came with Linux 6.9.
#[test]
fn a_group_inside_can_be_signalled() {
    let run = governed("enforce", "").script(
        "group 0 0 fork @c [ pause ] kill 0 18 pidfd @p self call @r pidfd_send_signal @p 18 0 4 ; \
         print @r kill @c 9 status @s @c print @s",
    );
    let signals = match run.stdout().as_str() {
        "0\n9\n" => 3,
        "-22\n9\n" => 2,
        other => panic!("{other}: {}", run.stderr()),
    };
    let sent = run.rows.all("process.signal", &json!({ "result": 0 }));
    assert_eq!(sent.len(), signals, "{sent:?}");
    for row in sent {
        told(row, "signal inside", "allowed");
    }
}

/// Neither what was allowed and then came to nothing is missing, nor is it told what happened.
#[test]
fn what_was_allowed_and_did_not_happen_yet_is_not_missing() {
    let recorder = governed(
        "enforce",
        r#"permit (principal, action in [Action::"bind", Action::"listen", Action::"accept", Action::"send"], resource);"#,
    );
    let _receiver = UnixDatagram::bind(recorder.path("open/d")).expect("writable");
    let waiting = fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen").expect("readable");
    let waiting: u32 = waiting.trim().parse().expect("a number");
    let script = recorder.placed(&format!(
        "socket @a unix dgram nonblock @a repeat {} [ sendto @a 1 unix:ROOT/open/d ] \
         fails EAGAIN sendto @a 1 unix:ROOT/open/d socket @l unix stream bind @l unix:ROOT/open/l listen @l \
         nonblock @l fails EAGAIN accept @c @l print alive",
        waiting + 1
    ));
    let run = recorder.script(&script);
    assert_eq!(run.stdout(), "alive\n", "{}", run.stderr());
    let sent = run.rows.only("net.send", &json!({ "verdict": "allow" }));
    told(
        sent,
        &run.recorder.placed("send unix:ROOT/open/d"),
        "allowed",
    );
    run.rows
        .only("net.accept", &json!({ "result": -11, "verdict": null }));
}

/// Of several messages of one call, of which each has a record, the decision is in that of the one it is about.
#[test]
fn of_several_messages_the_one_that_is_denied_is_told() {
    let rules = r#"permit (principal, action == Action::"send", resource is UnixSocket)
        when { resource.path == "ROOT/open/d" };"#;
    let recorder = governed("audit", rules);
    let receivers = ["open/d", "closed/d"].map(|name| UnixDatagram::bind(recorder.path(name)));
    let script = recorder
        .placed("socket @a unix dgram sendmmsg @a 1 [ unix:ROOT/open/d unix:ROOT/closed/d ]");
    let run = recorder.script(&script);
    let denied = run.rows.only("net.send", &json!({ "verdict": "deny" }));
    let judged = run.recorder.placed("send unix:ROOT/closed/d");
    told(denied, &judged, "would-deny");
    assert_eq!(run.rows.all("net.send", &json!({})).len(), 2);
    drop(receivers);
}

/// Where hooks are asked that holds also for one that is sent to the address of the other end.
#[test]
fn what_goes_through_a_connection_is_judged_as_it_is_made() {
    let rules = r#"permit (principal, action == Action::"connect", resource is UnixSocket);"#;
    let recorder = governed("enforce", rules);
    let _receiver = UnixDatagram::bind(recorder.path("open/d")).expect("writable");
    let again = if is_prevented() {
        "sendto @a 1 unix:ROOT/open/d"
    } else {
        ""
    };
    let script =
        format!("socket @a unix dgram connect @a unix:ROOT/open/d send @a 1 {again} print alive");
    let script = recorder.placed(&script);
    let run = recorder.script(&script);
    assert_eq!(run.stdout(), "alive\n", "{}", run.stderr());
}

/// That it was there is told before its first use, of which something was decided.
#[test]
fn what_is_decided_of_a_socket_from_before_goes_with_its_use() {
    let rules = r#"permit (principal, action == Action::"send", resource is UnixSocket);"#;
    let recorder = governed("enforce", rules);
    let _receiver = UnixDatagram::bind(recorder.path("open/d")).expect("writable");
    let script =
        recorder.placed("socket @a unix dgram fork @c [ sendto @a 1 unix:ROOT/open/d ] wait @c");
    let run = recorder.script(&script);
    let sent = run.rows.only("net.send", &json!({}));
    told(
        sent,
        &run.recorder.placed("send unix:ROOT/open/d"),
        "allowed",
    );
    let inherited = json!({ "pid": sent.int("pid"), "ino": sent.int("ino") });
    run.rows
        .only("net.inherit", &inherited)
        .expect(&json!({ "verdict": null }));
}
