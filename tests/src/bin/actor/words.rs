//! The script: words, numbers, flags, blocks, and what can go wrong with them.

use std::ffi::CStr;

use crate::Actor;

/// Why a script ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A system call failed.
    Call {
        /// Its name.
        name: &'static str,
        /// Its errno.
        errno: i32,
    },
    /// A step succeeded in another way than the script says.
    Unexpected(&'static str),
    /// A child that was an actor failed.
    Child(i32),
    /// The script makes no sense.
    Script {
        /// What is wrong.
        problem: &'static str,
        /// The word it is wrong with.
        word: Vec<u8>,
    },
}

impl Failure {
    pub(crate) fn script(problem: &'static str, word: &CStr) -> Self {
        Self::Script {
            problem,
            word: word.to_bytes().to_vec(),
        }
    }

    /// What to print.
    pub(crate) fn text(&self) -> Vec<u8> {
        match self {
            Self::Call { name, errno } => {
                format!("{name}: {}", std::io::Error::from_raw_os_error(*errno)).into_bytes()
            }
            Self::Unexpected(what) => what.as_bytes().to_vec(),
            Self::Child(status) => format!("a child ended with status {status}").into_bytes(),
            Self::Script { problem, word } => [problem.as_bytes(), b": ", word.as_slice()].concat(),
        }
    }

    /// The actor's exit status.
    pub(crate) fn status(&self) -> i32 {
        match self {
            Self::Script { .. } => 124,
            Self::Child(status) => *status,
            Self::Call { .. } | Self::Unexpected(_) => 125,
        }
    }
}

/// The rest of a script.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    rest: &'static [&'static CStr],
}

impl Words {
    pub(crate) fn new(words: &'static [&'static CStr]) -> Self {
        Self { rest: words }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next word; `what` names it when there is none.
    pub(crate) fn next(&mut self, what: &'static str) -> Result<&'static CStr, Failure> {
        let (first, rest) = self.rest.split_first().ok_or(Failure::Script {
            problem: "the script ends before",
            word: what.as_bytes().to_vec(),
        })?;
        self.rest = rest;
        Ok(first)
    }

    /// A name to store a number under.
    pub(crate) fn name(&mut self) -> Result<&'static CStr, Failure> {
        let word = self.next("a name")?;
        if word.to_bytes().starts_with(b"@") {
            Ok(word)
        } else {
            Err(Failure::script("not a name", word))
        }
    }

    /// A number: decimal or hexadecimal, stored, or `self`.
    pub(crate) fn number(&mut self, actor: &Actor) -> Result<i64, Failure> {
        let word = self.next("a number")?;
        number(word.to_bytes(), actor).ok_or_else(|| Failure::script("not a number", word))
    }

    /// Constants joined by `|`.
    pub(crate) fn constant(&mut self) -> Result<i64, Failure> {
        let word = self.next("a constant")?;
        let text = word
            .to_str()
            .map_err(|_| Failure::script("not a constant", word))?;
        text.split('|').try_fold(0, |all, name| {
            let (_, value) = CONSTANTS
                .iter()
                .find(|(known, _)| *known == name)
                .ok_or_else(|| Failure::script("unknown constant", word))?;
            Ok(all | i64::from(*value))
        })
    }

    /// The steps between `[` and the `]` that belongs to it.
    pub(crate) fn block(&mut self) -> Result<Self, Failure> {
        let open = self.next("[")?;
        if open.to_bytes() != b"[" {
            return Err(Failure::script("not a [", open));
        }
        let mut depth = 1_usize;
        for (index, word) in self.rest.iter().enumerate() {
            match word.to_bytes() {
                b"[" => depth += 1,
                b"]" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let block = Self::new(&self.rest[..index]);
                self.rest = &self.rest[index + 1..];
                return Ok(block);
            }
        }
        Err(Failure::script("no ] for", open))
    }

    /// The words up to `;` or the end.
    pub(crate) fn arguments(&mut self) -> &'static [&'static CStr] {
        let end = self.rest.iter().position(|word| word.to_bytes() == b";");
        let arguments = &self.rest[..end.unwrap_or(self.rest.len())];
        self.rest = end.map_or(&[], |end| &self.rest[end + 1..]);
        arguments
    }
}

/// What a word stands for as a number, if it does.
pub(crate) fn number(word: &[u8], actor: &Actor) -> Option<i64> {
    match word {
        b"self" => Some(i64::from(std::process::id())),
        _ if word.starts_with(b"@") => actor.numbers.get(word).copied(),
        _ => {
            let text = std::str::from_utf8(word).ok()?;
            match text.strip_prefix("0x") {
                Some(digits) => i64::from_str_radix(digits, 16).ok(),
                None => text.parse().ok(),
            }
        }
    }
}

macro_rules! constants {
    ($($name:ident)*) => { &[$((stringify!($name), libc::$name)),*] };
}

const CONSTANTS: &[(&str, i32)] = constants! {
    O_RDONLY O_WRONLY O_RDWR O_CREAT O_EXCL O_TRUNC O_APPEND O_NONBLOCK O_DIRECTORY O_NOFOLLOW
    O_CLOEXEC O_PATH O_TMPFILE
    CLONE_NEWNS CLONE_NEWPID CLONE_NEWNET CLONE_NEWUSER CLONE_NEWUTS CLONE_NEWIPC CLONE_NEWCGROUP
    CLONE_NEWTIME CLONE_FS CLONE_FILES CLONE_PARENT CLONE_PIDFD
    PROT_READ PROT_WRITE PROT_EXEC MAP_SHARED MAP_PRIVATE
    EPERM ENOENT EIO EBADF EACCES EEXIST ENOTDIR EISDIR EINVAL ELOOP ENAMETOOLONG ENOEXEC
    ECONNREFUSED EINPROGRESS EADDRINUSE EAFNOSUPPORT EAGAIN ENXIO ETXTBSY EADDRNOTAVAIL EXDEV
    EFAULT ESRCH EOPNOTSUPP EDESTADDRREQ ENOTCONN
};
