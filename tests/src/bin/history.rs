//! Evidence of any size, for the benchmark of the commands that read it.
//!
//! ```text
//! history make DIRECTORY RECORDS   makes DIRECTORY/evidence and DIRECTORY/keys; prints the root to pin, and the `seq` of what was sent last
//! history read EVIDENCE            only reads its Parquet files, every column
//! ```
//!
//! An agent starts one worker after the other. Each reads tools that all of them read, and what a worker before it has
//! written, writes a file of its own, and every hundredth sends something away. So the causes of what is sent last are a
//! long chain through the whole of it, as they are in the evidence of an agent that works for days.

use std::fs::{self, File};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::{Context as _, Result, bail};
use lineage_agent::clock::{Clock, Now};
use lineage_agent::evidence::counters::Counters;
use lineage_agent::evidence::keys::{Keys, Plan, Secrets};
use lineage_agent::evidence::kinds;
use lineage_agent::evidence::manifest::Reason;
use lineage_agent::evidence::schema::Record;
use lineage_agent::evidence::writer::{Identity, Options, Writer};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;

const SECOND: i64 = 1_000_000_000;
/// When it begins, in seconds since 1970 UTC.
const BEGIN: i64 = 1_795_507_200;
const LINEAGE: &str = "00000000-0000-8000-8000-000000000001";
const AGENT: &str = "00000000-0000-8000-8000-00000000a6e2";

/// Records between two signatures: half a second of a busy host.
const COMMIT_EVERY: u64 = 50_000;

/// Tools that every worker reads some of.
const TOOLS: u64 = 1000;
const TOOLS_READ: u64 = 5;

const REGULAR: i64 = 0o100_644;
/// O_WRONLY | O_CREAT | O_TRUNC (fcntl.h).
const MAKE: i64 = 0o1101;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("history: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["make", directory, records] => make(
            Path::new(directory),
            records.parse().context("RECORDS is a number")?,
        ),
        ["read", evidence] => {
            println!("{}", read(Path::new(evidence))?);
            Ok(())
        }
        _ => bail!("usage: history make DIRECTORY RECORDS | history read EVIDENCE"),
    }
}

/// Reads all Parquet files below a directory into columns; how many rows there are.
fn read(directory: &Path) -> Result<usize> {
    let mut rows = 0;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            rows += read(&path)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "parquet")
        {
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
            for batch in reader.with_batch_size(4096).build()? {
                rows += batch?.num_rows();
            }
        }
    }
    Ok(rows)
}

fn make(directory: &Path, records: u64) -> Result<()> {
    let mut history = History::begin(directory)?;
    let mut worker = 0;
    while history.writer.next_seq() < records {
        history.work(worker)?;
        worker += 1;
    }
    history.say(Record {
        kind: Some(kinds::LINEAGE_END),
        cause: Some(0),
        detail: Some(r#"{"reason":"ended","running":0}"#),
        ..Record::default()
    })?;
    history.writer.commit(&Counters::default())?;
    history.writer.close(Reason::Shutdown)?;
    println!("{} {}", history.root, history.sent);
    Ok(())
}

/// A clock that goes on with the records.
#[derive(Clone, Default)]
struct Told(Arc<AtomicI64>);

impl Clock for Told {
    fn now(&self) -> Now {
        let passed = self.0.load(Ordering::Relaxed);
        Now {
            boot_ns: 1000 * SECOND + passed,
            wall_ns: BEGIN * SECOND + passed,
        }
    }
}

struct History {
    writer: Writer,
    clock: Told,
    root: String,
    /// Digest of the context of all records.
    context: String,
    /// The last `net.send`.
    sent: u64,
}

/// Who acts.
#[derive(Clone, Copy)]
struct Actor<'a> {
    uid: &'a str,
    pid: i64,
    exe: &'a str,
    cause: u64,
}

impl History {
    fn begin(directory: &Path) -> Result<Self> {
        let plan = Plan {
            start: BEGIN.unsigned_abs() - 3600,
            seconds: 30 * 86_400,
            count: 2,
        };
        let secrets = Secrets {
            host: [7; 32].into(),
            seed: [8; 32].into(),
        };
        let keys = Arc::new(Keys::create(&directory.join("keys"), plan, &secrets)?);
        let root = format!("root:{}", hex(&keys.enrolment().root));
        let identity = Identity {
            hostname: b"history".to_vec(),
            boot: "0b1a7b5e-6c6c-4a2e-9d2b-0d6c2c3f9f55".to_owned(),
            agent: [1; 32],
            probes: [2; 32],
        };
        let clock = Told::default();
        let writer = Writer::create_with(
            &directory.join("evidence"),
            identity,
            &keys,
            Box::new(clock.clone()),
            &Options::default(),
        )?;
        let mut history = Self {
            writer,
            clock,
            root,
            context: String::new(),
            sent: 0,
        };
        let environment = history.writer.artifact(b"{}")?;
        let context = json!({
            "version": 1, "lineage": LINEAGE, "previous": null, "reason": "start", "enforcement": "observe",
            "environment": environment, "container": null,
        });
        history.context = history.writer.artifact(context.to_string().as_bytes())?;
        history.say(Record {
            kind: Some(kinds::LINEAGE_START),
            detail: Some(r#"{"command":["agent"],"how":"launch"}"#),
            ..Record::default()
        })?;
        history.say(Record {
            kind: Some(kinds::PROCESS_SNAPSHOT),
            cause: Some(0),
            process_uid: Some(AGENT),
            pid: Some(100),
            exe: Some("/usr/bin/agent"),
            argv: Some(r#"["agent"]"#),
            ..Record::default()
        })?;
        Ok(history)
    }

    /// One worker from its beginning to its end.
    fn work(&mut self, number: u64) -> Result<()> {
        let uid = format!("00000000-0000-8000-8001-{number:012x}");
        let pid = 1000 + (number % 30_000).cast_signed();
        let agent = Actor {
            uid: AGENT,
            pid: 100,
            exe: "/usr/bin/agent",
            cause: 1,
        };
        let fork = self.act(
            agent,
            Record {
                kind: Some(kinds::PROCESS_FORK),
                result: Some(pid),
                child_uid: Some(&uid),
                child_pid: Some(pid),
                ..Record::default()
            },
        )?;
        let mut worker = Actor {
            uid: &uid,
            pid,
            exe: "/usr/bin/worker",
            cause: fork,
        };
        worker.cause = self.act(
            worker,
            Record {
                kind: Some(kinds::PROCESS_EXEC),
                parent_uid: Some(AGENT),
                result: Some(0),
                path: Some("/usr/bin/worker"),
                dev: Some(1),
                ino: Some(1),
                mode: Some(REGULAR),
                argv: Some(r#"["worker","--next"]"#),
                ..Record::default()
            },
        )?;
        for tool in 0..TOOLS_READ {
            let tool = 2 + (number * 7 + tool * 131) % TOOLS;
            self.use_file(worker, &format!("/usr/lib/tools/{tool}.py"), tool, 0, false)?;
        }
        let own = TOOLS + 2 + number;
        if number > 0 {
            // Not the one before: several chains go on side by side.
            let before = own - 1 - number.min(number % 13);
            self.use_file(worker, &format!("/srv/out/{before}"), before, 0, false)?;
        }
        self.use_file(worker, &format!("/srv/out/{own}"), own, MAKE, true)?;
        if number.is_multiple_of(100) {
            self.send(worker, number)?;
        }
        self.act(
            worker,
            Record {
                kind: Some(kinds::PROCESS_EXIT),
                exit_code: Some(0),
                ..Record::default()
            },
        )?;
        Ok(())
    }

    /// Opens a file, reads or writes it, and closes it.
    fn use_file(
        &mut self,
        who: Actor<'_>,
        path: &str,
        ino: u64,
        flags: i64,
        write: bool,
    ) -> Result<()> {
        let file = Record {
            path: Some(path),
            fd: Some(3),
            dev: Some(1),
            ino: Some(ino.cast_signed()),
            ..Record::default()
        };
        let opened = self.act(
            who,
            Record {
                kind: Some(kinds::FILE_OPEN),
                mode: Some(REGULAR),
                flags: Some(flags),
                size: Some(if write { 0 } else { 4096 }),
                result: Some(3),
                ..file
            },
        )?;
        let kind = if write {
            kinds::FILE_WRITE
        } else {
            kinds::FILE_READ
        };
        self.act(
            who,
            Record {
                kind: Some(kind),
                opened: Some(opened),
                result: Some(4096),
                ..file
            },
        )?;
        let [bytes_read, bytes_written] = if write { [0, 4096] } else { [4096, 0] };
        self.act(
            who,
            Record {
                kind: Some(kinds::FILE_CLOSE),
                opened: Some(opened),
                result: Some(0),
                bytes_read: Some(bytes_read),
                bytes_written: Some(bytes_written),
                ..file
            },
        )?;
        Ok(())
    }

    fn send(&mut self, who: Actor<'_>, number: u64) -> Result<()> {
        let socket = Record {
            fd: Some(4),
            ino: Some((1 << 40) + number.cast_signed()),
            transport: Some("tcp"),
            peer_addr: Some("203.0.113.9"),
            peer_port: Some(443),
            ..Record::default()
        };
        let opened = self.act(
            who,
            Record {
                kind: Some(kinds::NET_CONNECT),
                result: Some(0),
                ..socket
            },
        )?;
        self.sent = self.act(
            who,
            Record {
                kind: Some(kinds::NET_SEND),
                opened: Some(opened),
                result: Some(512),
                ..socket
            },
        )?;
        self.act(
            who,
            Record {
                kind: Some(kinds::NET_CLOSE),
                opened: Some(opened),
                result: Some(0),
                bytes_read: Some(0),
                bytes_written: Some(512),
                ..socket
            },
        )?;
        Ok(())
    }

    fn act(&mut self, who: Actor<'_>, record: Record<'_>) -> Result<u64> {
        self.say(Record {
            cause: Some(who.cause),
            process_uid: Some(who.uid),
            pid: Some(who.pid),
            tid: Some(who.pid),
            comm: who.exe.rsplit('/').next(),
            exe: Some(who.exe),
            ..record
        })
    }

    fn say(&mut self, record: Record<'_>) -> Result<u64> {
        let seq = self.writer.next_seq();
        // Ten microseconds from one to the next.
        let passed = self.clock.0.fetch_add(10_000, Ordering::Relaxed);
        self.writer.append(&Record {
            seq: Some(seq),
            time: Some((BEGIN * SECOND + passed) / 1000),
            time_ns: Some(BEGIN * SECOND + passed),
            origin: Some("kernel"),
            lineage: Some(LINEAGE),
            lineage_seq: Some(seq),
            context: Some(&self.context),
            ..record
        })?;
        if seq.is_multiple_of(COMMIT_EVERY) {
            self.writer.commit(&Counters::default())?;
        }
        Ok(seq)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
