//! Keeps the authority of the lineages true to the grants while they are recorded.
//!
//! The kernel side knows by itself when a grant ends. What it cannot know comes from here: revocations, a clock that is
//! set, another policy. Whatever ends an authority ends it in the kernel first; the record about it comes after.
//!
//! An authority that is over stays so, whatever becomes of the clock or of a revocation, until another one takes its place.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::{
    authority::{
        chain::{Chain, Refusal},
        files::Revocations,
        policy::{source::Schema, table::ENTRIES_MAX},
        revocation::Revocation,
        selector::Candidate,
        statement::Statement,
    },
    clock::{Clock as _, Now, SystemClock},
    evidence::writer::Artifacts,
    host::procfs::Procfs,
    lineage::identity::{Birth, BootId, lineage_uid},
    probe::Probes,
};

use super::{
    RecordError,
    authority::{Authority, AuthorityError, Budgets, Files, Stored, time},
    binding,
    contexts::{Contexts, Lapsed},
    control::{Answer, Asked, Peer, Question},
};

/// How often it is looked for revocations, and at the clock.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks in a row at which revocations may be unreadable: somebody may be writing one.
const UNREADABLE_MAX: u32 = 2;

/// What authorises one lineage.
#[derive(Debug)]
struct Authorised {
    authority: Arc<Authority>,
    /// What a grant asks of its first process.
    candidate: Candidate,
    /// The first process's id, for messages.
    pid: u32,
    /// Whether it was made from another one, under a grant that came with it.
    delegated: bool,
    /// Counts what has governed the lineage, from 1.
    generation: u32,
    /// Number of its policies in the kernel.
    place: u32,
    /// Boot time in nanoseconds from which on nothing is allowed any more.
    until_ns: u64,
    over: bool,
}

impl Authorised {
    /// The chain that a process of the lineage may narrow.
    fn narrowable(&self) -> Result<&Chain, AuthorityError> {
        let peer = |why| Err(AuthorityError::Peer(why));
        match &self.authority.chain {
            _ if self.over => peer("what authorised the process that asks is over"),
            None => peer("no grant governs it that could be narrowed"),
            Some(chain) => Ok(chain),
        }
    }
}

/// What authorises the lineages, by their numbers.
#[derive(Debug)]
pub(super) struct Governor {
    files: Files,
    revocations: Revocations,
    lineages: Vec<Authorised>,
    /// How often in a row revocations could not be read.
    unreadable: u32,
    schema: Schema,
    budgets: Budgets,
    /// Where changes are told, once recording has begun.
    told: Option<(Contexts, Told)>,
}

/// What changes are told with.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) artifacts: Artifacts,
    pub(super) boot: BootId,
}

/// What governs, as records tell it.
#[derive(Debug)]
pub(super) struct InForce {
    /// What becomes of what is denied.
    pub(super) mode: &'static str,
    pub(super) stored: Arc<Stored>,
    /// The names of the rules.
    pub(super) rules: Arc<[String]>,
}

impl InForce {
    fn of(
        authority: &Authority,
        generation: u32,
        artifacts: &Artifacts,
    ) -> Result<Self, RecordError> {
        Ok(Self {
            mode: authority.mode(),
            stored: Arc::new(authority.store(artifacts, generation)?),
            rules: authority.rules(),
        })
    }
}

/// Why an authority ends.
struct End {
    reason: &'static str,
    why: String,
    /// The revocation, in its envelope.
    revocation: Option<String>,
}

impl End {
    fn breach() -> Self {
        let why = "something that is denied was done before its process could be ended, and helps others past the policies: a \
                   link, a rename, a mount, or the connection of a Unix socket that others have";
        Self {
            reason: "breach",
            why: why.to_owned(),
            revocation: None,
        }
    }
}

impl Governor {
    /// Lets what is in the files govern lineages, whose first processes wait or are attached.
    pub(super) fn begin(
        files: &Files,
        probes: &mut Probes,
        lineages: &[(u32, Candidate)],
    ) -> Result<Self, RecordError> {
        let now = SystemClock.now();
        let schema = Schema::new();
        let authority = Arc::new(files.read(&schema, now)?);
        for (pid, candidate) in lineages {
            authority.fits(*pid, candidate)?;
        }
        let until_ns = authority.until_ns(now);
        let numbers: Vec<u32> = (0..).take(lineages.len()).collect();
        let mut budgets = Budgets::default();
        let place = authority.stage(probes, &mut budgets, (1, until_ns), 0)?;
        probes.switch(&numbers, place)?;
        let authorised = lineages.iter().map(|(pid, candidate)| Authorised {
            authority: authority.clone(),
            candidate: candidate.clone(),
            pid: *pid,
            delegated: false,
            generation: 1,
            place,
            until_ns,
            over: false,
        });
        Ok(Self {
            files: files.clone(),
            revocations: Revocations::default(),
            lineages: authorised.collect(),
            unreadable: 0,
            schema,
            budgets,
            told: None,
        })
    }

    /// Stores what governs the lineages at first.
    pub(super) fn store(&self, artifacts: &Artifacts) -> Result<InForce, RecordError> {
        let first = self.lineages.first().ok_or(RecordError::Engine)?;
        InForce::of(&first.authority, first.generation, artifacts)
    }

    /// Tells changes from now on.
    pub(super) fn tell(&mut self, contexts: Contexts, told: Told) {
        self.told = Some((contexts, told));
    }

    /// Ends what is over by now; why, of each lineage.
    pub(super) fn look(&mut self, probes: &mut Probes) -> Result<Vec<String>, RecordError> {
        let mut ended = Vec::new();
        let now = SystemClock.now();
        let place = self.files.revocations.as_deref();
        let readable = self.revocations.read(place).err();
        self.unreadable = readable.as_ref().map_or(0, |_| self.unreadable + 1);
        let breached = probes.breached()?;
        for lineage in 0..self.lineages.len() {
            let authorised = &self.lineages[lineage];
            if authorised.over {
                continue;
            }
            let chain = authorised.authority.chain.as_ref();
            let end = match (&readable, chain) {
                _ if breached => Some(End::breach()),
                (_, None) => None,
                (Some(error), _) if self.unreadable >= UNREADABLE_MAX => Some(End {
                    reason: "revocations-unreadable",
                    why: error.to_string(),
                    revocation: None,
                }),
                (_, Some(chain)) => {
                    end_of(chain, self.revocations.known(), authorised.until_ns, now)?
                }
            };
            let until_ns = authorised.authority.until_ns(now);
            match end {
                Some(end) => {
                    self.end(probes, lineage as u32, &end)?;
                    ended.push(end.why);
                }
                None if until_ns < authorised.until_ns => {
                    probes.end_governance(lineage as u32, until_ns)?;
                    self.lineages[lineage].until_ns = until_ns;
                }
                None => {}
            }
        }
        Ok(ended)
    }

    fn end(&mut self, probes: &mut Probes, lineage: u32, end: &End) -> Result<(), RecordError> {
        probes.end_governance(lineage, 0)?;
        self.lineages[lineage as usize].over = true;
        let Some((contexts, Told { artifacts, .. })) = &self.told else {
            return Ok(());
        };
        let revocation = end.revocation.as_deref();
        let revocation = revocation
            .map(|envelope| artifacts.store(envelope.as_bytes()))
            .transpose()?;
        let detail = json!({ "authority": end.reason, "why": end.why }).to_string();
        let lapsed = Lapsed {
            why: end.why.clone(),
            revocation,
        };
        contexts.authorise(&[lineage], end.reason, detail, None, |governed| {
            governed.lapsed = Some(lapsed.clone());
        })?;
        Ok(())
    }

    /// Answers what somebody asks.
    pub(super) async fn answer(
        &mut self,
        probes: &mut Probes,
        procfs: &Procfs,
        asked: Asked,
    ) -> Result<(), RecordError> {
        let done = match &asked.question {
            Question::Reload {} if asked.peer.uid != 0 => {
                Err(AuthorityError::Peer("only root can ask for that").into())
            }
            Question::Reload {} => self.reload(probes, asked.peer).await,
            Question::Delegate { grant, program } => {
                let wanted = Wanted { grant, program };
                self.delegate(probes, procfs, asked.peer, wanted).await
            }
        };
        let answer = match done {
            Ok(done) => Answer::Done(done),
            // Nothing was changed; the recording goes on.
            Err(
                error @ (RecordError::Authority(_)
                | RecordError::NoProcess(_)
                | RecordError::Probe(_)
                | RecordError::Procfs(_)),
            ) => Answer::Refused(error.to_string()),
            Err(error) => return Err(error),
        };
        // Whoever went away has its answer in the evidence.
        let _ = asked.answer.send(answer);
        Ok(())
    }

    /// Reads what governs again, and lets that govern.
    async fn reload(&mut self, probes: &mut Probes, peer: Peer) -> Result<String, RecordError> {
        // Whatever has ended is in the evidence, and stays so for the lineages that were made from others.
        self.look(probes)?;
        let (contexts, told) = self.told.as_ref().ok_or(RecordError::Engine)?;
        if probes.lineage_of(peer.pid).is_ok() {
            let why = "what is recorded cannot choose what governs it";
            return Err(AuthorityError::Peer(why).into());
        }
        let breached = probes.breached()?;
        let now = SystemClock.now();
        let authority = Arc::new(self.files.read(&self.schema, now)?);
        let own = (0..).zip(&self.lineages).filter(|(_, one)| !one.delegated);
        let (numbers, generation) =
            own.clone()
                .fold((Vec::new(), 0), |(mut all, most), (at, one)| {
                    all.push(at);
                    (all, one.generation.max(most))
                });
        for (_, one) in own {
            authority.fits(one.pid, &one.candidate)?;
        }
        let generation = generation + 1;
        let until_ns = authority.until_ns(now);
        let place = authority.stage(probes, &mut self.budgets, (generation, until_ns), 0)?;
        let in_force = InForce::of(&authority, generation, &told.artifacts)?;
        let detail = json!({ "authority": "reload", "generation": generation }).to_string();
        let rules = Some(&in_force.rules);
        let recorded = contexts.authorise(&numbers, "reload", detail, rules, |governed| {
            governed.enforcement = in_force.mode;
            governed.stored = Some(in_force.stored.clone());
            governed.lapsed = None;
        })?;
        // What is decided by it finds its rules in the record before.
        recorded.await.map_err(|_| RecordError::Engine)?;
        probes.switch(&numbers, place)?;
        // What comes in between is for the next look.
        if breached {
            probes.pardon()?;
        }
        let mut before = None;
        for number in numbers {
            let one = &mut self.lineages[number as usize];
            let authority = std::mem::replace(&mut one.authority, authority.clone());
            before = Some((authority, std::mem::replace(&mut one.place, place)));
            one.generation = generation;
            one.until_ns = until_ns;
            one.over = false;
        }
        if let Some((authority, place)) = before {
            authority.retire(probes, place);
        }
        Ok(format!("generation {generation}"))
    }

    /// Gives the process that asks a lineage of its own.
    async fn delegate(
        &mut self,
        probes: &mut Probes,
        procfs: &Procfs,
        peer: Peer,
        wanted: Wanted<'_>,
    ) -> Result<String, RecordError> {
        let (contexts, told) = self.told.as_ref().ok_or(RecordError::Engine)?;
        let now = SystemClock.now();
        let (process, parent) = probes.lineage_of(peer.pid)?;
        let above = self.lineages.get(parent as usize);
        let above = above.ok_or(RecordError::Engine)?;
        let chain = extended(above.narrowable()?, wanted.grant)?;
        // What was put there since it was looked the last time counts already.
        let place = self.files.revocations.as_deref();
        self.revocations.read(place).map_err(AuthorityError::from)?;
        if let Some(refusal) = chain.lapse(self.revocations.known(), time(now)?) {
            return Err(AuthorityError::Refused(refusal).into());
        }
        let bearer = procfs.bearer_to_be(peer.pid, wanted.program)?;
        let bearer = bearer.ok_or(RecordError::NoProcess(peer.pid))?;
        let digested = chain.last().predicate.selector.asks_for_digest();
        let candidate = binding::candidate(bearer, true, digested);
        let authority = Arc::new(above.authority.narrowed(chain, &self.schema)?);
        authority.fits(peer.pid, &candidate)?;
        let number = self.lineages.len() as u32;
        let until_ns = authority.until_ns(now).min(above.until_ns);
        // However many there are, the policies of the recording can be read again.
        let place = authority.stage(probes, &mut self.budgets, (1, until_ns), ENTRIES_MAX)?;
        probes.switch(&[number], place)?;
        let birth = Birth {
            start_ns: process.start,
            pid_ns: process.pid_ns,
            ns_pid: process.ns_pid,
        };
        let uid = lineage_uid(told.boot, birth, number);
        let in_force = InForce::of(&authority, 1, &told.artifacts)?;
        let detail = json!({
            "bound": candidate,
            "from": contexts.lineage(parent),
            "how": "delegate",
            "pid": peer.pid,
        });
        let from = (peer.pid, process.start);
        let detail = detail.to_string();
        let recorded = contexts.delegate(parent, uid.clone(), &in_force, detail, from)?;
        // It is in the evidence before anything is done in it.
        recorded.await.map_err(|_| RecordError::Engine)?;
        self.lineages.push(Authorised {
            authority,
            candidate,
            pid: peer.pid,
            delegated: true,
            generation: 1,
            place,
            until_ns,
            over: false,
        });
        probes.give(process, number)?;
        Ok(uid)
    }
}

/// Why an authority is over, if it is: one that ends at this boot time, by the clock as it was at its latest.
fn end_of(
    chain: &Chain,
    revoked: &[Statement<Revocation>],
    until_ns: u64,
    now: Now,
) -> Result<Option<End>, AuthorityError> {
    let (reason, why, revocation) = match chain.lapse(revoked, time(now)?) {
        Some(refusal @ Refusal::Revoked { .. }) => {
            let by = revoked.iter().find(|one| chain.revoked_by(one).is_some());
            let envelope = by.map(|one| one.envelope.to_json());
            ("revoked", refusal.to_string(), envelope)
        }
        Some(refusal @ Refusal::NotYet { .. }) => ("clock", refusal.to_string(), None),
        Some(refusal) => ("expired", refusal.to_string(), None),
        None if u64::try_from(now.boot_ns).unwrap_or(0) >= until_ns => {
            let why = "its time was over before the clock was set back".to_owned();
            ("expired", why, None)
        }
        None => return Ok(None),
    };
    Ok(Some(End {
        reason,
        why,
        revocation,
    }))
}

/// What is asked for.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    grant: &'a str,
    program: &'a str,
}

/// The chain with the grants that narrow it: those of a file that has the whole chain in it, or only what is new.
fn extended(own: &Chain, grant: &str) -> Result<Chain, AuthorityError> {
    let chain = match Chain::parse(grant.as_bytes()) {
        Ok(chain) if chain.links().len() > own.links().len() => chain,
        _ => own.with(grant).map_err(AuthorityError::Narrower)?,
    };
    if chain.links().len() <= own.links().len() || !chain.links().starts_with(own.links()) {
        return Err(AuthorityError::Peer(
            "the grant does not narrow the one that governs it",
        ));
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{
        grant::{Budgets, Grant, Purpose},
        selector::Selector,
        statement::{self, Subject},
        time::Time,
    };
    use crate::evidence::keys::IssuerKey;

    const SECOND: i64 = 1_000_000_000;

    /// A grant from the second 1000 to the second 2000, and who signed it.
    fn chain() -> (Chain, IssuerKey) {
        let temp = tempfile::tempdir().unwrap();
        let key = IssuerKey::create(&temp.path().join("key")).unwrap();
        let grant = Grant {
            issuer: key.public(),
            purpose: Purpose::new("Triage".to_owned()),
            selector: Selector::default(),
            not_before: Time::from_seconds(1000).unwrap(),
            not_after: Time::from_seconds(2000).unwrap(),
            max_depth: 0,
            narrowed_by: Vec::new(),
            parent: None,
            budgets: Budgets::default(),
        };
        let subject = Subject::new("p.cedar".to_owned(), b"");
        let text = statement::sign(vec![subject], grant, &key);
        (Chain::parse(text.as_bytes()).unwrap(), key)
    }

    fn now(boot: i64, wall: i64) -> Now {
        Now {
            boot_ns: boot * SECOND,
            wall_ns: wall * SECOND,
        }
    }

    fn reason(chain: &Chain, until: u64, now: Now) -> Option<&'static str> {
        let end = end_of(chain, &[], until * SECOND.unsigned_abs(), now).unwrap();
        end.map(|end| end.reason)
    }

    #[test]
    fn a_clock_that_is_set_ends_an_authority_early_and_never_late() {
        let (chain, _) = chain();
        // Recording began when it was 1500, 100 s after boot: it ends 600 s after boot.
        assert_eq!(reason(&chain, 600, now(100, 1500)), None);
        assert_eq!(reason(&chain, 600, now(599, 1999)), None);
        assert_eq!(reason(&chain, 600, now(600, 2000)), Some("expired"));
        // Set forward, and back again before anybody looked.
        assert_eq!(reason(&chain, 600, now(110, 2000)), Some("expired"));
        assert_eq!(reason(&chain, 600, now(110, 1510)), None);
        // Set back: the time that has passed since boot counts.
        assert_eq!(reason(&chain, 600, now(600, 1500)), Some("expired"));
        assert_eq!(reason(&chain, 600, now(110, 999)), Some("clock"));
    }

    #[test]
    fn a_revocation_counts_when_its_issuer_may() {
        let (chain, key) = chain();
        let revoke = |key: &IssuerKey| {
            let subject = Subject::new(String::new(), &chain.last().envelope.payload);
            let revocation = Revocation {
                issuer: key.public(),
                revoked_at: Time::from_seconds(1).unwrap(),
                reason: String::new(),
            };
            let text = statement::sign(vec![subject], revocation, key);
            statement::parse::<Revocation>(text.as_bytes()).unwrap()
        };
        let temp = tempfile::tempdir().unwrap();
        let stranger = IssuerKey::create(&temp.path().join("key")).unwrap();
        let at = now(100, 1500);
        assert!(
            end_of(&chain, &[revoke(&stranger)], u64::MAX, at)
                .unwrap()
                .is_none()
        );
        let end = end_of(&chain, &[revoke(&stranger), revoke(&key)], u64::MAX, at);
        let end = end.unwrap().unwrap();
        assert_eq!(end.reason, "revoked");
        assert_eq!(end.revocation, Some(revoke(&key).envelope.to_json()));
    }
}
