//! How long each stage takes from a frame to a verdict, by itself.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lineage_tests::stage::{self, Stage};

/// Programs of the workload: some thirteen thousand events.
const PROGRAMS: u64 = 100;

fn stages(criterion: &mut Criterion) {
    for (name, unit) in stage::names() {
        let prepare = |runs| Stage::named(name, PROGRAMS, runs).expect("the stage can be prepared");
        let mut group = criterion.benchmark_group(unit);
        group.throughput(Throughput::Elements(prepare(0).units));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_custom(|runs| {
                let runs = usize::try_from(runs).expect("not that many");
                let mut stage = prepare(runs);
                let begun = Instant::now();
                for _ in 0..runs {
                    stage.run().expect("the stage is run");
                }
                begun.elapsed()
            });
        });
        group.finish();
    }
}

criterion_group! {
    name = micro;
    config = Criterion::default()
        .sample_size(15)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(2))
        .without_plots();
    targets = stages
}
criterion_main!(micro);
