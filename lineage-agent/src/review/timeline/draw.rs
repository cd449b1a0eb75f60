//! A timeline as lines for people, and as JSON for programs.

use std::io::{self, Write};

use super::super::happening::What;
use super::super::line::{Fit, Line, Screen, Style};
use super::super::ls::date;
use super::super::ndjson;
use super::super::text;
use super::super::when::utc;
use super::pace::is_pause;
use super::{Interval, Named, Timeline};
use crate::counted::counted;

/// Columns of the longest bar.
const BAR: usize = 8;

/// Most columns of a name on a terminal.
const NAME_COLUMNS: usize = 26;

/// Eighths of a column.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

/// What the columns of numbers are called; the recorder's own records have none.
const GROUPS: [&str; 3] = ["proc", "file", "net"];

impl Timeline {
    /// Draws the timeline; `all` writes all names that are kept, on as many lines as they need.
    ///
    /// # Errors
    ///
    /// What the writer returns.
    pub fn write(&self, out: &mut impl Write, screen: Screen, all: bool) -> io::Result<()> {
        let widest = |group: usize| {
            let numbers = self
                .intervals
                .values()
                .map(|interval| interval.groups[group]);
            let digits = numbers.max().unwrap_or_default().to_string().len();
            digits.max(GROUPS[group].len())
        };
        let mut drawing = Drawing {
            timeline: self,
            out,
            screen,
            all,
            line: Line::default(),
            widths: [widest(0), widest(1), widest(2)],
            most: self
                .intervals
                .values()
                .map(|interval| interval.records)
                .max()
                .unwrap_or(1),
            digits: time_digits(self.step_ns),
        };
        drawing.head()?;
        let mut before: Option<i64> = None;
        for (start, interval) in &self.intervals {
            drawing.gap(before, *start)?;
            drawing.interval(*start, interval)?;
            before = Some(*start);
        }
        Ok(())
    }

    /// Writes one JSON object on one line: `step_ns`, and the `intervals` that have records.
    ///
    /// # Errors
    ///
    /// What the writer returns.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        write!(out, "{{\"step_ns\":{},\"intervals\":[", self.step_ns)?;
        for (index, (start, interval)) in self.intervals.iter().enumerate() {
            if index > 0 {
                out.write_all(b",")?;
            }
            let [process, file, net, recorder] = interval.groups;
            write!(
                out,
                "{{\"start\":\"{}Z\",\"start_ns\":{start},\"records\":{},\"process\":{process},\"file\":{file},\
                 \"net\":{net},\"recorder\":{recorder},\"failed\":{},\"denied\":{},\"lost\":{},\"named\":[",
                utc(*start).replace(' ', "T"),
                interval.records,
                interval.failed,
                interval.denied,
                interval.lost
            )?;
            for (index, named) in interval.ranked().into_iter().enumerate() {
                if index > 0 {
                    out.write_all(b",")?;
                }
                out.write_all(&json(named))?;
            }
            write!(out, "],\"more\":{}}}", interval.more)?;
        }
        out.write_all(b"]}\n")
    }
}

fn json(named: &Named) -> Vec<u8> {
    let mut out = format!("{{\"what\":\"{}\",\"name\":", word(named.what)).into_bytes();
    ndjson::string(&mut out, &named.name);
    out.extend_from_slice(format!(",\"times\":{},\"host\":", named.times).as_bytes());
    ndjson::string(&mut out, &named.host);
    out.extend_from_slice(format!(",\"seq\":{}}}", named.seq).as_bytes());
    out
}

/// What something is called in JSON.
fn word(what: What) -> &'static str {
    match what {
        What::Loss => "loss",
        What::Denied => "denied",
        What::Audited => "audited",
        What::Refused => "refused",
        What::To => "to",
        What::From => "from",
        What::On => "on",
        What::Writes => "writes",
        What::Removes => "removes",
        What::Reads => "reads",
        What::Program => "program",
    }
}

struct Drawing<'t, 'o, W> {
    timeline: &'t Timeline,
    out: &'o mut W,
    screen: Screen,
    all: bool,
    line: Line,
    /// Columns of the numbers.
    widths: [usize; 3],
    /// Most records of an interval.
    most: u64,
    /// Characters of a time of day.
    digits: usize,
}

impl<W: Write> Drawing<'_, '_, W> {
    fn head(&mut self) -> io::Result<()> {
        let intervals = self.timeline.intervals.values();
        let records: u64 = intervals.clone().map(|interval| interval.records).sum();
        let denied: u64 = intervals.clone().map(|interval| interval.denied).sum();
        let lost = intervals.fold(0_u64, |lost, interval| lost.saturating_add(interval.lost));
        let step = text::duration(self.timeline.step_ns);
        let mut said = format!("{}, {step} a line", counted(records, "record", "records"));
        if self.timeline.hosts > 1 {
            said += &format!(", {} hosts", self.timeline.hosts);
        }
        self.line.push(Style::Plain, Fit::Keep, said);
        if denied > 0 {
            let denied = format!(", {denied} denied");
            self.line.join(Style::Bad, Fit::Keep, denied);
        }
        if lost > 0 {
            let lost = format!(", {} lost", counted(lost, "event", "events"));
            self.line.join(Style::Bad, Fit::Keep, lost);
        }
        self.write()?;
        let room = self.digits + 1 + BAR;
        let titles = GROUPS.iter().zip(self.widths);
        let titles: Vec<_> = titles
            .map(|(name, width)| format!("{name:>width$}"))
            .collect();
        let titles = format!("{:room$} {}", "", titles.join(" "));
        self.line.push(Style::Dim, Fit::Keep, titles);
        self.write()
    }

    /// What lies between two intervals: another day, or nothing for a while.
    fn gap(&mut self, before: Option<i64>, start: i64) -> io::Result<()> {
        let step = self.timeline.step_ns;
        // That one line is missing shows in the times.
        if let Some(before) = before.filter(|before| is_pause(*before, start, step)) {
            let nothing = text::duration(start.saturating_sub(before).saturating_sub(step));
            let said = format!("{:>1$} {nothing} without records", "⋮", self.digits);
            self.line.push(Style::Dim, Fit::Keep, said);
            self.write()?;
        }
        let day = start.div_euclid(DAY);
        if before.map(|before| before.div_euclid(DAY)) != Some(day) && step < DAY {
            self.line
                .push(Style::Bold, Fit::Keep, format!("{} UTC", date(day)));
            self.write()?;
        }
        Ok(())
    }

    fn interval(&mut self, start: i64, interval: &Interval) -> io::Result<()> {
        let time = utc(start);
        let time = match self.timeline.step_ns < DAY {
            true => time.split_once(' ').map_or("", |(_, time)| time),
            false => &time,
        };
        let time: String = time.chars().take(self.digits).collect();
        self.line.push(Style::Plain, Fit::Keep, time);
        self.line
            .push(Style::Net, Fit::Keep, bar(interval.records, self.most));
        for (number, width) in interval.groups.iter().zip(self.widths) {
            let style = if *number == 0 {
                Style::Dim
            } else {
                Style::Plain
            };
            self.line
                .push(style, Fit::Keep, format!("{number:>width$}"));
        }
        let [.., recorder] = interval.groups;
        if recorder > 0 && recorder == interval.records {
            self.line
                .push(Style::Dim, Fit::Drop, "(only the recorder's own)");
        }
        let margin =
            self.digits + 1 + BAR + self.widths.iter().map(|width| width + 1).sum::<usize>();
        self.names(interval, margin)
    }

    /// The names that there is room for, what stands out most first; of nothing that does, who was there.
    fn names(&mut self, interval: &Interval, margin: usize) -> io::Result<()> {
        let ranked = interval.ranked();
        let mut left = interval.more + ranked.len() as u64;
        for named in &ranked {
            let text = shown(named, self.screen.columns.is_some() && !self.all);
            // There must still be room to say how many more there are.
            let rest = match left - 1 {
                0 => String::new(),
                more => format!(" +{more}"),
            };
            let first = left == interval.more + ranked.len() as u64;
            if !self.line.has_room(&format!("{text}{rest}"), self.screen) {
                match (first, self.all) {
                    (true, _) => {}
                    (false, true) => {
                        self.write()?;
                        self.line.push(Style::Plain, Fit::Keep, " ".repeat(margin));
                    }
                    (false, false) => continue,
                }
            }
            self.line.push(style(named), Fit::Shorten, text);
            left -= 1;
        }
        if left > 0 {
            self.line.push(Style::Dim, Fit::Keep, format!("+{left}"));
        }
        if ranked.is_empty() {
            let busy = interval.busiest().into_iter();
            busy.for_each(|comm| self.line.push(Style::Dim, Fit::Drop, comm));
        }
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        self.line.write(self.out, self.screen)
    }
}

/// A name with what it is and how often that was.
fn shown(named: &Named, short: bool) -> String {
    let name = match named.what {
        What::Program => named
            .name
            .rsplit_once('/')
            .map_or(&*named.name, |(_, name)| name),
        What::To | What::From | What::On => named.name.strip_suffix(" tcp").unwrap_or(&named.name),
        _ => &named.name,
    };
    let name = text::shown(name);
    let name = match short {
        true => text::shortened(&name, NAME_COLUMNS),
        false => name,
    };
    let mark = match named.what {
        What::Loss => "LOSS ",
        What::Denied => "✗ denied ",
        What::Audited => "✗ would be denied ",
        What::Refused => "✗ ",
        What::To => "→ ",
        What::From => "← ",
        What::On => "on ",
        What::Writes => "w ",
        What::Removes => "- ",
        What::Reads => "r ",
        What::Program => "",
    };
    match named.times {
        1 => format!("{mark}{name}"),
        times => format!("{mark}{name} ×{times}"),
    }
}

fn style(named: &Named) -> Style {
    match named.what {
        What::Loss | What::Denied | What::Audited | What::Refused => Style::Bad,
        What::To | What::From | What::On => Style::Net,
        What::Writes | What::Removes => Style::Change,
        What::Reads => Style::Notable,
        What::Program => Style::Good,
    }
}

/// A bar of a length in proportion; something is never nothing.
fn bar(records: u64, most: u64) -> String {
    let eighths = (BAR * 8) as u128;
    let length = (u128::from(records) * eighths).div_ceil(u128::from(most.max(1)));
    let length = usize::try_from(length.min(eighths)).unwrap_or(BAR * 8);
    let bar = format!("{}{}", "█".repeat(length / 8), EIGHTHS[length % 8]);
    let missing = BAR.saturating_sub(text::width(&bar));
    format!("{bar}{:missing$}", "")
}

/// Characters of `HH:MM:SS.nnnnnnnnn`, or of a date for intervals of days, that tell intervals apart.
fn time_digits(step_ns: i64) -> usize {
    const MINUTE: i64 = 60 * SECOND;
    if step_ns % DAY == 0 {
        10
    } else if step_ns % MINUTE == 0 {
        5
    } else if step_ns % SECOND == 0 {
        8
    } else if step_ns % 1_000_000 == 0 {
        12
    } else if step_ns % 1_000 == 0 {
        15
    } else {
        18
    }
}
