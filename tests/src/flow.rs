//! The ways data may have gone from one file to another, joined from records on identities alone: the
//! `process_uid` of processes, device, inode number and version of files and pipes, and of sockets the
//! inode number, `peer_ino` and `other_end`. No name takes part.
//!
//! What a record tells is this: between two records, that of the opening and that of the close, a
//! process moved bytes through a descriptor. So a hop has a span and not a moment, and a way is a chain
//! of hops that data can take without going back in time. It is what may have happened: of what a
//! process had read, the records do not say how much was in what it wrote.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::rows::{Row, Rows};

/// Where data can be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the memory of a process: its `process_uid`.
    Process(String),
    /// In a file, or on the way through a pipe: `dev` and `ino`.
    File(i64, i64),
    /// On the way out of a socket: its `ino`.
    Sent(i64),
    /// On the way into a socket: its `ino`.
    Received(i64),
}

/// From one place to the next.
pub type Hop = (Place, Place);

/// All hops that lie on a way from a file to another.
#[must_use]
pub fn between(rows: &Rows, source: &Place, sink: &Place) -> BTreeSet<Hop> {
    let mut moves = moves(rows);
    // A way begins when the source is left for the last time and ends when the sink is reached first.
    moves.retain(|one| one.to.place != *source && one.from.place != *sink);
    let arrivals = arrivals(&moves, source);
    let departures = departures(&moves, sink);
    let on_a_way = |one: &&Move| {
        let (Some(arrival), Some(departure)) = (arrivals.get(&one.from), departures.get(&one.to))
        else {
            return false;
        };
        one.first.max(*arrival) <= one.last.min(*departure)
    };
    (moves.iter().filter(on_a_way))
        .map(|one| (one.from.place.clone(), one.to.place.clone()))
        .collect()
}

/// A place with what tells its contents apart: what was in a file before it was emptied is not in it
/// afterwards, and a reused inode number is another file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Content {
    place: Place,
    generation: i64,
    emptied: usize,
}

impl Content {
    fn of(place: Place) -> Self {
        Self {
            place,
            generation: 0,
            emptied: 0,
        }
    }
}

/// Bytes that went from one place to another at some time between two records, by their `seq`.
#[derive(Debug)]
struct Move {
    from: Content,
    to: Content,
    first: i64,
    last: i64,
}

/// When data of the source can be at each place at the earliest.
fn arrivals(moves: &[Move], source: &Place) -> BTreeMap<Content, i64> {
    let mut times: BTreeMap<Content, i64> = (moves.iter())
        .filter(|one| one.from.place == *source)
        .map(|one| (one.from.clone(), i64::MIN))
        .collect();
    settle(moves, |one| {
        let from = *times.get(&one.from)?;
        let there = one.first.max(from);
        let earlier = times.get(&one.to).is_none_or(|known| there < *known);
        (from <= one.last && earlier).then(|| times.insert(one.to.clone(), there))
    });
    times
}

/// When data must have left each place at the latest to get to the sink.
fn departures(moves: &[Move], sink: &Place) -> BTreeMap<Content, i64> {
    let mut times: BTreeMap<Content, i64> = (moves.iter())
        .filter(|one| one.to.place == *sink)
        .map(|one| (one.to.clone(), i64::MAX))
        .collect();
    settle(moves, |one| {
        let to = *times.get(&one.to)?;
        let gone = one.last.min(to);
        let later = times.get(&one.from).is_none_or(|known| gone > *known);
        (to >= one.first && later).then(|| times.insert(one.from.clone(), gone))
    });
    times
}

/// Looks at all moves again and again until none changes anything. Each change brings one of finitely
/// many times nearer to its end, so it comes to one.
fn settle<T>(moves: &[Move], mut change: impl FnMut(&Move) -> Option<T>) {
    while moves.iter().filter_map(&mut change).count() > 0 {}
}

/// Everything that moved.
fn moves(rows: &Rows) -> Vec<Move> {
    let emptied = emptied(rows);
    let mut moves = Vec::new();
    for row in &rows.0 {
        match row.text("kind") {
            "file.close" | "net.close" if row.get("opened").is_i64() => {
                used(rows, row, &emptied, &mut moves);
            }
            "process.fork" if row.get("child_uid").is_string() => {
                let [parent, child] = ["process_uid", "child_uid"]
                    .map(|field| Content::of(Place::Process(row.text(field).to_owned())));
                moves.push(at(row.int("seq"), parent, child));
            }
            _ => {}
        }
        if let Some((here, there)) = ends(rows, row) {
            for (sent, received) in [(here, there), (there, here)] {
                moves.push(Move {
                    first: i64::MIN,
                    last: i64::MAX,
                    from: Content::of(Place::Sent(sent)),
                    to: Content::of(Place::Received(received)),
                });
            }
        }
    }
    moves
}

/// Both sockets of a connection, from a record of one: of `AF_UNIX` the kernel names the other, otherwise
/// its record does.
fn ends(rows: &Rows, row: &Row) -> Option<(i64, i64)> {
    let by_record = || {
        row.get("other_end")
            .as_i64()
            .map(|seq| rows.at(seq).int("ino"))
    };
    let other = row.get("peer_ino").as_i64().or_else(by_record)?;
    Some((row.int("ino"), other))
}

fn at(seq: i64, from: Content, to: Content) -> Move {
    Move {
        from,
        to,
        first: seq,
        last: seq,
    }
}

/// What went through a descriptor until this record of its close.
fn used(rows: &Rows, close: &Row, emptied: &Emptied, moves: &mut Vec<Move>) {
    let opened = rows.at(close.int("opened"));
    let process = Content::of(Place::Process(close.text("process_uid").to_owned()));
    let ino = close.int("ino");
    let span = (opened.int("seq"), close.int("seq"));
    let ways = [("bytes_read", true), ("bytes_written", false)];
    for (_, reads) in ways.into_iter().filter(|(field, _)| close.int(field) > 0) {
        let contents = if close.get("kind") == "net.close" {
            let place = if reads { Place::Received } else { Place::Sent };
            vec![(Content::of(place(ino)), span)]
        } else if holds_data(opened) {
            emptied.contents(opened, span)
        } else {
            Vec::new()
        };
        for (content, (first, last)) in contents {
            let (from, to) = if reads {
                (content, process.clone())
            } else {
                (process.clone(), content)
            };
            moves.push(Move {
                from,
                to,
                first,
                last,
            });
        }
    }
}

/// Whether what is written there can be read there: of regular files and pipes. Of a device that is
/// not known, and `/dev/null` is everybody's.
fn holds_data(opened: &Row) -> bool {
    is(opened, libc::S_IFREG) || is(opened, libc::S_IFIFO)
}

fn is(row: &Row, kind: libc::mode_t) -> bool {
    let mode = row.get("mode").as_i64().unwrap_or(0);
    mode & i64::from(libc::S_IFMT) == i64::from(kind)
}

/// When files were emptied: `seq` of the records, by `dev` and `ino`.
struct Emptied(BTreeMap<(i64, i64), Vec<i64>>);

/// The records that say that nothing is in a file any more: an open that cut or made it, or a
/// truncation through a descriptor.
fn emptied(rows: &Rows) -> Emptied {
    let made_or_cut = i64::from(libc::O_TRUNC | libc::O_CREAT);
    let mut emptied: BTreeMap<_, Vec<i64>> = BTreeMap::new();
    for row in rows.0.iter().filter(|row| row.has(&json!({ "size": 0 }))) {
        let empty = match row.text("kind") {
            "file.open" => row.int("flags") & made_or_cut != 0,
            "file.truncate" => row.get("call") == "ftruncate" && row.int("result") == 0,
            _ => false,
        };
        if empty && is(row, libc::S_IFREG) {
            let file = (row.int("dev"), row.int("ino"));
            emptied.entry(file).or_default().push(row.int("seq"));
        }
    }
    Emptied(emptied)
}

impl Emptied {
    /// The contents that a file had while a descriptor was open, each with its part of the span.
    fn contents(&self, opened: &Row, (first, last): (i64, i64)) -> Vec<(Content, (i64, i64))> {
        let file = (opened.int("dev"), opened.int("ino"));
        let times = self.0.get(&file).map_or(&[][..], Vec::as_slice);
        let until = |seq: i64| times.partition_point(|time| *time <= seq);
        (until(first)..=until(last))
            .map(|emptied| {
                let content = Content {
                    place: Place::File(file.0, file.1),
                    generation: opened.int("generation"),
                    emptied,
                };
                let begun = emptied
                    .checked_sub(1)
                    .map_or(first, |at| times[at].max(first));
                let ended = times.get(emptied).map_or(last, |time| last.min(*time));
                (content, (begun, ended))
            })
            .collect()
    }
}
