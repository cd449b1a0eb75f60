use lineage_common::frame::{File, Header, Kind};
use lineage_common::policy::PATH_KEY_BYTES;
use zerocopy::{FromZeros, IntoBytes};

use super::{Event, FrameError};

const PATH: usize = size_of::<Header>() + size_of::<File>();

/// Decodes an open of a path as it was walked, of which so many bytes from there on were judged; what was looked up.
fn judged(path: &[u8], at: usize, len: usize) -> Result<Vec<u8>, FrameError> {
    let mut file = File::new_zeroed();
    file.path_len = u32::try_from(path.len()).unwrap();
    let mut header = Header::new_zeroed();
    header.kind = Kind::FILE_OPEN;
    header.len = u32::try_from(PATH + path.len()).unwrap();
    header.judged_at = u32::try_from(at).unwrap();
    header.judged_len = u32::try_from(len).unwrap();
    let frame = [header.as_bytes(), file.as_bytes(), path].concat();
    let mut words = vec![0_u64; frame.len().div_ceil(8)];
    words.as_mut_bytes()[..frame.len()].copy_from_slice(&frame);
    let event = Event::decode(&words.as_bytes()[..frame.len()])?;
    let mut looked_up = Vec::new();
    event.judged.write_to(&mut looked_up);
    Ok(looked_up)
}

#[test]
fn a_path_that_the_frame_has_is_what_was_looked_up() {
    let path = b"hosts\0etc\0";
    assert_eq!(judged(path, PATH, path.len()).unwrap(), b"/etc/hosts");
    assert_eq!(judged(path, PATH, 0).unwrap(), b"/");
    assert_eq!(judged(path, 0, 0).unwrap(), b"");
    let long = b"abc\0".repeat(100);
    let looked_up = judged(&long, PATH, long.len()).unwrap();
    assert_eq!(looked_up, &b"/abc".repeat(100)[..PATH_KEY_BYTES]);
}

#[test]
fn what_was_judged_lies_in_the_frame() {
    let path = b"hosts\0etc\0";
    for (at, len) in [
        (PATH, path.len() + 1),
        (PATH + path.len() + 1, 0),
        (u32::MAX as usize, 1),
        (1, u32::MAX as usize),
    ] {
        let refused = judged(path, at, len);
        assert!(
            matches!(refused, Err(FrameError::Short { .. })),
            "{at} {len}: {refused:?}"
        );
    }
}
