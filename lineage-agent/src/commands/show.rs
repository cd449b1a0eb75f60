//! `lineage show`: one record with all its fields.

use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;

use super::screen;
use crate::authority::grant::Grant;
use crate::authority::statement;
use crate::cli;
use crate::review::show::{Granted, Show};

/// Runs `lineage show`.
pub(super) fn run(options: &cli::review::Show) -> anyhow::Result<ExitCode> {
    let evidence = screen::open(&options.event.evidence)?;
    let (host, event) = screen::event(&options.event)?.find(&evidence)?;
    let mut show = Show::new(host, event, read_grant)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let written = if options.json {
        out.write_all(screen::json(&show.json()).as_bytes())
    } else {
        show.write(&mut out, screen::of_stdout(options.colour))
    };
    let written = written.and_then(|()| out.flush());
    // What could be found is shown before it is said that there may be more.
    if let Some(missing) = show.take_missing() {
        return Err(missing).context("read all of the evidence, so something may be missing above");
    }
    screen::ending(written)
}

/// What the envelope of a grant says.
fn read_grant(envelope: &[u8]) -> Result<Granted, String> {
    let grant = statement::parse::<Grant>(envelope).map_err(|error| error.to_string())?;
    Ok(Granted {
        id: grant.id.to_string(),
        purpose: grant.predicate.purpose.text,
        issuer: grant.predicate.issuer.to_string(),
        from: grant.predicate.not_before.to_string(),
        until: grant.predicate.not_after.to_string(),
    })
}
