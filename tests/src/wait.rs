//! Waiting for a condition, never for a time.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// After this long a condition is taken never to come, and the test fails.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// How often a condition that announces itself in no way is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until `look` gives something; `what` names it if it never comes.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Waits for a process to end.
pub fn exit(what: &str, child: &mut Child) -> ExitStatus {
    until(what, || child.try_wait().expect("our own child"))
}

/// Reads lines until one satisfies `wanted`; gives that one.
pub fn line<R: Read + AsFd>(
    lines: &mut BufReader<R>,
    what: &str,
    wanted: impl Fn(&str) -> bool,
) -> String {
    loop {
        if lines.buffer().is_empty() {
            readable(lines.get_ref(), what);
        }
        let mut line = String::new();
        let bytes = lines.read_line(&mut line).expect("readable text");
        assert!(bytes > 0, "the output ended before {what}");
        if wanted(line.trim_end()) {
            return line.trim_end().to_owned();
        }
    }
}

/// Waits until there is something to read, or will never be again.
fn readable(from: &impl AsFd, what: &str) {
    let patience = Timespec::try_from(PATIENCE).expect("a short time");
    let mut fds = [PollFd::new(from, PollFlags::IN)];
    let ready = poll(&mut fds, Some(&patience)).expect("an open descriptor");
    assert!(ready > 0, "waited in vain for {what}");
}
