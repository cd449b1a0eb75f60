//! Running `lineage record`, and what must be true of every recording.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use tempfile::TempDir;

use crate::evidence::{Evidence, Verdict};
use crate::programs::{ACTOR, LINEAGE};
use crate::rows::Rows;

/// A place to record in: a new directory that goes away with it.
pub struct Recorder {
    directory: TempDir,
    options: Vec<OsString>,
    best_tier: bool,
    expected: Vec<Verdict>,
}

/// A recording that has ended and was verified.
pub struct Recorded {
    /// What the recorder printed, and how it ended.
    pub output: Output,
    /// The evidence.
    pub evidence: Evidence,
    /// Its records.
    pub rows: Rows,
    /// Where the test's files are; removed with this.
    pub recorder: Recorder,
}

/// A recorder that is attached to processes.
pub struct Attached {
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
}

impl Attached {
    /// The most memory it has had resident so far.
    #[must_use]
    pub fn peak_rss_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.expect("a peak").trim().trim_end_matches(" kB");
        kibibytes.parse::<u64>().expect("a number") * 1024
    }

    /// Waits for it to end.
    #[must_use]
    pub fn output(mut self) -> Output {
        self.stderr.read_to_string(&mut self.said).expect("text");
        let status = self.child.wait().expect("our own child");
        Output {
            status,
            stdout: Vec::new(),
            stderr: self.said.into_bytes(),
        }
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// A new directory with keys for a few epochs: a year of them takes long to make.
    #[must_use]
    pub fn new() -> Self {
        let recorder = Self::without_keys();
        let mut command = Command::new(&*LINEAGE);
        command.args(["key", "new", "--epochs", "24", "--keys"]);
        let output = command.arg(recorder.path("keys")).output();
        let output = output.expect("the lineage binary runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        recorder
    }

    /// A new directory in which keys will be made on first use.
    #[must_use]
    pub fn without_keys() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "tests that record need root: run `cargo xtask test` as root"
        );
        let directory = tempfile::Builder::new().prefix("lineage-").tempdir();
        Self {
            directory: directory.expect("a temporary directory"),
            options: Vec::new(),
            best_tier: false,
            expected: vec![Verdict::Verified],
        }
    }

    /// Adds an option of `lineage record`.
    #[must_use]
    pub fn option(mut self, option: impl AsRef<OsStr>) -> Self {
        self.options.push(option.as_ref().to_owned());
        self
    }

    /// Governs by this policy, which is [`placed`](Self::placed) in the file `p.cedar`; in this mode.
    #[must_use]
    pub fn policy(self, text: &str, mode: &str) -> Self {
        let file = self.file("p.cedar", self.placed(text));
        self.governed_by(file, mode)
    }

    /// Governs by the policy in this file; in this mode.
    #[must_use]
    pub fn governed_by(self, policy: impl AsRef<OsStr>, mode: &str) -> Self {
        let with_policy = self.option("--policy").option(policy);
        with_policy.option("--mode").option(mode)
    }

    /// Governs in the best tier of this kernel instead of `trace`.
    #[must_use]
    pub fn best_tier(mut self) -> Self {
        self.best_tier = true;
        self
    }

    /// Expects this verdict instead of `VERIFIED`.
    #[must_use]
    pub fn expect(mut self, verdict: Verdict) -> Self {
        self.expected = vec![verdict];
        self
    }

    /// Expects this verdict, or what was expected already.
    #[must_use]
    pub fn or(mut self, verdict: Verdict) -> Self {
        self.expected.push(verdict);
        self
    }

    /// A path in the directory.
    #[must_use]
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The directory as the kernel names it, without `/` at the end.
    #[must_use]
    pub fn root(&self) -> String {
        let root = self.directory.path().canonicalize().expect("it is there");
        root.display().to_string()
    }

    /// A text in which `ROOT` stands for the directory and `ACTOR` for the actor.
    #[must_use]
    pub fn placed(&self, text: &str) -> String {
        text.replace("ROOT", &self.root())
            .replace("ACTOR", &ACTOR.display().to_string())
    }

    /// Writes a file in the directory; gives its path.
    #[must_use]
    pub fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, contents).expect("writable");
        path
    }

    /// The evidence directory.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        Evidence::new(self.path("evidence"), self.path("keys"))
    }

    /// `lineage record -o … --keys …` with the options, ready for `-p` or `--`.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&*LINEAGE);
        command.arg("record");
        command.arg("-o").arg(self.path("evidence"));
        command.arg("--keys").arg(self.path("keys"));
        command.args(&self.options);
        // What becomes of a denial depends on the tier, and not every kernel has a better one.
        if !self.best_tier {
            command.env("LINEAGE_TIER", "trace");
        }
        command
    }

    /// Starts recording the actor with a script, its input and output connected to the test.
    #[must_use]
    pub fn start(&self, script: &str) -> Child {
        let mut command = self.command();
        command
            .arg("--")
            .arg(&*ACTOR)
            .args(script.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("the lineage binary runs")
    }

    /// Has what governs the recording read again.
    #[must_use]
    pub fn reload(&self) -> Output {
        let mut command = Command::new(&*LINEAGE);
        command.arg("reload").arg(self.path("evidence"));
        command.output().expect("the lineage binary runs")
    }

    /// Starts recording running processes; returns once it sees what they do.
    #[must_use]
    pub fn attach(&self, pids: &[u32]) -> Attached {
        let mut command = self.command();
        for pid in pids {
            command.arg("-p").arg(pid.to_string());
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the lineage binary runs");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut said = String::new();
        while !said.contains("recording into") {
            let bytes = stderr.read_line(&mut said).expect("text");
            assert!(bytes > 0, "the recorder does not attach: {said}");
        }
        Attached {
            child,
            stderr,
            said,
        }
    }

    /// Records a command until it and its descendants have ended.
    #[must_use]
    pub fn run<I: AsRef<OsStr>>(self, words: impl IntoIterator<Item = I>) -> Recorded {
        let output = self
            .command()
            .arg("--")
            .args(words)
            .stdin(Stdio::null())
            .output();
        self.finish(output.expect("the lineage binary runs"))
    }

    /// Records the actor with these arguments.
    #[must_use]
    pub fn actor<I: AsRef<OsStr>>(self, words: impl IntoIterator<Item = I>) -> Recorded {
        let actor = ACTOR.as_os_str().to_owned();
        let words = words.into_iter().map(|word| word.as_ref().to_owned());
        let recorded = self.run(std::iter::once(actor).chain(words));
        let status = recorded.output.status.code();
        assert!(!matches!(status, Some(124 | 125)), "{}", recorded.stderr());
        recorded
    }

    /// Records the actor with a script of words without spaces in them.
    #[must_use]
    pub fn script(self, script: &str) -> Recorded {
        self.actor(script.split_whitespace())
    }

    /// Verifies and reads what was recorded.
    #[must_use]
    pub fn finish(self, output: Output) -> Recorded {
        let evidence = self.evidence();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            evidence.directory.exists(),
            "there is no evidence:\n{stderr}"
        );
        let report = evidence.verify();
        let expected = self.expected.contains(&report.verdict);
        assert!(expected, "{report:?}\n{stderr}");
        let rows = evidence.rows();
        crate::invariants::check(&rows);
        Recorded {
            output,
            evidence,
            rows,
            recorder: self,
        }
    }
}

impl Recorded {
    /// What the recorder and what it ran printed to standard error.
    #[must_use]
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// Fails if a control character reaches a person's terminal through `ls` or `tree`.
    pub fn assert_nothing_raw(&self) {
        for command in ["ls", "tree"] {
            let output = Command::new(&*LINEAGE)
                .arg(command)
                .arg(&self.evidence.directory)
                .output();
            let shown = output.expect("the lineage binary runs").stdout;
            let shown = String::from_utf8(shown).expect("readable text");
            let raw = shown
                .chars()
                .find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
            assert_eq!(raw, None, "{command} prints it");
        }
    }

    /// What the recorded command printed.
    #[must_use]
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }
}
