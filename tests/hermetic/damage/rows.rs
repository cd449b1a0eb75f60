//! Parquet files written anew: with the same records by other programs, and with others.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow_array::{Array as _, ArrayRef, Int64Array, RecordBatch, StringArray};
use lineage_agent::verify::{Code, Report, Verdict};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::assert_found;
use super::sample::{RECORDS, SEALED};

/// Columns by name.
type Columns = Vec<(String, ArrayRef)>;

fn read(path: &Path) -> Columns {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let mut reader = reader.with_batch_size(1 << 20).build().unwrap();
    let batch = reader.next().unwrap().unwrap();
    let schema = batch.schema();
    let names = schema.fields().iter().map(|field| field.name().clone());
    names.zip(batch.columns().iter().cloned()).collect()
}

/// Writes these rows of the columns.
fn write(path: &Path, columns: Columns, rows: &[Range<usize>]) {
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    for range in rows {
        writer
            .write(&batch.slice(range.start, range.len()))
            .unwrap();
    }
    writer.close().unwrap();
}

fn column<'a>(columns: &'a mut Columns, name: &str) -> &'a mut ArrayRef {
    &mut columns
        .iter_mut()
        .find(|(column, _)| column == name)
        .unwrap()
        .1
}

/// Replaces one text.
fn set_text(columns: &mut Columns, name: &str, row: usize, text: Option<&str>) {
    let array = column(columns, name);
    let texts: &StringArray = array.as_any().downcast_ref().unwrap();
    let texts = texts
        .iter()
        .enumerate()
        .map(|(at, old)| if at == row { text } else { old });
    let texts: StringArray = texts.collect();
    *array = Arc::new(texts);
}

/// Asserts what an edit of the first segment is found to be.
#[track_caller]
fn assert_edit(
    edit: impl FnOnce(&mut Columns),
    verdict: Verdict,
    code: Code,
    what: &str,
) -> Report {
    let copy = SEALED.copy();
    let path = copy.segment(0);
    let mut columns = read(&path);
    edit(&mut columns);
    let all = 0..columns[0].1.len();
    write(&path, columns, &[all]);
    assert_found(&copy, verdict, code, what)
}

#[test]
fn the_same_records_written_anew_are_verified() {
    assert_edit(|_| (), Verdict::Verified, Code::ReEncoded, "unchanged");
}

#[test]
fn one_changed_value_is_found_in_its_block() {
    let rows = usize::try_from(RECORDS[0]).unwrap();
    for (row, block) in [
        (0, [0, 1023]),
        (1050, [1024, 1099]),
        (rows - 1, [1024, 1099]),
    ] {
        let edit = |columns: &mut Columns| set_text(columns, "comm", row, Some("x"));
        let report = assert_edit(edit, Verdict::Tampered, Code::RowsChanged, "a value");
        assert_eq!(report.findings[0].rows, Some(block));
        assert_eq!(report.findings.len(), 1);
    }
}

#[test]
fn null_and_empty_are_not_the_same() {
    let edit = |columns: &mut Columns| set_text(columns, "comm", 7, Some(""));
    assert_edit(edit, Verdict::Tampered, Code::RowsChanged, "empty for null");
    let edit = |columns: &mut Columns| set_text(columns, "context", 7, None);
    assert_edit(
        edit,
        Verdict::Tampered,
        Code::RowsChanged,
        "null for a digest",
    );
}

#[test]
fn rows_removed_added_and_reordered() {
    let rows = usize::try_from(RECORDS[0]).unwrap();
    for (ranges, code) in [
        (vec![0..100, 101..rows], Code::RowsMissing),
        (Vec::new(), Code::RowsMissing),
        (vec![0..rows, 5..6], Code::RowsAdded),
        (
            vec![0..100, 101..102, 100..101, 102..rows],
            Code::RowsChanged,
        ),
        (
            vec![0..100, 100..101, 100..101, 102..rows],
            Code::RowsChanged,
        ),
    ] {
        let what = format!("{ranges:?}");
        let copy = SEALED.copy();
        let path = copy.segment(0);
        write(&path, read(&path), &ranges);
        assert_found(&copy, Verdict::Tampered, code, &what);
    }
}

#[test]
fn columns_dropped_and_added() {
    let drop = |name: &'static str| {
        move |columns: &mut Columns| columns.retain(|(column, _)| column != name)
    };
    // Null in every record: nothing is lost.
    assert_edit(
        drop("argv"),
        Verdict::Verified,
        Code::ReEncoded,
        "an empty column dropped",
    );
    for name in ["seq", "path", "lineage", "time"] {
        assert_edit(drop(name), Verdict::Tampered, Code::RowsChanged, name);
    }
    let rows = usize::try_from(RECORDS[0]).unwrap();
    for (name, what) in [
        ("approved_by", "an unknown column"),
        ("Path", "a column that engines confuse"),
        ("path", "a second column of a name"),
    ] {
        let add = |columns: &mut Columns| {
            let texts: StringArray = vec![Some("root"); rows].into();
            columns.push((name.to_owned(), Arc::new(texts)));
        };
        assert_edit(add, Verdict::Tampered, Code::ColumnForeign, what);
    }
    // The order of the columns is free.
    assert_edit(
        |columns| columns.reverse(),
        Verdict::Verified,
        Code::ReEncoded,
        "another order",
    );
}

#[test]
fn columns_of_another_type_are_not_read() {
    let rows = usize::try_from(RECORDS[0]).unwrap();
    let text: ArrayRef = Arc::new(StringArray::from(vec!["1"; rows]));
    let flags: ArrayRef = Arc::new(Int64Array::from(vec![1; rows]));
    for (name, array) in [("result", text), ("comm", flags)] {
        let edit = |columns: &mut Columns| *column(columns, name) = Arc::clone(&array);
        assert_edit(edit, Verdict::Tampered, Code::SegmentUnreadable, name);
    }
}

/// Runs a Python program on the first segment, which it writes anew.
fn python(program: &str, arguments: &[&str]) {
    let copy = SEALED.copy();
    let (path, aside) = (copy.segment(0), copy.temp.path().join("aside"));
    let output = Command::new(lineage_tests::programs::python())
        .args(["-c", program])
        .args([&path, &aside])
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    std::fs::rename(aside, path).unwrap();
    assert_found(
        &copy,
        Verdict::Verified,
        Code::ReEncoded,
        &format!("{arguments:?}"),
    );
}

#[test]
fn rewritten_by_pyarrow_in_any_shape_it_is_verified() {
    let program = "
import json, sys, pyarrow.parquet as pq
source, target, options = sys.argv[1:]
pq.write_table(pq.read_table(source, partitioning=None), target, **json.loads(options))
";
    for codec in ["none", "snappy", "zstd", "lz4"] {
        python(program, &[&format!("{{\"compression\": \"{codec}\"}}")]);
    }
    for options in [
        r#"{"row_group_size": 100, "data_page_size": 512}"#,
        r#"{"use_dictionary": false, "data_page_version": "2.0"}"#,
        r#"{"store_schema": false, "write_statistics": false, "version": "1.0"}"#,
        r#"{"coerce_timestamps": "us", "write_page_index": true, "write_page_checksum": true}"#,
    ] {
        python(program, &[options]);
    }
}

#[test]
fn rewritten_by_duckdb_it_is_verified() {
    let program = "
import sys, duckdb
source, target, options = sys.argv[1:]
duckdb.sql(f\"COPY (SELECT * FROM read_parquet('{source}', hive_partitioning=false)) TO '{target}' (FORMAT parquet, {options})\")
";
    // The second version has other encodings; short row groups have dictionaries and bloom filters.
    for options in [
        "COMPRESSION snappy",
        "COMPRESSION zstd, PARQUET_VERSION v2",
        "COMPRESSION lz4_raw, ROW_GROUP_SIZE 2048",
        "COMPRESSION uncompressed, DICTIONARY_SIZE_LIMIT 10000, STRING_DICTIONARY_PAGE_SIZE_LIMIT 1000000",
    ] {
        python(program, &[options]);
    }
}

#[test]
fn rewritten_by_polars_it_is_verified() {
    let program = "
import json, sys, polars
source, target, options = sys.argv[1:]
polars.read_parquet(source, hive_partitioning=False).write_parquet(target, **json.loads(options))
";
    for options in [
        "{}",
        r#"{"compression": "lz4", "statistics": "full", "row_group_size": 300, "data_page_size": 500}"#,
        r#"{"compression": "uncompressed", "statistics": false}"#,
    ] {
        python(program, &[options]);
    }
}
