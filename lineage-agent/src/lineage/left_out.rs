//! Kinds of records that are not wanted.
//!
//! The calls that make them are then not looked at, like all calls that are not recorded, and cost no
//! more than those. That is possible where no other record depends on what is seen of the call.

use std::collections::BTreeSet;

use lineage_common::{
    calls::{SYSCALLS, Syscall},
    layout::Action,
};

use super::fold;

/// Kinds that are left out, and the calls that make them and nothing else.
#[derive(Debug, Clone, Default)]
pub struct LeftOut {
    /// Names of the kinds, in the order of the alphabet.
    pub kinds: Vec<&'static str>,
    /// The calls.
    pub calls: Vec<&'static Syscall>,
}

/// Why kinds cannot be left out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeftOutError {
    /// There is no such kind, or others depend on it.
    #[error("leave out {0}: not a kind that can be left out; these can: {list}", list = possible().into_iter().collect::<Vec<_>>().join(", "))]
    Kind(String),
    /// A call makes other kinds as well.
    #[error("leave out {out}: not without {kept}, because {call} makes both")]
    Shared {
        /// Left out.
        out: &'static str,
        /// Not left out.
        kept: &'static str,
        /// The call.
        call: &'static str,
    },
}

impl LeftOut {
    /// Of these kinds.
    ///
    /// # Errors
    ///
    /// [`LeftOutError`]
    pub fn of(names: &[String]) -> Result<Self, LeftOutError> {
        let possible = possible();
        let kinds = names.iter().map(|name| {
            let kind = possible.get(name.as_str()).copied();
            kind.ok_or_else(|| LeftOutError::Kind(name.clone()))
        });
        let kinds: BTreeSet<&'static str> = kinds.collect::<Result<_, _>>()?;
        let mut calls = Vec::new();
        for call in SYSCALLS {
            let (out, kept): (Vec<_>, Vec<_>) = made(call)
                .into_iter()
                .partition(|kind| kinds.contains(kind));
            match (out.first(), kept.first()) {
                (Some(_), None) => calls.push(call),
                (Some(out), Some(kept)) => {
                    let call = call.name;
                    return Err(LeftOutError::Shared { out, kept, call });
                }
                (None, _) => {}
            }
        }
        Ok(Self {
            kinds: kinds.into_iter().collect(),
            calls,
        })
    }

    /// Names of the calls.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.calls.iter().map(|call| call.name)
    }
}

/// Kinds that can be left out: all that calls make of which nothing else is seen. Others may move bytes, or
/// be the first use of a descriptor.
fn possible() -> BTreeSet<&'static str> {
    let (stay, may_go): (Vec<&Syscall>, Vec<&Syscall>) = SYSCALLS
        .iter()
        .filter(|call| call.action.0 >= Action::SHAPED)
        .partition(|call| call.action == Action::IOCTL);
    let made = |calls: Vec<&Syscall>| calls.into_iter().flat_map(made).collect();
    let (stay, may_go): (BTreeSet<_>, BTreeSet<_>) = (made(stay), made(may_go));
    may_go.difference(&stay).copied().collect()
}

/// The kinds of records that a call makes, if it is recorded as it is.
fn made(call: &Syscall) -> Vec<&'static str> {
    if call.action.0 >= Action::SHAPED {
        fold::kinds_of_call(call.name)
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Result<LeftOut, LeftOutError> {
        LeftOut::of(&names.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn all_calls_of_a_kind_are_left_out() {
        let left_out = of(&["file.chmod", "file.chmod"]).unwrap();
        assert_eq!(left_out.kinds, ["file.chmod"]);
        let names: Vec<_> = left_out.names().collect();
        assert_eq!(names, ["chmod", "fchmod", "fchmodat", "fchmodat2"]);
        assert_eq!(of(&[]).unwrap().names().count(), 0);
    }

    #[test]
    fn what_one_call_makes_goes_together() {
        let shared = |out, kept, call| LeftOutError::Shared { out, kept, call };
        assert_eq!(
            of(&["file.rmdir"]).unwrap_err(),
            shared("file.rmdir", "file.unlink", "unlinkat")
        );
        let both = of(&["file.rmdir", "file.unlink"]).unwrap();
        assert!(both.names().any(|name| name == "unlinkat"));
    }

    #[test]
    fn what_others_depend_on_stays() {
        for name in [
            "file.open",
            "process.exec",
            "file.read",
            "net.send",
            "x",
            "",
        ] {
            assert_eq!(of(&[name]).unwrap_err(), LeftOutError::Kind(name.into()));
        }
    }
}
