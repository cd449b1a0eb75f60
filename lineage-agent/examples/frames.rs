//! Prints the events of a command as they come from the kernel: `frames CMD ARG…`, as root.

#![allow(unsafe_code, reason = "pre_exec")]

use std::{
    io::{Read, Write, pipe},
    os::unix::process::CommandExt,
    process::Command,
    time::Duration,
};

use anyhow::Context;
use lineage_agent::{
    batch::Batch,
    event::{Body, Event, ReversedPath},
    probe::{Options, Probes},
};
use lineage_common::frame::Flags;

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args_os().skip(1);
    let program = words.next().context("usage: frames CMD ARG…")?;
    let (mut probes, mut reader) = Probes::load(&Options::default())?;

    let (mut gate_out, mut gate_in) = pipe()?;
    let mut command = Command::new(program);
    command.args(words);
    // SAFETY: reads one byte from a pipe, which is safe after fork.
    unsafe { command.pre_exec(move || gate_out.read_exact(&mut [0])) };
    // `spawn` returns only after the exec: the gate is opened from here.
    let child = std::thread::spawn(move || command.spawn());
    let pid = loop {
        let children = std::fs::read_dir("/proc/self/task")?
            .filter_map(Result::ok)
            .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
            .collect::<String>();
        if let Some(pid) = children.split_whitespace().next() {
            break pid.parse()?;
        }
        std::thread::yield_now();
    };
    probes.track(pid, 1)?;
    gate_in.write_all(&[1])?;
    let mut child = child.join().expect("the thread does not panic")?;

    let mut batch = Batch::default();
    let mut watermarks = 0;
    loop {
        let ended = child.try_wait()?.is_some() && probes.tracked() == 0;
        reader.wait(Duration::from_millis(50))?;
        let drained = reader.drain(&mut batch);
        watermarks += usize::from(drained.watermark.is_some());
        batch.sort();
        let entries = batch.entries().to_vec();
        for entry in &entries {
            match Event::decode(batch.frame(entry)) {
                Ok(event) => print(&event),
                Err(error) => println!("undecodable: {error}"),
            }
        }
        batch.drop_first(entries.len());
        if ended && !drained.more && drained.watermark.is_some() {
            break;
        }
    }
    for cpu in 0..reader.counters().cpus() {
        let c = probes.counters(cpu);
        println!(
            "cpu {cpu}: {} numbered, {} produced, {} lost",
            c.number,
            c.produced.iter().sum::<u64>(),
            c.lost.iter().sum::<u64>()
        );
    }
    println!(
        "{watermarks} watermarks, {} recursion misses",
        probes.recursion_misses()?
    );
    Ok(())
}

fn print(event: &Event<'_>) {
    let h = event.header;
    let comm = String::from_utf8_lossy(&h.comm);
    print!(
        "{:>7} {:>7} {:<15} {:>5} flags {:#x} ",
        h.pid,
        h.tid,
        comm.trim_end_matches('\0'),
        h.result,
        h.flags.0
    );
    match event.body {
        Body::Fork(f) | Body::ThreadStart(f) => println!("{f:?}"),
        Body::Exec(e) => println!(
            "exec {} cwd {} file {} interp {} argv {:?} {:?}",
            path(e.exe),
            path(e.cwd),
            text(e.filename),
            text(e.interpreter),
            text(e.argv),
            e.exec
        ),
        Body::Exit(e) | Body::ThreadExit(e) => println!("{e:?}"),
        Body::Open(f) | Body::FileInherit(f) => {
            let path = if h.flags.has(Flags::CLAIMED) {
                text(f.path)
            } else {
                path(ReversedPath(f.path))
            };
            println!("file {path} {:?}", f.file);
        }
        Body::FileClose(c) | Body::NetClose(c) => println!("{c:?}"),
        Body::Connect(s) | Body::Accept(s) | Body::Bind(s) | Body::NetInherit(s) => {
            println!("{:?} {} {}", s.socket, text(s.local), text(s.peer));
        }
    }
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn path(path: ReversedPath<'_>) -> String {
    let mut out = Vec::new();
    path.write_to(&mut out);
    text(&out)
}
