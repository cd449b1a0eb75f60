//! `lineage record`: record a command, or running processes, and all their descendants.

use std::{
    cell::RefCell,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use lineage_common::tier::Tier;
use serde_json::json;

use super::{complain, key, remark, seal_command, shell_word, shown};
use crate::{
    authority::files,
    cli,
    counted::counted,
    evidence::{
        epoch::EPOCHS_MAX,
        keys::{KeyError, Keys},
    },
    lineage::{left_out::LeftOut, variables},
    probe,
    recorder::{
        DigestRequest, Left, News, Outcome, RecordError, Request, Why, authority::Files, prepare,
        record,
    },
};

/// Exit status when recording itself failed, so that it is not taken for the command's.
const FAILED: u8 = 125;
/// A user is warned when this part of the time the keys were made for is left: a month of a year.
const EXPIRY_PART: u64 = 12;
const SECONDS_PER_DAY: u64 = 86_400;
/// Open files this needs: some 70 all the time, and more while processes are found and files are read.
const DESCRIPTORS_MIN: u64 = 128;
/// Most directories that begin in the same second here.
const NAMES_MAX: u32 = 1000;
/// Hourly epochs enrolled when keys are made on first use: a year.
const EPOCHS: u32 = 8760;
const _: () = assert!(EPOCHS <= EPOCHS_MAX);

/// Runs `lineage record` and gives the exit status to end with.
pub(super) fn run(options: cli::Record) -> ExitCode {
    let say = Say::new(&options);
    match try_run(options, &say) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            say.warnings.take().iter().for_each(|text| remark(text));
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

fn try_run(options: cli::Record, say: &Say) -> anyhow::Result<u8> {
    let (output, _named) = match &options.output {
        Some(output) => (output.clone(), None),
        None => {
            let named = Named::by_time()?;
            (named.0.clone(), Some(named))
        }
    };
    let (keys_dir, wait) = (options.keys.dir.clone(), options.digest_wait);
    let request = requested(options, output)?;
    require_descriptors()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the recorder")?;
    let ready = prepare(&request)?;
    let keys = Arc::new(keys(&keys_dir, say)?);
    let mut reading = Reading::new(say, wait);
    let mut begun = false;
    let tell = |news| match news {
        News::Started => {
            begun = true;
            warn_of_expiry(&keys, say);
            started(&request, say);
        }
        News::Warning(warning) => say.warn(&warning),
        News::Waiting(running) => say.line(&format!(
            "the command has ended, but {}: Ctrl-C stops recording (--until-exit would have)",
            processes(running, &request)
        )),
        News::Reading(left) => reading.show(&left),
        News::Read => reading.end(),
    };
    let outcome = runtime.block_on(record(&request, ready, &keys, tell));
    let outcome = outcome.map_err(|error| match error {
        RecordError::Launch(_) => error.into(),
        error if begun => left_unsealed(&error, &request, &keys_dir),
        error => error.into(),
    })?;
    let pin = key::pin(keys.enrolment());
    if say.json {
        let summary = summary(&request.output, &outcome, &pin, &say.warnings.take());
        let _ = writeln!(std::io::stderr(), "{summary}");
    } else if say.quiet {
        lost(&outcome).for_each(|text| remark(&text));
    } else {
        remark(&report(&request, &keys_dir, &outcome, &pin));
    }
    Ok(outcome.ending.exit_status())
}

/// What is to be recorded, as the command line has it.
fn requested(options: cli::Record, output: PathBuf) -> anyhow::Result<Request> {
    let left_out = LeftOut::of(&options.leave_out)?;
    let authority = governed(&options)?;
    Ok(Request {
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
            governs: authority.is_some(),
            require_tier: options.require_tier.unwrap_or(Tier::Trace),
            ..probe::Options::default()
        },
        left_out,
        digests: (!options.no_digests).then_some(DigestRequest {
            patterns: options.digest,
            wait: Duration::from_secs(options.digest_wait),
        }),
        authority,
    })
}

/// What governs, if anything does.
fn governed(options: &cli::Record) -> anyhow::Result<Option<Files>> {
    if options.policies.is_empty() {
        return Ok(None);
    }
    let trusted = options.trust.iter().map(|text| files::public_key(text));
    Ok(Some(Files {
        grant: options.grant.clone(),
        policies: options.policies.clone(),
        revocations: options.revocations.clone(),
        trusted: trusted.collect::<Result<_, _>>()?,
        enforce: options.mode == cli::Mode::Enforce,
    }))
}

/// An error that ended recording on the way, and what that leaves.
fn left_unsealed(error: &RecordError, request: &Request, keys: &Path) -> anyhow::Error {
    let seal = seal_command(&request.output, keys);
    anyhow::anyhow!(
        "{error}; what still runs goes on unrecorded, `{seal}` completes what was written"
    )
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
        let line = if say.quiet || say.json {
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
                    "reading {}, at most {} s: Ctrl-C ends that",
                    counted(left.files, "file for its digest", "files for their digests"),
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
            say.warn(&format!(
                "made the keys of this host in {}; pin this root elsewhere: {}",
                shown(dir),
                key::pin(keys.enrolment())
            ));
            Ok(keys)
        }
        Err(error) => Err(error).with_context(|| format!("use the keys in {}", shown(dir))),
    }
}

/// A directory named by the time, here, that was not there before. It goes when nothing was put into it.
struct Named(PathBuf);

impl Named {
    fn by_time() -> anyhow::Result<Self> {
        let name = Timestamp::now().strftime("lineage-%Y%m%dT%H%M%SZ");
        let mut path = PathBuf::from(name.to_string());
        for number in 2..=NAMES_MAX {
            match std::fs::create_dir(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    path = PathBuf::from(format!("{name}-{number}"));
                }
                made => {
                    made.with_context(|| format!("record into {}", shown(&path)))?;
                    return Ok(Self(path));
                }
            }
        }
        anyhow::bail!("record into {}: it is there already", shown(&path))
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // Only an empty one can be removed so.
        let _ = std::fs::remove_dir(&self.0);
    }
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
fn report(request: &Request, keys: &Path, outcome: &Outcome, pin: &str) -> String {
    let summary = &outcome.summary;
    let mut text = format!(
        "{} in {}: {}",
        counted(summary.records, "record", "records"),
        counted(summary.segments, "sealed segment", "sealed segments"),
        shown(&request.output)
    );
    if !outcome.decisions.is_empty() {
        text += &format!("\nlineage: decisions: {}", outcome.decisions);
    }
    for lost in lost(outcome) {
        text += &format!("\nlineage: {lost}");
    }
    if outcome.ending.running > 0 {
        let why = match outcome.ending.why {
            Why::Signal(_) => "stopped by a signal",
            Why::CommandEnded => "the command has ended",
            Why::Ended => "ended",
        };
        text += &format!(
            "\nlineage: {why}; {}, from here on {}",
            processes(outcome.ending.running, request),
            match request.authority {
                Some(_) => "unrecorded and held to no policy",
                None => "unrecorded",
            }
        );
    }
    if request.append {
        let seal = seal_command(&request.output, keys);
        text += &format!("\nlineage: the log is open: `{seal}` completes it");
    }
    let evidence = shell_word(&request.output);
    text += &format!("\nlineage: next: lineage tree {evidence}");
    if !outcome.decisions.is_empty() && !outcome.decisions.all_allowed() {
        text += &format!("\nlineage:       lineage ls {evidence} --decision deny");
    }
    text += &format!("\nlineage:       lineage verify {evidence} --trust {pin}");
    // Whoever trusts nobody to issue grants sees a break where they begin.
    for issuer in request.authority.iter().flat_map(|files| &files.trusted) {
        text += &format!(" --trust {issuer}");
    }
    text
}

/// What is said of events that were lost, and of what else is missing.
fn lost(outcome: &Outcome) -> impl Iterator<Item = String> {
    let events = counted(outcome.lost, "event", "events");
    let text = format!("{events} LOST: the rings were full; the evidence says how many");
    let lost = (outcome.lost > 0).then_some(text);
    let missing = outcome.missing.told().map(|missed| missed.to_string());
    lost.into_iter().chain(missing)
}

/// How many processes run, in words: those of the command, unless others were recorded as well.
fn processes(running: usize, request: &Request) -> String {
    if request.pids.is_empty() {
        counted(
            running,
            "process of it still runs",
            "processes of it still run",
        )
    } else {
        counted(
            running,
            "recorded process still runs",
            "recorded processes still run",
        )
    }
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
        say.warn(&format!(
            "the keys of this host end {when}, and recording with them: make others in another \
             directory (`lineage key new --keys DIR`) and pin their root"
        ));
    }
}

/// The same for machines.
fn summary(output: &Path, outcome: &Outcome, pin: &str, warnings: &[String]) -> serde_json::Value {
    json!({
        "evidence": output.to_string_lossy(),
        "log": outcome.summary.origin.to_string(),
        "records": outcome.summary.records,
        "segments": outcome.summary.segments,
        "lost": outcome.lost,
        "missing": outcome.missing,
        "decisions": outcome.decisions,
        "running": outcome.ending.running,
        "exit_status": outcome.ending.exit_status(),
        "root": pin,
        "warnings": warnings,
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
    json: bool,
    /// What is wrong, for the object at the end.
    warnings: RefCell<Vec<String>>,
}

impl Say {
    fn new(options: &cli::Record) -> Self {
        Self {
            quiet: options.quiet,
            json: options.json,
            warnings: RefCell::default(),
        }
    }

    /// Says something that need not be known.
    fn line(&self, text: &str) {
        if !self.quiet && !self.json {
            remark(text);
        }
    }

    /// Says something that must be known.
    fn warn(&self, text: &str) {
        if self.json {
            self.warnings.borrow_mut().push(text.to_owned());
        } else {
            remark(text);
        }
    }
}
