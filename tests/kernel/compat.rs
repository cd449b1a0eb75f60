//! 32-bit system calls: their numbers and arguments mean something else, so they are named and counted
//! and nothing more, which is told.

use lineage_tests::evidence::Verdict;
use lineage_tests::recorder::Recorder;
use serde_json::json;

#[test]
fn a_32_bit_call_is_told_and_counted_and_not_mistaken_for_another() {
    let recorder = Recorder::new().expect(Verdict::VerifiedWithLoss);
    let file = recorder.file("file", "").display().to_string();
    let run = recorder.script(&format!("open @a {file} O_RDONLY close-32 @a"));
    let told = run.stderr();
    assert!(told.contains("makes 32-bit system calls"), "{told}");
    // The 64-bit table has `lstat` at number 6, the 32-bit one `close`: nothing was recorded of it.
    let open = run.rows.only("file.open", &json!({ "path": file }));
    let close = run
        .rows
        .only("file.close", &json!({ "opened": open.int("seq") }));
    close.expect(&json!({ "closed_by": "exit" }));
    let call = run.rows.only("process.compat", &json!({}));
    call.expect(&json!({
        "origin": "kernel", "call": "close", "request": 6, "count": 1, "result": 0,
        "detail": { "table": "i386" },
    }));
    let report = run.evidence.verify();
    let findings = report.document["findings"].to_string();
    assert!(
        findings.contains(": 1 call of a 32-bit program, not decoded\""),
        "{findings}"
    );
}
