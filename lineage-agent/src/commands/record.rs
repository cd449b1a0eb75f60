//! `lineage record`: record a command, or running processes, and all their descendants.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde_json::json;

use super::{complain, key, remark, shown};
use crate::{
    cli,
    counted::counted,
    evidence::{
        epoch::EPOCHS_MAX,
        escape::escape,
        keys::{KeyError, Keys},
    },
    lineage::{left_out::LeftOut, variables},
    probe,
    recorder::{DigestRequest, Left, News, Outcome, RecordError, Request, Why, prepare, record},
};

/// Exit status when recording itself failed, so that it is not taken for the command's.
const FAILED: u8 = 125;
/// A user is warned when this part of the time the keys were made for is left: a month of a year.
const EXPIRY_PART: u64 = 12;
const SECONDS_PER_DAY: u64 = 86_400;
/// Open files this needs, with room to spare.
const DESCRIPTORS_MIN: u64 = 64;
/// Hourly epochs enrolled when keys are made on first use: a year.
const EPOCHS: u32 = 8760;
const _: () = assert!(EPOCHS <= EPOCHS_MAX);

/// Runs `lineage record` and gives the exit status to end with.
pub(super) fn run(options: cli::Record) -> ExitCode {
    match try_run(options) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            complain(&error);
            let launch = error
                .downcast_ref::<RecordError>()
                .and_then(|error| match error {
                    RecordError::Launch(launch) => Some(launch.exit_status()),
                    _ => None,
                });
            ExitCode::from(launch.unwrap_or(FAILED))
        }
    }
}

fn try_run(options: cli::Record) -> anyhow::Result<u8> {
    let say = Say {
        quiet: options.quiet || options.json,
    };
    let left_out = LeftOut::of(&options.leave_out)?;
    let output = options.output.unwrap_or_else(default_output);
    let request = Request {
        output,
        append: options.append,
        command: options.command,
        pids: options.pids,
        until_exit: options.until_exit,
        recognisers: options.recognisers,
        environment: match options.environment {
            cli::Environment::Names => variables::Shown::Names,
            cli::Environment::Values => variables::Shown::Values,
            cli::Environment::None => variables::Shown::Nothing,
        },
        probes: probe::Options {
            control_ring_bytes: options.control_ring,
            bulk_ring_bytes: options.bulk_ring,
            left_out: left_out.calls.clone(),
            ..probe::Options::default()
        },
        left_out,
        digests: (!options.no_digests).then_some(DigestRequest {
            patterns: options.digest,
            wait: Duration::from_secs(options.digest_wait),
        }),
    };
    require_descriptors()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the recorder")?;
    let ready = prepare(&request)?;
    let keys = Arc::new(keys(&options.keys.dir, &say)?);
    let mut reading = Reading::new(&say, options.digest_wait);
    let tell = |news| match news {
        News::Started => {
            warn_of_expiry(&keys, &say);
            started(&request, &say);
        }
        News::Warning(warning) => say.line(&warning),
        News::Waiting(running) => say.line(&format!(
            "the command has ended, but {}: Ctrl-C stops recording (--until-exit would have)",
            processes(running)
        )),
        News::Reading(left) => reading.show(&left),
        News::Read => reading.end(),
    };
    let outcome = runtime.block_on(record(&request, ready, &keys, tell))?;
    let pin = key::pin(keys.enrolment());
    if options.json {
        let _ = writeln!(
            std::io::stderr(),
            "{}",
            summary(&request.output, &outcome, &pin)
        );
    } else {
        say.line(&report(&request.output, &outcome, &pin));
    }
    Ok(outcome.ending.exit_status())
}

/// What is shown while files are read for their digests at the end: a line that changes on a terminal,
/// one sentence elsewhere.
struct Reading<'a> {
    say: &'a Say,
    wait: u64,
    line: ProgressBar,
    said: bool,
}

impl<'a> Reading<'a> {
    fn new(say: &'a Say, wait: u64) -> Self {
        let style = ProgressStyle::with_template("{wide_msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let line = if say.quiet {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(0)
        };
        Self {
            say,
            wait,
            line: line.with_style(style),
            said: false,
        }
    }

    fn show(&mut self, left: &Left) {
        if self.line.is_hidden() {
            if !std::mem::replace(&mut self.said, true) {
                self.say.line(&format!(
                    "reading {} for their digests, at most {} s: Ctrl-C ends that",
                    counted(left.files, "file", "files"),
                    self.wait
                ));
            }
            return;
        }
        let percent = left.bytes.saturating_mul(100) / left.size.max(1);
        self.line.set_message(format!(
            "lineage: hashing {} of {}: {} {percent} % (Ctrl-C ends that)",
            left.file, left.files, left.name
        ));
    }

    fn end(&self) {
        self.line.finish_and_clear();
    }
}

/// Probes, rings, evidence and keys are descriptors; some libraries panic without.
fn require_descriptors() -> anyhow::Result<()> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    match limit {
        Some(limit) if limit < DESCRIPTORS_MIN => anyhow::bail!(
            "record with at most {limit} open files: {DESCRIPTORS_MIN} are needed (`ulimit -n`)"
        ),
        _ => Ok(()),
    }
}

/// Opens the keys, or makes them on first use.
fn keys(dir: &Path, say: &Say) -> anyhow::Result<Keys> {
    match Keys::open(dir) {
        Ok(keys) => Ok(keys),
        Err(KeyError::Missing(_)) => {
            let keys = key::create(dir, EPOCHS)?;
            say.line(&format!(
                "made the keys of this host in {}; pin this root elsewhere: {}",
                shown(dir),
                key::pin(keys.enrolment())
            ));
            Ok(keys)
        }
        Err(error) => Err(error).with_context(|| format!("use the keys in {}", shown(dir))),
    }
}

/// A directory named by the time, here.
fn default_output() -> PathBuf {
    PathBuf::from(format!(
        "lineage-{}",
        Timestamp::now().strftime("%Y%m%dT%H%M%SZ")
    ))
}

fn started(request: &Request, say: &Say) {
    if request.command.is_empty() {
        say.line(&format!(
            "recording into {}; Ctrl-C stops and seals",
            shown(&request.output)
        ));
    }
}

/// The closing words for people.
fn report(output: &Path, outcome: &Outcome, pin: &str) -> String {
    let summary = &outcome.summary;
    let mut text = format!(
        "{} in {}: {}",
        counted(summary.records, "record", "records"),
        counted(summary.segments, "sealed segment", "sealed segments"),
        shown(output)
    );
    if outcome.lost > 0 {
        text += &format!(
            "\nlineage: {} LOST: the rings were full; the evidence says how many",
            counted(outcome.lost, "event", "events")
        );
    }
    for missed in outcome.missing.told() {
        text += &format!("\nlineage: {missed}");
    }
    if outcome.ending.running > 0 {
        let why = match outcome.ending.why {
            Why::Signal(_) => "stopped by a signal",
            Why::CommandEnded => "the command has ended",
            Why::Ended => "ended",
        };
        text += &format!(
            "\nlineage: {why}; {}, from here on unrecorded",
            processes(outcome.ending.running)
        );
    }
    text + &format!(
        "\nlineage: next: lineage tree {0}\nlineage:       lineage verify {0} --trust {pin}",
        shell_word(output)
    )
}

/// How many processes run, in words.
fn processes(running: usize) -> String {
    counted(
        running,
        "process of it still runs",
        "processes of it still run",
    )
}

/// Warns when the keys last only so long: recording ends with them.
fn warn_of_expiry(keys: &Keys, say: &Say) {
    let enrolment = keys.enrolment();
    let (_, end) = enrolment.window(enrolment.count.saturating_sub(1));
    let now = u64::try_from(Timestamp::now().as_second()).unwrap_or(0);
    let left = end.saturating_sub(now);
    if left < (end - enrolment.start) / EXPIRY_PART {
        let when = match left / SECONDS_PER_DAY {
            0 => "within a day".to_owned(),
            days => format!("in {}", counted(days, "day", "days")),
        };
        say.line(&format!(
            "the keys of this host end {when}, and recording with them: make others in another \
             directory (`lineage key new --keys DIR`) and pin their root"
        ));
    }
}

/// A path as a word that shells read as what it is.
fn shell_word(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+=:@%,".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return shown(path);
    }
    format!("$'{}'", escape(bytes).replace('\'', "\\'"))
}

/// The same for machines.
fn summary(output: &Path, outcome: &Outcome, pin: &str) -> serde_json::Value {
    json!({
        "evidence": output.to_string_lossy(),
        "log": outcome.summary.origin.to_string(),
        "records": outcome.summary.records,
        "segments": outcome.summary.segments,
        "lost": outcome.lost,
        "missing": outcome.missing,
        "running": outcome.ending.running,
        "exit_status": outcome.ending.exit_status(),
        "root": pin,
        "peak_rss_bytes": peak_rss_bytes(),
    })
}

/// The most memory this process has had resident so far (`VmHWM`, proc_pid_status(5)).
fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Where remarks go: standard error, unless nobody wants them.
struct Say {
    quiet: bool,
}

impl Say {
    fn line(&self, text: &str) {
        if !self.quiet {
            remark(text);
        }
    }
}
