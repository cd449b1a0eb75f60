//! What is mounted where, as `/proc/self/mountinfo` shows it (proc_pid_mountinfo(5)).
//!
//! The host's view is that of the recorder: its mount namespace, from its root on.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use serde::Serialize;

use crate::evidence::escape::escape;

/// Most bytes of `mountinfo` read. A host may have 100,000 mounts (`fs.mount-max`).
const MOUNTINFO_BYTES_MAX: usize = 64 << 20;

/// Bytes read at once: the table is the more of one moment the fewer the readings.
const CHUNK_BYTES: usize = 1 << 16;

/// One mount. Names are bytes, as the kernel has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its number, unique while it exists.
    pub id: u32,
    /// Number of the mount it is mounted on.
    pub parent: u32,
    /// Major and minor number of the device of its file system.
    pub device: (u32, u32),
    /// Which directory of the file system it shows.
    pub root: Vec<u8>,
    /// Where it is mounted.
    pub point: Vec<u8>,
    /// Options of the mount, comma separated.
    pub options: Vec<u8>,
    /// Type of the file system.
    pub kind: Vec<u8>,
    /// What is mounted: a device, or whatever name was given.
    pub source: Vec<u8>,
    /// Options of the file system, comma separated.
    pub super_options: Vec<u8>,
}

/// A mount in the document. Field order is the canonical order.
#[derive(Serialize)]
struct Entry {
    device: String,
    fs: String,
    id: u32,
    options: String,
    parent: u32,
    point: String,
    root: String,
    source: String,
    super_options: String,
}

/// Reads the table from its beginning. `None` when it cannot be read or is too long.
#[must_use]
pub fn read(mountinfo: &File) -> Option<Vec<Mount>> {
    let mut text = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = mountinfo.read_at(&mut chunk, text.len() as u64).ok()?;
        if count == 0 {
            return Some(parse(&text));
        }
        text.extend_from_slice(&chunk[..count]);
        if text.len() > MOUNTINFO_BYTES_MAX {
            return None;
        }
    }
}

/// The mounts in the text of `mountinfo`, in its order; a line of another form is left out.
#[must_use]
pub fn parse(text: &[u8]) -> Vec<Mount> {
    let lines = text.split(|byte| *byte == b'\n');
    lines.filter_map(mount).collect()
}

/// The document: a JSON array of the mounts in the table's order, without white space.
#[must_use]
pub fn document(mounts: &[Mount]) -> Vec<u8> {
    let entries: Vec<Entry> = mounts.iter().map(Entry::of).collect();
    serde_json::to_vec(&entries).expect("a list of strings and numbers serialises")
}

impl Entry {
    fn of(mount: &Mount) -> Self {
        Self {
            device: format!("{}:{}", mount.device.0, mount.device.1),
            fs: escape(&mount.kind),
            id: mount.id,
            options: escape(&mount.options),
            parent: mount.parent,
            point: escape(&mount.point),
            root: escape(&mount.root),
            source: escape(&mount.source),
            super_options: escape(&mount.super_options),
        }
    }
}

/// `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELD…] - TYPE SOURCE SUPER_OPTIONS`
fn mount(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|byte| *byte == b' ');
    let (id, parent) = (number(words.next()?)?, number(words.next()?)?);
    let mut device = words.next()?.splitn(2, |byte| *byte == b':');
    let device = (number(device.next()?)?, number(device.next()?)?);
    let (root, point) = (plain(words.next()?), plain(words.next()?));
    let options = plain(words.next()?);
    words.find(|word| *word == b"-")?;
    Some(Mount {
        id,
        parent,
        device,
        root,
        point,
        options,
        kind: plain(words.next()?),
        source: plain(words.next()?),
        super_options: plain(words.next().unwrap_or_default()),
    })
}

fn number(word: &[u8]) -> Option<u32> {
    str::from_utf8(word).ok()?.parse().ok()
}

/// Takes back the escape of the kernel, `\ooo` in octal (`mangle_path`, fs/seq_file.c).
fn plain(word: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, tail)) = rest.split_first() {
        let escaped = (*first == b'\\').then(|| tail.get(..3).and_then(octal));
        rest = match escaped.flatten() {
            Some(byte) => {
                bytes.push(byte);
                &tail[3..]
            }
            None => {
                bytes.push(*first);
                tail
            }
        };
    }
    bytes
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n\
        90 27 0:44 /a\\040b /mnt/c\\134d rw shared:7 master:2 - tmpfs t\\011 rw\n\
        not a mount\n\
        91 27 0:45 / /x rw - fuse.x \xff\n";

    #[test]
    fn lines_are_taken_apart_and_names_are_bytes() {
        let mounts = parse(TABLE);
        assert_eq!(mounts.len(), 3);
        assert_eq!((mounts[0].id, mounts[0].parent), (27, 1));
        assert_eq!(mounts[0].device, (254, 0));
        assert_eq!(mounts[0].super_options, b"rw,discard");
        assert_eq!(mounts[1].root, b"/a b");
        assert_eq!(mounts[1].point, b"/mnt/c\\d");
        assert_eq!(mounts[1].source, b"t\t");
        assert_eq!(mounts[2].source, [0xff]);
    }

    #[test]
    fn the_document_is_escaped_and_sorted() {
        let text = String::from_utf8(document(&parse(TABLE))).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(text, value.to_string());
        assert_eq!(value[1]["point"], r"/mnt/c\\d");
        assert_eq!(value[2]["source"], r"\xff");
    }

    #[test]
    fn a_bad_escape_is_kept_as_it_is() {
        assert_eq!(plain(br"a\9b\04"), br"a\9b\04");
        assert_eq!(plain(br"\777"), br"\777");
    }

    #[test]
    fn the_running_kernels_table_is_read() {
        let mountinfo = File::open("/proc/self/mountinfo").unwrap();
        let mounts = read(&mountinfo).unwrap();
        assert!(mounts.iter().any(|mount| mount.point == b"/"), "{mounts:?}");
    }
}
