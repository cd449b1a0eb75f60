//! Names of the files of a host, as far as the verifier asks for them.

pub(super) use crate::evidence::layout::{
    CHECKPOINT, ENROLMENT, artifact_path, checkpoint_path, cosignatures_path, epoch_path,
    manifest_path, numbered, spool_segment,
};

/// A segment's block roots.
pub(super) fn blocks_path(segment: u64) -> String {
    format!("blocks/{segment:010}")
}

/// A segment's spool.
pub(super) fn spool_path(segment: u64) -> String {
    format!("spool/{segment:010}.spool")
}

/// A segment's Parquet file, opened at this time.
pub(super) fn parquet_path(segment: u64, opened_ns: i64) -> String {
    let date = crate::evidence::segment::date(opened_ns);
    format!("events/date={date}/{segment:010}.parquet")
}
