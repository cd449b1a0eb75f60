//! Writing: exclusively, durably, without replacing.

use std::fs::File;
use std::io::Write as _;

use rustix::fs::{self, AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::super::error::{Error, Result};
use super::Dir;

impl Dir {
    /// Creates a file that must not exist yet, for reading and writing.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn create(&self, name: &str, mode: u32) -> Result<File> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::openat(&self.fd, name, flags, Mode::from_raw_mode(mode))
            .map(File::from)
            .map_err(|errno| Error::io("create", self.path.join(name))(errno.into()))
    }

    /// Removes a file; true if it was there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn remove(&self, name: &str) -> Result<bool> {
        match fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(Error::io("remove", self.path.join(name))(errno.into())),
        }
    }

    /// Removes an empty directory, if it is there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn remove_dir(&self, name: &str) -> Result<()> {
        match fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Error::io("remove", self.path.join(name))(errno.into())),
        }
    }

    /// Writes a file under a temporary name and makes its contents durable.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn stage(&self, name: &str, bytes: &[u8], mode: u32) -> Result<()> {
        self.remove(name)?;
        let mut file = self.create(name, mode)?;
        let write = file.write_all(bytes).and_then(|()| file.sync_all());
        write.map_err(Error::io("write", self.path.join(name)))
    }

    /// Gives a staged file its name in `to` without replacing anything. The names become durable
    /// with [`Dir::sync`].
    ///
    /// # Errors
    ///
    /// [`Error::Io`], with kind `AlreadyExists` when the name is taken.
    pub fn publish(&self, name: &str, to: &Self, to_name: &str) -> Result<()> {
        let rename = |flags| fs::renameat_with(&self.fd, name, &to.fd, to_name, flags);
        let error = |errno: Errno| Error::io("create", to.path.join(to_name))(errno.into());
        match rename(RenameFlags::NOREPLACE) {
            Ok(()) => Ok(()),
            // A file system without this flag: the lock on the directory makes the test enough.
            Err(Errno::INVAL) if !to.has(to_name)? => {
                fs::renameat(&self.fd, name, &to.fd, to_name).map_err(error)
            }
            Err(Errno::INVAL) => Err(error(Errno::EXIST)),
            Err(errno) => Err(error(errno)),
        }
    }

    /// Writes a file once, durably: staged in `staging`, renamed here without replacing. The same
    /// bytes under that name already are success.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the name holds other bytes; [`Error::Io`].
    pub fn put(&self, name: &str, bytes: &[u8], staging: &Self) -> Result<()> {
        let present = match self.read(name, bytes.len() as u64) {
            Err(Error::TooLarge { path, .. }) => return Err(Error::Conflict(path)),
            other => other?,
        };
        if let Some(present) = present {
            return if present == bytes {
                self.sync()
            } else {
                Err(Error::Conflict(self.path.join(name)))
            };
        }
        let staged = format!("{name}.tmp");
        staging.stage(&staged, bytes, 0o644)?;
        staging.publish(&staged, self, name)?;
        self.sync()
    }

    /// Overwrites what a file holds with zeros, durably, and removes it, if it is there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn shred(&self, name: &str) -> Result<()> {
        let path = self.path.join(name);
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(Error::io("erase", path)(errno.into())),
        };
        let bytes = file.metadata().map_err(Error::io("erase", &path))?.len();
        let zeros = std::io::Read::take(std::io::repeat(0), bytes);
        std::io::copy(&mut { zeros }, &mut &file)
            .and_then(|_| file.sync_all())
            .map_err(Error::io("erase", &path))?;
        self.remove(name)?;
        self.sync()
    }

    /// Gives a file another name in the same directory, atomically; what has that name is replaced. Not durable.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn rename(&self, name: &str, to: &str) -> Result<()> {
        fs::renameat(&self.fd, name, &self.fd, to)
            .map_err(|errno| Error::io("replace", self.path.join(to))(errno.into()))
    }

    /// Replaces a file, atomically and durably.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn replace(&self, name: &str, bytes: &[u8], staging: &Self) -> Result<()> {
        let staged = format!("{name}.tmp");
        staging.stage(&staged, bytes, 0o644)?;
        fs::renameat(&staging.fd, &staged, &self.fd, name)
            .map_err(|errno| Error::io("replace", self.path.join(name))(errno.into()))?;
        self.sync()
    }

    /// Exchanges two files atomically; where the file system cannot, `one` replaces `other`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn exchange(&self, one: &str, other: &str) -> Result<()> {
        fs::renameat_with(&self.fd, one, &self.fd, other, RenameFlags::EXCHANGE)
            .or_else(|errno| match errno {
                Errno::INVAL | Errno::NOSYS => fs::renameat(&self.fd, one, &self.fd, other),
                other => Err(other),
            })
            .map_err(|errno| Error::io("exchange", self.path.join(one))(errno.into()))
    }
}
