//! `lineage diff`: what two runs did differently.

use std::io::{self, BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use super::{filters, remark, screen, shown};
use crate::cli;
use crate::evidence::error::Error;
use crate::review::diff::{Diff, Run, Shown};

/// Exit status when the runs did not do the same.
const DIFFERENT: u8 = 1;

/// Runs `lineage diff`.
pub(super) fn run(options: &cli::review::Diff) -> anyhow::Result<ExitCode> {
    let mut missing = None;
    let mut read = |path: &Path| {
        let (run, problem) = gather(path, options)?;
        missing = missing.take().or(problem);
        anyhow::Ok(run)
    };
    let (before, after) = (read(&options.before)?, read(&options.after)?);
    let nothing = before.is_empty() && after.is_empty();
    if !(nothing || before.is_comparable() || after.is_comparable()) {
        bail!(
            "compare such records: what is compared is told by those of programs, opens, removals, connections and denials (-k exec,open,unlink,connect,accept)"
        );
    }
    let diff = Diff::new(before, after);
    let mut out = BufWriter::new(io::stdout().lock());
    let written = if options.json {
        out.write_all(screen::json(&diff.json()).as_bytes())
    } else {
        let names = [&options.before, &options.after].map(|path| shown(path));
        let most = if options.all {
            usize::MAX
        } else {
            options.most
        };
        let [before, after] = &names;
        let names = [before.as_str(), after.as_str()];
        diff.write(
            &mut out,
            screen::of_stdout(options.colour),
            Shown { names, most },
        )
    };
    let written = written.and_then(|()| out.flush());
    // What could be compared is shown before it is said that there is more.
    if let Some(missing) = missing {
        return Err(missing).context("compare all records");
    }
    screen::ending(written)?;
    if diff.is_empty() {
        if nothing {
            filters::remark_nothing(&options.filters);
        } else if !options.json {
            remark("both did the same");
        }
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(DIFFERENT))
}

/// What a run did, and what of its evidence is missing.
fn gather(path: &Path, options: &cli::review::Diff) -> anyhow::Result<(Run, Option<Error>)> {
    let evidence = screen::open(path)?;
    let filter = filters::filter(&options.filters, &evidence)?;
    let mut run = Run::new(options.exact, filter);
    let mut missing = None;
    for host in evidence.hosts() {
        run.host(&host.id().to_string());
        let visited = host.records(|record| {
            run.record(record);
            ControlFlow::<()>::Continue(())
        });
        missing = missing.or(visited.err());
    }
    Ok((run, missing))
}

#[cfg(test)]
mod tests {
    use crate::review::diff::RULES;

    #[test]
    fn the_help_lists_every_rule() {
        let help = crate::cli::review::DIFF_RULES;
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        for (name, what) in RULES {
            assert!(
                words(help).contains(&words(&format!("{name} {what}"))),
                "{name}"
            );
        }
    }
}
