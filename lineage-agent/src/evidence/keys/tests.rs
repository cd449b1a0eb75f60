use super::*;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use zeroize::Zeroizing;

fn plan() -> Plan {
    Plan {
        start: 1_795_500_000,
        seconds: 3600,
        count: 5,
    }
}

fn secrets() -> Secrets {
    Secrets {
        host: Zeroizing::new([7; 32]),
        seed: Zeroizing::new([9; 32]),
    }
}

fn origin(keys: &Keys) -> Origin {
    Origin {
        host: keys.host_id(),
        log: [3; 16],
    }
}

#[test]
fn an_enrolment_opens_again() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("keys");
    let made = Keys::create(&path, plan(), &secrets()).unwrap();
    let opened = Keys::open(&path).unwrap();
    assert_eq!(made.enrolment(), opened.enrolment());
    assert_eq!(made.verifier(), opened.verifier());
    assert_eq!(
        read_public(&path).unwrap(),
        (made.verifier(), *made.enrolment())
    );
    assert!(matches!(
        Keys::create(&path, plan(), &secrets()),
        Err(KeyError::Exists(_))
    ));
}

#[test]
fn every_epoch_proves_itself_under_the_root() {
    let temp = tempfile::tempdir().unwrap();
    let keys = Keys::create(&temp.path().join("keys"), plan(), &secrets()).unwrap();
    for epoch in 0..5 {
        let file = keys.epoch_file(epoch).unwrap();
        let read = EpochFile::parse(file.text().as_bytes()).unwrap();
        assert_eq!(read, file);
        assert_eq!(read.root(), Some(keys.enrolment().root));
        let mut forged = read;
        forged.statement.start -= 1;
        assert_ne!(forged.root(), Some(keys.enrolment().root));
    }
    assert!(matches!(keys.epoch_file(5), Err(KeyError::Ended(5))));
}

#[test]
fn a_finished_epoch_cannot_be_signed_again() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("keys");
    let keys = Arc::new(Keys::create(&path, plan(), &secrets()).unwrap());
    let log = keys.begin(origin(&keys), 1).unwrap();
    assert!(matches!(log.signer(0), Err(KeyError::Erased(0))));
    let signer = log.signer(1).unwrap();
    let key = keys.epoch_file(1).unwrap().statement.key;
    assert!(note::verify(&key, b"text", &signer.sign_commit("text")));
    log.finish_epoch(1).unwrap();
    log.finish_epoch(1).unwrap();
    for again in [log, keys.resume(origin(&keys)).unwrap()] {
        assert_eq!(again.epoch(), 2);
        assert!(matches!(again.signer(1), Err(KeyError::Erased(1))));
        again.signer(4).unwrap();
        assert!(matches!(again.signer(5), Err(KeyError::Ended(5))));
    }
    // The master went along: no new log can reach back either.
    let other = Origin {
        log: [4; 16],
        ..origin(&keys)
    };
    assert_eq!(keys.begin(other, 0).unwrap().epoch(), 2);
}

#[test]
fn a_finished_log_leaves_no_seed() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("keys");
    let keys = Arc::new(Keys::create(&path, plan(), &secrets()).unwrap());
    let log = keys.begin(origin(&keys), 0).unwrap();
    log.finish_log().unwrap();
    log.finish_log().unwrap();
    assert!(matches!(
        keys.resume(origin(&keys)),
        Err(KeyError::Missing(_))
    ));
}

#[test]
fn an_interrupted_replacement_is_finished() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("keys");
    Keys::create(&path, plan(), &secrets()).unwrap();
    let staged = path.join("seed.tmp");
    std::fs::write(&staged, "half").unwrap();
    let keys = Arc::new(Keys::open(&path).unwrap());
    keys.begin(origin(&keys), 0).unwrap();
    assert!(!staged.exists());
}

#[test]
fn unsafe_keys_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("keys");
    assert!(matches!(Keys::open(&path), Err(KeyError::Missing(_))));
    Keys::create(&path, plan(), &secrets()).unwrap();
    let set = |name: &str, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path.join(name), mode).unwrap();
    };
    set("", 0o750);
    assert!(matches!(Keys::open(&path), Err(KeyError::Loose { .. })));
    set("", 0o700);
    set("host.key", 0o640);
    assert!(matches!(Keys::open(&path), Err(KeyError::Loose { .. })));
    set("host.key", 0o600);
    Keys::open(&path).unwrap();

    std::fs::rename(path.join("host.key"), temp.path().join("elsewhere")).unwrap();
    symlink(temp.path().join("elsewhere"), path.join("host.key")).unwrap();
    assert!(matches!(Keys::open(&path), Err(KeyError::Io { .. })));
}

#[test]
fn keys_that_do_not_fit_together_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("keys");
    Keys::create(&path, plan(), &secrets()).unwrap();
    for name in ["epochs.pub", "enrolment", "host.key"] {
        let good = std::fs::read(path.join(name)).unwrap();
        let mut bad = good.clone();
        bad[40] ^= 1;
        std::fs::write(path.join(name), &bad).unwrap();
        assert!(
            matches!(
                Keys::open(&path),
                Err(KeyError::Malformed { .. } | KeyError::Pem { .. })
            ),
            "{name}"
        );
        std::fs::write(path.join(name), &good).unwrap();
    }
}

#[test]
fn ended_epochs_can_be_erased_without_recording() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("keys");
    let keys = Arc::new(Keys::create(&path, plan(), &secrets()).unwrap());
    let open = keys.begin(origin(&keys), 0).unwrap();
    let (_, second) = keys.enrolment().window(1);
    let seeds = keys.erase_ended(second).unwrap();
    assert_eq!(seeds.host, 2);
    assert_eq!(seeds.unsealed, [(0, hex(&origin(&keys).log))]);
    open.finish_log().unwrap();
    let seeds = keys.erase_ended(second).unwrap();
    assert_eq!((seeds.host, seeds.unsealed.len()), (2, 0));
    let seed = std::fs::read_to_string(path.join("seed")).unwrap();
    assert!(seed.contains("epoch 2\n"), "{seed}");
}

#[test]
fn what_is_left_of_keys_is_not_replaced() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("keys");
    drop(Keys::create(&path, plan(), &secrets()).unwrap());
    let seed = std::fs::read(path.join("seed")).unwrap();
    std::fs::remove_file(path.join("host.key")).unwrap();
    assert!(matches!(Keys::open(&path), Err(KeyError::Incomplete(_))));
    let again = Keys::create(&path, plan(), &secrets());
    assert!(matches!(again, Err(KeyError::Incomplete(_))));
    assert_eq!(std::fs::read(path.join("seed")).unwrap(), seed);
}
