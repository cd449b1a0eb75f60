//! Chains as others could make them: signed, and wrong.

use tempfile::TempDir;

use super::*;
use crate::authority::grant::{Budgets, Purpose};
use crate::authority::selector::{Executable, Selector};
use crate::authority::statement::{Subject, sign};
use crate::evidence::keys::IssuerKey;

/// Keys of three people, and what the first two of them sign.
struct Office {
    _temp: TempDir,
    keys: Vec<IssuerKey>,
}

impl Office {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let key = |name: &str| IssuerKey::create(&temp.path().join(name)).unwrap();
        Self {
            keys: ["boss", "lead", "stranger"].map(key).into(),
            _temp: temp,
        }
    }

    fn public(&self, person: usize) -> PublicKey {
        self.keys[person].public()
    }

    /// What the boss grants.
    fn whole(&self) -> Grant {
        Grant {
            issuer: self.public(0),
            purpose: Purpose::new("Triage issue 1234".to_owned()),
            selector: Selector {
                executables: Some(vec![Executable::Path("/usr/bin/python3".to_owned())]),
                uids: Some(vec![1000]),
                cgroups: Some(vec!["/agents".to_owned()]),
                launch_only: true,
            },
            not_before: time(1000),
            not_after: time(2000),
            max_depth: 2,
            narrowed_by: vec![self.public(1)],
            parent: None,
            budgets: Budgets {
                execs: Some(10),
                connections: Some(10),
                bytes_sent: Some(10),
            },
        }
    }

    /// What the lead makes of it.
    fn part(&self, parent: Digest) -> Grant {
        Grant {
            issuer: self.public(1),
            not_after: time(1500),
            max_depth: 1,
            parent: Some(parent),
            ..self.whole()
        }
    }

    fn sign(&self, person: usize, grant: Grant) -> String {
        sign(policies(), grant, &self.keys[person]) + "\n"
    }

    /// The boss's grant and its digest.
    fn first(&self) -> (String, Digest) {
        let envelope = self.sign(0, self.whole());
        let id = Chain::parse(envelope.as_bytes()).unwrap().last().id;
        (envelope, id)
    }

    /// What is wrong with a grant of the lead's below the boss's.
    fn wrong(&self, change: impl FnOnce(&mut Grant)) -> Vec<&'static str> {
        let (first, id) = self.first();
        let mut grant = self.part(id);
        change(&mut grant);
        let person = (0..3).find(|&person| self.public(person) == grant.issuer);
        wider(&(first + &self.sign(person.unwrap(), grant)))
    }
}

fn time(seconds: i64) -> Time {
    Time::from_seconds(seconds).unwrap()
}

fn policies() -> Vec<Subject> {
    vec![
        Subject::new("read.cedar".to_owned(), b"permit"),
        Subject::new("write.cedar".to_owned(), b"forbid"),
    ]
}

fn wider(bundle: &str) -> Vec<&'static str> {
    match Chain::parse(bundle.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(ChainError::Wider { widenings, .. }) => {
            widenings.iter().map(|widening| widening.field).collect()
        }
        Err(error) => panic!("{error}"),
    }
}

fn refused(bundle: &str) -> String {
    Chain::parse(bundle.as_bytes()).unwrap_err().to_string()
}

#[test]
fn grants_are_put_in_a_row_whatever_their_order() {
    let office = Office::new();
    let (first, id) = office.first();
    let second = office.sign(1, office.part(id));
    let chain = Chain::parse(format!("{second}\n\n{first}").as_bytes()).unwrap();
    assert_eq!(chain.to_text(), format!("{first}{second}"));
    let again = Chain::parse(first.as_bytes())
        .unwrap()
        .with(&second)
        .unwrap();
    assert_eq!(again, chain);
    // One that people can read, over several lines.
    let value: serde_json::Value = serde_json::from_str(&first).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    assert_eq!(Chain::parse(pretty.as_bytes()).unwrap().last().id, id);
}

#[test]
fn every_way_to_allow_more_is_named() {
    let office = Office::new();
    let none: [&str; 0] = [];
    assert_eq!(office.wrong(|_| {}), none);
    assert_eq!(
        office.wrong(|grant| grant.not_before = time(999)),
        ["notBefore"]
    );
    assert_eq!(
        office.wrong(|grant| grant.not_after = time(2001)),
        ["notAfter"]
    );
    assert_eq!(office.wrong(|grant| grant.max_depth = 2), ["maxDepth"]);
    let stranger = office.public(2);
    assert_eq!(
        office.wrong(|grant| grant.narrowed_by.push(stranger)),
        ["narrowedBy"]
    );
    assert_eq!(office.wrong(|grant| grant.issuer = stranger), ["issuer"]);
    // Who issued a grant does not by that narrow it.
    let boss = office.public(0);
    assert_eq!(office.wrong(|grant| grant.issuer = boss), ["issuer"]);
    let all = [
        "selector.executables",
        "selector.uids",
        "selector.cgroups",
        "selector.launchOnly",
    ];
    assert_eq!(
        office.wrong(|grant| grant.selector = Selector::default()),
        all
    );
    let all = ["budgets.execs", "budgets.connections", "budgets.bytesSent"];
    assert_eq!(
        office.wrong(|grant| grant.budgets = Budgets::default()),
        all
    );
    let more = Budgets {
        execs: Some(11),
        ..office.whole().budgets
    };
    assert_eq!(
        office.wrong(|grant| grant.budgets = more),
        ["budgets.execs"]
    );
}

#[test]
fn a_policy_that_is_not_above_is_named() {
    let office = Office::new();
    let (first, id) = office.first();
    let of = |subjects: Vec<Subject>| {
        let second = sign(subjects, office.part(id), &office.keys[1]);
        wider(&format!("{first}{second}"))
    };
    assert_eq!(of(policies()[1..].to_vec()), [] as [&str; 0]);
    // By its content, whatever its name is.
    let renamed = Subject::new("read.cedar".to_owned(), b"permit more");
    assert_eq!(of(vec![renamed]), ["subject"]);
}

#[test]
fn nothing_follows_a_grant_that_nobody_may_narrow() {
    let office = Office::new();
    let mut grant = office.whole();
    (grant.max_depth, grant.narrowed_by) = (0, Vec::new());
    let first = office.sign(0, grant);
    let id = Chain::parse(first.as_bytes()).unwrap().last().id;
    let mut grant = office.part(id);
    (grant.max_depth, grant.narrowed_by) = (0, Vec::new());
    assert_eq!(
        wider(&(first + &office.sign(1, grant))),
        ["issuer", "maxDepth"]
    );
}

#[test]
fn what_is_forged_or_taken_apart_is_no_chain() {
    let office = Office::new();
    let (first, id) = office.first();
    let second = office.sign(1, office.part(id));
    // Signed by another one than it says.
    let forged = sign(policies(), office.whole(), &office.keys[2]);
    assert!(refused(&forged).contains("no signature is of that key"));
    // The signature of another statement.
    let signature = |text: &str| text.split("\"sig\":").nth(1).unwrap().to_owned();
    let swapped = second.replace(&signature(&second), &signature(&first));
    assert!(refused(&swapped).contains("from its line 1 on: it names ed25519:"));
    assert!(refused(&second).contains("stands alone"));
    assert!(refused(&format!("{first}{first}")).contains("2 grants stand alone"));
    assert!(refused(&format!("{first}{second}{second}")).contains("2 grants narrow"));
    let lost = office.sign(1, office.part(Digest([7; 32])));
    assert!(refused(&format!("{first}{lost}")).contains("which is not the one above it"));
    assert_eq!(refused(""), "0 grants; between 1 and 8 are expected");
    assert!(refused(&first.repeat(9)).starts_with("9 grants"));
    assert!(refused(&first[..first.len() / 2]).contains("column"));
    assert!(refused(&" ".repeat(BUNDLE_BYTES_MAX + 1)).contains("2097153 bytes"));
}

#[test]
fn what_is_not_understood_authorises_nothing() {
    let office = Office::new();
    let sound = |change: fn(&mut Grant)| {
        let mut grant = office.whole();
        change(&mut grant);
        refused(&office.sign(0, grant))
    };
    assert!(sound(|grant| grant.not_after = grant.not_before).contains("ends before"));
    assert!(sound(|grant| grant.purpose.text.clear()).contains("purpose is empty"));
    assert!(sound(|grant| grant.purpose.text.push('!')).contains("another text's"));
    assert!(sound(|grant| grant.narrowed_by.clear()).contains("nobody may narrow"));
    assert!(sound(|grant| grant.max_depth = 8).contains("more than 7"));
    let many = |grant: &mut Grant| grant.selector.uids = Some((0..65).collect());
    assert!(sound(many).contains("more than 64"));
    assert!(sound(|grant| grant.selector.uids = Some(vec![])).contains("fits nothing"));
    assert!(refused(&(sign(Vec::new(), office.whole(), &office.keys[0]))).contains("0 artifacts"));
}

#[test]
fn a_chain_authorises_in_its_time_by_whom_one_trusts() {
    let office = Office::new();
    let (first, id) = office.first();
    let chain = Chain::parse((first + &office.sign(1, office.part(id))).as_bytes()).unwrap();
    let (boss, lead) = (office.public(0), office.public(1));
    let refusal = |trusted: &[PublicKey], at| chain.refusal(trusted, &[], time(at));
    assert_eq!(refusal(&[lead, boss], 1000), None);
    assert_eq!(refusal(&[boss], 1499), None);
    assert_eq!(refusal(&[lead], 1200), Some(Refusal::Issuer(boss)));
    let from = time(1000);
    assert_eq!(refusal(&[boss], 999), Some(Refusal::NotYet { id, from }));
    let (part, until) = (chain.last().id, time(1500));
    assert_eq!(
        refusal(&[boss], 1500),
        Some(Refusal::Over { id: part, until })
    );
}

#[test]
fn a_grant_is_taken_back_by_who_stands_above() {
    let office = Office::new();
    let (first, id) = office.first();
    let chain = Chain::parse((first + &office.sign(1, office.part(id))).as_bytes()).unwrap();
    let part = chain.last().id;
    let revoked = |person: usize, payload: &[u8]| {
        let revocation = Revocation {
            issuer: office.public(person),
            revoked_at: time(1),
            reason: String::new(),
        };
        let subject = Subject::new("grant".to_owned(), payload);
        let envelope = sign(vec![subject], revocation, &office.keys[person]);
        let revocation = statement::parse(envelope.as_bytes()).unwrap();
        chain.lapse(&[revocation], time(1200))
    };
    let [whole, narrowed] = [0, 1].map(|level| chain.links()[level].envelope.payload.clone());
    let by = |person: usize, id| {
        Some(Refusal::Revoked {
            id,
            by: office.public(person),
            reason: String::new(),
        })
    };
    assert_eq!(revoked(0, &whole), by(0, id));
    assert_eq!(revoked(0, &narrowed), by(0, part));
    assert_eq!(revoked(1, &narrowed), by(1, part));
    // Who got a part cannot take back the whole, and a stranger nothing.
    assert_eq!(revoked(1, &whole), None);
    assert_eq!(revoked(2, &narrowed), None);
    // What is a revocation is no grant.
    let envelope = sign(policies(), office.whole(), &office.keys[0]);
    assert!(statement::parse::<Revocation>(envelope.as_bytes()).is_err());
}
