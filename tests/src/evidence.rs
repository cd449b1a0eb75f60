//! Reading evidence through the real binary, and the Parquet files and manifests without it: they
//! must agree.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use parquet::file::reader::SerializedFileReader;
use parquet::record::{Field, Row as StoredRow};
use serde_json::{Map, Value};

use crate::programs::LINEAGE;
use crate::rows::{Row, Rows};

/// An evidence directory and the key directory it was recorded with.
pub struct Evidence {
    /// The evidence.
    pub directory: PathBuf,
    /// The keys.
    pub keys: PathBuf,
}

/// The verdicts of `lineage verify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// `VERIFIED`
    Verified,
    /// `VERIFIED_WITH_LOSS`
    VerifiedWithLoss,
    /// `TAMPERED`
    Tampered,
    /// `INCOMPLETE`
    Incomplete,
    /// `UNVERIFIABLE`
    Unverifiable,
    /// `NOTHING_VERIFIED`
    NothingVerified,
}

/// What `lineage verify --json` said.
#[derive(Debug)]
pub struct Report {
    /// The verdict.
    pub verdict: Verdict,
    /// Its exit status.
    pub status: i32,
    /// The whole document.
    pub document: Value,
}

impl Evidence {
    /// Names the two directories.
    #[must_use]
    pub fn new(directory: PathBuf, keys: PathBuf) -> Self {
        Self { directory, keys }
    }

    /// The epoch root to trust, from the keys and not from the evidence.
    #[must_use]
    pub fn trust(&self) -> String {
        let mut command = Command::new(&*LINEAGE);
        let output = command
            .args(["key", "root", "--keys"])
            .arg(&self.keys)
            .output();
        let output = output.expect("the lineage binary runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).expect("text");
        text.trim().to_owned()
    }

    /// Runs `lineage verify`.
    #[must_use]
    pub fn verify(&self) -> Report {
        let output = Command::new(&*LINEAGE)
            .args(["verify", "--json", "--trust", &self.trust()])
            .arg(&self.directory)
            .output()
            .expect("the lineage binary runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let document: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("no JSON from verify: {error}\n{stderr}"));
        let verdict = match document["verdict"].as_str() {
            Some("VERIFIED") => Verdict::Verified,
            Some("VERIFIED_WITH_LOSS") => Verdict::VerifiedWithLoss,
            Some("TAMPERED") => Verdict::Tampered,
            Some("INCOMPLETE") => Verdict::Incomplete,
            Some("UNVERIFIABLE") => Verdict::Unverifiable,
            Some("NOTHING_VERIFIED") => Verdict::NothingVerified,
            other => panic!("unknown verdict {other:?}"),
        };
        let status = output.status.code().expect("verify is not killed");
        Report {
            verdict,
            status,
            document,
        }
    }

    /// A document of the evidence, by its digest.
    #[must_use]
    pub fn artifact(&self, digest: &str) -> Vec<u8> {
        let hosts = fs::read_dir(&self.directory).expect("the evidence");
        let mut places = hosts.map(|host| {
            host.expect("readable")
                .path()
                .join("artifacts")
                .join(digest)
        });
        let bytes = places.find_map(|place| fs::read(place).ok());
        let bytes = bytes.unwrap_or_else(|| panic!("no artifact {digest}"));
        assert_eq!(blake3::hash(&bytes).to_hex().as_str(), digest);
        bytes
    }

    /// All records, as `lineage ls --ndjson` prints them; those in the Parquet files must be the same.
    #[must_use]
    pub fn rows(&self) -> Rows {
        let mut stored = self.stored();
        let mut printed = Vec::new();
        let succeeded = self.print(|row| {
            let stored = stored.next().expect("ls and Parquet differ in length");
            assert_eq!(row, stored, "ls and Parquet differ");
            printed.push(row);
        });
        assert!(succeeded, "`lineage ls` fails");
        assert!(stored.next().is_none(), "ls and Parquet differ in length");
        Rows(printed)
    }

    /// The rows of all Parquet files, read without the agent's reader.
    fn stored(&self) -> impl Iterator<Item = Row> + use<> {
        let mut files = Vec::new();
        for host in self.hosts() {
            for date in entries(&host.join("events")) {
                files.extend(entries(&date));
            }
        }
        files.sort_by_key(|file| file.file_name().map(std::ffi::OsStr::to_os_string));
        files.into_iter().flat_map(|file| {
            let file = File::open(file).expect("readable");
            let reader = SerializedFileReader::new(file).expect("a Parquet file");
            let rows = reader.into_iter();
            rows.map(|row| stored_row(&row.expect("a row")))
        })
    }

    /// Frames the kernel counted as lost, by CPU, as the newest manifest has them; CPUs without any
    /// are left out.
    #[must_use]
    pub fn lost_by_cpu(&self) -> BTreeMap<i64, i64> {
        let mut lost = BTreeMap::new();
        for host in self.hosts() {
            let newest = entries(&host.join("manifests"))
                .into_iter()
                .max()
                .expect("a manifest");
            let manifest = fs::read_to_string(newest).expect("text");
            for line in manifest.lines() {
                let words: Vec<&str> = line.split(' ').collect();
                let ["cpu", cpu, _, _, _, _, _, kinds @ ..] = words.as_slice() else {
                    continue;
                };
                let number = |word: &str| word.parse::<i64>().expect("a number");
                // Of each kind: its name, frames produced, frames lost.
                let frames: i64 = kinds.chunks(3).map(|kind| number(kind[2])).sum();
                if frames > 0 {
                    lost.insert(number(cpu), frames);
                }
            }
        }
        lost
    }

    /// The directories of the hosts in the evidence.
    fn hosts(&self) -> Vec<PathBuf> {
        let entries = entries(&self.directory).into_iter();
        entries
            .filter(|path| path.to_string_lossy().contains("/host="))
            .collect()
    }

    /// The records that can be read while recording goes on; none when there is no evidence yet.
    #[must_use]
    pub fn so_far(&self) -> Option<Rows> {
        let mut rows = Vec::new();
        self.print(|row| rows.push(row)).then_some(Rows(rows))
    }

    /// Hands on what `lineage ls --ndjson` prints, row by row; whether it succeeded.
    fn print(&self, mut each: impl FnMut(Row)) -> bool {
        let mut command = Command::new(&*LINEAGE);
        command.arg("ls").arg(&self.directory).arg("--ndjson");
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the lineage binary runs");
        let printed = BufReader::new(child.stdout.take().expect("piped"));
        for line in printed.lines() {
            each(printed_row(&line.expect("text")));
        }
        child.wait().expect("our own child").success()
    }
}

/// What is in a directory; nothing when it is not there.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.expect("readable").path())
        .collect()
}

/// One row of a Parquet file, with what is JSON in a column as JSON.
fn stored_row(row: &StoredRow) -> Row {
    let mut fields = Map::new();
    for (name, field) in row.get_column_iter() {
        let value = match field {
            Field::Null => continue,
            Field::Long(number) | Field::TimestampMicros(number) => Value::from(*number),
            Field::Str(text) if name == "argv" || name == "detail" => {
                serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()))
            }
            Field::Str(text) => Value::from(text.as_str()),
            other => panic!("a column of another type: {name} {other:?}"),
        };
        fields.insert(name.clone(), value);
    }
    Row::new(fields)
}

/// One line of `--ndjson`, `time` as the microseconds it stands for.
fn printed_row(line: &str) -> Row {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(line) else {
        panic!("not a JSON object: {line}")
    };
    if let Some(time) = fields.get_mut("time") {
        *time = micros(time.as_str().expect("text")).into();
    }
    Row::new(fields)
}

/// Microseconds since 1970 of `2026-11-24T12:03:04.512345Z`.
fn micros(time: &str) -> i64 {
    let number = |range| {
        time.get(range)
            .and_then(|digits: &str| digits.parse::<i64>().ok())
    };
    let part = |range| number(range).unwrap_or_else(|| panic!("not a time: {time}"));
    // Days of the Gregorian calendar, years beginning in March so that the leap day is the last.
    let (year, month, day) = (part(0..4), part(5..7), part(8..10));
    let (years, months) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * years + years / 4 - years / 100 + years / 400 + (153 * months + 2) / 5 + day;
    let seconds = part(11..13) * 3600 + part(14..16) * 60 + part(17..19);
    // 719,469 of these days end with 1970-01-01.
    ((days - 719_469) * 86_400 + seconds) * 1_000_000 + part(20..26)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_understood() {
        assert_eq!(micros("1970-01-01T00:00:00.000000Z"), 0);
        assert_eq!(micros("2024-02-29T23:59:59.000001Z"), 1_709_251_199_000_001);
        assert_eq!(micros("2026-11-24T12:03:04.512345Z"), 1_795_521_784_512_345);
    }
}
