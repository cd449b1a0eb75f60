//! What the probes say in words: rare conditions an operator should hear of at once and not only
//! read in the counters.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{self, Receiver, Sender},
};

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

/// The reading end.
#[derive(Debug)]
pub(super) struct Warnings {
    /// `None` once it was found to hold something it should not.
    logger: Option<Logger>,
    heard: Receiver<String>,
}

/// [`EbpfLogger`] does not show itself.
struct Logger(EbpfLogger<Said>);

impl std::fmt::Debug for Logger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Logger")
    }
}

/// Passes on the text of a message. Level and place in the probes' source say nothing to an operator.
struct Said(Sender<String>);

impl Log for Said {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // The receiver lives as long as the logger.
        let _ = self.0.send(record.args().to_string());
    }

    fn flush(&self) {}
}

impl Warnings {
    /// Takes the ring for messages from the object.
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, aya_log::Error> {
        let (said, heard) = mpsc::channel();
        let logger = EbpfLogger::init_with_logger(ebpf, Said(said))?;
        Ok(Self {
            logger: Some(Logger(logger)),
            heard,
        })
    }

    /// What was said since the last call.
    pub(super) fn take(&mut self) -> Vec<String> {
        if let Some(Logger(logger)) = &mut self.logger {
            // It panics on bytes that are no message.
            if catch_unwind(AssertUnwindSafe(|| logger.flush())).is_err() {
                self.logger = None;
            }
        }
        self.heard.try_iter().collect()
    }
}
