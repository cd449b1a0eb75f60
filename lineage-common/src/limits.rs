//! Upper bounds of everything that crosses the kernel boundary. Nothing is unbounded.

/// Largest frame in bytes: header, body and byte strings together.
///
/// A per-CPU scratch buffer of twice this size lets the verifier prove every masked offset.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// Longest argument block kept from an exec, in bytes; the rest is cut and flagged.
pub const ARGV_BYTES_MAX: usize = 32 * 1024;

/// Longest variable of a new image's environment that is kept of those that carry a trace context, with its NUL; the rest
/// is cut.
pub const HINT_BYTES_MAX: usize = 2048;

/// Variables that carry a trace context kept of one exec: there is one of each name.
pub const HINTS_MAX: u32 = 3;

/// Variables of an environment looked at, or pieces of [`HINT_BYTES_MAX`] of longer ones.
pub const VARIABLES_MAX: u32 = 4096;

/// Longest path kept, in bytes: what `PATH_MAX` (`include/uapi/linux/limits.h`) allows a caller.
pub const PATH_BYTES_MAX: usize = 4096;

/// Most components walked for one path: a path of `PATH_MAX` bytes has no more than half as many.
pub const PATH_COMPONENTS_MAX: usize = 2048;

/// Longest single path component, `NAME_MAX` (`include/uapi/linux/limits.h`).
pub const NAME_BYTES_MAX: usize = 255;

/// Longest `sun_path` of an `AF_UNIX` address (`include/uapi/linux/un.h`).
pub const UNIX_PATH_BYTES_MAX: usize = 108;

/// Longest address of a socket, `sizeof(struct sockaddr_storage)` (`include/uapi/linux/socket.h`).
pub const ADDRESS_BYTES_MAX: usize = 128;

/// Pairs of a socket and an address that are remembered at one time, so that only the first message
/// between them is recorded.
pub const PEERS_MAX: u32 = 16_384;

/// Length of a task's name with its NUL, `TASK_COMM_LEN` (`include/linux/sched.h`).
pub const COMM_BYTES: usize = 16;

/// Processes that can be tracked at one time.
pub const TASKS_MAX: u32 = 1 << 17;

/// Process ids are below this: `PID_MAX_LIMIT` (`include/linux/threads.h`).
pub const PIDS_MAX: u32 = 1 << 22;

/// Descriptors whose totals are kept at one time, over all tracked processes.
/// Those in blocks are not counted.
pub const DESCRIPTORS_MAX: u32 = 1 << 18;

/// Regular files of which it is known at one time who wrote them last; see [`crate::task::Turn`]. Of
/// others their times tell that they were changed. A power of two.
pub const TURNS_MAX: u32 = 1 << TURNS_BITS;

/// Bits of the number of a place.
pub const TURNS_BITS: u32 = 14;

/// Records of reads and writes that a descriptor can have at once. Beyond, it has one in each clock
/// tick, and what was left out is made up for at its next use.
pub const USES_AT_ONCE_MAX: u32 = 64;

/// Tallies (see [`crate::tally`]) of one process.
pub const TALLIES_PER_PROCESS_MAX: u32 = 1024;

/// Entries of the map of tallies, two for each, over all tracked processes.
pub const TALLY_ENTRIES_MAX: u32 = 32_768;

/// Processes that can have a block of descriptors (see [`crate::task::Block`]) at one time.
pub const BLOCKS_MAX: u32 = 4096;

/// Room for the name of an interpreter with its NUL. A script's is on its first line, of which the
/// kernel reads 256 bytes (`BINPRM_BUF_SIZE`, `include/uapi/linux/binfmts.h`); any other is part of a
/// registration of at most 1920 (`MAX_REGISTER_LENGTH`, `fs/binfmt_misc.c`).
pub const INTERPRETER_BYTES: usize = 2048;

/// Processes that can be between preparing a new image and having it at one time, where the probes
/// must remember that.
pub const INTERPRETERS_MAX: u32 = 1024;

/// Children and threads that are looked at for one that was just created.
pub const NEWBORN_LOOKS_MAX: u32 = 4096;

/// Links (see [`crate::task::Link`]) that can be noted during one attach.
pub const LINKS_MAX: u32 = 32_768;

/// Largest descriptor whose close is looked for when a process ends, executes or closes a range:
/// the default ceiling of `fs.nr_open` (`fs/file.c`).
pub const DESCRIPTOR_MAX: u32 = 1024 * 1024;

/// Most messages one `sendmmsg` or `recvmmsg` moves, `UIO_MAXIOV` (`include/uapi/linux/uio.h`).
pub const MESSAGES_MAX: u32 = 1024;

/// Most descriptors recorded of the messages of one call; one message has no more than 253
/// (`SCM_MAX_FD`, `include/net/scm.h`).
pub const PASSED_MAX: u64 = 1024;

/// Most looks at the control messages of one call: at a message, a control message or a descriptor. A
/// message of the default largest size (`net.core.optmem_max`) has 8192 control messages.
pub const CONTROL_STEPS_MAX: u32 = 1 << 15;

/// Most arguments read of an exec that failed.
pub const ARGUMENTS_MAX: u32 = 4096;

/// Default size of the control ring (fork, exec, exit) in bytes.
pub const CONTROL_RING_BYTES: u32 = 4 * 1024 * 1024;

/// Default size of the bulk ring (files, network) in bytes.
pub const BULK_RING_BYTES: u32 = 16 * 1024 * 1024;

/// CPUs the counters have room for: `NR_CPUS` of the distributions' kernels.
pub const CPUS_MAX: u32 = 8192;

/// Entries of all tables of policies together.
pub const PATH_RULES_MAX: u32 = 1 << 18;

/// Processes of a group that are looked at when it is sent a signal: of a larger one nobody knows.
pub const GROUP_MEMBERS_MAX: u32 = 256;

/// Lineages that can be governed.
pub const GOVERNED_MAX: u32 = 4096;

/// Ways to govern that there can be at one time.
pub const GOVERNANCES_MAX: u32 = 1024;

/// Grants with a budget that there can be at one time.
pub const BUDGETS_MAX: u32 = 1024;

/// Entries of all tables of addresses together.
pub const ADDRESS_RULES_MAX: u32 = 1 << 18;

/// Threads that can be between a decision about a call and its return at one time.
pub const DECIDED_MAX: u32 = 16_384;
