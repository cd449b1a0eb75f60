//! Bytes through descriptors: what strace shows of each call, and what the closes of a recording tell.
//!
//! A recording has the first uses of a descriptor and its total, so it is totals that are compared: all
//! that a process moved from and to one file.

use std::collections::{BTreeMap, HashMap};

use super::calls::{Call, name};
use super::words::{Line, leads_to};
use crate::rows::{Row, Rows};

/// Whose bytes are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Those of each process.
    Each,
    /// Those of all: in another run the processes have other numbers.
    All,
}

/// Which way bytes went.
#[derive(Clone, Copy)]
enum Way {
    Read,
    Written,
}

/// The calls with the bytes of one file added up; files through which none went are left out.
#[must_use]
pub fn added_up(calls: Vec<Call>, whose: Whose) -> Vec<Call> {
    let mut totals: BTreeMap<(i64, String), (i64, i64)> = BTreeMap::new();
    let mut others = Vec::new();
    for call in calls {
        match call {
            Call::Moved(process, file, read, written) => {
                let process = if whose == Whose::Each { process } else { 0 };
                let total = totals.entry((process, file)).or_default();
                total.0 += read;
                total.1 += written;
            }
            other => others.push(other),
        }
    }
    totals.retain(|_, total| *total != (0, 0));
    let totals = totals
        .into_iter()
        .map(|((process, file), (read, written))| Call::Moved(process, file, read, written));
    others.extend(totals);
    others
}

/// The bytes that a call moved.
pub(super) fn of_line(line: &Line<'_>, process: i64) -> Option<Vec<Call>> {
    use Way::{Read, Written};
    // From the queue of errors a process gets back what it sent.
    let flags = line.word(if line.call == "recvmsg" { 2 } else { 3 });
    if line.result < 0 || flags.contains("MSG_ERRQUEUE") {
        return Some(Vec::new());
    }
    let (ways, bytes): (&[(usize, Way)], i64) = match line.call {
        "sendfile" => (&[(1, Read), (0, Written)], line.result),
        "splice" | "copy_file_range" => (&[(0, Read), (2, Written)], line.result),
        "tee" => (&[(0, Read), (1, Written)], line.result),
        "mq_timedsend" => (&[(0, Written)], line.number(2)?),
        "sendmmsg" => (&[(0, Written)], messages(line.word(1))?),
        "recvmmsg" => (&[(0, Read)], messages(line.word(1))?),
        call if call.contains("read") || call.contains("rec") => (&[(0, Read)], line.result),
        _ => (&[(0, Written)], line.result),
    };
    ways.iter()
        .map(|(at, way)| {
            let file = leads_to(line.word(*at))?;
            Some(match way {
                Read => Call::Moved(process, file, bytes, 0),
                Written => Call::Moved(process, file, 0, bytes),
            })
        })
        .collect()
}

/// The bytes of all messages of one call.
fn messages(word: &str) -> Option<i64> {
    let lengths = word.split("msg_len=").skip(1);
    lengths
        .map(|rest| rest.split(['}', ',']).next()?.parse::<i64>().ok())
        .sum()
}

/// The totals that the closes of a recording tell.
pub(super) fn of_rows(rows: &Rows) -> Vec<Call> {
    let by_seq: HashMap<i64, &Row> = rows.0.iter().map(|row| (row.int("seq"), row)).collect();
    rows.0
        .iter()
        .filter_map(|row| {
            let file = match row.text("kind") {
                "net.close" => "socket".to_owned(),
                "file.close" => file(row, &by_seq)?,
                _ => return None,
            };
            let bytes = |field| row.get(field).as_i64();
            let (read, written) = (bytes("bytes_read")?, bytes("bytes_written")?);
            Some(Call::Moved(row.int("pid"), file, read, written))
        })
        .collect()
}

/// The file of a descriptor, where strace shows it: outside of a chroot.
fn file(row: &Row, by_seq: &HashMap<i64, &Row>) -> Option<String> {
    let opened = row.get("opened").as_i64().and_then(|seq| by_seq.get(&seq));
    let outside = opened.filter(|opened| !opened.get("host_path").is_null());
    let (row, field) = outside.map_or((row, "path"), |opened| (opened, "host_path"));
    row.get(field).as_str()?;
    Some(name(&row.bytes(field)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_where_they_came_from_and_where_they_went() {
        let a = |read, written| Call::Moved(7, "/a".to_owned(), read, written);
        let b = |read, written| Call::Moved(7, "/b".to_owned(), read, written);
        for (line, moved) in [
            (r#"read(3<\x2f\x61>, "\x61", 9) = 1"#, vec![a(1, 0)]),
            (r#"pwrite64(3<\x2f\x61>, "\x61", 1, 5) = 1"#, vec![a(0, 1)]),
            ("read(3, 0x1, 9) = -1 EBADF (Bad file descriptor)", vec![]),
            (
                r"sendfile(3<\x2f\x61>, 4<\x2f\x62>, NULL, 9) = 5",
                vec![b(5, 0), a(0, 5)],
            ),
            (
                r"splice(3<\x2f\x61>, NULL, 4<\x2f\x62>, NULL, 9, 0) = 5",
                vec![a(5, 0), b(0, 5)],
            ),
            (
                r"tee(3<\x2f\x61>, 4<\x2f\x62>, 9, 0) = 5",
                vec![a(5, 0), b(0, 5)],
            ),
            (
                r#"mq_timedsend(3<\x2f\x61>, "\x61", 1, 0, NULL) = 0"#,
                vec![a(0, 1)],
            ),
            (
                "recvmmsg(3<UDP:[1]>, [{msg_hdr={msg_iovlen=1}, msg_len=5}, {msg_hdr={}, msg_len=2}], 2, 0, NULL) = 2",
                vec![Call::Moved(7, "socket".to_owned(), 7, 0)],
            ),
        ] {
            let understood = Line::of(line).and_then(|line| of_line(&line, 7));
            assert_eq!(understood, Some(moved), "{line}");
        }
    }

    #[test]
    fn bytes_of_one_file_are_added_up() {
        let moved = |process, read| Call::Moved(process, "/a".to_owned(), read, 0);
        let calls = || {
            vec![
                moved(1, 2),
                Call::Fork(false, 0),
                moved(2, 3),
                moved(1, 4),
                moved(3, 0),
            ]
        };
        let each = added_up(calls(), Whose::Each);
        assert_eq!(each, [Call::Fork(false, 0), moved(1, 6), moved(2, 3)]);
        let all = added_up(calls(), Whose::All);
        assert_eq!(all, [Call::Fork(false, 0), moved(0, 9)]);
    }
}
