//! Lost frames: with rings far too small the evidence says exactly what is missing.

use std::collections::BTreeMap;

use lineage_tests::evidence::Verdict;
use lineage_tests::recorder::Recorder;
use serde_json::json;

#[test]
fn nothing_is_lost_with_the_default_rings() {
    let recorder = Recorder::new();
    let path = recorder.file("file", "").display().to_string();
    let branch = format!("fork @b [ repeat 20000 [ open @f {path} O_RDONLY close @f ] ]");
    let run = recorder.script(&format!("repeat 2 [ {branch} ] repeat 2 [ wait -1 ]"));
    run.rows.none("evidence.loss", &json!({}));
    for kind in ["file.open", "file.close"] {
        assert_eq!(
            run.rows.all(kind, &json!({ "path": path })).len(),
            40_000,
            "{kind}"
        );
    }
}

#[test]
fn a_ring_far_too_small_loses_and_says_how_much() {
    let recorder = Recorder::new().option("--bulk-ring").option("4096");
    let recorder = recorder.expect(Verdict::VerifiedWithLoss);
    let path = recorder.file("file", "").display().to_string();
    let branch = format!("fork @b [ repeat 20000 [ open @f {path} O_RDONLY close @f ] ]");
    let run = recorder.script(&format!("repeat 2 [ {branch} ] repeat 2 [ wait -1 ]"));

    let mut lost: BTreeMap<i64, i64> = BTreeMap::new();
    for loss in run.rows.all("evidence.loss", &json!({})) {
        assert!(loss.int("lost_count") > 0);
        *lost.entry(loss.int("cpu")).or_default() += loss.int("lost_count");
    }
    // The kernel's own counters, as the signed manifests have them.
    let counted = run.evidence.lost_by_cpu();
    assert_eq!(lost, counted, "loss records against the kernel's counters");
    // What was made is what is here and what is said to be missing.
    // A close whose open was lost is here without a path, so paths cannot be asked for.
    let kept =
        run.rows.all("file.open", &json!({})).len() + run.rows.all("file.close", &json!({})).len();
    let missing: i64 = counted.values().sum();
    assert!(
        missing > 0 && kept < 80_000,
        "the ring was large enough after all"
    );
    let kept = i64::try_from(kept).expect("small");
    // What else the three processes do are a few dozen events.
    assert!(
        (80_000..80_400).contains(&(kept + missing)),
        "{kept} + {missing}"
    );
    // The control ring is a ring of its own: no process is unknown.
    assert_eq!(run.rows.all("process.exit", &json!({})).len(), 3);
}
