//! The contexts of all lineages, and the one place where new ones are made.
//!
//! What surrounds a recording and what authorises it change independently of each other, on threads of their own. Both
//! come here, so that the contexts of a lineage stay a path: each names the one before.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::{
    clock::{Clock as _, SystemClock},
    evidence::writer::Artifacts,
    lineage::context::Context,
};

use super::{
    RecordError,
    authority::Stored,
    governor::InForce,
    pending::{Change, Changes, Delegated, NewContext, What},
};

/// What governs one lineage, as far as it is its own.
#[derive(Debug, Clone)]
pub(super) struct Governed {
    /// See [`Context::enforcement`].
    pub(super) enforcement: &'static str,
    /// What authorises it and by which policies, if anything does.
    pub(super) stored: Option<Arc<Stored>>,
    /// Why that does no longer.
    pub(super) lapsed: Option<Lapsed>,
    pub(super) lineage: String,
    /// Digest of the context of the lineage that this one was made from.
    pub(super) parent: Option<String>,
    pub(super) container: Option<String>,
    /// Digest of its context.
    pub(super) context: String,
}

/// The end of an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lapsed {
    /// In words.
    pub(super) why: String,
    /// Digest of the revocation, if it is one.
    pub(super) revocation: Option<String>,
}

impl Governed {
    /// Stores the context that governs the lineage from now on.
    pub(super) fn govern(
        &mut self,
        environment: &str,
        reason: &str,
        artifacts: &Artifacts,
    ) -> Result<(), RecordError> {
        let stored = self.stored.as_deref();
        let lapsed = self.lapsed.as_ref();
        let context = Context {
            container: self.container.as_deref(),
            enforcement: self.enforcement,
            environment,
            grants: stored.map_or(&[], |stored| &stored.grants),
            intent: stored.and_then(|stored| stored.intent.as_deref()),
            lapsed: lapsed.map(|lapsed| lapsed.why.as_str()),
            lineage: &self.lineage,
            parent: self.parent.as_deref(),
            policy: stored.map(|stored| stored.policy.as_str()),
            previous: (!self.context.is_empty()).then_some(&self.context),
            reason,
            revocation: lapsed.and_then(|lapsed| lapsed.revocation.as_deref()),
            version: 1,
        };
        self.context = artifacts.store(&context.to_bytes())?;
        Ok(())
    }
}

/// Is ready when a change is recorded.
pub(super) type Recorded = oneshot::Receiver<()>;

/// All of them, by the number of the lineage.
#[derive(Debug, Clone)]
pub(super) struct Contexts(Arc<Mutex<All>>);

#[derive(Debug)]
struct All {
    governed: Vec<Governed>,
    /// Digest of the environment.
    environment: String,
    artifacts: Artifacts,
    changes: Changes,
}

impl Contexts {
    pub(super) fn new(
        governed: Vec<Governed>,
        environment: String,
        artifacts: Artifacts,
        changes: Changes,
    ) -> Self {
        Self(Arc::new(Mutex::new(All {
            governed,
            environment,
            artifacts,
            changes,
        })))
    }

    fn all(&self) -> std::sync::MutexGuard<'_, All> {
        // Whoever panicked has stored documents and told nothing of them, which harms nobody.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another environment: every lineage has another context.
    pub(super) fn surround(
        &self,
        environment: &str,
        reason: &str,
        detail: String,
    ) -> Result<(), RecordError> {
        let mut all = self.all();
        environment.clone_into(&mut all.environment);
        let lineages: Vec<u32> = (0..).take(all.governed.len()).collect();
        all.change(&lineages, reason, detail, None, |_| {})
            .map(drop)
    }

    /// Another authority over these lineages, or none any more. `rules` are the names of the rules by which they are
    /// judged from here on, if those are others.
    pub(super) fn authorise(
        &self,
        lineages: &[u32],
        reason: &str,
        detail: String,
        rules: Option<&Arc<[String]>>,
        change: impl Fn(&mut Governed),
    ) -> Result<Recorded, RecordError> {
        self.all().change(lineages, reason, detail, rules, change)
    }

    /// A lineage made from another one. It is ready when its beginning is recorded.
    pub(super) fn delegate(
        &self,
        parent: u32,
        uid: String,
        in_force: &InForce,
        detail: String,
        from: (u32, u64),
    ) -> Result<Recorded, RecordError> {
        let mut all = self.all();
        let above = all.governed.get(parent as usize);
        let above = above.ok_or(RecordError::Engine)?;
        let mut made = Governed {
            enforcement: in_force.mode,
            stored: Some(in_force.stored.clone()),
            lapsed: None,
            lineage: uid,
            parent: Some(above.context.clone()),
            container: above.container.clone(),
            context: String::new(),
        };
        made.govern(&all.environment, "delegation", &all.artifacts)?;
        let wait = all.tell(What::Lineage(Box::new(Delegated {
            uid: made.lineage.clone(),
            context: made.context.clone(),
            detail,
            rules: in_force.rules.clone(),
            from,
        })));
        all.governed.push(made);
        Ok(wait)
    }

    /// The identity of a lineage.
    pub(super) fn lineage(&self, number: u32) -> Option<String> {
        let all = self.all();
        let governed = all.governed.get(number as usize);
        governed.map(|governed| governed.lineage.clone())
    }
}

fn boot_time_ns() -> u64 {
    u64::try_from(SystemClock.now().boot_ns).unwrap_or(0)
}

impl All {
    fn change(
        &mut self,
        lineages: &[u32],
        reason: &str,
        detail: String,
        rules: Option<&Arc<[String]>>,
        change: impl Fn(&mut Governed),
    ) -> Result<Recorded, RecordError> {
        let mut contexts = Vec::new();
        for &lineage in lineages {
            let Some(governed) = self.governed.get_mut(lineage as usize) else {
                continue;
            };
            change(governed);
            governed.govern(&self.environment, reason, &self.artifacts)?;
            contexts.push(NewContext {
                lineage,
                context: governed.context.clone(),
                rules: rules.cloned(),
            });
        }
        Ok(self.tell(What::Contexts { detail, contexts }))
    }

    fn tell(&self, what: What) -> Recorded {
        let (recorded, wait) = oneshot::channel();
        self.changes.tell(Ok(Change {
            time_ns: boot_time_ns(),
            what,
            recorded,
        }));
        wait
    }
}
