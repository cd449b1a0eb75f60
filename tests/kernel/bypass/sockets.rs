//! Unix sockets, by all their names and in other processes.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};

use lineage_common::tier::{Denied, Tier};
use lineage_tests::governed::TIER;
use serde_json::json;

use super::{Way, breached, governed, passed, tried};

/// Sockets below `open/`, for everything.
const SOCKETS: &str = r#"
    permit (principal, action in Action::"network", resource is UnixSocket) when { resource.path like "ROOT/open/*" };
"#;

#[test]
fn unix_sockets_are_judged_by_their_files() {
    let script = "socket @s unix stream bind @s unix:ROOT/open/s listen @s \
                  socket @c unix stream connect @c unix:ROOT/open/s accept @a @s \
                  socket @d unix dgram bind @d unix:ROOT/open/d socket @e unix dgram sendto @e 1 unix:ROOT/open/d";
    let run = passed(governed("enforce", SOCKETS), script);
    for (kind, name, count) in [
        ("bind", "s", 2),
        ("listen", "s", 1),
        ("connect", "s", 1),
        ("accept", "s", 1),
        ("send", "d", 1),
    ] {
        let judged = run
            .recorder
            .placed(&format!("{kind} unix:ROOT/open/{name}"));
        let kind = format!("net.{kind}");
        assert_eq!(
            run.rows.all(&kind, &json!({ "verdict": "allow" })).len(),
            count,
            "{kind}"
        );
        run.rows
            .only(&kind, &json!({ "judged": judged, "effect": "allowed" }));
    }
}

/// Sockets of somebody outside, by stream (`@c`) and for datagrams (`@d`).
const OUTSIDE: [(&str, &str, &str); 10] = [
    (
        "fails EPERM connect @c unix:ROOT/closed/s",
        "net.connect",
        "connect unix:ROOT/closed/s",
    ),
    (
        "chdir ROOT/closed fails EPERM connect @c unix:s",
        "net.connect",
        "connect unix:ROOT/closed/s",
    ),
    (
        "fails EPERM connect @c unix:ROOT/open/link",
        "net.connect",
        "connect unix:ROOT/closed/s",
    ),
    (
        "fails EPERM sendto @d 1 unix:ROOT/closed/d",
        "net.send",
        "send unix:ROOT/closed/d",
    ),
    (
        "fails EPERM sendto @d 1 unix:ROOT/open/../closed/d",
        "net.send",
        "send",
    ),
    (
        "fails EPERM sendto @d 1 unix:ROOT/open//../closed/d",
        "net.send",
        "send",
    ),
    (
        "chdir ROOT/closed fails EPERM sendto @d 1 unix:d",
        "net.send",
        "send",
    ),
    (
        "fails EPERM bind @c unix:ROOT/closed/n",
        "net.bind",
        "bind unix:ROOT/closed/n",
    ),
    (
        "chdir ROOT/closed fails EPERM bind @c unix:m",
        "net.bind",
        "bind unix:ROOT/closed/m",
    ),
    (
        "fails EPERM bind @c unix:@lineage",
        "net.bind",
        "bind unix:@lineage",
    ),
];

/// Whoever listens there, and whatever the socket is called.
#[test]
fn unix_sockets_outside_are_not_talked_to() {
    let name = format!("lineage-{}", std::process::id());
    let hidden = SocketAddr::from_abstract_name(&name).expect("short");
    let _hidden = UnixListener::bind_addr(&hidden).expect("nobody has it");
    let (to_hidden, hidden) = (
        format!("fails EPERM connect @c unix:@{name}"),
        format!("connect unix:@{name}"),
    );
    let mut ways = OUTSIDE
        .map(|(script, kind, judged)| Way::new(script, kind, judged))
        .to_vec();
    ways.push(Way::new(&to_hidden, "net.connect", &hidden));
    let (script, judged) = (
        "fails EPERM connect @d unix:ROOT/closed/d",
        "connect unix:ROOT/closed/d",
    );
    ways.push(Way::new(script, "net.connect", judged));
    for way in &mut ways {
        // A hook has the file that the address led to.
        if way.judged == "send" && *TIER == Tier::Lsm {
            way.judged = "send unix:ROOT/closed/d";
        }
    }
    let with_sockets =
        |way: &Way<'_>| format!("socket @c unix stream socket @d unix dgram {}", way.script);
    let scripts: Vec<_> = ways.iter().map(with_sockets).collect();
    for (way, script) in ways.iter_mut().zip(&scripts) {
        way.script = script;
    }
    let recorder = governed("enforce", SOCKETS);
    let _listener = UnixListener::bind(recorder.path("closed/s")).expect("writable");
    let _receiver = UnixDatagram::bind(recorder.path("closed/d")).expect("writable");
    symlink("../closed/s", recorder.path("open/link")).expect("writable");
    tried(recorder, &ways);
}

#[test]
fn a_socket_that_a_child_connected_helps_nobody() {
    let recorder = governed("enforce", SOCKETS);
    let listener = UnixListener::bind(recorder.path("closed/s")).expect("writable");
    let way = Way::new(
        "fails EPERM connect @a unix:ROOT/closed/s",
        "net.connect",
        "connect unix:ROOT/closed/s",
    );
    let made = "socket @a unix stream";
    if way.promise() == Denied::Prevented {
        let tried = format!("{made} {} fails ENOTCONN send @a 1", way.script);
        let way = Way {
            script: &tried,
            ..way
        };
        super::tried(recorder, &[way]);
    } else {
        let script = format!(
            "{made} fork @c [ {} ] status @s @c send @a 1 recv @a 1",
            way.script
        );
        breached(recorder, &script);
    }
    drop(listener);
}
