//! `docs/coverage.md` says of every system call what becomes of it, and says what the code says.

use std::collections::BTreeMap;
use std::fmt::Write;

use lineage_agent::evidence::kinds;
use lineage_agent::host::blind_spots::{BLIND_SPOTS, ON_SOME_KERNELS};
use lineage_agent::lineage::fold::kind_of_call;
use lineage_agent::probe::catalog::WITHOUT_OPTIONAL;
use lineage_common::calls::coverage::{self, Column, Why};
use lineage_common::calls::{SYSCALLS, Syscall};
use lineage_common::layout::Action;

use crate::golden;

const INTRODUCTION: &str = "\
# Coverage

What becomes of each system call of Linux on x86-64 and 64-bit ARM when a recorded process makes it. Generated from
`lineage-common/src/calls.rs` and `calls/coverage.rs` by `cargo xtask bless`; a test fails when the running kernel has a call
that is not here. [schema.md](schema.md) says what the kinds of records are.

- **kernel**: recorded, and what the record says is what the kernel holds.
- **claimed**: recorded; a name in it is read from the memory of the process when the call returns, and another thread can have
  changed it since the kernel read it. The directory it starts from, the result and every number are the kernel's.
- **counted**: not each has a record of its own; its bytes are in the totals of another record, or the first of its kind is
  recorded and how many there were.
- **not seen**: no record, with the reason. A *gap* is described at the end; it also stands in every environment document.

Calls of 32-bit programs on a 64-bit kernel are counted by their name there (`process.compat`) and not decoded.

That a process is moved to another control group is recorded (`process.cgroup`) where the kernel does it, also when it is a process
that is not recorded who writes its number into a file.
";

#[test]
fn the_coverage_document_is_up_to_date() {
    golden::check("docs/coverage.md", &document());
}

#[test]
fn no_call_is_in_two_columns() {
    let mut names: Vec<&str> = SYSCALLS.iter().map(|call| call.name).collect();
    names.extend(coverage::unrecorded().map(|(name, _)| name));
    names.sort_unstable();
    for pair in names.windows(2) {
        assert_ne!(pair[0], pair[1], "in calls.rs and in calls/coverage.rs");
    }
}

#[test]
fn every_gap_is_in_the_list_of_what_is_not_seen() {
    for (name, why) in coverage::unrecorded() {
        if let Why::BlindSpot(spot) = why {
            assert!(BLIND_SPOTS.iter().any(|known| known.name == spot), "{name}");
        }
    }
}

#[test]
fn what_some_kernels_do_not_let_be_seen_is_described() {
    let described: Vec<&str> = ON_SOME_KERNELS.iter().map(|spot| spot.name).collect();
    assert_eq!(described, WITHOUT_OPTIONAL);
    for spot in BLIND_SPOTS {
        assert!(!described.contains(&spot.name), "{}", spot.name);
    }
}

#[test]
fn every_record_named_is_of_a_kind() {
    for call in SYSCALLS {
        for kind in kinds_of(call) {
            assert!(kinds::find(kind).is_some(), "{}: {kind}", call.name);
        }
    }
}

fn document() -> String {
    let rows: BTreeMap<&str, String> = SYSCALLS
        .iter()
        .map(|call| (call.name, recorded(call)))
        .chain(coverage::unrecorded().map(|(name, why)| (name, unrecorded(why))))
        .collect();
    let mut text = INTRODUCTION.to_owned();
    let written = counts(&mut text)
        .and_then(|()| {
            text.push_str(
                "\n| call | | records | what is recorded, or why nothing |\n|---|---|---|---|\n",
            );
            rows.iter()
                .try_for_each(|(name, row)| writeln!(text, "| `{name}` | {row} |"))
        })
        .and_then(|()| gaps(&mut text));
    written.expect("writing to a String succeeds");
    text
}

fn counts(text: &mut String) -> std::fmt::Result {
    let of = |column| {
        SYSCALLS
            .iter()
            .filter(|call| coverage::recorded(call).0 == column)
            .count()
    };
    writeln!(
        text,
        "\nOf {} calls, {} are recorded from kernel truth, {} with a claimed name, {} are counted and {} not seen.",
        SYSCALLS.len() + coverage::unrecorded().count(),
        of(Column::Kernel),
        of(Column::Claimed),
        of(Column::Counted),
        coverage::unrecorded().count()
    )
}

fn recorded(call: &Syscall) -> String {
    let (column, what) = coverage::recorded(call);
    let kinds: Vec<String> = kinds_of(call)
        .iter()
        .map(|kind| format!("`{kind}`"))
        .collect();
    format!("{} | {} | {what}", column.name(), kinds.join(", "))
}

fn unrecorded(why: Why) -> String {
    let reason = match why {
        Why::BlindSpot(name) => format!("{}: `{name}`", why.doc()),
        _ => why.doc().to_owned(),
    };
    format!("{} | | {reason}", Column::Unseen.name())
}

/// The kinds of records a call leads to.
fn kinds_of(call: &Syscall) -> Vec<&'static str> {
    use kinds::{
        DESCRIPTOR_PASS, DESCRIPTOR_RECEIVE, FILE_CLOSE, FILE_INHERIT, FILE_MAP, FILE_OPEN,
        FILE_READ, FILE_WRITE, KERNEL_CONTROL, NET_ACCEPT, NET_BIND, NET_CLOSE, NET_CONNECT,
        NET_INHERIT, NET_LISTEN, NET_PAIR, NET_RECEIVE, NET_SEND, NET_SOCKET, PROCESS_EXEC,
        PROCESS_EXECMEM, PROCESS_FORK, THREAD_START,
    };
    if call.action.0 >= Action::SHAPED {
        return vec![kind_of_call(call.name, &[0; 8])];
    }
    match call.action {
        Action::IO_SUBMIT => vec![KERNEL_CONTROL],
        Action::CONNECT => vec![NET_CONNECT],
        Action::ACCEPT => vec![NET_ACCEPT],
        Action::BIND => vec![NET_BIND],
        Action::LISTEN => vec![NET_LISTEN],
        Action::PAIR => vec![NET_PAIR],
        Action::SOCKET => vec![NET_SOCKET, NET_INHERIT, NET_CLOSE],
        Action::SENDTO => vec![NET_CONNECT, NET_SEND, NET_INHERIT, NET_CLOSE],
        Action::SENDMSG => vec![
            NET_CONNECT,
            NET_SEND,
            NET_INHERIT,
            NET_CLOSE,
            DESCRIPTOR_PASS,
        ],
        Action::SENDMMSG => vec![NET_SEND, NET_INHERIT, NET_CLOSE, DESCRIPTOR_PASS],
        Action::RECVFROM => vec![NET_RECEIVE, NET_INHERIT, NET_CLOSE],
        Action::RECVMSG | Action::RECVMMSG => {
            vec![NET_RECEIVE, NET_INHERIT, NET_CLOSE, DESCRIPTOR_RECEIVE]
        }
        Action::MMAP => vec![FILE_MAP, FILE_INHERIT, PROCESS_EXECMEM],
        Action::MPROTECT => vec![FILE_MAP, PROCESS_EXECMEM],
        Action::FORK => vec![PROCESS_FORK, THREAD_START],
        Action::EXECVE | Action::EXECVEAT => vec![PROCESS_EXEC],
        Action::CLOSE | Action::CLOSE_RANGE | Action::DUP2 => vec![FILE_CLOSE, NET_CLOSE],
        _ if coverage::recorded(call).0 == Column::Counted => {
            let (file, net): (&[_], &[_]) = match call.action {
                Action::READ => (&[FILE_READ], &[NET_RECEIVE]),
                Action::WRITE | Action::MQ_SEND => (&[FILE_WRITE], &[NET_SEND]),
                _ => (&[FILE_READ, FILE_WRITE], &[NET_RECEIVE, NET_SEND]),
            };
            let first = [[FILE_INHERIT].as_slice(), file, &[FILE_CLOSE]].concat();
            let second = [[NET_INHERIT].as_slice(), net, &[NET_CLOSE]].concat();
            [first, second].concat()
        }
        _ => vec![FILE_OPEN],
    }
}

fn gaps(text: &mut String) -> std::fmt::Result {
    text.push_str(
        "\n## What is not seen\n\n| name | what a process can do without a record |\n|---|---|\n",
    );
    BLIND_SPOTS
        .iter()
        .chain(ON_SOME_KERNELS)
        .try_for_each(|spot| writeln!(text, "| `{}` | {} |", spot.name, spot.doc))
}
