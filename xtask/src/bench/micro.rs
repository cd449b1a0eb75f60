//! `cargo xtask bench micro`: how long each stage takes from a frame to a verdict, by itself.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::figure::Figure;
use crate::{build, paths, sh};

/// Times all stages with criterion, which leaves a directory for each.
pub(super) fn figures() -> Result<Vec<Figure>> {
    let home = paths::target("bench").join("criterion");
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    sh::say("Measuring", "stages by themselves");
    let mut cargo = sh::cargo(["bench", "--package", "lineage-tests", "--bench", "micro"]);
    build::linked_statically(&mut cargo, std::env::consts::ARCH);
    let shown = sh::shown_as(&cargo);
    cargo.env("CRITERION_HOME", &home);
    sh::loud(cargo)?;
    let mut found: Vec<(SystemTime, Figure)> = Vec::new();
    for unit in fs::read_dir(&home)? {
        let unit = unit?.path();
        for stage in fs::read_dir(&unit)? {
            let new = stage?.path().join("new");
            let benchmark = new.join("benchmark.json");
            if benchmark.exists() {
                let measured = fs::metadata(&benchmark)?.modified()?;
                let (benchmark, estimates) =
                    (json(&benchmark)?, json(&new.join("estimates.json"))?);
                found.push((measured, figure(&shown, &benchmark, &estimates)?));
            }
        }
    }
    ensure!(
        !found.is_empty(),
        "criterion left nothing in {}",
        home.display()
    );
    // In the order in which they were measured, which is that of the data.
    found.sort_by_key(|(measured, _)| *measured);
    Ok(found.into_iter().map(|(_, figure)| figure).collect())
}

fn json(file: &Path) -> Result<Value> {
    let text = fs::read_to_string(file)?;
    serde_json::from_str(&text).with_context(|| format!("cannot read {}", file.display()))
}

/// Time per unit: a group is named after what its stages go through.
fn figure(command: &str, benchmark: &Value, estimates: &Value) -> Result<Figure> {
    let id = benchmark["full_id"].as_str();
    let id = id.and_then(|id| id.split_once('/'));
    let (unit, stage) = id.context("a benchmark has a group and a name")?;
    let units = benchmark["throughput"]["Elements"].as_f64();
    let ns = estimates["median"]["point_estimate"].as_f64();
    let (units, ns) = units.zip(ns).context("a benchmark has units and a time")?;
    let name = format!("{stage}: nanoseconds per {unit} (median)");
    Ok(Figure::told(name, command, ns / units, "ns"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn time_is_told_by_the_unit() {
        let benchmark = json!({
            "group_id": "event", "function_id": null, "value_str": "decode", "throughput": { "Elements": 200 },
            "full_id": "event/decode", "directory_name": "event/decode", "title": "event/decode",
        });
        let estimates = json!({ "median": { "point_estimate": 5000.0 } });
        let figure = figure("cargo bench", &benchmark, &estimates).expect("a figure");
        assert_eq!(figure.value, 25.0);
        assert_eq!(figure.name, "decode: nanoseconds per event (median)");
        let nothing = json!({});
        assert!(super::figure("cargo bench", &benchmark, &nothing).is_err());
    }
}
