//! How each recorded call is compared with strace, or why it is not.

/// Calls whose records have a form of their own.
pub const OWN_FORM: &str = "\
    execve execveat fork vfork clone clone3 \
    open openat openat2 creat mq_open open_by_handle_at memfd_create memfd_secret pipe pipe2 mmap \
    socket socketpair bind listen connect accept accept4 \
    kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo prctl personality";

/// Calls whose records have the names they were given, or what a descriptor leads to.
pub const NAMED: &str = "\
    rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat mq_unlink mkdir mkdirat \
    rmdir mknod mknodat truncate ftruncate fallocate chmod fchmod fchmodat chown lchown fchown fchownat \
    utime utimes futimesat utimensat setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr \
    mount umount2 pivot_root move_mount open_tree mount_setattr fspick chroot swapon swapoff acct \
    fsopen add_key request_key delete_module pidfd_getfd";

/// Likewise, but of their names only what the descriptor leads to is recorded.
pub const OF_A_DESCRIPTOR: &str = "\
    fsconfig fsmount setns pidfd_send_signal process_madvise process_mrelease finit_module \
    kexec_file_load quotactl_fd";

/// Calls whose records have their arguments as numbers.
pub const NUMBERS: &str = "\
    setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capset unshare \
    seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self ptrace \
    process_vm_readv process_vm_writev move_pages migrate_pages sched_setaffinity sched_setscheduler \
    sched_setparam sched_setattr setpriority prlimit64 \
    shmget shmat shmctl msgget msgsnd msgrcv msgctl semget semctl \
    bpf perf_event_open userfaultfd io_uring_setup io_uring_register io_setup fanotify_init \
    fanotify_mark keyctl init_module kexec_load reboot quotactl sethostname setdomainname \
    settimeofday clock_settime adjtimex clock_adjtime syslog vhangup iopl ioperm";

/// Calls that move bytes: what each process moved from and to each file is compared.
pub const BYTES: &str = "\
    read write pread64 pwrite64 readv writev preadv pwritev preadv2 pwritev2 sendfile splice tee \
    vmsplice copy_file_range mq_timedsend mq_timedreceive \
    sendto sendmsg sendmmsg recvfrom recvmsg recvmmsg";

/// Calls that are not compared, each group with the reason.
pub const NOT_COMPARED: &[(&str, &str)] = &[
    (
        "close close_range dup2 dup3",
        "their records hold the totals, which are compared",
    ),
    (
        "fchmodat2 setxattrat removexattrat file_setattr open_tree_attr lsm_set_self_attr",
        "newer than the strace of Debian 12 (6.1), which shows no arguments of them",
    ),
    (
        "mprotect pkey_mprotect",
        "strace does not tell what is mapped at an address",
    ),
    (
        "ioctl io_submit",
        "the first of each kind is recorded, and at the end how many",
    ),
];

/// Options of prctl that are recorded: those that change what a process may do or be.
pub const OPTIONS: &str = "\
    PR_SET_DUMPABLE PR_SET_KEEPCAPS PR_SET_SECCOMP PR_CAPBSET_DROP PR_SET_SECUREBITS PR_SET_MM \
    PR_SET_CHILD_SUBREAPER PR_SET_NO_NEW_PRIVS PR_CAP_AMBIENT PR_SET_SPECULATION_CTRL \
    PR_SET_SYSCALL_USER_DISPATCH PR_SET_MDWE PR_SET_PTRACER";

/// Requests of ptrace that are recorded: those that begin, change or end something.
pub const REQUESTS: &str = "\
    PTRACE_TRACEME PTRACE_POKETEXT PTRACE_POKEDATA PTRACE_POKEUSER PTRACE_KILL PTRACE_SETREGS \
    PTRACE_SETFPREGS PTRACE_ATTACH PTRACE_DETACH PTRACE_SETOPTIONS PTRACE_SETSIGINFO PTRACE_SETREGSET \
    PTRACE_SEIZE PTRACE_SETSIGMASK";

/// Whether a list has this name.
pub fn has(list: &str, name: &str) -> bool {
    list.split_ascii_whitespace().any(|known| known == name)
}

/// The calls of which each is compared.
pub fn each(call: &str) -> bool {
    [OWN_FORM, NAMED, OF_A_DESCRIPTOR, NUMBERS]
        .iter()
        .any(|list| has(list, call))
}

/// What strace is to trace: all that are compared. The question marks are for those that it, or this
/// machine, does not have.
pub fn traced() -> String {
    let all = [OWN_FORM, NAMED, OF_A_DESCRIPTOR, NUMBERS, BYTES].join(" ");
    let calls: Vec<String> = all
        .split_ascii_whitespace()
        .map(|call| format!("?{call}"))
        .collect();
    calls.join(",")
}

#[cfg(test)]
mod tests {
    use lineage_common::calls::SYSCALLS;

    use super::*;

    #[test]
    fn every_recorded_call_is_compared_or_has_a_reason_why_not() {
        let not = NOT_COMPARED.iter().map(|(calls, _)| *calls);
        let mut here: Vec<&str> = [OWN_FORM, NAMED, OF_A_DESCRIPTOR, NUMBERS, BYTES]
            .into_iter()
            .chain(not)
            .flat_map(str::split_ascii_whitespace)
            .collect();
        let mut recorded: Vec<&str> = SYSCALLS.iter().map(|call| call.name).collect();
        here.sort_unstable();
        recorded.sort_unstable();
        assert_eq!(here, recorded);
    }
}
