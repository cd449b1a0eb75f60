//! Ways round a policy that somebody could try, one by one, and what becomes of them. The table "Ways round" of
//! `docs/policies.md` names these tests.

use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lineage_tests::governed::governed;
use lineage_tests::programs::ACTOR;
use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::wait;
use serde_json::json;

/// Lets everything be used that has a name.
const FACILITIES: &str = r#"permit (principal, action == Action::"use", resource is Facility);"#;

/// Runs a script that is ended before its last step, which says so on its output. The decision is the only denial.
fn ended(recorder: Recorder, script: &str, kind: &str, effect: &str, judged: &str) -> Recorded {
    let script = recorder.placed(script);
    let judged = recorder.placed(judged);
    let run = recorder.script(&format!("{script} print reached"));
    assert_eq!(run.stdout(), "", "{script}\n{}", run.stderr());
    let denied = run.rows.only(kind, &json!({ "verdict": "deny" }));
    denied.expect(&json!({ "effect": effect, "judged": judged }));
    assert_eq!(run.output.status.code(), Some(128 + 9), "{script}");
    run
}

/// Runs a script that nothing ends.
fn passed(recorder: Recorder, script: &str) -> Recorded {
    let script = recorder.placed(script);
    let run = recorder.script(&format!("{script} print reached"));
    assert_eq!(run.stdout(), "reached\n", "{script}\n{}", run.stderr());
    run
}

/// A process that is not recorded. It ends with this.
struct Outsider(Child);

impl Outsider {
    fn new() -> Self {
        Self::does("pause")
    }

    fn does(script: &str) -> Self {
        let mut command = Command::new(&*ACTOR);
        command.args(script.split_whitespace()).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("the actor runs"))
    }
}

impl Drop for Outsider {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_name_of_a_closed_file_is_the_same_file() {
    for way in [
        "open @a ROOT/closed/file O_RDONLY",
        "open @a ROOT/link O_RDONLY",
        "open @a ROOT/open/../closed/file O_RDONLY",
        "open @a ROOT//open/.././closed//file O_RDONLY",
        "chdir ROOT/closed open @a file O_RDONLY",
        "open @d ROOT/closed O_PATH openat @a @d file O_RDONLY",
        "open @d ROOT/closed/file O_PATH open @a /proc/self/fd/3 O_RDONLY",
        "open @a /proc/self/root/ROOT/closed/file O_RDONLY",
        "chroot ROOT/closed open @a /file O_RDONLY",
        "chdir ROOT/closed open @a /proc/self/cwd/file O_RDONLY",
        "name open open @a ROOT/closed/file O_RDONLY",
        "openat2 @a ROOT/closed/file O_RDONLY",
    ] {
        let recorder = governed("enforce", "");
        symlink("closed/file", recorder.path("link")).expect("writable");
        ended(
            recorder,
            way,
            "file.open",
            "killed-after-effect",
            "read ROOT/closed/file",
        );
    }
}

/// Also with every mount allowed: what the process's own mount namespace shows is not what the host has.
#[test]
fn another_mount_namespace_has_no_other_files() {
    for way in [
        "unshare CLONE_NEWNS mount-tmpfs ROOT/open open @a ROOT/open/own O_WRONLY|O_CREAT",
        "unshare CLONE_NEWNS mount-bind ROOT/closed ROOT/open open @a ROOT/open/file O_RDONLY",
    ] {
        let recorder = governed("enforce", FACILITIES);
        let script = recorder.placed(way);
        let run = recorder.script(&format!("{script} print reached"));
        assert_eq!(run.stdout(), "", "{script}");
        let denied = run.rows.only("file.open", &json!({ "verdict": "deny" }));
        denied.expect(&json!({ "effect": "killed-after-effect" }));
    }
}

/// A path decides, and a second name that was made before is another path: this is a limit.
#[test]
fn a_second_name_from_before_is_another_path() {
    let recorder = governed("enforce", "");
    let (closed, second) = (recorder.path("closed/file"), recorder.path("open/second"));
    fs::hard_link(&closed, &second).expect("one file system");
    let run = passed(recorder, "open @a ROOT/open/second O_RDONLY");
    let path = second.canonicalize().expect("it is there");
    let open = run.rows.only("file.open", &json!({ "path": path }));
    open.expect(&json!({ "verdict": "allow", "rule": "p.cedar:open" }));
    // Which file it is nobody can hide.
    let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(closed).expect("it is there"));
    open.expect(&json!({ "ino": inode }));
}

/// A file in the lower layer of an overlay is opened by the overlay's path, and that decides: this is a limit. Written, it is
/// copied up, which changes nothing about that.
#[test]
fn an_overlay_has_paths_of_its_own() {
    let recorder = governed("audit", "");
    for name in ["upper", "work", "open/merged"] {
        fs::create_dir(recorder.path(name)).expect("writable");
    }
    let options = recorder.placed("lowerdir=ROOT/closed,upperdir=ROOT/upper,workdir=ROOT/work");
    let options = std::ffi::CString::new(options).expect("no NUL");
    let merged = recorder.path("open/merged");
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("overlay", &merged, "overlay", flags, Some(&*options)).expect("overlayfs");
    let script =
        "open @a ROOT/open/merged/file O_RDWR write @a 1 open @b ROOT/closed/file O_RDONLY";
    let run = passed(recorder, script);
    rustix::mount::unmount(&merged, rustix::mount::UnmountFlags::DETACH).expect("mounted");
    for (place, verdict) in [("open/merged", "allow"), ("closed", "deny")] {
        let path = run
            .recorder
            .path(place)
            .canonicalize()
            .expect("it is there");
        let open = run
            .rows
            .only("file.open", &json!({ "path": path.join("file") }));
        open.expect(&json!({ "verdict": verdict }));
    }
}

/// Mounts, namespaces and the rest of what changes where paths lead or what calls mean: each is ended at its first use.
#[test]
fn facilities_that_no_rule_permits_end_their_user() {
    for (way, kind, name) in [
        ("mount-bind ROOT/closed ROOT/open", "file.mount", "mount"),
        ("mount-tmpfs ROOT/open", "file.mount", "mount"),
        ("call @r fsopen =tmpfs 0 ;", "file.mount", "mount"),
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
            "clone-with CLONE_NEWUTS @c [ print born ] wait @c",
            "process.fork",
            "namespace",
        ),
        (
            "call @r io_uring_setup 4 room ;",
            "kernel.io_uring",
            "io_uring",
        ),
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
    ] {
        let recorder = governed("enforce", "");
        let judged = format!("use {name}");
        let run = ended(recorder, way, kind, "killed-after-effect", &judged);
        let mounted = run.recorder.path("open");
        let _ = rustix::mount::unmount(mounted, rustix::mount::UnmountFlags::DETACH);
    }
}

/// A child that has namespaces of its own does nothing, whether its creator still runs or not.
#[test]
fn a_child_in_another_namespace_does_nothing() {
    let recorder = governed("enforce", "");
    let way = "clone-with CLONE_NEWNS|CLONE_NEWUTS @c [ open @a ROOT/open/mark O_WRONLY|O_CREAT ] wait @c";
    let run = ended(
        recorder,
        way,
        "process.fork",
        "killed-after-effect",
        "use namespace",
    );
    assert!(!run.recorder.path("open/mark").exists());
    let ends = run.rows.all("process.exit", &json!({ "exit_signal": 9 }));
    assert_eq!(ends.len(), 2);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_first_32_bit_call_is_the_last() {
    use lineage_tests::evidence::Verdict;
    let recorder = governed("enforce", "").expect(Verdict::VerifiedWithLoss);
    ended(
        recorder,
        "close-32 99",
        "process.compat",
        "killed-after-effect",
        "use compat",
    );
    let recorder = governed("enforce", FACILITIES).expect(Verdict::VerifiedWithLoss);
    let run = passed(recorder, "close-32 99 close-32 99");
    let call = run
        .rows
        .all("process.compat", &json!({ "verdict": "allow" }));
    assert_eq!(call.len(), 1, "only the first is told");
}

/// Connections through a ring are refused like others, and what was decided about them is in no other's record.
#[test]
fn a_ring_does_not_connect_where_a_call_does_not() {
    let rules = r#"
        permit (principal, action == Action::"use", resource is Facility);
        @id("eight") permit (principal, action == Action::"connect", resource is Endpoint) when { resource.port == 8 };
    "#;
    let script =
        "socket @a inet dgram ring-connect @a 127.0.0.1:9 fails EINVAL connect @a unix:/none";
    let run = passed(governed("enforce", rules), script);
    let connect = run.rows.only("net.connect", &json!({}));
    connect.expect(&json!({ "verdict": null, "judged": null }));
    let script = "socket @a inet dgram ring-connect @a 127.0.0.1:9 fails EDESTADDRREQ send @a 1 \
                  ring-connect @a 127.0.0.1:8 send @a 1";
    passed(governed("enforce", rules), script);
    ended(
        governed("enforce", ""),
        "ring-open ROOT/closed/file",
        "kernel.io_uring",
        "killed-after-effect",
        "use io_uring",
    );
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
    for (way, kind, judged) in [
        ("kill PID 19", "process.signal", "signal outside"),
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
            "call @r process_vm_readv PID &8 0 #0,0 0 0 ;",
            "process.memory",
            "ptrace outside",
        ),
        (
            "pidfd @p PID call @r pidfd_getfd @p 1 0 ;",
            "process.getfd",
            "ptrace outside",
        ),
    ] {
        let outsider = Outsider::new();
        let way = way.replace("PID", &outsider.0.id().to_string());
        let recorder = governed("enforce", "");
        ended(recorder, &way, kind, "killed-after-effect", judged);
    }
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

/// The group of the recorder, and everybody.
#[test]
fn groups_that_others_are_in_are_outside() {
    let recorder = governed("audit", "");
    let run = passed(recorder, "call @r kill 0 18 ;");
    let group = run.rows.only("process.signal", &json!({}));
    group.expect(&json!({ "verdict": "deny", "judged": "signal outside" }));
}

#[test]
fn what_is_not_permitted_is_not_executed_in_any_way() {
    for way in [
        "exec ROOT/closed/program actor print reached ;",
        "exec ROOT/open/script ;",
        "open @p ROOT/closed/program O_PATH exec-fd @p actor print reached ;",
        "exec /proc/self/root/ROOT/closed/program actor print reached ;",
    ] {
        let recorder = governed("enforce", "");
        fs::copy(&*ACTOR, recorder.path("closed/program")).expect("writable");
        let script = recorder.path("open/script");
        let line = recorder.placed("#!ROOT/closed/program print reached\n");
        fs::write(&script, line).expect("writable");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&script, mode).expect("our own");
        ended(
            recorder,
            way,
            "process.exec",
            "killed-before-run",
            "exec ROOT/closed/program",
        );
    }
    // By another name the same program: it is the file that counts.
    let run = passed(governed("enforce", ""), "exec /proc/self/exe actor");
    let again = run
        .rows
        .all("process.exec", &json!({ "rule": "p.cedar:run" }));
    assert_eq!(again.len(), 2);
}

/// A program in memory has a name of the kernel's: who may make one may not yet run it.
#[test]
fn memory_is_no_program() {
    let size = fs::metadata(&*ACTOR).expect("it is there").len();
    let make = "memfd @m program";
    let fill = format!("open @p ACTOR O_RDONLY copy @m @p {size}");
    let run = "exec-fd @m actor print reached ;";
    let judged = "read,write /memfd:program";
    let recorder = governed("enforce", "");
    ended(recorder, make, "file.open", "killed-after-effect", judged);

    let memory = r#"
        @id("memory") permit (principal, action in [Action::"read", Action::"write"], resource is File)
        when { resource.path like "/memfd:*" };
    "#;
    let recorder = governed("enforce", memory);
    let script = format!("{make} {fill} {run}");
    let judged = "exec /memfd:program";
    let run = ended(
        recorder,
        &script,
        "process.exec",
        "killed-before-run",
        judged,
    );
    let made = run
        .rows
        .only("file.open", &json!({ "rule": "p.cedar:memory" }));
    made.expect(&json!({ "verdict": "allow" }));
}

/// A file is run by whoever maps it to be executed, which is what `ld.so program` does, or copies it into such memory.
#[test]
fn programs_are_not_run_by_mapping_or_copying_them() {
    let whole = "PROT_READ|PROT_EXEC MAP_PRIVATE";
    let map = format!("open @p ROOT/program O_RDONLY map @p 4096 0 {whole}");
    for (way, kind, judged) in [
        (map.as_str(), "file.map", "map ROOT/program"),
        (
            "open @p ROOT/program O_RDONLY call @m mmap 0 4096 1 2 @p 0 ; call @r mprotect @m 4096 5 ;",
            "file.map",
            "map ROOT/program",
        ),
        (
            "call @m mmap 0 4096 7 34 -1 0 ;",
            "process.execmem",
            "use execmem",
        ),
        (
            "call @m mmap 0 4096 3 34 -1 0 ; call @r mprotect @m 4096 5 ;",
            "process.execmem",
            "use execmem",
        ),
        (
            "call @m mmap 0 4096 7 33 -1 0 ;",
            "file.map",
            "map /dev/zero",
        ),
    ] {
        let recorder = governed("enforce", "");
        fs::copy(&*ACTOR, recorder.path("program")).expect("writable");
        ended(recorder, way, kind, "killed-after-effect", judged);
    }
    let allowed = r#"@id("map") permit (principal, action == Action::"map", resource) when { resource.path == "ROOT/program" };"#;
    let recorder = governed("enforce", allowed);
    fs::copy(&*ACTOR, recorder.path("program")).expect("writable");
    let run = passed(recorder, &map);
    let mapped = run.rows.only("file.map", &json!({}));
    mapped.expect(&json!({ "verdict": "allow", "rule": "p.cedar:map" }));
}

/// Descendants are governed, however they come to be and whoever is their parent.
#[test]
fn nobody_leaves_the_lineage() {
    for way in [
        "fork @a [ fork @b [ session open @c ROOT/closed/file O_RDONLY print reached ] wait @b ] wait @a",
        "relay 3 open @c ROOT/closed/file O_RDONLY print reached",
        "vfork @a [ open @c ROOT/closed/file O_RDONLY print reached ] wait @a",
        "thread @t [ open @c ROOT/closed/file O_RDONLY print reached ] join @t",
    ] {
        let recorder = governed("enforce", "");
        let script = recorder.placed(way);
        let run = recorder.script(&script);
        assert_eq!(run.stdout(), "", "{script}");
        let denied = run.rows.only("file.open", &json!({ "verdict": "deny" }));
        denied.expect(&json!({ "effect": "killed-after-effect" }));
    }
}

/// What is further in the path than a key holds does not count; what is more than a path can have is denied.
#[test]
fn long_paths_are_judged_by_what_they_begin_with() {
    let long = vec!["d".repeat(60); 6].join("/");
    for (directory, verdict) in [("open", "allow"), ("closed", "deny")] {
        let recorder = governed("audit", "");
        let place = recorder.path(directory).join(&long);
        fs::create_dir_all(&place).expect("writable");
        fs::write(place.join("file"), "").expect("writable");
        let run = passed(
            recorder,
            &format!("open @a ROOT/{directory}/{long}/file O_RDONLY"),
        );
        let path = place.join("file").canonicalize().expect("it is there");
        let open = run.rows.only("file.open", &json!({ "path": path }));
        open.expect(&json!({ "verdict": verdict }));
    }
}

#[test]
fn five_thousand_rules_say_what_they_say() {
    let rule = |number: usize| {
        let effect = if number.is_multiple_of(3) {
            "forbid"
        } else {
            "permit"
        };
        format!(
            "@id(\"r{number}\") {effect} (principal, action == Action::\"write\", resource is File) \
             when {{ resource.path like \"ROOT/{number}/*\" }};\n"
        )
    };
    let rules: String = (0..5000).map(rule).collect();
    let recorder = governed("audit", &rules);
    let mut script = String::new();
    let asked = [0_usize, 1, 2, 2499, 2500, 4998, 4999];
    for number in asked {
        fs::create_dir(recorder.path(number.to_string())).expect("writable");
        script += &format!("open @f ROOT/{number}/file O_WRONLY|O_CREAT ");
    }
    let run = passed(recorder, &script);
    for number in asked {
        let path = run.recorder.path(format!("{number}/file"));
        let path = path.canonicalize().expect("it is there");
        let open = run.rows.only("file.open", &json!({ "path": path }));
        let denied = number.is_multiple_of(3);
        // What is made anew is created too, and no rule permits that.
        let judged = format!("write,create {}", path.display());
        open.expect(&json!({ "verdict": "deny", "judged": judged }));
        let rule = open.get("rule").as_str();
        let expected = format!("p.cedar:r{number}");
        assert_eq!(rule, denied.then_some(expected.as_str()), "{number}");
    }
}

/// Sockets below `open/`, for everything.
const SOCKETS: &str = r#"
    permit (principal, action in Action::"network", resource is UnixSocket) when { resource.path like "ROOT/open/*" };
"#;

#[test]
fn unix_sockets_are_judged_by_their_files() {
    let script = "socket @s unix stream bind @s unix:ROOT/open/s listen @s \
                  socket @c unix stream connect @c unix:ROOT/open/s accept @a @s \
                  socket @d unix dgram bind @d unix:ROOT/open/d socket @e unix dgram sendto @e 1 unix:ROOT/open/d";
    let run = passed(governed("enforce", SOCKETS), script);
    for (kind, name, count) in [
        ("bind", "s", 2),
        ("listen", "s", 1),
        ("connect", "s", 1),
        ("accept", "s", 1),
        ("send", "d", 1),
    ] {
        let judged = run
            .recorder
            .placed(&format!("{kind} unix:ROOT/open/{name}"));
        let kind = format!("net.{kind}");
        assert_eq!(
            run.rows.all(&kind, &json!({ "verdict": "allow" })).len(),
            count,
            "{kind}"
        );
        run.rows
            .only(&kind, &json!({ "judged": judged, "effect": "allowed" }));
    }
}

/// Whoever listens there, and whatever the socket is called.
#[test]
fn unix_sockets_outside_are_not_talked_to() {
    let name = format!("lineage-{}", std::process::id());
    let hidden = SocketAddr::from_abstract_name(&name).expect("short");
    let _hidden = UnixListener::bind_addr(&hidden).expect("nobody has it");
    let hidden = (
        format!("connect @c unix:@{name}"),
        format!("connect unix:@{name}"),
    );
    for (way, kind, judged) in [
        (
            "connect @c unix:ROOT/closed/s",
            "net.connect",
            "connect unix:ROOT/closed/s",
        ),
        (
            "chdir ROOT/closed connect @c unix:s",
            "net.connect",
            "connect unix:ROOT/closed/s",
        ),
        (
            "connect @c unix:ROOT/open/link",
            "net.connect",
            "connect unix:ROOT/closed/s",
        ),
        (&*hidden.0, "net.connect", &*hidden.1),
        (
            "sendto @d 1 unix:ROOT/closed/d",
            "net.send",
            "send unix:ROOT/closed/d",
        ),
        ("sendto @d 1 unix:ROOT/open/../closed/d", "net.send", "send"),
        (
            "sendto @d 1 unix:ROOT/open//../closed/d",
            "net.send",
            "send",
        ),
        ("chdir ROOT/closed sendto @d 1 unix:d", "net.send", "send"),
        (
            "connect @d unix:ROOT/closed/d",
            "net.connect",
            "connect unix:ROOT/closed/d",
        ),
        (
            "bind @c unix:ROOT/closed/n",
            "net.bind",
            "bind unix:ROOT/closed/n",
        ),
        (
            "chdir ROOT/closed bind @c unix:n",
            "net.bind",
            "bind unix:ROOT/closed/n",
        ),
        ("bind @c unix:@lineage", "net.bind", "bind unix:@lineage"),
    ] {
        let recorder = governed("enforce", SOCKETS);
        let _listener = UnixListener::bind(recorder.path("closed/s")).expect("writable");
        let _receiver = UnixDatagram::bind(recorder.path("closed/d")).expect("writable");
        symlink("../closed/s", recorder.path("open/link")).expect("writable");
        let way = format!("socket @c unix stream socket @d unix dgram {way}");
        ended(recorder, &way, kind, "killed-after-effect", judged);
    }
}

#[test]
fn nobody_listens_and_accepts_without_leave() {
    let rules = |actions: &str| {
        format!(
            "permit (principal, action in [{actions}], resource is Endpoint) when {{ resource.address.isLoopback() }};"
        )
    };
    let script = "socket @s inet stream bind @s 127.0.0.1:0 listen @s socket @c inet stream connect @c @s accept @a @s";
    for (allowed, kind) in [
        (r#"Action::"bind""#, "net.listen"),
        (
            r#"Action::"bind", Action::"listen", Action::"connect""#,
            "net.accept",
        ),
    ] {
        let recorder = governed("enforce", &rules(allowed));
        let script = recorder.placed(script);
        let run = recorder.script(&format!("{script} print reached"));
        assert_eq!(run.stdout(), "", "{kind}");
        let denied = run.rows.only(kind, &json!({ "verdict": "deny" }));
        denied.expect(&json!({ "effect": "killed-after-effect" }));
        let judged = denied.text("judged");
        let port = denied.int("local_port");
        assert_eq!(judged, format!("{} 127.0.0.1:{port}/tcp", &kind[4..]));
    }
    passed(governed("enforce", &rules(r#"Action::"network""#)), script);
}

/// The first bytes of a message can make the connection they go through.
#[test]
fn a_message_does_not_connect_where_a_call_does_not() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("free");
    let port = listener.local_addr().expect("bound").port();
    let script = format!("socket @c inet stream fails EPERM fastopen @c 3 127.0.0.1:{port}");
    let run = passed(governed("enforce", ""), &script);
    let denied = run.rows.only("net.connect", &json!({ "verdict": "deny" }));
    denied.expect(
        &json!({ "effect": "prevented", "judged": format!("connect 127.0.0.1:{port}/tcp") }),
    );
}

#[test]
fn other_sockets_end_their_maker() {
    for (way, judged) in [
        ("call @r socket 16 3 0 ;", "use netlink"),
        ("call @r socket 17 3 0 ;", "use socket"),
        ("call @r socket 2 3 1 ;", "use socket"),
    ] {
        ended(
            governed("enforce", ""),
            way,
            "net.socket",
            "killed-after-effect",
            judged,
        );
    }
}

/// A descriptor that somebody outside opened is not judged: it is recorded that it came, and what it leads to.
#[test]
fn a_descriptor_from_outside_is_recorded() {
    let recorder = governed(
        "enforce",
        r#"permit (principal, action in Action::"network", resource);"#,
    );
    let socket = recorder.path("socket");
    let closed = recorder.path("closed/file").display().to_string();
    let giver = format!(
        "socket @s unix stream bind @s unix:{0} listen @s accept @c @s open @f {closed} O_RDONLY pass @c @f ; recv @c 1",
        socket.display()
    );
    let mut outside = Outsider::does(&giver);
    wait::until("the socket", || socket.exists().then_some(()));
    let script = format!(
        "socket @s unix stream connect @s unix:{} receive @s @f ; read @f 1 send @s 1",
        socket.display()
    );
    let run = passed(recorder, &script);
    assert!(outside.0.wait().expect("our own child").success());
    let path = Path::new(&closed).canonicalize().expect("it is there");
    let came = run
        .rows
        .only("descriptor.receive", &json!({ "path": path }));
    came.expect(&json!({ "verdict": null }));
}

/// What a child would be ended for having opened, its creator would have as well.
#[test]
fn descriptors_are_not_shared_with_another_process() {
    let way = "clone-files @c [ open @a ROOT/closed/file O_RDONLY ] wait @c pread 3 1 0";
    let run = ended(
        governed("enforce", ""),
        way,
        "process.fork",
        "killed-after-effect",
        "use shared_files",
    );
    assert!(
        run.rows
            .all("file.open", &json!({ "verdict": "deny" }))
            .is_empty()
    );
    let rule = r#"permit (principal, action == Action::"use", resource) when { resource.name == "shared_files" };"#;
    let run = passed(governed("enforce", rule), "clone-files @c [ ] wait @c");
    let fork = run.rows.only("process.fork", &json!({}));
    fork.expect(&json!({ "verdict": "allow", "judged": "use shared_files" }));
}

/// Nothing is authorised after it, in any process: what is there now could help others.
fn breached(recorder: Recorder, script: &str) {
    let script = recorder.placed(script);
    let run = recorder.script(&format!("{script} print reached"));
    assert_eq!(run.stdout(), "", "{script}\n{}", run.stderr());
    let change = run.rows.only("context.change", &json!({}));
    assert_eq!(change.get("detail")["authority"], "breach");
    let told = run.stderr();
    assert!(told.contains("nothing is authorised any more"), "{told}");
}

#[test]
fn another_name_that_was_made_helps_nobody() {
    for way in [
        "call @r link =ROOT/closed/file =ROOT/open/name ;",
        "rename ROOT/closed/file ROOT/open/name",
    ] {
        let use_it = "open @a ROOT/open/name O_RDONLY read @a 1";
        let script = format!("fork @c [ {way} ] status @s @c {use_it}");
        breached(governed("enforce", ""), &script);
    }
}

#[test]
fn a_socket_that_a_child_connected_helps_nobody() {
    let recorder = governed("enforce", SOCKETS);
    let listener = UnixListener::bind(recorder.path("closed/s")).expect("writable");
    let script = "socket @a unix stream fork @c [ connect @a unix:ROOT/closed/s ] status @s @c send @a 1 recv @a 1";
    breached(recorder, script);
    drop(listener);
}

#[test]
fn no_address_is_the_host_itself() {
    let rules = r#"permit (principal, action == Action::"connect", resource is Endpoint)
        unless { resource.address.isLoopback() };"#;
    for (family, to, judged) in [
        ("inet", "0.0.0.0:9", "connect 127.0.0.1:9/tcp"),
        ("inet6", "[::]:9", "connect [::1]:9/tcp"),
    ] {
        let script = format!("socket @a {family} stream fails EPERM connect @a {to}");
        let run = passed(governed("enforce", rules), &script);
        let connect = run.rows.only("net.connect", &json!({}));
        connect.expect(&json!({ "effect": "prevented", "judged": judged }));
    }
}
