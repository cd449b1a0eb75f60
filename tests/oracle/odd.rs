//! Every call by name or descriptor in its odd forms, by the actor, in a run that strace sees too.

use std::fs;

use lineage_tests::oracle::together::actor;
use lineage_tests::recorder::Recorder;

/// A directory with something in it; its path without links.
fn place(recorder: &Recorder) -> String {
    let root = recorder.path("").canonicalize().expect("it is there");
    fs::create_dir(root.join("below")).expect("writable");
    fs::write(root.join("one"), "1").expect("writable");
    fs::write(root.join("below/inner"), "2").expect("writable");
    std::os::unix::fs::symlink("one", root.join("link")).expect("writable");
    root.display().to_string()
}

#[test]
fn names() {
    let recorder = Recorder::new();
    let root = place(&recorder);
    let long = format!("{}one", "./".repeat(2046));
    let script = format!(
        "chdir {root} open @d {root}/below O_RDONLY|O_DIRECTORY open @f {root}/one O_RDWR \
         call @r renameat -100 =one @d =two ; call @r renameat2 @d =two -100 ={root}/three 1 ; \
         call @r renameat2 -100 =three -100 =link 1 ; call @r renameat2 -100 =three -100 =link 64 ; \
         call @r renameat -100 =three -100 =one ; \
         call @r linkat -100 =one @d =hard 0 ; call @r linkat @f = @d =by-descriptor 4096 ; \
         call @r linkat -100 =/proc/self/fd/4 @d =by-procfs 1024 ; call @r linkat -100 =link @d =of-link 0 ; \
         call @r linkat 77 =x -100 =y 0 ; call @r linkat -100 =one -100 =below 0 ; \
         call @r symlinkat =nowhere @d =dangling ; call @r symlinkat =a\\b -100 =one ; \
         call @r unlinkat @d =dangling 0 ; call @r unlinkat @d =not-there 0 ; call @r unlinkat @d =. 512 ; \
         call @r unlinkat -100 = 0 ; call @r unlinkat -100 =below 0 ; call @r unlinkat -100 =one/ 0 ; \
         call @r unlinkat 77 =relative 0 ; call @r unlinkat 77 =/absolute 0 ; call @r unlinkat -100 1 0 ; \
         call @r unlinkat @f =below-a-file 0 ; \
         call @r mkdirat @d =six 448 ; call @r mkdirat @d =six 448 ; call @r unlinkat @d =six 512 ; \
         call @r mknodat @d =fifo 4480 0 ; call @r mknodat -100 =below/file 33152 0 ; \
         call @r fchmodat -100 ={long} 420 ; call @r unlinkat -100 ={long} 0 ; \
         call @r linkat @d =hard -100 ={long} 0 ; print @r"
    );
    let run = actor(recorder, &script, &[]);
    assert!(run.stdout().ends_with("0\n"), "{}", run.stdout());
}

/// The calls that 64-bit ARM does not have.
#[cfg(target_arch = "x86_64")]
#[test]
fn names_the_old_way() {
    let recorder = Recorder::new();
    let root = place(&recorder);
    let script = format!(
        "chdir {root} call @r rename =one =two ; call @r rename =one =two ; call @r link =two =one ; \
         call @r symlink =one ={root}/points ; call @r unlink =points ; call @r unlink =below ; \
         call @r mkdir =dir 493 ; call @r rmdir =dir ; call @r rmdir =below ; call @r mknod =pipe 4516 0 ; \
         call @r chmod =link 384 ; call @r chown =one 0 0 ; call @r lchown =link 0 0 ; call @r chmod =no 0 ; \
         call @r utime =one 0 ; call @r utimes =one 0 ; call @r futimesat -100 =one 0 ; \
         open-old @f {root}/one O_RDWR fails ENOENT open-old @f below/none O_RDONLY close @f \
         call @r creat =new 416 ; call @r open =/proc/self/fd/3 0 0 ;"
    );
    actor(recorder, &script, &[]);
}

#[test]
fn attributes() {
    let recorder = Recorder::new();
    let root = place(&recorder);
    let script = format!(
        "chdir {root} open @d {root}/below O_RDONLY|O_DIRECTORY open @f {root}/one O_RDWR pipe @in @out \
         call @r fchmodat @d =inner 384 ; call @r fchmodat @d =none 384 ; call @r fchmod @f 416 ; \
         call @r fchmod @out 384 ; call @r fchmod 99 0 ; \
         call @r fchownat @d =inner 0 0 0 ; call @r fchownat -100 =link 0 0 256 ; call @r fchownat @f = 0 0 4096 ; \
         call @r fchownat @f = 0 0 0 ; call @r fchown @f -1 -1 ; \
         call @r truncate =one 5 ; call @r truncate =below 5 ; call @r ftruncate @f 3 ; call @r ftruncate @d 3 ; \
         call @r fallocate @f 0 0 8 ; call @r fallocate @in 0 0 8 ; \
         call @r utimensat @f 0 0 0 ; call @r utimensat @d =inner 0 0 ; call @r utimensat -100 =link 0 256 ; \
         call @r utimensat @f = 0 4096 ; call @r utimensat -100 0 0 0 ; \
         call @r setxattr =one =user.a =value 5 0 ; call @r lsetxattr =link =user.a =value 5 0 ; \
         call @r fsetxattr @f =user.b =value 5 0 ; call @r fsetxattr @f =user.b =value 5 1 ; \
         call @r removexattr =one =user.a ; call @r removexattr =one =user.a ; call @r lremovexattr =one =trusted.x ; \
         call @r fremovexattr @f =user.b ; \
         unlink {root}/one call @r fchmod @f 384 ; call @r ftruncate @f 0 ; call @r fchownat @f = 0 0 4096 ; \
         memfd @m shared call @r ftruncate @m 4096 ; call @r fchmod @m 448 ;"
    );
    actor(recorder, &script, &[]);
}

#[test]
fn opens() {
    let recorder = Recorder::new();
    let root = place(&recorder);
    let long = format!("{}one", "./".repeat(2046));
    let script = format!(
        "chdir {root} open @d {root}/below O_RDONLY|O_DIRECTORY open @f {root}/one O_RDWR \
         call @r openat @d =../one 0 0 ; call @r openat -100 =/proc/self/fd/4 0 0 ; call @r openat @d = 0 0 ; \
         call @r openat 77 =one 0 0 ; call @r openat 77 ={root}/one 0 0 ; call @r openat @f =one 0 0 ; \
         call @r openat -100 =link 131072 0 ; call @r openat -100 =link 2097152 0 ; \
         call @r openat -100 =. 4259842 384 ; call @r openat -100 =one 65536 0 ; call @r openat -100 =one 192 384 ; \
         call @r openat -100 =new 66 384 ; call @r openat -100 1 0 0 ; call @r openat -100 ={long} 0 0 ; \
         call @r openat2 @d =../one #0,0,8 24 ; call @r openat2 @d =inner #0,0,8 24 ; \
         call @r openat2 -100 =link #0,0,4 24 ; call @r openat2 @d =/inner #0,0,16 24 ; \
         call @r openat2 @d =../../inner #0,0,16 24 ; call @r openat2 -100 =/proc/self/stat #0,0,1 24 ; \
         call @r openat2 -100 =one #0,0,32 24 ; call @r openat2 -100 =one #0,0,99 24 ; \
         call @r openat2 -100 =/proc/self/fd/4 #0,0,2 24 ; \
         unlink {root}/one call @r openat -100 =/proc/self/fd/4 2 0 ; \
         mkdir {root}/gone chdir {root}/gone call @r unlinkat -100 ={root}/gone 512 ; \
         call @r openat -100 =lost 66 384 ; call @r openat -100 =.. 0 0 ; call @r mkdirat -100 =lost 448 ; \
         call @r openat -100 =. 0 0 ;"
    );
    actor(recorder, &script, &[]);
}

#[test]
fn processes() {
    let recorder = Recorder::new();
    let root = place(&recorder);
    let script = format!(
        "chdir {root} fork @c [ exec /bin/true true ; ] wait @c vfork @c [ exec /bin/true true x ; ] wait @c \
         clone3 @c [ fails ENOENT exec /no/such true ; ] wait @c \
         clone-with CLONE_PIDFD @c [ exec /bin/true true pidfd ; ] wait @c \
         fork @p [ clone-with CLONE_PARENT @c [ exec /bin/true true sibling ; ] ] wait -1 wait -1 \
         spawn @c /bin/true true spawned ; wait @c \
         fork @c [ thread @t [ exec /bin/true true from-a-thread ; ] join @t ] wait @c \
         open @true /bin/true O_RDONLY openat2 @copy {root}/copy O_RDWR|O_CREAT sendfile @copy @true 4096 \
         close @copy close @true \
         fails EACCES exec {root}/copy copy ; fails EACCES exec {root}/below below ; fails ENOTDIR exec one/x x ; \
         open @dir /bin O_RDONLY|O_DIRECTORY fork @c [ call @r execveat @dir =true 0 0 0 ; ] wait @c \
         call @r execveat @dir =none 0 0 0 ; call @r execveat 77 =none 0 0 0 ; \
         open @self /bin/true O_RDONLY fork @c [ exec-fd @self true by-descriptor ; ] wait @c \
         fails ENOENT exec /proc/self/fd/99 x ;"
    );
    actor(recorder, &script, &[]);
}

/// Programs that have no name any more, or never had one.
#[test]
fn programs_without_a_name() {
    let recorder = Recorder::new();
    let root = place(&recorder);
    fs::copy("/bin/true", recorder.path("copy")).expect("copied");
    let bytes = fs::metadata("/bin/true").expect("it is there").len();
    let script = format!(
        "open @deleted {root}/copy O_RDONLY unlink {root}/copy \
         fork @c [ exec-fd @deleted true deleted ; ] wait @c \
         memfd @m program open @true /bin/true O_RDONLY sendfile @m @true {bytes} \
         fork @c [ exec-fd @m true memfd ; ] wait @c"
    );
    let run = actor(recorder, &script, &[]);
    let programs = run
        .rows
        .all("process.exec", &serde_json::json!({ "result": 0 }));
    assert!(
        programs
            .iter()
            .any(|row| row.text("exe").starts_with("/memfd:program"))
    );
}

#[test]
fn privileges_and_signals() {
    let recorder = Recorder::new();
    let root = place(&recorder);
    let script = format!(
        "chdir {root} fork @c [ pause ] call @r kill @c 0 ; call @r kill self 0 ; call @r tgkill @c @c 18 ; \
         call @r tkill @c 18 ; call @r kill @c 9 ; wait @c call @r kill @c 9 ; \
         fork @c [ call @r prctl 38 1 0 0 0 ; call @r prctl 4 0 0 0 0 ; call @r prctl 3 0 0 0 0 ; \
         call @r setgroups 0 0 ; call @r setresgid 12 12 12 ; call @r setregid -1 12 ; call @r setgid 12 ; \
         call @r setfsuid 11 ; call @r setfsgid 12 ; call @r setresuid 11 11 11 ; call @r setreuid 11 -1 ; \
         call @r setuid 0 ; call @r unlinkat -100 ={root}/one 0 ; call @r capset 0 0 ; ] wait @c \
         fork @c [ unshare CLONE_NEWNS|CLONE_NEWUTS call @r sethostname =other 5 ; \
         call @r mount =one ={root}/below =none 4096 0 ; call @r mount =below =below =none 4096 0 ; \
         call @r mount =tmpfs =below =tmpfs 0 0 ; call @r umount2 =below 2 ; call @r umount2 =below 0 ; \
         call @r umount2 =below 0 ; call @r umount2 =none 0 ; call @r pivot_root =below =below ; \
         call @r chroot =below ; call @r mkdirat -100 =/inside 448 ; call @r openat -100 =/inner 0 0 ; \
         chdir / call @r unlinkat -100 =inner 0 ; call @r chroot =none ; call @r seccomp 9 0 0 ; \
         call @r personality 262144 ; ] wait @c"
    );
    let allowed = [(
        " inner\", target: \"\", text: \"\", result: 0",
        "in a chroot strace tells the host's path of the directory, a record the path the process knows",
    )];
    actor(recorder, &script, &allowed);
}
