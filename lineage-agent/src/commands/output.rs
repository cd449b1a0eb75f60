//! A new file that is there complete or not at all.
//!
//! It is written under another name beside its own, made durable, and renamed without replacing anything.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::shown;
use crate::evidence::files::Dir;

/// Permission bits: what is written names files and addresses, as evidence does.
const MODE: u32 = 0o640;

/// A file that has not got its name yet. Dropped before it has, nothing remains of it.
#[derive(Debug)]
pub(super) struct NewFile {
    directory: Dir,
    name: String,
    staged: String,
    what: String,
    named: bool,
}

impl NewFile {
    /// Begins a file, and refuses a name that is taken.
    pub(super) fn create(path: &Path) -> anyhow::Result<(Self, File)> {
        let what = format!("write {}", shown(path));
        let Some(name) = path.file_name() else {
            bail!("{what}: it names no file");
        };
        let Some(name) = name.to_str() else {
            bail!("{what}: its name is not UTF-8");
        };
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let directory = Dir::open(parent).context(what.clone())?;
        if directory.has(name).context(what.clone())? {
            bail!("{what}: it is there already");
        }
        let staged = format!(".lineage-{}.tmp", std::process::id());
        let file = directory.create(&staged, MODE).context(what.clone())?;
        let new = Self {
            directory,
            name: name.to_owned(),
            staged,
            what,
            named: false,
        };
        Ok((new, file))
    }

    /// Makes the file durable and gives it its name, which still must not be taken.
    pub(super) fn publish(mut self, file: &File) -> anyhow::Result<()> {
        file.sync_all().context(self.what.clone())?;
        let renamed = self
            .directory
            .publish(&self.staged, &self.directory, &self.name);
        renamed.context(self.what.clone())?;
        self.named = true;
        self.directory.sync().context(self.what.clone())
    }

    /// What is being done, for messages.
    pub(super) fn what(&self) -> &str {
        &self.what
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.named {
            // Half of a file is none.
            let _ = self.directory.remove(&self.staged);
        }
    }
}
