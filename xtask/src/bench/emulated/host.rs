//! Which kernels are measured in which states, and what the counts are held to.

use anyhow::Result;

use super::Counts;
use crate::bench::figure::{Budget, Figure};
use crate::vm::HOME;

/// The kernels, and how they are started. Where system calls return, the recorder uses another kind of hook from Linux 7 on.
pub(super) const HOSTS: [Host; 4] = [
    Host::new("6.1", "fexit", "raw"),
    Host::new("6.1", "lsm", "raw"),
    Host::new("6.12", "lsm", "raw"),
    Host::new("newest", "lsm", "event"),
];

/// What is measured (`tests/src/bin/count`): a call that does next to nothing, one that is recorded now and then, and two
/// that are recorded each time.
pub(super) const CALLS: [&str; 3] = ["getppid", "read", "open+close"];

/// In which states.
pub(super) const STATES: [State; 6] = [
    State::Untraced,
    State::Hooked,
    State::Beside { governed: false },
    State::Beside { governed: true },
    State::Recorded { governed: false },
    State::Recorded { governed: true },
];

/// Where the policy is in the machine, below the programs' directory.
pub(super) const POLICY_FILE: &str = "allow.cedar";

/// What must be reached.
mod budget {
    use super::Budget;

    /// A process that is not recorded, while another is governed, to no tracer at all.
    pub(super) const UNTRACED: Budget = Budget::AtMost {
        limit: 1.01,
        aim: 1.0,
    };
    /// The same, governed or not, to an empty program in the recorder's one entrance.
    pub(super) const HOOKED: Budget = Budget::AtMost {
        limit: 1.15,
        aim: 1.05,
    };
    /// What an event adds to its call, to what an empty program adds.
    pub(super) const EVENT: Budget = Budget::AtMost {
        limit: 3.0,
        aim: 2.0,
    };
    /// Events lost: one that is costs less.
    pub(super) const LOST: Budget = Budget::at_most(0.0);
}

/// A kernel, and how it is started.
pub(super) struct Host {
    /// As in `cargo xtask vm`.
    pub(super) kernel: &'static str,
    /// In which tier policies are enforced. In tier `lsm`, BPF is an active security module.
    pub(super) tier: &'static str,
    /// The kind of hook in which the recorder sees system calls return.
    hook: &'static str,
}

/// What else goes on while the calls are made.
#[derive(Clone, Copy)]
pub(super) enum State {
    /// Nothing.
    Untraced,
    /// An empty program is called as each system call returns.
    Hooked,
    /// Another process is recorded, which is idle; with a policy or without.
    Beside { governed: bool },
    /// The calls are recorded.
    Recorded { governed: bool },
}

impl State {
    /// In one word, as `init` wants it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Untraced => "no-tracer",
            Self::Hooked => "empty-hook",
            Self::Beside { governed: false } => "untracked",
            Self::Beside { governed: true } => "untracked-governed",
            Self::Recorded { governed: false } => "tracked",
            Self::Recorded { governed: true } => "tracked-governed",
        }
    }
}

impl Host {
    const fn new(kernel: &'static str, tier: &'static str, hook: &'static str) -> Self {
        Self { kernel, tier, hook }
    }

    /// The kernel and the tier.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.kernel, self.tier)
    }

    /// What is run in the machine to count in a state. A tier that cannot be had ends it: there are no figures of another.
    pub(super) fn command(&self, state: State) -> Vec<String> {
        let count = format!("{HOME}/count");
        let name = state.name();
        match state {
            State::Untraced => vec![count, name.to_owned()],
            State::Hooked => [&count, name, "hook", self.hook]
                .map(str::to_owned)
                .to_vec(),
            State::Beside { governed } => {
                let mut words = [&count, name, "beside"].map(str::to_owned).to_vec();
                words.extend(self.record(name, governed));
                words
            }
            State::Recorded { governed } => {
                let mut words = self.record(name, governed);
                words.extend([count, name.to_owned()]);
                words
            }
        }
    }

    fn record(&self, name: &str, governed: bool) -> Vec<String> {
        let evidence = format!("/tmp/{name}");
        let mut words = [
            &format!("{HOME}/lineage"),
            "record",
            "--json",
            "-o",
            &evidence,
        ]
        .map(str::to_owned)
        .to_vec();
        if governed {
            let policy = format!("{HOME}/{POLICY_FILE}");
            let options = ["--policy", &policy, "--require-tier", self.tier];
            words.extend(options.map(str::to_owned));
        }
        words.push("--".to_owned());
        words
    }

    /// What follows from the counts.
    pub(super) fn figures(&self, counts: &Counts) -> Result<Vec<Figure>> {
        let mut figures = vec![self.ratio(
            counts,
            "getppid",
            State::Beside { governed: true },
            State::Untraced,
            budget::UNTRACED,
        )?];
        for governed in [false, true] {
            let state = State::Beside { governed };
            figures.push(self.ratio(counts, "getppid", state, State::Hooked, budget::HOOKED)?);
        }
        for governed in [false, true] {
            let state = State::Recorded { governed };
            figures.push(self.event(counts, governed)?);
            // The whole calls, with all that the kernel does in them.
            figures.push(self.ratio(counts, "open+close", state, State::Hooked, Budget::None)?);
        }
        // Every state with a recorder has one recording.
        let recordings = STATES.len() - 2;
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let lost = if counts.lost.len() == recordings {
            counts.lost.iter().sum::<u64>() as f64
        } else {
            f64::NAN
        };
        let name = format!("{}: events lost", self.name());
        let command = self.command(State::Recorded { governed: false }).join(" ");
        figures.push(Figure::told(name, command, lost, "events").within(budget::LOST));
        Ok(figures)
    }

    /// Instructions of a call in one state, to another.
    fn ratio(
        &self,
        counts: &Counts,
        call: &str,
        state: State,
        to: State,
        budget: Budget,
    ) -> Result<Figure> {
        let name = format!("{}: {call} {} / {}", self.name(), state.name(), to.name());
        let value = counts.of(state, call)? / counts.of(to, call)?;
        Ok(Figure::told(name, self.commands(state, to), value, "times").within(budget))
    }

    /// What open and close cost more with the recorder in them than without any tracer, to what they cost more with an
    /// empty program: two events, and two calls of the program.
    fn event(&self, counts: &Counts, governed: bool) -> Result<Figure> {
        let call = "open+close";
        let state = State::Recorded { governed };
        let more = |state| -> Result<f64> {
            Ok(counts.of(state, call)? - counts.of(State::Untraced, call)?)
        };
        let name = format!(
            "{}: {call}, added by {} / by {}",
            self.name(),
            state.name(),
            State::Hooked.name()
        );
        let value = more(state)? / more(State::Hooked)?;
        Ok(
            Figure::told(name, self.commands(state, State::Hooked), value, "times")
                .within(budget::EVENT),
        )
    }

    fn commands(&self, state: State, to: State) -> String {
        let [state, to] = [state, to].map(|state| self.command(state).join(" "));
        format!("{state}; {to}")
    }
}
