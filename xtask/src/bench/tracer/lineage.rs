//! `lineage record`, with everything as it is by default.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Traced, Tracer, wrapped};
use crate::bench::run::{Bench, remove, size};
use crate::bench::workload::Workload;
use crate::{paths, sh};

/// A way of recording.
pub(crate) struct Lineage {
    name: &'static str,
    /// What starts the recorder, if not the benchmark does.
    before: Vec<String>,
    options: Vec<String>,
    /// The only workload it is of use for, if it is not of use for all.
    only: Option<&'static str>,
}

/// A recording and its evidence.
pub(crate) struct Recorded {
    pub(crate) traced: Traced,
    pub(crate) evidence: PathBuf,
}

impl Lineage {
    /// Without a policy.
    pub(crate) fn observe() -> Self {
        Self {
            name: "lineage",
            before: Vec::new(),
            options: Vec::new(),
            only: None,
        }
    }

    /// The same with these options, too.
    pub(crate) fn with(mut self, options: &[&str]) -> Self {
        let options = options.iter().map(|&option| option.to_owned());
        self.options.extend(options);
        self
    }

    /// The same, started by what these words begin.
    pub(crate) fn within(self, before: Vec<String>) -> Self {
        Self { before, ..self }
    }

    /// Under a policy of so many rules, which allows everything the workloads do.
    pub(crate) fn governed(
        bench: &Bench,
        name: &'static str,
        rules: usize,
        only: Option<&'static str>,
    ) -> Result<Self> {
        let mut text = "permit (principal, action, resource);\n".to_owned();
        for number in 1..rules {
            text += &format!(
                "forbid (principal, action == Action::\"read\", resource is File) when {{ resource.path like \"/d/{number}/*\" }};\n"
            );
        }
        let file = bench.place.join(format!("{rules}.cedar"));
        fs::write(&file, text)?;
        let options = ["--policy".to_owned(), file.display().to_string()].to_vec();
        Ok(Self {
            name,
            before: Vec::new(),
            options,
            only,
        })
    }

    /// The words in front of what is recorded.
    pub(crate) fn command(&self, bench: &Bench) -> Vec<String> {
        let lineage = paths::lineage().display().to_string();
        let mut words = self.before.clone();
        words.push(lineage);
        words.extend(["record", "--json", "-o"].map(str::to_owned));
        words.extend([bench.word("evidence"), "--keys".into(), bench.word("keys")]);
        words.extend_from_slice(&self.options);
        words.push("--".to_owned());
        words
    }

    /// Records a workload, with options of `load measure`.
    pub(crate) fn record(
        &self,
        bench: &Bench,
        work: &Workload,
        options: &[&str],
    ) -> Result<Recorded> {
        remove(&bench.place.join("evidence"))?;
        self.go_on(bench, work, options)
    }

    /// The same with the evidence that is there, if any is.
    pub(crate) fn go_on(
        &self,
        bench: &Bench,
        work: &Workload,
        options: &[&str],
    ) -> Result<Recorded> {
        let evidence = bench.place.join("evidence");
        let (mut traced, said) = wrapped(bench, work, &self.command(bench), options)?;
        let mut lines = said.lines().rev();
        let summary: Value = lines
            .find_map(|line| serde_json::from_str(line).ok())
            .with_context(|| format!("{} has no summary:\n{said}", traced.command))?;
        let number = |name: &str| {
            let value = summary.get(name).and_then(Value::as_f64);
            value.with_context(|| format!("the summary has no `{name}`: {summary}"))
        };
        traced.events = Some(number("records")?);
        traced.lost = Some(number("lost")?);
        let missing = summary.get("missing").and_then(Value::as_object);
        traced.missing = missing.map(|missing| missing.values().filter_map(Value::as_f64).sum());
        traced.peak_rss_bytes = Some(number("peak_rss_bytes")?);
        traced.bytes = Some(size(&evidence)?);
        Ok(Recorded { traced, evidence })
    }
}

impl Tracer for Lineage {
    fn name(&self) -> &str {
        self.name
    }

    fn records_the_same(&self) -> bool {
        false
    }

    fn suits(&self, work: &Workload) -> bool {
        self.only.is_none_or(|only| only == work.name)
    }

    fn run(&self, bench: &Bench, work: &Workload, count: bool) -> Result<Traced> {
        let Recorded {
            mut traced,
            evidence,
        } = self.record(bench, work, &[])?;
        if let Some((path, _)) = work.opens.filter(|_| count) {
            let mut ls = sh::command(paths::lineage(), ["ls", "--kind", "file.open", "--path"]);
            ls.arg(path).arg(&evidence);
            let lines = sh::output(ls)?.lines().count();
            traced.found = Some(f64::from(u32::try_from(lines)?));
        }
        Ok(traced)
    }
}
