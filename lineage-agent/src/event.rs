//! Events: frames from the ring, checked and decoded in place.
//!
//! Decoding borrows from the frame and allocates nothing. A frame is foreign bytes: every length
//! is checked against the frame's own, and what does not fit is an error, never a guess.

use lineage_common::{
    calls::{self, Shape},
    frame::{
        Call, Cgroup, Close, Counted, Credentials, Exec, Exit, File, Flags, Fork, FoundFile,
        FoundMap, Header, HostPath, Kind, Map, Namespaces, Other, Pass, Socket, Use,
    },
    policy::PATH_KEY_BYTES,
};
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// One event of the kernel, borrowed from its frame.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Who, when, where in the CPU's numbering, with which result.
    pub header: &'a Header,
    /// What happened.
    pub body: Body<'a>,
    /// By which name it was looked up in a policy.
    pub judged: Judged<'a>,
}

/// The name by which something was looked up in a policy.
#[derive(Debug, Clone, Copy)]
pub enum Judged<'a> {
    /// As it was looked up, as far as a key holds it; empty where there was none.
    Name(&'a [u8]),
    /// The path of a file that the frame has.
    Path(ReversedPath<'a>),
}

impl Judged<'_> {
    /// Appends it as it was looked up.
    pub fn write_to(self, out: &mut Vec<u8>) {
        match self {
            Self::Name(name) => out.extend_from_slice(name),
            Self::Path(path) => {
                let begin = out.len();
                path.write_to(out);
                out.truncate(begin + PATH_KEY_BYTES);
            }
        }
    }
}

/// What happened, by [`Kind`].
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// [`Kind::FORK`]
    Fork(&'a Fork),
    /// [`Kind::THREAD_START`]
    ThreadStart(&'a Fork),
    /// [`Kind::EXEC`]
    Exec(ExecEvent<'a>),
    /// [`Kind::EXIT`]
    Exit(&'a Exit),
    /// [`Kind::THREAD_EXIT`]
    ThreadExit(&'a Exit),
    /// [`Kind::FILE_OPEN`]
    Open(FileEvent<'a>),
    /// [`Kind::FILE_INHERIT`]
    FileInherit(FileEvent<'a>),
    /// [`Kind::FILE_CLOSE`]
    FileClose(&'a Close),
    /// [`Kind::READ`]
    Read(&'a Use),
    /// [`Kind::WRITE`]
    Write(&'a Use),
    /// [`Kind::NET_CONNECT`]
    Connect(SocketEvent<'a>),
    /// [`Kind::NET_ACCEPT`]
    Accept(SocketEvent<'a>),
    /// [`Kind::NET_BIND`]
    Bind(SocketEvent<'a>),
    /// [`Kind::NET_INHERIT`]
    NetInherit(SocketEvent<'a>),
    /// [`Kind::NET_CLOSE`]
    NetClose(&'a Close),
    /// [`Kind::CALL`]
    Call(CallEvent<'a>),
    /// [`Kind::TALLY`]
    Tally(TallyEvent<'a>),
    /// [`Kind::CGROUP`]
    Cgroup(CgroupEvent<'a>),
    /// [`Kind::NET_LISTEN`]
    Listen(SocketEvent<'a>),
    /// [`Kind::NET_SOCKET`]
    Socket(SocketEvent<'a>),
    /// [`Kind::NET_PAIR`]
    Pair(SocketEvent<'a>),
    /// [`Kind::NET_SEND`]
    Send(SocketEvent<'a>),
    /// [`Kind::NET_RECEIVE`]
    Receive(SocketEvent<'a>),
    /// [`Kind::PASS`]
    Pass(PassEvent<'a>),
    /// [`Kind::MAP`]: the file, if there is one, and how it is mapped.
    Map(FileEvent<'a>, &'a Map),
    /// [`Kind::FILE_SNAPSHOT`], [`Kind::NET_SNAPSHOT`] or [`Kind::MAP_SNAPSHOT`]
    Found(Found<'a>),
}

/// What a process was found to have, by [`Kind`]. It does not come through a ring.
#[derive(Debug, Clone, Copy)]
pub enum Found<'a> {
    /// [`Kind::FILE_SNAPSHOT`]: the file, and the position in it.
    File(FileEvent<'a>, i64),
    /// [`Kind::NET_SNAPSHOT`]
    Socket(SocketEvent<'a>),
    /// [`Kind::MAP_SNAPSHOT`]: the file, and where it is mapped.
    Map(FileEvent<'a>, &'a FoundMap),
}

/// An exec with its byte strings.
#[derive(Debug, Clone, Copy)]
pub struct ExecEvent<'a> {
    /// The fixed part.
    pub exec: &'a Exec,
    /// Path of the executable.
    pub exe: ReversedPath<'a>,
    /// Working directory.
    pub cwd: ReversedPath<'a>,
    /// The name the caller gave.
    pub filename: &'a [u8],
    /// The interpreter of a script; empty otherwise.
    pub interpreter: &'a [u8],
    /// The argument block: each argument ended by NUL, the last perhaps cut.
    pub argv: &'a [u8],
    /// The variables that carry a trace context, each ended by NUL.
    pub hints: &'a [u8],
    /// The executable as the host sees it.
    pub host: HostFile<'a>,
}

/// A file opened or first used, with its path: reversed when from the kernel, as written by the
/// caller when the header says [`lineage_common::frame::Flags::CLAIMED`].
#[derive(Debug, Clone, Copy)]
pub struct FileEvent<'a> {
    /// The fixed part.
    pub file: &'a File,
    /// The path's bytes.
    pub path: &'a [u8],
    /// The file as the host sees it.
    pub host: HostFile<'a>,
    /// The process that the file stands for, if that is not the one that has it.
    pub other: Option<Other>,
}

/// A file as the host sees it.
#[derive(Debug, Clone, Copy)]
pub struct HostFile<'a> {
    /// What the path is: [`lineage_common::frame::HostPath::WHOLE`] and so on.
    pub view: u16,
    /// The path.
    pub path: ReversedPath<'a>,
}

/// A socket with its `AF_UNIX` names.
#[derive(Debug, Clone, Copy)]
pub struct SocketEvent<'a> {
    /// The fixed part.
    pub socket: &'a Socket,
    /// Name of the local end; empty unless `AF_UNIX` and bound.
    pub local: &'a [u8],
    /// Name of the peer; empty unless `AF_UNIX` and named.
    pub peer: &'a [u8],
    /// The address the caller gave or got, a `struct sockaddr`; empty when there is none.
    pub given: &'a [u8],
}

/// A descriptor that went with a message.
#[derive(Debug, Clone, Copy)]
pub struct PassEvent<'a> {
    /// What it leads to.
    pub to: Passed<'a>,
    /// Through which socket, and how.
    pub pass: Pass,
}

/// What a passed descriptor leads to.
#[derive(Debug, Clone, Copy)]
pub enum Passed<'a> {
    /// A file, or nothing: then its inode number is 0.
    File(FileEvent<'a>),
    /// A socket.
    Socket(SocketEvent<'a>),
}

/// A call with what it names.
#[derive(Debug, Clone, Copy)]
pub struct CallEvent<'a> {
    /// The fixed part.
    pub call: &'a Call,
    /// Name of the system call.
    pub name_of_call: &'static str,
    /// State of the process after it.
    pub state: State<'a>,
    /// Where `name` starts; without one, the descriptor acted on. Absent when not known.
    pub base: Option<ReversedPath<'a>>,
    /// The path, as the caller wrote it.
    pub name: &'a [u8],
    /// As `base`, of `target`.
    pub target_base: Option<ReversedPath<'a>>,
    /// The second path.
    pub target: &'a [u8],
    /// Text that is no path.
    pub text: &'a [u8],
}

/// A move to another control group.
#[derive(Debug, Clone, Copy)]
pub struct CgroupEvent<'a> {
    /// The fixed part.
    pub moved: &'a Cgroup,
    /// Path of the group in its hierarchy.
    pub path: &'a [u8],
}

/// Calls that are counted.
#[derive(Debug, Clone, Copy)]
pub struct TallyEvent<'a> {
    /// The fixed part.
    pub counted: &'a Counted,
    /// Path of the device; only of the first call.
    pub path: Option<ReversedPath<'a>>,
}

/// State of a process after a call.
#[derive(Debug, Clone, Copy)]
pub enum State<'a> {
    /// None was read.
    None,
    /// Its credentials.
    Credentials(&'a Credentials),
    /// Its namespaces.
    Namespaces(&'a Namespaces),
}

/// A path as the probe walks it: components from the file up to the root, each ended by NUL.
#[derive(Debug, Clone, Copy)]
pub struct ReversedPath<'a>(pub &'a [u8]);

impl ReversedPath<'_> {
    /// Appends the path in its usual order, starting with `/`.
    pub fn write_to(self, out: &mut Vec<u8>) {
        let components = self.0.strip_suffix(&[0]).unwrap_or(self.0);
        if components.is_empty() {
            out.push(b'/');
            return;
        }
        for component in components.rsplit(|byte| *byte == 0) {
            out.push(b'/');
            out.extend_from_slice(component);
        }
    }
}

/// Why a frame cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than the header or the body needs, or a byte string reaches past the end.
    #[error("frame of kind {kind} ends after {bytes} bytes, inside {part}")]
    Short {
        /// The frame's kind, 0 when not even the header is there.
        kind: u16,
        /// The part that does not fit.
        part: &'static str,
        /// Bytes the frame has.
        bytes: usize,
    },
    /// The header's length is not the frame's.
    #[error("frame of {bytes} bytes says it has {said}")]
    Length {
        /// Bytes the frame has.
        bytes: usize,
        /// Bytes its header gives.
        said: u32,
    },
    /// A kind this agent does not know.
    #[error("frame of unknown kind {0}")]
    UnknownKind(u16),
    /// A call that is not in the table of recorded ones.
    #[error("frame of unknown system call {0}")]
    UnknownCall(u32),
}

impl<'a> Event<'a> {
    /// Decodes one frame.
    ///
    /// # Errors
    ///
    /// [`FrameError`] when the bytes are not exactly one well-formed frame.
    pub fn decode(frame: &'a [u8]) -> Result<Self, FrameError> {
        let mut rest = Cursor {
            kind: 0,
            frame_bytes: frame.len(),
            rest: frame,
        };
        let header: &Header = rest.fixed("header")?;
        if header.len as usize != frame.len() {
            return Err(FrameError::Length {
                bytes: frame.len(),
                said: header.len,
            });
        }
        rest.kind = header.kind.0;
        let body = match header.kind {
            Kind::FORK => Body::Fork(rest.fixed("fork")?),
            Kind::THREAD_START => Body::ThreadStart(rest.fixed("fork")?),
            Kind::EXEC => Body::Exec(rest.exec()?),
            Kind::EXIT => Body::Exit(rest.fixed("exit")?),
            Kind::THREAD_EXIT => Body::ThreadExit(rest.fixed("exit")?),
            Kind::FILE_OPEN => Body::Open(rest.file()?),
            Kind::FILE_INHERIT => Body::FileInherit(rest.file()?),
            Kind::FILE_CLOSE => Body::FileClose(rest.fixed("close")?),
            Kind::READ => Body::Read(rest.fixed("use")?),
            Kind::WRITE => Body::Write(rest.fixed("use")?),
            Kind::NET_CONNECT => Body::Connect(rest.socket()?),
            Kind::NET_ACCEPT => Body::Accept(rest.socket()?),
            Kind::NET_BIND => Body::Bind(rest.socket()?),
            Kind::NET_INHERIT => Body::NetInherit(rest.socket()?),
            Kind::NET_CLOSE => Body::NetClose(rest.fixed("close")?),
            Kind::CALL => Body::Call(rest.call()?),
            Kind::TALLY => Body::Tally(rest.tally()?),
            Kind::CGROUP => {
                let moved: &Cgroup = rest.fixed("cgroup")?;
                let path = rest.bytes(moved.path_len, "path")?;
                Body::Cgroup(CgroupEvent { moved, path })
            }
            Kind::NET_LISTEN => Body::Listen(rest.socket()?),
            Kind::NET_SOCKET => Body::Socket(rest.socket()?),
            Kind::NET_PAIR => Body::Pair(rest.socket()?),
            Kind::NET_SEND => Body::Send(rest.socket()?),
            Kind::NET_RECEIVE => Body::Receive(rest.socket()?),
            Kind::PASS => Body::Pass(rest.pass(header.flags)?),
            Kind::MAP => {
                let map: &Map = rest.fixed("map")?;
                Body::Map(rest.with_path(&map.file)?, map)
            }
            Kind::FILE_SNAPSHOT | Kind::NET_SNAPSHOT | Kind::MAP_SNAPSHOT => {
                Body::Found(rest.found(header.kind)?)
            }
            Kind(unknown) => return Err(FrameError::UnknownKind(unknown)),
        };
        let judged = match header.judged_at as usize {
            0 => Judged::Name(rest.bytes(header.judged_len, JUDGED)?),
            at => {
                let path = frame.get(at..);
                let path = path.and_then(|path| path.get(..header.judged_len as usize));
                Judged::Path(ReversedPath(path.ok_or_else(|| rest.short(JUDGED))?))
            }
        };
        Ok(Self {
            header,
            body,
            judged,
        })
    }
}

/// A part of a frame, in errors.
const JUDGED: &str = "what was judged";

/// The undecoded rest of a frame.
struct Cursor<'a> {
    kind: u16,
    frame_bytes: usize,
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn fixed<T: FromBytes + KnownLayout + Immutable>(
        &mut self,
        part: &'static str,
    ) -> Result<&'a T, FrameError> {
        let (value, rest) = T::ref_from_prefix(self.rest).map_err(|_| self.short(part))?;
        self.rest = rest;
        Ok(value)
    }

    /// A part that need not be aligned.
    fn copied<T: FromBytes + KnownLayout + Immutable>(
        &mut self,
        part: &'static str,
    ) -> Result<T, FrameError> {
        let (value, rest) = T::read_from_prefix(self.rest).map_err(|_| self.short(part))?;
        self.rest = rest;
        Ok(value)
    }

    fn bytes(&mut self, len: u32, part: &'static str) -> Result<&'a [u8], FrameError> {
        let (bytes, rest) = self
            .rest
            .split_at_checked(len as usize)
            .ok_or_else(|| self.short(part))?;
        self.rest = rest;
        Ok(bytes)
    }

    fn short(&self, part: &'static str) -> FrameError {
        FrameError::Short {
            kind: self.kind,
            part,
            bytes: self.frame_bytes,
        }
    }

    fn exec(&mut self) -> Result<ExecEvent<'a>, FrameError> {
        let exec: &Exec = self.fixed("exec")?;
        let mut event = ExecEvent {
            exec,
            exe: ReversedPath(self.bytes(exec.exe_len, "exe")?),
            cwd: ReversedPath(self.bytes(exec.cwd_len, "cwd")?),
            filename: self.bytes(exec.filename_len, "filename")?,
            interpreter: self.bytes(exec.interpreter_len, "interpreter")?,
            argv: self.bytes(exec.argv_len, "argv")?,
            hints: self.bytes(exec.hints_len, "hints")?,
            host: self.host(exec.host)?,
        };
        // Not every probe can tell a script: without one, the kernel's interpreter is the program.
        if event.interpreter == event.filename {
            event.interpreter = &[];
        }
        Ok(event)
    }

    fn file(&mut self) -> Result<FileEvent<'a>, FrameError> {
        let file: &File = self.fixed("file")?;
        self.with_path(file)
    }

    fn with_path(&mut self, file: &'a File) -> Result<FileEvent<'a>, FrameError> {
        Ok(FileEvent {
            file,
            path: self.bytes(file.path_len, "path")?,
            host: self.host(file.host)?,
            other: self.other(file.other_len)?,
        })
    }

    fn other(&mut self, len: u32) -> Result<Option<Other>, FrameError> {
        let other = (len != 0).then(|| self.copied("process"));
        other.transpose()
    }

    fn pass(&mut self, flags: Flags) -> Result<PassEvent<'a>, FrameError> {
        let to = if flags.has(Flags::OF_SOCKET) {
            Passed::Socket(self.socket()?)
        } else {
            Passed::File(self.file()?)
        };
        let pass = self.copied("pass")?;
        Ok(PassEvent { to, pass })
    }

    fn host(&mut self, host: HostPath) -> Result<HostFile<'a>, FrameError> {
        let bytes = self.bytes(u32::from(host.len), "host's path")?;
        Ok(HostFile {
            view: host.view,
            path: ReversedPath(bytes),
        })
    }

    fn call(&mut self) -> Result<CallEvent<'a>, FrameError> {
        let call: &Call = self.fixed("call")?;
        let known = calls::named(call.number).ok_or(FrameError::UnknownCall(call.number))?;
        let state = match calls::shape(known.action).map(|shape| shape.state) {
            Some(Shape::CREDENTIALS) if call.state_len != 0 => {
                State::Credentials(self.fixed("credentials")?)
            }
            Some(Shape::NAMESPACES) if call.state_len != 0 => {
                State::Namespaces(self.fixed("namespaces")?)
            }
            _ => State::None,
        };
        Ok(CallEvent {
            call,
            name_of_call: known.name,
            state,
            base: self.path(call.base_len, "base")?,
            name: self.bytes(call.name_len, "name")?,
            target_base: self.path(call.target_base_len, "second base")?,
            target: self.bytes(call.target_len, "second name")?,
            text: self.bytes(call.text_len, "text")?,
        })
    }

    fn tally(&mut self) -> Result<TallyEvent<'a>, FrameError> {
        let counted: &Counted = self.fixed("counted")?;
        Ok(TallyEvent {
            counted,
            path: self.path(counted.path_len, "path")?,
        })
    }

    /// A path that may be absent: even a root has a byte.
    fn path(
        &mut self,
        len: u32,
        part: &'static str,
    ) -> Result<Option<ReversedPath<'a>>, FrameError> {
        let bytes = self.bytes(len, part)?;
        Ok((!bytes.is_empty()).then_some(ReversedPath(bytes)))
    }

    fn found(&mut self, kind: Kind) -> Result<Found<'a>, FrameError> {
        Ok(match kind {
            Kind::FILE_SNAPSHOT => {
                let found: &FoundFile = self.fixed("found file")?;
                Found::File(self.with_path(&found.file)?, found.position)
            }
            Kind::NET_SNAPSHOT => Found::Socket(self.socket()?),
            _ => {
                let found: &FoundMap = self.fixed("found map")?;
                Found::Map(self.with_path(&found.file)?, found)
            }
        })
    }

    fn socket(&mut self) -> Result<SocketEvent<'a>, FrameError> {
        let socket: &Socket = self.fixed("socket")?;
        Ok(SocketEvent {
            socket,
            local: self.bytes(socket.local_len, "local name")?,
            peer: self.bytes(socket.peer_len, "peer name")?,
            given: self.bytes(socket.given_len, "address")?,
        })
    }
}

#[cfg(test)]
mod tests;
