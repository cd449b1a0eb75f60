//! Resolves where the kernel's fields are.

use lineage_common::calls::Machine;
use lineage_common::layout::{
    ABSENT, CAST_BYTES, DENTRY_WINDOW, Derived, FIELDS, FILE_WINDOW, INODE_WINDOW, KernelLayout,
    MTIME_WINDOW, SHORT_NAME_BYTES, SUPER_WINDOW,
};
use zerocopy::{FromBytes, IntoBytes};

use super::btf::Btf;

/// `TS_COMPAT` (`arch/x86/include/asm/thread_info.h`).
const X86_COMPAT: u32 = 0x2;
/// `TIF_32BIT` (`arch/arm64/include/asm/thread_info.h`).
const AARCH64_COMPAT: u32 = 1 << 22;

/// Why the probes cannot work with this kernel's structures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A member the probes need does not exist.
    #[error("this kernel's struct {owner} has no member {member}")]
    Missing {
        /// The structure.
        owner: &'static str,
        /// The member, as in [`FIELDS`].
        member: &'static str,
    },
    /// Members that are read at once lie too far apart.
    #[error("members of this kernel's struct {owner} lie {span} bytes apart, more than {limit}")]
    Span {
        /// The structure.
        owner: &'static str,
        /// From the first byte to the last.
        span: u32,
        /// What the probes read at once.
        limit: u32,
    },
}

/// The layout of the kernel that `btf` describes.
///
/// # Errors
///
/// [`LayoutError`] names the first structure the probes cannot work with.
pub fn resolve(btf: &Btf<'_>, machine: Machine) -> Result<KernelLayout, LayoutError> {
    let mut layout = KernelLayout::UNKNOWN;
    let (offsets, _) = <[u32]>::mut_from_prefix_with_elems(layout.as_mut_bytes(), FIELDS.len())
        .expect("the layout begins with one word per field");
    for (field, offset) in FIELDS.iter().zip(offsets) {
        match btf.offset(field.owner, field.member) {
            Some(found) => *offset = found,
            None if field.required => {
                return Err(LayoutError::Missing {
                    owner: field.owner,
                    member: field.member,
                });
            }
            None => {}
        }
    }
    layout.derived = derive(btf, machine, &layout)?;
    // The probes know nodes of 64 slots (`XA_CHUNK_SIZE`, `include/linux/xarray.h`): where they are
    // others, ids of processes in calls stay what they are.
    if layout.xa_node_marks != layout.xa_node_slots.saturating_add(64 * 8) {
        layout.pid_ns_idr = ABSENT;
    }
    // Only saves a copy, so where it does not fit the probes do without.
    let window = u64::from(layout.derived.dentry_window);
    let short = u64::from(layout.dentry_short_name);
    if short < window || short + SHORT_NAME_BYTES as u64 > window + DENTRY_WINDOW as u64 {
        layout.dentry_short_name = ABSENT;
    }
    Ok(layout)
}

fn derive(btf: &Btf<'_>, machine: Machine, l: &KernelLayout) -> Result<Derived, LayoutError> {
    let registers = registers(btf, machine)?;
    let (compat_word, compat_mask) = match machine {
        Machine::X86_64 => (need(btf, "task_struct", "thread_info.status")?, X86_COMPAT),
        Machine::Aarch64 => (
            need(btf, "task_struct", "thread_info.flags")?,
            AARCH64_COMPAT,
        ),
    };
    let (cast_function, cast_words) = casts(btf).unwrap_or((0, 0));
    Ok(Derived {
        file_window: window(
            "file",
            FILE_WINDOW,
            &[
                (l.file_inode, 8),
                (l.file_flags, 4),
                (l.file_mnt, 8),
                (l.file_dentry, 8),
            ],
        )?,
        inode_window: window(
            "inode",
            INODE_WINDOW,
            &[
                (l.inode_mode, 2),
                (l.inode_ino, 8),
                (l.inode_sb, 8),
                (l.inode_size, 8),
                (l.inode_mtime, 8),
                (l.inode_mtime_nsec, 4),
                (l.inode_ctime, 8),
                (l.inode_ctime_nsec, 4),
            ],
        )?,
        mtime_window: mtime_window(l)?,
        super_window: window(
            "super_block",
            SUPER_WINDOW,
            &[(l.super_dev, 4), (l.super_magic, 8)],
        )?,
        dentry_window: window(
            "dentry",
            DENTRY_WINDOW,
            &[
                (l.dentry_hash_pprev, 8),
                (l.dentry_parent, 8),
                (l.dentry_name_len, 4),
                (l.dentry_name, 8),
            ],
        )?,
        upid_size: btf.size("upid").ok_or(LayoutError::Missing {
            owner: "upid",
            member: "its size",
        })?,
        regs_number: registers.0,
        regs_arguments: registers.1,
        compat_word,
        compat_mask,
        exit_group_dead: u32::from(
            btf.tracepoint_arguments("sched_process_exit")
                .is_some_and(|arguments| arguments >= 2),
        ),
        page_shift: rustix::param::page_size().trailing_zeros(),
        cast_function,
        cast_words,
        // What is in events only where the probes read these; see `events`.
        ..Derived::UNKNOWN
    })
}

/// Type ids of `bpf_rdonly_cast` and of a structure that is nothing but words: what a debugger sees of the registers,
/// which is an interface to programs (`arch/x86/include/asm/user_64.h`, `arch/arm64/include/uapi/asm/ptrace.h`).
fn casts(btf: &Btf<'_>) -> Option<(u32, u32)> {
    let function = btf.function("bpf_rdonly_cast")?;
    let (words, size) = ["user_regs_struct", "user_pt_regs"]
        .into_iter()
        .find_map(|name| btf.structure(name))?;
    (size as usize >= CAST_BYTES).then_some((function, words))
}

fn mtime_window(layout: &KernelLayout) -> Result<u32, LayoutError> {
    let members = [(layout.inode_mtime, 8), (layout.inode_mtime_nsec, 4)];
    window("inode", MTIME_WINDOW, &members)
}

/// Offsets in `struct pt_regs` of the system call's number and its six arguments.
fn registers(btf: &Btf<'_>, machine: Machine) -> Result<(u32, [u32; 6]), LayoutError> {
    let register = |name| need(btf, "pt_regs", name);
    match machine {
        Machine::X86_64 => Ok((
            register("orig_ax")?,
            [
                register("di")?,
                register("si")?,
                register("dx")?,
                register("r10")?,
                register("r8")?,
                register("r9")?,
            ],
        )),
        Machine::Aarch64 => {
            let registers = register("regs")?;
            // The first register holds the result by now; the kernel kept the argument.
            Ok((
                register("syscallno")?,
                [
                    register("orig_x0")?,
                    registers + 8,
                    registers + 16,
                    registers + 24,
                    registers + 32,
                    registers + 40,
                ],
            ))
        }
    }
}

fn need(btf: &Btf<'_>, owner: &'static str, member: &'static str) -> Result<u32, LayoutError> {
    btf.offset(owner, member)
        .ok_or(LayoutError::Missing { owner, member })
}

/// First byte of the members (offset, size), which must all lie within `limit` bytes of it.
fn window(owner: &'static str, limit: usize, members: &[(u32, u32)]) -> Result<u32, LayoutError> {
    let first = members.iter().map(|(at, _)| *at).min().unwrap_or(ABSENT);
    let end = members
        .iter()
        .map(|(at, size)| at + size)
        .max()
        .unwrap_or(0);
    let span = end - first;
    // The windows are small constants.
    #[expect(clippy::cast_possible_truncation, reason = "at most 136")]
    let limit = limit as u32;
    if span > limit {
        return Err(LayoutError::Span { owner, span, limit });
    }
    Ok(first)
}
