//! The vectors in `tests/vectors`, which another implementation computed.

use serde_json::Value as Json;
use std::path::PathBuf;
use zeroize::Zeroizing;

use super::checkpoint::{Checkpoint, Commit};
use super::epoch::{Enrolment, EpochFile};
use super::escape::{escape, unescape};
use super::keys::{Keys, Plan, Secrets};
use super::manifest::Manifest;
use super::note::{self, Note, NoteError, VerifierKey};
use super::origin::Origin;
use super::record;
use super::schema::{FIELDS, FieldType, Record, Value};
use super::text::{hex, parse_hex};
use super::tree::{self, Hash, Hashing, Log, RecordTree, Records};

fn path(name: &str) -> PathBuf {
    let vectors = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors");
    vectors.join(name)
}

fn json(name: &str) -> Json {
    serde_json::from_str(&std::fs::read_to_string(path(name)).unwrap()).unwrap()
}

fn list<'a>(json: &'a Json, key: &str) -> &'a [Json] {
    json[key].as_array().unwrap()
}

fn named<'a>(json: &'a Json, key: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let object = json[key].as_object().unwrap();
    object
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
}

fn text<'a>(json: &'a Json, key: &str) -> &'a str {
    json[key].as_str().unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn hash(json: &Json) -> Hash {
    parse_hex(json.as_str().unwrap()).unwrap()
}

#[test]
fn escapes() {
    let vectors = json("escape.json");
    for vector in list(&vectors, "good") {
        let (raw, escaped) = (bytes(text(vector, "bytes")), text(vector, "text"));
        assert_eq!(escape(&raw), escaped);
        assert_eq!(unescape(escaped), Some(raw));
    }
    for (fault, escaped) in named(&vectors, "bad") {
        assert_eq!(unescape(escaped), None, "{fault}");
    }
}

#[test]
fn records() {
    let vectors = json("records.json");
    for vector in list(&vectors, "good") {
        let mut record = Record::default();
        for (name, value) in named(vector, "fields") {
            let field = FIELDS.iter().find(|field| field.name == name).unwrap();
            let value = match field.field_type {
                FieldType::U64 => Value::U64(value.parse().unwrap()),
                FieldType::I64 | FieldType::Micros => Value::I64(value.parse().unwrap()),
                FieldType::Text => Value::Text(value),
            };
            assert!(record.set(field.id, value));
        }
        let mut encoded = Vec::new();
        record::encode_into(&record, &mut encoded).unwrap();
        assert_eq!(hex(&encoded), text(vector, "bytes"));
        assert_eq!(record::decode(&encoded), Ok(record));
        assert_eq!(Records::leaf(&encoded), hash(&vector["leaf"]));
    }
    for (fault, encoded) in named(&vectors, "bad") {
        assert!(record::decode(&bytes(encoded)).is_err(), "{fault}");
    }
}

#[test]
fn record_trees() {
    let vectors = json("trees.json");
    let leaves: Vec<Hash> = (0..3000u64)
        .map(|n| Records::leaf(&n.to_le_bytes()))
        .collect();
    let node = Records::node(&leaves[0], &leaves[1]);
    assert_eq!(node, hash(&vectors["node_of_leaves_0_1"]));
    for (size, root) in named(&vectors, "record_roots") {
        let size: usize = size.parse().unwrap();
        let found = tree::root::<Records>(leaves[..size].iter().copied());
        assert_eq!(hex(&found), root, "{size}");
    }
    let mut segment = RecordTree::default();
    leaves.iter().for_each(|leaf| segment.push(*leaf));
    let blocks: Vec<Hash> = list(&vectors, "blocks_of_3000").iter().map(hash).collect();
    assert_eq!(segment.into_blocks(), blocks);
    check_proofs::<Records>(list(&vectors, "record_proofs"), &leaves);
}

#[test]
fn log_trees() {
    let vectors = json("trees.json");
    let leaves: Vec<Hash> = list(&vectors, "log_inputs")
        .iter()
        .map(|input| Log::leaf(&bytes(input.as_str().unwrap())))
        .collect();
    for (size, root) in list(&vectors, "log_roots").iter().enumerate() {
        let found = tree::root::<Log>(leaves[..size].iter().copied());
        assert_eq!(found, hash(root), "{size}");
    }
    check_proofs::<Log>(list(&vectors, "log_proofs"), &leaves);
}

fn check_proofs<H: Hashing>(proofs: &[Json], leaves: &[Hash]) {
    for vector in proofs {
        let number = |key: &str| usize::try_from(vector[key].as_u64().unwrap()).unwrap();
        let (size, index) = (number("size"), number("index"));
        let path: Vec<Hash> = list(vector, "path").iter().map(hash).collect();
        assert_eq!(tree::inclusion::<H>(&leaves[..size], index), path);
        assert_eq!(
            tree::inclusion_root::<H>(leaves[index], index as u64, size as u64, &path),
            Some(tree::root::<H>(leaves[..size].iter().copied()))
        );
    }
}

#[test]
fn keys_and_epochs() {
    let vectors = json("keys.json");
    let temp = tempfile::tempdir().unwrap();
    let plan = Plan {
        start: vectors["start"].as_u64().unwrap(),
        seconds: 3600,
        count: 5,
    };
    let secrets = Secrets {
        host: Zeroizing::new(hash(&vectors["host_secret"])),
        seed: Zeroizing::new(hash(&vectors["seeds"][0])),
    };
    let keys = Keys::create(&temp.path().join("keys"), plan, &secrets).unwrap();
    assert_eq!(keys.host_id().to_string(), text(&vectors, "host_id"));
    assert_eq!(keys.verifier().to_string(), text(&vectors, "host_verifier"));
    assert_eq!(hex(&keys.enrolment().root), text(&vectors, "epoch_root"));
    assert_eq!(keys.enrolment_note(), text(&vectors, "enrolment"));
    let note = Note::parse(keys.enrolment_note().as_bytes()).unwrap();
    assert_eq!(Enrolment::parse(note.text), Ok(*keys.enrolment()));
    let root = hash(&vectors["epoch_root"]);
    for (epoch, expected) in (0..).zip(list(&vectors, "epoch_files")) {
        let file = keys.epoch_file(epoch).unwrap();
        assert_eq!(file.text(), expected.as_str().unwrap());
        assert_eq!(file.root(), Some(root));
    }
    for (fault, file) in named(&vectors, "bad_epoch_files") {
        let leads = EpochFile::parse(file.as_bytes()).is_ok_and(|file| file.root() == Some(root));
        assert!(!leads, "{fault}");
    }
}

#[test]
fn checkpoints_and_commits() {
    let vectors = json("log.json");
    let note = Note::parse(text(&vectors, "checkpoint").as_bytes()).unwrap();
    let checkpoint = Checkpoint::parse(note.text).unwrap();
    assert_eq!(checkpoint.text(), note.text);
    let origin: Origin = checkpoint.origin.parse().unwrap();
    assert_eq!(origin.to_string(), checkpoint.origin);
    let verifiers: Vec<VerifierKey> = list(&vectors, "verifiers")
        .iter()
        .map(|key| key.as_str().unwrap().parse().unwrap())
        .collect();
    for key in &verifiers {
        assert_eq!(note.is_signed_by(key), Ok(true));
    }
    for (fault, bad) in named(&vectors, "bad_checkpoints") {
        assert!(Checkpoint::parse(bad).is_err(), "{fault}");
    }

    let signed = text(&vectors, "commit").as_bytes();
    assert_eq!(Commit::parse(signed).unwrap().text().as_bytes(), signed);
    let signature = parse_hex(text(&vectors, "commit_signature")).unwrap();
    assert!(note::verify(&verifiers[1].key, signed, &signature));
    for (fault, bad) in named(&vectors, "bad_commits") {
        assert!(Commit::parse(bad.as_bytes()).is_err(), "{fault}");
    }
}

#[test]
fn notes() {
    let vectors = json("notes.json");
    for (group, expected) in [
        ("verified", Ok(true)),
        ("unsigned", Ok(false)),
        ("sig_bad", Err(NoteError::Signature)),
    ] {
        for vector in list(&vectors, group) {
            let note = Note::parse(text(vector, "note").as_bytes()).unwrap();
            for key in list(vector, "keys") {
                let key = key.as_str().unwrap().parse().unwrap();
                assert_eq!(note.is_signed_by(&key), expected, "{}", vector["name"]);
            }
        }
    }
    for (fault, note) in named(&vectors, "malformed") {
        assert!(Note::parse(note.as_bytes()).is_err(), "{fault}");
    }
    for vector in list(&vectors, "parsed") {
        let note = Note::parse(text(vector, "note").as_bytes()).unwrap();
        let lines: Vec<String> = note
            .signatures
            .iter()
            .map(|line| format!("{} {}", line.name, hex(&line.id)))
            .collect();
        assert_eq!(serde_json::json!(lines), vector["lines"]);
    }
}

#[test]
fn verifier_keys() {
    let vectors = json("notes.json");
    for key in list(&vectors, "verifier_keys") {
        let text = key.as_str().unwrap();
        let key: VerifierKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
        // No part of a key is a key.
        for cut in 1..text.len() {
            assert!(text[..cut].parse::<VerifierKey>().is_err());
            assert!(text[cut..].parse::<VerifierKey>().is_err());
        }
    }
    for (fault, key) in named(&vectors, "bad_verifier_keys") {
        assert!(key.parse::<VerifierKey>().is_err(), "{fault}");
    }
}

#[test]
fn manifests() {
    let vectors = json("manifests.json");
    for (name, text) in named(&vectors, "good") {
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!(manifest.text(), text, "{name}");
    }
    for (fault, text) in named(&vectors, "bad") {
        assert!(Manifest::parse(text.as_bytes()).is_err(), "{fault}");
    }
}
