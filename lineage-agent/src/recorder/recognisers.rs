//! The files of recognisers of a recording: read once, kept in its evidence.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};

use crate::{
    evidence::{escape::escape, writer::Artifacts},
    lineage::recognise::{BUILT_IN, FILE_BYTES_MAX, RecogniserError, Recognisers},
};

use super::RecordError;

/// Why a file of recognisers cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("read the recognisers of {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// It is a directory, a pipe or a device.
    #[error("read the recognisers of {}: it is no regular file", .0.display())]
    NoFile(PathBuf),
    /// It is larger than any sensible one.
    #[error("read the recognisers of {}: it is larger than {FILE_BYTES_MAX} bytes", .0.display())]
    Large(PathBuf),
    /// It is not text.
    #[error("read the recognisers of {}: it is not UTF-8", .0.display())]
    NoText(PathBuf),
    /// What it says cannot be used.
    #[error(transparent)]
    Content(#[from] RecogniserError),
}

/// Recognisers with the files they come from.
#[derive(Debug)]
pub struct Files {
    /// Ready to be asked.
    pub recognisers: Recognisers,
    /// The text of each file, in the order they were read.
    texts: Vec<String>,
}

impl Files {
    /// Those that come with the program, and those of a file of the user's.
    ///
    /// # Errors
    ///
    /// [`FileError`]
    pub fn read(own: Option<&Path>) -> Result<Self, FileError> {
        let mut texts = vec![BUILT_IN.to_owned()];
        let mut names = vec!["the program".to_owned()];
        if let Some(path) = own {
            texts.push(text(path)?);
            names.push(escape(path.as_os_str().as_encoded_bytes()));
        }
        let files: Vec<(&str, &str)> = names
            .iter()
            .zip(&texts)
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        Ok(Self {
            recognisers: Recognisers::new(&files)?,
            texts,
        })
    }

    /// Stores the files in the evidence; gives their digests.
    pub(super) fn store(&self, artifacts: &Artifacts) -> Result<Vec<String>, RecordError> {
        let store = |text: &String| artifacts.store(text.as_bytes());
        Ok(self.texts.iter().map(store).collect::<Result<_, _>>()?)
    }
}

fn text(path: &Path) -> Result<String, FileError> {
    let unreadable = |source: io::Error| FileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    // A pipe would be waited for.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    let file = File::from(opened.map_err(|errno| unreadable(errno.into()))?);
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(FileError::NoFile(path.to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(FileError::Large(path.to_owned()));
    }
    String::from_utf8(bytes).map_err(|_| FileError::NoText(path.to_owned()))
}
