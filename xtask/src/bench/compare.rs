//! What recording costs a workload, next to what other tracers cost it.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::Tables;
use super::figure::{Budget, Figure};
use super::matrix::{Row, Spread, Table};
use super::options::Options;
use super::run::{Bench, Cost};
use super::tracer::auditd::Auditd;
use super::tracer::bpftrace::Bpftrace;
use super::tracer::lineage::Lineage;
use super::tracer::other::Other;
use super::tracer::snoop::Snoop;
use super::tracer::strace::Strace;
use super::tracer::{Tracer, untraced};
use super::workload::{self, Workload};
use crate::{packages, sh};

const OBSERVES: &str = "lineage";
const GOVERNS: &str = "lineage, policy";
const MANY_RULES: &str = "lineage, 5000 rules";

/// Runs of a tracer that has nothing to do.
const IDLE_RUNS: usize = 3;

/// What must be reached.
mod budget {
    use super::Budget;

    /// CPU time of a compilation with `make -j`, traced to untraced.
    pub(super) const COMPILE: Budget = Budget::AtMost {
        limit: 1.05,
        aim: 1.02,
    };
    /// Of open and close, likewise.
    pub(super) const OPEN: Budget = Budget::AtMost {
        limit: 1.48,
        aim: 1.35,
    };
    /// Of a write and a read of one byte, likewise.
    pub(super) const TRANSFER: Budget = Budget::at_most(1.6);
    /// Of open and close under a policy, to recorded without one.
    pub(super) const VERDICT: Budget = Budget::at_most(1.2);
    /// Of that under five thousand rules, to under five.
    pub(super) const RULES: Budget = Budget::at_most(1.3);
    /// What is added to open and close, to what the best peer that records the same adds.
    pub(super) const PEERS: Budget = Budget::AtMost {
        limit: 1.0,
        aim: 0.7,
    };
}

/// Measures all workloads under all tracers.
pub(super) fn measure(options: &Options) -> Result<Tables> {
    let bench = Bench::new()?;
    let tracers = tracers(&bench, options)?;
    let idle = idle(&bench, &tracers)?;
    let mut tables = Vec::new();
    for name in workload::NAMES {
        if !options.wants_workload(name) {
            continue;
        }
        let work = Workload::named(name, &bench)?;
        let table = table(&bench, &work, &tracers, &idle, options.rounds)?;
        println!("{}", table.shown());
        tables.push(table);
    }
    for tracer in &tracers {
        tracer.finish()?;
    }
    let json = tables.iter().map(Table::json).collect();
    Ok((figures(&tables), json))
}

/// All that can look on here.
fn tracers(bench: &Bench, options: &Options) -> Result<Vec<Box<dyn Tracer>>> {
    const OPENS: &[&str] = &["compile", "git", "agent", "open", "mixed"];
    const EXECS: &[&str] = &["compile", "git", "agent", "exec", "mixed"];
    let mut tracers: Vec<Box<dyn Tracer>> = vec![
        Box::new(Lineage::observe()),
        Box::new(Lineage::governed(bench, GOVERNS, 5, None)?),
        Box::new(Lineage::governed(bench, MANY_RULES, 5000, Some("open"))?),
    ];
    let snoop = |program, suits| Box::new(Snoop { program, suits });
    let peers: [(&str, &str, Box<dyn Tracer>); 4] = [
        ("strace", "strace", Box::new(Strace)),
        ("bpftrace", "bpftrace", Box::new(Bpftrace)),
        ("opensnoop", "libbpf-tools", snoop("opensnoop", OPENS)),
        ("execsnoop", "libbpf-tools", snoop("execsnoop", EXECS)),
    ];
    if options.install_peers {
        let wanted = peers
            .each_ref()
            .map(|(program, package, _)| (*program, *package));
        packages::programs("comparing with peers", &wanted)?;
    }
    for (program, package, tracer) in peers {
        if sh::find(program).is_some() {
            tracers.push(tracer);
        } else {
            sh::say(
                "Skipping",
                format!("{program}, which is absent: `--install-peers`, or the package {package}"),
            );
        }
    }
    if options.audit {
        let auditd = Auditd::new(bench, options.install_peers)?;
        tracers.extend(auditd.map(|auditd| Box::new(auditd) as Box<dyn Tracer>));
    }
    for (name, program) in &options.peers {
        tracers.push(Box::new(Other {
            name: name.clone(),
            program: PathBuf::from(program),
        }));
    }
    let here: Vec<String> = tracers
        .iter()
        .map(|tracer| tracer.name().to_owned())
        .collect();
    if let Some((at, twice)) = here
        .iter()
        .enumerate()
        .find(|(at, name)| here[..*at].contains(name))
    {
        bail!(
            "tracer {} has the name `{twice}`, as another one has: give it one of its own",
            at + 1
        );
    }
    options.knows_tracers(&here)?;
    tracers.retain(|tracer| options.wants_tracer(tracer.name()));
    Ok(tracers)
}

/// CPU time of each tracer that has nothing to do.
fn idle(bench: &Bench, tracers: &[Box<dyn Tracer>]) -> Result<Vec<Option<f64>>> {
    let nothing = Workload::nothing(bench);
    let idle = tracers.iter().map(|tracer| {
        sh::say("Measuring", format!("start and end of {}", tracer.name()));
        let runs = (0..IDLE_RUNS).map(|_| Ok(tracer.run(bench, &nothing, false)?.cpu_ns));
        let runs: Option<Vec<f64>> = runs.collect::<Result<_>>()?;
        Ok(runs.map(|runs| Spread(runs).median()))
    });
    idle.collect()
}

/// One workload, in turns without and with each tracer.
fn table(
    bench: &Bench,
    work: &Workload,
    tracers: &[Box<dyn Tracer>],
    idle: &[Option<f64>],
    rounds: usize,
) -> Result<Table> {
    // The first run is slower than those after it: its files are not cached.
    untraced(bench, work)?;
    let mut plain = vec![untraced(bench, work)?];
    let suited = tracers.iter().zip(idle);
    let suited: Vec<_> = suited.filter(|(tracer, _)| tracer.suits(work)).collect();
    let mut rows: Vec<Row> = suited
        .iter()
        .map(|(tracer, idle)| row(&***tracer, **idle))
        .collect();
    for round in 1..=rounds {
        sh::say(
            "Measuring",
            format!("{}, round {round} of {rounds}", work.name),
        );
        for ((tracer, _), row) in suited.iter().zip(&mut rows) {
            let run = tracer.run(bench, work, round == rounds)?;
            let after = untraced(bench, work)?;
            let before = plain.last().unwrap_or(&after);
            let ratio =
                |of: fn(&Cost) -> f64| of(&run.workload) / ((of(before) + of(&after)) / 2.0);
            row.cpu.0.push(ratio(|cost| cost.cpu_ns));
            row.wall.0.push(ratio(|cost| cost.wall_ns));
            row.runs.push(run);
            plain.push(after);
        }
    }
    Ok(Table {
        workload: work.name,
        command: work.command.join(" "),
        untraced: plain,
        opens: work.opens.map(|(_, count)| count),
        rows,
    })
}

fn row(tracer: &dyn Tracer, idle_cpu_ns: Option<f64>) -> Row {
    Row {
        tracer: tracer.name().to_owned(),
        same: tracer.records_the_same(),
        cpu: Spread::default(),
        wall: Spread::default(),
        idle_cpu_ns,
        runs: Vec::new(),
    }
}

/// What must be reached, out of the tables.
fn figures(tables: &[Table]) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (workload, what, budget) in [
        ("compile", "compilation (make -j)", budget::COMPILE),
        ("open", "open+close", budget::OPEN),
        ("transfer", "1-byte write+read", budget::TRANSFER),
    ] {
        let table = tables.iter().find(|table| table.workload == workload);
        let Some(row) = table.and_then(|table| table.row(OBSERVES)) else {
            continue;
        };
        let name = format!("{what}, CPU traced / untraced");
        figures.push(times(name, row, row.cpu.median()).within(budget));
    }
    if let Some(open) = tables.iter().find(|table| table.workload == "open") {
        figures.extend(of_opens(open));
    }
    figures
}

fn of_opens(open: &Table) -> Vec<Figure> {
    let mut figures = Vec::new();
    let [observes, governs, many] = [OBSERVES, GOVERNS, MANY_RULES].map(|name| open.row(name));
    for (what, row, to, budget) in [
        (
            "open+close, CPU with a policy / without",
            governs,
            observes,
            budget::VERDICT,
        ),
        (
            "open+close, CPU with 5000 rules / 5",
            many,
            governs,
            budget::RULES,
        ),
    ] {
        if let Some((row, to)) = row.zip(to) {
            let ratio = row.cpu.median() / to.cpu.median();
            figures.push(times(what.to_owned(), row, ratio).within(budget));
        }
    }
    if let Some(ours) = observes {
        figures.extend(to_peers(open, ours));
    }
    figures
}

/// What is added, to what each peer adds that records the same. The budget is next to the one of those that were seen to,
/// which adds least.
fn to_peers(open: &Table, ours: &Row) -> Vec<Figure> {
    let added = |row: &Row| row.cpu.median() - 1.0;
    let mut peers: Vec<&Row> = open.rows.iter().filter(|row| row.same).collect();
    peers.sort_by(|a, b| added(a).total_cmp(&added(b)));
    let best = peers.iter().position(|peer| open.is_whole(peer));
    if best.is_none() {
        sh::say(
            "Missing",
            "a peer in whose output all opens are, to compare with",
        );
    }
    let figures = peers.iter().enumerate().map(|(at, peer)| {
        let name = format!("open+close, what is added / what {} adds", peer.tracer);
        let figure = times(name, ours, added(ours) / added(peer));
        match Some(at) == best {
            true => figure.within(budget::PEERS),
            false => figure,
        }
    });
    figures.collect()
}

fn times(name: String, row: &Row, value: f64) -> Figure {
    let command = row.runs.first().map_or("", |run| &run.command);
    Figure::told(name, command, value, "times")
}
