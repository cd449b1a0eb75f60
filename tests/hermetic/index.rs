//! The index of flows: the same answers with it and without, used as long as it is of this evidence, and by nobody
//! who cannot trust it.

use std::cell::Cell;
use std::fs::{self, Permissions};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use lineage_agent::evidence::reader::Evidence;
use lineage_agent::review::flow::Flow;
use lineage_agent::review::index::{HostFlows, Keeping, MEMORY_FLOWS, Until};

use crate::cli::{STORY, write_story};

/// Flows of the only host; whether they were read from records is told by whether `place` changed.
fn flows(evidence: &Path, place: &Path, memory: usize) -> Result<HostFlows, String> {
    let evidence = Evidence::open(evidence).expect("readable");
    let read = Cell::new(0);
    let keeping = Keeping {
        place,
        memory,
        progress: &|records, _| read.set(records),
    };
    let flows = HostFlows::of(&evidence.hosts()[0], Until::End, &keeping);
    flows.map_err(|error| error.to_string())
}

fn all(flows: &HostFlows) -> Vec<Flow> {
    let mut all = Vec::new();
    let each = flows.flows().each(&mut |flow| {
        all.push(*flow);
        ControlFlow::Continue(())
    });
    each.expect("readable");
    all
}

/// The files of an index with when they were made.
fn files(place: &Path) -> Vec<(String, std::time::SystemTime)> {
    let host = fs::read_dir(place).expect("readable").next();
    let host = host.expect("a host").expect("readable").path();
    let mut files: Vec<_> = fs::read_dir(host)
        .expect("readable")
        .map(|entry| {
            let entry = entry.expect("readable");
            let made = entry.metadata().and_then(|data| data.modified());
            let name = entry.file_name().into_string().expect("text");
            (name, made.expect("a time"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn an_index_is_made_once_and_says_what_records_say() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    write_story(temp.path(), STORY);
    let (evidence, place) = (temp.path().join("evidence"), temp.path().join("index"));
    let expected = all(&flows(&evidence, &place, MEMORY_FLOWS).expect("flows"));
    assert!(expected.len() > 20);
    assert!(!place.exists(), "memory has room for them");
    assert_eq!(all(&flows(&evidence, &place, 7).expect("flows")), expected);
    let made = files(&place);
    let names: Vec<_> = made.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["flows.from", "flows.to"]);
    assert_eq!(all(&flows(&evidence, &place, 7).expect("flows")), expected);
    assert_eq!(files(&place), made, "it was used and not made anew");

    // Another log in the same place.
    let other = tempfile::tempdir().expect("a temporary directory");
    let fewer: Vec<&str> = STORY.lines().take(70).collect();
    write_story(other.path(), &fewer.join("\n"));
    let less = all(&flows(&other.path().join("evidence"), &place, 7).expect("flows"));
    assert!(!less.is_empty() && less.len() < expected.len());
    assert_ne!(files(&place), made);
}

#[test]
fn an_index_that_others_can_write_is_refused() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    write_story(temp.path(), STORY);
    let (evidence, place) = (temp.path().join("evidence"), temp.path().join("index"));
    flows(&evidence, &place, 7).expect("flows");
    fs::set_permissions(&place, Permissions::from_mode(0o777)).expect("ours");
    let refused = flows(&evidence, &place, 7).err();
    let refused = refused.expect("refused");
    assert!(refused.contains("others can write"), "{refused}");
}
