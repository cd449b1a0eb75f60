//! Evidence verified while it is being written.

use std::sync::atomic::{AtomicBool, Ordering};

use lineage_agent::evidence::counters::Counters;
use lineage_agent::evidence::manifest::Reason;
use lineage_agent::verify::Verdict;

use super::sample::{EPOCH, Host, append};
use super::verify_alone;

/// Whatever moment a verifier sees, it is never more than an unfinished log.
#[test]
fn a_verifier_beside_a_recorder_finds_nothing_wrong() {
    let host = Host::new(60);
    let mut writer = host.writer();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let context = super::sample::bare_context(&writer);
            for segment in 0..300 {
                for _ in 0..5 {
                    append(&mut writer, &host.clock, &context);
                }
                writer.commit(&Counters::default()).unwrap();
                if segment % 100 == 99 {
                    host.clock.pass(EPOCH);
                }
                writer.seal(Reason::Rows).unwrap();
            }
            writer.close(Reason::Shutdown).unwrap();
            done.store(true, Ordering::Release);
        });
        let mut looks = 0;
        loop {
            let last = done.load(Ordering::Acquire);
            let report = verify_alone(&host.evidence(), &host.root());
            let fine = [Verdict::Verified, Verdict::NothingVerified].contains(&report.verdict);
            assert!(fine, "{}", report.text());
            looks += 1;
            if last {
                assert!(report.findings.is_empty(), "{}", report.text());
                assert!(report.hosts[0].complete && looks > 3, "{looks}");
                return;
            }
        }
    });
}
