//! History rewritten, cut and turned back by somebody who took the host: what each kind of trust
//! notices, and what it cannot.

use std::fs;

use ed25519_dalek::SigningKey;
use lineage_agent::evidence::manifest::{Manifest, Reason};
use lineage_agent::verify::{Code, Verdict};

use super::forge::{Forger, manifests};
use super::sample::{Copy, SEALED};
use super::{assert_clean, assert_found, codes, verify};

/// The epoch in which the host is taken; the keys of 0 and 1 are gone.
const TAKEN: u32 = 2;

fn forger() -> Forger {
    Forger::new(1)
}

/// Signs everything with the keys that are left: the host's and the current epoch's.
fn with_current_key(_: &Manifest) -> SigningKey {
    forger().epoch_key(TAKEN)
}

/// The log written anew, with all keys: only to show that the forger does it right.
#[test]
fn a_log_signed_with_every_key_is_the_log() {
    let copy = SEALED.copy();
    let before: Vec<_> = copy
        .files()
        .iter()
        .map(|file| fs::read(copy.path(file)).unwrap())
        .collect();
    forger().write_log(&copy, manifests(&copy), |manifest| {
        forger().epoch_key(manifest.head.epoch)
    });
    let after: Vec<_> = copy
        .files()
        .iter()
        .map(|file| fs::read(copy.path(file)).unwrap())
        .collect();
    assert!(before == after);
    assert_clean(&verify(copy.temp.path(), &copy.trust));
}

/// Changes what an ended epoch says: a record of segment 0 is gone.
fn without_first_record(copy: &Copy) -> Vec<Manifest> {
    let mut manifests = manifests(copy);
    manifests[0].dropped += 1;
    manifests
}

#[test]
fn an_ended_epoch_cannot_be_signed_again() {
    let copy = SEALED.copy();
    forger().write_log(&copy, without_first_record(&copy), with_current_key);
    let report = assert_found(&copy, Verdict::Tampered, Code::SignatureBad, "signed again");
    // The segment of the current epoch is as good as its key.
    assert_eq!(report.hosts[0].segments_valid, 1);
    // Leaving the old checkpoints in place does not help: they are of the old manifests.
    let old = SEALED.copy();
    let copy = SEALED.copy();
    forger().write_log(&copy, without_first_record(&copy), with_current_key);
    for size in 1..=3 {
        let name = format!("log/checkpoints/{size}");
        fs::copy(old.path(&name), copy.path(&name)).unwrap();
    }
    assert_found(
        &copy,
        Verdict::Tampered,
        Code::LogRoot,
        "old checkpoints kept",
    );
}

/// Saying that all of it happened in the epoch whose key is left contradicts the times.
#[test]
fn ended_epochs_cannot_be_moved_into_the_current_one() {
    let copy = SEALED.copy();
    let mut manifests = manifests(&copy);
    manifests.remove(2);
    for manifest in &mut manifests {
        manifest.head.epoch = TAKEN;
    }
    manifests[1].reason = Reason::Time;
    forger().write_log(&copy, manifests, with_current_key);
    fs::rename(
        copy.segment(3),
        copy.segment(3).with_file_name("0000000002.parquet"),
    )
    .unwrap();
    assert_found(&copy, Verdict::Tampered, Code::ClockRule, "moved");
}

/// The empty epoch between two others is what proves that nothing was cut there.
#[test]
fn an_empty_epoch_cannot_be_left_out() {
    let copy = SEALED.copy();
    let mut manifests = manifests(&copy);
    manifests.remove(2);
    let name = "0000000002.parquet";
    manifests[2].parquet.as_mut().unwrap().path = format!(
        "events/{}/{name}",
        copy.segment(3)
            .parent()
            .unwrap()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
    );
    let earlier: Vec<_> = [1, 2]
        .map(|size| fs::read(copy.path(&format!("log/checkpoints/{size}"))).unwrap())
        .into();
    forger().write_log(&copy, manifests, with_current_key);
    for (size, bytes) in (1..).zip(earlier) {
        fs::write(copy.path(&format!("log/checkpoints/{size}")), bytes).unwrap();
    }
    fs::rename(copy.segment(3), copy.segment(3).with_file_name(name)).unwrap();
    assert_found(
        &copy,
        Verdict::Tampered,
        Code::EpochRule,
        "an empty epoch left out",
    );
}

/// The tail of an ended epoch cannot be cut: only its own key could have ended it there.
#[test]
fn the_end_of_an_ended_epoch_cannot_be_cut() {
    let copy = SEALED.copy();
    let mut manifests = manifests(&copy);
    manifests.truncate(1);
    manifests[0].reason = Reason::EpochEnd;
    let parquet = copy.segment(1);
    forger().write_log(&copy, manifests, with_current_key);
    fs::remove_file(parquet).unwrap();
    fs::remove_file(copy.segment(3)).unwrap();
    assert_found(
        &copy,
        Verdict::Tampered,
        Code::SignatureBad,
        "cut and ended again",
    );
}

/// In the epoch in which the host was taken anything can be made up; the documentation says so.
#[test]
fn the_current_epoch_can_be_forged() {
    let copy = SEALED.copy();
    let mut manifests = manifests(&copy);
    manifests[3].dropped = 1;
    let kept: Vec<_> = (1..=3)
        .map(|size| fs::read(copy.path(&format!("log/checkpoints/{size}"))).unwrap())
        .collect();
    forger().write_log(&copy, manifests, with_current_key);
    for (size, bytes) in (1..).zip(kept) {
        fs::write(copy.path(&format!("log/checkpoints/{size}")), bytes).unwrap();
    }
    let report = verify(copy.temp.path(), &copy.trust);
    assert_eq!(
        report.verdict,
        Verdict::VerifiedWithLoss,
        "{}",
        report.text()
    );
    assert!(report.text().contains("could have made up"));
}

#[test]
fn a_checkpoint_under_another_key_is_forged() {
    for (host, epoch) in [(1, 7), (7, 1), (7, 7)] {
        let copy = SEALED.copy();
        let note = fs::read_to_string(copy.path("log/checkpoint")).unwrap();
        let text = &note[..=note.find("\n\n").unwrap()];
        let origin = text.lines().next().unwrap();
        let signer = |name: String, key| lineage_agent::evidence::note::Signer::new(name, key);
        let host = signer(origin.to_owned(), Forger::new(host).host_key());
        let epoch = signer(format!("{origin}/epoch/2"), Forger::new(epoch).epoch_key(2));
        let forged = lineage_agent::evidence::note::sign(text, &[&host, &epoch]);
        fs::write(copy.path("log/checkpoint"), &forged).unwrap();
        fs::write(copy.path("log/checkpoints/4"), &forged).unwrap();
        let report = assert_found(&copy, Verdict::Tampered, Code::SignatureBad, "another key");
        assert_eq!(report.hosts[0].checkpoints_valid, 3);
    }
}

/// Turns the newest checkpoint back without taking the rest away.
#[test]
fn a_checkpoint_turned_back_leaves_newer_evidence_behind() {
    for size in 1..=3 {
        let copy = SEALED.copy();
        fs::copy(
            copy.path(&format!("log/checkpoints/{size}")),
            copy.path("log/checkpoint"),
        )
        .unwrap();
        assert_found(
            &copy,
            Verdict::Tampered,
            Code::Rollback,
            &format!("back to {size}"),
        );
    }
}

/// Takes everything after a size away: what an earlier copy looks like.
fn turned_back(size: u64) -> Copy {
    let copy = SEALED.copy();
    fs::copy(
        copy.path(&format!("log/checkpoints/{size}")),
        copy.path("log/checkpoint"),
    )
    .unwrap();
    for later in size..4 {
        if later != 2 {
            fs::remove_file(copy.segment(later)).unwrap();
        }
        fs::remove_file(copy.path(&format!("manifests/{later:010}"))).unwrap();
        fs::remove_file(copy.path(&format!("log/checkpoints/{}", later + 1))).unwrap();
        fs::remove_file(copy.path(&format!("log/tile/0/000.p/{}", later + 1))).unwrap();
    }
    copy
}

/// An earlier copy lacks the spool the recorder was writing then.
#[test]
fn evidence_turned_back_lacks_its_spool() {
    for size in 1..=3 {
        let what = format!("back to {size}");
        let report = assert_found(
            &turned_back(size),
            Verdict::Incomplete,
            Code::SpoolMissing,
            &what,
        );
        assert!(codes(&report).contains(&Code::LogOpen));
    }
}

/// A whole earlier copy, spool and all, is genuine; only a witness or the demand for a finished log
/// tells that more came later. The documentation says so.
#[test]
fn a_whole_earlier_copy_is_genuine_but_open() {
    let host = super::sample::Host::new(4);
    let mut writer = host.writer();
    let context = super::sample::bare_context(&writer);
    (0..5).for_each(|_| super::sample::append(&mut writer, &host.clock, &context));
    writer
        .commit(&lineage_agent::evidence::counters::Counters::default())
        .unwrap();
    let earlier = host.copy();
    (0..5).for_each(|_| super::sample::append(&mut writer, &host.clock, &context));
    writer.close(Reason::Shutdown).unwrap();
    let report = assert_found(
        &earlier,
        Verdict::Verified,
        Code::LogOpen,
        "an earlier copy",
    );
    assert!(report.text().contains("later records may exist"));
    assert_clean(&verify(&host.evidence(), &host.root()));
}
