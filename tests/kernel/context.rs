//! Changes of the environment: the records after them name another context, which leads back to the
//! one before.

use std::path::Path;
use std::process::Child;

use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::rows::Row;
use lineage_tests::wait;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::system::sethostname;
use rustix::thread::{UnshareFlags, unshare_unsafe};
use serde_json::{Value, json};

/// A mount that is gone with this.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn new(place: &'a Path) -> Self {
        std::fs::create_dir(place).expect("a new directory");
        mount("lineage-test", place, "tmpfs", MountFlags::empty(), None).expect("we are root");
        Self(place)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = unmount(self.0, UnmountFlags::DETACH);
    }
}

/// Whether what is recorded so far tells of this place: the records of an open segment are in its
/// spool, texts as they are.
fn told(recorder: &Recorder, place: &Path) -> bool {
    let hosts = std::fs::read_dir(recorder.path("evidence"));
    let hosts = hosts.into_iter().flatten().flatten();
    let place = place.to_str().expect("text").as_bytes();
    hosts
        .filter_map(|host| std::fs::read_dir(host.path().join("spool")).ok())
        .flat_map(Iterator::flatten)
        .map(|file| file.path())
        // A document in the making is there as well for a moment.
        .filter(|file| file.extension().is_some_and(|name| name == "spool"))
        .filter_map(|spool| std::fs::read(spool).ok())
        .any(|spool| spool.windows(place.len()).any(|bytes| bytes == place))
}

/// Waits until the actor is there: it writes a letter.
fn ready(child: &mut Child) {
    let mut byte = [0];
    let out = child.stdout.as_mut().expect("piped");
    std::io::Read::read_exact(out, &mut byte).expect("the actor writes");
}

fn go_on(child: &mut Child) {
    let input = child.stdin.as_mut().expect("piped");
    std::io::Write::write_all(input, b"x").expect("the actor reads");
}

pub(crate) fn document(run: &Recorded, digest: &str) -> Value {
    let bytes = run.evidence.artifact(digest);
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Fails unless the contexts of the lineage are one path, from its end to its start.
fn leads_back(run: &Recorded) {
    let end = run.rows.only("lineage.end", &json!({}));
    let changes = run.rows.all("context.change", &json!({}));
    let mut context = end.text("context").to_owned();
    for change in changes.into_iter().rev() {
        change.expect(&json!({ "context": context }));
        let document = document(run, &context);
        assert_eq!(document["lineage"], *end.get("lineage"));
        document["previous"]
            .as_str()
            .expect("a digest")
            .clone_into(&mut context);
    }
    let start = run.rows.only("lineage.start", &json!({}));
    start.expect(&json!({ "context": context }));
    assert_eq!(document(run, &context)["previous"], Value::Null);
}

/// The change that tells of a mount at this place. Others may mount things meanwhile as well.
fn change_of<'r>(run: &'r Recorded, what: &str, place: &Path) -> &'r Row {
    let place = place.display().to_string();
    let changes = run.rows.all("context.change", &json!({}));
    let mut found = changes.into_iter().filter(|change| {
        let told = &change.get("detail")["changed"]["mounts"][what];
        told.as_array()
            .is_some_and(|told| told.contains(&json!(place)))
    });
    found.next().unwrap_or_else(|| {
        panic!(
            "no change: {:#?}",
            run.rows.all("context.change", &json!({}))
        )
    })
}

#[test]
fn mounts_change_the_context_of_what_follows() {
    let recorder = Recorder::new();
    let place = recorder.path("mounted");
    let file = recorder.path("file").display().to_string();
    let mut child = recorder.start(&format!(
        "write 1 1 read 0 1 open @f {file} O_WRONLY|O_CREAT write 1 1 read 0 1 exit 0"
    ));
    ready(&mut child);
    let mounted = Mounted::new(&place);
    wait::until("a new context", || told(&recorder, &place).then_some(()));
    go_on(&mut child);
    ready(&mut child);
    drop(mounted);
    go_on(&mut child);
    let run = recorder.finish(child.wait_with_output().expect("our own child"));

    let start = run.rows.only("lineage.start", &json!({}));
    let came = change_of(&run, "added", &place);
    let went = change_of(&run, "removed", &place);
    let open = run.rows.only("file.open", &json!({ "path": file }));
    assert!(came.int("seq") < open.int("seq") && open.int("seq") < went.int("seq"));
    // Others may mount things meanwhile, so it need not be the very next context.
    assert_ne!(came.get("context"), start.get("context"));
    assert_ne!(open.get("context"), start.get("context"));
    let end = run.rows.only("lineage.end", &json!({}));
    assert_ne!(end.get("context"), open.get("context"));

    leads_back(&run);

    let context = document(&run, open.text("context"));
    let environment = document(&run, context["environment"].as_str().expect("a digest"));
    let mounts = document(&run, environment["mounts"].as_str().expect("a digest"));
    let mount = mounts
        .as_array()
        .expect("a list")
        .iter()
        .find(|mount| mount["point"] == json!(place.display().to_string()));
    let mount = mount.expect("the new mount");
    assert_eq!(
        (&mount["fs"], &mount["source"]),
        (&json!("tmpfs"), &json!("lineage-test"))
    );
}

#[test]
fn a_storm_of_mounts_is_one_story() {
    let recorder = Recorder::new();
    let places: Vec<_> = (0..40).map(|n| recorder.path(format!("m{n}"))).collect();
    let mut child = recorder.start("write 1 1 read 0 1 exit 0");
    ready(&mut child);
    let mounted: Vec<_> = places.iter().map(|place| Mounted::new(place)).collect();
    go_on(&mut child);
    let run = recorder.finish(child.wait_with_output().expect("our own child"));
    drop(mounted);
    // Others may change something else meanwhile.
    let ours = |change: &&&Row| {
        let added = &change.get("detail")["changed"]["mounts"]["added"];
        let points = added.as_array().into_iter().flatten();
        let mut points = points.filter_map(Value::as_str);
        points.any(|point| places.iter().any(|place| place.to_str() == Some(point)))
    };
    let changes = run.rows.all("context.change", &json!({}));
    let changes = changes.iter().filter(ours).count();
    assert!((1..=6).contains(&changes), "{changes}");
    let end = run.rows.only("lineage.end", &json!({}));
    let context = document(&run, end.text("context"));
    let environment = document(&run, context["environment"].as_str().expect("a digest"));
    let mounts = document(&run, environment["mounts"].as_str().expect("a digest"));
    let mounts = mounts.as_array().expect("a list");
    for place in &places {
        let point = json!(place.display().to_string());
        assert!(
            mounts.iter().any(|mount| mount["point"] == point),
            "{point}"
        );
    }
}

#[test]
fn the_hosts_name_changes_the_context() {
    // In a thread of its own, with a host name of its own: the machine keeps its name.
    std::thread::spawn(|| {
        own_host_name();
        let recorder = Recorder::new();
        let mut child = recorder.start("write 1 1 read 0 1 exit 0");
        ready(&mut child);
        sethostname(b"renamed").expect("we are root");
        go_on(&mut child);
        let run = recorder.finish(child.wait_with_output().expect("our own child"));
        let changes = run.rows.all("context.change", &json!({}));
        let renamed = changes
            .iter()
            .find(|change| change.get("detail")["changed"]["hostname"]["to"] == json!("renamed"));
        let renamed = renamed.unwrap_or_else(|| panic!("{changes:#?}"));
        let context = document(&run, renamed.text("context"));
        let reason = context["reason"].as_str().expect("a reason");
        assert!(
            reason.starts_with("environment: ") && reason.contains("hostname"),
            "{reason}"
        );
    })
    .join()
    .expect("the thread's own assertions hold");
}

#[test]
fn a_clock_that_is_set_changes_the_context() {
    let recorder = Recorder::new();
    let mut child = recorder.start("write 1 1 read 0 1 exit 0");
    ready(&mut child);
    // As little as a clock can be set by and be another one, and back.
    set_clock_by(1);
    set_clock_by(-1);
    go_on(&mut child);
    let run = recorder.finish(child.wait_with_output().expect("our own child"));
    let changes = run.rows.all("context.change", &json!({}));
    let steps: Vec<&Value> = changes
        .iter()
        .map(|change| &change.get("detail")["changed"]["clock.steps"])
        .filter(|steps| !steps.is_null())
        .collect();
    assert!(!steps.is_empty(), "{changes:#?}");
    assert_eq!(steps[0]["from"], 0);
    for (step, next) in steps.iter().zip(&steps[1..]) {
        assert_eq!(step["to"], next["from"]);
    }
    assert!(steps[0]["step_ns"].is_i64(), "{changes:#?}");
    let context = document(
        &run,
        run.rows.only("lineage.end", &json!({})).text("context"),
    );
    let environment = document(&run, context["environment"].as_str().expect("a digest"));
    assert_eq!(environment["clock"]["steps"], steps[steps.len() - 1]["to"]);
}

/// Sets the machine's clock by so many microseconds (adjtimex(2)).
#[expect(unsafe_code, reason = "the call has no safe form")]
fn set_clock_by(microseconds: i64) {
    // SAFETY: zeros are a valid `timex`.
    let mut request: libc::timex = unsafe { std::mem::zeroed() };
    request.modes = libc::ADJ_SETOFFSET;
    request.time.tv_sec = microseconds.div_euclid(1_000_000);
    request.time.tv_usec = microseconds.rem_euclid(1_000_000);
    // SAFETY: the call reads and fills the structure it is given.
    let answer = unsafe { libc::adjtimex(&raw mut request) };
    assert!(answer >= 0, "{}", std::io::Error::last_os_error());
}

/// Gives this thread, and what it starts, a host name of its own.
#[expect(unsafe_code, reason = "unshare has no safe form for every flag")]
fn own_host_name() {
    // SAFETY: a namespace of names concerns no memory.
    unsafe { unshare_unsafe(UnshareFlags::NEWUTS) }.expect("we are root");
}

#[test]
fn undisturbed_the_context_stays() {
    let run = Recorder::new().script("exit 0");
    let contexts: Vec<_> = run.rows.all("process.exit", &json!({}));
    let start = run.rows.only("lineage.start", &json!({}));
    if run.rows.all("context.change", &json!({})).is_empty() {
        contexts[0].expect(&json!({ "context": start.get("context") }));
    }
    let context = document(&run, start.text("context"));
    assert_eq!(context["reason"], "start");
    assert_eq!(context["previous"], Value::Null);
    let environment = document(&run, context["environment"].as_str().expect("a digest"));
    for name in [
        "agent", "boot", "cgroups", "clock", "kernel", "mnt_ns", "mounts", "probes",
    ] {
        assert_ne!(environment[name], Value::Null, "{name}");
    }
}
