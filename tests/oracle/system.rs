//! Calls about other processes, file systems and the kernel itself, in success, failure and odd forms.

use std::fs;

use lineage_tests::oracle::together::actor;
use lineage_tests::recorder::Recorder;

#[test]
fn other_processes() {
    let script = "fork @c [ pause ] pidfd @p @c fork @d [ exit 0 ] wait @d \
         call @r ptrace 16 @c 0 0 ; call @r ptrace 17 @c 0 0 ; call @r ptrace 0 0 0 0 ; call @r ptrace 16902 99999999 0 0 ; \
         call @r ptrace 7 @c 0 0 ; call @r ptrace 999 @c 0 0 ; \
         call @r process_vm_readv self &16 1 &16 1 0 ; call @r process_vm_readv @c &16 1 #4096,16 1 0 ; \
         call @r process_vm_writev self &9,7 2 &16 1 0 ; call @r process_vm_writev @d &16 1 &16 1 0 ; \
         call @r process_madvise @p #4096,4096 1 20 0 ; call @r process_madvise 99 0 0 20 0 ; \
         call @r process_mrelease @p 0 ; call @r process_mrelease 0 0 ; \
         call @r move_pages @c 0 0 0 0 0 ; call @r move_pages @d 0 0 0 0 0 ; call @r move_pages 0 0 0 0 0 0 ; \
         call @r migrate_pages @c 1 #1 #1 ; call @r migrate_pages self 1 #1 #1 ; call @r migrate_pages @d 1 #1 #1 ; \
         call @r sched_setaffinity @c 8 #-1 ; call @r sched_setaffinity @d 8 #-1 ; call @r sched_setaffinity 0 8 #-1 ; \
         call @r sched_setscheduler @c 3 #0 ; call @r sched_setscheduler @c 0 #0 ; call @r sched_setscheduler @c 99 #0 ; \
         call @r sched_setscheduler self 0 #0 ; call @r sched_setparam @c #0 ; call @r sched_setparam @c 0 ; \
         call @r sched_setattr @c #48,0,0,0,0,0 0 ; call @r sched_setattr @c #48,0,0,0,0,0 99 ; \
         call @r setpriority 0 @c 5 ; call @r setpriority 0 0 1 ; call @r setpriority 1 99999999 5 ; \
         call @r setpriority 9 1 1 ; \
         call @r prlimit64 @c 4 #0,0 room ; call @r prlimit64 @c 4 0 room ; call @r prlimit64 @c 99 #0,0 0 ; \
         call @r prlimit64 0 4 #0,0 0 ; call @r prlimit64 @d 7 #0,0 0 ; \
         call @f pidfd_getfd @p 0 0 ; call @r pidfd_getfd @p 99 0 ; call @r pidfd_getfd 99 0 0 ; \
         call @r rt_sigqueueinfo @c 18 #18,4294967295,0 ; call @r rt_sigqueueinfo @d 18 #18,4294967295,0 ; \
         call @r rt_sigqueueinfo self 18 #18,4294967295,0 ; call @r rt_sigqueueinfo @c 0 #0,4294967295,0 ; \
         call @r rt_tgsigqueueinfo @c @c 18 #18,4294967295,0 ; call @r rt_tgsigqueueinfo @c self 18 #18,4294967295,0 ; \
         call @r pidfd_send_signal @p 0 0 0 ; call @r pidfd_send_signal @p 18 0 0 ; \
         call @r pidfd_send_signal 99 18 0 0 ; call @r pidfd_send_signal @p 9 0 0 ; wait @c \
         call @r pidfd_send_signal @p 9 0 0 ;";
    actor(Recorder::new(), script, &[]);
}

#[test]
fn shared_memory_queues_and_keys() {
    let script = "call @s shmget 0 4096 896 ; call @r shmget 0 0 0 ; call @a shmat @s 0 0 ; call @r shmat @s 1 0 ; \
         call @r shmat -1 0 0 ; call @r shmctl @s 2 room ; call @r shmctl @s 0 0 ; call @r shmctl -1 0 0 ; \
         call @m msgget 0 896 ; call @r msgget 987654321 0 ; call @r msgsnd @m #1,2 8 0 ; call @r msgsnd @m #0,2 8 0 ; \
         call @r msgsnd -1 #1,2 8 0 ; call @r msgrcv @m room 8 0 2048 ; call @r msgrcv @m room 8 0 2048 ; \
         call @r msgctl @m 2 room ; call @r msgctl @m 0 0 ; call @r msgctl @m 0 0 ; \
         call @s semget 0 1 896 ; call @r semget 0 -1 0 ; call @r semctl @s 0 0 0 ; call @r semctl @s 0 0 0 ; \
         call @s semget 0 1 896 ; call @r semctl @s 0 12 0 ; call @r semctl @s 0 0 0 ; \
         call @k add_key =user =lineage =payload 7 -1 ; call @r add_key =no-such-type =x =y 1 -1 ; \
         call @r add_key 1 =x =y 1 -1 ; call @r request_key =user =lineage 0 -1 ; \
         call @r request_key =user =lineage-none 0 -1 ; call @r keyctl 0 -1 0 ; call @r keyctl 6 @k room 4096 ; \
         call @r keyctl 11 @k room 4096 ; call @r keyctl 3 @k ; call @r keyctl 3 @k ; call @r keyctl 999 0 0 ;";
    actor(Recorder::new(), script, &[]);
}

#[test]
fn file_systems() {
    let recorder = Recorder::new();
    let root = recorder.path("").canonicalize().expect("it is there");
    for directory in ["at", "other", "third"] {
        fs::create_dir(root.join(directory)).expect("writable");
    }
    fs::write(root.join("file"), "1").expect("writable");
    let script = format!(
        "chdir {} unshare CLONE_NEWNS open @d at O_RDONLY|O_DIRECTORY \
         call @c fsopen =tmpfs 0 ; call @r fsopen =no-such-system 0 ; call @r fsopen =tmpfs 99 ; call @r fsopen 1 0 ; \
         call @r fsconfig @c 1 =size =1m 0 ; call @r fsconfig @c 1 =no-such-key =x 0 ; call @r fsconfig @c 6 0 0 0 ; \
         call @r fsconfig 99 6 0 0 0 ; call @r fsconfig @d 6 0 0 0 ; \
         call @m fsmount @c 0 0 ; call @r fsmount @c 0 0 ; call @r fsmount 99 0 0 ; \
         call @r move_mount @m = -100 =at 4 ; call @r move_mount 99 = -100 =at 4 ; \
         call @r move_mount -100 =none -100 =at 0 ; \
         call @t open_tree -100 =at 1 ; call @r open_tree @d = 4096 ; call @r open_tree -100 =none 1 ; \
         call @r open_tree -100 =at 99 ; call @r move_mount @t = -100 =other 4 ; \
         call @r mount_setattr -100 =other 0 #1,0,0,0 32 ; call @r mount_setattr @d =none 0 #1,0,0,0 32 ; \
         call @r mount_setattr -100 =other 99 #1,0,0,0 32 ; call @r mount_setattr 77 = 4096 #1,0,0,0 32 ; \
         call @p fspick -100 =other 0 ; call @r fspick -100 =third 0 ; call @r fspick -100 =file 99 ; \
         call @r fsconfig @p 7 0 0 0 ; call @r umount2 =other 0 ; call @r umount2 =at 0 ; \
         open @n /proc/self/ns/uts O_RDONLY call @r setns @n 0 ; call @r setns @n 131072 ; call @r setns 99 0 ; \
         open @f file O_RDWR call @r quotactl_fd @f 0 0 0 ; call @r quotactl_fd 99 0 0 0 ; \
         call @r quotactl 0 =/dev/none 0 0 ; call @r swapon =file 0 ; call @r swapon =none 0 ; \
         call @r swapoff =file ; call @r swapoff =none ; call @r acct =at ; call @r acct =none ; \
         call @h open_by_handle_at -100 #0 0 ; call @h open_by_handle_at 99 #4294967304,1 0 ;",
        root.display()
    );
    let allowed = [(
        "call: \"move_mount\", path: \"/",
        "strace looks before the call, when the mount is nowhere yet; the record tells where it is then",
    )];
    actor(recorder, &script, &allowed);
}

#[test]
fn the_kernel() {
    let recorder = Recorder::new();
    let file = recorder.file("file", "garbage").canonicalize();
    let file = file.expect("it is there").display().to_string();
    let attributes = "#274877906945,0,0,0,0,0,0,0";
    let script = format!(
        "open @f {file} O_RDWR \
         fork @l [ call @r landlock_create_ruleset 0 0 1 ; call @s landlock_create_ruleset #1 8 0 ; \
         call @r landlock_create_ruleset #1 3 0 ; call @r landlock_add_rule @s 1 #0,0 0 ; \
         call @r landlock_add_rule 99 1 #0,0 0 ; call @r landlock_add_rule @s 9 #0,0 0 ; \
         call @r landlock_restrict_self 99 0 ; call @r landlock_restrict_self @s 0 ; ] wait @l \
         call @r bpf 999 0 0 ; call @r bpf 0 #17179869186,4294967304 16 ; call @r bpf 0 0 0 ; \
         call @r perf_event_open 0 0 -1 -1 0 ; call @r perf_event_open {attributes} 0 -1 -1 0 ; \
         call @r perf_event_open {attributes} 0 -1 99 0 ; \
         call @r userfaultfd 1 ; call @r userfaultfd 99999 ; \
         call @u io_uring_setup 4 room ; call @r io_uring_setup 0 room ; call @r io_uring_register @u 4 0 0 ; \
         call @r io_uring_register 99 4 0 0 ; call @r io_setup 4 room ; call @r io_setup 4 #1 ; \
         call @g fanotify_init 0 0 ; call @r fanotify_init 99999 0 ; call @r fanotify_mark @g 1 32 -100 ={file} ; \
         call @r fanotify_mark @g 1 32 -100 =/not/there ; call @r fanotify_mark 99 1 32 -100 ={file} ; \
         call @r init_module =garbage 7 = ; call @r init_module 0 0 = ; call @r finit_module @f = 0 ; \
         call @r finit_module 99 = 0 ; call @r delete_module =lineage_none 2048 ; \
         call @r kexec_load 0 0 0 99 ; call @r kexec_file_load 99 99 0 0 0 ; call @r reboot 0 0 0 0 ; \
         fork @n [ unshare CLONE_NEWUTS call @r setdomainname =other 5 ; call @r setdomainname =other -1 ; ] wait @n \
         call @r settimeofday 0 0 ; call @r settimeofday 1 0 ; call @r clock_settime 99 #0,0 ; \
         call @r adjtimex room ; call @r adjtimex 1 ; call @r clock_adjtime 0 room ; call @r clock_adjtime 99 room ; \
         call @r syslog 10 0 0 ; call @r syslog 99 0 0 ; \
         fork @v [ setuid 65534 call @r vhangup ; call @r syslog 10 0 0 ; call @r sethostname =x 1 ; \
         call @r settimeofday #1,1 0 ; call @r init_module =garbage 7 = ; ] wait @v \
         open @x /bin/true O_RDONLY map @x 4096 0 PROT_READ|PROT_EXEC MAP_PRIVATE \
         map @x 4096 0 PROT_READ|PROT_EXEC MAP_PRIVATE map @x 4096 0 PROT_READ MAP_PRIVATE \
         call @r mmap 0 4096 4 1 99 0 ; call @r mmap 0 4096 4 2 @u 0 ;"
    );
    actor(recorder, &script, &[]);
}

/// The calls that 64-bit ARM does not have.
#[cfg(target_arch = "x86_64")]
#[test]
fn ports() {
    let script =
        "call @r iopl 0 ; call @r iopl 9 ; call @r ioperm 0 1 0 ; call @r ioperm 99999999 1 0 ;";
    actor(Recorder::new(), script, &[]);
}
