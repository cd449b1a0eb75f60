//! A browser without a window, driven over its debugging pipe (Chrome `DevTools` Protocol).

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Only what is asked of it: no updates, no accounts, no look-ups, and nothing but this machine.
const OPTIONS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-pipe",
];

/// The protocol goes through descriptors 3 and 4.
const PIPES: &str = "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    number: u64,
    /// What it told without being asked.
    told: Vec<Value>,
    _profile: TempDir,
}

impl Browser {
    /// Starts one with an empty page.
    pub(crate) fn start() -> Self {
        let profile = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new("sh");
        command.args(["-c", PIPES, "sh", "chromium"]).args(OPTIONS);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.expect("a shell");
        let mut browser = Self {
            to: child.stdin.take().expect("piped"),
            from: BufReader::new(child.stdout.take().expect("piped")),
            child,
            session: None,
            number: 0,
            told: Vec::new(),
            _profile: profile,
        };
        let page = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Opens a file, and waits until it is drawn.
    pub(crate) fn open(&mut self, file: &Path) {
        self.open_at(&format!("file://{}", file.display()));
    }

    /// Opens an address, and waits until it is drawn.
    pub(crate) fn open_at(&mut self, url: &str) {
        let opened = self.call("Page.navigate", json!({ "url": url }));
        assert!(opened["errorText"].is_null(), "{url}: {opened}");
        let (page, _) = url.split_once('#').unwrap_or((url, ""));
        while !self.has_loaded(page) {
            let message = self.receive();
            self.told.push(message);
        }
    }

    /// The value of an expression in the page; fails if it throws.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let result = self.evaluate(expression);
        let thrown = &result["exceptionDetails"];
        assert!(thrown.is_null(), "{expression}: {thrown}");
        result["result"]["value"].clone()
    }

    /// What came of an expression in the page.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let wanted =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        self.call("Runtime.evaluate", wanted)
    }

    /// Waits until an expression in the page is true.
    pub(crate) fn until(&mut self, expression: &str) {
        lineage_tests::wait::until(expression, || {
            (self.value(expression) == true).then_some(())
        });
    }

    /// Presses and releases a key.
    pub(crate) fn press(&mut self, key: &str) {
        let (code, number, text) = match key {
            "Enter" => ("Enter", 13, Some("\r")),
            "Tab" => ("Tab", 9, None),
            "ArrowLeft" => ("ArrowLeft", 37, None),
            "ArrowRight" => ("ArrowRight", 39, None),
            "ArrowDown" => ("ArrowDown", 40, None),
            "/" => ("Slash", 191, Some("/")),
            _ => panic!("no key {key}"),
        };
        let event = |kind: &str, text: Option<&str>| json!({ "type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number, "text": text.unwrap_or("") });
        self.call("Input.dispatchKeyEvent", event("keyDown", text));
        self.call("Input.dispatchKeyEvent", event("keyUp", None));
    }

    /// Types a text where the focus is.
    pub(crate) fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Asks for something by the names of the protocol.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut message = json!({ "id": self.number, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let written = write!(self.to, "{message}\0").and_then(|()| self.to.flush());
        written.expect("the browser runs (package chromium)");
        loop {
            let mut answer = self.receive();
            if answer["id"] == self.number {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
            self.told.push(answer);
        }
    }

    /// Addresses that the page asked for.
    pub(crate) fn requested(&self) -> Vec<&str> {
        let requests = self.all_told("Network.requestWillBeSent");
        requests
            .filter_map(|one| one["request"]["url"].as_str())
            .collect()
    }

    /// What the page or the browser complained of.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let methods = [
            "Log.entryAdded",
            "Runtime.exceptionThrown",
            "Runtime.consoleAPICalled",
        ];
        let all = methods.iter().flat_map(|method| self.all_told(method));
        all.map(ToString::to_string).collect()
    }

    fn all_told<'a>(&'a self, method: &'a str) -> impl Iterator<Item = &'a Value> {
        let told = self.told.iter().filter(move |one| one["method"] == method);
        told.map(|one| &one["params"])
    }

    /// Whether this is there; what is told of an empty page before does not count.
    fn has_loaded(&self, url: &str) -> bool {
        let mut since = (self.told.iter()).skip_while(|one| one["params"]["frame"]["url"] != url);
        since.any(|one| one["method"] == "Page.loadEventFired")
    }

    fn receive(&mut self) -> Value {
        let mut message = Vec::new();
        let read = self.from.read_until(0, &mut message);
        read.expect("the browser runs");
        let ended = message.pop();
        assert_eq!(ended, Some(0), "the browser ended (package chromium)");
        serde_json::from_slice(&message).expect("JSON")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended already; the profile is removed after that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
