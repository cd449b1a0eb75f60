//! What one program does, from its fork to its exit.

use lineage_common::calls;
use lineage_common::frame::{
    Behind, Close, Exec, Exit, File, Flags, Fork, Held, Kind, Map, NO_CALL, Socket, Use, Version,
};
use zerocopy::FromZeros as _;

use super::ring::{Act, Actor, Number, Ring};

/// Inode number of the pid namespace of all.
pub(super) const NAMESPACE: u32 = 0xefff_fffc;

const ENOENT: i64 = 2;
const AT_FDCWD: i32 = -100;
const O_CLOEXEC: u32 = 0o2_000_000;
const REGULAR: u32 = 0o100_644;
const DEVICE: u32 = 8 << 20 | 1;
const EXT4: u64 = 0xef53;
const AF_INET: u16 = 2;

const LIBRARIES: [&str; 6] = [
    "libc.so.6",
    "libm.so.6",
    "libz.so.1",
    "libexpat.so.1",
    "libcrypto.so.3",
    "libffi.so.8",
];
/// Modules that a program loads, of so many that there are.
const MODULES: u64 = 26;
const MODULES_THERE: u64 = 1500;
/// Modules that are looked for where they are not.
const MISSING: u64 = 8;

/// Runs the program of this number as a child of the agent.
pub(super) fn run(ring: &mut Ring, agent: (u32, u64), number: u64) {
    Program::fork(ring, agent, number).work();
}

struct Program<'a> {
    ring: &'a mut Ring,
    me: Actor,
    number: u64,
}

impl<'a> Program<'a> {
    fn fork(ring: &'a mut Ring, (pid, start): (u32, u64), number: u64) -> Self {
        let cpu = u32::from(!number.is_multiple_of(2));
        let agent = Actor {
            pid,
            start,
            cpu,
            execs: 1,
            comm: *b"agent\0\0\0\0\0\0\0\0\0\0\0",
        };
        let me = Actor {
            pid: 1000 + (number % 30_000) as u32,
            start: ring.end_ns(),
            execs: 0,
            ..agent
        };
        let fork = Fork {
            child_start: me.start,
            child_pid: me.pid,
            child_tid: me.pid,
            child_ns_tid: me.pid,
            child_pid_ns: NAMESPACE,
            ..Fork::FAILED
        };
        ring.push(&agent, Act::new(Kind::FORK, i64::from(me.pid)), &fork, &[]);
        Self { ring, me, number }
    }

    fn work(mut self) {
        self.exec();
        for (at, library) in (0..).zip(LIBRARIES) {
            self.open_missing(&format!("/usr/local/lib/python3.11/{library}"));
            self.load(&format!("/usr/lib/x86_64-linux-gnu/{library}"), 100 + at);
        }
        for at in 0..MODULES {
            let module = (self.number * 7 + at * 131) % MODULES_THERE;
            let path = format!(
                "/usr/lib/python3.11/site-packages/package{}/module{module}.py",
                module % 60
            );
            let opened = self.open(&path, 1000 + module);
            if at % 3 == 0 {
                self.used(Kind::READ, 1000 + module, opened);
            }
            self.close(Kind::FILE_CLOSE, 1000 + module, opened, 4096);
        }
        for at in 0..MISSING {
            self.open_missing(&format!(
                "/usr/lib/python3.11/site-packages/package{at}/__init__.abi3.so"
            ));
        }
        let output = 10_000 + self.number;
        let written = self.open(&format!("/srv/out/{}", self.number), output);
        self.used(Kind::WRITE, output, written);
        self.close(Kind::FILE_CLOSE, output, written, 0);
        if self.number.is_multiple_of(2) {
            self.converse();
        }
        self.send(Act::new(Kind::EXIT, 0), &Exit { code: 0, signal: 0 }, &[]);
    }

    fn send<T: zerocopy::IntoBytes + zerocopy::Immutable>(
        &mut self,
        act: Act,
        body: &T,
        texts: &[&[u8]],
    ) -> Number {
        self.ring.push(&self.me, act, body, texts)
    }

    /// Tries along `PATH`, and the program that is there.
    fn exec(&mut self) {
        let argv = format!("python3\0-m\0job\0--number={}\0", self.number);
        let cwd = reversed("/srv/work");
        for directory in ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin"] {
            let name = format!("{directory}/python3");
            let mut body = Exec::new_zeroed();
            body.filename_len = length(name.as_bytes());
            body.cwd_len = length(&cwd);
            body.argv_len = length(argv.as_bytes());
            let texts = [&cwd[..], name.as_bytes(), argv.as_bytes()];
            self.send(Act::failed(Kind::EXEC, ENOENT), &body, &texts);
        }
        let (exe, name) = (reversed("/usr/bin/python3.11"), b"/usr/bin/python3");
        let mut body = Exec::new_zeroed();
        body.ino = 7;
        body.cgroup = 4711;
        body.argv_bytes = argv.len() as u64;
        body.version = version(7);
        (body.dev, body.mode, body.argc) = (DEVICE, 0o100_755, 4);
        (body.pid_ns, body.mnt_ns, body.net_ns, body.user_ns) =
            (NAMESPACE, 0xf000_0000, 0xf000_0001, 0xefff_fffd);
        body.ns_pid = self.me.pid;
        body.exe_len = length(&exe);
        body.cwd_len = length(&cwd);
        body.filename_len = length(name);
        body.argv_len = length(argv.as_bytes());
        self.me.execs += 1;
        self.me.comm = *b"python3\0\0\0\0\0\0\0\0\0";
        let act = Act {
            judged_len: exe.len(),
            ..Act::new(Kind::EXEC, 0)
        };
        self.send(act, &body, &[&exe, &cwd, name, argv.as_bytes()]);
        self.map(
            "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
            8,
            (NO_CALL, 5),
        );
    }

    /// Loads a library as the dynamic linker does.
    fn load(&mut self, path: &str, ino: u64) {
        let opened = self.open(path, ino);
        self.used(Kind::READ, ino, opened);
        let mmap = calls::SYSCALLS.iter().find(|call| call.name == "mmap");
        let number = mmap.map_or(NO_CALL, |call| {
            let machine = calls::Machine::native();
            machine
                .and_then(|machine| machine.number(call))
                .unwrap_or_default() as u32
        });
        for protection in [1, 5, 1] {
            self.map(path, ino, (number, protection));
        }
        self.close(Kind::FILE_CLOSE, ino, opened, 832);
    }

    fn open(&mut self, path: &str, ino: u64) -> Number {
        let path = reversed(path);
        let act = Act {
            judged_len: path.len(),
            ..Act::new(Kind::FILE_OPEN, 3)
        };
        self.send(act, &file(ino, 3, &path), &[&path])
    }

    fn open_missing(&mut self, path: &str) {
        let mut body = file(0, -1, path.as_bytes());
        (body.version, body.fs_magic, body.dev, body.mode) = (Version::NONE, 0, 0, 0);
        self.send(
            Act::failed(Kind::FILE_OPEN, ENOENT),
            &body,
            &[path.as_bytes()],
        );
    }

    fn map(&mut self, path: &str, ino: u64, (number, protection): (u32, u32)) {
        let path = reversed(path);
        let start = 0x7f00_0000_0000 + (ino << 24);
        let body = Map {
            file: file(ino, if number == NO_CALL { -1 } else { 3 }, &path),
            start,
            end: start + 0x20_0000,
            offset: 0,
            state: u64::from(protection) | 0x70,
            protection,
            flags: 2,
            number,
            behind: Behind::FILE,
        };
        self.send(Act::new(Kind::MAP, 0), &body, &[&path]);
    }

    /// First bytes read or written through what was opened.
    fn used(&mut self, kind: Kind, ino: u64, (opened_cpu, opened_number): Number) {
        let body = Use {
            version: version(ino),
            ino,
            opened_number,
            opened_cpu,
            dev: DEVICE,
            fd: 3,
            reserved: 0,
        };
        self.send(Act::new(kind, 832), &body, &[]);
    }

    fn close(&mut self, kind: Kind, ino: u64, (opened_cpu, opened_number): Number, read: u64) {
        let body = Close {
            bytes_read: read,
            bytes_written: 4096 - read,
            ino,
            opened_number,
            opened_cpu,
            dev: DEVICE,
            fd: 3,
            last: 3,
        };
        self.send(Act::new(kind, 0), &body, &[]);
    }

    /// Connects to somebody, sends, receives, and is closed by the exit.
    fn converse(&mut self) {
        let ino = 1_000_000 + self.number;
        // A `struct sockaddr_in`.
        let given = [2, 0, 1, 187, 203, 0, 113, 9, 0, 0, 0, 0, 0, 0, 0, 0];
        let mut body = Socket::new_zeroed();
        (body.ino, body.net_ns, body.fd) = (ino, 0xf000_0001, 3);
        (body.family, body.socket_type, body.protocol) = (AF_INET, 1, 6);
        body.local_addr[..4].copy_from_slice(&[10, 0, 0, 7]);
        body.peer_addr[..4].copy_from_slice(&[203, 0, 113, 9]);
        (body.local_port, body.peer_port) = (40_000 + (self.number % 20_000) as u32, 443);
        (body.first_sent, body.first_received) = (self.number as u32, !self.number as u32);
        body.held = Held(Held::LOCAL | Held::PEER);
        body.given_len = length(&given);
        let opened = self.send(Act::new(Kind::NET_CONNECT, 0), &body, &[&given]);
        body.given_len = 0;
        for kind in [Kind::NET_SEND, Kind::NET_RECEIVE] {
            self.send(Act::new(kind, 512), &body, &[]);
        }
        let (opened_cpu, opened_number) = opened;
        let body = Close {
            bytes_read: 512,
            bytes_written: 512,
            ino,
            opened_number,
            opened_cpu,
            dev: 0,
            fd: 3,
            last: 3,
        };
        let act = Act {
            flags: Flags::BY_EXIT,
            ..Act::new(Kind::NET_CLOSE, 0)
        };
        self.send(act, &body, &[]);
    }
}

/// A path as the probes walk it.
fn reversed(path: &str) -> Vec<u8> {
    let components = path.rsplit('/').filter(|component| !component.is_empty());
    components
        .flat_map(|component| [component.as_bytes(), b"\0"].concat())
        .collect()
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("names are short")
}

fn version(ino: u64) -> Version {
    Version {
        size: 4096,
        mtime_ns: 1_700_000_000_000_000_000 + ino.cast_signed(),
        ctime_ns: 1_700_000_000_000_000_000 + ino.cast_signed(),
        generation: 3,
        reserved: 0,
    }
}

fn file(ino: u64, fd: i32, path: &[u8]) -> File {
    File {
        ino,
        fs_magic: EXT4,
        version: version(ino),
        dev: DEVICE,
        mode: REGULAR,
        flags: O_CLOEXEC,
        fd,
        dirfd: AT_FDCWD,
        path_len: length(path),
        host: lineage_common::frame::HostPath::SAME,
        other_len: 0,
    }
}
