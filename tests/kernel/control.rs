//! What others can make of the socket on which a recorder is asked for something.

use std::io::{BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::time::{Duration, Instant};

use lineage_agent::recorder::control::path_of;
use lineage_tests::governed::governed;
use lineage_tests::recorder::Recorder;
use lineage_tests::wait;

/// More than the clients that a recorder listens to at one time.
const MANY: usize = 40;

/// A command waits 30 s for its answer. This is less, and more than some turns of the clients before it.
const SOON: Duration = Duration::from_secs(15);

/// Starts recording a command that runs until its input ends.
fn started(recorder: &Recorder) -> Child {
    let mut child = recorder.start("print began read 0 1");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    wait::line(&mut lines, "the command", |line| line == "began");
    child
}

/// Sends something to a recorder.
fn sent(recorder: &Child, bytes: &[u8]) -> UnixStream {
    let mut stream = UnixStream::connect(path_of(recorder.id())).expect("it listens");
    stream
        .set_write_timeout(Some(wait::PATIENCE))
        .expect("a time");
    stream
        .set_read_timeout(Some(wait::PATIENCE))
        .expect("a time");
    stream.write_all(bytes).expect("it reads");
    stream.shutdown(Shutdown::Write).expect("connected");
    stream
}

/// So many bytes of JSON that are no question.
fn nonsense(bytes: usize) -> Vec<u8> {
    format!("{:?}", "x".repeat(bytes)).into_bytes()
}

#[test]
fn what_is_no_question_gets_a_short_answer() {
    let recorder = governed("enforce", "");
    let child = started(&recorder);
    let mut stream = sent(&child, &nonsense(3 << 20));
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let begins = r#"{"refused":"not a question: unknown variant `xxx"#;
    assert!(answer.starts_with(begins), "{answer}");
    assert!(answer.len() < 512, "{answer}");
    let output = child.wait_with_output().expect("our own child");
    let _run = recorder.finish(output);
}

#[test]
fn nobody_is_kept_waiting_by_clients_that_neither_speak_nor_read() {
    let recorder = governed("enforce", "");
    let child = started(&recorder);
    let question = nonsense(1 << 20);
    let deaf: Vec<_> = (0..MANY).map(|_| sent(&child, &question)).collect();
    let mute = (0..MANY).map(|_| UnixStream::connect(path_of(child.id())));
    let mute: Vec<_> = mute.map(|stream| stream.expect("it listens")).collect();
    let begun = Instant::now();
    let said = recorder.reload();
    let waited = begun.elapsed();
    let stderr = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.stdout, b"reloaded: generation 2\n", "{stderr}");
    assert!(waited < SOON, "{waited:?}");
    drop((deaf, mute));
    let output = child.wait_with_output().expect("our own child");
    let _run = recorder.finish(output);
}
