//! `lineage tree`: show the process tree.

use std::io::{self, BufWriter, Write as _};
use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::Context as _;

use super::{remark, screen};
use crate::cli;
use crate::review::tree::{Tree, TreeOptions};

/// Runs `lineage tree`.
pub(super) fn run(options: &cli::Tree) -> anyhow::Result<ExitCode> {
    let evidence = screen::open(&options.evidence)?;
    let mut tree = Tree::new(tree_options(options));
    let mut read = Ok(());
    for host in evidence.hosts() {
        tree.host(&host.id().to_string());
        let visited = host.records(|record| {
            tree.record(record);
            ControlFlow::<()>::Continue(())
        });
        // What other hosts have is shown all the same.
        read = read.and(visited.map(drop));
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let written = if options.json {
        tree.write_json(&mut out)
    } else {
        tree.write(&mut out, screen::of_stdout(options.colour))
    };
    let written = written.and_then(|()| out.flush());
    // What could be read is shown before it is said that there is more.
    read.context("read all records")?;
    if !options.json && tree.is_empty() {
        remark("there is no such process");
    }
    screen::ending(written)
}

fn tree_options(options: &cli::Tree) -> TreeOptions {
    let wanted = if options.all {
        TreeOptions::all()
    } else {
        TreeOptions {
            files_max: options.most,
            sockets_max: options.most,
            ..TreeOptions::default()
        }
    };
    TreeOptions {
        depth_max: options.depth,
        pids: options.pid.clone(),
        ..wanted
    }
}
