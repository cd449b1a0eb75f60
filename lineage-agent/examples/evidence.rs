//! What writing evidence costs: CPU per record to append and to seal, bytes at rest, memory.
//!
//! `cargo run --release --example evidence [RECORDS [DIRECTORY]]`; what it writes into a directory it
//! is given, keys and evidence, stays there.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;

use lineage_agent::clock::{Clock as _, SystemClock};
use lineage_agent::evidence::counters::Counters;
use lineage_agent::evidence::keys::{Keys, Plan, Secrets};
use lineage_agent::evidence::manifest::Reason;
use lineage_agent::evidence::schema::Record;
use lineage_agent::evidence::writer::{Identity, Writer};
use rustix::time::{ClockId, clock_gettime};

fn main() -> Result<(), Box<dyn Error>> {
    let records: u64 = std::env::args()
        .nth(1)
        .map_or(Ok(2_000_000), |n| n.parse())?;
    let temp = tempfile::tempdir()?;
    let kept = std::env::args_os().nth(2).map(std::path::PathBuf::from);
    let path = kept.unwrap_or_else(|| temp.path().to_owned());
    let now = u64::try_from(SystemClock.now().wall_ns)? / 1_000_000_000;
    let plan = Plan {
        count: 24,
        ..Plan::hourly(now)
    };
    let keys = Keys::create(&path.join("keys"), plan, &Secrets::random()?)?;
    let evidence = path.join("evidence");
    let identity = Identity {
        hostname: b"bench".to_vec(),
        boot: "0b1a7b5e-6c6c-4a2e-9d2b-0d6c2c3f9f55".to_owned(),
        agent: [0; 32],
        probes: [0; 32],
    };
    let clock = Box::new(SystemClock);
    let mut writer = Writer::create(&evidence, identity, &Arc::new(keys), clock)?;

    let context = writer.artifact(b"{}")?;

    let start = (cpu(ClockId::ThreadCPUTime), cpu(ClockId::ProcessCPUTime));
    let mut building = 0;
    let mut path = String::new();
    let mut uid = String::new();
    for n in 0..records {
        if n % 4096 == 0 {
            // What filling the record in costs is not the writer's.
            let before = cpu(ClockId::ThreadCPUTime);
            for n in n..n + 4096 {
                std::hint::black_box(record(n, 0, &context, &mut path, &mut uid));
            }
            building += cpu(ClockId::ThreadCPUTime) - before;
        }
        writer.append(&record(
            n,
            writer.offset_ns(),
            &context,
            &mut path,
            &mut uid,
        ))?;
        if n % 100_000 == 0 {
            writer.commit(&Counters::default())?;
        }
    }
    let appended = cpu(ClockId::ThreadCPUTime) - start.0 - 2 * building;
    let recorder = cpu(ClockId::ThreadCPUTime) - start.0;
    let summary = writer.close(Reason::Shutdown)?;
    let sealed = cpu(ClockId::ProcessCPUTime) - start.1 - recorder;

    let bytes = size(&evidence)?;
    println!("{records} records in {} segments", summary.segments);
    println!("append  {:>6.0} ns per record", per(appended, records));
    println!("seal    {:>6.0} ns per record", per(sealed, records));
    println!("at rest {:>6.1} bytes per record", per(bytes, records));
    println!("memory  {:>6} kB at most", peak_kb()?);
    Ok(())
}

/// A mix of opens and closes by a few processes.
fn record<'a>(
    n: u64,
    offset: i64,
    context: &'a str,
    path: &'a mut String,
    uid: &'a mut String,
) -> Record<'a> {
    let time_ns = offset + SystemClock.now().boot_ns;
    let process = n / 5000 % 20;
    path.clear();
    let _ = write!(
        path,
        "/usr/lib/python3.11/site-packages/m{}.py",
        n / 2 % 3000
    );
    uid.clear();
    let _ = write!(uid, "5f0c9a3e-0d0e-8f57-8f1e-3c7a41f0{process:04x}");
    let common = Record {
        seq: Some(n),
        time: Some(time_ns.div_euclid(1000)),
        time_ns: Some(time_ns),
        origin: Some("kernel"),
        lineage: Some("5f0c9a3e-0d0e-4f57-8f1e-3c7a41f0b7aa"),
        lineage_seq: Some(n),
        cause: (n > 0).then(|| n / 5000 * 5000 / 2),
        context: Some(context),
        process_uid: Some(uid),
        exec: Some(1),
        pid: Some(4000 + process as i64),
        tid: Some(4000 + process as i64),
        comm: Some("python3"),
        exe: Some("/usr/bin/python3.11"),
        fd: Some(3),
        dev: Some(64769),
        ino: Some(1_000_000 + (n / 2 % 3000) as i64),
        path: Some(path),
        ..Record::default()
    };
    if n.is_multiple_of(2) {
        return Record {
            kind: Some("file.open"),
            result: Some(3),
            flags: Some(0o2_000_000),
            mode: Some(0o100_644),
            ..common
        };
    }
    Record {
        kind: Some("file.close"),
        result: Some(0),
        opened: Some(n - 1),
        bytes_read: Some(n * 7919 % 65_536),
        bytes_written: Some(0),
        closed_by: Some("close"),
        ..common
    }
}

fn cpu(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    (time.tv_sec * 1_000_000_000 + time.tv_nsec).unsigned_abs()
}

fn per(total: u64, records: u64) -> f64 {
    total as f64 / records as f64
}

fn size(path: &std::path::Path) -> std::io::Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        total += if metadata.is_dir() {
            size(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(total)
}

fn peak_kb() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(line
        .and_then(|line| line.split_whitespace().next())
        .ok_or("no VmHWM")?
        .parse()?)
}
