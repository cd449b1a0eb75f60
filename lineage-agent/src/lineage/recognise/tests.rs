use super::*;
use crate::evidence::kinds;

/// What the recognisers of the program say of a record: labels, and the entry.
fn told(record: Record<'_>) -> (String, String) {
    told_by(&Recognisers::built_in(), record)
}

fn told_by(recognisers: &Recognisers, record: Record<'_>) -> (String, String) {
    let mut found = Found::default();
    let mut record: Record<'_> = Record { ..record };
    recognisers.complete(&mut record, &mut found);
    let text = |field: Option<&str>| field.unwrap_or("-").to_owned();
    (text(record.recognised), text(record.entry))
}

fn open(path: &str) -> Record<'_> {
    Record {
        kind: Some(kinds::FILE_OPEN),
        path: Some(path),
        result: Some(3),
        ..Record::default()
    }
}

/// An exec of `exe` by the name in `argv[0]`; a script when `script` is given.
fn exec(exe: &str, script: Option<&str>, argv: &[&str]) -> (String, String) {
    let json = serde_json::to_string(argv).unwrap();
    told(Record {
        kind: Some(kinds::PROCESS_EXEC),
        exe: Some(exe),
        filename: Some(script.unwrap_or(argv[0])),
        interpreter: script.map(|_| argv[0]),
        argv: Some(&json),
        result: Some(0),
        ..Record::default()
    })
}

#[test]
fn files_are_recognised_by_their_names() {
    let package = "/venv/lib/python3.11/site-packages";
    let loaded = |file: &str| format!("{package}/{file}");
    for (path, labels) in [
        ("/models/a.safetensors", "model-file"),
        ("/models/llama-7b.Q4_K_M.gguf", "model-file"),
        ("/models/x.onnx", "model-file"),
        ("/models/x.pt", "model-file"),
        ("/m/pytorch_model-00001-of-00002.bin", "model-file"),
        ("/m/pytorch_model.bin", "model-file"),
        ("/m/model.pth", "model-file"),
        (&loaded("x-nspkg.pth"), "-"),
        ("/m/random.bin", "-"),
        ("/m/safetensors", "-"),
        ("/m/a.safetensors.part", "-"),
        ("/m/tokenizer.json", "tokenizer-file"),
        ("/srv/a.ipynb", "notebook-file"),
        ("/srv/AGENTS.md", "prompt-file"),
        ("/home/u/.mcp.json", "mcp-config"),
        ("/dev/nvidia0", "gpu-device"),
        ("/dev/nvidiactl", "gpu-device"),
        ("/dev/dri/renderD128", "gpu-device"),
        ("/dev/kfd", "gpu-device"),
        ("/dev/accel/accel0", "accelerator-device"),
        ("/dev/null", "-"),
        ("/x/dev/nvidia0", "-"),
        (&loaded("torch/__init__.py"), "ml-framework"),
        (
            &loaded("torch/__pycache__/__init__.cpython-311.pyc"),
            "ml-framework",
        ),
        (
            &loaded("torch/nn/__pycache__/__init__.cpython-311.pyc"),
            "-",
        ),
        (
            &loaded("openai/__pycache__/__init__.cpython-311.pyc"),
            "llm-sdk",
        ),
        (&loaded("langchain/__init__.py"), "agent-framework"),
        ("/a/node_modules/@anthropic-ai/sdk/package.json", "llm-sdk"),
        ("", "-"),
    ] {
        assert_eq!(told(open(path)).0, labels, "{path}");
    }
}

#[test]
fn a_finished_download_is_recognised_by_its_new_name() {
    let rename = Record {
        kind: Some(kinds::FILE_RENAME),
        path: Some("blobs/x.incomplete"),
        target: Some("model.safetensors"),
        result: Some(0),
        ..Record::default()
    };
    assert_eq!(told(rename).0, "model-file");
}

const PYTHON: &str = "/usr/bin/python3.11";
const NODE: &str = "/usr/bin/node";
const PIP: &str = "/venv/bin/pip";
const NPM: &str = "/usr/bin/npm";

/// Executable, script, arguments; labels and entry.
type Program = (
    &'static str,
    Option<&'static str>,
    &'static [&'static str],
    &'static str,
    &'static str,
);

const PROGRAMS: &[Program] = &[
    (
        PYTHON,
        None,
        &["python3", "agent.py"],
        "python-script",
        "agent.py",
    ),
    (PYTHON, None, &["python3"], "-", "-"),
    (
        PYTHON,
        None,
        &["python3", "-c", "print()"],
        "python-code",
        "-",
    ),
    (
        PYTHON,
        None,
        &["python3", "-m", "http.server"],
        "python-module",
        "http.server",
    ),
    (
        PYTHON,
        None,
        &["python3", "-m", "pip", "install", "x"],
        "pip-install,python-module",
        "pip",
    ),
    (
        PYTHON,
        None,
        &["python3", "-m", "pip", "--version"],
        "python-module",
        "pip",
    ),
    (
        PYTHON,
        None,
        &["python3", "-m", "mcp_server_git"],
        "mcp-server,python-module",
        "mcp_server_git",
    ),
    (
        PYTHON,
        None,
        &["python3", "-m", "vllm.entrypoints.openai.api_server"],
        "model-server,python-module",
        "vllm.entrypoints.openai.api_server",
    ),
    (
        PYTHON,
        None,
        &["python", "-m", "ipykernel_launcher", "-f", "x"],
        "notebook,python-module",
        "ipykernel_launcher",
    ),
    (
        PYTHON,
        Some(PIP),
        &["/venv/bin/python", PIP, "install", "x"],
        "pip-install,python-script",
        PIP,
    ),
    (
        PYTHON,
        Some(PIP),
        &["/venv/bin/python", PIP, "--proxy", "p", "install", "x"],
        "pip-install,python-script",
        PIP,
    ),
    (
        PYTHON,
        Some(PIP),
        &["/venv/bin/python", PIP, "list"],
        "python-script",
        PIP,
    ),
    (
        "/usr/bin/env",
        Some(NPM),
        &["/usr/bin/env", "node", NPM, "ci"],
        "npm-install",
        NPM,
    ),
    (
        NODE,
        None,
        &["node", NPM, "ci"],
        "node-script,npm-install",
        NPM,
    ),
    (
        NODE,
        None,
        &["node", NPM, "run", "install"],
        "node-script",
        NPM,
    ),
    (
        NODE,
        None,
        &[
            "node",
            "/usr/bin/npx",
            "-y",
            "@modelcontextprotocol/server-filesystem",
            "/",
        ],
        "mcp-server,node-script,npm-run",
        "/usr/bin/npx",
    ),
    (NODE, None, &["node", "-e", "1"], "node-code", "-"),
    (
        NODE,
        None,
        &["node", "--import", "./x.mjs", "agent.js"],
        "node-script",
        "agent.js",
    ),
    (
        NODE,
        None,
        &[
            "node",
            "/usr/lib/node_modules/@anthropic-ai/claude-code/cli.js",
        ],
        "coding-agent,node-script",
        "/usr/lib/node_modules/@anthropic-ai/claude-code/cli.js",
    ),
    (
        "/usr/bin/uv",
        None,
        &["uv", "--directory", "/x", "pip", "install", "x"],
        "uv-install",
        "-",
    ),
    ("/usr/bin/uv", None, &["uv", "pip", "list"], "-", "-"),
    (
        "/usr/bin/uvx",
        None,
        &["uvx", "mcp-server-git"],
        "mcp-server,uv-run",
        "-",
    ),
    (
        "/usr/bin/cargo",
        None,
        &["cargo", "+nightly", "install", "x"],
        "cargo-install",
        "-",
    ),
    ("/usr/bin/cargo", None, &["cargo", "build"], "-", "-"),
    (
        "/usr/bin/apt-get",
        None,
        &["apt-get", "-y", "install", "x"],
        "system-install",
        "-",
    ),
    (
        "/usr/bin/dash",
        None,
        &["sh", "-c", "pip install x"],
        "-",
        "-",
    ),
    (
        "/usr/bin/dash",
        Some("/x/run"),
        &["/bin/sh", "/x/run", "a"],
        "-",
        "/x/run",
    ),
    (
        "/usr/local/bin/ollama",
        None,
        &["ollama", "serve"],
        "model-server",
        "-",
    ),
];

/// Executable, arguments, entry.
type Interpreted = (&'static str, &'static [&'static str], &'static str);

const INTERPRETED: &[Interpreted] = &[
    ("bash", &["run", "-c", "x"], "run"),
    ("bash", &["-x", "./run", "a"], "./run"),
    ("bash", &["-euo", "pipefail", "run"], "run"),
    ("bash", &["+x", "+o", "posix", "run"], "run"),
    ("bash", &["+eo", "posix", "run"], "run"),
    ("bash", &["--norc", "--rcfile", "x", "--", "-run"], "-run"),
    ("bash", &["-lc", "run"], "-"),
    ("bash", &["-s", "run"], "-"),
    ("dash", &["../run"], "../run"),
    ("zsh", &["-f", "run"], "run"),
    ("busybox", &["sh", "run"], "run"),
    ("busybox", &["cat", "run"], "-"),
    ("perl", &["run", "-e"], "run"),
    ("perl5.36.0", &["-w", "-Ilib", "-I", "x", "run"], "run"),
    ("perl", &["-MData::Dumper", "run"], "run"),
    ("perl", &["-i.save", "run"], "run"),
    ("perl", &["-lane", "print", "x"], "-"),
    ("perl", &["-MData::Dumper", "-e", "1", "x"], "-"),
    ("perl", &["-0777", "-pe", "s/a/b/", "x"], "-"),
    ("ruby3.1", &["-W:no-experimental", "-r", "x", "run"], "run"),
    ("ruby", &["-rjson", "-e", "1", "x"], "-"),
    ("ruby", &["-", "x"], "-"),
];

#[test]
fn what_each_interpreter_was_given_is_found() {
    for (program, arguments, entry) in INTERPRETED {
        let argv = [&[*program], *arguments].concat();
        let (_, found) = exec(&format!("/usr/bin/{program}"), None, &argv);
        assert_eq!(found, *entry, "{argv:?}");
    }
    // What it is depends on what it is called.
    let called = |argv: &[&str]| exec("/bin/busybox", None, argv).1;
    assert_eq!(called(&["/bin/sh", "-x", "run"]), "run");
    assert_eq!(called(&["-ash", "run"]), "run");
    assert_eq!(called(&["cat", "run"]), "-");
    assert_eq!(called(&["busybox"]), "-");
}

#[test]
fn programs_are_recognised_through_their_interpreters() {
    for (exe, script, argv, labels, entry) in PROGRAMS {
        let (found, entry_found) = exec(exe, *script, argv);
        assert_eq!((&*found, &*entry_found), (*labels, *entry), "{argv:?}");
    }
}

#[test]
fn a_call_that_failed_is_not_recognised_unless_asked_for() {
    let failed = Record {
        result: Some(-2),
        ..open("/dev/nvidia0")
    };
    assert_eq!(told(failed).0, "-");
    let own = "[[recogniser]]\nlabel='probe'\nkinds='file.open'\npath='/dev/nv*'\nfailed=true";
    let recognisers = Recognisers::new(&[("own", own)]).unwrap();
    assert_eq!(told_by(&recognisers, failed).0, "probe");
    assert_eq!(told_by(&recognisers, open("/dev/nvidia0")).0, "probe");
    // A program that was not found did not run.
    let missing = Record {
        kind: Some(kinds::PROCESS_EXEC),
        filename: Some("/x/pip"),
        argv: Some(r#"["pip","install"]"#),
        result: Some(-2),
        ..Record::default()
    };
    assert_eq!(told(missing), ("-".to_owned(), "-".to_owned()));
}

#[test]
fn a_file_of_ones_own_adds_and_replaces() {
    let own = r#"
        remove = ["npm-run"]
        [[language]]
        name = "lua"
        programs = "lua*"
        [[recogniser]]
        label = "model-file"          # instead of all that have this label
        kinds = ["file.open"]
        path = "*.weights"
        [[recogniser]]
        label = "our-model"
        kinds = ["file.*"]
        path = "*/ours.{weights,pt}"
        digest = true
        [[recogniser]]
        label = "our-gateway"
        kinds = ["net.*"]
        peer_addr = ["10.0.0.*", "::1"]
        peer_port = [443, 0x1f90]
        [[recogniser]]
        label = "lua-script"
        kinds = ["process.exec"]
        language = ["lua", "python"]
        script = "*.lua"
    "#;
    let recognisers = Recognisers::new(&[("the program", BUILT_IN), ("own", own)]).unwrap();
    let told = |record| told_by(&recognisers, record).0;
    assert_eq!(told(open("/x/a.gguf")), "-");
    assert_eq!(told(open("/x/ours.weights")), "model-file,our-model");
    assert_eq!(told(open("/x/ours.pt")), "our-model");
    assert_eq!(told(open("/x/a.ipynb")), "notebook-file");
    let connect = |addr, port| Record {
        kind: Some(kinds::NET_CONNECT),
        peer_addr: Some(addr),
        peer_port: Some(port),
        result: Some(-115),
        ..Record::default()
    };
    assert_eq!(told(connect("10.0.0.9", 8080)), "our-gateway");
    assert_eq!(told(connect("10.0.0.9", 80)), "-");
    assert_eq!(told(connect("10.0.1.9", 443)), "-");
    assert!(
        recognisers
            .labels()
            .iter()
            .all(|label| label.name != "npm-run")
    );
    for (path, wanted) in [
        ("/x/ours.weights", true),
        ("/x/a.gguf", false),
        ("/x", false),
    ] {
        let mut found = Found::default();
        recognisers.complete(&mut open(path), &mut found);
        assert_eq!(recognisers.want_digest(&found), wanted, "{path}");
    }
}

/// The error for a file with one recogniser of these lines.
fn refused(lines: &str) -> String {
    refused_file(&format!("[[recogniser]]\nlabel = \"x\"\n{lines}"))
}

fn refused_file(text: &str) -> String {
    let files = [("the program", BUILT_IN), ("own.toml", text)];
    let error = Recognisers::new(&files).expect_err(text).to_string();
    let start = "use the recognisers of own.toml: line ";
    error.strip_prefix(start).expect(start).to_owned()
}

/// Lines of a recogniser, and what is said of them.
const BAD: &[(&str, &str)] = &[
    ("path = \"*\"", "1, recogniser: it has no `kinds`"),
    (
        "kinds = [\"file.opn\"]\npath = \"*\"",
        "3, key `kinds`: there is no kind of record called \"file.opn\"; there are lineage.start, ",
    ),
    (
        "kinds = [\n  \"file.open\",\n  \"fi.*\"]\npath = \"*\"",
        "5, key `kinds`: there is no kind of record called \"fi.*\"",
    ),
    (
        "kinds = []\npath = \"*\"",
        "3, key `kinds`: the list is empty",
    ),
    (
        "kinds = 1\npath = \"*\"",
        "3, key `kinds`: expected text in quotes, or a list of them",
    ),
    (
        "kinds = \"file.open\"\npth = \"*\"",
        "4, key `pth`: there is no such key; there are label, doc, kinds, ",
    ),
    (
        "kinds = \"file.open\"",
        "1, recogniser: it has no condition",
    ),
    (
        "kinds = \"file.open\"\nnot_path = \"a\"",
        "1, recogniser: it has no condition, or only",
    ),
    (
        "kinds = \"file.open\"\npath = \"a\"\nnot_not_path = \"a\"",
        "5, key `not_not_path`: there is no such key",
    ),
    (
        "kinds = \"file.open\"\npath = \"a\"\nnot_code = true",
        "5, key `not_code`: only process.exec",
    ),
    (
        "kinds = \"file.open\"\npath = [\"a\",\n\"{\"]",
        "5, key `path`: braces do not pair",
    ),
    (
        "kinds = \"file.open\"\npath = 3",
        "4, key `path`: expected text",
    ),
    (
        "kinds = \"net.*\"\npath = \"*\"",
        "4, key `path`: records of the kind net.bind have no such field",
    ),
    (
        "kinds = [\"file.open\", \"net.bind\"]\npath = \"*\"",
        "4, key `path`: records of the kind net.bind have no such field",
    ),
    (
        "kinds = \"file.open\"\nprogram = \"*\"",
        "4, key `program`: only process.exec and process.snapshot run a program; file.open does not",
    ),
    (
        "kinds = \"net.connect\"\npeer_port = \"443\"",
        "4, key `peer_port`: expected a whole number",
    ),
    (
        "kinds = \"net.connect\"\npeer_port = [1, 99999999999999999999]",
        "4, key `peer_port`: expected a whole number",
    ),
    (
        "kinds = \"process.exec\"\nlanguage = [\"cobol\"]",
        "4, key `language`: there is no [[language]] called \"cobol\"",
    ),
    (
        "kinds = \"process.exec\"\ncode = 1",
        "4, key `code`: expected true or false",
    ),
    (
        "kinds = \"process.exec\"\ncommand = \" \"",
        "4, key `command`: the list is empty",
    ),
    (
        "kinds = \"file.open\"\npath = \"\"",
        "4, key `path`: the pattern is empty",
    ),
    (
        "kinds = \"file.open\"\nargv = \"*\"",
        "4, key `argv`: there is no such key",
    ),
    (
        "kinds = \"lineage.start\"\ndetail = \"*\"",
        "3, key `kinds`: there is no kind",
    ),
    ("kinds = \"file.open\"\npath = \"x", "4, at `path = \"x`: "),
];

#[test]
fn what_is_wrong_is_said_with_line_and_key() {
    for (lines, expected) in BAD {
        let error = refused(lines);
        assert!(error.starts_with(expected), "{lines}: {error}");
    }
}

#[test]
fn a_file_that_is_no_file_of_recognisers_is_refused() {
    let many = "[[recogniser]]\nlabel='x'\nkinds='file.open'\npath='*'\n".repeat(4097);
    let nested = format!("x = {}", "[".repeat(100_000));
    let braces = format!("'{}',", "{a,b}".repeat(8)).repeat(65);
    let braces = format!("[[recogniser]]\nlabel='x'\nkinds='file.open'\npath=[{braces}]\n");
    for (text, expected) in [
        (
            "version = 2",
            "1, key `version`: this program reads version 1",
        ),
        (
            "\nrecognizer = 1",
            "2, key `recognizer`: there is no such key; there are version, remove, language, recogniser",
        ),
        (
            "recogniser = 1",
            "1, key `recogniser`: expected tables in double brackets",
        ),
        (
            "remove = [\"x\", \"model-files\"]",
            "1, key `remove`: there is no recogniser with the label \"x\"",
        ),
        (
            "[[recogniser]]\nlabel = \"No\"",
            "2, key `label`: a name has up to 64 lower case letters",
        ),
        (
            "[[recogniser]]\nlabel = \"a,b\"",
            "2, key `label`: a name has",
        ),
        (
            "[[language]]\nname = \"a\"\nprograms = \"a\"\nx = 1",
            "4, key `x`: there is no such key; there are name, ",
        ),
        (
            "[[language]]\nname = \"a\"\nprograms = \"a\"\n[[language]]\nname = \"a\"\nprograms = \"b\"",
            "5, key `name`: \"a\" is defined twice",
        ),
        ("\n\u{0}", "2, at `"),
        (&nested, "1, at `"),
        (&many, "1, key `recogniser`: there are more than 4096"),
        (
            &braces,
            "4, key `path`: the patterns up to here look for more than 16384 pieces of text",
        ),
    ] {
        let error = refused_file(text);
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn hostile_text_is_recognised_as_what_it_is() {
    let long = format!("/{}.gguf", "a\\xff".repeat(4000));
    assert_eq!(told(open(&long)).0, "model-file");
    let argv: Vec<String> = (0..20_000).map(|number| format!("-{number}")).collect();
    let argv: Vec<&str> = ["python3"]
        .into_iter()
        .chain(argv.iter().map(String::as_str))
        .collect();
    assert_eq!(exec("/usr/bin/python3", None, &argv).0, "-");
    assert_eq!(
        exec(
            "/usr/bin/python3",
            None,
            &["python3", "\\xff\\x1b[31m,\\x2c.py"]
        )
        .1,
        "\\xff\\x1b[31m,\\x2c.py"
    );
    for argv in ["", "[", "[1]", "{}", "[null]", "\"x\""] {
        let record = Record {
            kind: Some(kinds::PROCESS_EXEC),
            argv: Some(argv),
            exe: Some(""),
            ..Record::default()
        };
        assert_eq!(told(record).0, "-");
    }
    let empty = Record::default();
    assert_eq!(told(empty).0, "-");
}

#[test]
fn all_that_comes_with_the_program_is_described() {
    let recognisers = Recognisers::built_in();
    for label in recognisers.labels() {
        assert!(label.doc.ends_with('.'), "{}", label.name);
    }
    let document = include_str!("../../../../docs/recognisers.md");
    for label in recognisers.labels() {
        assert!(
            document.contains(&format!("| `{}` |", label.name)),
            "{}",
            label.name
        );
    }
}
