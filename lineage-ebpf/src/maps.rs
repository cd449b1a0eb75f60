//! Every map and global of the object, but for the table of processes ([`crate::tracked`]).

use aya_ebpf::{
    helpers::bpf_get_smp_processor_id,
    macros::map,
    maps::{
        Array, HashMap, LruHashMap, RingBuf, Stack,
        lpm_trie::{Key, LpmTrie},
    },
};
use lineage_common::{
    calls::{SHAPES, SHAPES_COUNT, Shape},
    frame::{CpuCounters, Kind, Other, WIRE_MARK, WIRE_VERSION},
    layout::{Action, SYSCALLS_MAX},
    limits::{
        ADDRESS_BYTES_MAX, ADDRESS_RULES_MAX, BLOCKS_MAX, BUDGETS_MAX, BULK_RING_BYTES,
        CONTROL_RING_BYTES, CPUS_MAX, DECIDED_MAX, DESCRIPTORS_MAX, FRAME_BYTES_MAX,
        GOVERNANCES_MAX, GOVERNED_MAX, INTERPRETER_BYTES, INTERPRETERS_MAX, LINKS_MAX,
        PATH_RULES_MAX, PEERS_MAX, TALLY_ENTRIES_MAX, TURNS_BITS, TURNS_MAX,
    },
    policy::{
        AddressKey, Budget, Decided, End, Governance, NAME_BYTES, NAMES, NAMES_COUNT, Named,
        Operation, Outcome, PathKey, Ruling,
    },
    tally::{Tally, TallyKey},
    task::{Block, Descriptor, DescriptorKey, Link, NO_BLOCK, Switch, Turn},
};

use crate::{
    atomic::fetch_add,
    descriptor::Target,
    facts::FileFacts,
    given::Joining,
    hints::Search,
    hook::Waiting,
    host::Host,
    judge::Plain,
    key::KeyRoom,
    path::Walk,
    probes::{
        map::{Asked, Memory},
        pass::Passing,
        process_exec::Arguments,
        transfer::{NEWS_MAX, News},
    },
    read::mask_32,
};

/// `BPF_F_NO_PREALLOC` (`include/uapi/linux/bpf.h`): memory is taken for what is there. When the kernel has
/// none at that moment, that is told like a table that is full.
const AS_NEEDED: u32 = 1;

/// `BPF_F_MMAPABLE` (`include/uapi/linux/bpf.h`): the agent reads the map in place.
pub(crate) const MMAPABLE: u32 = 1 << 10;

/// Version of the frames this object writes, for the agent to compare.
#[unsafe(no_mangle)]
static LINEAGE_WIRE_VERSION: ([u8; 16], u32) = (WIRE_MARK, WIRE_VERSION);

/// What to do at the return of each system call; set by the agent before loading.
#[unsafe(no_mangle)]
static SYSCALLS: [Action; SYSCALLS_MAX] = [Action::NONE; SYSCALLS_MAX];

/// 1 when something can be governed; set by the agent before loading. What nothing governs costs nothing then: the
/// verifier leaves out what cannot happen.
#[unsafe(no_mangle)]
static GOVERNS: u32 = 0;

/// 0 when what governs is asked only as a call returns; 1 when it is at hooks before, 2 when these can refuse. Set by the
/// agent before loading.
#[unsafe(no_mangle)]
static HOOKED: u32 = 0;

/// The first scratch that is no CPU's, and how many there are; set by the agent before loading.
#[unsafe(no_mangle)]
static SPARE_SCRATCHES: [u32; 2] = [0; 2];

/// What each system call does to the file that it names, by its number: an operation; 0 for none. Set by the agent before loading.
#[unsafe(no_mangle)]
static JUDGED_CALLS: [u8; SYSCALLS_MAX] = [0; SYSCALLS_MAX];

/// Whether what governs is asked before a call returns.
#[inline(always)]
pub(crate) fn hooked() -> bool {
    // SAFETY: volatile because the agent replaces it before the object is loaded.
    unsafe { (&raw const HOOKED).read_volatile() != 0 }
}

/// Whether it can refuse then.
#[inline(always)]
pub(crate) fn refuses() -> bool {
    // SAFETY: as above.
    unsafe { (&raw const HOOKED).read_volatile() == 2 }
}

/// The first scratch that is no CPU's, and how many there are.
#[inline(always)]
pub(crate) fn spare_scratches() -> [u32; 2] {
    // SAFETY: volatile because the agent replaces it before the object is loaded.
    unsafe { (&raw const SPARE_SCRATCHES).read_volatile() }
}

/// What call `number` does to the file that it names.
#[inline(always)]
pub(crate) fn judged_call(number: u32) -> Option<Operation> {
    if number as usize >= SYSCALLS_MAX {
        return None;
    }
    // SAFETY: the number is below the table's length; volatile because the agent replaces the table before the
    // object is loaded.
    let operation = unsafe {
        (&raw const JUDGED_CALLS)
            .cast::<u8>()
            .add(number as usize)
            .read_volatile()
    };
    (operation != 0).then_some(Operation(operation))
}

/// Whether something can be governed.
#[inline(always)]
pub(crate) fn governs() -> bool {
    // SAFETY: volatile because the agent replaces it before the object is loaded.
    unsafe { (&raw const GOVERNS).read_volatile() != 0 }
}

/// Whether `number` is of the x32 table: `__X32_SYSCALL_BIT`
/// (`arch/x86/include/uapi/asm/unistd.h`). No number is that large elsewhere; −1 is none at all.
#[inline(always)]
pub(crate) fn foreign(number: u64) -> bool {
    number as u32 >> 30 == 1
}

/// The action at the return of system call `number`.
#[inline(always)]
pub(crate) fn action(number: u64) -> Action {
    if number >= SYSCALLS_MAX as u64 {
        return if foreign(number) {
            Action::COMPAT_ONLY
        } else {
            Action::NONE
        };
    }
    // SAFETY: the number is below the table's length; volatile because the agent replaces the
    // table before the object is loaded.
    unsafe {
        (&raw const SYSCALLS)
            .cast::<Action>()
            .add(number as usize)
            .read_volatile()
    }
}

/// Which arguments of a call name what, by action.
#[unsafe(no_mangle)]
static SHAPE_TABLE: [Shape; SHAPES_COUNT] = SHAPES;

/// The shape of an action that has one.
#[inline(always)]
pub(crate) fn shape(action: Action) -> Option<Shape> {
    let index = mask_32(u64::from(action.0.checked_sub(Action::SHAPED)?)) as usize;
    // SAFETY: the index is below the table's length; volatile so that it stays a table.
    Some(unsafe {
        (&raw const SHAPE_TABLE)
            .cast::<Shape>()
            .add(index)
            .read_volatile()
    })
}

/// The facility that each system call uses; set by the agent before loading.
#[unsafe(no_mangle)]
static FACILITIES: [u8; SYSCALLS_MAX] = [0; SYSCALLS_MAX];

/// The facility that the native system call `number` uses.
#[inline(always)]
pub(crate) fn facility(number: u32) -> Named {
    if number as usize >= SYSCALLS_MAX {
        return Named::NONE;
    }
    // SAFETY: the number is below the table's length; volatile because the agent replaces the
    // table before the object is loaded.
    Named(unsafe {
        (&raw const FACILITIES)
            .cast::<u8>()
            .add(number as usize)
            .read_volatile()
    })
}

/// Names that policies speak of, as keys have them.
#[unsafe(no_mangle)]
static NAME_TABLE: Names = Names(NAMES);

/// Aligned, to be read in words.
#[repr(C, align(8))]
struct Names([[u8; NAME_BYTES]; NAMES_COUNT]);

/// A name in words.
#[inline(always)]
pub(crate) fn name(named: u32) -> [u64; NAME_BYTES / 8] {
    // SAFETY: the index is below the table's length; volatile so that it stays a table.
    unsafe {
        (&raw const NAME_TABLE)
            .cast::<[u64; NAME_BYTES / 8]>()
            .add(mask_32(u64::from(named)) as usize)
            .read_volatile()
    }
}

/// How long the names are.
#[unsafe(no_mangle)]
static NAME_LENGTHS: [u8; NAMES_COUNT] = {
    let mut lengths = [0; NAMES_COUNT];
    let mut number = 0;
    while number < NAMES_COUNT {
        lengths[number] = Named(number as u8).name().len() as u8;
        number += 1;
    }
    lengths
};

/// Bytes of a name.
#[inline(always)]
pub(crate) fn name_length(named: u32) -> u8 {
    // SAFETY: as for `name`.
    unsafe {
        (&raw const NAME_LENGTHS)
            .cast::<u8>()
            .add(mask_32(u64::from(named)) as usize)
            .read_volatile()
    }
}

/// Fork, exec, exit.
#[map]
static CONTROL: RingBuf = RingBuf::with_byte_size(CONTROL_RING_BYTES, 0);

/// Files and sockets.
#[map]
static BULK: RingBuf = RingBuf::with_byte_size(BULK_RING_BYTES, 0);

/// The open descriptors of the tracked processes.
#[map]
pub(crate) static DESCRIPTORS: HashMap<DescriptorKey, Descriptor> =
    HashMap::with_max_entries(DESCRIPTORS_MAX, AS_NEEDED);

/// What is counted of the tracked processes.
#[map]
pub(crate) static TALLIES: HashMap<TallyKey, Tally> =
    HashMap::with_max_entries(TALLY_ENTRIES_MAX, 0);

/// Which sockets had messages to and from which addresses.
#[map]
pub(crate) static PEERS: LruHashMap<Peer, u32> = LruHashMap::with_max_entries(PEERS_MAX, 0);

/// A message between a socket and an address: what makes the next one no news.
#[repr(C)]
pub(crate) struct Peer {
    /// Inode number of the socket.
    pub(crate) ino: u64,
    /// The process, and when it started.
    pub(crate) start: u64,
    pub(crate) pid: u32,
    /// How many programs it has executed.
    pub(crate) exec: u32,
    /// 0, or the negated errno.
    pub(crate) failed: i32,
    /// Kind of frame.
    pub(crate) kind: u16,
    /// Bytes of the address.
    pub(crate) len: u16,
    /// The address, then zeros.
    pub(crate) address: [u64; ADDRESS_BYTES_MAX / 8],
}

/// Descriptors of processes, in blocks.
#[map]
static BLOCKS: Array<Block> = Array::with_max_entries(BLOCKS_MAX, 0);

/// Who wrote regular files last.
#[map]
static TURNS: Array<Turn> = Array::with_max_entries(TURNS_MAX, 0);

/// Blocks that were given back.
#[map]
pub(crate) static FREE_BLOCKS: Stack<u32> = Stack::with_max_entries(BLOCKS_MAX, 0);

/// How many blocks were ever taken: those above have never been. The agent takes some, in place.
#[map]
static BLOCKS_TAKEN: Array<u64> = Array::with_max_entries(1, MMAPABLE);

/// Who created whom while the agent attaches.
#[map]
pub(crate) static LINKS: HashMap<u32, Link> = HashMap::with_max_entries(LINKS_MAX, 0);

/// Names of interpreters, by process, from the moment a new image is prepared until it is there.
/// Only the guarded entry points use it.
#[map]
pub(crate) static INTERPRETERS: HashMap<u32, Interpreter> =
    HashMap::with_max_entries(INTERPRETERS_MAX, 0);

/// 1 while the reader waits, set by it in place.
#[map]
static READER: Array<u64> = Array::with_max_entries(1, MMAPABLE);

/// Where the host sees the file system from.
#[map]
static HOST: Array<Host> = Array::with_max_entries(1, 0);

/// Whether the agent attaches.
#[map]
static SWITCH: Array<Switch> = Array::with_max_entries(1, 0);

/// Per CPU: what was produced and lost. The agent sets the size to the number of possible CPUs.
#[map]
static COUNTERS: Array<CpuCounters> = Array::with_max_entries(CPUS_MAX, MMAPABLE);

/// Per CPU: where a frame is put together.
#[map]
static SCRATCH: Array<Scratch> = Array::with_max_entries(CPUS_MAX, 0);

/// Where what was found is put together: by programs that the agent runs one at a time, and that may
/// be preempted, so they leave the scratch of the CPUs to the probes.
#[map]
static FOUND: Array<Scratch> = Array::with_max_entries(1, 0);

/// As the kernel wants it.
pub(crate) type PathRuleKey = Key<PathKey>;

/// What policies say about reading files.
#[map]
static READ_RULES: LpmTrie<PathKey, Ruling> = LpmTrie::with_max_entries(PATH_RULES_MAX, 0);

/// And about writing.
#[map]
static WRITE_RULES: LpmTrie<PathKey, Ruling> = LpmTrie::with_max_entries(PATH_RULES_MAX, 0);

/// And about everything else that is done to what has a path or a name.
#[map]
static PATH_RULES: LpmTrie<PathKey, Ruling> = LpmTrie::with_max_entries(PATH_RULES_MAX, 0);

/// What policies say about addresses.
#[map]
static ADDRESS_RULES: LpmTrie<AddressKey, Ruling> = LpmTrie::with_max_entries(ADDRESS_RULES_MAX, 0);

/// By thread: what was decided about the call that it is in.
#[map]
pub(crate) static DECIDED: LruHashMap<u64, Decided> = LruHashMap::with_max_entries(DECIDED_MAX, 0);

/// By thread: what hooks decided about the call that it is in.
#[map]
pub(crate) static WAITING: HashMap<u64, Waiting> = HashMap::with_max_entries(DECIDED_MAX, 0);

/// Budgets of grants, from 1 on by what [`Governance::budgets`] says.
#[map]
static BUDGETS: Array<Budget> = Array::with_max_entries(BUDGETS_MAX, 0);

/// A budget by its place, from 1.
#[inline(always)]
pub(crate) fn budget(place: u16) -> Option<*mut Budget> {
    BUDGETS.get_ptr_mut(u32::from(place).checked_sub(1)?)
}

/// What is said for the longest prefix of a key.
#[inline(always)]
pub(crate) fn address_rule(key: &Key<AddressKey>) -> Option<Ruling> {
    ADDRESS_RULES.get(key).copied()
}

/// By lineage: which of [`GOVERNANCE`] it is governed by, from 1; 0 for none. Another one takes its place by this
/// word alone.
#[map]
static GOVERNED: Array<u32> = Array::with_max_entries(GOVERNED_MAX, 0);

/// What governs.
#[map]
static GOVERNANCE: Array<Governance> = Array::with_max_entries(GOVERNANCES_MAX, 0);

/// The lineage from 1 of who did what was denied, could not be prevented and helps others past the policies; 0 when nobody did.
/// A name leads elsewhere, or a socket that others have is connected. Nothing is authorised any more then, and whoever is
/// governed is ended.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.breach")]
static mut BREACH: u32 = 0;

/// Notes that this lineage did so.
#[inline(always)]
pub(crate) fn breach(lineage: u32) {
    // SAFETY: a word of a map, which the agent reads and clears.
    unsafe { (&raw mut BREACH).write_volatile(lineage + 1) };
}

/// Whether one did.
#[inline(always)]
pub(crate) fn breached() -> bool {
    // SAFETY: as above.
    unsafe { (&raw const BREACH).read_volatile() != 0 }
}

/// What governs a lineage.
#[inline(always)]
pub(crate) fn governance(lineage: u32) -> Option<*mut Governance> {
    let number = GOVERNED.get_ptr_mut(lineage)?;
    // SAFETY: map values live as long as the program; the agent changes this one.
    let number = unsafe { number.read_volatile() };
    GOVERNANCE.get_ptr_mut(number.checked_sub(1)?)
}

/// What is said for the longest prefix of a key with this operation.
#[inline(always)]
pub(crate) fn path_rule(key: &PathRuleKey, operation: u32) -> Option<Ruling> {
    match PathKey::trie(operation) {
        0 => READ_RULES.get(key),
        1 => WRITE_RULES.get(key),
        _ => PATH_RULES.get(key),
    }
    .copied()
}

/// Name of an interpreter, with its NUL.
pub(crate) type Interpreter = [u8; INTERPRETER_BYTES];

/// One CPU's workplace. Not a per-CPU map because those are limited to 32 KiB.
#[repr(C)]
pub(crate) struct Scratch {
    /// 1 while a probe uses it.
    pub(crate) busy: u64,
    /// The CPU it belongs to, while a probe uses it.
    pub(crate) cpu: u32,
    reserved: u32,
    /// The file the frame is about: here and not on the stack to save it.
    pub(crate) facts: FileFacts,
    /// The socket the frame is about, for the same reason.
    pub(crate) target: Target,
    /// What is put into the table of descriptors, likewise.
    pub(crate) descriptor: Descriptor,
    /// State of a path walk: in a map and not on the stack because the verifier then knows nothing
    /// about the values from one step to the next, and one look at the step suffices.
    pub(crate) walk: Walk,
    /// State of the copying of arguments, for the same reason.
    pub(crate) arguments: Arguments,
    /// State of the search for variables, for the same reason.
    pub(crate) search: Search,
    /// What is mapped where a call or an exec has mapped something, for the same reason.
    pub(crate) memory: Memory,
    /// What that call or exec asked for: it does not go into the numbers that a global function takes.
    pub(crate) asked: Asked,
    /// Whom a message goes to or comes from: here and not on the stack, again to save it.
    pub(crate) peer: Peer,
    /// The process that a file stands for, on its way into the frame.
    pub(crate) other: Other,
    /// Which descriptors go with messages, likewise. Kept from one frame to the next.
    pub(crate) passing: Passing,
    /// The key by which a path is judged.
    pub(crate) key: KeyRoom,
    /// State of a look at a path that was given, for the same reason as that of a walk.
    pub(crate) plain: Plain,
    /// What the policy says about what the frame is about.
    pub(crate) ruling: Ruling,
    pub(crate) outcome: Outcome,
    pub(crate) generation: u32,
    /// Bytes of what it says it about: of the path that was kept, at most as many as a key holds.
    pub(crate) judged_len: u32,
    /// Where in the frame what it says it about begins, if it is a path there; else 0.
    pub(crate) judged_at: u32,
    /// A decision on its way to wait for its call to return, or on its way back; and the path that was kept.
    pub(crate) waiting: Waiting,
    /// A name that is put behind a path to be judged.
    pub(crate) joining: Joining,
    /// And the end of a connection that it says it about.
    pub(crate) end: End,
    /// The lineage of who did it, for whoever judges.
    pub(crate) lineage: u32,
    /// The frame. Twice the largest, so that a masked offset plus a masked length stay inside.
    pub(crate) frame: [u8; 2 * FRAME_BYTES_MAX],
    /// What the call that is looked at has moved and is to be recorded; at most [`NEWS_MAX`] of it.
    pub(crate) news: [News; NEWS_MAX],
    pub(crate) news_count: u64,
}

/// The ring a kind goes to, and an eighth of its default size: as much unread wakes the reader.
#[inline(always)]
pub(crate) fn ring(kind: Kind) -> (*mut core::ffi::c_void, u64) {
    if kind.0 <= Kind::THREAD_EXIT.0 {
        (
            (&raw const CONTROL).cast_mut().cast(),
            u64::from(CONTROL_RING_BYTES) / 8,
        )
    } else {
        (
            (&raw const BULK).cast_mut().cast(),
            u64::from(BULK_RING_BYTES) / 8,
        )
    }
}

/// The CPU this runs on: a probe never migrates.
#[inline(always)]
pub(crate) fn cpu() -> u32 {
    // SAFETY: takes nothing and reads a per-CPU variable.
    unsafe { bpf_get_smp_processor_id() }
}

/// A block; `None` for [`NO_BLOCK`].
#[inline(always)]
pub(crate) fn block(number: u32) -> Option<*mut Block> {
    BLOCKS.get_ptr_mut(number)
}

/// The place of a regular file among the turns, which may be another one's at the moment.
#[inline(always)]
pub(crate) fn turn(inode: u64) -> Option<*mut Turn> {
    // Fibonacci hashing: addresses differ in their middle, their upper product bits everywhere.
    TURNS.get_ptr_mut((inode.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - TURNS_BITS)) as u32)
}

/// A block nobody has, or [`NO_BLOCK`].
#[inline(always)]
pub(crate) fn take_block() -> u32 {
    if let Ok(Some(number)) = FREE_BLOCKS.pop() {
        return number;
    }
    let Some(taken) = BLOCKS_TAKEN.get_ptr_mut(0) else {
        return NO_BLOCK;
    };
    // SAFETY: map values live as long as the program.
    unsafe {
        if taken.read_volatile() >= u64::from(BLOCKS_MAX) {
            return NO_BLOCK;
        }
        match fetch_add(taken, 1) {
            number if number < u64::from(BLOCKS_MAX) => number as u32,
            _ => NO_BLOCK,
        }
    }
}

/// Gives a block back.
#[inline(always)]
pub(crate) fn give_block(number: u32) {
    if number != NO_BLOCK {
        let _ = FREE_BLOCKS.push(number, 0);
    }
}

/// The word that says whether the reader waits.
#[inline(always)]
pub(crate) fn reader() -> Option<*mut u64> {
    READER.get_ptr_mut(0)
}

/// Where the host sees the file system from.
#[inline(always)]
pub(crate) fn host() -> Option<*mut Host> {
    HOST.get_ptr_mut(0)
}

/// The switch, when it is on.
#[inline(always)]
pub(crate) fn attaching() -> Option<*mut Switch> {
    let switch = SWITCH.get_ptr_mut(0)?;
    // SAFETY: map values live as long as the program; the agent changes this one.
    if unsafe { (&raw const (*switch).attaching).read_volatile() } == 0 {
        return None;
    }
    Some(switch)
}

/// The lineage that a process is given to now.
#[inline(always)]
pub(crate) fn moved_to(pid: u32, start: u64) -> Option<u32> {
    let switch = SWITCH.get_ptr(0)?;
    // SAFETY: map values live as long as the program; the agent does not change it while it reads the list.
    unsafe {
        ((*switch).moved_pid == pid && (*switch).moved_start == start).then_some((*switch).moved_to)
    }
}

/// This CPU's counters.
#[inline(always)]
pub(crate) fn counters(cpu: u32) -> Option<*mut CpuCounters> {
    COUNTERS.get_ptr_mut(cpu)
}

/// This CPU's scratch.
#[inline(always)]
pub(crate) fn scratch(cpu: u32) -> Option<*mut Scratch> {
    SCRATCH.get_ptr_mut(cpu)
}

/// The scratch for what was found.
#[inline(always)]
pub(crate) fn found() -> Option<*mut Scratch> {
    FOUND.get_ptr_mut(0)
}
