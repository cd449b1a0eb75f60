//! What is done many times.

use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{pread, pwrite};
use rustix::net::sockopt::set_socket_linger;
use rustix::process::getppid;

/// Opened over and over: small, always there, in the page cache.
const FILE: &str = "/etc/hostname";

/// Of a mixed operation, what is cheap is done more often, as programs do.
const MIXED_OPENS: u64 = 8;
const MIXED_TRANSFERS: u64 = 16;
const MIXED_DATAGRAMS: u64 = 4;
const MIXED_CONNECTIONS: u64 = 2;
/// Mixed operations for each program that is executed.
const MIXED_PER_EXEC: u64 = 10;

/// Does it `count` times.
pub(crate) fn repeat(what: &str, count: u64) -> Result<()> {
    match what {
        "open" => opens(count),
        "transfer" => transfers(count),
        "storm" => storm(count),
        "tcp" => connections(count),
        "udp" => datagrams(count),
        "mixed" => mixed(count),
        "call" => {
            for _ in 0..count {
                let _ = getppid();
            }
            Ok(())
        }
        other => bail!("nothing is named `{other}`"),
    }
}

fn opens(count: u64) -> Result<()> {
    for _ in 0..count {
        // As the C library does: not every tracer looks at `open`.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        drop(openat(CWD, FILE, flags, Mode::empty())?);
    }
    Ok(())
}

/// One byte at a time, through one descriptor: what a call costs is all there is.
fn transfers(count: u64) -> Result<()> {
    let file = tempfile::tempfile().context("cannot make a file")?;
    let mut byte = [0];
    for _ in 0..count {
        pwrite(&file, &byte, 0)?;
        pread(&file, &mut byte, 0)?;
    }
    Ok(())
}

fn storm(count: u64) -> Result<()> {
    let me = std::env::current_exe()?;
    for _ in 0..count {
        nothing(&me)?;
    }
    Ok(())
}

fn nothing(me: &Path) -> Result<()> {
    if !Command::new(me).arg("nothing").status()?.success() {
        bail!("an empty process failed");
    }
    Ok(())
}

/// The kernel completes a connection before it is accepted, so one thread is both ends.
fn connections(count: u64) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    for _ in 0..count {
        let ours = TcpStream::connect(address)?;
        // Closed orderly, its port would be taken for a minute, and ports would run out.
        set_socket_linger(&ours, Some(Duration::ZERO))?;
        drop((listener.accept()?, ours));
    }
    Ok(())
}

fn datagrams(count: u64) -> Result<()> {
    let to = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let from = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = to.local_addr()?;
    let mut byte = [0];
    for _ in 0..count {
        from.send_to(&byte, address)?;
        to.recv_from(&mut byte)?;
    }
    Ok(())
}

fn mixed(count: u64) -> Result<()> {
    let me = std::env::current_exe()?;
    for number in 0..count {
        opens(MIXED_OPENS)?;
        transfers(MIXED_TRANSFERS)?;
        datagrams(MIXED_DATAGRAMS)?;
        connections(MIXED_CONNECTIONS)?;
        if number % MIXED_PER_EXEC == 0 {
            nothing(&me)?;
        }
    }
    Ok(())
}
