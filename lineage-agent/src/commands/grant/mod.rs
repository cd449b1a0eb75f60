//! `lineage grant`: make, narrow, inspect and take back grants.

mod inspect;
mod terms;

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write as _},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use jiff::Timestamp;

use super::{remark, screen, shown};
use crate::{
    authority::{
        files,
        revocation::{REASON_BYTES_MAX, Revocation},
        statement::{self, Subject},
        time::Time,
    },
    cli::grant as cli,
    evidence::keys::IssuerKey,
};

/// Runs `lineage grant …`.
pub(super) fn run(command: &cli::Grant) -> anyhow::Result<ExitCode> {
    match command {
        cli::Grant::Key { file } => key(file),
        cli::Grant::Issue(options) => terms::issue(options),
        cli::Grant::Narrow(options) => terms::narrow(options),
        cli::Grant::Inspect(options) => inspect::run(options),
        cli::Grant::Revoke(options) => revoke(options),
    }
}

fn key(path: &Path) -> anyhow::Result<ExitCode> {
    let key = match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let key = IssuerKey::create(path).context("make a key")?;
            remark(&format!("a new key is in {}: keep it", shown(path)));
            key
        }
        _ => IssuerKey::open(path).context("read the key")?,
    };
    screen::print(&format!("{}\n", key.public()))
}

/// This moment.
fn now() -> anyhow::Result<Time> {
    let now = Time::from_seconds(Timestamp::now().as_second());
    now.context("use a clock that is thousands of years off")
}

/// Writes a document to its own new file, or to standard output.
pub(super) fn write(output: Option<&Path>, text: &str) -> anyhow::Result<ExitCode> {
    let Some(path) = output else {
        return screen::print(text);
    };
    let what = || format!("write {}", shown(path));
    let create = OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = match create {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{}: it is there already", what())
        }
        create => create.with_context(what)?,
    };
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    if written.is_err() {
        // Half of a document is none.
        let _ = std::fs::remove_file(path);
    }
    written.with_context(what)?;
    Ok(ExitCode::SUCCESS)
}

fn revoke(options: &cli::Revoke) -> anyhow::Result<ExitCode> {
    let chain = files::chain(&options.grant)?;
    let key = IssuerKey::open(&options.key).context("read the key")?;
    if options.reason.len() > REASON_BYTES_MAX {
        bail!("give a reason of more than {REASON_BYTES_MAX} bytes");
    }
    let issuer = key.public();
    if chain
        .links()
        .iter()
        .all(|grant| grant.predicate.issuer != issuer)
    {
        bail!(
            "take back the grant in {} with the key {issuer}: only who issued it, or one above it, can",
            shown(&options.grant)
        );
    }
    let grant = chain.last();
    let subject = Subject::new(
        grant.predicate.purpose.text.clone(),
        &grant.envelope.payload,
    );
    let revocation = Revocation {
        issuer,
        revoked_at: now()?,
        reason: options.reason.clone(),
    };
    let text = statement::sign(vec![subject], revocation, &key) + "\n";
    write(options.output.as_deref(), &text)
}
