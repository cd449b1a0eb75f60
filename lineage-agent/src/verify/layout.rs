//! Names of the files of a host, as far as the verifier asks for them.

pub(super) use crate::evidence::layout::{numbered, spool_segment};

/// The newest checkpoint.
pub(super) const CHECKPOINT: &str = "log/checkpoint";

/// The promise of the epoch keys.
pub(super) const ENROLMENT: &str = "epochs/enrolment";

/// An epoch's key.
pub(super) fn epoch_path(epoch: u32) -> String {
    format!("epochs/{epoch:06}")
}

/// A segment's manifest.
pub(super) fn manifest_path(segment: u64) -> String {
    format!("manifests/{segment:010}")
}

/// A segment's block roots.
pub(super) fn blocks_path(segment: u64) -> String {
    format!("blocks/{segment:010}")
}

/// A segment's spool.
pub(super) fn spool_path(segment: u64) -> String {
    format!("spool/{segment:010}.spool")
}

/// The checkpoint of a tree size.
pub(super) fn checkpoint_path(size: u64) -> String {
    format!("log/checkpoints/{size}")
}

/// A segment's Parquet file, opened at this time.
pub(super) fn parquet_path(segment: u64, opened_ns: i64) -> String {
    let date = crate::evidence::segment::date(opened_ns);
    format!("events/date={date}/{segment:010}.parquet")
}
