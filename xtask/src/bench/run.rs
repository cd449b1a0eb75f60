//! Running what is measured: each command tells its own cost through `load measure`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::program;
use crate::{paths, sh};

/// Where things are that all parts need.
pub(super) struct Bench {
    pub(super) load: PathBuf,
    /// Everything a run makes is below it.
    pub(super) place: PathBuf,
    pub(super) cpus: usize,
}

/// What a command and all that it started cost, as `load measure` tells it.
#[derive(Clone, Default)]
pub(super) struct Cost {
    pub(super) wall_ns: f64,
    pub(super) cpu_ns: f64,
    pub(super) peak_rss_bytes: f64,
    /// Of the process that started it: inside of a tracer, that is the tracer.
    pub(super) parent_peak_rss_bytes: Option<f64>,
    /// CPU time that one had used when the command began.
    pub(super) parent_cpu_ns: Option<f64>,
    pub(super) programs: Vec<Program>,
}

/// What a BPF program took.
#[derive(Clone)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) runs: f64,
    pub(super) run_ns: f64,
}

impl Bench {
    pub(super) fn new() -> Result<Self> {
        let place = paths::target("bench");
        fs::create_dir_all(&place)?;
        Ok(Self {
            load: program("load")?,
            place,
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
        })
    }

    /// A path below the place, as a word of a command.
    pub(super) fn word(&self, name: &str) -> String {
        self.place.join(name).display().to_string()
    }

    /// Does one thing many times.
    pub(super) fn load(&self, what: &str, count: u64, processes: usize) -> Vec<String> {
        let load = self.load.display().to_string();
        let (count, processes) = (count.to_string(), processes.to_string());
        [load, what.to_owned(), count, processes].to_vec()
    }

    /// The same command, telling its cost in a file of that name.
    pub(super) fn measured(&self, file: &str, options: &[&str], command: &[String]) -> Vec<String> {
        let load = self.load.display().to_string();
        let mut words = vec![load, "measure".to_owned(), self.word(file)];
        words.extend(options.iter().map(|&option| option.to_owned()));
        words.push("--".to_owned());
        words.extend_from_slice(command);
        words
    }

    /// Runs it to its end without a word on the terminal; what it said to standard error.
    pub(super) fn quiet(&self, words: &[String]) -> Result<String> {
        let errors = self.place.join("stderr");
        let mut command = command(words)?;
        command.stdout(Stdio::null()).stderr(File::create(&errors)?);
        let status = sh::status(&mut command)?;
        let said = String::from_utf8_lossy(&fs::read(&errors)?).into_owned();
        if !status.success() {
            bail!("{} ended with {status}:\n{said}", sh::shown_as(&command));
        }
        Ok(said)
    }

    /// The cost in a file of that name. It is read once: what is there next must be new.
    pub(super) fn cost(&self, file: &str) -> Result<Cost> {
        let path = self.place.join(file);
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        fs::remove_file(&path)?;
        let told: Value = serde_json::from_slice(&text)?;
        let number = |name: &str| told.get(name).and_then(Value::as_f64);
        let needed = |name: &str| number(name).with_context(|| format!("no `{name}` in {told}"));
        let programs = told.get("programs").and_then(Value::as_array);
        let programs = programs.into_iter().flatten().filter_map(|program| {
            Some(Program {
                name: program.get("name")?.as_str()?.to_owned(),
                runs: program.get("runs")?.as_f64()?,
                run_ns: program.get("run_ns")?.as_f64()?,
            })
        });
        Ok(Cost {
            wall_ns: needed("wall_ns")?,
            cpu_ns: needed("cpu_ns")?,
            peak_rss_bytes: needed("peak_rss_bytes")?,
            parent_peak_rss_bytes: number("parent_peak_rss_bytes"),
            parent_cpu_ns: number("parent_cpu_ns"),
            programs: programs.collect(),
        })
    }
}

/// A command in an environment that is the same in every shell: what programs look for, and with that how many events
/// they make, depends on it.
pub(super) fn command(words: &[String]) -> Result<Command> {
    let (program, arguments) = words.split_first().context("a command")?;
    let mut command = sh::command(program, arguments);
    command.env_clear();
    for name in ["PATH", "HOME"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    Ok(command)
}

/// Bytes of a file, or of all files below a directory.
pub(super) fn size(path: &Path) -> Result<f64> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        return Ok(metadata.len() as f64);
    }
    let mut bytes = 0.0;
    for entry in fs::read_dir(path)? {
        bytes += size(&entry?.path())?;
    }
    Ok(bytes)
}

/// Removes a directory with all that is in it, if it is there.
pub(super) fn remove(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)
            .with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    Ok(())
}
