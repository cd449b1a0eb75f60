use lineage_common::frame::Socket;

use super::*;

#[test]
fn device_numbers_are_those_of_stat() {
    assert_eq!(stat_dev(8 << 20 | 1), 0x801);
    assert_eq!(stat_dev(259 << 20 | 0x12345), 0x1231_0345);
}

#[test]
fn arguments_become_a_json_array() {
    let mut scratch = Scratch::default();
    for (block, json) in [
        (&b"ls\0-l\0"[..], r#"["ls","-l"]"#),
        (b"a\0\0b\0", r#"["a","","b"]"#),
        (b"cut", r#"["cut"]"#),
        (b"say\0\"hi\"\x1b\0", r#"["say","\"hi\"\\x1b"]"#),
        (b"back\\slash\0", r#"["back\\\\slash"]"#),
    ] {
        scratch.set_argv(block);
        assert_eq!(scratch.argv, json);
        assert!(serde_json::from_str::<Vec<String>>(&scratch.argv).is_ok());
    }
}

#[test]
fn an_abstract_name_is_not_a_path() {
    assert_eq!(unix_name(b"\0bus"), "@bus");
    assert_eq!(unix_name(b"@bus\0"), "\\x40bus");
    assert_eq!(unix_name(b"/run/bus\0\0"), "/run/bus");
}

#[test]
fn both_ends_of_a_socket() {
    let mut local_addr = [0; 16];
    local_addr[..4].copy_from_slice(&[127, 0, 0, 1]);
    let socket = Socket {
        ino: 1,
        local_addr,
        peer_addr: [0; 16],
        family: AF_INET,
        socket_type: SOCK_STREAM,
        protocol: IPPROTO_TCP,
        local_port: 80,
        peer_port: 0,
        held: Held(Held::LOCAL),
        fd: 3,
        local_len: 0,
        peer_len: 0,
    };
    let ends = ends(&SocketEvent {
        socket: &socket,
        local: b"",
        peer: b"",
    });
    assert_eq!(ends.transport, "tcp");
    assert_eq!(
        ends.local,
        End {
            addr: Some("127.0.0.1".to_owned()),
            port: Some(80)
        }
    );
    assert_eq!(ends.peer, End::default());
}
