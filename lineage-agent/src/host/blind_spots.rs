//! What recording does not see, by name.
//!
//! The names stand in every environment document, so a reader years later knows what an absent
//! record does not prove. A name is removed when the gap is closed, and never given to another.

/// One thing that is not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlindSpot {
    /// Its name in environment documents.
    pub name: &'static str,
    /// What a process can do there without a record.
    pub doc: &'static str,
}

/// Everything that is not seen, on every kernel.
pub const BLIND_SPOTS: &[BlindSpot] = &[
    BlindSpot {
        name: "io-uring",
        doc: "Files and sockets opened, read or written through io_uring rings: what is submitted is counted by opcode, on what it acts is not seen.",
    },
    BlindSpot {
        name: "linux-aio",
        doc: "Files read or written through `io_submit`: that a process makes such a context is seen, and how often it submits.",
    },
    BlindSpot {
        name: "device-requests",
        doc: "What a request of a device (ioctl) does there: it is counted by its number; and requests of other files, but for the few that are recorded each.",
    },
    BlindSpot {
        name: "socket-options",
        doc: "Options set on sockets (`setsockopt`): the device a socket is bound to, filters of what it receives, and the tables of the firewall, where they are set that way.",
    },
    BlindSpot {
        name: "scheduling-of-others",
        doc: "Disk priorities (`ioprio_set`) and process groups that a process sets for another one.",
    },
    BlindSpot {
        name: "compat-calls",
        doc: "What system calls of 32-bit programs do on a 64-bit kernel: they are named and counted, not decoded.",
    },
    BlindSpot {
        name: "other-processes-memory",
        doc: "What is written into the memory of other processes through ptrace, process_vm_writev or /proc/PID/mem: that it is done is seen. Reading memory or registers of a traced process (PTRACE_PEEKTEXT, PTRACE_GETREGSET and the like) has no record of its own: that it is traced has.",
    },
    BlindSpot {
        name: "datagram-peers",
        doc: "Who sent a datagram when the receiver does not ask for the address (recv, read) and its socket is not connected. Of messages with addresses the first of each program of a process, socket and address is recorded, of others the first through each descriptor; the rest is counted; more than 16384 such are forgotten and recorded anew. The address is read from the caller's memory, which another thread can change meanwhile. The socket and its bytes are seen. Which process is at the other end of a Unix datagram socket that is not connected, and that two connected UDP sockets of one host are the ends of the same flow: the addresses are recorded.",
    },
    BlindSpot {
        name: "work-by-others",
        doc: "What a service does on request, such as a container or job started over a Unix socket: the connection is seen, the work is not.",
    },
    BlindSpot {
        name: "mapped-files",
        doc: "Bytes read or written through memory mappings: that a file is mapped, and how, is seen, the bytes are not counted. Further mappings of one descriptor in a way it was mapped before, unless they are executable. What a mapping that may be written becomes by a later `mprotect`, but for executable. Of an `mprotect` over several mappings all but the first. The interpreter of a 32-bit program.",
    },
    BlindSpot {
        name: "code-in-memory",
        doc: "Code that a process puts into memory and runs: that it made memory without a file executable is recorded once for each way and program, what is there is not, nor what a shared mapping or another process writes into memory that is executable already. Nor that READ_IMPLIES_EXEC (personality) makes executable whatever can be read.",
    },
    BlindSpot {
        name: "names-in-flight",
        doc: "What a name led to in a call that changes names or attributes by name (rename, unlink, chmod and the like): the caller's text and the directory it starts from are recorded, not which file that was (device, inode) nor its path as the host sees it; and another thread can change the text meanwhile.",
    },
    BlindSpot {
        name: "open-at-the-end",
        doc: "How many bytes moved through descriptors that are still open, and how often a process made calls that are only counted, when recording stops: totals are told at the close and at the end of the process. That something was read, written, sent or received is recorded at once, and the first of each such call.",
    },
    BlindSpot {
        name: "content-in-turns",
        doc: "Which of several reads or writes through one descriptor moved what: the first is recorded, and the first after others changed the file or read what was written. Of changes by processes that are not recorded, or through mappings, those are not noticed that leave the time of the last change as it was (several in one clock tick, or a time that was set), and those that came before a write through the same descriptor. Reads and writes that overlap are in the order in which they returned. Of one descriptor there are at most 64 records of uses at once and then one in each clock tick: the bytes of those left out are in the total at its close. A call that fails after it moved something, because it could not write down an address or a position, counts as one that moved nothing; so does one whose descriptor another thread has closed meanwhile.",
    },
    BlindSpot {
        name: "failed-transfers",
        doc: "Reads, writes, and messages without an address that failed: they have no record. Whether a connection came about that its caller did not wait for (EINPROGRESS): what moved through it is seen.",
    },
    BlindSpot {
        name: "before-attach",
        doc: "What an attached process did before recording reached it: what it was and had then is recorded.",
    },
];

/// What is not seen either where the kernel does not let it be seen.
pub const ON_SOME_KERNELS: &[BlindSpot] = &[BlindSpot {
    name: "io-uring-submissions",
    doc: "Which requests are submitted to io_uring rings, and how many: only before Linux 6.0, or where the kernel is built without that trace point.",
}];

/// Everything that is not seen on a kernel: on every one, and of what is not seen on some what is
/// named.
#[must_use]
pub fn here(named: &[&str]) -> Vec<&'static BlindSpot> {
    let some = ON_SOME_KERNELS.iter();
    let some = some.filter(|spot| named.contains(&spot.name));
    BLIND_SPOTS.iter().chain(some).collect()
}
