//! Kernel values as the text and numbers that columns hold.

use lineage_common::frame::Flags;

use super::trace_context::TraceContext;
use crate::{
    event::{CallEvent, FileEvent, ReversedPath},
    evidence::escape::{escape_into, escape_list_into},
};

/// Magic numbers of file systems whose files have no path (`include/uapi/linux/magic.h`).
mod magic {
    pub(super) const PIPEFS: u64 = 0x5049_5045;
    pub(super) const SOCKFS: u64 = 0x534f_434b;
    pub(super) const ANON_INODE_FS: u64 = 0x0904_1934;
    pub(super) const NSFS: u64 = 0x6e73_6673;
    pub(super) const PIDFS: u64 = 0x5049_4446;
}

/// The kernel's device number as stat(2) shows it (`new_encode_dev`, `include/linux/kdev_t.h`).
pub(super) fn stat_dev(dev: u32) -> i64 {
    let (major, minor) = (u64::from(dev >> 20), u64::from(dev & 0xf_ffff));
    let encoded = minor & 0xff | (major & 0xfff) << 8 | (minor & !0xff) << 12;
    i64::try_from(encoded).expect("32 bits fit")
}

/// Buffers reused for every record, so that text costs no allocation.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Bytes on their way to a text.
    pub(super) bytes: Vec<u8>,
    /// The main text of a record: path, executable.
    pub(super) path: String,
    /// The same as the host sees it, where that differs.
    pub(super) host_path: String,
    /// What a decision is about.
    pub(super) judged: String,
    /// And about which end of a connection.
    pub(super) judged_end: String,
    /// Directory a claimed path starts from.
    pub(super) dir: String,
    /// The second path of a call.
    pub(super) target: String,
    /// Directory the second path starts from.
    pub(super) target_dir: String,
    /// Text of a call that is no path; what is told of a mapping, as JSON.
    pub(super) text: String,
    /// The container of a new image, as JSON.
    pub(super) container: String,
    /// Working directory.
    pub(super) cwd: String,
    /// Name given to exec.
    pub(super) filename: String,
    /// Interpreter of a script.
    pub(super) interpreter: String,
    /// Arguments as JSON.
    pub(super) argv: String,
    /// What the environment says of a trace.
    pub(super) trace: TraceContext,
    /// Name of the thread.
    pub(super) comm: String,
    /// Names of cut fields.
    pub(super) truncated: String,
    /// Remarks.
    pub(super) notes: String,
}

impl Scratch {
    /// Fills `comm` from the NUL padded name.
    pub(super) fn set_comm(&mut self, comm: &[u8]) {
        let end = comm
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(comm.len());
        replace(&mut self.comm, &comm[..end]);
    }

    /// Fills `truncated` and `notes` from the frame's flags; `path_field` is what its path is.
    pub(super) fn set_flags(&mut self, flags: Flags, path_field: &str) {
        list(
            &mut self.truncated,
            &[
                (flags.has(Flags::PATH_CUT), path_field),
                (flags.has(Flags::ARGV_CUT), "argv"),
                (flags.has(Flags::CWD_CUT), "cwd"),
                (flags.has(Flags::TARGET_CUT), "target"),
                (flags.has(Flags::TEXT_CUT), "detail"),
            ],
        );
        list(
            &mut self.notes,
            &[
                (flags.has(Flags::UNLINKED), "unlinked"),
                (flags.has(Flags::UNREACHABLE), "unreachable"),
                (flags.has(Flags::CORE_DUMP), "core-dump"),
                (flags.has(Flags::SECURE_EXEC), "privileged-exec"),
                (flags.has(Flags::DESCRIPTORS_CUT), "more-not-recorded"),
            ],
        );
    }

    /// Adds a remark.
    pub(super) fn add_note(&mut self, note: &str) {
        if !self.notes.is_empty() {
            self.notes.push(',');
        }
        self.notes.push_str(note);
    }

    /// Adds the name of a field that was cut.
    pub(super) fn add_cut(&mut self, field: &str) {
        if !self.truncated.is_empty() {
            self.truncated.push(',');
        }
        self.truncated.push_str(field);
    }

    /// Fills `trace` from the variables that carry it, and tells of what is left out.
    pub(super) fn set_trace(&mut self, block: &[u8]) {
        let trace = TraceContext::of(block);
        trace.cut.iter().for_each(|field| self.add_cut(field));
        trace.notes.iter().for_each(|note| self.add_note(note));
        self.trace = trace;
    }

    /// [`Self::set_flags`] for a file. What never has a name is not remarkable for having none.
    pub(super) fn set_file_flags(&mut self, flags: Flags, fs_magic: u64) {
        let nameless = [
            magic::PIPEFS,
            magic::SOCKFS,
            magic::NSFS,
            magic::PIDFS,
            magic::ANON_INODE_FS,
        ];
        let hidden = if nameless.contains(&fs_magic) {
            Flags::UNLINKED.0
        } else {
            0
        };
        self.set_flags(Flags(flags.0 & !hidden), "path");
    }

    /// Fills `path` with what a file event names.
    pub(super) fn set_file(&mut self, event: &FileEvent<'_>, flags: Flags) {
        self.dir.clear();
        if flags.has(Flags::CLAIMED) {
            self.set_dir(event.host.path);
            return replace(&mut self.path, event.path);
        }
        let path = Some(ReversedPath(event.path));
        self.set_object(event.file.fs_magic, event.file.ino, path);
    }

    /// Fills `path` with an object of a file system, which need not be one of names.
    fn set_object(&mut self, fs_magic: u64, ino: u64, path: Option<ReversedPath<'_>>) {
        self.path.clear();
        let path = path.unwrap_or(ReversedPath(&[]));
        match fs_magic {
            magic::PIPEFS => self.path = format!("pipe:[{ino}]"),
            magic::SOCKFS => self.path = format!("socket:[{ino}]"),
            // As the kernel itself shows it, for the sake of those who knew it before it had a file
            // system (`pidfs_dname`, `fs/pidfs.c`).
            magic::PIDFS => self.path.push_str("anon_inode:[pidfd]"),
            magic::NSFS => self.path = format!("nsfs:[{ino}]"),
            magic::ANON_INODE_FS => {
                self.path.push_str("anon_inode:");
                escape_into(path.0.strip_suffix(&[0]).unwrap_or(path.0), &mut self.path);
            }
            _ => self.set_path(path),
        }
    }

    /// Fills both paths of a call, their directories, and the remarks.
    pub(super) fn set_call(&mut self, flags: Flags, event: &CallEvent<'_>) {
        // What is said of the name's directory would be taken to be said of the file.
        let named = !event.name.is_empty();
        let hidden = if named { Flags::UNLINKED.0 } else { 0 };
        self.set_file_flags(Flags(flags.0 & !hidden), event.call.fs_magic);
        if event.name.is_empty() && event.call.ino != 0 {
            self.set_object(event.call.fs_magic, event.call.ino, event.base);
            self.dir.clear();
        } else {
            place(
                &mut self.bytes,
                event.base,
                event.name,
                &mut self.path,
                &mut self.dir,
            );
        }
        place(
            &mut self.bytes,
            event.target_base,
            event.target,
            &mut self.target,
            &mut self.target_dir,
        );
    }

    /// Fills `path` from reversed components.
    pub(super) fn set_path(&mut self, path: ReversedPath<'_>) {
        self.bytes.clear();
        path.write_to(&mut self.bytes);
        replace(&mut self.path, &self.bytes);
    }

    /// Fills `dir` from reversed components; of none at all nothing is known.
    pub(super) fn set_dir(&mut self, path: ReversedPath<'_>) {
        self.dir.clear();
        if !path.0.is_empty() {
            self.bytes.clear();
            path.write_to(&mut self.bytes);
            replace(&mut self.dir, &self.bytes);
        }
    }

    /// Fills `cwd` from reversed components.
    pub(super) fn set_cwd(&mut self, path: ReversedPath<'_>) {
        self.bytes.clear();
        path.write_to(&mut self.bytes);
        replace(&mut self.cwd, &self.bytes);
    }

    /// Fills `argv` from an argument block: a JSON array of escaped strings.
    pub(super) fn set_argv(&mut self, block: &[u8]) {
        self.argv.clear();
        let block = block.strip_suffix(&[0]).unwrap_or(block);
        escape_list_into(block.split(|byte| *byte == 0), &mut self.argv);
    }
}

/// Splits a path of a call into what the caller wrote and the directory that starts from. What has no
/// name is the directory itself.
fn place(
    bytes: &mut Vec<u8>,
    base: Option<ReversedPath<'_>>,
    name: &[u8],
    path: &mut String,
    dir: &mut String,
) {
    dir.clear();
    replace(path, name);
    if let Some(base) = base {
        bytes.clear();
        base.write_to(bytes);
        replace(if name.is_empty() { path } else { dir }, bytes);
    }
}

/// Replaces text by escaped bytes.
pub(super) fn replace(text: &mut String, bytes: &[u8]) {
    text.clear();
    escape_into(bytes, text);
}

/// Replaces text by the names whose condition holds, comma separated.
fn list(text: &mut String, names: &[(bool, &str)]) {
    text.clear();
    for (_, name) in names.iter().filter(|(holds, _)| *holds) {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
    }
}

/// What a mapping allows, as /proc/PID/maps shows it.
pub(super) fn protection(vm_flags: u64) -> &'static str {
    /// By `VM_READ`, `VM_WRITE`, `VM_EXEC` and `VM_MAYSHARE` (`include/linux/mm.h`).
    const SHOWN: [[&str; 8]; 2] = [
        [
            "---p", "r--p", "-w-p", "rw-p", "--xp", "r-xp", "-wxp", "rwxp",
        ],
        [
            "---s", "r--s", "-w-s", "rw-s", "--xs", "r-xs", "-wxs", "rwxs",
        ],
    ];
    let shared = vm_flags & 0x80 != 0;
    SHOWN[usize::from(shared)][(vm_flags & 7) as usize]
}

/// Text as a field: absent when empty.
pub(super) fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests;
