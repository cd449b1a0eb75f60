//! Files by name below an open directory: never through a link, never larger than expected, never
//! replaced by accident, durable before anything depends on them.

mod write;

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, FlockOperation, Mode, OFlags};
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

    /// Whether both are handles on the same directory.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let identity = |dir: &Self| fs::fstat(&dir.fd).map(|stat| (stat.st_dev, stat.st_ino));
        matches!((identity(self), identity(other)), (Ok(one), Ok(two)) if one == two)
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
        self.lock_as(FlockOperation::NonBlockingLockExclusive)
    }

    /// Takes the directory together with others who take it so, for as long as this handle is open.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when another process has it alone.
    pub fn lock_shared(&self) -> Result<()> {
        self.lock_as(FlockOperation::NonBlockingLockShared)
    }

    fn lock_as(&self, how: FlockOperation) -> Result<()> {
        match fs::flock(&self.fd, how) {
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
        regular(fd, path, bytes_max).map(Some)
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
        whole(file, &self.path.join(name), bytes_max).map(Some)
    }

    /// Whether there is a symbolic link of this name.
    #[must_use]
    pub fn is_link(&self, name: &str) -> bool {
        fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
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

/// Reads a file whole that a user named: links are followed, and it must be a regular file.
///
/// # Errors
///
/// [`Error::Io`], [`Error::TooLarge`]
pub fn read_named(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    // As in `Dir::open_file`.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = fs::open(path, flags, Mode::empty())
        .map_err(|errno| Error::io("open", path)(errno.into()))?;
    let file = regular(fd, path.to_owned(), bytes_max)?;
    whole(file, path, bytes_max)
}

/// What was opened, if it is a regular file and not too large.
fn regular(fd: OwnedFd, path: PathBuf, bytes_max: u64) -> Result<File> {
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
    Ok(File::from(fd))
}

/// Everything in it; it may grow while it is read.
pub(super) fn whole(file: File, path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = file.take(bytes_max + 1).read_to_end(&mut bytes);
    read.map_err(Error::io("read", path))?;
    if bytes.len() as u64 > bytes_max {
        return Err(Error::TooLarge {
            path: path.to_owned(),
            bytes: bytes.len() as u64,
            bytes_max,
        });
    }
    Ok(bytes)
}
