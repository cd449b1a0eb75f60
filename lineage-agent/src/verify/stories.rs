//! The moments of each lineage in their order, and how much of it is here.

use std::collections::BTreeMap;

use super::facts::{Facts, Moment, Proven, What};

/// What is told of one lineage.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) lineage: String,
    pub(super) steps: Vec<Step>,
}

/// Something that begins, changes or ends what governs a lineage, or shows that this was another already.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) moment: Moment,
    /// Records are missing between this one and the latest before it that is known to be of the lineage: what began there
    /// is not here.
    pub(super) after_gap: bool,
}

/// Those of all lineages, by their first records.
pub(super) fn stories(facts: &mut Facts) -> Vec<Story> {
    facts.proven.sort();
    // Segments come in the order in which threads were done with them.
    facts.moments.sort_by_key(|moment| moment.seq);
    let mut tellers: Vec<Teller> = Vec::new();
    let mut by_name: BTreeMap<String, usize> = BTreeMap::new();
    for moment in std::mem::take(&mut facts.moments) {
        let at = *by_name.entry(moment.lineage.clone()).or_insert_with(|| {
            tellers.push(Teller::new(moment.lineage.clone()));
            tellers.len() - 1
        });
        tellers[at].push(moment, &facts.proven);
    }
    tellers.into_iter().map(|teller| teller.story).collect()
}

/// A story as far as it is told.
struct Teller {
    story: Story,
    /// The context that the lineage has.
    context: Option<String>,
    /// The latest record that is known to be of the lineage; the first of all before there is one.
    seq: u64,
}

impl Teller {
    fn new(lineage: String) -> Self {
        Self {
            story: Story {
                lineage,
                steps: Vec::new(),
            },
            context: None,
            seq: 0,
        }
    }

    fn push(&mut self, moment: Moment, proven: &Proven) {
        let since = std::mem::replace(&mut self.seq, moment.seq);
        if moment.what == What::Named && self.context.as_ref() == Some(&moment.context) {
            // Each segment tells anew what goes on.
            return;
        }
        // Nothing belongs to a lineage after its end.
        self.context = (moment.what != What::End).then(|| moment.context.clone());
        let after_gap = proven.missing(since, moment.seq).is_some();
        self.story.steps.push(Step { moment, after_gap });
    }
}
