use super::*;
use crate::evidence::record;
use crate::evidence::schema::Record;
use crate::evidence::tree::{Hashing as _, RecordTree, Records};
use std::fs::File;
use std::io::Write as _;
use std::ops::ControlFlow;

/// A segment of records that use every type, nulls, empty and long texts.
fn segment(records: u64) -> (Vec<u8>, Hash) {
    let mut writer = SegmentWriter::new(Vec::new()).unwrap();
    let mut tree = RecordTree::default();
    let mut bytes = Vec::new();
    let long = "x".repeat(100_000);
    for seq in 0..records {
        let path = format!("/srv/file-{}", seq % 97);
        let time_ns = 1_795_500_000_000_000_000 + i64::try_from(seq).unwrap() * 1_234_567;
        let record = Record {
            seq: Some(seq),
            time: Some(time_ns.div_euclid(1000)),
            time_ns: Some(time_ns),
            kind: Some(if seq % 3 == 0 {
                "file.open"
            } else {
                "file.close"
            }),
            path: (seq % 3 == 0).then_some(&path),
            bytes_read: (seq % 3 != 0).then_some(u64::MAX - seq),
            result: Some(-2),
            argv: (seq % 500 == 7).then_some(&long),
            comm: Some(if seq % 2 == 0 { "" } else { "π\\x1b" }),
            ..Record::default()
        };
        writer.push(&record).unwrap();
        bytes.clear();
        record::encode_into(&record, &mut bytes).unwrap();
        tree.push(Records::leaf(&bytes));
    }
    let root = tree.root();
    (writer.finish("origin", 0, &root).unwrap(), root)
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn root_of(file: &File) -> Result<Hash, SegmentError> {
    let mut tree = RecordTree::default();
    let mut bytes = Vec::new();
    SegmentFile::open(file)?.records(|record| {
        bytes.clear();
        record::encode_into(record, &mut bytes).unwrap();
        tree.push(Records::leaf(&bytes));
        ControlFlow::<()>::Continue(())
    })?;
    Ok(tree.root())
}

#[test]
fn rows_give_back_the_root() {
    for records in [1, 1023, 1024, 1025, 10_000] {
        let (bytes, root) = segment(records);
        assert_eq!(root_of(&file(&bytes)).unwrap(), root, "{records}");
    }
}

#[test]
fn the_same_records_give_the_same_file() {
    assert_eq!(segment(3000), segment(3000));
}

#[test]
fn damage_is_found_and_does_no_harm() {
    let (good, root) = segment(300);
    let places: Vec<usize> = (0..good.len()).step_by(11).collect();
    let same = places
        .iter()
        .filter(|at| {
            let mut bytes = good.clone();
            bytes[**at] ^= 1 << (*at % 8);
            // Refused, panicked inside, other rows: all the same to a verifier.
            root_of(&file(&bytes)).is_ok_and(|found| found == root)
        })
        .count();
    // Footer metadata and statistics do not carry records.
    assert!(same < places.len() * 3 / 4, "{same} of {}", places.len());
    for len in (0..good.len()).step_by(97) {
        assert!(root_of(&file(&good[..len])).is_err());
    }
}
