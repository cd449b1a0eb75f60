//! `file.map` and `process.execmem`: what is mapped, compared with what procfs shows of the process.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use lineage_tests::programs::ACTOR;
use lineage_tests::recorder::{Recorded, Recorder};
use lineage_tests::rows::{Row, version};
use rustix::fs::makedev;
use serde_json::json;

use crate::open::deep;
use crate::snapshot::Found;

/// One line of `/proc/PID/maps`.
#[derive(Debug)]
struct Line {
    start: u64,
    end: u64,
    protection: String,
    offset: i64,
    dev: u64,
    ino: i64,
    path: String,
}

impl Line {
    fn of(line: &str) -> Self {
        let words: Vec<&str> = line.splitn(6, ' ').map(str::trim).collect();
        let hex = |text: &str| u64::from_str_radix(text, 16).expect("hexadecimal");
        let (start, end) = words[0].split_once('-').expect("two addresses");
        let (major, minor) = words[3].split_once(':').expect("a device");
        let number = |text: &str| u32::from_str_radix(text, 16).expect("hexadecimal");
        Self {
            start: hex(start),
            end: hex(end),
            protection: words[1].to_owned(),
            offset: hex(words[2]).cast_signed(),
            dev: makedev(number(major), number(minor)),
            ino: words[4].parse().expect("a number"),
            path: words.get(5).unwrap_or(&"").to_string(),
        }
    }
}

/// What the script of [`shows_maps`] has printed.
fn maps(run: &Recorded) -> Vec<Line> {
    let stdout = run.stdout();
    let lines = stdout.lines().filter(|line| line.contains('-'));
    lines.map(Line::of).collect()
}

/// Steps of the actor after which its mappings are printed.
fn shows_maps(recorder: &Recorder) -> String {
    let script = recorder.file("maps.sh", "exec cat /proc/$PPID/maps\n");
    format!("spawn @shown /bin/sh sh {} ; wait @shown", script.display())
}

/// The addresses in a record.
fn addresses(row: &Row) -> (u64, u64) {
    let address = |name: &str| {
        let text = row.get("detail")[name].as_str();
        let text = text.unwrap_or_else(|| panic!("no {name} in {row:?}"));
        let digits = text.strip_prefix("0x").expect("hexadecimal");
        u64::from_str_radix(digits, 16).expect("hexadecimal")
    };
    (address("start"), address("end"))
}

/// Fails unless procfs shows exactly this mapping.
fn is_there(row: &Row, maps: &[Line]) {
    let (start, end) = addresses(row);
    let line = maps
        .iter()
        .find(|line| (line.start, line.end) == (start, end));
    let line = line.unwrap_or_else(|| panic!("{row:?} is not in {maps:#?}"));
    let path = line.path.trim_end_matches(" (deleted)");
    row.expect(&json!({
        "path": path, "protection": line.protection, "offset": line.offset, "dev": line.dev,
        "ino": line.ino, "origin": "kernel",
    }));
}

/// The mappings a recorded actor has made of a file by calls of its own.
fn mapped<'a>(run: &'a Recorded, path: &Path) -> Vec<&'a Row> {
    run.rows.all("file.map", &json!({ "path": path }))
}

fn text(path: &Path) -> String {
    path.to_str().expect("temporary names are text").to_owned()
}

/// A new file of this many pages, under its real name.
fn file(recorder: &Recorder, name: &str, pages: usize) -> PathBuf {
    let path = recorder.file(name, vec![7; pages * 4096]);
    path.canonicalize().expect("it is there")
}

#[test]
fn each_way_of_mapping_a_descriptor_is_recorded_as_procfs_shows_it() {
    let recorder = Recorder::new();
    let path = file(&recorder, "data", 64);
    let shows = shows_maps(&recorder);
    let run = recorder.script(&format!(
        "open @f {} O_RDWR \
         map @f 5000 0 PROT_READ MAP_PRIVATE map @f 4096 16384 PROT_READ|PROT_WRITE MAP_PRIVATE \
         map @f 4096 32768 PROT_READ MAP_SHARED map @f 4096 49152 PROT_READ MAP_SHARED \
         map @f 4096 65536 PROT_READ|PROT_WRITE MAP_SHARED map @f 4096 81920 PROT_WRITE MAP_SHARED \
         map @f 8192 98304 PROT_READ|PROT_EXEC MAP_PRIVATE map @f 4096 122880 PROT_READ|PROT_EXEC MAP_PRIVATE \
         close @f open @f {} O_RDONLY map @f 4096 147456 PROT_READ MAP_PRIVATE {shows}",
        path.display(),
        path.display(),
    ));
    let (maps, rows) = (maps(&run), mapped(&run, &path));
    let said: Vec<(&str, i64)> = rows
        .iter()
        .map(|row| (row.text("protection"), row.int("offset")))
        .collect();
    let expected = [
        ("r--p", 0),
        ("r--s", 32768),
        ("rw-s", 65536),
        ("r-xp", 98304),
        ("r-xp", 122_880),
        ("r--p", 147_456),
    ];
    assert_eq!(said, expected);
    let file = fs::metadata(&path).expect("it is there");
    for row in rows {
        is_there(row, &maps);
        row.expect(&json!({ "call": "mmap", "result": addresses(row).0, "mode": file.mode() }));
        row.expect(&version(&file));
        let opened = run.rows.all("file.open", &json!({ "path": path }));
        assert!(opened.iter().any(|open| open.get("fd") == row.get("fd")));
    }
    let first = mapped(&run, &path)[0];
    let asked = &first.get("detail")["flags"];
    assert_eq!(asked, &json!(["MAP_PRIVATE"]));
    assert_eq!(first.get("detail")["protection"], json!(["PROT_READ"]));
}

#[test]
fn mapping_is_use_of_an_inherited_descriptor() {
    let recorder = Recorder::new();
    let path = file(&recorder, "data", 1);
    let run = recorder.script(&format!(
        "open @f {} O_RDONLY fork @c [ map @f 4096 0 PROT_READ MAP_PRIVATE close @f ] wait @c",
        path.display()
    ));
    let inherit = run.rows.only("file.inherit", &json!({ "path": path }));
    let map = run.rows.only("file.map", &json!({ "path": path }));
    assert!(map.int("seq") > inherit.int("seq"));
    map.expect(&json!({ "pid": inherit.int("pid"), "fd": inherit.int("fd") }));
    let close = json!({ "path": path, "pid": inherit.int("pid") });
    let close = run.rows.only("file.close", &close);
    close.expect(&json!({ "opened": inherit.int("seq"), "bytes_read": 0 }));
}

#[test]
fn both_sides_of_shared_memory_are_the_same_file() {
    let recorder = Recorder::new();
    let path = file(&recorder, "shared", 1);
    let map = format!(
        "open @f {} O_RDWR map @f 4096 0 PROT_READ|PROT_WRITE MAP_SHARED",
        path.display()
    );
    let run = recorder.script(&format!("{map} fork @c [ close @f {map} ] wait @c"));
    let rows = mapped(&run, &path);
    let [one, other] = rows.as_slice() else {
        panic!("{rows:#?}")
    };
    assert_ne!(one.int("pid"), other.int("pid"));
    let file = fs::metadata(&path).expect("it is there");
    for row in [one, other] {
        row.expect(&json!({ "dev": file.dev(), "ino": file.ino(), "protection": "rw-s" }));
    }
}

/// Memory that parent and child share has no name, but an inode: every mapping of it is another.
#[test]
fn memory_that_a_child_shares_is_a_file_of_the_kernel() {
    let recorder = Recorder::new();
    let shows = shows_maps(&recorder);
    let map = "call @m mmap 0 4096 3 33 -1 0 ;";
    let run = recorder.script(&format!("{map} fork @c [ {shows} ] {map} {shows} wait @c"));
    let shared = run.rows.all("file.map", &json!({ "path": "/dev/zero" }));
    let [one, other] = shared.as_slice() else {
        panic!("{shared:#?}")
    };
    assert_ne!(one.int("ino"), other.int("ino"));
    one.expect(&json!({ "fd": null, "notes": "unlinked" }));
    for row in [one, other] {
        is_there(row, &maps(&run));
    }
}

#[test]
fn a_memfd_that_is_mapped_executable_shows_what_it_is() {
    let recorder = Recorder::new();
    let shows = shows_maps(&recorder);
    let run = recorder.script(&format!(
        "memfd @m code write @m 4096 map @m 4096 0 PROT_READ|PROT_EXEC MAP_SHARED {shows}"
    ));
    let map = run.rows.only(
        "file.map",
        &json!({ "path": "/memfd:code", "call": "mmap" }),
    );
    is_there(map, &maps(&run));
    map.expect(&json!({ "protection": "r-xs", "notes": "unlinked" }));
    let digest = json!({ "path": "/memfd:code" });
    let digest = run.rows.only("file.digest", &digest);
    assert_eq!(digest.int("cause"), map.int("seq"));
}

/// Memory without a file, made executable by each of the calls.
const JIT: &str =
    "call @j mmap 0 4096 5 34 -1 0 ; call @k mmap 0 8192 3 34 -1 0 ; call @r mprotect @k 4096 5 ;";

#[test]
fn executable_memory_without_a_file_is_recorded_once_for_each_program_and_way() {
    let recorder = Recorder::new();
    let shows = shows_maps(&recorder);
    let run = recorder.script(&format!(
        "{JIT} repeat 100 [ {JIT} ] {shows} fork @c [ {JIT} ] wait @c"
    ));
    let rows = run.rows.all("process.execmem", &json!({}));
    let said: Vec<(i64, &str, &str)> = rows
        .iter()
        .map(|row| (row.int("exec"), row.text("call"), row.text("protection")))
        .collect();
    let once = |exec| [(exec, "mmap", "r-xp"), (exec, "mprotect", "r-xp")];
    // The actor and its child.
    assert_eq!(said, [once(1), once(0)].concat(), "{rows:#?}");
    assert_ne!(rows[0].int("pid"), rows[2].int("pid"));
    let maps = maps(&run);
    let [mmap, mprotect] = [rows[0], rows[1]];
    let executable = |at: u64| {
        let mut lines = maps.iter().filter(|line| line.start <= at && at < line.end);
        lines.any(|line| line.protection == "r-xp" && line.path.is_empty())
    };
    for row in [mmap, mprotect] {
        let (start, end) = addresses(row);
        assert_eq!(end - start, 4096);
        assert!(executable(start), "{row:?} {maps:#?}");
        row.expect(&json!({ "truncated": null, "path": null, "origin": "kernel" }));
    }
    let asked = json!(["PROT_READ", "PROT_EXEC"]);
    assert_eq!(mprotect.get("detail")["protection"], asked);
    let flags = json!(["MAP_PRIVATE", "MAP_ANONYMOUS"]);
    assert_eq!(mmap.get("detail")["flags"], flags);
}

#[test]
fn another_program_is_told_anew() {
    let recorder = Recorder::new();
    let actor = text(&ACTOR);
    let run = recorder.script(&format!(
        "call @a mmap 0 4096 5 34 -1 0 ; exec {actor} actor call @a mmap 0 4096 5 34 -1 0 "
    ));
    let rows = run.rows.all("process.execmem", &json!({ "call": "mmap" }));
    let execs: Vec<i64> = rows.iter().map(|row| row.int("exec")).collect();
    assert_eq!(execs, [1, 2]);
}

#[test]
fn a_file_made_executable_after_it_was_mapped() {
    let recorder = Recorder::new();
    let path = file(&recorder, "data", 4);
    let shows = shows_maps(&recorder);
    let run = recorder.script(&format!(
        "open @f {} O_RDONLY call @m mmap 0 8192 1 2 @f 8192 ; close @f \
         call @r mprotect @m 8192 5 ; {shows} call @r mprotect @m 8192 1 ; call @r pkey_mprotect @m 8192 5 -1 ;",
        path.display()
    ));
    let rows = mapped(&run, &path);
    let calls: Vec<&str> = rows.iter().map(|row| row.text("call")).collect();
    assert_eq!(calls, ["mmap", "mprotect", "pkey_mprotect"]);
    is_there(rows[1], &maps(&run));
    rows[1].expect(&json!({ "protection": "r-xp", "offset": 8192, "fd": null, "result": 0 }));
    run.rows.none("process.execmem", &json!({}));
    // What it was mapped for at first did not ask for it.
    let digest = run.rows.only("file.digest", &json!({ "path": path }));
    assert_eq!(digest.int("cause"), rows[1].int("seq"));
    let content = fs::read(&path).expect("it is there");
    assert_eq!(
        digest.text("blake3"),
        blake3::hash(&content).to_hex().as_str()
    );
}

#[test]
fn what_may_not_be_executed_is_recorded_with_the_error() {
    let recorder = Recorder::new();
    let path = file(&recorder, "data", 1);
    let place = recorder.path("noexec");
    fs::create_dir(&place).expect("a directory");
    let place = place.canonicalize().expect("it is there");
    let inside = place.join("file");
    // MS_NOEXEC; PR_SET_MDWE with PR_MDWE_REFUSE_EXEC_GAIN, since 6.3.
    let run = recorder.script(&format!(
        "unshare CLONE_NEWNS call @o mount =none ={} =tmpfs 8 0 ; open @n {} O_RDWR|O_CREAT write @n 4096 \
         call @a mmap 0 4096 5 2 @n 0 ; call @b mmap 0 4096 1 2 @n 0 ; call @c mprotect @b 4096 5 ; \
         open @w {} O_WRONLY call @d mmap 0 4096 5 1 @w 0 ; call @e mmap 0 4096 1 1 @w 0 ; \
         call @p prctl 65 1 0 0 0 ; repeat 9 [ {JIT} ] print @a print @c print @d print @e print @p print @r",
        place.display(),
        inside.display(),
        path.display(),
    ));
    let stdout = run.stdout();
    let results: Vec<i64> = stdout
        .lines()
        .map(|n| n.parse().expect("a number"))
        .collect();
    assert_eq!(results[..4], [-1, -13, -13, -13], "EPERM and EACCES");
    let refused: Vec<(i64, &str, &str)> = run
        .rows
        .all("file.map", &json!({ "protection": "r-xp" }))
        .into_iter()
        .chain(run.rows.all("file.map", &json!({ "protection": "r-xs" })))
        .chain(run.rows.all("file.map", &json!({ "call": "mprotect" })))
        .filter(|row| row.get("result").as_i64().is_some_and(|result| result < 0))
        .map(|row| (row.int("result"), row.text("call"), row.text("path")))
        .collect();
    let (path, inside) = (text(&path), text(&inside));
    let expected = [
        (-1, "mmap", &*inside),
        (-13, "mmap", &*path),
        (-13, "mprotect", &*inside),
    ];
    assert_eq!(refused, expected);
    // What is refused for another reason than to be executed says nothing of code.
    assert_eq!(mapped(&run, Path::new(&path)).len(), 1);
    let denied = run.rows.all("process.execmem", &json!({ "result": -13 }));
    if results[4] == 0 {
        assert_eq!(results[5], -13);
        let [only] = denied.as_slice() else {
            panic!("{denied:#?}")
        };
        only.expect(&json!({ "call": "mprotect", "protection": "rw-p" }));
    } else {
        assert!(denied.is_empty());
    }
}

/// The interpreter that a 64-bit ELF file names: `PT_INTERP`.
fn interpreter(program: &Path) -> Option<PathBuf> {
    let bytes = fs::read(program).expect("readable");
    let number = |at: usize, len: usize| {
        let mut word = [0; 8];
        word[..len].copy_from_slice(&bytes[at..at + len]);
        usize::try_from(u64::from_ne_bytes(word)).expect("small")
    };
    let (headers, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    let mut headers = (0..count).map(|index| headers + index * size);
    let header = headers.find(|at| number(*at, 4) == 3)?;
    let (offset, len) = (number(header + 8, 8), number(header + 32, 8));
    let name = std::str::from_utf8(&bytes[offset..offset + len - 1]).expect("text");
    Some(fs::canonicalize(name).expect("it is there"))
}

#[test]
fn an_exec_maps_the_interpreter_that_the_executable_names() {
    let recorder = Recorder::new();
    let shell = fs::canonicalize("/bin/sh").expect("there is one");
    let script = recorder.file("maps.sh", "cat /proc/$$/maps\n:\n");
    let run = recorder.run([Path::new("/bin/sh"), &script]);
    let execs = run.rows.all("process.exec", &json!({ "exe": shell }));
    let rows = run
        .rows
        .all("file.map", &json!({ "call": null, "exe": shell }));
    let Some(expected) = interpreter(&shell) else {
        return assert!(rows.is_empty(), "{rows:#?}");
    };
    let [row] = rows.as_slice() else {
        panic!("{rows:#?}")
    };
    let file = fs::metadata(&expected).expect("it is there");
    row.expect(&json!({
        "path": expected, "dev": file.dev(), "ino": file.ino(), "cause": execs[0].int("seq"),
        "result": null, "fd": null, "origin": "kernel",
    }));
    row.expect(&version(&file));
    assert_eq!(row.get("detail")["what"], "interpreter");
    is_there(row, &maps(&run));
    let digest = run.rows.only("file.digest", &json!({ "path": expected }));
    assert_eq!(digest.int("cause"), row.int("seq"));
    let content = fs::read(&expected).expect("readable");
    assert_eq!(
        digest.text("blake3"),
        blake3::hash(&content).to_hex().as_str()
    );
}

/// Loads a library under a name that no pattern knows.
const LOADS: &str = "\
import ctypes, re, shutil
libraries = re.findall(r'(/\\S+/lib[mz]\\S*\\.so\\S*)', open('/proc/self/maps').read())
shutil.copy(libraries[0], 'plugin.bin')
ctypes.CDLL('./plugin.bin')
print(open('/proc/self/maps').read())
";

#[test]
fn a_library_that_python_loads_is_known_by_its_digest() {
    let python = ["/usr/bin/python3", "/usr/local/bin/python3"];
    let Some(python) = python.into_iter().find(|path| Path::new(path).exists()) else {
        return;
    };
    let recorder = Recorder::new();
    let place = recorder.path("").canonicalize().expect("it is there");
    let script = recorder.file("load.py", LOADS);
    let mut command = recorder.command();
    command
        .current_dir(&place)
        .arg("--")
        .arg(python)
        .arg(&script);
    let run = recorder.finish(command.output().expect("the lineage binary runs"));
    assert!(run.output.status.success(), "{}", run.stderr());
    let plugin = place.join("plugin.bin");
    let rows = mapped(&run, &plugin);
    let executable: Vec<_> = rows
        .iter()
        .filter(|row| row.has(&json!({ "protection": "r-xp" })))
        .collect();
    let [executable] = executable.as_slice() else {
        panic!("{rows:#?}")
    };
    let maps: Vec<Line> = maps(&run);
    is_there(executable, &maps);
    let digest = run.rows.only("file.digest", &json!({ "path": plugin }));
    assert_eq!(digest.int("cause"), executable.int("seq"));
    let content = fs::read(&plugin).expect("it is there");
    assert_eq!(
        digest.text("blake3"),
        blake3::hash(&content).to_hex().as_str()
    );
}

#[test]
fn what_was_mapped_at_attach_has_its_digest() {
    let recorder = Recorder::new();
    let library = file(&recorder, "odd-name", 2);
    let content = fs::read(&library).expect("it is there");
    let found = Found::start(
        &mut Command::new(&*ACTOR),
        &format!(
            "open @l {} O_RDONLY map @l 4096 4096 PROT_READ|PROT_EXEC MAP_PRIVATE close @l \
             print ready read 0 1 exit 0",
            library.display()
        ),
    );
    let (run, ()) = found.record(recorder, |_| ());
    let map = run.rows.only("file.map", &json!({ "path": library }));
    map.expect(&json!({ "origin": "snapshot", "call": null }));
    let digest = run.rows.only("file.digest", &json!({ "path": library }));
    assert_eq!(digest.int("cause"), map.int("seq"));
    assert_eq!(
        digest.text("blake3"),
        blake3::hash(&content).to_hex().as_str()
    );
    // What it runs is mapped as well.
    let program = run.rows.only("file.digest", &json!({ "path": &*ACTOR }));
    assert_eq!(run.rows.cause(program).text("kind"), "file.map");
}

#[test]
fn a_model_is_recognised_where_it_is_mapped() {
    let recorder = Recorder::new();
    let path = file(&recorder, "llama.gguf", 2);
    let run = recorder.script(&format!(
        "open @f {} O_RDONLY map @f 8192 0 PROT_READ MAP_SHARED",
        path.display()
    ));
    let map = run.rows.only("file.map", &json!({ "path": path }));
    map.expect(&json!({ "recognised": "model-file", "protection": "r--s" }));
}

#[test]
fn memory_that_is_only_reserved_leaves_no_record() {
    let run = Recorder::new()
        .script("repeat 100000 [ call @a mmap 0 4096 3 34 -1 0 ; ] call @r mprotect @a 4096 1 ;");
    let ours = run.rows.only("process.exec", &json!({ "exe": &*ACTOR }));
    let after: Vec<&str> = run.rows.0[usize::try_from(ours.int("seq")).expect("a position")..]
        .iter()
        .map(|row| row.text("kind"))
        .filter(|kind| !matches!(*kind, "file.digest" | "lineage.end"))
        .collect();
    assert!(!after.contains(&"process.execmem"), "{after:?}");
    assert!(after.len() < 50, "{after:?}");
}

#[test]
fn the_longest_path_is_mapped_whole() {
    let recorder = Recorder::new();
    let path = deep(&recorder.path(""), 4095).display().to_string();
    let run = recorder.script(&format!(
        "open @f {path} O_RDWR|O_CREAT write @f 10 map @f 4096 0 PROT_READ|PROT_EXEC MAP_PRIVATE"
    ));
    let map = run.rows.only("file.map", &json!({ "path": path }));
    map.expect(&json!({ "truncated": null }));
}

/// Where another thread changes the address space the mapping cannot always be looked at: then that is
/// said, and nothing is left out.
#[test]
fn nothing_is_left_out_while_another_thread_maps() {
    const CHANGES: usize = 2000;
    let recorder = Recorder::new();
    let path = file(&recorder, "data", 1);
    let run = recorder.script(&format!(
        "open @f {} O_RDONLY call @m mmap 0 4096 1 2 @f 0 ; \
         thread @t [ repeat 20000 [ call @a mmap 0 4096 3 34 -1 0 ; ] ] \
         repeat {CHANGES} [ call @r mprotect @m 4096 5 ; call @r mprotect @m 4096 1 ; ] join @t",
        path.display()
    ));
    let of_file = run
        .rows
        .all("file.map", &json!({ "path": path, "call": "mprotect" }));
    let unknown = json!({ "call": "mprotect", "truncated": "path" });
    let unknown = run.rows.all("process.execmem", &unknown);
    assert_eq!(of_file.len() + unknown.len(), CHANGES);
    assert!(!of_file.is_empty());
    assert_eq!(
        run.rows.all("process.execmem", &json!({})).len(),
        unknown.len()
    );
}

/// What could not be looked at is not taken for memory made executable, and what is executable has its one
/// record.
#[test]
fn shared_memory_is_no_code_while_another_thread_maps() {
    const EACH: usize = 2000;
    let maps = format!("repeat {EACH} [ call @a mmap 0 4096 3 33 -1 0 ; ]");
    let run = Recorder::new().script(&format!(
        "thread @t [ {maps} ] {maps} join @t call @j mmap 0 4096 5 34 -1 0 ; call @j mmap 0 4096 5 34 -1 0 ;"
    ));
    let known = run.rows.all("file.map", &json!({ "path": "/dev/zero" }));
    let unknown = json!({ "call": "mmap", "path": null, "truncated": "path" });
    let unknown = run.rows.all("file.map", &unknown);
    assert_eq!(known.len() + unknown.len(), 2 * EACH);
    assert!(!known.is_empty());
    run.rows.only("process.execmem", &json!({}));
}

/// The kernel changes one mapping after the other, and fails at the first hole.
#[test]
fn a_protection_that_had_its_effect_before_it_failed_is_recorded() {
    let run = Recorder::new()
        .script("call @k mmap 0 4096 3 34 -1 0 ; call @r mprotect @k 1073741824 7 ; print @r");
    let result: i64 = run.stdout().trim().parse().expect("a number");
    assert!(result < 0, "{result}");
    let row = run.rows.only("process.execmem", &json!({}));
    row.expect(&json!({ "call": "mprotect", "result": result, "protection": "rwxp" }));
}
