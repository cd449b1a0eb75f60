//! Files by other names and in other places, and what is done to them through rings.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};

use lineage_common::tier::{Denied, Tier};
use lineage_tests::governed::{TIER, promised};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use serde_json::json;

use super::{FACILITIES, Way, breached, each_alone, governed, passed, tried};

/// Also with every mount allowed: what the process's own mount namespace shows is not what the host has.
#[test]
fn every_name_of_a_closed_file_is_the_same_file() {
    let recorder = governed("enforce", FACILITIES);
    symlink("closed/file", recorder.path("link")).expect("writable");
    let ways = [
        "fails EPERM open @a ROOT/closed/file O_RDONLY",
        "fails EPERM open @a ROOT/link O_RDONLY",
        "fails EPERM open @a ROOT/open/../closed/file O_RDONLY",
        "fails EPERM open @a ROOT//open/.././closed//file O_RDONLY",
        "chdir ROOT/closed fails EPERM open @a file O_RDONLY",
        "open @d ROOT/closed O_PATH fails EPERM openat @a @d file O_RDONLY",
        "open @d ROOT/closed/file O_PATH fails EPERM open @a /proc/self/fd/3 O_RDONLY",
        "fails EPERM open @a /proc/self/root/ROOT/closed/file O_RDONLY",
        "chroot ROOT/closed fails EPERM open @a /file O_RDONLY",
        "chdir ROOT/closed fails EPERM open @a /proc/self/cwd/file O_RDONLY",
        "name open fails EPERM open @a ROOT/closed/file O_RDONLY",
        "fails EPERM openat2 @a ROOT/closed/file O_RDONLY",
    ];
    let judged = "read ROOT/closed/file";
    let mut ways = ways.map(|way| Way::new(way, "file.open", judged)).to_vec();
    let bound = "unshare CLONE_NEWNS mount-bind ROOT/closed ROOT/open fails EPERM open @a ROOT/open/file O_RDONLY";
    ways.push(Way::new(bound, "file.open", "read"));
    // Where hooks are asked, one is before there is a file.
    let judged = match *TIER {
        Tier::Trace => "write,create",
        Tier::Fexit | Tier::Lsm => "create",
    };
    let made = "unshare CLONE_NEWNS mount-tmpfs ROOT/open fails EPERM open @a ROOT/open/own O_WRONLY|O_CREAT";
    ways.push(Way::new(made, "file.open", judged));
    let named =
        "unshare CLONE_NEWNS mount-bind ROOT/closed ROOT/open fails EPERM mkdir ROOT/open/own";
    ways.push(Way::new(named, "file.mkdir", "create"));
    tried(recorder, &ways);
}

/// A path decides, and another name that was made before is another path: a hard link, another mount, and the path in an overlay
/// of a file in its lower layer. Written, that is copied up, which changes nothing about it. These are limits.
#[test]
fn another_name_from_before_is_another_path() {
    let recorder = governed("enforce", "");
    let closed = recorder.path("closed/file");
    fs::hard_link(&closed, recorder.path("open/second")).expect("one file system");
    for name in ["upper", "work", "open/merged", "open/bound"] {
        fs::create_dir(recorder.path(name)).expect("writable");
    }
    let (merged, bound) = (recorder.path("open/merged"), recorder.path("open/bound"));
    let options = recorder.placed("lowerdir=ROOT/closed,upperdir=ROOT/upper,workdir=ROOT/work");
    let options = CString::new(options).expect("no NUL");
    let flags = MountFlags::empty();
    mount("overlay", &merged, "overlay", flags, Some(&*options)).expect("overlayfs");
    mount_bind(recorder.path("closed"), &bound).expect("root may");
    let names = ["open/second", "open/bound/file", "open/merged/file"];
    let script = names.map(|name| format!("open @f ROOT/{name} O_RDWR write @f 1 "));
    let run = passed(recorder, &script.concat());
    for mounted in [merged, bound] {
        unmount(mounted, UnmountFlags::DETACH).expect("mounted");
    }
    let inode = fs::metadata(closed).expect("it is there").ino();
    for name in names {
        let path = run.recorder.placed(&format!("ROOT/{name}"));
        let open = run.rows.only("file.open", &json!({ "path": path }));
        open.expect(&json!({ "verdict": "allow", "rule": "p.cedar:open" }));
        // Which file it is nobody can hide, but for an overlay.
        if !name.contains("merged") {
            open.expect(&json!({ "ino": inode }));
        }
    }
}

/// Where only the name is judged it is followed to another file: this is a limit of that tier.
#[test]
fn a_link_in_the_middle_of_a_name_leads_nowhere_else() {
    let recorder = governed("enforce", "");
    symlink("../closed", recorder.path("open/way")).expect("writable");
    let ways = [
        Way::new(
            "fails EPERM mkdir ROOT/open/way/made",
            "file.mkdir",
            "create ROOT/closed/made",
        ),
        Way::new(
            "call @r truncate =ROOT/open/way/file 0 ;",
            "file.truncate",
            "write ROOT/closed/file",
        ),
        Way::new(
            "call @r fchmodat -100 =ROOT/open/way/file 0 ;",
            "file.chmod",
            "chmod ROOT/closed/file",
        ),
        Way::new(
            "fails EPERM unlink ROOT/open/way/file",
            "file.unlink",
            "delete ROOT/closed/file",
        ),
    ];
    if *TIER != Tier::Trace {
        tried(recorder, &ways);
        return;
    }
    let script = ways.map(|way| way.script.replace("fails EPERM ", "") + " ");
    let run = passed(recorder, &script.concat());
    for Way { kind, judged, .. } in ways {
        let judged = run
            .recorder
            .placed(judged)
            .replace("/closed/", "/open/way/");
        let done = run.rows.only(kind, &json!({}));
        done.expect(&json!({ "verdict": "allow", "judged": judged, "result": 0 }));
    }
    assert!(!run.recorder.path("closed/file").exists());
}

#[test]
fn another_name_that_was_made_helps_nobody() {
    let ways = [
        Way::new(
            "call @r link =ROOT/closed/file =ROOT/open/name ;",
            "file.link",
            "link ROOT/closed/file",
        ),
        Way::new(
            "fails EPERM rename ROOT/closed/file ROOT/open/name",
            "file.rename",
            "rename ROOT/closed/file",
        ),
        // Into the place of another.
        Way::new(
            "fails EPERM rename ROOT/open/file ROOT/closed/file",
            "file.rename",
            "rename ROOT/closed/file",
        ),
    ];
    if promised("link") == [Denied::Prevented] {
        let run = tried(governed("enforce", ""), &ways);
        assert!(!run.recorder.path("open/name").exists());
        let left = fs::read_to_string(run.recorder.path("closed/file"));
        assert_eq!(left.expect("it is there"), "b");
        return;
    }
    for way in ways {
        let use_it = "open @a ROOT/open/name O_RDONLY read @a 1";
        let script = format!("fork @c [ {} ] status @s @c {use_it}", way.script);
        breached(governed("enforce", ""), &script);
    }
}

/// What a ring is asked to do has no call of its own: where calls are what is judged, who may use one may open files and
/// connect Unix sockets through it. That is a limit. Elsewhere the hooks are asked, and that a record is missing of what they decide is
/// counted.
#[test]
fn a_ring_does_what_only_hooks_see() {
    let recorder = governed("enforce", FACILITIES);
    let _listener = std::os::unix::net::UnixListener::bind(recorder.path("closed/s"));
    let (open, connect) = (
        "ring-open ROOT/closed/file",
        "socket @c unix stream ring-connect @c unix:ROOT/closed/s",
    );
    let (ways, end) = match *TIER {
        Tier::Trace => (
            [format!("{open} read 4 1"), format!("{connect} send @c 1")],
            super::WENT_ON,
        ),
        Tier::Fexit => ([open.to_owned(), connect.to_owned()], super::ENDED),
        Tier::Lsm => (
            [
                format!("{open} fails EBADF read 4 1"),
                format!("{connect} fails ENOTCONN send @c 1"),
            ],
            super::WENT_ON,
        ),
    };
    let script = recorder.placed(&each_alone(ways.iter().map(String::as_str)));
    let run = recorder.script(&script);
    let ends: Vec<_> = run.stdout().lines().map(str::to_owned).collect();
    assert_eq!(ends, [end, end], "{}", run.stderr());
    let rings = run
        .rows
        .all("kernel.io_uring", &json!({ "verdict": "allow" }));
    assert!(rings.len() >= 2, "{rings:?}");
    let counted = run
        .stderr()
        .contains("2 times a decision was made about an act that has no record");
    assert_eq!(counted, *TIER != Tier::Trace, "{}", run.stderr());
}
