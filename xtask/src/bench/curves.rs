//! How cost grows: in proportion to events, and not at all with what else there is.
//!
//! For each of these, recordings in turns at a few sizes that are a decade or so apart, and the cost at each: CPU time
//! of an open with its close in the workload, and of the recorder for an event, to the end of the seal. Its start is
//! taken away as it was in that very run, its end as it is where nothing happens between.

mod axis;
mod crowd;
mod history;
mod plot;

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use self::axis::{Axis, Events, Rules, Run};
use self::crowd::{Lineages, Processes};
use self::history::History;
use self::plot::{Plot, short};
use super::Tables;
use super::figure::{Budget, Figure};
use super::matrix::Spread;
use super::options::Options;
use super::run::Bench;
use super::workload::Workload;
use crate::{paths, sh};

/// What grows, as files and results name it.
pub(super) const NAMES: [&str; 5] = ["events", "history", "lineages", "processes", "policy"];
/// Each is of all sizes in turns.
const ROUNDS: usize = 3;

/// Cost at the largest size, to that at the smallest. It is to be 1; what is allowed beyond that is for the noise of
/// a machine that does other things, which moves each end by a tenth or so. A cost that did grow with the size, which
/// grows by a hundred and more, would be far beyond.
const GROWTH: Budget = Budget::at_most(1.3);

/// What is looked at as something grows.
#[derive(Clone, Copy)]
enum Cost {
    /// Of an open with its close.
    Workload,
    /// Of an event.
    Recorder,
}

/// Costs at one size, of all rounds.
struct Point {
    size: u32,
    opens: u32,
    command: String,
    workload_ns: Spread,
    recorder_ns: Spread,
    /// Of the recorder where nothing happens: its start, its end, and what there is at this size.
    idle_ns: Spread,
    events: f64,
    /// Lost, or left out for want of room, in all rounds.
    missing: f64,
}

/// Costs at all sizes.
struct Curve {
    name: &'static str,
    unit: &'static str,
    points: Vec<Point>,
}

/// Measures and draws all curves.
pub(super) fn measure(options: &Options) -> Result<Tables> {
    let bench = Bench::new()?;
    let (mut figures, mut told) = (Vec::new(), Vec::new());
    for name in NAMES {
        if !options.wants_workload(name) {
            continue;
        }
        let axis = named(name, &bench)?;
        let curve = curve(&bench, name, axis.as_ref())?;
        println!("{}", curve.shown());
        let plots = curve.draw()?;
        figures.extend(Cost::ALL.map(|cost| curve.growth(cost)));
        figures.extend(axis.reached(&curve.complete()));
        told.push(curve.json(&plots));
    }
    Ok((figures, told.into()))
}

/// Prepares the one of this name.
fn named(name: &str, bench: &Bench) -> Result<Box<dyn Axis>> {
    Ok(match name {
        "events" => Box::new(Events),
        "history" => Box::new(History::new(bench)?),
        "lineages" => Box::new(Lineages),
        "processes" => Box::new(Processes::new(bench)?),
        _ => Box::new(Rules),
    })
}

/// All sizes in turns.
fn curve(bench: &Bench, name: &'static str, axis: &dyn Axis) -> Result<Curve> {
    let unit = axis.unit();
    let mut points: Vec<Point> = axis.sizes().iter().map(|size| Point::new(*size)).collect();
    for round in 1..=ROUNDS {
        for point in &mut points {
            let size = short(point.size.into());
            sh::say(
                "Measuring",
                format!("{name}: {size} {unit}, round {round} of {ROUNDS}"),
            );
            point.add(bench, axis)?;
        }
    }
    Ok(Curve { name, unit, points })
}

impl Point {
    fn new(size: u32) -> Self {
        Self {
            size,
            opens: 0,
            command: String::new(),
            workload_ns: Spread::default(),
            recorder_ns: Spread::default(),
            idle_ns: Spread::default(),
            events: 0.0,
            missing: 0.0,
        }
    }

    /// One more round: a recording in which nothing happens, and one with opens.
    fn add(&mut self, bench: &Bench, axis: &dyn Axis) -> Result<()> {
        self.opens = axis.opens(self.size);
        let opens = bench.load("open", self.opens.into(), 1);
        let idle = axis.record(bench, self.size, &Workload::nothing(bench))?;
        let busy = axis.record(bench, self.size, &Workload::plain("open", opens))?;
        let of = |cost: fn(&Run) -> f64, each: f64| positive((cost(&busy) - cost(&idle)) / each);
        self.workload_ns
            .0
            .push(of(|run| run.workload_ns, self.opens.into()));
        let events = busy.events - idle.events;
        self.recorder_ns.0.push(of(|run| run.recorder_ns, events));
        self.idle_ns.0.push(idle.start_ns + idle.recorder_ns);
        self.events = events;
        self.missing += idle.missing + busy.missing;
        self.command = busy.command;
        Ok(())
    }

    fn of(&self, cost: Cost) -> &Spread {
        match cost {
            Cost::Workload => &self.workload_ns,
            Cost::Recorder => &self.recorder_ns,
        }
    }

    fn json(&self) -> Value {
        json!({
            "size": self.size,
            "command": self.command,
            "opens": self.opens,
            "events": self.events,
            "lost_or_missing_in_all_rounds": self.missing,
            "workload_cpu_ns_per_open_close": self.workload_ns.json(),
            "recorder_cpu_ns_per_event": self.recorder_ns.json(),
            "recorder_cpu_ns_idle": self.idle_ns.json(),
        })
    }
}

/// A cost that is none was not measured: it must not pass for a small one.
fn positive(cost: f64) -> f64 {
    if cost > 0.0 { cost } else { f64::NAN }
}

impl Cost {
    const ALL: [Self; 2] = [Self::Workload, Self::Recorder];

    fn name(self) -> &'static str {
        match self {
            Self::Workload => "workload",
            Self::Recorder => "recorder",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Workload => "CPU of open+close",
            Self::Recorder => "CPU of the recorder per event",
        }
    }
}

impl Curve {
    /// Cost at the last size to that at the first, each of the same round.
    fn growth(&self, cost: Cost) -> Figure {
        let ends = self.points.first().zip(self.points.last());
        let (sizes, command, ratio) = ends.map_or_else(Default::default, |(first, last)| {
            let rounds = last.of(cost).0.iter().zip(&first.of(cost).0);
            let ratios = rounds.map(|(last, first)| last / first).collect();
            let sizes = [last, first].map(|end| short(end.size.into()));
            (sizes.join(" / "), last.command.as_str(), Spread(ratios))
        });
        let name = format!("{}, {sizes} {}", cost.what(), self.unit);
        Figure::told(name, command, ratio.median(), "times").within(GROWTH)
    }

    /// Sizes at which nothing is missing.
    fn complete(&self) -> Vec<u32> {
        let complete = self.points.iter().filter(|point| point.missing == 0.0);
        complete.map(|point| point.size).collect()
    }

    /// One plot for each cost, in files that are named.
    fn draw(&self) -> Result<Vec<String>> {
        let place = paths::target("bench").join("curves");
        fs::create_dir_all(&place)?;
        let files = Cost::ALL.map(|cost| {
            let points = self.points.iter();
            let points = points.map(|point| (point.size.into(), point.of(cost).median()));
            let title = format!("{}, by {}", cost.what(), self.unit);
            let plot = Plot {
                title: &title,
                across: self.unit,
                up: "ns of CPU time",
                points: points.collect(),
            };
            let file = place.join(format!("{}-{}.svg", self.name, cost.name()));
            fs::write(&file, plot.svg()).with_context(|| format!("write {}", file.display()))?;
            Ok(file.display().to_string())
        });
        files.into_iter().collect()
    }

    /// As a person reads it: the workload's CPU time, the recorder's, and its own where nothing happens.
    fn shown(&self) -> String {
        let mut text = format!(
            "\n{:<34}{:>14}{:>14}{:>14}{:>14}{:>10}\n",
            self.name, "ns/open+close", "ns/event", "idle seconds", "events", "missing"
        );
        for point in &self.points {
            text += &format!(
                "  {:>8} {:<23}{:>14.0}{:>14.0}{:>14.2}{:>14.0}{:>10.0}\n",
                short(point.size.into()),
                self.unit,
                point.workload_ns.median(),
                point.recorder_ns.median(),
                point.idle_ns.median() / 1e9,
                point.events,
                point.missing,
            );
        }
        text
    }

    /// As a program reads it.
    fn json(&self, plots: &[String]) -> Value {
        let points = self.points.iter().map(Point::json);
        json!({
            "axis": self.name, "unit": self.unit, "plots": plots, "points": points.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(size: u32, recorder_ns: &[f64], missing: f64) -> Point {
        Point {
            recorder_ns: Spread(recorder_ns.to_vec()),
            missing,
            ..Point::new(size)
        }
    }

    fn growth(points: Vec<Point>) -> Figure {
        let curve = Curve {
            name: "events",
            unit: "events",
            points,
        };
        curve.growth(Cost::Recorder)
    }

    #[test]
    fn growth_is_of_the_ends_in_the_same_round() {
        // A machine that is half as fast from one round to the next changes nothing.
        let first = point(100_000, &[800.0, 1600.0, 800.0], 0.0);
        let between = point(1_000_000, &[9000.0, 9000.0, 9000.0], 0.0);
        let last = point(10_000_000, &[880.0, 1760.0, 1600.0], 0.0);
        let figure = growth(vec![first, between, last]);
        assert!((figure.value - 1.1).abs() < 1e-9, "{}", figure.value);
        assert!(
            figure.name.ends_with("10 M / 100 k events"),
            "{}",
            figure.name
        );
    }

    #[test]
    fn what_was_not_measured_does_not_pass() {
        assert!(!growth(Vec::new()).met());
        let unmeasured = positive(-5.0);
        let ends = vec![point(1, &[800.0], 0.0), point(10, &[unmeasured], 0.0)];
        assert!(!growth(ends).met());
        assert!(growth(vec![point(1, &[800.0], 0.0), point(10, &[900.0], 0.0)]).met());
    }

    #[test]
    fn a_size_at_which_something_is_missing_was_not_reached() {
        let points = vec![point(1, &[], 0.0), point(10, &[], 2.0)];
        let curve = Curve {
            name: "processes",
            unit: "tracked processes",
            points,
        };
        assert_eq!(curve.complete(), [1]);
    }
}
