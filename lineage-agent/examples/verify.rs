//! What verifying costs next to only reading: CPU per record.
//!
//! `cargo run --release --example verify DIRECTORY`, with a directory the example `evidence` wrote
//! into.

use std::error::Error;
use std::fs::File;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use lineage_agent::evidence::keys::read_public;
use lineage_agent::evidence::segment::SegmentFile;
use lineage_agent::evidence::text::hex;
use lineage_agent::verify::{Options, Trust, verify};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rustix::time::{ClockId, clock_gettime};

fn main() -> Result<(), Box<dyn Error>> {
    let path = PathBuf::from(std::env::args_os().nth(1).ok_or("which directory?")?);
    let evidence = path.join("evidence");
    let (_, enrolment) = read_public(&path.join("keys"))?;
    let trust = Trust::parse(&[format!("root:{}", hex(&enrolment.root))])?;

    let mut files = Vec::new();
    find(&evidence, &mut files)?;
    for _ in 0..2 {
        let (rows, decoded) = timed(|| files.iter().map(decode).sum::<Result<u64, _>>())?;
        println!("decode columns  {:>6.0} ns per record", per(decoded, rows));
        let (rows, visited) = timed(|| files.iter().map(visit).sum::<Result<u64, _>>())?;
        println!("visit records   {:>6.0} ns per record", per(visited, rows));
        let options = Options {
            threads: NonZeroUsize::MIN,
            ..Options::default()
        };
        let (report, verified) = timed(|| Ok(verify(&evidence, &trust, &options, &|_, _| ())?))?;
        println!("verify          {:>6.0} ns per record", per(verified, rows));
        println!("{}, {} records", report.verdict, report.hosts[0].records);
    }
    Ok(())
}

/// Only what the Parquet library does.
fn decode(path: &PathBuf) -> Result<u64, Box<dyn Error>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    let mut rows = 0;
    for batch in reader.with_batch_size(4096).build()? {
        rows += batch?.num_rows() as u64;
    }
    Ok(rows)
}

/// Records built from the rows, without hashing.
fn visit(path: &PathBuf) -> Result<u64, Box<dyn Error>> {
    let mut rows = 0;
    SegmentFile::open(&File::open(path)?)?.records(|record| {
        rows += u64::from(std::hint::black_box(record).seq.is_some());
        ControlFlow::<()>::Continue(())
    })?;
    Ok(rows)
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "parquet")
        {
            files.push(path);
        }
    }
    Ok(())
}

/// The result of some work, and the CPU time of the process it took, nanoseconds.
fn timed<T>(work: impl FnOnce() -> Result<T, Box<dyn Error>>) -> Result<(T, u64), Box<dyn Error>> {
    let cpu = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        (time.tv_sec * 1_000_000_000 + time.tv_nsec).unsigned_abs()
    };
    let start = cpu();
    Ok((work()?, cpu() - start))
}

fn per(total: u64, records: u64) -> f64 {
    total as f64 / records.max(1) as f64
}
