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
