//! `lineage verify`: check evidence: every record, signature and link.

use std::{io::Write as _, process::ExitCode};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};

use super::{screen, shown};
use crate::{
    cli,
    verify::{Options, Report, Requirement, Trust, verify},
};

/// Runs `lineage verify`; the exit status is the verdict's.
pub(super) fn run(options: &cli::Verify) -> anyhow::Result<ExitCode> {
    if options.evidence.is_file() {
        bail!(
            "verify {}: it is a file, and evidence is a directory; `lineage verify-proof` checks proofs",
            shown(&options.evidence)
        );
    }
    let mut trust = Trust::parse(&options.trust).context("use --trust")?;
    for witness in &options.witness {
        trust.add_witness(witness).context("use --witness")?;
    }
    let require = options
        .require
        .iter()
        .map(|word| word.parse::<Requirement>());
    let mut how = Options {
        require: require.collect::<Result<_, _>>().context("use --require")?,
        ..Options::default()
    };
    how.threads = options.threads.unwrap_or(how.threads);
    let bar = progress_bar();
    let report = verify(&options.evidence, &trust, &how, &|done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let report = report.with_context(|| format!("verify {}", super::shown(&options.evidence)))?;
    let text = if options.json {
        serde_json::to_string(&report)? + "\n"
    } else {
        screen::fitted(&report.text(), screen::terminal_columns(), Report::hang)
    };
    let mut out = std::io::stdout().lock();
    // Whoever reads only the beginning still gets the verdict's status.
    screen::ending(out.write_all(text.as_bytes()).and_then(|()| out.flush()))?;
    Ok(ExitCode::from(report.exit_code))
}

/// Shows itself on a terminal only, and goes without a trace.
fn progress_bar() -> ProgressBar {
    let style = "{bar:30} {human_pos}/{human_len} records checked, {eta} left";
    let style =
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}
