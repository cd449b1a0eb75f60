//! What a file is called on the host, where the process that opens it has another root or another
//! mount namespace: both names must lead to the same file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use lineage_tests::programs::ACTOR;
use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::rows::Row;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::json;

/// A directory to be somebody's root, with the actor and a file in it.
fn root(recorder: &Recorder, name: &str) -> PathBuf {
    let root = recorder.path(name);
    fs::create_dir_all(root.join("in")).expect("a new directory");
    fs::create_dir(root.join("old")).expect("a new directory");
    fs::copy(&*ACTOR, root.join("actor")).expect("the actor is there");
    fs::write(root.join("in/file"), name).expect("writable");
    libraries(&root);
    root
}

/// Copies what the actor is linked with, if it is: what this test is linked with.
fn libraries(root: &Path) {
    let maps = fs::read_to_string("/proc/self/maps").expect("procfs is mounted");
    let files = maps
        .lines()
        .filter_map(|line| line.find('/').map(|at| &line[at..]));
    for file in files.filter(|file| file.contains(".so")) {
        let name = Path::new(file).file_name().expect("a file");
        let own = Path::new(file).parent().expect("a directory");
        for place in ["lib64", own.to_str().expect("text").trim_start_matches('/')] {
            let place = root.join(place);
            fs::create_dir_all(&place).expect("writable");
            fs::copy(file, place.join(name)).expect("the library is there");
        }
    }
}

/// Fails unless the record's file is the one at this path of the host, and says so.
fn is_at(row: &Row, place: &Path) {
    let file = fs::metadata(place).expect("it is there");
    row.expect(&json!({
        "host_path": place.display().to_string(),
        "notes": null,
        "dev": file.dev(),
        "ino": file.ino(),
    }));
}

/// The open of a file under this name that succeeded.
fn opened<'r>(run: &'r Recorded, path: &str) -> &'r Row {
    let opens = run
        .rows
        .all("file.open", &json!({ "path": path, "origin": "kernel" }));
    assert_eq!(opens.len(), 1, "{path}: {opens:#?}");
    opens[0]
}

#[test]
fn after_chroot_the_host_has_the_whole_path() {
    let recorder = Recorder::new();
    let root = root(&recorder, "root");
    let outside = recorder.file("outside", "");
    let run = recorder.script(&format!(
        "open @o {} O_RDONLY chroot {} open @x /in/file O_RDONLY exit 0",
        outside.display(),
        root.display()
    ));
    is_at(opened(&run, "/in/file"), &root.join("in/file"));
    opened(&run, &outside.display().to_string()).expect(&json!({ "host_path": null }));
}

#[test]
fn an_executable_in_a_chroot_has_a_path_of_the_host() {
    let recorder = Recorder::new();
    let root = root(&recorder, "root");
    let run = recorder.script(&format!(
        "chroot {} exec /actor actor exit 3",
        root.display()
    ));
    let exec = run.rows.only("process.exec", &json!({ "exe": "/actor" }));
    is_at(exec, &root.join("actor"));
    let first = run.rows.all("process.exec", &json!({ "result": 0 }));
    first[0].expect(&json!({ "host_path": null }));
}

#[test]
fn a_bind_mount_inside_a_chroot_is_a_place_of_the_host() {
    let recorder = Recorder::new();
    let root = root(&recorder, "root");
    let other = self::root(&recorder, "other");
    let place = root.join("in");
    let _mounted = Mounted::bind(&other.join("in"), &place);
    let run = recorder.script(&format!(
        "chroot {} open @x /in/file O_RDONLY exit 0",
        root.display()
    ));
    // The place the process came through, not the one behind it.
    is_at(opened(&run, "/in/file"), &place.join("file"));
}

#[test]
fn in_another_namespace_the_host_has_another_path_for_what_is_mounted_there() {
    let recorder = Recorder::new();
    let shown = root(&recorder, "shown");
    let place = root(&recorder, "place");
    let plain = recorder.file("plain", "").display().to_string();
    let run = recorder.script(&format!(
        "unshare CLONE_NEWNS mount-bind {0} {1} open @x {1}/in/file O_RDONLY open @y {plain} O_RDONLY \
         mount-tmpfs {1}/old open @z {1}/old/new O_WRONLY|O_CREAT pipe @in @out exit 0",
        shown.display(),
        place.display(),
    ));
    let bound = opened(&run, &place.join("in/file").display().to_string());
    is_at(bound, &shown.join("in/file"));
    // What is the same for both is said once.
    opened(&run, &plain).expect(&json!({ "host_path": null, "notes": null }));
    let new = opened(&run, &place.join("old/new").display().to_string());
    new.expect(&json!({ "host_path": null, "notes": "not-on-host" }));
}

#[test]
fn a_process_made_in_another_namespace_has_paths_of_the_host() {
    let recorder = Recorder::new();
    let shown = root(&recorder, "shown");
    let place = root(&recorder, "place");
    let plain = recorder.file("plain", "").display().to_string();
    let run = recorder.script(&format!(
        "clone-with CLONE_NEWNS|CLONE_NEWPID @c [ mount-bind {0} {1} open @x {1}/in/file O_RDONLY \
         open @y {plain} O_RDONLY chroot {1} exec /actor actor open @z /in/file O_RDONLY ] wait @c",
        shown.display(),
        place.display(),
    ));
    let bound = opened(&run, &place.join("in/file").display().to_string());
    is_at(bound, &shown.join("in/file"));
    opened(&run, &plain).expect(&json!({ "host_path": null, "notes": null }));
    let exec = run.rows.only("process.exec", &json!({ "exe": "/actor" }));
    is_at(exec, &shown.join("actor"));
    is_at(opened(&run, "/in/file"), &shown.join("in/file"));
}

#[test]
fn a_container_made_by_hand_is_seen_from_outside() {
    let recorder = Recorder::new();
    let base = recorder.path("").canonicalize().expect("it is there");
    let root = root(&recorder, "root");
    let plain = recorder.file("plain", "");
    fs::create_dir(recorder.path("data")).expect("a new directory");
    let file = recorder.file("data/file", "");
    // The first root of a machine cannot be exchanged: hence the one in between.
    let run = recorder.script(&format!(
        "unshare CLONE_NEWNS mount-bind {0} {0} chroot {0} mount-bind /root /root \
         mount-bind /data /root/in chdir /root pivot-root . old chdir / \
         open @x /in/file O_RDONLY open @y /old/plain O_RDONLY \
         exec /actor actor open @z /new O_WRONLY|O_CREAT exit 0",
        base.display(),
    ));
    is_at(opened(&run, "/in/file"), &file);
    is_at(opened(&run, "/old/plain"), &plain);
    let exec = run.rows.only("process.exec", &json!({ "exe": "/actor" }));
    is_at(exec, &root.join("actor"));
    is_at(opened(&run, "/new"), &root.join("new"));
}

#[test]
fn an_overlay_of_the_host_is_found_from_inside() {
    let recorder = Recorder::new();
    let lower = root(&recorder, "lower");
    let merged = recorder.path("merged");
    for name in ["upper", "work", "merged"] {
        fs::create_dir(recorder.path(name)).expect("a new directory");
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        recorder.path("upper").display(),
        recorder.path("work").display(),
    );
    let Some(_mounted) = Mounted::overlay(&merged, &options) else {
        // A kernel without overlays, or a file system that cannot carry one: said, not passed over.
        let said = fs::read_to_string("/proc/filesystems").expect("procfs is mounted");
        assert!(
            !said.contains("overlay"),
            "overlays are there and cannot be mounted"
        );
        return;
    };
    let run = recorder.script(&format!(
        "unshare CLONE_NEWNS mount-bind {0} {0} chroot {0} open @x /in/file O_RDONLY \
         open @y /in/new O_WRONLY|O_CREAT exit 0",
        merged.display(),
    ));
    is_at(opened(&run, "/in/file"), &merged.join("in/file"));
    is_at(opened(&run, "/in/new"), &merged.join("in/new"));
}

/// A mount that is gone with this.
struct Mounted(PathBuf);

impl Mounted {
    fn bind(source: &Path, place: &Path) -> Self {
        rustix::mount::mount_bind(source, place).expect("we are root");
        Self(place.to_owned())
    }

    fn overlay(place: &Path, options: &str) -> Option<Self> {
        let options = std::ffi::CString::new(options).expect("no NUL");
        let mounted = mount("none", place, "overlay", MountFlags::empty(), &*options);
        mounted.ok().map(|()| Self(place.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}
