//! Where the host has mounted what: from a place inside a file system to a path of the host.

use std::collections::BTreeMap;

/// Most places tried for one file: a host may have mounted one directory in very many.
const TRIED_MAX: usize = 64;

/// One mount of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its number.
    pub id: u32,
    /// Number of the mount it is on.
    pub parent: u32,
    /// Device of its file system, in the kernel's encoding (`MKDEV`).
    pub dev: u32,
    /// The directory of the file system that it shows.
    pub root: Vec<u8>,
    /// Where it is mounted.
    pub point: Vec<u8>,
}

/// The host's mounts at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mounts {
    /// The mount of the host's root.
    root: Option<u32>,
    /// By device.
    shown: BTreeMap<u32, Shown>,
    /// By the mount they are on and their place.
    above: BTreeMap<u32, BTreeMap<Vec<u8>, u32>>,
}

/// What is shown of one file system.
#[derive(Debug, Default, PartialEq, Eq)]
struct Shown {
    /// Length of the longest directory's path.
    longest: usize,
    /// By directory: numbers and places of the mounts that show it, by ascending number.
    by_root: BTreeMap<Vec<u8>, Vec<(u32, Vec<u8>)>>,
}

impl Mounts {
    /// Takes a table of mounts.
    #[must_use]
    pub fn new(table: &[Mount]) -> Self {
        let mut mounts = Self::default();
        let numbers: std::collections::BTreeSet<u32> = table.iter().map(|mount| mount.id).collect();
        for mount in table {
            let shown = mounts.shown.entry(mount.dev).or_default();
            shown.longest = shown.longest.max(mount.root.len());
            let places = shown.by_root.entry(mount.root.clone()).or_default();
            places.push((mount.id, mount.point.clone()));
            // What covers the root itself is not met on the way from it.
            if mount.point == b"/" {
                if !numbers.contains(&mount.parent) || mount.parent == mount.id {
                    mounts.root = Some(mount.id);
                }
                continue;
            }
            let by_point = mounts.above.entry(mount.parent).or_default();
            by_point.insert(mount.point.clone(), mount.id);
        }
        for shown in mounts.shown.values_mut() {
            shown
                .by_root
                .values_mut()
                .for_each(|places| places.sort_unstable());
        }
        mounts
    }

    /// Writes the path at which the host sees what is at `inside` in the file system on `dev`; false
    /// when it sees it nowhere. Of several places the one of the mount that shows most of the file
    /// system is taken, and of those the oldest.
    pub fn find(&self, dev: u32, inside: &[u8], path: &mut Vec<u8>) -> bool {
        path.clear();
        let Some(shown) = self.shown.get(&dev) else {
            return false;
        };
        let places = prefixes(inside, shown.longest)
            .filter_map(|root| Some((root, shown.by_root.get(root)?)))
            .flat_map(|(root, places)| places.iter().map(move |place| (root, place)));
        for (root, (id, point)) in places.take(TRIED_MAX) {
            path.clear();
            join(point, below(inside, root), path);
            if self.visible(path) == Some(*id) {
                return true;
            }
        }
        path.clear();
        false
    }

    /// The mount that is met last on the way to this path.
    fn visible(&self, path: &[u8]) -> Option<u32> {
        let mut mount = self.root?;
        let mut above = self.above.get(&mount);
        for prefix in prefixes(path, usize::MAX).skip(1) {
            let Some(mut by_point) = above else {
                break;
            };
            // One on top of the other, at most as many as there are.
            for _ in 0..=self.above.len() {
                let Some(next) = by_point.get(prefix) else {
                    break;
                };
                mount = *next;
                above = self.above.get(next);
                match above {
                    Some(next) => by_point = next,
                    None => break,
                }
            }
        }
        Some(mount)
    }
}

/// `/`, `/a`, `/a/b`, … of `/a/b/…`, up to this length.
fn prefixes(path: &[u8], length_max: usize) -> impl Iterator<Item = &[u8]> {
    let ends = (1..=path.len()).filter(|end| {
        let is_end = path.get(*end).is_none_or(|next| *next == b'/');
        is_end && *end > 1
    });
    let root: &[u8] = b"/";
    let deeper = ends.map(|end| &path[..end]);
    std::iter::once(root).chain(deeper.take_while(move |prefix| prefix.len() <= length_max))
}

/// What of `path` is below `directory`, a prefix of it: with its slash, or nothing.
fn below<'a>(path: &'a [u8], directory: &[u8]) -> &'a [u8] {
    match directory {
        b"/" if path == b"/" => b"",
        b"/" => path,
        _ => &path[directory.len()..],
    }
}

fn join(point: &[u8], rest: &[u8], path: &mut Vec<u8>) {
    if point != b"/" || rest.is_empty() {
        path.extend_from_slice(point);
    }
    path.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(table: &[(u32, u32, u32, &str, &str)]) -> Mounts {
        let table: Vec<Mount> = table
            .iter()
            .map(|(id, parent, dev, root, point)| Mount {
                id: *id,
                parent: *parent,
                dev: *dev,
                root: root.as_bytes().to_vec(),
                point: point.as_bytes().to_vec(),
            })
            .collect();
        Mounts::new(&table)
    }

    fn find(mounts: &Mounts, dev: u32, inside: &str) -> Option<String> {
        let mut path = Vec::new();
        let found = mounts.find(dev, inside.as_bytes(), &mut path);
        found.then(|| String::from_utf8(path).unwrap())
    }

    #[test]
    fn a_place_is_found_through_the_mount_that_shows_it() {
        let mounts = mounts(&[
            (20, 1, 7, "/", "/"),
            (21, 20, 8, "/", "/home"),
            (22, 20, 9, "/sub", "/srv/sub"),
            (23, 20, 8, "/me", "/bound"),
        ]);
        let find = |dev, inside| find(&mounts, dev, inside);
        assert_eq!(find(7, "/").as_deref(), Some("/"));
        assert_eq!(find(7, "/etc/passwd").as_deref(), Some("/etc/passwd"));
        assert_eq!(find(8, "/").as_deref(), Some("/home"));
        assert_eq!(find(8, "/me/x").as_deref(), Some("/home/me/x"));
        assert_eq!(find(9, "/sub").as_deref(), Some("/srv/sub"));
        assert_eq!(find(9, "/sub/x").as_deref(), Some("/srv/sub/x"));
        assert_eq!(find(9, "/subway"), None);
        assert_eq!(find(9, "/"), None);
        assert_eq!(find(5, "/"), None);
        // Covered by another mount, and seen nowhere else.
        assert_eq!(find(7, "/home/x"), None);
        assert_eq!(find(7, "/homes").as_deref(), Some("/homes"));
    }

    #[test]
    fn what_is_covered_is_found_elsewhere_or_not_at_all() {
        let mounts = mounts(&[
            (20, 1, 7, "/", "/"),
            (21, 20, 8, "/", "/a/b"),
            // Covers /a and all that is mounted in it.
            (22, 20, 9, "/", "/a"),
            (23, 22, 8, "/deep", "/a/c"),
            // One on top of the other.
            (24, 20, 10, "/", "/s"),
            (25, 24, 11, "/", "/s"),
            // Covers the root, which nobody notices who has it as root already.
            (26, 20, 12, "/", "/"),
        ]);
        let find = |dev, inside| find(&mounts, dev, inside);
        assert_eq!(find(8, "/x"), None);
        assert_eq!(find(8, "/deep/x").as_deref(), Some("/a/c/x"));
        assert_eq!(find(9, "/x").as_deref(), Some("/a/x"));
        assert_eq!(find(10, "/x"), None);
        assert_eq!(find(11, "/x").as_deref(), Some("/s/x"));
        assert_eq!(find(12, "/x"), None);
        assert_eq!(find(7, "/x").as_deref(), Some("/x"));
    }

    #[test]
    fn no_table_harms() {
        assert_eq!(find(&Mounts::default(), 7, "/"), None);
        assert_eq!(
            find(&mounts(&[(5, 5, 7, "/", "/")]), 7, "/x").as_deref(),
            Some("/x")
        );
        // Mounted on one another in a circle.
        let mounts = mounts(&[
            (1, 0, 7, "/", "/"),
            (2, 3, 8, "/", "/x"),
            (3, 2, 8, "/", "/x"),
        ]);
        assert_eq!(find(&mounts, 8, "/y"), None);
        assert_eq!(find(&mounts, 7, "").as_deref(), Some("/"));
    }

    #[test]
    fn prefixes_end_at_components() {
        let of = |path: &'static str, max| -> Vec<&str> {
            let prefixes = prefixes(path.as_bytes(), max);
            prefixes.map(|part| str::from_utf8(part).unwrap()).collect()
        };
        assert_eq!(of("/a/bc/d", 100), ["/", "/a", "/a/bc", "/a/bc/d"]);
        assert_eq!(of("/a/bc/d", 4), ["/", "/a"]);
        assert_eq!(of("/", 100), ["/"]);
    }
}
