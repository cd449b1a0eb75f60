//! Records of calls that are recorded as they are: which, on what, with which result.

use lineage_common::frame::{Credentials, Header, Namespaces, Other};
use serde_json::{Map, Value, json};

use super::{Fold, Sink};
use crate::{
    event::{CallEvent, FileEvent, State},
    evidence::{kinds, schema::Record},
    lineage::{
        arguments,
        identity::{Birth, process_uid},
        ioctl,
        text::{replace, some, stat_dev},
    },
};

/// `AT_REMOVEDIR` (`include/uapi/linux/fcntl.h`).
const REMOVE_DIRECTORY: u64 = 0x200;

impl Fold {
    pub(super) fn call<S: Sink>(
        &mut self,
        header: &Header,
        event: &CallEvent<'_>,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let name = event.name_of_call;
        let call = event.call;
        let kind = kind(name, &call.arguments);
        self.scratch.set_call(header.flags, event);
        let mut told = match name {
            "ioctl" => ioctl::tell(ioctl::request(call.arguments[1])),
            _ => arguments::of(name, call),
        };
        if let Some(label) = text_label(name)
            && !event.text.is_empty()
        {
            replace(&mut self.scratch.text, event.text);
            told.insert(label.to_owned(), json!(self.scratch.text));
        }
        match event.state {
            State::Credentials(credentials) => tell_credentials(&mut told, credentials),
            State::Namespaces(namespaces) => tell_namespaces(&mut told, namespaces),
            State::None => {}
        }
        let other = self.other(&call.other);
        let detail = (!told.is_empty()).then(|| Value::Object(told).to_string());
        self.emit(header, kind, sink, |text, record| {
            record.call = Some(name);
            record.path = some(&text.path);
            record.dir = some(&text.dir);
            record.target = some(&text.target);
            record.target_dir = some(&text.target_dir);
            record.truncated = some(&text.truncated);
            record.notes = some(&text.notes);
            record.detail = detail.as_deref();
            if event.name.is_empty() && call.ino != 0 {
                record.dev = Some(stat_dev(call.dev));
                record.ino = Some(call.ino.cast_signed());
                record.mode = Some(i64::from(call.mode));
            }
            numbers(record, name, &call.arguments);
            set_other(record, &other);
            if let State::Credentials(credentials) = event.state {
                set_credentials(record, credentials);
            }
            if let State::Namespaces(namespaces) = event.state {
                set_namespaces(record, namespaces);
            }
        })
        .map(drop)
    }
}

/// Another process, as fields.
#[derive(Default)]
pub(super) struct Target {
    uid: Option<String>,
    pid: Option<i64>,
}

impl Fold {
    /// The process that a file stands for, if it does.
    pub(super) fn behind(&self, event: &FileEvent<'_>) -> Target {
        self.other(&event.other.unwrap_or_default())
    }

    /// A process acted on, whether it is recorded or not.
    pub(super) fn other(&self, other: &Other) -> Target {
        let birth = Birth {
            start_ns: other.start,
            pid_ns: other.pid_ns,
            ns_pid: other.ns_pid,
        };
        Target {
            uid: (other.start != 0 && other.pid_ns != 0).then(|| process_uid(self.boot, birth)),
            pid: (other.pid != 0).then(|| i64::from(other.pid)),
        }
    }
}

pub(super) fn set_other<'a>(record: &mut Record<'a>, target: &'a Target) {
    record.target_uid = target.uid.as_deref();
    record.target_pid = target.pid;
}

/// The kind of record that a call makes whose frame is the generic one.
#[must_use]
pub fn kind(name: &str, arguments: &[u64; 8]) -> &'static str {
    match name {
        "rename" | "renameat" | "renameat2" => kinds::FILE_RENAME,
        "link" | "linkat" => kinds::FILE_LINK,
        "symlink" | "symlinkat" => kinds::FILE_SYMLINK,
        "unlinkat" if arguments[2] & REMOVE_DIRECTORY != 0 => kinds::FILE_RMDIR,
        "unlink" | "unlinkat" | "mq_unlink" => kinds::FILE_UNLINK,
        "mkdir" | "mkdirat" => kinds::FILE_MKDIR,
        "rmdir" => kinds::FILE_RMDIR,
        "mknod" | "mknodat" => kinds::FILE_MKNOD,
        "truncate" | "ftruncate" | "fallocate" => kinds::FILE_TRUNCATE,
        "chmod" | "fchmod" | "fchmodat" | "fchmodat2" => kinds::FILE_CHMOD,
        "chown" | "lchown" | "fchown" | "fchownat" => kinds::FILE_CHOWN,
        "utime" | "utimes" | "futimesat" | "utimensat" => kinds::FILE_UTIME,
        "setxattr" | "lsetxattr" | "fsetxattr" | "setxattrat" | "removexattr" | "lremovexattr"
        | "fremovexattr" | "removexattrat" | "file_setattr" => kinds::FILE_XATTR,
        "umount2" => kinds::FILE_UMOUNT,
        "ioctl" => of_request(arguments[1]),
        "mount" | "pivot_root" | "move_mount" | "open_tree" | "open_tree_attr"
        | "mount_setattr" | "fsopen" | "fspick" | "fsconfig" | "fsmount" => kinds::FILE_MOUNT,
        "chroot" => kinds::PROCESS_CHROOT,
        "unshare" | "setns" => kinds::PROCESS_NAMESPACE,
        "prctl" | "personality" => kinds::PROCESS_PRCTL,
        "seccomp"
        | "landlock_create_ruleset"
        | "landlock_add_rule"
        | "landlock_restrict_self"
        | "lsm_set_self_attr" => kinds::PROCESS_RESTRICT,
        "setuid" | "setgid" | "setreuid" | "setregid" | "setresuid" | "setresgid" | "setfsuid"
        | "setfsgid" | "setgroups" | "capset" => kinds::PROCESS_CREDENTIALS,
        "kill" | "tkill" | "tgkill" | "rt_sigqueueinfo" | "rt_tgsigqueueinfo"
        | "pidfd_send_signal" => kinds::PROCESS_SIGNAL,
        "ptrace" => kinds::PROCESS_PTRACE,
        "process_vm_readv" | "process_vm_writev" | "process_madvise" | "process_mrelease" => {
            kinds::PROCESS_MEMORY
        }
        "pidfd_getfd" => kinds::PROCESS_GETFD,
        "move_pages" | "migrate_pages" | "sched_setaffinity" | "sched_setscheduler"
        | "sched_setparam" | "sched_setattr" | "setpriority" | "prlimit64" => {
            kinds::PROCESS_RESOURCES
        }
        "shmget" | "shmat" | "shmctl" | "msgget" | "msgsnd" | "msgrcv" | "msgctl" | "semget"
        | "semctl" => kinds::PROCESS_SYSV,
        "bpf" => kinds::KERNEL_BPF,
        "perf_event_open" => kinds::KERNEL_PERF,
        "init_module" | "finit_module" | "delete_module" => kinds::KERNEL_MODULE,
        "add_key" | "request_key" | "keyctl" => kinds::KERNEL_KEYS,
        "userfaultfd" => kinds::KERNEL_USERFAULTFD,
        "io_uring_setup" | "io_uring_register" => kinds::KERNEL_IO_URING,
        _ => kinds::KERNEL_CONTROL,
    }
}

/// All kinds of records that a call can make whose frame is the generic one.
#[must_use]
pub fn kinds(name: &str) -> Vec<&'static str> {
    if name == "ioctl" {
        return vec![kinds::FILE_IOCTL, kinds::FILE_XATTR, kinds::KERNEL_CONTROL];
    }
    let kind = |arguments| kind(name, arguments);
    let mut kinds = vec![kind(&[0; 8]), kind(&[REMOVE_DIRECTORY; 8])];
    kinds.dedup();
    kinds
}

/// The kind of record an `ioctl` makes that is recorded each time.
fn of_request(argument: u64) -> &'static str {
    match ioctl::name(ioctl::request(argument)) {
        Some(
            "FS_IOC_SETFLAGS" | "FS_IOC32_SETFLAGS" | "FS_IOC_FSSETXATTR" | "FS_IOC_ENABLE_VERITY",
        ) => kinds::FILE_XATTR,
        Some("TIOCSTI" | "TIOCLINUX" | "TUNSETIFF" | "FIFREEZE" | "FITHAW") => {
            kinds::KERNEL_CONTROL
        }
        _ => kinds::FILE_IOCTL,
    }
}

/// What the text of a call is.
fn text_label(name: &str) -> Option<&'static str> {
    Some(match name {
        "setxattr" | "lsetxattr" | "fsetxattr" | "setxattrat" | "removexattr" | "lremovexattr"
        | "fremovexattr" | "removexattrat" => "attribute",
        "mount" | "fsopen" | "add_key" | "request_key" => "type",
        "symlink" | "symlinkat" => "content",
        "delete_module" => "module",
        _ => return None,
    })
}

/// Arguments that have a field of their own.
fn numbers(record: &mut Record<'_>, name: &str, arguments: &[u64; 8]) {
    let bits = |at: usize| Some((arguments[at] & 0o7777).cast_signed());
    let size = |at: usize| Some(arguments[at].cast_signed());
    match name {
        "mkdir" | "mknod" | "chmod" | "fchmod" => record.mode = bits(1),
        "mkdirat" | "mknodat" | "fchmodat" | "fchmodat2" => record.mode = bits(2),
        "truncate" | "ftruncate" => record.size = size(1),
        "ptrace" | "bpf" => record.request = size(0),
        "ioctl" => record.request = Some(i64::from(ioctl::request(arguments[1]))),
        _ => {}
    }
}

fn set_credentials(record: &mut Record<'_>, credentials: &Credentials) {
    record.uid = Some(i64::from(credentials.uid));
    record.gid = Some(i64::from(credentials.gid));
    record.euid = Some(i64::from(credentials.euid));
    record.egid = Some(i64::from(credentials.egid));
    record.user_ns = Some(i64::from(credentials.user_ns));
    record.caps_effective = Some(credentials.effective.cast_signed());
    record.caps_permitted = Some(credentials.permitted.cast_signed());
}

/// The credentials that have no field of their own.
fn tell_credentials(told: &mut Map<String, Value>, credentials: &Credentials) {
    let set = |bits: u64| json!(format!("{bits:016x}"));
    for (name, value) in [
        ("suid", json!(credentials.suid)),
        ("sgid", json!(credentials.sgid)),
        ("fsuid", json!(credentials.fsuid)),
        ("fsgid", json!(credentials.fsgid)),
        ("inheritable", set(credentials.inheritable)),
        ("bounding", set(credentials.bounding)),
        ("ambient", set(credentials.ambient)),
        ("securebits", json!(credentials.securebits)),
    ] {
        told.insert(name.to_owned(), value);
    }
}

pub(super) fn set_namespaces(record: &mut Record<'_>, namespaces: &Namespaces) {
    record.mnt_ns = Some(i64::from(namespaces.mnt));
    record.net_ns = Some(i64::from(namespaces.net));
    record.user_ns = Some(i64::from(namespaces.user));
}

/// The namespaces that have no field of their own.
pub(super) fn tell_namespaces(told: &mut Map<String, Value>, namespaces: &Namespaces) {
    for (name, inum) in [
        ("uts_ns", namespaces.uts),
        ("ipc_ns", namespaces.ipc),
        ("pid_ns_for_children", namespaces.pid_for_children),
        ("cgroup_ns", namespaces.cgroup),
        ("time_ns_for_children", namespaces.time_for_children),
    ] {
        told.insert(name.to_owned(), json!(inum));
    }
}

#[cfg(test)]
mod tests {
    use lineage_common::{calls::SYSCALLS, layout::Action};

    use super::*;

    /// Calls of which there is nothing more to say than that they were made.
    const CONTROL: &[&str] = &[
        "io_setup",
        "fanotify_init",
        "fanotify_mark",
        "kexec_load",
        "kexec_file_load",
        "reboot",
        "swapon",
        "swapoff",
        "acct",
        "quotactl",
        "quotactl_fd",
        "sethostname",
        "setdomainname",
        "settimeofday",
        "clock_settime",
        "adjtimex",
        "clock_adjtime",
        "syslog",
        "vhangup",
        "iopl",
        "ioperm",
    ];

    #[test]
    fn every_recorded_call_has_its_kind() {
        for call in SYSCALLS
            .iter()
            .filter(|call| call.action.0 >= Action::SHAPED)
        {
            let kind = kind(call.name, &[0; 8]);
            let control = CONTROL.contains(&call.name);
            assert_eq!(kind == kinds::KERNEL_CONTROL, control, "{}", call.name);
        }
    }
}
