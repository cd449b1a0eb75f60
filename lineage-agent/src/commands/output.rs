//! A new file that is there complete or not at all.
//!
//! It is written under another name beside its own, made durable, and renamed; it replaces nothing unless that was asked for.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};

use super::shown;
use crate::evidence::files::Dir;

/// Permission bits: what is written names files and addresses, as evidence does.
const MODE: u32 = 0o640;

/// Bytes written at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// A file that has not got its name yet. Dropped before it has, nothing remains of it.
#[derive(Debug)]
pub(super) struct NewFile {
    directory: Dir,
    name: String,
    staged: String,
    what: String,
    out: BufWriter<File>,
    replaces: bool,
    named: bool,
}

impl NewFile {
    /// Begins a file, and refuses a name that is taken unless it `replaces` what has it.
    pub(super) fn create(path: &Path, replaces: bool) -> anyhow::Result<Self> {
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
        if !replaces && directory.has(name).context(what.clone())? {
            bail!("{what}: it is there already");
        }
        let staged = format!(".lineage-{}.tmp", std::process::id());
        let file = directory.create(&staged, MODE).context(what.clone())?;
        Ok(Self {
            directory,
            name: name.to_owned(),
            staged,
            what,
            out: BufWriter::with_capacity(BUFFER_BYTES, file),
            replaces,
            named: false,
        })
    }

    /// Where its content goes.
    pub(super) fn out(&mut self) -> &mut BufWriter<File> {
        &mut self.out
    }

    /// Makes the file durable and gives it its name, which still must not be taken where it replaces nothing.
    pub(super) fn publish(mut self) -> anyhow::Result<()> {
        let written = self.out.flush();
        let durable = written.and_then(|()| self.out.get_ref().sync_all());
        durable.context(self.what.clone())?;
        let Self {
            directory,
            staged,
            name,
            ..
        } = &self;
        let renamed = if self.replaces {
            directory.rename(staged, name)
        } else {
            directory.publish(staged, directory, name)
        };
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_written_whole_and_over_another_only_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("page.html");
        let begun = |replaces, text: &str| {
            let mut new = NewFile::create(&path, replaces).unwrap();
            new.out().write_all(text.as_bytes()).unwrap();
            new
        };
        begun(false, "one").publish().unwrap();
        let refused = NewFile::create(&path, false).unwrap_err();
        assert!(refused.to_string().ends_with("it is there already"));
        begun(true, "two").publish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        drop(begun(true, "half of thr"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        // A name that is taken meanwhile is left to whoever took it.
        fs::remove_file(&path).unwrap();
        let late = begun(false, "four");
        fs::write(&path, "three").unwrap();
        late.publish().unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
