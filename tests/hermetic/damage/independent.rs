//! The independent verifier, run in one Python process for all tests.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex};

use lineage_tests::programs::python;
use serde_json::{Value, json};

/// Answers one line of JSON per line of JSON.
const SERVER: &str = "
import json, os, sys
sys.path.insert(0, sys.argv[1])
import proof, verify
for line in sys.stdin:
    request = json.loads(line)
    check = proof.verify if os.path.isfile(request['path']) else verify.verify
    print(json.dumps(check(request['path'], request['trust'])), flush=True)
";

/// What it says of an evidence directory, or a proof.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) verdict: String,
    pub(crate) findings: Value,
}

struct Server {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

static SERVER_PROCESS: LazyLock<Mutex<Server>> = LazyLock::new(|| Mutex::new(start()));

fn start() -> Server {
    let mut child = Command::new(python())
        .args(["-c", SERVER])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/independent"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    Server {
        input: child.stdin.take().unwrap(),
        output: BufReader::new(child.stdout.take().unwrap()),
        child,
    }
}

/// Asks it.
pub(crate) fn verify(path: &Path, trust: &str) -> Answer {
    let mut server = SERVER_PROCESS.lock().unwrap();
    let request = json!({ "path": path, "trust": [trust] });
    writeln!(server.input, "{request}").unwrap();
    let mut line = String::new();
    if server.output.read_line(&mut line).unwrap() == 0 {
        // The Parquet library of Python aborts on some foreign bytes: whoever asks it has no answer, and no evidence.
        let status = server.child.wait().unwrap();
        assert!(
            status.signal().is_some(),
            "the independent verifier ended with {status}"
        );
        *server = start();
        return Answer {
            verdict: "TAMPERED".to_owned(),
            findings: json!([status.to_string()]),
        };
    }
    let answer: Value = serde_json::from_str(&line).expect("the independent verifier answers");
    Answer {
        verdict: answer[0].as_str().unwrap().to_owned(),
        findings: answer[1].clone(),
    }
}
