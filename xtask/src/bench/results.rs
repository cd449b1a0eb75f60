//! `target/bench/results.json`: all that was measured, by part, with where and when and of what.
//!
//! A part that is measured again replaces what it said before, as soon as it has ended, and leaves the others alone: a
//! whole run takes an hour, and must survive a look at one part, and its own end before time.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::figure::Figure;
use crate::{paths, sh};

/// The file, and what is said of every part that is measured now.
pub(super) struct Results {
    pub(super) file: PathBuf,
    source: Value,
    machine: Value,
    /// As long as it is held.
    _lock: File,
}

impl Results {
    pub(super) fn open() -> Result<Self> {
        let place = paths::target("bench");
        fs::create_dir_all(&place).with_context(|| format!("cannot create {}", place.display()))?;
        let results = Self {
            file: place.join("results.json"),
            source: source(),
            machine: machine()?,
            _lock: lock(&place)?,
        };
        // To find out after an hour that it cannot be kept would be late.
        results.before()?;
        Ok(results)
    }

    /// Keeps what a part has measured, and the words it was asked with.
    pub(super) fn keep(
        &self,
        part: &str,
        asked: &[String],
        figures: &[Figure],
        table: &Value,
    ) -> Result<()> {
        let mut all = self.before()?;
        let figures: Vec<Value> = figures.iter().map(Figure::json).collect();
        let ended = sh::output(sh::command("date", ["-u", "+%FT%TZ"]))?;
        let told = json!({
            "asked": asked.join(" "), "ended": ended.trim(), "source": self.source, "machine": self.machine,
            "figures": figures, "table": table,
        });
        all.insert(part.to_owned(), told);
        let file = &self.file;
        // Another name first: what is there stays whole when this is ended.
        let new = file.with_extension("new");
        fs::write(&new, serde_json::to_vec_pretty(&all)?)
            .and_then(|()| fs::rename(&new, file))
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// What other parts have said.
    fn before(&self) -> Result<Map<String, Value>> {
        let file = &self.file;
        match fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| {
                format!("{} is none of the benchmark's: remove it", file.display())
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Map::new()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
        }
    }
}

/// Two at once would measure each other, and write over each other's evidence.
fn lock(place: &Path) -> Result<File> {
    let path = place.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.try_lock()
        .with_context(|| format!("another benchmark runs in {}", place.display()))?;
    Ok(file)
}

/// Which source it was built from, if that is known.
fn source() -> Value {
    let git = sh::command("git", ["describe", "--always", "--dirty", "--abbrev=40"]);
    sh::output(git).map_or(Value::Null, |said| said.trim().into())
}

/// What ratios depend on.
fn machine() -> Result<Value> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let of = |name: &str| {
        let line = processors.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    Ok(json!({
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease")?.trim(),
        "processor": of("model name"),
        "family_and_model": [of("cpu family"), of("model\t")],
        "cpus": std::thread::available_parallelism().map_or(1, usize::from),
    }))
}
