//! `cargo xtask demo`: an AI agent is recorded, and its evidence is shown, verified and damaged.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{build, packages, paths, sh};

const INTRO: &str = "\
An AI agent gets a task: build a sales report, publish it, commit it. It asks a model what to do and
runs the tools the model calls for. Model, tools and the reporting service run on this machine; the
model answers from a script. `lineage record` is put in front of the agent's command line, and nothing
else changes. This is all the operator of the agent gets to see:";

const SHOWN: &str = "\
The work was done, and every line above is true. But the notes the agent read held an instruction of
their own. This is what the kernel saw: look for `.aws/credentials`, and for who connected where:";

const CHECKED: &str = "\
Would you believe that file? Nobody has to. Every record is hashed, every segment signed by a key that
is destroyed within the hour. With the root below, noted anywhere but on this host, anyone can check
the evidence offline, on any machine, without trusting this one:";

const DAMAGED: &str = "\
Now a copy of it in which one single bit of the file with the records is different:";

const GOVERNED: &str = "\
Seeing it afterwards is one thing. Now somebody answers for the agent: signs a grant that says what it is
for, how long, and by which policy, and records the same run under that. The policy permits the work, and
neither the secret nor anybody but the model:";

const DENIED: &str = "\
The agent was held to it in the kernel. What was not allowed, by which rule, and what came of that:";

const CONTINUOUS: &str = "\
And who wants to know whether that held all the time asks the verifier, which checks the grant, asks the policy
engine for every decision once more, and takes nobody's word for whom to trust:";

/// The task.
pub(crate) fn run(args: &[String]) -> Result<()> {
    sh::no_arguments(args)?;
    if !sh::is_root() {
        bail!(
            "recording loads programs into the kernel, which needs root; run\n    \
             sudo -E env \"PATH=$PATH\" cargo xtask demo"
        );
    }
    build::all()?;
    packages::programs(
        "the demo agent runs it",
        &[("python3", "python3"), ("git", "git")],
    )?;
    let place = Place::fresh()?;
    tell(INTRO);
    record(&place)?;
    tell(SHOWN);
    show(lineage("tree", &place.evidence).args(["--most", "4"]))?;
    let root = sh::output(place.with_keys(["key", "root"]))?
        .trim()
        .to_owned();
    tell(CHECKED);
    show(&mut verify(&place.evidence, &root))?;
    tell(DAMAGED);
    damage(&place.evidence, &place.damaged)?;
    expect_refusal(&mut verify(&place.damaged, &root))?;
    tell(GOVERNED);
    govern(&place)?;
    tell(DENIED);
    show(lineage("ls", &place.governed).args(["--decision", "deny"]))?;
    tell(CONTINUOUS);
    let issuer = place.agent.join("desk/issuer.pub");
    show(verify(&place.governed, &root).arg("--trust").arg(issuer))?;
    next(&place, &root);
    Ok(())
}

/// Where the demo keeps what it makes; it starts anew every time.
struct Place {
    evidence: PathBuf,
    damaged: PathBuf,
    /// Evidence of the run under a grant, and where that worked.
    governed: PathBuf,
    agent: PathBuf,
    keys: PathBuf,
}

impl Place {
    fn fresh() -> Result<Self> {
        let dir = paths::target("demo");
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("cannot empty {}", dir.display()))?;
        }
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let names = ["evidence", "damaged", "governed", "agent", "keys"];
        let [evidence, damaged, governed, agent, keys] = names.map(|name| dir.join(name));
        Ok(Self {
            evidence,
            damaged,
            governed,
            agent,
            keys,
        })
    }

    fn with_keys<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = sh::command(paths::lineage(), args);
        command.arg("--keys").arg(&self.keys);
        command
    }
}

fn record(place: &Place) -> Result<()> {
    let mut demo = sh::command("python3", ["examples/agent/demo.py"]);
    demo.arg(paths::lineage())
        .args(["record", "-o"])
        .arg(&place.evidence);
    demo.arg("--keys").arg(&place.keys).arg("--");
    show(&mut demo)
}

/// The same under a grant. That its programs are ended is what it is about.
fn govern(place: &Place) -> Result<()> {
    let mut demo = sh::command("python3", ["examples/agent/demo.py", "--keep"]);
    demo.arg(&place.agent).arg("--grant").arg(paths::lineage());
    demo.arg(paths::lineage())
        .args(["record", "-o"])
        .arg(&place.governed);
    demo.arg("--keys").arg(&place.keys);
    demo.args([
        "--grant", "{grant}", "--policy", "{policy}", "--trust", "{issuer}", "--",
    ]);
    show(&mut demo)
}

fn lineage(verb: &str, evidence: &Path) -> Command {
    let mut command = sh::command(paths::lineage(), [verb]);
    command.arg(evidence);
    command
}

fn verify(evidence: &Path, root: &str) -> Command {
    let mut command = lineage("verify", evidence);
    command.args(["--trust", root]);
    command
}

/// Runs a command as its user would see it.
fn show(command: &mut Command) -> Result<()> {
    announce(command);
    let status = sh::status(command)?;
    if !status.success() {
        bail!("`{}` failed ({status})", sh::shown_as(command));
    }
    Ok(())
}

/// The verifier has to find the damage; a demo in which it does not is a failure.
fn expect_refusal(command: &mut Command) -> Result<()> {
    announce(command);
    let status = sh::status(command)?;
    if status.code() != Some(1) {
        bail!("the verifier did not find the damage ({status})");
    }
    Ok(())
}

/// Copies evidence and changes one bit in the middle of its largest Parquet file.
fn damage(from: &Path, to: &Path) -> Result<()> {
    let mut copy = sh::command("cp", ["-r", "--"]);
    copy.arg(from).arg(to);
    sh::output(copy)?;
    let mut files = Vec::new();
    parquet_files(to, &mut files)?;
    let (size, path) = files
        .into_iter()
        .max()
        .context("the evidence holds no Parquet file")?;
    let change = || {
        let mut file = File::options().read(true).write(true).open(&path)?;
        let mut byte = [0];
        file.seek(SeekFrom::Start(size / 2))?;
        file.read_exact(&mut byte)?;
        file.seek(SeekFrom::Start(size / 2))?;
        file.write_all(&[byte[0] ^ 1])
    };
    change().with_context(|| format!("cannot change {}", path.display()))
}

fn parquet_files(dir: &Path, found: &mut Vec<(u64, PathBuf)>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            parquet_files(&entry.path(), found)?;
        } else if entry
            .path()
            .extension()
            .is_some_and(|kind| kind == "parquet")
        {
            found.push((entry.metadata()?.len(), entry.path()));
        }
    }
    Ok(())
}

fn next(place: &Place, root: &str) {
    let evidence = relative(&place.evidence);
    let binary = relative(&paths::lineage());
    tell("Now try:");
    println!(
        "  {binary} tree {evidence}
  {binary} ls {evidence} --path '**/credentials'
  {binary} ls {evidence} --kind net
  {binary} verify {evidence} --trust {root}
  {binary} record -o my-evidence bash           # then exit, and look at what you did
  cargo xtask test                              # how all of this is tested"
    );
}

fn announce(command: &Command) {
    let here = format!("{}/", paths::root().display());
    println!("\n$ {}\n", sh::shown_as(command).replace(&here, ""));
}

fn relative(path: &Path) -> String {
    path.strip_prefix(paths::root())
        .unwrap_or(path)
        .display()
        .to_string()
}

fn tell(text: &str) {
    println!("\n── {}", text.replace('\n', "\n   "));
}
