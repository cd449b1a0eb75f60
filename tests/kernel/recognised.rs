//! `recognised` and `entry`: what records are taken for, and that it follows from the evidence alone.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use lineage_agent::evidence::{digest, reader, schema::Record, text::hex};
use lineage_agent::lineage::recognise::{BUILT_IN, Found, Recognisers};
use lineage_tests::programs::{ACTOR, LINEAGE};
use lineage_tests::recorder::{Recorded, Recorder};
use serde_json::{Value, json};

/// The actor by the name of an interpreter: what it makes of its arguments does not matter.
fn interpreter(recorder: &Recorder, name: &str) -> String {
    let path = recorder.path(name);
    fs::copy(&*ACTOR, &path).expect("room for a copy");
    text(&path)
}

/// An executable script for an interpreter.
fn script(recorder: &Recorder, name: &str, interpreter: &str) -> String {
    let path = recorder.file(name, format!("#!{interpreter}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our own file");
    text(&path)
}

fn text(path: &Path) -> String {
    path.to_str().expect("temporary names are text").to_owned()
}

/// Works out from the evidence what it recognises, and compares with what its records say.
fn work_out_again(run: &Recorded) {
    let start = run.rows.only("lineage.start", &json!({}));
    let document = |digest: &Value| -> Value {
        let digest = digest.as_str().expect("a digest");
        serde_json::from_slice(&run.evidence.artifact(digest)).expect("JSON")
    };
    let environment = document(&document(start.get("context"))["environment"]);
    let digests = environment["recognisers"].as_array().expect("a list");
    assert_eq!(digests[0], hex(&digest::of(BUILT_IN.as_bytes())));
    let file = |digest: &Value| run.evidence.artifact(digest.as_str().expect("a digest"));
    let texts = digests.iter().map(file).map(String::from_utf8);
    let texts: Vec<String> = texts.map(|text| text.expect("TOML")).collect();
    let files: Vec<(&str, &str)> = texts.iter().map(|text| ("the evidence", &**text)).collect();
    let recognisers = Recognisers::new(&files).expect("they were used");
    let evidence = reader::Evidence::open(&run.evidence.directory).expect("readable");
    let mut recognised = 0;
    for host in evidence.hosts() {
        let visited = host.records(|record| {
            let mut found = Found::default();
            let mut again = Record {
                recognised: None,
                entry: None,
                ..*record
            };
            recognisers.complete(&mut again, &mut found);
            assert_eq!(again, *record);
            recognised += usize::from(record.recognised.is_some());
            ControlFlow::<()>::Continue(())
        });
        assert!(visited.expect("readable").is_none());
    }
    assert!(recognised > 0);
}

/// What `lineage` prints.
fn printed(arguments: &[&str], file: &Path) -> (String, String, Option<i32>) {
    let output = Command::new(&*LINEAGE).args(arguments).arg(file).output();
    let output = output.expect("the lineage binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (
        text(output.stdout),
        text(output.stderr),
        output.status.code(),
    )
}

#[test]
fn scripts_installs_and_model_files_have_labels() {
    let recorder = Recorder::new();
    let python = interpreter(&recorder, "python3.11");
    let pip = script(&recorder, "pip", &python);
    let model = text(&recorder.file("llama.safetensors", "weights"));
    let run = recorder.script(&format!(
        "spawn @a {python} python3 -u agent.py -m x ; \
         spawn @b {python} python3 -Im pip download x ; \
         spawn @c {python} python3 -c print() ; \
         spawn @d {pip} pip --quiet install requests ; \
         spawn @e {pip} pip --version ; \
         open @m {model} O_RDONLY read @m 7 close @m fails ENOENT open @n {model}.gguf O_RDONLY exit 0"
    ));
    let exec = |argc: i64, recognised: Option<&str>, entry: Option<&str>| {
        run.rows.only(
            "process.exec",
            &json!({ "exe": python, "argc": argc, "recognised": recognised, "entry": entry }),
        );
    };
    exec(5, Some("python-script"), Some("agent.py"));
    exec(5, Some("pip-install,python-module"), Some("pip"));
    exec(3, Some("python-code"), None);
    // The kernel has put the interpreter before the script's name.
    exec(5, Some("pip-install,python-script"), Some(&pip));
    exec(3, Some("python-script"), Some(&pip));
    for kind in ["file.open", "file.close"] {
        run.rows
            .only(kind, &json!({ "path": model, "recognised": "model-file" }));
    }
    let missing = json!({ "path": format!("{model}.gguf"), "recognised": null });
    run.rows.only("file.open", &missing);
    work_out_again(&run);
    let directory = &run.evidence.directory;
    let (tree, ..) = printed(&["tree"], directory);
    assert!(tree.contains("<pip-install,python-module>"), "{tree}");
    assert!(tree.contains("llama.safetensors <model-file>"), "{tree}");
    let (listed, ..) = printed(&["ls", "--recognised", "*-install"], directory);
    assert_eq!(listed.matches("<pip-install,").count(), 2, "{listed}");
    assert!(!listed.contains("model-file"), "{listed}");
    run.assert_nothing_raw();
}

#[test]
fn devices_of_accelerators_have_labels() {
    // The recognisers of the program go by the names in /dev, which tests do not make: so one's own.
    let recorder = Recorder::new();
    let own = recorder.file(
        "own.toml",
        "[[recogniser]]\nlabel = \"noise\"\nkinds = [\"file.*\"]\npath = [\"/dev/{u,}random\"]\n",
    );
    let recorder = recorder.option("--recognisers").option(&own);
    let run = recorder.script("open @r /dev/urandom O_RDONLY read @r 4 close @r exit 0");
    let device = json!({ "path": "/dev/urandom", "recognised": "noise" });
    run.rows.only("file.open", &device);
    run.rows.only("file.close", &device);
    work_out_again(&run);
}

#[test]
fn ones_own_recognisers_add_and_replace() {
    let recorder = Recorder::new();
    let own = recorder.file(
        "own.toml",
        "[[recogniser]]\nlabel = \"model-file\"\nkinds = \"file.open\"\npath = \"*.weights\"\n\
         [[recogniser]]\nlabel = \"odd\"\nkinds = \"file.*\"\npath = '*\\xff*'\ndigest = true\n",
    );
    let (listed, _, status) = printed(&["recognisers"], &own);
    assert!(listed.contains("\nodd ") && status == Some(0), "{listed}");
    let recorder = recorder.option("--recognisers").option(&own);
    let odd = recorder.path(std::ffi::OsString::from(PathBuf::from("x")));
    let weights = text(&recorder.file("x.weights", ""));
    let usual = text(&recorder.file("x.gguf", ""));
    let hostile = {
        use std::os::unix::ffi::OsStringExt as _;
        let mut bytes = odd.into_os_string().into_vec();
        bytes.extend(b"\xff\x1b");
        PathBuf::from(std::ffi::OsString::from_vec(bytes))
    };
    fs::write(&hostile, "").expect("writable");
    let words = [
        "open", "@a", &weights, "O_RDONLY", "open", "@b", &usual, "O_RDONLY", "open", "@c",
    ];
    let words = words.map(std::ffi::OsString::from).into_iter();
    let words = words.chain([
        hostile.into_os_string(),
        "O_RDONLY".into(),
        "exit".into(),
        "0".into(),
    ]);
    let run = recorder.actor(words);
    let open = |path: &str, recognised: Option<&str>| {
        run.rows.only(
            "file.open",
            &json!({ "path": path, "recognised": recognised }),
        );
    };
    open(&weights, Some("model-file"));
    open(&usual, None);
    let directory = weights.strip_suffix("x.weights").expect("as written");
    open(&format!("{directory}x\\xff\\x1b"), Some("odd"));
    work_out_again(&run);
    run.assert_nothing_raw();
}

#[test]
fn a_bad_file_stops_recording_before_it_begins() {
    let long = "#".repeat(300_000);
    let bad: [(&[u8], &str); 4] = [
        (
            b"\n[[recogniser]]\nlabel = \"x\"\nkinds = [\"file.open\"]\npth = \"*\"\n",
            "line 5, key `pth`: there is no such key",
        ),
        (b"[[recogniser\n", "line 1, at `[[recogniser`"),
        (b"# \xff", "it is not UTF-8"),
        (long.as_bytes(), "it is larger than 262144 bytes"),
    ];
    for (content, expected) in bad {
        let recorder = Recorder::new();
        let own = recorder.file("own.toml", content);
        let recorder = recorder.option("--recognisers").option(&own);
        let output = recorder.command().args(["--", "true"]).output();
        let output = output.expect("the lineage binary runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains("own.toml") && said.contains(expected),
            "{said}"
        );
        assert_eq!(output.status.code(), Some(125));
        assert!(!recorder.path("evidence").exists());
        let (_, checked, status) = printed(&["recognisers"], &own);
        assert_eq!((checked, status), (said, Some(2)));
    }
    for (path, expected) in [
        ("/dev/zero", "it is no regular file"),
        ("/nonexistent", "No such file"),
    ] {
        let recorder = Recorder::new().option("--recognisers").option(path);
        let output = recorder.command().args(["--", "true"]).output();
        let said = output.expect("the lineage binary runs").stderr;
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains(path) && said.contains(expected), "{said}");
    }
}

/// The interpreters this machine has; the programs of the test above stand in for those it has not.
#[test]
fn interpreters_of_this_machine_are_recognised() {
    let search = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::env::split_paths(&search).collect();
    let found = |name: &str| {
        places
            .iter()
            .map(|place| place.join(name))
            .find(|path| path.is_file())
    };
    let recorder = Recorder::new();
    let python = text(&recorder.file("agent.py", "open('model.gguf').close()\n"));
    let node = text(&recorder.file("agent.js", "require('fs').readFileSync('model.gguf')\n"));
    let _model = recorder.file("model.gguf", "weights");
    let mut command = format!("cd {}", text(&recorder.path("")));
    let mut expected = Vec::new();
    let mut runs = |name: &str, arguments: &str, labels: &'static str| {
        if let Some(program) = found(name) {
            command += &format!("; {} {arguments}", text(&program));
            expected.push(labels);
        }
    };
    runs("python3", &python, "python-script");
    runs("python3", "-m pip --version", "python-module");
    runs(
        "python3",
        "-m pip install --no-index ./nothing",
        "pip-install,python-module",
    );
    runs("node", &node, "node-script");
    runs(
        "npm",
        "ci --offline --ignore-scripts",
        "node-script,npm-install",
    );
    let run = recorder.run(["/bin/sh", "-c", &command]);
    for labels in &expected {
        let execs = run
            .rows
            .all("process.exec", &json!({ "recognised": labels }));
        assert!(
            !execs.is_empty(),
            "{labels}: {:#?}",
            run.rows.all("process.exec", &json!({}))
        );
    }
    let models = run
        .rows
        .all("file.open", &json!({ "recognised": "model-file" }));
    for labels in ["python-script", "node-script"] {
        if expected.contains(&labels) {
            let opens = models
                .iter()
                .filter(|row| row.text("exe").contains(&labels[..4]));
            assert_eq!(opens.count(), 1, "{models:#?}");
        }
    }
    if !expected.is_empty() {
        work_out_again(&run);
    }
}
