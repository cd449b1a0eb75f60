use proptest::prelude::*;

use super::*;

/// Writes type information, so that tests need no kernel.
#[derive(Default)]
struct Writer {
    types: Vec<u8>,
    strings: Vec<u8>,
    count: u32,
}

const INT: u8 = 1;
const CONST: u8 = 10;

impl Writer {
    fn new() -> Self {
        Self {
            strings: vec![0],
            ..Self::default()
        }
    }

    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = u32::try_from(self.strings.len()).unwrap();
        self.strings.extend_from_slice(text.as_bytes());
        self.strings.push(0);
        at
    }

    fn words(&mut self, words: &[u32]) {
        for word in words {
            self.types.extend_from_slice(&word.to_ne_bytes());
        }
    }

    fn begin(&mut self, kind: u8, name: &str, members: usize, size_or_type: u32) -> u32 {
        let name = self.string(name);
        let members = u32::try_from(members).unwrap();
        self.words(&[name, u32::from(kind) << 24 | members, size_or_type]);
        self.count += 1;
        self.count
    }

    fn int(&mut self, name: &str) -> u32 {
        let id = self.begin(INT, name, 0, 4);
        self.words(&[32]);
        id
    }

    /// A structure or union of (name, type, byte offset).
    fn aggregate(&mut self, kind: u8, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        let id = self.begin(kind, name, members.len(), size);
        for (name, ty, at) in members {
            let name = self.string(name);
            self.words(&[name, *ty, at * 8]);
        }
        id
    }

    fn finish(self) -> Vec<u8> {
        let (types, strings) = (self.types.len(), self.strings.len());
        let mut bytes = MAGIC.to_ne_bytes().to_vec();
        bytes.extend_from_slice(&[1, 0]);
        for word in [24, 0, types, types, strings] {
            bytes.extend_from_slice(&u32::try_from(word).unwrap().to_ne_bytes());
        }
        bytes.extend_from_slice(&self.types);
        bytes.extend_from_slice(&self.strings);
        bytes
    }
}

/// `struct outer { int a; union { int b; struct { int c; int d; }; }; const struct inner in; }`
/// and `struct inner { int x; int y; }`.
fn sample() -> Vec<u8> {
    let mut w = Writer::new();
    let int = w.int("int");
    let inner = w.aggregate(STRUCT, "inner", 8, &[("x", int, 0), ("y", int, 4)]);
    let constant = w.begin(CONST, "", 0, inner);
    let anonymous = w.aggregate(STRUCT, "", 8, &[("c", int, 0), ("d", int, 4)]);
    let union = w.aggregate(UNION, "", 8, &[("b", int, 0), ("", anonymous, 0)]);
    w.aggregate(
        STRUCT,
        "outer",
        20,
        &[("a", int, 0), ("", union, 4), ("in", constant, 12)],
    );
    let prototype = w.begin(FUNC_PROTO, "", 3, 0);
    w.words(&[0, int, 0, int, 0, int]);
    let pointer = w.begin(PTR, "", 0, prototype);
    w.begin(TYPEDEF, "btf_trace_thing", 0, pointer);
    w.begin(FUNC, "helper", 0, prototype);
    w.finish()
}

#[test]
fn members_are_found_by_name() {
    let bytes = sample();
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.offset("outer", "a"), Some(0));
    assert_eq!(btf.offset("outer", "b"), Some(4));
    assert_eq!(btf.offset("outer", "d"), Some(8));
    assert_eq!(btf.offset("outer", "in.y"), Some(16));
    assert_eq!(btf.offset("outer", "gone|c"), Some(4));
    assert_eq!(btf.size("inner"), Some(8));
}

#[test]
fn what_is_missing_is_missing() {
    let bytes = sample();
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.offset("outer", "e"), None);
    assert_eq!(btf.offset("outer", "a.b"), None);
    assert_eq!(btf.offset("nothing", "a"), None);
    assert_eq!(btf.size("int"), None);
    assert!(!btf.has_function("outer"));
}

#[test]
fn functions_and_tracepoints() {
    let bytes = sample();
    let btf = Btf::parse(&bytes).unwrap();
    assert!(btf.has_function("helper"));
    assert_eq!(btf.tracepoint_arguments("thing"), Some(2));
    assert_eq!(btf.tracepoint_arguments("other"), None);
}

#[test]
fn ids_are_of_the_kind_that_was_asked_for() {
    let mut w = Writer::new();
    let int = w.int("int");
    let structure = w.aggregate(STRUCT, "name", 12, &[("a", int, 0)]);
    let prototype = w.begin(FUNC_PROTO, "", 0, int);
    let function = w.begin(FUNC, "name", 0, prototype);
    let bytes = w.finish();
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.structure("name"), Some((structure, 12)));
    assert_eq!(btf.function("name"), Some(function));
    assert_eq!(btf.structure("int"), None);
    assert_eq!(btf.function("int"), None);
}

#[test]
fn a_structure_that_contains_itself_ends() {
    let mut w = Writer::new();
    // An anonymous member of the structure's own type, which no compiler can write.
    w.aggregate(STRUCT, "loop", 8, &[("", 1, 0), ("", 1, 0)]);
    let bytes = w.finish();
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.offset("loop", "x"), None);
}

#[test]
fn a_chain_of_typedefs_that_is_a_circle_ends() {
    let mut w = Writer::new();
    w.begin(TYPEDEF, "btf_trace_round", 0, 2);
    w.begin(CONST, "", 0, 1);
    let bytes = w.finish();
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.tracepoint_arguments("round"), None);
}

#[test]
fn damage_is_named() {
    let mut bytes = sample();
    assert_eq!(
        Btf::parse(&bytes[..20]).unwrap_err(),
        BtfError::Short("the header")
    );
    assert_eq!(
        Btf::parse(&bytes[..bytes.len() - 1]).unwrap_err(),
        BtfError::Short("the strings")
    );
    bytes[24 + 7] = 30;
    assert_eq!(
        Btf::parse(&bytes).unwrap_err(),
        BtfError::Kind { id: 1, kind: 30 }
    );
    bytes[0] ^= 0xff;
    assert!(matches!(Btf::parse(&bytes), Err(BtfError::Format(_))));
}

/// Asks everything one can ask.
fn ask(bytes: &[u8]) {
    if let Ok(btf) = Btf::parse(bytes) {
        for path in ["a", "d", "in.y", "gone|c", ".", ""] {
            let _ = btf.offset("outer", path);
        }
        let _ = btf.size("inner");
        let _ = btf.structure("inner");
        let _ = btf.has_function("helper");
        let _ = btf.tracepoint_arguments("thing");
    }
}

#[test]
fn every_truncation_is_survived() {
    let bytes = sample();
    for len in 0..bytes.len() {
        ask(&bytes[..len]);
    }
}

proptest! {
    #[test]
    fn every_damage_is_survived(changes in prop::collection::vec((0usize..600, any::<u8>()), 1..8)) {
        let mut bytes = sample();
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        ask(&bytes);
    }
}

/// On a machine whose kernel describes itself, everything the probes need is there.
#[test]
fn the_running_kernel_has_every_field() {
    let Ok(bytes) = std::fs::read(VMLINUX) else {
        return;
    };
    let Some(machine) = lineage_common::calls::Machine::native() else {
        return;
    };
    let btf = Btf::parse(&bytes).unwrap();
    let layout = crate::probe::layout::resolve(&btf, machine).unwrap();
    assert_eq!(layout.task_tgid, layout.task_pid + 4);
}
