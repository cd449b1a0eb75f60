//! Every probe passes the verifier of the running kernel and is attached.

use std::fmt::Write as _;
use std::io::Write as _;

use lineage_agent::probe::catalog::Entry;
use lineage_agent::probe::{Options, ProbeError, Probes};
use lineage_common::tier::Tier;
use lineage_tests::entries;

fn load(entry: Option<Entry>) -> Result<Entry, ProbeError> {
    let options = Options {
        entry,
        ..Options::default()
    };
    Probes::load(&options).map(|(probes, _)| probes.entry())
}

#[test]
fn the_kernel_takes_every_probe() {
    if let Err(error) = load(None) {
        panic!("{error}: {error:?}");
    }
}

/// What loads is also checked with a child that is created, opens, binds and ends.
#[test]
fn every_way_into_the_probes_works() {
    for &entry in entries::complete() {
        match load(Some(entry)) {
            Ok(used) => assert_eq!(used, entry),
            // Linux 6.10 is the first with all of the events, and a kernel that needs them is newer.
            Err(ProbeError::NoEvent { event }) => assert_eq!(event, "sched/sched_prepare_exec"),
            // The machines of the matrix have it; this one need not.
            Err(ProbeError::NoTracefs { .. }) => {}
            Err(error) => panic!("{error}: {error:?}"),
        }
    }
}

/// Each is checked with a child that is denied everything. What a kernel does not have it says.
#[test]
fn policies_are_enforced_in_every_tier_there_is() {
    for (best_tier, _) in Tier::ALL {
        let options = Options {
            governs: true,
            best_tier,
            ..Options::default()
        };
        match Probes::load(&options) {
            Ok((probes, _)) => {
                let tier = probes.tier().expect("something can be governed");
                let names: Vec<_> = probes.better().iter().map(|(tier, _)| *tier).collect();
                let better = Tier::ALL.iter().rev().map(|(better, _)| *better);
                let better: Vec<_> = better.filter(|better| *better > tier).collect();
                assert_eq!(names, better);
            }
            Err(error) => panic!("{best_tier:?}: {error}: {error:?}"),
        }
    }
}

/// Kernels that let less be seen than this one are older than those the tests run on.
#[test]
fn nothing_is_left_out_on_this_kernel() {
    let (probes, _reader) = Probes::load(&Options::default()).expect("the probes load");
    assert_eq!(probes.unseen(), [] as [&str; 0]);
}

/// The verifier refuses a program at a million instructions. Another kernel may need more for the same
/// program, so there must be room.
#[test]
fn the_verifier_is_far_from_its_limit() {
    const INSTRUCTIONS_MAX: u32 = 600_000;
    let options = Options {
        governs: true,
        ..Options::default()
    };
    let (probes, _reader) = Probes::load(&options).expect("the probes load");
    let verified = probes.verified();
    // Not by a macro: those are shown of tests that fail only.
    let mut table = String::new();
    for (name, instructions) in &verified {
        let _ = writeln!(table, "verified {instructions:>8} instructions of {name}");
    }
    std::io::stderr()
        .write_all(table.as_bytes())
        .expect("standard error");
    assert!(
        verified.iter().any(|(name, _)| name.contains("sys_exit")),
        "the kernel tells nothing: {verified:?}"
    );
    for (name, instructions) in verified {
        assert!(
            instructions <= INSTRUCTIONS_MAX,
            "{name}: {instructions} of 1,000,000"
        );
    }
}
