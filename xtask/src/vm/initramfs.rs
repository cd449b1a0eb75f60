//! The file system a virtual machine starts from: an uncompressed `cpio` archive in the format of
//! the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst` ("newc").

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};

const DIRECTORY: u32 = 0o040_755;
const SHARED_DIRECTORY: u32 = 0o041_777;
const PROGRAM: u32 = 0o100_755;
const FILE: u32 = 0o100_644;
const CONSOLE: u32 = 0o020_600;

/// An archive being written.
pub(crate) struct Archive {
    bytes: Vec<u8>,
    directories: BTreeSet<PathBuf>,
    inodes: u32,
}

impl Archive {
    /// Starts an archive with a `/tmp` for everybody and the console, which the kernel opens before
    /// it runs anything.
    pub(crate) fn new() -> Result<Self> {
        let mut archive = Self {
            bytes: Vec::new(),
            directories: BTreeSet::from(["tmp".into()]),
            inodes: 0,
        };
        archive.entry("tmp", SHARED_DIRECTORY, (0, 0), &[])?;
        archive.directory(Path::new("/dev"))?;
        archive.entry("dev/console", CONSOLE, (5, 1), &[])?;
        Ok(archive)
    }

    /// Adds a directory and those above it.
    pub(crate) fn directory(&mut self, path: &Path) -> Result<()> {
        let mut so_far = PathBuf::new();
        for part in path.components() {
            let Component::Normal(name) = part else {
                continue;
            };
            so_far.push(name);
            if self.directories.insert(so_far.clone()) {
                self.entry(&so_far.to_string_lossy(), DIRECTORY, (0, 0), &[])?;
            }
        }
        Ok(())
    }

    /// Adds an executable file, read from the host.
    pub(crate) fn program(&mut self, path: &Path, from: &Path) -> Result<()> {
        let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.add(path, PROGRAM, &content)
    }

    /// Adds a plain file.
    pub(crate) fn file(&mut self, path: &Path, content: &[u8]) -> Result<()> {
        self.add(path, FILE, content)
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>> {
        self.entry("TRAILER!!!", 0, (0, 0), &[])?;
        Ok(self.bytes)
    }

    fn add(&mut self, path: &Path, mode: u32, content: &[u8]) -> Result<()> {
        if let Some(parent) = path.parent() {
            self.directory(parent)?;
        }
        self.entry(
            path.to_string_lossy().trim_start_matches('/'),
            mode,
            (0, 0),
            content,
        )
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) -> Result<()> {
        ensure!(!name.is_empty(), "an archive entry has a name");
        self.inodes += 1;
        let size = u32::try_from(content.len()).context("a file is too large for the archive")?;
        let name_size = u32::try_from(name.len() + 1).context("a name is too long")?;
        let fields = [
            self.inodes,
            mode,
            0,
            0,
            1,
            0,
            size,
            0,
            0,
            device.0,
            device.1,
            name_size,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_header_a_padded_name_and_padded_content() {
        let mut archive = Archive {
            bytes: Vec::new(),
            directories: BTreeSet::new(),
            inodes: 0,
        };
        archive.file(Path::new("/a"), b"xyz").unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(&bytes[..14], b"07070100000001");
        assert_eq!(&bytes[14..22], b"000081A4");
        assert_eq!(
            &bytes[110..116],
            b"a\0xyz\0"[..2]
                .iter()
                .chain(b"xyz\0")
                .copied()
                .collect::<Vec<_>>()
        );
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn parents_come_before_what_they_hold() {
        let mut archive = Archive::new().unwrap();
        archive.file(Path::new("/x/y/z"), b"").unwrap();
        let text = String::from_utf8_lossy(&archive.finish().unwrap()).into_owned();
        let place = |name: &str| text.find(name).unwrap();
        assert!(place("x\0") < place("x/y\0") && place("x/y\0") < place("x/y/z\0"));
    }
}
