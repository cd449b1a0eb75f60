//! Requests of `ioctl`, by name, and by what their numbers say of themselves.

use serde_json::{Map, Value, json};

mod names;

use names::{DRM, NAMES, NVIDIA};

/// Major numbers of NVIDIA's devices (`NV_MAJOR_DEVICE_NUMBER` of the driver) and of graphics cards
/// (`DRM_MAJOR`, `include/drm/drm_file.h`).
const NVIDIA_MAJOR: u32 = 195;
const DRM_MAJOR: u32 = 226;

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

/// What is to say of a request to a character device with this number, in the kernel's encoding.
pub(super) fn tell_of(device: u32, request: u32) -> Map<String, Value> {
    let names = match device >> 20 {
        NVIDIA_MAJOR => NVIDIA,
        DRM_MAJOR => DRM,
        _ => return tell(request),
    };
    let [nr, ..] = request.to_le_bytes();
    let name = names
        .iter()
        .find_map(|(known, name)| (*known == nr).then_some(*name));
    parts(name, request)
}

/// What is to say of a request.
pub(super) fn tell(request: u32) -> Map<String, Value> {
    parts(name(request), request)
}

/// The name of a request, and what `_IOC` (`include/uapi/asm-generic/ioctl.h`) put into its number. Old
/// requests are plain numbers, in which there is less.
fn parts(name: Option<&str>, request: u32) -> Map<String, Value> {
    let mut told = Map::new();
    if let Some(name) = name {
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
    fn what_accelerators_are_asked_has_names() {
        let name = |device, request| tell_of(device, request).remove("name");
        // `NV_ESC_RM_CONTROL` to `/dev/nvidiactl`, `DRM_IOCTL_VERSION` and one of a driver to
        // `/dev/dri/renderD128`, `AMDKFD_IOC_GET_VERSION`.
        assert_eq!(
            name(195 << 20 | 255, 0xc020_462a),
            Some(json!("NV_ESC_RM_CONTROL"))
        );
        assert_eq!(
            name(226 << 20 | 128, 0xc040_6400),
            Some(json!("DRM_IOCTL_VERSION"))
        );
        assert_eq!(name(226 << 20 | 128, 0xc020_6440), None);
        assert_eq!(
            name(240 << 20, 0x8008_4b01),
            Some(json!("AMDKFD_IOC_GET_VERSION"))
        );
    }

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
