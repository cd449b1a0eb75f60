//! What other processes ask a recorder to do: a socket beside its status, one question to a connection.
//!
//! Who asks is known from the kernel (`SO_PEERCRED`, unix(7)), never from what is said.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream as Blocking,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};

use crate::authority::chain::BUNDLE_BYTES_MAX;

/// The environment variable that tells a command where its recorder listens.
pub const VARIABLE: &str = "LINEAGE_CONTROL";

/// Name of the socket in the recorder's directory.
pub(super) const SOCKET: &str = "control";

/// Largest question, bytes: grants, as text in JSON.
const QUESTION_BYTES_MAX: u64 = 2 * BUNDLE_BYTES_MAX as u64;

/// Largest answer, bytes.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Longest error about what is no question, bytes.
const ERROR_BYTES_MAX: usize = 256;

/// How long a question may take to arrive whole, and its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long is waited for an answer: policies are compiled meanwhile.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// Questions that are read at one time.
const CONNECTIONS_MAX: usize = 32;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Question {
    /// Read what governs again.
    Reload {},
    /// Give the asking process a lineage of its own, under a grant that narrows its own.
    Delegate {
        /// A file of grants.
        grant: String,
        /// The program that it will execute, as its root shows it, escaped.
        program: String,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Done: what it is called, for people.
    Done(String),
    /// Not done, and why.
    Refused(String),
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) pid: u32,
    pub(super) uid: u32,
}

/// A question that waits for its answer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) peer: Peer,
    pub(super) question: Question,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// The socket, from the recorder's side.
#[derive(Debug)]
pub(super) struct Control {
    questions: mpsc::Receiver<Asked>,
}

impl Control {
    /// Listens on a socket that everybody can connect to, as the recorder of this process id.
    pub(super) fn listen(pid: u32) -> io::Result<Self> {
        let path = path_of(pid);
        let listener = UnixListener::bind(&path)?;
        let mode = rustix::fs::Mode::from_raw_mode(0o666);
        rustix::fs::chmod(&path, mode)?;
        let (sender, questions) = mpsc::channel(CONNECTIONS_MAX);
        tokio::spawn(accept(listener, sender));
        Ok(Self { questions })
    }

    /// The next question.
    pub(super) async fn next(&mut self) -> Asked {
        match self.questions.recv().await {
            Some(asked) => asked,
            None => std::future::pending().await,
        }
    }
}

async fn accept(listener: UnixListener, questions: mpsc::Sender<Asked>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = room.clone().acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Out of descriptors, for a moment.
                tokio::time::sleep(PATIENCE).await;
                continue;
            }
        };
        let questions = questions.clone();
        tokio::spawn(async move {
            // Who goes away meanwhile wants no answer.
            let _ = converse(stream, questions).await;
            drop(place);
        });
    }
}

async fn converse(mut stream: UnixStream, questions: mpsc::Sender<Asked>) -> io::Result<()> {
    let credentials = stream.peer_cred()?;
    let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok());
    let peer = Peer {
        pid: pid.ok_or(io::ErrorKind::InvalidData)?,
        uid: credentials.uid(),
    };
    let mut text = Vec::new();
    let (reader, _) = stream.split();
    let mut reader = reader.take(QUESTION_BYTES_MAX + 1);
    let read = timeout(PATIENCE, reader.read_to_end(&mut text)).await;
    let answer = match (read, serde_json::from_slice(&text)) {
        (Ok(Ok(bytes)), _) if bytes as u64 > QUESTION_BYTES_MAX => {
            Answer::Refused("the question is too large".to_owned())
        }
        (Ok(Ok(_)), Ok(question)) => ask(&questions, peer, question).await,
        (Ok(Ok(_)), Err(error)) => Answer::Refused(format!("not a question: {}", short(&error))),
        (Ok(Err(error)), _) => return Err(error),
        (Err(_), _) => Answer::Refused("the question did not come in time".to_owned()),
    };
    let answer = serde_json::to_vec(&answer)?;
    timeout(PATIENCE, stream.write_all(&answer)).await?
}

/// An error about a question, however much of that is in it.
fn short(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.floor_char_boundary(ERROR_BYTES_MAX);
    text[..end].to_owned()
}

async fn ask(questions: &mpsc::Sender<Asked>, peer: Peer, question: Question) -> Answer {
    let (answer, wait) = oneshot::channel();
    let asked = Asked {
        peer,
        question,
        answer,
    };
    let ended = || Answer::Refused("the recorder is ending".to_owned());
    if questions.send(asked).await.is_err() {
        return ended();
    }
    wait.await.unwrap_or_else(|_| ended())
}

/// Asks a recorder, which listens at this path.
///
/// # Errors
///
/// When it cannot be reached, or does not answer.
pub fn question(path: &Path, question: &Question) -> io::Result<Answer> {
    let mut stream = Blocking::connect(path)?;
    stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
    stream.write_all(&serde_json::to_vec(question)?)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut text = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Where the recorder of this process id listens.
#[must_use]
pub fn path_of(pid: u32) -> PathBuf {
    super::status::directory_of(pid).join(SOCKET)
}
