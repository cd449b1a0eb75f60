//! The page of `lineage report`, in a browser: walked with the keyboard, with names that try to break out of it.

use std::process::Command;

use lineage_tests::programs::LINEAGE;
use lineage_tests::recorder::{Recorded, Recorder};
use serde_json::{Value, json};

use super::browser::Browser;
use super::path;

/// A name that ends a script and makes an image with a script of its own, wherever it became markup.
const HOSTILE: &str = "/script><img src=x onerror=document.title=1>\"'&amp;";

/// Copies what is in `source` into a file of that name in a directory `<`.
const SCRIPT: &str =
    "mkdir '<'; echo data > source; cat source > \"<$1\"; cat source > $'gpj\\u202etxt'; exit 3";

pub(crate) fn recorded() -> Recorded {
    let recorder = Recorder::new();
    let work = recorder.path("work");
    std::fs::create_dir_all(&work).expect("writable");
    let mut command = recorder.command();
    command.args(["--", "/bin/bash", "-c", SCRIPT, "-", HOSTILE]);
    let output = command.current_dir(work).env("PATH", path()).output();
    recorder.finish(output.expect("the lineage binary runs"))
}

fn report(run: &Recorded) -> std::path::PathBuf {
    let page = run.recorder.path("page.html");
    let mut command = Command::new(&*LINEAGE);
    command.arg("report").arg(&run.evidence.directory).args([
        "--html",
        "--trust",
        &run.evidence.trust(),
        "-o",
    ]);
    let output = command
        .arg(&page)
        .output()
        .expect("the lineage binary runs");
    assert!(output.status.success(), "{output:?}");
    page
}

/// What a command reaches from an event: nodes, and the `seq` that matters of each.
fn reached(run: &Recorded, command: &str, bound: &str, seq: i64) -> Vec<String> {
    let mut lineage = Command::new(&*LINEAGE);
    lineage.arg(command).arg(&run.evidence.directory);
    let output = lineage.args([&seq.to_string(), "--json"]).output();
    let output = output.expect("the lineage binary runs");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let nodes = document["nodes"].as_array().expect("a list").iter();
    let mut names: Vec<_> = nodes
        .map(|node| format!("{} {}", node["node"].as_str().expect("text"), node[bound]))
        .collect();
    names.sort();
    names
}

/// The same, as the page computes it.
const REACHED: &str = "((back, seq) => {
  const row = rowOf(0, seq), kinds = ['program', 'content', 'sent', 'received', 'device'];
  const reached = walk(back, back ? causesOf(row) : effectsOf(row));
  return [...reached].map(([node, time]) => `${kinds[graph.kind[node]]}:${graph.seq[node]} ${time}`).sort();
})";

/// The event that wrote into the file of that name.
fn written(run: &Recorded) -> i64 {
    let rows = run.rows.all("file.write", &json!({}));
    let row = rows.iter().find(|row| {
        row.get("path")
            .as_str()
            .is_some_and(|it| it.ends_with(HOSTILE))
    });
    row.expect("it was written").int("seq")
}

fn focused(browser: &mut Browser) -> String {
    let text = browser.value("document.activeElement.textContent");
    text.as_str().unwrap_or_default().to_owned()
}

/// From an event, found by its number, to the program that did it and to what that had read.
fn walk_to_the_source(browser: &mut Browser, run: &Recorded) {
    let seq = written(run);
    browser.press("/");
    browser.write(&format!("event {seq}"));
    browser.press("Enter");
    browser.until("document.activeElement.getAttribute('role') === 'listbox'");
    browser.press("Enter");
    let event = focused(browser);
    assert!(
        event.contains("file.write") && event.contains("onerror"),
        "{event}"
    );
    browser.press("ArrowLeft");
    let program = focused(browser);
    assert!(program.contains("cat["), "{program}");
    browser.press("Enter");
    browser.press("ArrowLeft");
    let cause = focused(browser);
    assert!(
        cause.contains("read") && cause.contains("source"),
        "{cause}"
    );
    browser.press("Enter");
    let source = focused(browser);
    assert!(source.contains("work/source"), "{source}");
}

/// All causes are those of the commands, and all effects of what moved something.
fn compare_with_commands(browser: &mut Browser, run: &Recorded) {
    let mut compared = 0;
    for row in &run.rows.0 {
        let seq = row.int("seq");
        if !["file.read", "file.write", "file.digest", "process.exec"].contains(&row.text("kind"))
            || seq % 4 > 0
        {
            continue;
        }
        let causes = browser.value(&format!("{REACHED}(true, {seq})"));
        assert_eq!(causes, json!(reached(run, "why", "until", seq)), "{row:?}");
        let effects = browser.value(&format!("{REACHED}(false, {seq})"));
        // Of an event by which nothing moved the command knows what else went through its descriptor.
        if effects != json!([]) {
            let expected = json!(reached(run, "impact", "since", seq));
            assert_eq!(effects, expected, "{row:?}");
            compared += 1;
        }
    }
    assert!(compared > 2, "{compared}");
}

/// The page begins with what stands out, and a process leads to what it ran itself, not to what it started.
fn begin_with_what_stands_out(browser: &mut Browser) {
    let first = "document.querySelector('.highlights button').textContent";
    let first = browser.value(first);
    assert!(
        first.as_str().is_some_and(|it| it.contains("work/source")),
        "{first}"
    );
    let shown = browser.value("document.querySelector('#why .focus').textContent");
    assert!(
        shown.as_str().is_some_and(|it| it.contains("work/source")),
        "{shown}"
    );
    let others = "Array.from({ length: processCount }, (_, at) => [at, processPlace(at)])
        .filter(([at, { node }]) => node >= 0 && (createdBy.get(graph.row[node]) ?? events.process[graph.row[node]]) !== at)";
    assert_eq!(browser.value(others), json!([]));
}

/// Search finds the name, as text.
fn search_for_a_hostile_name(browser: &mut Browser) {
    browser.press("/");
    browser.write("onerror");
    browser.press("Enter");
    browser.until("document.querySelector('#found').textContent.includes('1 file')");
    let shown = browser.value("document.querySelector('#events .box').textContent");
    assert!(
        shown.as_str().is_some_and(|it| it.contains(HOSTILE)),
        "{shown}"
    );
    let markup = "[document.images.length, document.scripts.length, document.title]";
    assert_eq!(browser.value(markup), json!([0, 2, "lineage report"]));
    let hidden = "document.body.textContent.includes('\\u202e')";
    assert_eq!(browser.value(hidden), false);
}

#[test]
fn a_report_is_walked_with_the_keyboard_and_asks_nobody() {
    let run = recorded();
    let page = report(&run);
    let mut browser = Browser::start();
    browser.open(&page);
    assert_eq!(
        browser.value("document.querySelector('h1').textContent"),
        "Verified"
    );

    begin_with_what_stands_out(&mut browser);
    walk_to_the_source(&mut browser, &run);
    compare_with_commands(&mut browser, &run);
    search_for_a_hostile_name(&mut browser);

    // A telephone and a sheet of paper have it all, too.
    let narrow = json!({ "width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": false });
    browser.call("Emulation.setDeviceMetricsOverride", narrow);
    browser.until("document.documentElement.scrollWidth <= 400");
    browser.call("Emulation.setEmulatedMedia", json!({ "media": "print" }));
    let displayed =
        "['.box', '.paper'].map(it => getComputedStyle(document.querySelector(it)).display)";
    assert_eq!(browser.value(displayed), json!(["none", "block"]));

    assert_eq!(browser.complaints(), [""; 0]);
    assert_eq!(browser.requested(), [format!("file://{}", page.display())]);
}

#[test]
fn a_report_could_not_do_harm_if_it_wanted() {
    let run = recorded();
    let page = report(&run);
    let mut browser = Browser::start();
    browser.open(&page);
    let markup = browser.evaluate("document.body.innerHTML = '<b>x</b>'");
    assert!(!markup["exceptionDetails"].is_null(), "{markup}");
    let asked =
        browser.value("fetch('http://127.0.0.1:9/').then(() => 'answered', () => 'refused')");
    assert_eq!(asked, "refused");
    let told = browser.complaints().join("\n");
    assert!(told.contains("Content Security Policy"), "{told}");
}
