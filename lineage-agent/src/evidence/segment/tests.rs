use super::*;
use crate::evidence::record;
use crate::evidence::schema::Record;
use crate::evidence::tree::{Hashing as _, RecordTree, Records};
use std::fs::File;
use std::io::Write as _;
use std::ops::ControlFlow;

/// Records on their way into a segment and into the tree that it is known by.
struct Written {
    writer: SegmentWriter<Vec<u8>>,
    tree: RecordTree,
    bytes: Vec<u8>,
}

impl Written {
    fn new() -> Self {
        Self {
            writer: SegmentWriter::new(Vec::new()).unwrap(),
            tree: RecordTree::default(),
            bytes: Vec::new(),
        }
    }

    fn push(&mut self, record: &Record<'_>) {
        self.bytes.clear();
        record::encode_into(record, &mut self.bytes).unwrap();
        self.writer.push(&self.bytes).unwrap();
        self.tree.push(Records::leaf(&self.bytes));
    }

    fn finish(self) -> (Vec<u8>, Hash) {
        let root = self.tree.root();
        (self.writer.finish("origin", 0, &root).unwrap(), root)
    }
}

/// A segment of records that use every type, nulls, empty and long texts.
fn segment(records: u64) -> (Vec<u8>, Hash) {
    let mut written = Written::new();
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
        written.push(&record);
    }
    written.finish()
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

/// A segment of records that each say what no other says, or nothing at all.
fn varied(records: u64) -> (Vec<u8>, Hash) {
    let mut written = Written::new();
    let highest = "\u{10ffff}".repeat(20);
    for seq in 0..records {
        // In no order, and of both signs.
        let number = seq.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let text = format!("{number:0>200}π");
        let time_ns = i64::try_from(seq).unwrap() - 5000;
        let record = Record {
            seq: Some(seq),
            time: Some(time_ns.div_euclid(1000)),
            time_ns: Some(time_ns),
            kind: Some("file.open"),
            path: (seq % 7 != 3).then_some(&text),
            ino: Some(number.cast_signed()),
            // Only in the middle of the file, and then for a while not.
            comm: (10_000..10_003).contains(&seq).then_some("x"),
            // Whose largest text has no short bound above it.
            cwd: (seq % 2 == 0).then_some(if seq == 0 { "" } else { &highest }),
            // Whose bits a signed column has.
            bytes_read: Some(number),
            exe: (seq == records - 1).then_some(""),
            ..Record::default()
        };
        written.push(&record);
    }
    written.finish()
}

#[test]
fn what_is_different_in_every_record_is_given_back() {
    // Pages with and without a dictionary, and more than one row group.
    for records in [1, 8191, 8193, 70_000] {
        let (bytes, root) = varied(records);
        assert_eq!(root_of(&file(&bytes)).unwrap(), root, "{records}");
    }
}

#[test]
fn what_a_file_claims_of_its_values_is_true() {
    for (bytes, _) in [segment(1), segment(10_000), varied(1), varied(70_000)] {
        SegmentFile::check_claims(&file(&bytes)).unwrap();
    }
}

/// What is read here is the same, but other programs see a null or give up.
#[test]
fn a_level_above_the_highest_is_found() {
    let (mut bytes, root) = segment(100);
    let mut found = 0;
    for at in 0..bytes.len() {
        if bytes[at] != 1 {
            continue;
        }
        bytes[at] = 5;
        let damaged = file(&bytes);
        if root_of(&damaged).is_ok_and(|again| again == root)
            && let Err(SegmentError::Disagree(what)) = SegmentFile::check_claims(&damaged)
        {
            found += usize::from(what.contains("which values are null"));
        }
        bytes[at] = 1;
    }
    assert!(found > 0, "no page of this segment has levels");
}

#[test]
fn records_of_any_size_are_given_back() {
    let mut written = Written::new();
    for seq in 0..200 {
        let long = format!("{seq}").repeat(100_000);
        let record = Record {
            seq: Some(seq),
            argv: Some(&long),
            ..Record::default()
        };
        written.push(&record);
    }
    let (bytes, root) = written.finish();
    let file = file(&bytes);
    assert_eq!(root_of(&file).unwrap(), root);
    SegmentFile::check_claims(&file).unwrap();
}

#[test]
fn what_is_no_record_is_not_written() {
    let writer = || SegmentWriter::new(Vec::new()).unwrap();
    // A number where the registry has text, and a field that it does not have.
    for bytes in [
        &[1, 1, 0, 4, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0][..],
        &[1, 1, 0, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        &[],
    ] {
        assert!(matches!(writer().push(bytes), Err(WriteError::Record(_))));
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
