//! The host log: RFC 6962 over manifests, kept as C2SP tiles.
//!
//! <https://c2sp.org/tlog-tiles>

use super::error::{Error, Result};
use super::files::Dir;
use super::tree::{Frontier, Hash, Log, root};

/// Hashes in a full tile.
pub const TILE_WIDTH: u64 = 256;

/// Levels of tiles a log of 64-bit size can have.
pub const TILE_LEVELS: usize = 8;

const HASH_BYTES: usize = 32;

/// Path of a tile below `log/`: `tile/<level>/<index>[.p/<width>]`, as directories and a name.
#[must_use]
pub fn tile_path(level: usize, index: u64, width: u64) -> (Vec<String>, String) {
    let mut groups = vec![format!("{:03}", index % 1000)];
    let mut rest = index / 1000;
    while rest > 0 {
        groups.insert(0, format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    let mut path = vec!["tile".to_owned(), level.to_string()];
    path.extend(groups);
    let last = path.pop().unwrap_or_default();
    if width == TILE_WIDTH {
        return (path, last);
    }
    path.push(format!("{last}.p"));
    (path, width.to_string())
}

/// The tiles a log of this size has on its right edge: level, index, width; full tiles further
/// left are not listed.
pub fn edge(size: u64) -> impl Iterator<Item = (usize, u64, u64)> {
    (0..TILE_LEVELS)
        .map(move |level| (level, size.checked_shr(8 * level as u32).unwrap_or(0)))
        .take_while(|(_, hashes)| *hashes > 0)
        .filter(|(_, hashes)| hashes % TILE_WIDTH != 0)
        .map(|(level, hashes)| (level, hashes / TILE_WIDTH, hashes % TILE_WIDTH))
}

/// A log being written: the partial tiles on its right edge and its root.
#[derive(Debug, Default)]
pub struct LogWriter {
    /// Hashes of the incomplete tile of each level.
    edge: [Vec<Hash>; TILE_LEVELS],
    frontier: Frontier<Log>,
}

impl LogWriter {
    /// Takes up a log of this size from its tiles.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Conflict`] when a tile is missing or not as large as it must be.
    pub fn open(log: &Dir, size: u64) -> Result<Self> {
        let mut writer = Self::default();
        for (level, index, width) in edge(size) {
            let bytes = read_tile(log, level, index, width)?;
            let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
            if !rest.is_empty() || hashes.len() as u64 != width {
                return Err(Error::Conflict(log.path().join("tile")));
            }
            writer.edge[level] = hashes.to_vec();
        }
        for level in (0..TILE_LEVELS).rev() {
            for hash in &writer.edge[level] {
                writer.frontier.push_subtree(8 * level, *hash, |_, _| ());
            }
        }
        Ok(writer)
    }

    /// Manifests in the log.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Root of the log.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// Appends a manifest by its leaf hash and writes the tiles that change. Returns the full
    /// tiles, whose partial forms are not needed once a checkpoint covers them.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Conflict`]
    pub fn append(&mut self, leaf: Hash, log: &Dir, staging: &Dir) -> Result<Vec<(usize, u64)>> {
        self.frontier.push(leaf, |_, _| ());
        let size = self.size();
        let mut full = Vec::new();
        let mut carry = Some(leaf);
        for level in 0..TILE_LEVELS {
            let Some(hash) = carry.take() else { break };
            let tile = &mut self.edge[level];
            tile.push(hash);
            let hashes = size >> (8 * level);
            let (index, width) = ((hashes - 1) / TILE_WIDTH, tile.len() as u64);
            write_tile(log, level, index, width, &tile.concat(), staging)?;
            if width == TILE_WIDTH {
                carry = Some(root::<Log>(std::mem::take(tile)));
                full.push((level, index));
            }
        }
        Ok(full)
    }
}

fn read_tile(log: &Dir, level: usize, index: u64, width: u64) -> Result<Vec<u8>> {
    let (path, name) = tile_path(level, index, width);
    let missing = || {
        Error::io("read", log.path().join(path.join("/")).join(&name))(
            std::io::ErrorKind::NotFound.into(),
        )
    };
    let mut dir = log.again()?;
    for part in &path {
        dir = dir.child(part)?.ok_or_else(missing)?;
    }
    dir.read(&name, TILE_WIDTH * HASH_BYTES as u64)?
        .ok_or_else(missing)
}

fn write_tile(
    log: &Dir,
    level: usize,
    index: u64,
    width: u64,
    bytes: &[u8],
    staging: &Dir,
) -> Result<()> {
    let (path, name) = tile_path(level, index, width);
    let mut dir = log.again()?;
    for part in &path {
        dir = dir.make(part, 0o750)?;
    }
    dir.put(&name, bytes, staging)
}

/// Removes the partial forms of a full tile.
///
/// # Errors
///
/// [`Error::Io`]
pub fn remove_partials(log: &Dir, level: usize, index: u64) -> Result<()> {
    let (mut path, _) = tile_path(level, index, 1);
    let Some(partials) = path.pop() else {
        return Ok(());
    };
    let mut dir = log.again()?;
    for part in &path {
        match dir.child(part)? {
            Some(child) => dir = child,
            None => return Ok(()),
        }
    }
    if let Some(tiles) = dir.child(&partials)? {
        for name in tiles.names()? {
            tiles.remove(&name)?;
        }
        dir.remove_dir(&partials)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tree::Hashing as _;
    use super::*;

    fn path(level: usize, index: u64, width: u64) -> String {
        let (mut path, name) = tile_path(level, index, width);
        path.push(name);
        path.join("/")
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(path(0, 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(path(1, 0, 17), "tile/1/000.p/17");
    }

    #[test]
    fn a_tree_of_70000_has_the_edge_of_the_specification() {
        let edge: Vec<_> = edge(70_000).collect();
        assert_eq!(edge, [(0, 273, 112), (1, 1, 17), (2, 0, 1)]);
        assert_eq!(super::edge(256).collect::<Vec<_>>(), [(1, 0, 1)]);
        assert_eq!(super::edge(0).count(), 0);
    }

    #[test]
    fn a_log_goes_on_from_its_tiles() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let staging = dir.make("staging", 0o700).unwrap();
        let leaves: Vec<Hash> = (0..600u32).map(|n| Log::leaf(&n.to_le_bytes())).collect();
        let mut writer = LogWriter::default();
        for (size, leaf) in (1..).zip(&leaves) {
            for (level, index) in writer.append(*leaf, &dir, &staging).unwrap() {
                remove_partials(&dir, level, index).unwrap();
            }
            assert_eq!(writer.root(), root::<Log>(leaves[..size].iter().copied()));
            if size % 97 == 0 || size % 256 < 2 {
                writer = LogWriter::open(&dir, size as u64).unwrap();
                assert_eq!(writer.root(), root::<Log>(leaves[..size].iter().copied()));
            }
        }
        let tile = std::fs::read(temp.path().join("tile/0/001")).unwrap();
        assert_eq!(tile, leaves[256..512].concat());
        assert!(!temp.path().join("tile/0/001.p").exists());
    }
}
