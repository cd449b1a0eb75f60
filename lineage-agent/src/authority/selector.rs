//! Which processes a grant can be bound to.

use serde::{Deserialize, Serialize};

use super::statement::Digest;
use crate::evidence::escape::escape;

/// What must be true of the first process of a lineage. A list that is absent demands nothing; of one
/// that is there, one entry must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// What it executes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executables: Option<Vec<Executable>>,
    /// Its real user id, in the initial user namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uids: Option<Vec<u32>>,
    /// Its control group in the unified hierarchy, or one above that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroups: Option<Vec<String>>,
    /// The recorder must have started it: nothing it did before is unknown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub launch_only: bool,
}

/// A program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Executable {
    /// The one at this path, as its mount namespace and root show it.
    Path(String),
    /// The one whose content has this digest.
    Blake3(Digest),
}

/// What a selector is compared with: the first process of a lineage, as the recorder found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The path of the program; none where it has none.
    pub executable: Option<String>,
    /// The digest of the program; none where nothing asked for it, or it is too large.
    #[serde(rename = "blake3", default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Its real user id, in the initial user namespace.
    pub uid: u32,
    /// Its control group in the unified hierarchy; none without one.
    pub cgroup: Option<String>,
    /// Whether the recorder started it.
    pub launched: bool,
}

impl Selector {
    /// What does not fit of a process, in words; none when all does.
    #[must_use]
    pub fn misfit(&self, candidate: &Candidate) -> Option<String> {
        let named =
            |name: Option<&String>| name.map_or("none".to_owned(), |name| escape(name.as_bytes()));
        let is_program = |one: &Executable| match one {
            Executable::Path(path) => candidate.executable.as_ref() == Some(path),
            Executable::Blake3(digest) => candidate.digest == Some(*digest),
        };
        let is_in = |above: &String| {
            let group = candidate.cgroup.as_ref();
            group.is_some_and(|group| is_at_or_below(group, above))
        };
        let any = |list: &Option<Vec<Executable>>| {
            list.as_ref().is_none_or(|list| list.iter().any(is_program))
        };
        if !any(&self.executables) {
            let program = named(candidate.executable.as_ref());
            return Some(format!(
                "its program is {program}, which is none of those that the grant is for"
            ));
        }
        if self
            .uids
            .as_ref()
            .is_some_and(|uids| !uids.contains(&candidate.uid))
        {
            let uid = candidate.uid;
            return Some(format!(
                "its user is {uid}, which is none of those that the grant is for"
            ));
        }
        if self
            .cgroups
            .as_ref()
            .is_some_and(|groups| !groups.iter().any(is_in))
        {
            let group = named(candidate.cgroup.as_ref());
            return Some(format!(
                "its control group is {group}, which is none of those that the grant is for, nor in one"
            ));
        }
        if self.launch_only && !candidate.launched {
            let why = "it runs already, and the grant is for processes that the recorder starts";
            return Some(why.to_owned());
        }
        None
    }

    /// Whether it takes a digest of the program to tell.
    #[must_use]
    pub fn asks_for_digest(&self) -> bool {
        let mut programs = self.executables.iter().flatten();
        programs.any(|program| matches!(program, Executable::Blake3(_)))
    }

    /// Whether it demands nothing.
    pub(super) fn is_any(&self) -> bool {
        *self == Self::default()
    }

    /// By which members this selects what the other does not, each with what is wider about it.
    pub(super) fn beyond(
        &self,
        other: &Self,
    ) -> impl Iterator<Item = (&'static str, &'static str)> {
        let executables = every(&self.executables, &other.executables, |one, other| {
            one == other
        });
        let uids = every(&self.uids, &other.uids, |one, other| one == other);
        let cgroups = every(&self.cgroups, &other.cgroups, |one, other| {
            is_at_or_below(one, other)
        });
        let launch_only = self.launch_only || !other.launch_only;
        let members = [
            (
                executables,
                "selector.executables",
                "a program that the grant above does not select",
            ),
            (
                uids,
                "selector.uids",
                "a user whom the grant above does not select",
            ),
            (
                cgroups,
                "selector.cgroups",
                "a control group that the grant above does not select",
            ),
            (
                launch_only,
                "selector.launchOnly",
                "the grant above is for processes that the recorder starts",
            ),
        ];
        members
            .into_iter()
            .filter_map(|(within, field, why)| (!within).then_some((field, why)))
    }

    /// The first thing that makes no sense, in words.
    pub(super) fn problem(&self) -> Option<&'static str> {
        let programs = self.executables.iter().flatten();
        let paths = programs.filter_map(|program| match program {
            Executable::Path(path) => Some(path),
            Executable::Blake3(_) => None,
        });
        let groups = self.cgroups.iter().flatten();
        if self.executables.as_ref().is_some_and(Vec::is_empty)
            || self.uids.as_ref().is_some_and(Vec::is_empty)
            || self.cgroups.as_ref().is_some_and(Vec::is_empty)
        {
            return Some("a list of selectors that is empty fits nothing");
        }
        if paths.chain(groups).any(|path| !is_plain(path)) {
            return Some(
                "the path of an executable or control group is not absolute, or has `.`, `..`, an \
                 empty name or a slash at its end in it: it fits nothing",
            );
        }
        None
    }

    /// How many entries there are in all.
    pub(super) fn len(&self) -> usize {
        let count = [
            self.executables.as_ref().map(Vec::len),
            self.uids.as_ref().map(Vec::len),
            self.cgroups.as_ref().map(Vec::len),
        ];
        count.into_iter().flatten().sum()
    }
}

/// Whether each entry of one list is within one of the other; a list that is absent has everything.
fn every<T>(
    list: &Option<Vec<T>>,
    other: &Option<Vec<T>>,
    within: impl Fn(&T, &T) -> bool,
) -> bool {
    let Some(other) = other else {
        return true;
    };
    let Some(list) = list else {
        return false;
    };
    list.iter()
        .all(|one| other.iter().any(|other| within(one, other)))
}

/// Whether a control group is another one or in it.
fn is_at_or_below(path: &str, above: &str) -> bool {
    let rest = path.strip_prefix(above.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a path is as the kernel writes it.
#[must_use]
pub fn is_plain(path: &str) -> bool {
    path == "/"
        || path.strip_prefix('/').is_some_and(|names| {
            names
                .split('/')
                .all(|name| !matches!(name, "" | "." | "..") && !name.contains('\0'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(path: &str) -> Executable {
        Executable::Path(path.to_owned())
    }

    fn selector(executables: &[Executable], uids: &[u32], cgroups: &[&str]) -> Selector {
        let some = |len: usize| (len > 0).then_some(());
        Selector {
            executables: some(executables.len()).map(|()| executables.to_vec()),
            uids: some(uids.len()).map(|()| uids.to_vec()),
            cgroups: some(cgroups.len())
                .map(|()| cgroups.iter().map(|&name| name.to_owned()).collect()),
            launch_only: false,
        }
    }

    fn beyond(one: &Selector, other: &Selector) -> Vec<&'static str> {
        one.beyond(other).map(|(field, _)| field).collect()
    }

    #[test]
    fn what_selects_less_is_within_what_selects_more() {
        let place = program("/usr/bin/python3");
        let content = Executable::Blake3(Digest([1; 32]));
        let all = Selector::default();
        let wide = selector(
            &[place.clone(), content.clone()],
            &[1000, 1001],
            &["/agents"],
        );
        let less = selector(
            std::slice::from_ref(&content),
            &[1000],
            &["/agents/a", "/agents"],
        );
        let none: [&str; 0] = [];
        assert_eq!(beyond(&wide, &all), none);
        assert_eq!(beyond(&less, &wide), none);
        assert_eq!(beyond(&wide, &wide), none);
        let of = |list: &[Executable]| selector(list, &[], &[]);
        assert_eq!(
            beyond(&of(&[content]), &of(&[place])),
            ["selector.executables"]
        );
    }

    #[test]
    fn what_selects_more_is_named() {
        let wide = selector(&[program("/bin/a")], &[1000], &["/agents"]);
        let every = ["selector.executables", "selector.uids", "selector.cgroups"];
        assert_eq!(beyond(&Selector::default(), &wide), every);
        let other = selector(&[program("/bin/b")], &[0], &["/agents-evil"]);
        assert_eq!(beyond(&other, &wide), every);
        let launched = Selector {
            launch_only: true,
            ..wide.clone()
        };
        assert_eq!(beyond(&wide, &launched), ["selector.launchOnly"]);
        assert_eq!(beyond(&launched, &wide), [] as [&str; 0]);
    }

    #[test]
    fn a_process_fits_when_one_entry_of_every_list_does() {
        let candidate = Candidate {
            executable: Some("/bin/a".to_owned()),
            digest: Some(Digest([1; 32])),
            uid: 1000,
            cgroup: Some("/agents/one".to_owned()),
            launched: false,
        };
        let programs = [program("/bin/b"), Executable::Blake3(Digest([1; 32]))];
        let fitting = selector(&programs, &[0, 1000], &["/agents"]);
        assert_eq!(fitting.misfit(&candidate), None);
        assert_eq!(Selector::default().misfit(&candidate), None);
        let misfits = [
            selector(&[program("/bin/b")], &[], &[]),
            selector(&[Executable::Blake3(Digest([2; 32]))], &[], &[]),
            selector(&[], &[0], &[]),
            selector(&[], &[], &["/agents/one/below"]),
            selector(&[], &[], &["/agents/on"]),
            Selector {
                launch_only: true,
                ..fitting.clone()
            },
        ];
        for selector in misfits {
            assert!(selector.misfit(&candidate).is_some(), "{selector:?}");
        }
        let nameless = Candidate {
            executable: None,
            digest: None,
            cgroup: None,
            ..candidate
        };
        assert!(fitting.misfit(&nameless).is_some());
    }

    #[test]
    fn what_fits_nothing_is_no_selector() {
        let paths = [
            "",
            "bin/a",
            "/bin//a",
            "/bin/./a",
            "/bin/../a",
            "/bin/",
            "/a\0",
        ];
        for path in paths {
            let selector = selector(&[program(path)], &[], &[]);
            assert!(selector.problem().is_some(), "{path:?}");
        }
        assert!(selector(&[], &[], &["a"]).problem().is_some());
        let empty = Selector {
            uids: Some(Vec::new()),
            ..Selector::default()
        };
        assert!(empty.problem().is_some());
        assert_eq!(selector(&[], &[0], &["/"]).problem(), None);
    }
}
