//! What each command does: glue between the command line and the parts that do the work.

mod diff;
#[cfg(feature = "record")]
mod doctor;
#[cfg(feature = "record")]
mod exec;
mod export;
mod filters;
mod flows;
mod grant;
mod impact;
mod index;
mod key;
mod ls;
mod output;
mod policy;
mod prove;
#[cfg(feature = "record")]
mod recognisers;
#[cfg(feature = "record")]
mod record;
mod report;
mod screen;
mod seal;
mod show;
#[cfg(feature = "record")]
mod status;
mod timeline;
mod tree;
mod verify;
mod verify_proof;
mod why;

use std::{io::Write as _, path::Path, process::ExitCode};

use anyhow::bail;

use crate::{
    cli::{self, Command},
    evidence::escape::escape,
};

/// Exit status of wrong usage and of everything that could not be done.
const FAILED: u8 = 2;

/// Runs one command and gives its exit status.
#[must_use]
fn run(command: Command) -> ExitCode {
    let result = match command {
        #[cfg(feature = "record")]
        Command::Record(options) => return record::run(options),
        #[cfg(feature = "record")]
        Command::Exec(options) => return exec::run(&options),
        #[cfg(feature = "record")]
        Command::Reload(options) => exec::reload(&options),
        #[cfg(feature = "record")]
        Command::Doctor(options) => doctor::run(&options),
        #[cfg(feature = "record")]
        Command::Status(options) => status::run(&options),
        #[cfg(feature = "record")]
        Command::Recognisers(options) => recognisers::run(&options),
        Command::Ls(options) => ls::run(&options),
        Command::Show(options) => show::run(&options),
        Command::Tree(options) => tree::run(&options),
        Command::Timeline(options) => timeline::run(&options),
        Command::Diff(options) => diff::run(&options),
        Command::Why(options) => why::run(&options),
        Command::Impact(options) => impact::run(&options),
        Command::Index(options) => index::run(&options),
        Command::Report(options) => report::run(&options),
        Command::Export(options) => export::run(&options),
        Command::Prove(options) => prove::run(&options),
        Command::VerifyProof(options) => verify_proof::run(&options),
        Command::Seal(options) => seal::run(&options),
        Command::Key(options) => key::run(&options),
        Command::Grant(options) => grant::run(&options),
        Command::Policy(options) => policy::run(&options),
        Command::Verify(options) => verify::run(&options),
    };
    result.unwrap_or_else(|error| {
        complain(&error);
        ExitCode::from(FAILED)
    })
}

/// Says on standard error what could not be done, in one line with its causes.
fn complain(error: &anyhow::Error) {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        // Many errors already say what caused them.
        if !text.contains(&cause) {
            text += if text.is_empty() { "" } else { ": " };
            text += &cause;
        }
    }
    // Nothing can be done when standard error is gone.
    let _ = writeln!(
        std::io::stderr(),
        "lineage: cannot {}",
        visible(text.as_bytes())
    );
}

/// Refuses to write what is inside of the evidence: whoever verifies it would find a foreign file there.
fn refuse_inside(evidence: &Path, output: &Path) -> anyhow::Result<()> {
    let evidence = evidence.canonicalize();
    let mut places = output
        .ancestors()
        .map(|place| match place.as_os_str().is_empty() {
            true => Path::new("."),
            false => place,
        });
    let place = places.find_map(|place| place.canonicalize().ok());
    match (evidence, place) {
        (Ok(evidence), Some(place)) if place.starts_with(&evidence) => bail!(
            "write {}: it is inside of the evidence, which nothing may be added to",
            shown(output)
        ),
        _ => Ok(()),
    }
}

/// Says something on standard error that is no failure.
fn remark(text: &str) {
    // Nothing can be done when standard error is gone.
    let _ = writeln!(std::io::stderr(), "lineage: {text}");
}

/// Parses the command line and runs the command; gives the exit status.
#[must_use]
pub fn main() -> ExitCode {
    match cli::parse() {
        Ok(command) => run(command),
        Err(refused) => {
            let mut stderr = std::io::stderr().lock();
            for line in refused.text.lines() {
                // Nothing can be done when standard error is gone.
                let _ = writeln!(stderr, "{}", visible(line.as_bytes()));
            }
            ExitCode::from(refused.status)
        }
    }
}

/// A path, for a sentence.
fn shown(path: &Path) -> String {
    visible(path.as_os_str().as_encoded_bytes())
}

/// The command that completes a log.
#[cfg(feature = "record")]
fn seal_command(evidence: &Path, keys: &Path) -> String {
    let mut command = format!("lineage seal {}", shell_word(evidence));
    if !keys.as_os_str().is_empty() && keys != Path::new(cli::KEYS_DIR) {
        command += &format!(" --keys {}", shell_word(keys));
    }
    command
}

/// A path as a word that shells read as what it is.
#[cfg(feature = "record")]
fn shell_word(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+=:@%,".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return shown(path);
    }
    format!("$'{}'", escape(bytes).replace('\'', "\\'"))
}

/// Text that may hold foreign bytes (a path, a name) without terminal control characters.
fn visible(text: &[u8]) -> String {
    escape(text).replace("\\\\", "\\")
}
