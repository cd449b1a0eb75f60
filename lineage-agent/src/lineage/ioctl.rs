//! Requests of `ioctl`, by name, and by what their numbers say of themselves.

use serde_json::{Map, Value, json};

/// Requests with a name: of devices that every host has, and those that are recorded on any file.
const NAMES: &[(u32, &str)] = &[
    // include/uapi/linux/fs.h
    (0x125d, "BLKROSET"),
    (0x125e, "BLKROGET"),
    (0x125f, "BLKRRPART"),
    (0x1260, "BLKGETSIZE"),
    (0x1261, "BLKFLSBUF"),
    (0x1268, "BLKSSZGET"),
    (0x1277, "BLKDISCARD"),
    (0x127f, "BLKZEROOUT"),
    (0x8008_1270, "BLKBSZGET"),
    (0x8008_1272, "BLKGETSIZE64"),
    (0x4004_9409, "FICLONE"),
    (0x4020_940d, "FICLONERANGE"),
    (0xc018_9436, "FIDEDUPERANGE"),
    (0xc004_5877, "FIFREEZE"),
    (0xc004_5878, "FITHAW"),
    (0x4008_6602, "FS_IOC_SETFLAGS"),
    (0x4004_6602, "FS_IOC32_SETFLAGS"),
    (0x401c_5820, "FS_IOC_FSSETXATTR"),
    // include/uapi/linux/fsverity.h
    (0x4080_6685, "FS_IOC_ENABLE_VERITY"),
    // include/uapi/asm-generic/ioctls.h
    (0x5412, "TIOCSTI"),
    (0x541c, "TIOCLINUX"),
    // include/uapi/linux/if_tun.h
    (0x4004_54ca, "TUNSETIFF"),
    (0x4004_54cb, "TUNSETPERSIST"),
    (0x8004_54cf, "TUNGETFEATURES"),
    // include/uapi/linux/random.h
    (0x8004_5200, "RNDGETENTCNT"),
    (0x4004_5201, "RNDADDTOENTCNT"),
    (0x4008_5203, "RNDADDENTROPY"),
    // include/uapi/linux/loop.h
    (0x4c00, "LOOP_SET_FD"),
    (0x4c01, "LOOP_CLR_FD"),
    (0x4c04, "LOOP_SET_STATUS64"),
    (0x4c05, "LOOP_GET_STATUS64"),
    (0x4c0a, "LOOP_CONFIGURE"),
    (0x4c80, "LOOP_CTL_ADD"),
    (0x4c81, "LOOP_CTL_REMOVE"),
    (0x4c82, "LOOP_CTL_GET_FREE"),
    // include/uapi/linux/kvm.h
    (0xae00, "KVM_GET_API_VERSION"),
    (0xae01, "KVM_CREATE_VM"),
    // include/uapi/drm/drm.h
    (0xc040_6400, "DRM_IOCTL_VERSION"),
    (0x4008_6409, "DRM_IOCTL_GEM_CLOSE"),
    (0xc00c_642d, "DRM_IOCTL_PRIME_HANDLE_TO_FD"),
    (0xc00c_642e, "DRM_IOCTL_PRIME_FD_TO_HANDLE"),
];

/// The request of a call: the kernel takes half a word.
#[expect(clippy::cast_possible_truncation, reason = "as the kernel does")]
pub(super) fn request(argument: u64) -> u32 {
    argument as u32
}

/// The name of a request, if it is one of few.
pub(super) fn name(request: u32) -> Option<&'static str> {
    NAMES
        .iter()
        .find_map(|(known, name)| (*known == request).then_some(*name))
}

/// What is to say of a request: its name, and what `_IOC` (`include/uapi/asm-generic/ioctl.h`) put into
/// its number. Old requests are plain numbers, in which there is less.
pub(super) fn tell(request: u32) -> Map<String, Value> {
    let mut told = Map::new();
    if let Some(name) = name(request) {
        told.insert("name".to_owned(), json!(name));
    }
    let [nr, kind, low, high] = request.to_le_bytes();
    let kind = if kind.is_ascii_graphic() {
        json!(char::from(kind).to_string())
    } else {
        json!(kind)
    };
    told.insert("type".to_owned(), kind);
    told.insert("nr".to_owned(), json!(nr));
    let size = u16::from_le_bytes([low, high & 0x3f]);
    let direction = ["none", "write", "read", "read-write"][usize::from(high >> 6)];
    if request >> 16 != 0 {
        told.insert("size".to_owned(), json!(size));
        told.insert("direction".to_owned(), json!(direction));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_tells_what_it_is_made_of() {
        let told = |request| Value::Object(tell(request));
        assert_eq!(
            told(0x8008_1272),
            json!({ "name": "BLKGETSIZE64", "type": 0x12, "nr": 114, "size": 8, "direction": "read" })
        );
        assert_eq!(
            told(0x4c82),
            json!({ "name": "LOOP_CTL_GET_FREE", "type": "L", "nr": 130 })
        );
        // `_IOWR('F', 42, char[0x3fff])`
        assert_eq!(
            told(0xffff_462a),
            json!({ "type": "F", "nr": 42, "size": 0x3fff, "direction": "read-write" })
        );
    }
}
