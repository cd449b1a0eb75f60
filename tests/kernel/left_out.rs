//! `--leave-out`: kinds that are not wanted are not recorded, and the evidence says so.

use lineage_tests::recorder::Recorder;
use serde_json::json;

use crate::context::document;

#[test]
fn what_is_left_out_is_named() {
    let recorder = Recorder::new()
        .option("--leave-out=file.chmod,file.unlink")
        .option("--leave-out=file.rmdir");
    let file = recorder.file("file", "12345").display().to_string();
    let run = recorder.script(&format!(
        "open @f {file} O_RDWR call @r fchmod @f 384 ; call @r fchmodat -100 ={file} 384 ; \
         unlink {file} call @r fchown @f -1 -1 ; read @f 5 close @f"
    ));
    run.rows.none("file.chmod", &json!({}));
    run.rows.none("file.unlink", &json!({}));
    run.rows.only("file.chown", &json!({}));
    run.rows
        .only("file.close", &json!({ "path": file }))
        .expect(&json!({ "bytes_read": 5 }));
    let start = run.rows.only("lineage.start", &json!({}));
    let kinds = json!(["file.chmod", "file.rmdir", "file.unlink"]);
    assert_eq!(start.get("detail")["left_out"], kinds);
    let context = document(&run, start.text("context"));
    let environment = document(&run, context["environment"].as_str().expect("a digest"));
    let calls = json!([
        "unlink",
        "unlinkat",
        "mq_unlink",
        "rmdir",
        "chmod",
        "fchmod",
        "fchmodat",
        "fchmodat2"
    ]);
    assert_eq!(environment["left_out"], calls);
}
