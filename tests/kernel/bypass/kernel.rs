//! What the kernel offers besides files and addresses, and other processes.

use lineage_common::tier::Denied;
use lineage_tests::evidence::Verdict;
use lineage_tests::governed::promised;
use lineage_tests::outsider::Outsider;
use serde_json::json;

use super::{FACILITIES, Way, breached, governed, passed, tried};

/// Namespaces and the rest of what changes where paths lead or what calls mean: each is ended at its first use.
#[test]
fn facilities_that_no_rule_permits_end_their_user() {
    let ways = [
        (
            "call @r unshare 0x20000 ;",
            "process.namespace",
            "namespace",
        ),
        (
            "open @n /proc/self/ns/uts O_RDONLY call @r setns @n 0 ;",
            "process.namespace",
            "namespace",
        ),
        (
            "clone-with CLONE_NEWUTS @d [ print born ] wait @d",
            "process.fork",
            "namespace",
        ),
        (
            "call @r io_uring_setup 4 room ;",
            "kernel.io_uring",
            "io_uring",
        ),
        ("ring-open ROOT/closed/file", "kernel.io_uring", "io_uring"),
        ("call @r io_setup 4 #0 ;", "kernel.control", "aio"),
        (
            "call @r bpf 0 #17179869186,4294967300,0,0,0,0,0,0,0 72 ;",
            "kernel.bpf",
            "bpf",
        ),
        (
            "call @r personality 0x40000 ;",
            "process.prctl",
            "personality",
        ),
        ("call @r shmget 0 4096 0x380 ;", "process.sysv", "sysv"),
        (
            "call @r userfaultfd 1 ;",
            "kernel.userfaultfd",
            "userfaultfd",
        ),
        (
            "call @r add_key =user =lineage =x 1 0xfffffffd ;",
            "kernel.keys",
            "keys",
        ),
        ("call @r fanotify_init 0 0 ;", "kernel.control", "fanotify"),
        ("call @r socket 16 3 0 ;", "net.socket", "netlink"),
        ("call @r socket 17 3 0 ;", "net.socket", "socket"),
        ("call @r socket 2 3 1 ;", "net.socket", "socket"),
    ];
    let judged = ways.map(|(.., name)| format!("use {name}"));
    let ways: Vec<_> = ways
        .iter()
        .zip(&judged)
        .map(|((script, kind, _), judged)| Way::new(script, kind, judged))
        .collect();
    tried(governed("enforce", ""), &ways);
}

/// There are files now where there were none before.
#[test]
fn a_mount_ends_everybody() {
    for way in [
        "mount-bind ROOT/closed ROOT/open",
        "call @r fsopen =tmpfs 0 ;",
    ] {
        let recorder = governed("enforce", "");
        let script = format!("fork @c [ {way} ] status @s @c");
        let run = breached(recorder, &script);
        let denied = run.rows.only("file.mount", &json!({ "verdict": "deny" }));
        denied.expect(&json!({ "effect": "killed-after-effect", "judged": "use mount" }));
        let mounted = run.recorder.path("open");
        let _ = rustix::mount::unmount(mounted, rustix::mount::UnmountFlags::DETACH);
    }
}

/// A child that has namespaces of its own does nothing, whether its creator still runs or not.
#[test]
fn a_child_in_another_namespace_does_nothing() {
    let way = "clone-with CLONE_NEWNS|CLONE_NEWUTS @d [ open @a ROOT/open/mark O_WRONLY|O_CREAT ] wait @d";
    let run = tried(
        governed("enforce", ""),
        &[Way::new(way, "process.fork", "use namespace")],
    );
    assert!(!run.recorder.path("open/mark").exists());
    let ends = run.rows.all("process.exit", &json!({ "exit_signal": 9 }));
    assert_eq!(ends.len(), 2);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_first_32_bit_call_is_the_last() {
    let recorder = governed("enforce", "").expect(Verdict::VerifiedWithLoss);
    tried(
        recorder,
        &[Way::new("close-32 99", "process.compat", "use compat")],
    );
    let recorder = governed("enforce", FACILITIES).expect(Verdict::VerifiedWithLoss);
    let run = passed(recorder, "close-32 99 close-32 99");
    let call = run
        .rows
        .all("process.compat", &json!({ "verdict": "allow" }));
    assert_eq!(call.len(), 1, "only the first is told");
}

/// That they are denied is told, and they go on, when it is only audited.
#[test]
fn facilities_are_told_when_they_are_only_audited() {
    let run = passed(
        governed(
            "audit",
            r#"@id("rings") permit (principal, action == Action::"use", resource) when { resource.name like "io*" };"#,
        ),
        "call @r io_uring_setup 4 room ; call @s personality 0x40000 ;",
    );
    let ring = run.rows.only("kernel.io_uring", &json!({}));
    ring.expect(&json!({ "verdict": "allow", "rule": "p.cedar:rings", "judged": "use io_uring" }));
    let other = run.rows.only("process.prctl", &json!({}));
    other.expect(&json!({ "verdict": "deny", "effect": "would-deny", "rule": null }));
}

#[test]
fn processes_outside_are_left_alone() {
    let outsider = Outsider::new();
    let ways = [
        (
            "fails EPERM kill PID 19",
            "process.signal",
            "signal outside",
        ),
        ("call @r tkill PID 18 ;", "process.signal", "signal outside"),
        (
            "call @r tgkill PID PID 18 ;",
            "process.signal",
            "signal outside",
        ),
        (
            "pidfd @p PID call @r pidfd_send_signal @p 18 0 0 ;",
            "process.signal",
            "signal outside",
        ),
        (
            "call @r ptrace 0x4206 PID 0 0 ;",
            "process.ptrace",
            "ptrace outside",
        ),
        (
            "call @r process_vm_readv PID &8 1 #MEMORY,8 1 0 ;",
            "process.memory",
            "ptrace outside",
        ),
        (
            "pidfd @p PID call @r pidfd_getfd @p 1 0 ;",
            "process.getfd",
            "ptrace outside",
        ),
    ];
    let scripts = ways.map(|(script, ..)| outsider.named(script));
    let ways: Vec<_> = ways
        .iter()
        .zip(&scripts)
        .map(|((_, kind, judged), script)| Way::new(script, kind, judged))
        .collect();
    tried(governed("enforce", ""), &ways);
}

/// Also one that has ended, and a group.
#[test]
fn processes_inside_can_be_signalled() {
    let run = passed(
        governed("enforce", ""),
        "fork @c [ pause ] kill @c 9 status @s @c fork @d [ exit 0 ] ended @d kill @d 15 \
         group 0 0 fork @e [ pause ] kill 0 18 kill @e 9 status @s @e",
    );
    let told = run
        .rows
        .all("process.signal", &json!({ "judged": "signal inside" }));
    assert!(told.iter().all(|row| row.text("verdict") == "allow"));
    assert!(told.len() >= 4, "{told:?}");
}

/// The group of the recorder, and everybody. By `SIGURG`, which does nothing: the recorders of other tests are in that group too, and wait
/// for who is stopped.
#[test]
fn groups_that_others_are_in_are_outside() {
    let recorder = governed("audit", "");
    let run = passed(recorder, "call @r kill 0 23 ;");
    let group = run.rows.only("process.signal", &json!({}));
    group.expect(&json!({ "verdict": "deny", "judged": "signal outside" }));
}

/// What a child would be ended for having opened, its creator would have as well.
#[test]
fn descriptors_are_not_shared_with_another_process() {
    let way = "clone-files @d [ open @a ROOT/closed/file O_RDONLY ] wait @d pread 3 1 0";
    let way = Way::new(way, "process.fork", "use shared_files");
    tried(governed("enforce", ""), &[way]);
    let rule = r#"permit (principal, action == Action::"use", resource) when { resource.name == "shared_files" };"#;
    let run = passed(governed("enforce", rule), "clone-files @c [ ] wait @c");
    let fork = run.rows.only("process.fork", &json!({}));
    fork.expect(&json!({ "verdict": "allow", "judged": "use shared_files" }));
}

/// Descendants are governed, however they come to be and whoever is their parent.
#[test]
fn nobody_leaves_the_lineage() {
    let ways = [
        "fork @a [ fork @b [ session OPEN ] status @s @b ]",
        "relay 3 OPEN",
        "vfork @a [ OPEN ] status @s @a",
        "thread @t [ OPEN ] join @t",
    ];
    let recorder = governed("enforce", "");
    let open = "fails EPERM open @c ROOT/closed/file O_RDONLY print reached";
    let script: String = ways
        .iter()
        .map(|way| format!("fork @w [ {way} ] status @s @w "))
        .collect();
    let script = recorder.placed(&script.replace("OPEN", open));
    let run = recorder.script(&script);
    let promise = promised("read")[0];
    let went_on = if promise == Denied::Prevented {
        ways.len()
    } else {
        0
    };
    assert_eq!(
        run.stdout(),
        "reached\n".repeat(went_on),
        "{}",
        run.stderr()
    );
    let denied = run.rows.all("file.open", &json!({ "verdict": "deny" }));
    assert_eq!(denied.len(), ways.len(), "{denied:?}");
    for row in denied {
        row.expect(&json!({ "effect": promise.effect() }));
    }
}
