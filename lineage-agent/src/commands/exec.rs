//! `lineage exec`: run a command in a lineage of its own, under a grant that narrows the one that governs.

use std::{
    io::ErrorKind,
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, bail};

use super::{complain, shown};
use crate::{
    authority::chain::BUNDLE_BYTES_MAX,
    cli,
    evidence::{escape::escape, files},
    recorder::{
        control::{self, Answer, Question, VARIABLE},
        launch,
    },
};

/// Exit status when the command was not run, so that it is not taken for the command's.
const FAILED: u8 = 125;

/// Runs `lineage exec`: ends only when the command could not be run.
pub(super) fn run(options: &cli::Exec) -> ExitCode {
    let Err(error) = try_run(options);
    complain(&error);
    let launch = error.downcast_ref::<launch::LaunchError>();
    ExitCode::from(launch.map_or(FAILED, launch::LaunchError::exit_status))
}

fn try_run(options: &cli::Exec) -> anyhow::Result<std::convert::Infallible> {
    let (name, arguments) = options.command.split_first().context("run nothing")?;
    let program = launch::find(name)?;
    let grant = files::read_named(&options.grant, BUNDLE_BYTES_MAX as u64);
    let grant = String::from_utf8(grant.context("read the grant")?);
    let grant = grant.with_context(|| format!("use the grant in {}", shown(&options.grant)))?;
    let resolved = program.canonicalize();
    let resolved = resolved.with_context(|| format!("run {}", shown(&program)))?;
    let question = Question::Delegate {
        grant,
        program: escape(resolved.as_os_str().as_bytes()),
    };
    match ask(options.control.as_deref(), &question)? {
        Answer::Done(_) => {}
        Answer::Refused(why) => bail!("run {} under this grant: {why}", shown(&program)),
    }
    let mut command = Command::new(resolved);
    let error = command.arg0(name).args(arguments).exec();
    Err(error).with_context(|| format!("run {}", shown(&program)))
}

/// Asks the recorder that records this process.
fn ask(control: Option<&Path>, question: &Question) -> anyhow::Result<Answer> {
    let named = control.map(Path::to_owned);
    let named = named.or_else(|| std::env::var_os(VARIABLE).map(PathBuf::from));
    let path = named.with_context(|| {
        format!("find the recorder: {VARIABLE} is not set; name its socket with --control")
    })?;
    let answer = control::question(&path, question);
    answer.with_context(|| format!("ask the recorder at {}", shown(&path)))
}

/// Runs `lineage reload`.
pub(super) fn reload(options: &cli::Reload) -> anyhow::Result<ExitCode> {
    let wanted = std::path::absolute(&options.evidence);
    let wanted = wanted.with_context(|| format!("find {}", shown(&options.evidence)))?;
    let all = crate::recorder::status::told().context("look for recorders")?;
    let here = all
        .iter()
        .find(|told| told.runs && told.status.directory() == wanted);
    let Some(told) = here else {
        bail!(
            "reload what governs {}: nothing is recorded into it",
            shown(&options.evidence)
        );
    };
    let path = control::path_of(told.status.pid);
    match control::question(&path, &Question::Reload {}) {
        Ok(Answer::Done(what)) => super::screen::print(&format!("reloaded: {what}\n")),
        Ok(Answer::Refused(why)) => {
            bail!("reload what governs {}: {why}", shown(&options.evidence))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "reload what governs {}: it was recorded without --policy or --grant",
            shown(&options.evidence)
        ),
        Err(error) => Err(error).with_context(|| format!("ask the recorder at {}", shown(&path))),
    }
}
