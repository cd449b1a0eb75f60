//! Files by name below an open directory: never through a link, never larger than expected, never
//! replaced by accident, durable before anything depends on them.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::error::{Error, Result};

/// An open directory.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

impl Dir {
    /// Opens the directory a user named; links in that path are followed.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn open(path: &Path) -> Result<Self> {
        let fd = fs::open(path, DIRECTORY, Mode::empty())
            .map_err(|errno| Error::io("open", path)(errno.into()))?;
        Ok(Self {
            fd,
            path: path.to_owned(),
        })
    }

    /// Where it is, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a directory in this one, unless it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], also when the name is a link or not a directory.
    pub fn child(&self, name: &str) -> Result<Option<Self>> {
        let path = self.path.join(name);
        match fs::openat(&self.fd, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, path })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::io("open", path)(errno.into())),
        }
    }

    /// Opens a directory in this one, making it if it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn make(&self, name: &str, mode: u32) -> Result<Self> {
        let path = self.path.join(name);
        match fs::mkdirat(&self.fd, name, Mode::from_raw_mode(mode)) {
            Ok(()) => self.sync()?,
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::io("create", path)(errno.into())),
        }
        match self.child(name)? {
            Some(dir) => Ok(dir),
            None => Err(Error::io("open", path)(Errno::NOENT.into())),
        }
    }

    /// Another handle on the same directory.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn again(&self) -> Result<Self> {
        let fd = self.fd.try_clone().map_err(Error::io("open", &self.path))?;
        Ok(Self {
            fd,
            path: self.path.clone(),
        })
    }

    /// Takes the directory for this process alone, for as long as this handle is open.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when another process has it.
    pub fn lock(&self) -> Result<()> {
        match fs::flock(&self.fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(()),
            Err(Errno::WOULDBLOCK) => Err(Error::Busy(self.path.clone())),
            Err(errno) => Err(Error::io("lock", &self.path)(errno.into())),
        }
    }

    /// Waits until the directory is this process's alone, for as long as this handle is open.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn lock_waiting(&self) -> Result<()> {
        fs::flock(&self.fd, FlockOperation::LockExclusive)
            .map_err(|errno| Error::io("lock", &self.path)(errno.into()))
    }

    /// Makes names in it durable.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn sync(&self) -> Result<()> {
        fs::fsync(&self.fd).map_err(|errno| Error::io("sync", &self.path)(errno.into()))
    }

    /// Names in it, sorted; names that are not UTF-8 in lossy form, which then cannot be opened.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn names(&self) -> Result<Vec<String>> {
        let error = |errno: Errno| Error::io("list", &self.path)(errno.into());
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.fd).map_err(error)? {
            let entry = entry.map_err(error)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Opens a regular file for reading, unless it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], also when the name is a link or not a regular file; [`Error::TooLarge`].
    pub fn open_file(&self, name: &str, bytes_max: u64) -> Result<Option<File>> {
        let path = self.path.join(name);
        // Without NONBLOCK, opening a pipe somebody left here would wait for ever.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let fd = match fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(Error::io("open", path)(errno.into())),
        };
        let stat = fs::fstat(&fd).map_err(|errno| Error::io("stat", &path)(errno.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            let reason = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            return Err(Error::io("open", path)(reason));
        }
        let bytes = stat.st_size.cast_unsigned();
        if bytes > bytes_max {
            return Err(Error::TooLarge {
                path,
                bytes,
                bytes_max,
            });
        }
        Ok(Some(File::from(fd)))
    }

    /// Reads a file whole, unless it is not there.
    ///
    /// # Errors
    ///
    /// As [`Dir::open_file`].
    pub fn read(&self, name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.open_file(name, bytes_max)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        // The file may grow while it is read.
        let read = file.take(bytes_max + 1).read_to_end(&mut bytes);
        read.map_err(Error::io("read", self.path.join(name)))?;
        if bytes.len() as u64 > bytes_max {
            return Err(Error::TooLarge {
                path: self.path.join(name),
                bytes: bytes.len() as u64,
                bytes_max,
            });
        }
        Ok(Some(bytes))
    }

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

    /// Whether there is anything of this name.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn has(&self, name: &str) -> Result<bool> {
        match fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(Error::io("stat", self.path.join(name))(errno.into())),
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

    /// Owner and permission bits of the directory itself.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]
    pub fn owner_and_mode(&self) -> Result<(u32, u32)> {
        let stat =
            fs::fstat(&self.fd).map_err(|errno| Error::io("stat", &self.path)(errno.into()))?;
        Ok((stat.st_uid, stat.st_mode & 0o7777))
    }
}
