//! What a digest's record says besides the digest.

use serde_json::json;

use crate::host::digest::{Found, Reason};
use crate::names;

/// File systems that make up what is in their files when it is read: there is nothing to take the
/// digest of, and reading can have effects (`include/uapi/linux/magic.h`).
const MADE_UP: &[u64] = &[
    0x0000_9fa0, // procfs
    0x6265_6572, // sysfs
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0x6265_6570, // configfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0xcafe_4a11, // bpf
    0xde5e_81e4, // efivarfs
    0xf97c_ff8c, // selinuxfs
    0x4341_5d53, // smackfs
    0x4249_4e4d, // binfmt_misc
    0x6165_676c, // pstore
    0x6573_5543, // fusectl
    0x1980_0202, // mqueue
    0x0765_5821, // resctrl
];

/// Whether files of a file system with this magic number have content of their own.
pub(super) fn is_made_up(fs_magic: u64) -> bool {
    MADE_UP.contains(&fs_magic)
}

/// As JSON: why there is no digest, or what limits the one there is.
pub(super) fn detail(result: &Result<Found, Reason>, recent: bool) -> Option<String> {
    let mut detail = serde_json::Map::new();
    match result {
        Ok(found) => {
            if found.other_device {
                detail.insert("other_device".to_owned(), json!(true));
            }
            if recent {
                detail.insert("recent".to_owned(), json!(true));
            }
        }
        Err(reason) => {
            detail.insert("reason".to_owned(), json!(reason.word()));
            match reason {
                Reason::Changed(what) => {
                    detail.insert("changed".to_owned(), json!(what));
                }
                Reason::Unreadable(error) => {
                    let error = i64::from(*error);
                    let name = names::errno(error).map_or(json!(error), |name| json!(name));
                    detail.insert("error".to_owned(), name);
                }
                Reason::NotRegular
                | Reason::MadeUp
                | Reason::TooLarge
                | Reason::QueueFull
                | Reason::Gone
                | Reason::Replaced
                | Reason::Stuck
                | Reason::NotWaited
                | Reason::Unwanted => {}
            }
        }
    }
    (!detail.is_empty()).then(|| serde_json::Value::Object(detail).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_worth_saying_is_said() {
        let found = Found {
            digest: [7; 32],
            other_device: false,
        };
        assert_eq!(detail(&Ok(found), false), None);
        assert_eq!(
            detail(&Ok(found), true).as_deref(),
            Some(r#"{"recent":true}"#)
        );
        let cases = [
            (Reason::Gone, r#"{"reason":"gone"}"#),
            (
                Reason::Changed(vec!["size", "ctime_ns"]),
                r#"{"reason":"changed","changed":["size","ctime_ns"]}"#,
            ),
            (
                Reason::Unreadable(13),
                r#"{"reason":"unreadable","error":"EACCES"}"#,
            ),
        ];
        for (reason, expected) in cases {
            assert_eq!(detail(&Err(reason), true).as_deref(), Some(expected));
        }
    }
}
