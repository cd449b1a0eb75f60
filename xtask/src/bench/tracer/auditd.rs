//! The kernel's audit system, with a daemon and rules of our own that are gone afterwards.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::attached::Attached;
use super::{CALLS, Traced, Tracer, untraced_as};
use crate::bench::run::{Bench, remove, size};
use crate::bench::workload::Workload;
use crate::{packages, sh};

/// Marks what is audited: no account has this number.
const LOGINUID: &str = "4004004004";
/// Records that wait for the daemon, so that it is not the size of this that is measured.
const BACKLOG: &str = "65536";

pub(crate) struct Auditd {
    place: PathBuf,
}

impl Auditd {
    /// Only where nobody uses the audit system already: its rules are the whole host's. Otherwise says so.
    pub(crate) fn new(bench: &Bench, install: bool) -> Result<Option<Self>> {
        if install {
            packages::programs("comparing with auditd", &[("auditd", "auditd")])?;
        }
        let skip = |why: &str| {
            sh::say("Skipping", format!("auditd: {why}"));
            Ok(None)
        };
        if sh::find("auditd").is_none() {
            return skip("it is absent; `--install-peers`, or the package auditd");
        }
        let (Ok(status), Ok(rules)) = (control(&["-s"]), control(&["-l"])) else {
            return skip("the kernel has no audit system");
        };
        if value(&status, "pid") != Some(0.0) || rules.trim() != "No rules" {
            return skip("it is in use on this host");
        }
        let place = bench.place.join("audit");
        Ok(Some(Self { place }))
    }

    /// A daemon that writes all it gets and does nothing else.
    fn configure(&self) -> Result<()> {
        remove(&self.place)?;
        let plugins = self.place.join("plugins");
        fs::create_dir_all(&plugins)?;
        for directory in [&self.place, &plugins] {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o750))?;
        }
        let text = format!(
            "log_file = {}\nlog_format = RAW\nlog_group = root\nflush = INCREMENTAL_ASYNC\nfreq = 50\n\
             max_log_file = 4000\nmax_log_file_action = IGNORE\nspace_left = 75\nspace_left_action = IGNORE\n\
             admin_space_left = 50\nadmin_space_left_action = IGNORE\ndisk_full_action = IGNORE\n\
             disk_error_action = IGNORE\nplugin_dir = {}\n",
            self.log().display(),
            plugins.display()
        );
        let file = self.place.join("auditd.conf");
        fs::write(&file, text)?;
        Ok(fs::set_permissions(
            file,
            fs::Permissions::from_mode(0o640),
        )?)
    }

    fn log(&self) -> PathBuf {
        self.place.join("audit.log")
    }

    fn attached(&self, bench: &Bench, work: &Workload, tracer: &[String]) -> Result<Traced> {
        let wrap = bench.measured("canary.json", &["--loginuid", LOGINUID], &[]);
        let wrap: Vec<&str> = wrap.iter().map(String::as_str).collect();
        let output = self.place.join("auditd.out");
        let mut attached = Attached::start(bench, tracer, "TERM", &output)?;
        control(&["-b", BACKLOG])?;
        let auid = format!("auid={LOGINUID}");
        control(&[
            "-a",
            "always,exit",
            "-F",
            "arch=b64",
            "-S",
            CALLS,
            "-F",
            &auid,
        ])?;
        attached.canary(bench, "canary-begin", &wrap, &self.log())?;
        let lost = value(&control(&["-s"])?, "lost");
        let workload = untraced_as(bench, work, &["--loginuid", LOGINUID])?;
        attached.canary(bench, "canary-end", &wrap, &self.log())?;
        let lost_now = value(&control(&["-s"])?, "lost");
        let (cost, _) = attached.end(bench)?;
        Ok(Traced {
            command: tracer.join(" "),
            workload,
            cpu_ns: Some(cost.cpu_ns),
            peak_rss_bytes: Some(cost.peak_rss_bytes),
            lost: lost_now.zip(lost).map(|(now, then)| now - then),
            ..Traced::default()
        })
    }
}

impl Tracer for Auditd {
    fn name(&self) -> &str {
        "auditd"
    }

    fn records_the_same(&self) -> bool {
        true
    }

    fn run(&self, bench: &Bench, work: &Workload, count: bool) -> Result<Traced> {
        self.configure()?;
        let place = self.place.display().to_string();
        let tracer = ["auditd", "-n", "-s", "enable", "-c", &place].map(str::to_owned);
        let traced = self.attached(bench, work, &tracer);
        control(&["-D"])?;
        control(&["-e", "0"])?;
        let mut traced = traced?;
        let text = fs::read(self.log())?;
        let text = String::from_utf8_lossy(&text);
        let number = |sign: &str, path: &str| {
            let lines = text.lines();
            let lines = lines.filter(|line| line.starts_with(sign) && line.contains(path));
            Ok::<_, anyhow::Error>(f64::from(u32::try_from(lines.count())?))
        };
        traced.events = Some(number("type=SYSCALL", "")?);
        traced.bytes = Some(size(&self.log())?);
        if let Some((path, _)) = work.opens.filter(|_| count) {
            traced.found = Some(number("type=PATH", path)?);
        }
        Ok(traced)
    }

    /// New processes would be audited, by no rules, until the next boot; this is the rule against it.
    fn finish(&self) -> Result<()> {
        control(&["-a", "never,task"])?;
        sh::say(
            "Left",
            "one audit rule, `never,task`, without which calls stay slower until the next boot",
        );
        Ok(())
    }
}

fn control(words: &[&str]) -> Result<String> {
    let program = sh::find("auditctl").context("auditctl comes with auditd")?;
    sh::output(sh::command(program, words))
}

/// A number in what `auditctl -s` says.
fn value(status: &str, name: &str) -> Option<f64> {
    let mut lines = status.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(key, _)| *key == name)?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_by_its_whole_name() {
        let status = "enabled 0\nlost_since 4\nlost 7\n";
        assert_eq!(value(status, "lost"), Some(7.0));
        assert_eq!(value(status, "backlog"), None);
    }
}
