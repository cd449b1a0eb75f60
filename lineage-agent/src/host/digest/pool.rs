//! The threads that read files, and what waits for them.
//!
//! Two threads of the lowest priority: one never takes a large file, so that the many small ones do not
//! wait behind a few large ones. Who hands over files never waits for them: it takes the lock only when
//! nobody has it, because a thread of the lowest priority may be off the processor with it for long.
//!
//! A file system can keep a reader waiting for ever (one that a process of the workload implements,
//! for example). A thread that does not come forward is given up and another takes its place, a few
//! times.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::read::{BUFFER_BYTES, Watch, digest};
use super::{Outcome, Reason, Wanted, priority};
use crate::clock::{Clock as _, SystemClock};

/// A file of as many bytes is a large one.
const LARGE_BYTES: i64 = 64 << 20;

/// Longest a thread may take to open a file or to read one buffer.
const STUCK: Duration = Duration::from_secs(30);

/// Threads that may be given up; then nothing is read any more.
const GIVEN_UP_MAX: usize = 4;

/// The threads, from outside. Dropping it lets them end; it does not wait for them.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    sender: mpsc::Sender<(u64, Outcome)>,
    outcomes: mpsc::Receiver<(u64, Outcome)>,
    /// Handed over, not yet in the queue.
    outbox: VecDeque<Wanted>,
    given_up: usize,
    next_worker: u64,
}

/// What is being read at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Which file.
    pub ticket: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// What all threads use.
#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
    stop: AtomicBool,
}

#[derive(Debug, Default)]
struct Queue {
    small: VecDeque<Wanted>,
    large: VecDeque<Wanted>,
}

impl Queue {
    /// The one of the large files that is read soonest: a huge one keeps none waiting that came before
    /// its turn.
    fn smallest_large(&mut self) -> Option<Wanted> {
        let sizes = self.large.iter().map(|wanted| wanted.identity.version.size);
        let (index, _) = sizes.enumerate().min_by_key(|(_, size)| *size)?;
        self.large.remove(index)
    }
}

/// One thread, from outside.
#[derive(Debug)]
struct Worker {
    number: u64,
    takes_large: bool,
    desk: Arc<Desk>,
    /// What it had read when it was last looked at, and when that was new.
    seen: (Option<Progress>, Instant),
}

/// What a thread is about.
#[derive(Debug, Default)]
struct Desk {
    /// Ticket of the file plus one; 0 when idle.
    ticket: AtomicU64,
    bytes: AtomicU64,
    /// Nobody waits for it any more.
    given_up: AtomicBool,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub fn start() -> io::Result<Self> {
        let (sender, outcomes) = mpsc::channel();
        let mut pool = Self {
            shared: Arc::default(),
            workers: Vec::new(),
            sender,
            outcomes,
            outbox: VecDeque::new(),
            given_up: 0,
            next_worker: 0,
        };
        pool.add_worker(false)?;
        pool.add_worker(true)?;
        Ok(pool)
    }

    fn add_worker(&mut self, takes_large: bool) -> io::Result<()> {
        let number = self.next_worker;
        self.next_worker += 1;
        let desk = Arc::new(Desk::default());
        let (shared, at, sender) = (self.shared.clone(), desk.clone(), self.sender.clone());
        thread::Builder::new()
            .name("digest".to_owned())
            .spawn(move || work(number, takes_large, &shared, &at, &sender))?;
        self.workers.push(Worker {
            number,
            takes_large,
            desk,
            seen: (None, Instant::now()),
        });
        Ok(())
    }

    /// Hands over a file. How many there are is the caller's to limit.
    pub fn push(&mut self, wanted: Wanted) {
        self.outbox.push_back(wanted);
    }

    /// Passes on what was handed over, and looks after the threads. To be called often.
    pub fn tend(&mut self) {
        if !self.outbox.is_empty() {
            let mut queue = match self.shared.queue.try_lock() {
                Ok(queue) => queue,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            for wanted in self.outbox.drain(..) {
                if wanted.identity.version.size >= LARGE_BYTES {
                    queue.large.push_back(wanted);
                } else {
                    queue.small.push_back(wanted);
                }
            }
            drop(queue);
            self.shared.arrived.notify_all();
        }
    }

    /// The next outcome, if there is one. Each ticket has exactly one.
    pub fn outcome(&mut self) -> Option<Outcome> {
        loop {
            let (number, outcome) = self.outcomes.try_recv().ok()?;
            // One that was given up has its outcome already.
            if self.workers.iter().any(|worker| worker.number == number) {
                return Some(outcome);
            }
        }
    }

    /// The next outcome, waiting for it for so long.
    pub fn wait(&mut self, longest: Duration) -> Option<Outcome> {
        if let Some(outcome) = self.outcome() {
            return Some(outcome);
        }
        let (number, outcome) = self.outcomes.recv_timeout(longest).ok()?;
        let known = self.workers.iter().any(|worker| worker.number == number);
        known.then_some(outcome)
    }

    /// Gives up the threads that do not come forward, and tells which files they had.
    pub fn stuck(&mut self) -> Vec<Outcome> {
        let now = Instant::now();
        let mut stuck = Vec::new();
        for worker in &mut self.workers {
            let is = worker.desk.progress();
            if worker.seen.0 != is || is.is_none() {
                worker.seen = (is, now);
            } else if let Some(progress) = is
                && now.duration_since(worker.seen.1) >= STUCK
            {
                worker.desk.given_up.store(true, Ordering::Relaxed);
                stuck.push((worker.number, worker.takes_large, progress.ticket));
            }
        }
        for (number, takes_large, _) in &stuck {
            self.workers.retain(|worker| worker.number != *number);
            self.given_up += 1;
            if self.given_up <= GIVEN_UP_MAX {
                // Without another thread the rest ends as not read.
                let _ = self.add_worker(*takes_large);
            }
        }
        stuck
            .into_iter()
            .map(|(.., ticket)| outcome(ticket, Err(Reason::Stuck)))
            .collect()
    }

    /// What is being read.
    #[must_use]
    pub fn progress(&self) -> Vec<Progress> {
        self.workers
            .iter()
            .filter_map(|worker| worker.desk.progress())
            .collect()
    }

    /// Whether somebody reads.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.workers.is_empty()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.arrived.notify_all();
    }
}

impl Desk {
    fn progress(&self) -> Option<Progress> {
        let ticket = self.ticket.load(Ordering::Acquire).checked_sub(1)?;
        Some(Progress {
            ticket,
            bytes: self.bytes.load(Ordering::Relaxed),
        })
    }
}

impl Shared {
    /// The next file to read; `None` when the thread shall end.
    fn next(&self, takes_large: bool) -> Option<Wanted> {
        let mut queue = lock(&self.queue);
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(wanted) = queue.small.pop_front() {
                return Some(wanted);
            }
            if takes_large && let Some(wanted) = queue.smallest_large() {
                return Some(wanted);
            }
            queue = self
                .arrived
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A poisoned queue is a good one: nothing in it is half done.
fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One thread's life.
fn work(
    number: u64,
    takes_large: bool,
    shared: &Shared,
    desk: &Desk,
    sender: &mpsc::Sender<(u64, Outcome)>,
) {
    priority::lower();
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Some(wanted) = shared.next(takes_large) {
        desk.bytes.store(0, Ordering::Relaxed);
        desk.ticket.store(wanted.ticket + 1, Ordering::Release);
        let result = digest(&wanted, &mut buffer, &Reading { shared, desk });
        desk.ticket.store(0, Ordering::Release);
        let sent = sender.send((number, outcome(wanted.ticket, result)));
        if sent.is_err() || desk.given_up.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// A file being read.
struct Reading<'a> {
    shared: &'a Shared,
    desk: &'a Desk,
}

impl Watch for Reading<'_> {
    fn go_on(&self, bytes: u64) -> bool {
        self.desk.bytes.store(bytes, Ordering::Relaxed);
        let ended = self.shared.stop.load(Ordering::Relaxed);
        !ended && !self.desk.given_up.load(Ordering::Relaxed)
    }
}

fn outcome(ticket: u64, result: Result<super::Found, Reason>) -> Outcome {
    Outcome {
        ticket,
        time_ns: u64::try_from(SystemClock.now().boot_ns).unwrap_or(0),
        result,
    }
}
