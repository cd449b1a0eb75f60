//! Calls that are recorded as they are: names, attributes, mounts, credentials, other processes.

use std::fs;
use std::os::unix::fs::MetadataExt;

use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::rows::Row;
use serde_json::{Value, json};

/// What a call's record says beside its fields.
fn detail(row: &Row) -> Value {
    row.get("detail").clone()
}

fn only<'a>(run: &'a Recorded, kind: &str, call: &str) -> &'a Row {
    run.rows.only(kind, &json!({ "call": call }))
}

#[test]
fn names_of_files() {
    let recorder = Recorder::new();
    let root = recorder.path("").canonicalize().expect("it is there");
    fs::write(root.join("one"), "1").expect("writable");
    fs::create_dir(root.join("below")).expect("writable");
    let shown = root.display();
    let run = recorder.script(&format!(
        "chdir {shown} open @d {shown}/below O_RDONLY|O_DIRECTORY \
         call @r renameat -100 =one @d =two ; \
         call @r renameat2 @d =two -100 ={shown}/three 1 ; \
         call @r linkat @d =../three -100 =four 0 ; \
         call @r symlinkat =anything\\here -100 =five ; \
         call @r unlinkat -100 =four 0 ; \
         call @r mkdirat @d =six 448 ; \
         call @r unlinkat @d =six 512 ; \
         call @r mknodat @d =fifo 4480 0 ; \
         call @r unlinkat -100 =not-there 0 ; print @r"
    ));
    assert_eq!(run.stdout(), "-2\n");
    let below = format!("{shown}/below");
    only(&run, "file.rename", "renameat").expect(&json!({
        "origin": "claimed", "result": 0, "path": "one", "dir": root, "target": "two",
        "target_dir": below, "detail": null, "truncated": null, "notes": null,
    }));
    let rename = only(&run, "file.rename", "renameat2");
    rename.expect(&json!({
        "path": "two", "dir": below, "target": root.join("three"), "target_dir": null,
    }));
    assert_eq!(detail(rename), json!({ "flags": ["RENAME_NOREPLACE"] }));
    only(&run, "file.link", "linkat").expect(&json!({
        "path": "../three", "dir": below, "target": "four", "target_dir": root,
    }));
    let symlink = only(&run, "file.symlink", "symlinkat");
    symlink.expect(&json!({ "path": "five", "dir": root, "target": null }));
    assert_eq!(detail(symlink), json!({ "content": "anything\\\\here" }));
    run.rows.only(
        "file.mkdir",
        &json!({ "path": "six", "dir": below, "mode": 448 }),
    );
    run.rows.only(
        "file.rmdir",
        &json!({ "path": "six", "dir": below, "call": "unlinkat" }),
    );
    run.rows.only(
        "file.mknod",
        &json!({ "path": "fifo", "dir": below, "mode": 0o600 }),
    );
    run.rows.only(
        "file.unlink",
        &json!({ "path": "four", "dir": root, "result": 0 }),
    );
    run.rows.only(
        "file.unlink",
        &json!({ "path": "not-there", "dir": root, "result": -2 }),
    );
}

#[test]
fn attributes_by_name_and_by_descriptor() {
    let recorder = Recorder::new();
    let file = recorder
        .file("file", "content")
        .canonicalize()
        .expect("it is there");
    let shown = file.display();
    let run = recorder.script(&format!(
        "open @f {shown} O_RDWR \
         call @r fchmodat -100 ={shown} 384 ; \
         call @r fchmod @f 416 ; \
         call @r fchownat @f = -1 0 4096 ; \
         call @r ftruncate @f 3 ; \
         call @r truncate ={shown} 5 ; \
         call @r fallocate @f 3 0 4 ; \
         call @r utimensat @f 0 0 0 ; \
         call @r fsetxattr @f =trusted.lineage =value 5 0 ; \
         call @r removexattr ={shown} =trusted.lineage ; \
         call @r fchmod 99 0 ; print @r"
    ));
    assert_eq!(run.stdout(), "-9\n");
    let stat = fs::metadata(&file).expect("it is there");
    let known = json!({
        "origin": "kernel", "path": file, "dir": null, "dev": stat.dev(), "ino": stat.ino(),
        "result": 0, "notes": null, "truncated": null,
    });
    only(&run, "file.chmod", "fchmodat")
        .expect(&json!({ "origin": "claimed", "path": file, "ino": null, "mode": 0o600 }));
    for (kind, call) in [
        ("file.chown", "fchownat"),
        ("file.truncate", "ftruncate"),
        ("file.truncate", "fallocate"),
        ("file.utime", "utimensat"),
    ] {
        only(&run, kind, call).expect(&known);
    }
    // The name of an attribute is the caller's; the file is not.
    only(&run, "file.xattr", "fsetxattr").expect(&json!({
        "origin": "claimed", "path": file, "dev": stat.dev(), "ino": stat.ino(), "result": 0,
        "detail": { "attribute": "trusted.lineage", "bytes": 5, "flags": [] },
    }));
    let failed = run
        .rows
        .only("file.chmod", &json!({ "call": "fchmod", "result": -9 }));
    failed.expect(&json!({ "path": null, "dir": null, "ino": null }));
    run.rows.only(
        "file.chmod",
        &json!({ "call": "fchmod", "result": 0, "mode": 0o640 }),
    );
    only(&run, "file.truncate", "ftruncate").expect(&json!({ "size": 3 }));
    only(&run, "file.truncate", "truncate").expect(&json!({ "size": 5, "origin": "claimed" }));
    let attribute = detail(only(&run, "file.xattr", "removexattr"));
    assert_eq!(attribute, json!({ "attribute": "trusted.lineage" }));
    let owner = detail(only(&run, "file.chown", "fchownat"));
    assert_eq!(
        owner,
        json!({ "owner": -1, "group": 0, "flags": ["AT_EMPTY_PATH"] })
    );
}

#[test]
fn long_names_and_bad_ones() {
    let recorder = Recorder::new();
    let root = recorder.path("").canonicalize().expect("it is there");
    let long = format!("{}/x", "a/".repeat(2046));
    let run = recorder.script(&format!(
        "chdir {} call @r unlinkat -100 ={long} 0 ; call @r unlinkat -100 ={long}toolong 0 ; \
         call @r unlinkat -100 1 0 ; call @r unlinkat 77 =relative 0 ; chdir / \
         call @r unlinkat -100 =in-the-root 0 ;",
        root.display()
    ));
    let rows = run.rows.all("file.unlink", &json!({}));
    let facts: Vec<_> = rows
        .iter()
        .map(|row| (row.int("result"), row.get("truncated").clone()))
        .collect();
    assert_eq!(
        facts,
        [
            (-2, Value::Null),
            (-36, json!("path")),
            (-14, json!("path")),
            (-9, Value::Null),
            (-2, Value::Null),
        ]
    );
    assert_eq!(rows[0].text("path"), long);
    rows[2].expect(&json!({ "path": null, "origin": "claimed" }));
    rows[3].expect(&json!({ "path": "relative", "dir": null }));
    rows[4].expect(&json!({ "path": "in-the-root", "dir": "/" }));
}

#[test]
fn credentials_and_namespaces() {
    let recorder = Recorder::new();
    let run = recorder.script(
        "fork @c [ call @r prctl 38 1 0 0 0 ; call @r setresgid 12 12 12 ; call @r setresuid 11 -1 11 ; \
         call @r setuid 0 ; ] wait @c \
         fork @c [ unshare CLONE_NEWNS open @n /proc/self/ns/uts O_RDONLY call @r setns @n 0 ; ] wait @c",
    );
    let none = only(&run, "process.prctl", "prctl");
    assert_eq!(detail(none)["option"], "PR_SET_NO_NEW_PRIVS");
    none.expect(&json!({ "uid": 0, "euid": 0 }));
    only(&run, "process.credentials", "setresgid")
        .expect(&json!({ "gid": 12, "egid": 12, "uid": 0 }));
    let user = only(&run, "process.credentials", "setresuid");
    user.expect(&json!({ "uid": 11, "euid": 0, "gid": 12, "result": 0 }));
    assert_eq!(detail(user)["suid"], 11);
    let mounts = only(&run, "process.namespace", "unshare");
    assert_eq!(detail(mounts)["flags"], json!(["CLONE_NEWNS"]));
    let own = fs::metadata("/proc/self/ns/mnt").expect("procfs").ino();
    assert_ne!(mounts.int("mnt_ns").cast_unsigned(), own);
    let entered = only(&run, "process.namespace", "setns");
    assert_eq!(
        detail(entered)["uts_ns"],
        json!(fs::metadata("/proc/self/ns/uts").expect("procfs").ino())
    );
    assert!(entered.text("path").starts_with("nsfs:["));
}

#[test]
fn other_processes_and_the_kernel() {
    let recorder = Recorder::new();
    let run = recorder.script(
        "fork @c [ call @r prctl 1 9 ; pause ] call @r process_vm_writev @c 0 0 0 0 0 ; \
         call @r kill @c 0 ; call @r kill self 0 ; call @r tgkill self self 17 ; call @r ptrace 16 @c 0 0 ; \
         call @r ptrace 17 @c 0 0 ; call @r bpf 999 0 0 ; call @r io_uring_setup 0 room ; \
         call @r keyctl 0 -3 0 ; call @r delete_module =not_there 2048 ; call @r shmget 0 4096 896 ; \
         call @s shmctl @r 0 0 ; call @r sethostname 0 -1 ; call @r swapon =/not/there 0 ; call @r kill @c 9 ; \
         print @c",
    );
    let child: i64 = run.stdout().trim().parse().expect("a number");
    let kill = only(&run, "process.signal", "kill");
    assert_eq!(detail(kill), json!({ "pid": child, "signal": "SIGKILL" }));
    assert!(
        run.rows
            .all("process.signal", &json!({ "call": "tgkill" }))
            .is_empty()
    );
    assert_eq!(
        detail(only(&run, "process.memory", "process_vm_writev")),
        json!({ "pid": child })
    );
    let requests: Vec<i64> = run
        .rows
        .all("process.ptrace", &json!({}))
        .iter()
        .map(|row| row.int("request"))
        .collect();
    assert_eq!(requests, [16, 17]);
    only(&run, "kernel.bpf", "bpf").expect(&json!({ "request": 999, "result": -22 }));
    for (kind, call) in [
        ("kernel.io_uring", "io_uring_setup"),
        ("kernel.keys", "keyctl"),
        ("kernel.module", "delete_module"),
        ("process.sysv", "shmget"),
        ("process.sysv", "shmctl"),
        ("kernel.control", "sethostname"),
    ] {
        only(&run, kind, call);
    }
    let module = detail(only(&run, "kernel.module", "delete_module"));
    assert_eq!(module, json!({ "module": "not_there" }));
    only(&run, "kernel.control", "swapon").expect(&json!({ "path": "/not/there", "result": -2 }));
}

#[test]
fn semaphores_queues_clocks_and_the_kernel_log() {
    let recorder = Recorder::new();
    let run = recorder.script(
        "call @s semget 0 1 896 ; call @r semctl @s 0 0 ; call @m msgget 0 896 ; call @r msgctl @m 0 0 ; \
         call @r personality 262144 ; call @r lsm_set_self_attr 99 0 0 0 ; call @r syslog 10 0 0 ; \
         call @r adjtimex 1 ; call @r clock_adjtime 0 1 ; call @r process_madvise -1 0 0 4 0 ; \
         call @r process_mrelease -1 0 ; \
         call @q mq_open =lineage-calls 66 384 0 ; call @r mq_timedsend @q =hello 5 0 0 ; \
         call @r mq_timedreceive @q room 8192 0 0 ; print @r close @q call @r mq_unlink =lineage-calls ;",
    );
    assert_eq!(run.stdout(), "5\n");
    for (kind, call, told) in [
        (
            "process.sysv",
            "semget",
            json!({ "key": 0, "count": 1, "flags": "0o1600" }),
        ),
        (
            "process.prctl",
            "personality",
            json!({ "persona": ["ADDR_NO_RANDOMIZE"] }),
        ),
        (
            "process.restrict",
            "lsm_set_self_attr",
            json!({ "attribute": 99 }),
        ),
        ("kernel.control", "syslog", json!({ "command": 10 })),
        ("kernel.control", "clock_adjtime", json!({ "clock": 0 })),
        (
            "process.memory",
            "process_madvise",
            json!({ "pidfd": -1, "advice": 4 }),
        ),
        ("process.memory", "process_mrelease", json!({ "pidfd": -1 })),
    ] {
        assert_eq!(detail(only(&run, kind, call)), told, "{call}");
    }
    for call in ["semctl", "msgctl"] {
        let removed = only(&run, "process.sysv", call);
        removed.expect(&json!({ "result": 0 }));
        assert_eq!(detail(removed)["command"], "IPC_RMID");
    }
    only(&run, "kernel.control", "adjtimex").expect(&json!({ "result": -14 }));
    let queue = json!({ "path": "/lineage-calls", "bytes_read": 5, "bytes_written": 5 });
    run.rows.only("file.close", &queue);
}
