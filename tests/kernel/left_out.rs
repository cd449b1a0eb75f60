//! `--leave-out`: kinds that are not wanted are not recorded, and the evidence says so.

use lineage_tests::recorder::Recorder;
use serde_json::json;

use crate::context::document;

#[test]
fn what_is_left_out_is_named() {
    let recorder = Recorder::new()
        .option("--leave-out=file.chmod,file.map")
        .option("--leave-out=process.execmem");
    let file = recorder.file("file", "12345").display().to_string();
    let run = recorder.script(&format!(
        "open @f {file} O_RDWR call @r fchmod @f 384 ; call @r fchmodat -100 ={file} 384 ; \
         map @f 4096 0 PROT_READ|PROT_EXEC MAP_PRIVATE call @r fchown @f -1 -1 ; read @f 5 close @f"
    ));
    run.rows.none("file.chmod", &json!({}));
    run.rows.none("file.map", &json!({ "call": "mmap" }));
    run.rows.only("file.chown", &json!({}));
    run.rows
        .only("file.close", &json!({ "path": file }))
        .expect(&json!({ "bytes_read": 5 }));
    let start = run.rows.only("lineage.start", &json!({}));
    let kinds = json!(["file.chmod", "file.map", "process.execmem"]);
    assert_eq!(start.get("detail")["left_out"], kinds);
    let context = document(&run, start.text("context"));
    let environment = document(&run, context["environment"].as_str().expect("a digest"));
    let calls = json!([
        "mmap",
        "mprotect",
        "pkey_mprotect",
        "chmod",
        "fchmod",
        "fchmodat",
        "fchmodat2"
    ]);
    assert_eq!(environment["left_out"], calls);
}
