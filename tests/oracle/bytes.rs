//! Calls that move bytes and calls on sockets, in success, failure and odd forms. What went from and to
//! each file must add up.

use std::fs;

use lineage_tests::oracle::together::actor;
use lineage_tests::recorder::{Recorded, Recorder};
use serde_json::json;

/// What the recording says went through descriptors of a file, read and written.
fn total(run: &Recorded, path: &str) -> (i64, i64) {
    let closes = run.rows.all("file.close", &json!({ "path": path }));
    let sum = |field| {
        let bytes = closes.iter().filter_map(|row| row.get(field).as_i64());
        bytes.sum()
    };
    (sum("bytes_read"), sum("bytes_written"))
}

#[test]
fn files_and_pipes() {
    let recorder = Recorder::new();
    let from = recorder.file("from", "x".repeat(5000)).canonicalize();
    let from = from.expect("it is there").display().to_string();
    let to = from.replace("from", "to");
    let script = format!(
        "open @f {from} O_RDWR open @t {to} O_RDWR|O_CREAT pipe @in @out pipe @in2 @out2 \
         read @f 100 read @f 0 pread @f 50 4990 readv @f 200 write @t 300 pwrite @t 10 5000 writev @t 20 \
         call @r read @f 1 100 ; call @r read 99 room 5 ; call @r write @t 1 100 ; call @r write @f =four 4 ; \
         call @r pread64 @f room 100 -1 ; call @r pwrite64 @in =no 2 0 ; call @r read @out room 5 ; \
         call @r preadv @f &70,30 2 10 0 ; call @r preadv @in &7 1 0 0 ; call @r preadv2 @f &71,31 2 -1 -1 0 ; \
         call @r preadv2 @f &7 1 0 0 99999 ; call @r pwritev @t &72,32 2 6000 0 ; call @r pwritev 99 &7 1 0 0 ; \
         call @r pwritev2 @t &73,33 2 -1 -1 0 ; call @r pwritev2 @t #1,7 1 0 0 0 ; call @r readv @f &5000,1000 2 ; \
         close @f open @f {from} O_RDWR sendfile @t @f 400 call @r sendfile @t 99 0 5 ; \
         call @r sendfile @f @f 0 5 ; copy-range @t @f 500 call @r copy_file_range @f 0 @in 0 5 0 ; \
         splice @out @f 600 call @r tee @in @out2 600 0 ; call @r tee @in @in 5 0 ; splice @t @in 600 \
         splice @t @in2 600 call @r splice @f 0 @t 0 5 0 ; write @out 9 call @r vmsplice @out &11 1 0 ; \
         call @r vmsplice @f &7 1 0 ; read @in 20 \
         dup @g @f dup2 @g 50 dup3 @f 51 read @g 1 read 50 2 read 51 3 call @r dup3 99 50 0 ; \
         call @r dup3 @t 51 0 ; write 51 4 close 50 call @r close 50 ; close-range 51 60 \
         fork @c [ read @f 5 write @t 6 exec /bin/true true ; ] wait @c thread @x [ read @f 7 ] join @x \
         open @again {from} O_RDONLY read @again 8 close @again unlink {from} read @f 9 \
         memfd @m name write @m 12 call @r memfd_create =name 99999 ; call @r memfd_secret 99999 ; \
         call @q mq_open =lineage-oracle 66 384 0 ; call @r mq_timedsend @q =hello 5 0 0 ; \
         call @r mq_timedsend @q =hello 5 99999 0 ; call @r mq_timedreceive @q room 8192 0 0 ; \
         call @r mq_timedreceive @q room 1 0 0 ; call @r mq_timedsend 99 =hello 5 0 0 ; \
         call @r mq_open =lineage-none 0 0 0 ; call @r mq_open =slash/inside 66 384 0 ; \
         call @r mq_unlink =lineage-oracle ; call @r mq_unlink =lineage-oracle ;"
    );
    let run = actor(recorder, &script, &[]);
    let (read, written) = total(&run, &to);
    let size = fs::metadata(&to).expect("it is there").len();
    assert!(read == 0 && written > 2000 && size > 5000, "{written}");
    assert!(total(&run, &from).0 > 4000);
}

/// Descriptors shared, inherited, fetched and closed in every way that a process has.
#[test]
fn descriptors() {
    let recorder = Recorder::new();
    let file = recorder.file("file", "x".repeat(500)).canonicalize();
    let file = file.expect("it is there").display().to_string();
    // What the test was started with is not among them, so the first is 3.
    let script = format!(
        "close-range 3 99 open @f {file} O_RDWR clone-files @c [ write @f 5 open @g {file}-2 O_RDWR|O_CREAT write @g 6 ] wait @c \
         write @f 7 write 4 8 fork @c [ write @f 9 kill self 9 ] wait @c \
         vfork @c [ write @f 10 exec /bin/true true ; ] wait @c vfork @c [ write @f 11 ] wait @c \
         fork @c [ write @f 12 call @r close_range 3 50 2 ; open @h {file}-3 O_RDWR|O_CREAT write @h 13 ] wait @c \
         fork @c [ call @r close_range 3 50 4 ; write @f 14 exec /bin/true true ; ] wait @c \
         thread @t [ unshare CLONE_FILES write @f 15 close @f ] join @t write @f 16 \
         fork @c [ write @f 17 thread @t [ exec /bin/true true ; ] join @t ] wait @c \
         pidfd @p self call @d pidfd_getfd @p @f 0 ; write @d 18 close @d \
         open @again /proc/self/fd/3 O_RDWR write @again 19 open @path {file} O_PATH call @r read @path room 5 ; \
         open @dir / O_RDONLY|O_DIRECTORY call @r read @dir room 5 ; dup3 @f 900 write 900 20 close 900 \
         fork @c [ fork @d [ write @f 21 ] exec /bin/true true ; ] wait @c \
         socketpair @a @b stream sendfile @a @again 22 recv @b 22 call @r splice @again 0 @a 0 5 0 ; \
         call @r sendfile @again @b 0 5 ; close @f"
    );
    actor(recorder, &script, &[]);
}

#[test]
fn sockets() {
    let recorder = Recorder::new();
    let root = recorder.path("").canonicalize().expect("it is there");
    let root = root.display();
    // A port of this test's own that the kernel gives to nobody.
    let port = 20_000 + std::process::id() % 10_000;
    let script = format!(
        "socket @l inet stream bind @l 127.0.0.1:{port} listen @l call @r listen 99 5 ; call @r listen 0 5 ; \
         call @r bind @l 0 16 ; fails EINVAL bind @l 127.0.0.1:{port} call @r bind 99 0 0 ; \
         socket @c inet stream connect @c 127.0.0.1:{port} accept @s @l \
         nonblock @l call @r accept4 @l 0 0 0 ; call @r accept 99 0 0 ; call @r accept4 @s 0 0 0 ; \
         write @c 10 recv @s 10 send @s 20 read @c 20 sendmsg @c 30 recvmsg @s 30 sendto @c 5 127.0.0.1:9 \
         recv @s 5 call @r sendto 99 =x 1 0 0 0 ; call @r recvfrom @s room 10 64 0 0 ; \
         socket @other inet stream fails EADDRINUSE bind @other 127.0.0.1:{port} \
         fails ECONNREFUSED connect @other 127.0.0.1:1 \
         socket @u inet dgram bind @u 127.0.0.1:{port} socket @v inet dgram bind @v 127.0.0.1:0 \
         sendto @v 7 127.0.0.1:{port} recvfrom @u 7 sendmsg-to @v 8 127.0.0.1:{port} recvmsg-from @u 8 \
         sendmmsg @v 9 [ 127.0.0.1:{port} 127.0.0.1:{port} ] recvmmsg @u 9 2 \
         sendto @v 7 127.0.0.1:{port} call @r recvfrom @u room 3 2 0 0 ; call @r recvfrom @u room 3 32 0 0 ; \
         call @r sendmmsg 99 0 1 0 ; call @r recvmmsg 99 0 1 0 0 ; call @r sendmsg @v 1 0 ; \
         call @r recvmsg @v 1 0 ; socket @e inet dgram report-errors @e sendto @e 7 127.0.0.1:1 \
         call @r recvfrom @e room 100 8192 0 0 ; close @e \
         socketpair @a @b stream write @a 11 recv @b 11 socketpair @d @e dgram send @d 12 recvmsg @e 12 \
         socketpair @g @h seqpacket pass @g @d ; receive @h @i ; send @i 13 read @e 13 \
         call @r socketpair 2 1 0 room ; call @r socketpair 1 1 0 1 ; call @r socketpair 1 99 0 room ; \
         socket @n unix stream bind @n unix:@lineage-{port} listen @n socket @o unix stream \
         connect @o unix:@lineage-{port} accept @p @n write @o 14 read @p 14 socket @q unix stream \
         fails EADDRINUSE bind @q unix:@lineage-{port} \
         call @r socket 16 3 0 ; call @r socket 17 3 768 ; call @r socket 2 3 1 ; call @r socket 40 1 0 ; \
         call @r socket 99 1 0 ; call @r socket 2 9 0 ; call @r socket 1 1 0 ; call @r socket 2 1 99 ; \
         close @c read @s 0 \
         socket @x unix stream bind @x unix:{root}/name listen @x socket @y unix stream fails EADDRINUSE bind @y unix:{root}/name \
         fails ENOENT connect @y unix:{root}/none connect @y unix:{root}/name call @r accept @x room #110 ; \
         fails EINVAL connect @x unix:{root}/name call @r connect 99 #0,0 16 ; call @r connect @v #0,0 16 ; \
         socket @z inet6 dgram call @r connect @z #0,0 1 ; \
         connect @v 127.0.0.1:{port} connect @v 127.0.0.1:9 write @v 15"
    );
    let allowed = [(
        "target: \"\", text: \"\", result: -14",
        "of an address that cannot be read strace tells nothing, and the record the one that the socket has",
    )];
    actor(recorder, &script, &allowed);
}
