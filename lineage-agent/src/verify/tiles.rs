//! Hash tiles of the host log, as C2SP tlog-tiles has them.

use super::access::HostDir;
use super::finding::{Code, Finding};
use super::findings::Findings;
use crate::evidence::log::{TILE_LEVELS, TILE_WIDTH, tile_path};
use crate::evidence::tree::{Hash, Log, root};

const HASH_BYTES: usize = size_of::<Hash>();
const TILE_BYTES_MAX: u64 = TILE_WIDTH * HASH_BYTES as u64;

/// Path of a tile.
fn path(level: usize, index: u64, width: u64) -> String {
    let (folders, name) = tile_path(level, index, width);
    format!("log/{}/{name}", folders.join("/"))
}

/// Leaf hashes of the tile that holds this leaf of a log of this size; they prove nothing by
/// themselves.
pub(super) fn leaves_near(dir: &HostDir, leaf: u64, size: u64) -> Option<(u64, Vec<Hash>)> {
    let index = leaf / TILE_WIDTH;
    let width = (size - index * TILE_WIDTH).min(TILE_WIDTH);
    let bytes = dir.read(&path(0, index, width), TILE_BYTES_MAX).ok()?;
    let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
    (rest.is_empty() && hashes.len() as u64 == width).then(|| (index * TILE_WIDTH, hashes.to_vec()))
}

/// Hashes of every level of tiles; unknown where a manifest is missing.
struct Levels(Vec<Vec<Option<Hash>>>);

impl Levels {
    fn new(leaves: Vec<Option<Hash>>) -> Self {
        let mut levels = vec![leaves];
        while levels.len() < TILE_LEVELS {
            let (tiles, _) = levels[levels.len() - 1].as_chunks::<{ TILE_WIDTH as usize }>();
            if tiles.is_empty() {
                break;
            }
            let above = tiles.iter().map(|tile| {
                let known: Option<Vec<Hash>> = tile.iter().copied().collect();
                known.map(root::<Log>)
            });
            levels.push(above.collect());
        }
        Self(levels)
    }

    /// The hashes of a tile, if the log is that large.
    fn tile(&self, level: usize, index: u64, width: u64) -> Option<&[Option<Hash>]> {
        let from = usize::try_from(index.checked_mul(TILE_WIDTH)?).ok()?;
        self.0
            .get(level)?
            .get(from..from.checked_add(usize::try_from(width).ok()?)?)
    }
}

/// Checks the tiles of a log with these leaves, of which `size` are covered by a checkpoint, and
/// every other tile that is there.
pub(super) fn check(
    dir: &HostDir,
    listed: &[String],
    leaves: Vec<Option<Hash>>,
    size: u64,
    findings: &mut Findings,
) {
    let levels = Levels::new(leaves);
    let mut needed: Vec<String> = Vec::new();
    for level in 0..TILE_LEVELS {
        let hashes = size >> (8 * level);
        let partial = hashes % TILE_WIDTH;
        let full = (0..hashes / TILE_WIDTH).map(|index| (index, TILE_WIDTH));
        needed.extend(
            full.chain((partial > 0).then_some((hashes / TILE_WIDTH, partial)))
                .map(|(index, width)| path(level, index, width)),
        );
    }
    needed.sort_unstable();
    // Tiles of smaller sizes, or of one that is being sealed.
    let others = listed
        .iter()
        .filter(|path| needed.binary_search(path).is_err());
    for path in needed.iter().chain(others) {
        let Some((level, index, width)) = parse(path) else {
            findings.push(Finding::new(Code::FileUnknown).file(path));
            continue;
        };
        let Some(expected) = levels.tile(level, index, width) else {
            findings.push(
                Finding::new(Code::Rollback)
                    .file(path)
                    .expected(format!("a log of {size} manifests"))
                    .found("a tile of a larger log"),
            );
            continue;
        };
        match read(dir, path, level, index) {
            Ok(bytes) if is_tile(&bytes, expected) => {}
            Ok(_) => findings.push(
                Finding::new(Code::TileBad)
                    .file(path)
                    .expected("the hashes of the manifests")
                    .found("others"),
            ),
            Err(finding) => findings.push(finding),
        }
    }
}

/// Reads a tile, or the full one that has taken its place since its name was listed.
fn read(dir: &HostDir, listed: &str, level: usize, index: u64) -> Result<Vec<u8>, Finding> {
    dir.read(listed, TILE_BYTES_MAX).or_else(|finding| {
        let full = path(level, index, TILE_WIDTH);
        dir.read(&full, TILE_BYTES_MAX).map_err(|_| finding)
    })
}

/// Whether these are the hashes; a full tile may stand for a partial one.
fn is_tile(bytes: &[u8], expected: &[Option<Hash>]) -> bool {
    let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
    let full = hashes.len() as u64 == TILE_WIDTH;
    rest.is_empty()
        && (full || hashes.len() == expected.len())
        && hashes
            .iter()
            .zip(expected)
            .all(|(found, expected)| expected.is_none_or(|hash| hash == *found))
}

/// Level, index and width of a tile from its path; only the one spelling there is.
fn parse(text: &str) -> Option<(usize, u64, u64)> {
    let (level, rest) = text.strip_prefix("log/tile/")?.split_once('/')?;
    let (groups, width) = match rest.split_once(".p/") {
        Some((groups, width)) => (groups, width.parse().ok()?),
        None => (rest, TILE_WIDTH),
    };
    let index = groups.split('/').try_fold(0u64, |index, group| {
        let digits: u64 = group.strip_prefix('x').unwrap_or(group).parse().ok()?;
        index.checked_mul(1000)?.checked_add(digits)
    })?;
    let level = level.parse().ok()?;
    let partial = rest.contains(".p/");
    (partial == (width < TILE_WIDTH) && width > 0 && path(level, index, width) == text)
        .then_some((level, index, width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        for (level, index, width) in [(0, 0, 1), (0, 1_234_067, 256), (2, 999, 255), (7, 1000, 3)] {
            assert_eq!(
                parse(&path(level, index, width)),
                Some((level, index, width))
            );
        }
        for bad in [
            "log/tile/0/0",
            "log/tile/0/000.p/256",
            "log/tile/0/x000/001",
            "log/tile/0/000.p/0",
            "log/tile/00/000",
            "log/tile/0/000.p/01",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
