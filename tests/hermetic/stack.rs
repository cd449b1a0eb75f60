//! The probes' stack. All functions on a way through a program share 512 bytes, and kernels before 6.13
//! count every one whole, rounded up; later ones can give each its own. So that a change which only
//! those accept is noticed on any machine, the object itself is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use object::read::elf::{ElfFile64, ElfSymbol64};
use object::{
    Endianness, Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionIndex, SymbolIndex,
    SymbolKind,
};

/// `MAX_BPF_STACK` (`include/linux/filter.h`).
const STACK_BYTES_MAX: i64 = 512;

/// What `check_max_stack_depth` (`kernel/bpf/verifier.c`) rounds each function up to, up to Linux 6.7.
const FRAME_ALIGN: i64 = 32;

/// Bytes of an instruction, and the register that points to the end of the stack
/// (`Documentation/bpf/standardization/instruction-set.rst`).
const INSTRUCTION_BYTES: usize = 8;
const FRAME_POINTER: u8 = 10;

/// Where a function begins: its section, and the instruction there.
type Place = (usize, usize);

/// A function: the stack it uses itself, and what it calls, or hands to a helper to be called.
struct Function {
    name: String,
    entry: bool,
    stack_bytes: i64,
    calls: BTreeSet<Place>,
}

/// An instruction, taken apart.
struct Instruction {
    code: u8,
    to: u8,
    from: u8,
    offset: i64,
    immediate: i64,
}

impl Instruction {
    fn new(bytes: &[u8]) -> Self {
        let number = |at: usize| i32::from_le_bytes(bytes[at..at + 4].try_into().expect("four"));
        Self {
            code: bytes[0],
            to: bytes[1] & 15,
            from: bytes[1] >> 4,
            offset: i64::from(i16::from_le_bytes([bytes[2], bytes[3]])),
            immediate: i64::from(number(4)),
        }
    }
}

/// The lowest byte of the stack that a function uses, below its end.
#[derive(Default)]
struct Depth {
    /// Registers that point into the stack, and where.
    pointers: BTreeMap<u8, i64>,
    bytes: i64,
}

impl Depth {
    const LOAD: u8 = 1;
    const STORES: [u8; 2] = [2, 3];
    const JUMPS: [u8; 2] = [5, 6];
    const MOVE: u8 = 0xbf;
    const ADD_NUMBER: u8 = 0x07;

    fn follow(&mut self, step: &Instruction) {
        self.pointers.insert(FRAME_POINTER, 0);
        let class = step.code & 7;
        if Self::STORES.contains(&class) {
            self.used(step.to, step.offset);
            return;
        }
        if class == Self::LOAD {
            self.used(step.from, step.offset);
        }
        let pointer = match step.code {
            Self::MOVE => self.pointers.get(&step.from).copied(),
            Self::ADD_NUMBER => self.pointers.get(&step.to).map(|at| at + step.immediate),
            _ => None,
        };
        match pointer {
            Some(at) => {
                self.pointers.insert(step.to, at);
                self.used(step.to, 0);
            }
            None if !Self::JUMPS.contains(&class) => {
                self.pointers.remove(&step.to);
            }
            None => {}
        }
    }

    fn used(&mut self, register: u8, offset: i64) {
        if let Some(at) = self.pointers.get(&register) {
            self.bytes = self.bytes.max(-(at + offset));
        }
    }
}

const CALL: u8 = 0x85;
const OF_THIS_PROGRAM: u8 = 1;
const LOAD_64: u8 = 0x18;

fn functions(object: &ElfFile64<'_>) -> BTreeMap<Place, Function> {
    let relocations: BTreeMap<Place, SymbolIndex> = object
        .sections()
        .flat_map(|section| {
            let index = section.index().0;
            section.relocations().filter_map(move |(at, entry)| {
                let at = usize::try_from(at).expect("small") / INSTRUCTION_BYTES;
                match entry.target() {
                    RelocationTarget::Symbol(symbol) => Some(((index, at), symbol)),
                    _ => None,
                }
            })
        })
        .collect();
    let is_function = |symbol: &ElfSymbol64<'_, '_, Endianness>| symbol.kind() == SymbolKind::Text;
    object
        .symbols()
        .filter(|symbol| is_function(symbol) && symbol.size() > 0)
        .map(|symbol| {
            let section = symbol
                .section_index()
                .expect("a function is in a section")
                .0;
            let first = usize::try_from(symbol.address()).expect("small") / INSTRUCTION_BYTES;
            let count = usize::try_from(symbol.size()).expect("small") / INSTRUCTION_BYTES;
            let called = |at: usize, step: &Instruction| {
                let Some(index) = relocations.get(&(section, at)) else {
                    let to = i64::try_from(at).expect("small") + 1 + step.immediate;
                    return (step.code == CALL)
                        .then(|| (section, usize::try_from(to).expect("a place")));
                };
                let symbol = object.symbol_by_index(*index).expect("a symbol");
                let begins = i64::try_from(symbol.address()).expect("small") / 8;
                let to = match (symbol.kind(), step.code) {
                    (SymbolKind::Text, _) => begins,
                    (SymbolKind::Section, CALL) => begins + step.immediate + 1,
                    (SymbolKind::Section, _) => begins + step.immediate / 8,
                    // A map or a global.
                    _ => return None,
                };
                let section = symbol.section_index()?.0;
                Some((section, usize::try_from(to).expect("a place")))
            };
            let function = function(object, &symbol, (section, first, count), called);
            ((section, first), function)
        })
        .collect()
}

fn function(
    object: &ElfFile64<'_>,
    symbol: &ElfSymbol64<'_, '_, Endianness>,
    (section, first, count): (usize, usize, usize),
    called: impl Fn(usize, &Instruction) -> Option<Place>,
) -> Function {
    let section = object
        .section_by_index(SectionIndex(section))
        .expect("a section");
    let code = section.data().expect("code");
    let mut depth = Depth::default();
    let mut calls = BTreeSet::new();
    let mut at = first;
    while at < first + count {
        let step = Instruction::new(&code[at * INSTRUCTION_BYTES..][..INSTRUCTION_BYTES]);
        depth.follow(&step);
        let calls_here = step.code == CALL && step.from == OF_THIS_PROGRAM;
        if calls_here || step.code == LOAD_64 {
            calls.extend(called(at, &step));
        }
        at += if step.code == LOAD_64 { 2 } else { 1 };
    }
    Function {
        name: symbol.name().expect("a name").to_owned(),
        entry: section.name() != Ok(".text"),
        stack_bytes: depth.bytes,
        calls,
    }
}

/// The most stack from a function on, and the way there.
fn deepest(functions: &BTreeMap<Place, Function>, place: Place) -> (i64, Vec<String>) {
    // What is loaded as an address of code is a function; of data in such a section there is none.
    let Some(function) = functions.get(&place) else {
        return (0, Vec::new());
    };
    let own = function.stack_bytes.max(1);
    let own = (own + FRAME_ALIGN - 1) / FRAME_ALIGN * FRAME_ALIGN;
    let below = function.calls.iter().map(|call| deepest(functions, *call));
    let (bytes, mut way) = below.max_by_key(|(bytes, _)| *bytes).unwrap_or_default();
    way.insert(0, format!("{} ({})", function.name, function.stack_bytes));
    (own + bytes, way)
}

#[test]
fn every_way_through_the_probes_fits_in_the_stack() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/probes/lineage-ebpf.o");
    let bytes = fs::read(&path).expect("the probes are built");
    let object = ElfFile64::parse(&*bytes).expect("an object");
    let functions = functions(&object);
    let entries = functions.iter().filter(|(_, function)| function.entry);
    let mut looked_at = 0;
    for (place, function) in entries {
        let (bytes, way) = deepest(&functions, *place);
        println!("{bytes:>4} bytes of stack in {}", function.name);
        assert!(
            bytes <= STACK_BYTES_MAX,
            "{bytes} bytes, of which there are {STACK_BYTES_MAX}: {}",
            way.join(" > ")
        );
        assert!(!function.name.ends_with("sys_exit") || way.len() > 3);
        looked_at += 1;
    }
    assert!(looked_at > 8, "{looked_at} programs");
}
