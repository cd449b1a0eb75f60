//! Workloads and tracers in a table: ratios to no tracer, each of a run to the runs right before and after it.

use serde_json::{Value, json};

use super::run::Cost;
use super::tracer::Traced;

/// Nanoseconds of a second.
const SECOND_NS: f64 = 1e9;

/// One workload and who looked on.
pub(super) struct Table {
    pub(super) workload: &'static str,
    pub(super) command: String,
    /// Of the runs without a tracer.
    pub(super) untraced: Vec<Cost>,
    /// Of the opens that can be counted, how many there are.
    pub(super) opens: Option<f64>,
    pub(super) rows: Vec<Row>,
}

/// All runs of one tracer.
pub(super) struct Row {
    pub(super) tracer: String,
    pub(super) same: bool,
    pub(super) cpu: Spread,
    pub(super) wall: Spread,
    /// CPU time of the tracer that has nothing to do, from start to end.
    pub(super) idle_cpu_ns: Option<f64>,
    pub(super) runs: Vec<Traced>,
}

/// Ratios of all rounds.
#[derive(Default)]
pub(super) struct Spread(pub(super) Vec<f64>);

impl Spread {
    /// A part of the way from the smallest to the largest.
    fn at(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else {
            return f64::NAN;
        };
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "some rounds, and a part between 0 and 1"
        )]
        sorted[(part * last as f64).round() as usize]
    }

    pub(super) fn median(&self) -> f64 {
        self.at(0.5)
    }

    fn shown(&self) -> String {
        format!(
            "{:.2} ({:.2}–{:.2})",
            self.median(),
            self.at(0.25),
            self.at(0.75)
        )
    }

    pub(super) fn json(&self) -> Value {
        json!({ "median": self.median(), "quartile_1": self.at(0.25), "quartile_3": self.at(0.75), "rounds": self.0 })
    }
}

impl Row {
    /// The median of what all runs tell, if they do.
    pub(super) fn middle(&self, of: impl Fn(&Traced) -> Option<f64>) -> Option<f64> {
        let told: Vec<f64> = self.runs.iter().filter_map(of).collect();
        (!told.is_empty()).then(|| Spread(told).median())
    }

    /// The sum of all runs: what is rare must not vanish in a median.
    fn lost(&self) -> Option<f64> {
        let mut lost = self.runs.iter().map(|run| run.lost);
        lost.try_fold(0.0, |sum, lost| Some(sum + lost?))
    }

    /// CPU seconds of the tracer for a million stored events, without its start and end.
    fn cpu_s_per_million(&self) -> Option<f64> {
        let idle = self.idle_cpu_ns?;
        // Less than when it has nothing to do is no measure of what it does.
        let busy = |run: &Traced| Some(run.cpu_ns? - idle).filter(|ns| *ns > 0.0);
        self.middle(|run| Some(busy(run)? / SECOND_NS / run.events? * 1e6))
    }

    fn bytes_per_event(&self) -> Option<f64> {
        self.middle(|run| Some(run.bytes? / run.events?))
    }

    fn found(&self, opens: Option<f64>) -> Option<f64> {
        let found = self.runs.iter().find_map(|run| run.found)?;
        Some(found / opens?)
    }
}

impl Table {
    pub(super) fn row(&self, tracer: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.tracer == tracer)
    }

    /// Whether all opens are in a tracer's output.
    pub(super) fn is_whole(&self, row: &Row) -> bool {
        row.found(self.opens).is_some_and(|found| found >= 1.0)
    }

    /// As a person reads it.
    pub(super) fn shown(&self) -> String {
        let seconds = |of: fn(&Cost) -> f64| {
            Spread(self.untraced.iter().map(of).collect()).median() / SECOND_NS
        };
        let mut text = format!(
            "\n{}: {:.2} s CPU, {:.2} s wall without a tracer\n",
            self.workload,
            seconds(|cost| cost.cpu_ns),
            seconds(|cost| cost.wall_ns)
        );
        text += &format!(
            "  {:<24}{:>24}{:>24}{:>10}{:>8}{:>8}{:>12}{:>9}{:>9}\n",
            "tracer",
            "CPU ratio",
            "wall ratio",
            "events",
            "lost",
            "found",
            "s/M events",
            "peak MB",
            "B/event"
        );
        for row in &self.rows {
            text += &format!(
                "  {:<24}{:>24}{:>24}{:>10}{:>8}{:>8}{:>12}{:>9}{:>9}\n",
                row.tracer,
                row.cpu.shown(),
                row.wall.shown(),
                shown(row.middle(|run| run.events), 0),
                shown(row.lost(), 0),
                shown(row.found(self.opens).map(|found| found * 100.0), 1),
                shown(row.cpu_s_per_million(), 2),
                shown(
                    row.middle(|run| run.peak_rss_bytes)
                        .map(|bytes| bytes / 1e6),
                    0
                ),
                shown(row.bytes_per_event(), 1),
            );
        }
        text
    }

    /// As a program reads it.
    pub(super) fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            json!({
                "tracer": row.tracer,
                "command": row.runs.first().map(|run| &run.command),
                "cpu_ratio": row.cpu.json(),
                "wall_ratio": row.wall.json(),
                "events": row.middle(|run| run.events),
                "lost_in_all_rounds": row.lost(),
                "opens_found": row.found(self.opens),
                "tracer_cpu_seconds": row.middle(|run| run.cpu_ns).map(|ns| ns / SECOND_NS),
                "tracer_cpu_seconds_idle": row.idle_cpu_ns.map(|ns| ns / SECOND_NS),
                "tracer_cpu_seconds_per_million_events": row.cpu_s_per_million(),
                "tracer_peak_rss_bytes": row.middle(|run| run.peak_rss_bytes),
                "output_bytes": row.middle(|run| run.bytes),
                "bytes_per_event": row.bytes_per_event(),
            })
        });
        let untraced = self.untraced.iter();
        json!({
            "workload": self.workload,
            "command": self.command,
            "untraced": untraced.map(|cost| json!({ "cpu_ns": cost.cpu_ns, "wall_ns": cost.wall_ns })).collect::<Vec<_>>(),
            "tracers": rows.collect::<Vec<_>>(),
        })
    }
}

/// A figure, or a sign that there is none.
fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_of_all_rounds() {
        let spread = Spread(vec![5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(spread.shown(), "3.00 (2.00–4.00)");
        assert!(Spread::default().median().is_nan());
    }

    #[test]
    fn one_loss_in_many_rounds_is_told() {
        let run = |lost| Traced {
            lost,
            ..Traced::default()
        };
        let row = |runs| Row {
            tracer: String::new(),
            same: false,
            cpu: Spread::default(),
            wall: Spread::default(),
            idle_cpu_ns: None,
            runs,
        };
        let lost = row(vec![run(Some(0.0)), run(Some(3.0)), run(Some(0.0))]).lost();
        assert_eq!(lost, Some(3.0));
        // One that does not say is not one without losses.
        assert_eq!(row(vec![run(Some(0.0)), run(None)]).lost(), None);
    }
}
