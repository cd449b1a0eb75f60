//! Data on its way through several programs, found again by joining records on identities: exactly the
//! true way, whatever else went on beside it. What is true the programs say themselves, by fstat(2).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use lineage_tests::connected::Connected;
use lineage_tests::flow::{Hop, Place, between};
use lineage_tests::programs::ACTOR;
use lineage_tests::recorder::{Recorded, Recorder};
use serde_json::json;

/// What goes through: told apart from what the actor writes of its own by nothing but its bytes.
const TOKEN: &str = "token!";

/// A place for the files of one flow.
struct Stage {
    recorder: Recorder,
    actor: String,
}

impl Stage {
    fn new() -> Self {
        let recorder = Recorder::new();
        let stage = Self {
            recorder,
            actor: ACTOR.display().to_string(),
        };
        fs::write(stage.path("source"), TOKEN).expect("writable");
        fs::write(stage.path("twin"), TOKEN).expect("writable");
        stage
    }

    /// A file's path in the recording's directory.
    fn path(&self, name: &str) -> PathBuf {
        self.recorder.path(name)
    }

    /// Records the actor; in the script `<name>` is a path and `ACTOR` the program itself.
    fn script(self, script: &str) -> Flow {
        let root = self.path("");
        let words: Vec<String> = (script.replace("ACTOR", &self.actor).split_whitespace())
            .map(|word| {
                let name = word.split_once('<').and_then(|(before, rest)| {
                    let name = rest.strip_suffix('>')?;
                    Some(format!("{before}{}", root.join(name).display()))
                });
                name.unwrap_or_else(|| word.to_owned())
            })
            .collect();
        Flow::new(self.recorder.actor(words))
    }

    /// Records a script of a shell, in the recording's directory.
    fn shell(self, shell: &Path, script: &str) -> Flow {
        let directory = self.path("");
        let script = format!("cd '{}' && {{ {script}\n}}", directory.display());
        let run = self
            .recorder
            .run([shell.as_os_str(), "-c".as_ref(), script.as_ref()]);
        assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
        Flow::new(run)
    }
}

/// A recording, and what its programs said: by label the process id, and what a descriptor led to.
struct Flow {
    run: Recorded,
    told: BTreeMap<String, (i64, Place)>,
}

impl Flow {
    fn new(run: Recorded) -> Self {
        let told = run.stdout();
        let told = told.lines().map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [label, pid, dev, ino] = words[..] else {
                panic!("{line}");
            };
            let number = |word: &str| word.parse().expect("a number");
            let place = Place::File(number(dev), number(ino));
            (label.to_owned(), (number(pid), place))
        });
        let told = told.collect();
        Self { run, told }
    }

    /// The process that said this label.
    fn process(&self, label: &str) -> Place {
        let (pid, _) = &self.told[label];
        let of_pid = json!({ "pid": pid });
        let row = self.run.rows.0.iter().find(|row| row.has(&of_pid));
        let row = row.unwrap_or_else(|| panic!("no record of {label}"));
        Place::Process(row.text("process_uid").to_owned())
    }

    /// What a descriptor led to.
    fn thing(&self, label: &str) -> Place {
        self.told[label].1.clone()
    }

    /// The way from one end of a connection to the other.
    fn connection(&self, from: &str, to: &str) -> [Place; 2] {
        let ino = |label: &str| match self.thing(label) {
            Place::File(_, ino) => ino,
            other => panic!("{other:?}"),
        };
        [Place::Sent(ino(from)), Place::Received(ino(to))]
    }

    /// A file that is still there.
    fn file(&self, name: &str) -> Place {
        let file = fs::metadata(self.run.recorder.path(name)).expect("it is there");
        Place::File(file.dev().cast_signed(), file.ino().cast_signed())
    }

    /// Fails unless exactly these places, one after the other, are the way from the file `source` to the
    /// file `sink`, and the token has arrived there.
    fn expect(&self, way: &[Place]) {
        self.expect_ways(&[way]);
    }

    /// [`Self::expect`], of several ways.
    fn expect_ways(&self, ways: &[&[Place]]) {
        let sink = fs::read_to_string(self.run.recorder.path("sink")).expect("written");
        assert!(sink.contains(TOKEN), "{sink}");
        let (source, sink) = (self.file("source"), self.file("sink"));
        let mut expected: BTreeSet<Hop> = BTreeSet::new();
        for way in ways {
            let from = std::iter::once(&source).chain(*way);
            let to = way.iter().chain(std::iter::once(&sink));
            expected.extend(from.cloned().zip(to.cloned()));
        }
        let found = between(&self.run.rows, &source, &sink);
        assert_eq!(found, expected, "{:#?}", self.told);
        assert!(self.is_cause("source", "sink"), "why does not find it");
    }

    /// Whether `lineage why` finds a file among the causes of what was written to another one, and `lineage impact` that
    /// among the effects of reading it.
    fn is_cause(&self, source: &str, sink: &str) -> bool {
        let id = |name| match self.file(name) {
            Place::File(dev, ino) => (dev, ino),
            other => panic!("{other:?}"),
        };
        let of = |kind, (dev, ino): (i64, i64)| {
            let rows = self.run.rows.all(kind, &json!({ "dev": dev, "ino": ino }));
            rows.into_iter()
                .map(|row| row.int("seq"))
                .collect::<Vec<_>>()
        };
        let (reads, writes) = (of("file.read", id(source)), of("file.write", id(sink)));
        let evidence = &self.run.evidence;
        let why = (writes.iter()).any(|write| {
            Connected::why(evidence, *write)
                .files()
                .contains(&id(source))
        });
        let impact = reads.iter().any(|read| {
            let effects = Connected::impact(evidence, *read).records();
            writes.iter().any(|write| effects.contains(write))
        });
        assert_eq!(why, impact, "from {source} to {sink}: why, impact");
        why
    }

    /// Fails if there is a way.
    fn expect_none(&self, source: &str, sink: &str) {
        let found = between(&self.run.rows, &self.file(source), &self.file(sink));
        assert_eq!(found, BTreeSet::new(), "from {source} to {sink}");
        assert!(!self.is_cause(source, sink), "from {source} to {sink}");
    }
}

/// The descriptors of all programs of a chain: a pipe, and one beside it.
const PIPES: &str = "pipe @r @w dup2 @r 10 dup2 @w 11 close @r close @w \
                     pipe @r @w dup2 @r 12 dup2 @w 13 close @r close @w ";

/// File, program, pipe, program, connection, program, file; beside it a file with the same content, a
/// pipe that had been used before, one that is used at the same time, another connection with the same
/// programs' help, a file written at the end with the same bytes, and another writer of the last file.
///
/// Clients wait until they are accepted when they are told to.
fn chain(listeners: &str, connect: [&str; 2], wait: bool) -> Flow {
    let [connect, decoy] = connect;
    let until = if wait { "until <accepted> [ ]" } else { "" };
    let until_other = if wait {
        "until <other-accepted> [ ]"
    } else {
        ""
    };
    Stage::new().script(&format!(
        "{PIPES} {listeners} \
         spawn @x ACTOR actor open @o <aside> O_WRONLY|O_CREAT copy @o 12 8 ; \
         spawn @y ACTOR actor accept @s 21 mkdir <other-accepted> open @o <other> O_WRONLY|O_CREAT copy @o @s 6 ; \
         spawn @c ACTOR actor accept @s 20 mkdir <accepted> open @o <sink> O_WRONLY|O_CREAT copy @o @s 6 \
           tell third @s tell sink @o ; \
         spawn @z ACTOR actor open @t <twin> O_RDONLY {decoy} copy @c @t 6 {until_other} ; \
         spawn @b ACTOR actor {connect} copy @c 10 6 tell second @c {until} ; \
         spawn @a ACTOR actor open @t <twin> O_RDONLY copy 13 @t 6 close @t \
           open @s <source> O_RDONLY copy 11 @s 6 write 13 2 tell first 11 tell source @s ; \
         wait @a wait @b wait @c wait @x wait @y wait @z \
         spawn @d ACTOR actor open @t <twin> O_RDONLY read @t 6 \
           open @o <sink> O_WRONLY|O_APPEND write @o 4 ; wait @d"
    ))
}

fn expect_chain(flow: &Flow) {
    let [sent, received] = flow.connection("second", "third");
    flow.expect(&[
        flow.process("first"),
        flow.thing("first"),
        flow.process("second"),
        sent,
        received,
        flow.process("third"),
    ]);
    assert_eq!(flow.thing("source"), flow.file("source"));
    assert_eq!(flow.thing("sink"), flow.file("sink"));
    // The same process read both, and wrote to both; only one went on to each.
    assert!(!between(&flow.run.rows, &flow.file("twin"), &flow.file("aside")).is_empty());
    assert!(!between(&flow.run.rows, &flow.file("twin"), &flow.file("other")).is_empty());
    flow.expect_none("source", "other");
}

#[test]
fn through_a_pipe_and_tcp() {
    let listeners = "socket @l inet stream bind @l 127.0.0.1:0 listen @l dup2 @l 20 close @l \
                     socket @l inet stream bind @l 127.0.0.1:0 listen @l dup2 @l 21 close @l ";
    expect_chain(&chain(
        listeners,
        [
            "socket @c inet stream connect @c 20",
            "socket @c inet stream connect @c 21",
        ],
        false,
    ));
}

#[test]
fn through_a_pipe_and_a_unix_connection() {
    let name = format!("@lineage-flow-{}", std::process::id());
    let listener = |fd| {
        format!("socket @l unix stream bind @l unix:{name}-{fd} listen @l dup2 @l {fd} close @l ")
    };
    let connect = |fd| format!("socket @c unix stream connect @c unix:{name}-{fd}");
    expect_chain(&chain(
        &(listener(20) + &listener(21)),
        [&connect(20), &connect(21)],
        // Of a Unix socket that is closed before it is accepted nothing is left to tell which it was.
        true,
    ));
}

#[test]
fn through_a_pair_of_sockets() {
    for kind in ["stream", "dgram", "seqpacket"] {
        let flow = Stage::new().script(&format!(
            "socketpair @a @b {kind} dup2 @a 10 dup2 @b 11 close @a close @b \
             socketpair @a @b {kind} dup2 @a 12 dup2 @b 13 close @a close @b \
             spawn @a ACTOR actor open @t <twin> O_RDONLY copy 12 @t 6 close 12 \
               open @s <source> O_RDONLY copy 10 @s 6 tell first 10 ; \
             spawn @b ACTOR actor read 13 6 open @o <sink> O_WRONLY|O_CREAT copy @o 11 6 tell second 11 ; \
             wait @a wait @b"
        ));
        let [sent, received] = flow.connection("first", "second");
        flow.expect(&[
            flow.process("first"),
            sent,
            received,
            flow.process("second"),
        ]);
    }
}

#[test]
fn through_a_named_pipe() {
    let mode = libc::S_IFIFO | 0o644;
    let flow = Stage::new().script(&format!(
        "call @n mknodat -100 =<fifo> {mode} 0 ; call @n mknodat -100 =<beside> {mode} 0 ; \
         spawn @b ACTOR actor open @i <fifo> O_RDONLY open @o <sink> O_WRONLY|O_CREAT copy @o @i 6 tell second @i ; \
         spawn @c ACTOR actor open @i <beside> O_RDONLY open @o <aside> O_WRONLY|O_CREAT copy @o @i 6 ; \
         spawn @a ACTOR actor open @s <source> O_RDONLY open @o <fifo> O_WRONLY|O_TRUNC copy @o @s 6 \
           open @t <twin> O_RDONLY open @e <beside> O_WRONLY copy @e @t 6 tell first @o ; \
         wait @a wait @b wait @c"
    ));
    assert_eq!(flow.thing("first"), flow.file("fifo"));
    flow.expect(&[
        flow.process("first"),
        flow.file("fifo"),
        flow.process("second"),
    ]);
}

#[test]
fn through_memory_that_is_a_file() {
    let flow = Stage::new().script(
        "memfd @m same dup2 @m 10 memfd @n same dup2 @n 11 close @m close @n \
         spawn @a ACTOR actor open @t <twin> O_RDONLY copy 11 @t 6 close 11 open @s <source> O_RDONLY copy 10 @s 6 \
           tell first 10 ; wait @a \
         spawn @b ACTOR actor open @i /proc/self/fd/10 O_RDONLY open @j /proc/self/fd/11 O_RDONLY read @j 6 \
           open @o <sink> O_WRONLY|O_CREAT copy @o @i 6 tell second @i ; wait @b",
    );
    assert_eq!(flow.thing("first"), flow.thing("second"));
    flow.expect(&[
        flow.process("first"),
        flow.thing("first"),
        flow.process("second"),
    ]);
}

#[test]
fn through_a_file_that_takes_the_place_of_another() {
    let flow = Stage::new().script(
        "spawn @w ACTOR actor open @t <twin> O_RDONLY open @o <shared> O_WRONLY|O_CREAT copy @o @t 6 ; wait @w \
         spawn @a ACTOR actor open @s <source> O_RDONLY open @o <new> O_WRONLY|O_CREAT copy @o @s 6 \
           tell first @o ; wait @a \
         open @old <shared> O_RDONLY dup2 @old 10 close @old rename <new> <shared> \
         spawn @d ACTOR actor open @o <aside> O_WRONLY|O_CREAT copy @o 10 6 ; wait @d \
         spawn @b ACTOR actor open @i <shared> O_RDONLY open @o <sink> O_WRONLY|O_CREAT copy @o @i 6 \
           tell second @i ; wait @b",
    );
    assert_eq!(flow.thing("first"), flow.file("shared"));
    flow.expect(&[
        flow.process("first"),
        flow.file("shared"),
        flow.process("second"),
    ]);
    // By names it would be the other way round.
    flow.expect_none("twin", "sink");
    flow.expect_none("source", "aside");
    assert_eq!(
        between(&flow.run.rows, &flow.file("twin"), &flow.file("aside")).len(),
        4
    );
}

#[test]
fn not_through_a_file_that_was_emptied() {
    let by_open = ["", "O_WRONLY|O_TRUNC"];
    let by_call = [
        "open @e <shared> O_WRONLY call @n ftruncate @e 0 ; close @e",
        "O_WRONLY",
    ];
    for [before, flags] in [by_open, by_call] {
        let flow = Stage::new().script(&format!(
            "spawn @a ACTOR actor open @s <twin> O_RDONLY open @o <shared> O_WRONLY|O_CREAT copy @o @s 6 ; wait @a \
             {before} spawn @c ACTOR actor open @s <source> O_RDONLY open @o <shared> {flags} copy @o @s 6 \
               tell first @o ; wait @c \
             spawn @b ACTOR actor open @i <shared> O_RDONLY open @o <sink> O_WRONLY|O_CREAT copy @o @i 6 \
               tell second @i ; wait @b"
        ));
        flow.expect(&[
            flow.process("first"),
            flow.file("shared"),
            flow.process("second"),
        ]);
        flow.expect_none("twin", "sink");
    }
}

#[test]
fn through_the_memory_of_a_child() {
    let flow = Stage::new().script(&format!(
        "{PIPES} spawn @a ACTOR actor fork @k [ write 13 6 ] wait @k open @s <source> O_RDONLY read @s 6 \
           fork @c [ write 11 6 tell child 11 ] wait @c tell first 11 ; \
         spawn @b ACTOR actor read 12 6 open @o <sink> O_WRONLY|O_CREAT copy @o 10 6 write @o 6 tell second 10 ; \
         wait @a wait @b"
    ));
    // The child wrote what it chose to: that it had the token is what counts.
    fs::write(flow.run.recorder.path("sink"), TOKEN).expect("writable");
    flow.expect(&[
        flow.process("first"),
        flow.process("child"),
        flow.thing("child"),
        flow.process("second"),
    ]);
}

#[test]
fn through_a_pipe_that_was_passed() {
    let flow = Stage::new().script(
        "socketpair @x @y stream \
         fork @a [ close @y open @s <source> O_RDONLY pipe @r @w copy @w @s 6 pass @x @r ; \
           tell first @r tell here @x ] \
         fork @b [ close @x receive @y @r ; open @o <sink> O_WRONLY|O_CREAT copy @o @r 6 \
           tell second @r tell there @y ] \
         wait @a wait @b",
    );
    assert_eq!(flow.thing("first"), flow.thing("second"));
    let (first, second) = (flow.process("first"), flow.process("second"));
    let pipe = [first.clone(), flow.thing("first"), second.clone()];
    // The message had a byte of its own.
    let [sent, received] = flow.connection("here", "there");
    flow.expect_ways(&[&pipe, &[first, sent, received, second]]);
    let received = flow.run.rows.only("descriptor.receive", &json!({}));
    assert_eq!(
        flow.thing("second"),
        Place::File(received.int("dev"), received.int("ino"))
    );
}

/// A program by this name on this machine.
fn installed(name: &str) -> Option<PathBuf> {
    let search = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&search)
        .map(|place| place.join(name))
        .find(|path| path.is_file())
}

/// Says which process this is and what a descriptor of it leads to.
const TELL: &str = "tell() { read -r pid rest < /proc/self/stat; \
                    echo $1 $pid $(stat -L -c '%d %i' /proc/$pid/fd/$2) >&3; }";

#[test]
fn through_a_pipeline_of_a_shell() {
    let shell = installed("sh").expect("a shell");
    let flow = Stage::new().shell(
        &shell,
        &format!(
            "exec 3>&1; {TELL}; cat twin | cat > aside & \
             ( tell first 1; exec cat source ) | ( tell second 0; exec sed s/x/y/ > sink ); wait; cat twin > other"
        ),
    );
    flow.expect(&[
        flow.process("first"),
        flow.thing("first"),
        flow.process("second"),
    ]);
    assert_eq!(flow.thing("first"), flow.thing("second"));
}

#[test]
fn through_process_substitution() {
    let Some(bash) = installed("bash") else {
        return;
    };
    let flow = Stage::new().shell(
        &bash,
        &format!(
            "exec 3>&1; {TELL}; cat <(cat twin) > aside; \
             ( tell second 0; exec cat > sink ) < <( tell first 1; exec cat source ) ; cat twin > >(cat > other); wait"
        ),
    );
    flow.expect(&[
        flow.process("first"),
        flow.thing("first"),
        flow.process("second"),
    ]);
}

/// Sends its input, and writes what it got, each after it has said which socket it was.
const PYTHON: &str = r"
import os, socket, sys
def tell(label, end):
    status = os.fstat(end.fileno())
    os.write(3, b'%s %d %d %d\n' % (label, os.getpid(), status.st_dev, status.st_ino))
if sys.argv[1] == 'server':
    listener = socket.create_server(('127.0.0.1', 0))
    with open('port.new', 'w') as port: port.write(str(listener.getsockname()[1]))
    os.rename('port.new', 'port')
    end = listener.accept()[0]
    tell(b'server', end)
    with open('sink', 'wb') as sink:
        while part := end.recv(100): sink.write(part)
else:
    end = socket.create_connection(('127.0.0.1', int(sys.argv[2])))
    tell(b'client', end)
    end.sendall(sys.stdin.buffer.read())
";

#[test]
fn through_programs_in_python() {
    let (Some(python), Some(shell)) = (working_python(), installed("sh")) else {
        return;
    };
    let stage = Stage::new();
    fs::write(stage.path("relay.py"), PYTHON).expect("writable");
    let python = format!("{} -I relay.py", python.display());
    let flow = stage.shell(
        &shell,
        &format!(
            "exec 3>&1; {TELL}; {python} server & until [ -e port ]; do :; done; \
             ( tell first 1; exec cat source ) | {python} client $(cat port); wait"
        ),
    );
    let [sent, received] = flow.connection("client", "server");
    flow.expect(&[
        flow.process("first"),
        flow.thing("first"),
        flow.process("client"),
        sent,
        received,
        flow.process("server"),
    ]);
}

/// Python itself, and not a script that looks for it.
fn working_python() -> Option<PathBuf> {
    let asked = Command::new(installed("python3")?)
        .args(["-c", "import sys; print(sys.executable)"])
        .output();
    let path = String::from_utf8(asked.ok()?.stdout).ok()?;
    Some(PathBuf::from(path.trim())).filter(|path| path.is_file())
}
