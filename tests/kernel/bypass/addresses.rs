//! Connections to addresses, and descriptors from others.

use std::path::Path;

use lineage_tests::outsider::Outsider;
use lineage_tests::wait;
use serde_json::json;

use super::{Way, governed, passed, tried};

/// Connections through a ring are refused like others, and what was decided about them is in no other's record.
#[test]
fn a_ring_does_not_connect_where_a_call_does_not() {
    let rules = r#"
        permit (principal, action == Action::"use", resource is Facility);
        @id("eight") permit (principal, action == Action::"connect", resource is Endpoint) when { resource.port == 8 };
    "#;
    let script = "socket @a inet dgram ring-connect @a 127.0.0.1:9 fails EINVAL connect @a unix:/none          socket @b inet dgram ring-connect @b 127.0.0.1:9 fails EDESTADDRREQ send @b 1          ring-connect @b 127.0.0.1:8 send @b 1";
    let run = passed(governed("enforce", rules), script);
    let connect = run.rows.only("net.connect", &json!({}));
    connect.expect(&json!({ "verdict": null, "judged": null }));
}

#[test]
fn nobody_listens_and_accepts_without_leave() {
    let rules = |actions: &str| {
        format!(
            "permit (principal, action in [{actions}], resource is Endpoint) when {{ resource.address.isLoopback() }};"
        )
    };
    let listen = "socket @s inet stream bind @s 127.0.0.1:0 listen @s";
    let accept = "socket @c inet stream connect @c @s accept @a @s";
    let script = listen.replace("listen", "fails EPERM listen");
    tried(
        governed("enforce", &rules(r#"Action::"bind""#)),
        &[Way::new(&script, "net.listen", "listen 127.0.0.1:PORT/tcp")],
    );
    let allowed = r#"Action::"bind", Action::"listen", Action::"connect""#;
    let refused = accept.replace("accept", "fails EPERM accept");
    tried(
        governed("enforce", &rules(allowed)),
        &[Way::new(
            &format!("{listen} {refused}"),
            "net.accept",
            "accept 127.0.0.1:PORT/tcp",
        )],
    );
    let script = format!("{listen} {accept}");
    passed(governed("enforce", &rules(r#"Action::"network""#)), &script);
}

/// The first bytes of a message can make the connection they go through.
#[test]
fn a_message_does_not_connect_where_a_call_does_not() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("free");
    let port = listener.local_addr().expect("bound").port();
    let script = format!("socket @c inet stream fails EPERM fastopen @c 3 127.0.0.1:{port}");
    let run = passed(governed("enforce", ""), &script);
    let denied = run.rows.only("net.connect", &json!({ "verdict": "deny" }));
    denied.expect(
        &json!({ "effect": "prevented", "judged": format!("connect 127.0.0.1:{port}/tcp") }),
    );
}

/// A descriptor that somebody outside opened is not judged: it is recorded that it came, and what it leads to.
#[test]
fn a_descriptor_from_outside_is_recorded() {
    let recorder = governed(
        "enforce",
        r#"permit (principal, action in Action::"network", resource);"#,
    );
    let socket = recorder.path("socket");
    let closed = recorder.path("closed/file").display().to_string();
    let giver = format!(
        "socket @s unix stream bind @s unix:{0} listen @s accept @c @s open @f {closed} O_RDONLY pass @c @f ; recv @c 1",
        socket.display()
    );
    let mut outside = Outsider::does(&giver);
    wait::until("the socket", || socket.exists().then_some(()));
    let script = format!(
        "socket @s unix stream connect @s unix:{} receive @s @f ; read @f 1 send @s 1",
        socket.display()
    );
    let run = passed(recorder, &script);
    assert!(outside.0.wait().expect("our own child").success());
    let path = Path::new(&closed).canonicalize().expect("it is there");
    let came = run
        .rows
        .only("descriptor.receive", &json!({ "path": path }));
    came.expect(&json!({ "verdict": null }));
}

#[test]
fn no_address_is_the_host_itself() {
    let rules = r#"permit (principal, action == Action::"connect", resource is Endpoint)
        unless { resource.address.isLoopback() };"#;
    for (family, to, judged) in [
        ("inet", "0.0.0.0:9", "connect 127.0.0.1:9/tcp"),
        ("inet6", "[::]:9", "connect [::1]:9/tcp"),
    ] {
        let script = format!("socket @a {family} stream fails EPERM connect @a {to}");
        let run = passed(governed("enforce", rules), &script);
        let connect = run.rows.only("net.connect", &json!({}));
        connect.expect(&json!({ "effect": "prevented", "judged": judged }));
    }
}
