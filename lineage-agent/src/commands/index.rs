//! `lineage index`: tables that are derived from evidence.

use std::env;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::{flows, refuse_inside, screen, shown};
use crate::cli::review::{Index, Tables};
use crate::counted::counted;
use crate::evidence::files::Dir;
use crate::evidence::reader::Host;
use crate::review::index::{Until, directory};
use crate::review::tables::{self, Made};
use crate::review::text::bytes;

/// Exit status when tables are not those of the evidence.
const DIFFERENT: u8 = 1;

/// Runs `lineage index`.
pub(super) fn run(options: &Tables) -> anyhow::Result<ExitCode> {
    refuse_inside(&options.evidence, &options.output)?;
    let evidence = screen::open(&options.evidence)?;
    let again = options.check.then(Again::new).transpose()?;
    let place = again.as_ref().map_or(&*options.output, |again| &again.0);
    let mut told = Told::default();
    for host in evidence.hosts() {
        let dir = directory(place, host).with_context(|| format!("use {}", shown(place)))?;
        let made = one(host, &dir, place, options)?;
        told.add(host, &dir, made, options)?;
    }
    let printed = if options.json {
        let document = json!({ "hosts": told.hosts, "partial": told.partial.is_some() });
        screen::print(&screen::json(&document))?
    } else {
        screen::print(&told.text)?
    };
    match told.partial {
        Some(partial) => Err(partial),
        None if told.different => Ok(ExitCode::from(DIFFERENT)),
        None => Ok(printed),
    }
}

/// Makes the tables of one host.
fn one(host: &Host, dir: &Dir, place: &Path, options: &Tables) -> anyhow::Result<Made> {
    let index = Index {
        index: Some(place.to_owned()),
    };
    let mut flows = flows::of(host, Until::End, &options.evidence, &index)?;
    let missing = flows.missing.take();
    let made = tables::make(host, &flows, dir).context("make the tables")?;
    Ok(Made {
        missing: made.missing.or(missing),
        ..made
    })
}

/// What there is to say.
#[derive(Default)]
struct Told {
    text: String,
    hosts: Vec<serde_json::Value>,
    different: bool,
    /// Why the tables are not all that they could be.
    partial: Option<anyhow::Error>,
}

impl Told {
    fn add(&mut self, host: &Host, dir: &Dir, made: Made, options: &Tables) -> anyhow::Result<()> {
        let mut tables = Vec::new();
        let there = match options.check {
            true => there(&options.output, host)?,
            false => None,
        };
        for (name, size) in made.tables {
            let same = match &there {
                Some(there) => tables::is_same(dir, there, name)?,
                None => false,
            };
            self.different |= !same;
            let path = (options.output.join(host.id().directory())).join(tables::file_name(name));
            let said = match (options.check, same) {
                (true, true) => "as the evidence has it".to_owned(),
                (true, false) => "not as the evidence has it".to_owned(),
                (false, _) => bytes(size),
            };
            self.text += &format!("{}: {said}\n", shown(&path));
            tables.push(if options.check {
                json!({ "name": name, "same": same })
            } else {
                json!({ "name": name, "bytes": size })
            });
        }
        self.different &= options.check;
        (self.hosts).push(json!({ "host": host.id().to_string(), "tables": tables }));
        if let Some(missing) = made.missing {
            let missing = anyhow::Error::from(missing);
            self.partial = Some(missing.context("read all records, so the tables lack some"));
        } else if made.left_out > 0 {
            let left_out = counted(made.left_out, "value", "values");
            self.partial = Some(anyhow::anyhow!(
                "put everything into the tables: there was no room for {left_out}"
            ));
        }
        Ok(())
    }
}

/// The directory of a host's tables, if it is there.
fn there(output: &Path, host: &Host) -> anyhow::Result<Option<Dir>> {
    if !output.is_dir() {
        bail!("check tables in {}: it is no directory", shown(output));
    }
    Ok(Dir::open(output)?.child(&host.id().directory())?)
}

/// A directory of its own, for tables that are made only to be compared.
struct Again(PathBuf);

impl Again {
    fn new() -> anyhow::Result<Self> {
        let place = env::temp_dir().join(format!("lineage-check-{}", std::process::id()));
        let made = DirBuilder::new().mode(0o700).create(&place);
        made.with_context(|| format!("create {}", shown(&place)))?;
        Ok(Self(place))
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        // Nothing depends on what is left of it.
        let _ = fs::remove_dir_all(&self.0);
    }
}
