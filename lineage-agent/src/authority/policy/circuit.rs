//! Which rules hold while atoms become true and false one after the other.
//!
//! A condition is a tree of gates. When an atom changes, only the gates above it are looked at, and only as far as
//! something changes: so to go through all prefixes costs what there is in the rules, not its square.

use std::collections::BTreeSet;

use super::condition::{Atom, Condition};

/// The conditions of many rules.
#[derive(Debug, Default)]
pub(super) struct Circuit<'a> {
    gates: Vec<Gate>,
    /// The atoms, each with its gate.
    leaves: Vec<(&'a Atom, usize)>,
    /// The rules that hold, by group.
    holding: Vec<BTreeSet<usize>>,
}

#[derive(Debug)]
struct Gate {
    kind: Kind,
    /// What it is an input of.
    output: Output,
    /// Of an `If` a bit for each input that is true, else how many are.
    inputs: u32,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Leaf,
    Not,
    All(u32),
    Any,
    If,
}

#[derive(Debug, Clone, Copy)]
enum Output {
    /// An input of a gate: which one of that.
    Gate(usize, u32),
    /// Whether a rule holds, and its group.
    Rule(usize, usize),
}

impl Gate {
    fn is_true(&self) -> bool {
        match self.kind {
            Kind::Leaf | Kind::Any => self.inputs > 0,
            Kind::Not => self.inputs == 0,
            Kind::All(count) => self.inputs == count,
            Kind::If => self.inputs >> if self.inputs & 1 == 1 { 1 } else { 2 } & 1 == 1,
        }
    }

    /// Sets an input that was different.
    fn set(&mut self, input: u32, value: bool) {
        match (self.kind, value) {
            (Kind::If, _) => self.inputs ^= 1 << input,
            (_, true) => self.inputs += 1,
            (_, false) => self.inputs -= 1,
        }
    }
}

impl<'a> Circuit<'a> {
    /// One without rules, for so many groups of them.
    pub(super) fn new(groups: usize) -> Self {
        Self {
            holding: vec![BTreeSet::new(); groups],
            ..Self::default()
        }
    }

    /// Adds a rule's condition. No atom is true yet.
    pub(super) fn add(&mut self, rule: usize, group: usize, condition: &'a Condition) {
        if self.build(condition, Output::Rule(rule, group)) {
            self.holding[group].insert(rule);
        }
    }

    /// Builds the gates of a condition; whether it is true.
    fn build(&mut self, condition: &'a Condition, output: Output) -> bool {
        let (kind, parts): (_, &'a [Condition]) = match condition {
            Condition::Constant(value) => return *value,
            Condition::Atom(atom) => {
                self.leaves.push((atom, self.gates.len()));
                (Kind::Leaf, &[])
            }
            Condition::Not(inner) => (Kind::Not, std::slice::from_ref(&**inner)),
            Condition::All(parts) => (Kind::All(parts.len() as u32), parts),
            Condition::Any(parts) => (Kind::Any, parts),
            Condition::If(parts) => (Kind::If, &**parts),
        };
        let own = self.gates.len();
        self.gates.push(Gate {
            kind,
            output,
            inputs: 0,
        });
        for (input, part) in (0..).zip(parts) {
            if self.build(part, Output::Gate(own, input)) {
                self.gates[own].set(input, true);
            }
        }
        self.gates[own].is_true()
    }

    /// The atoms, each with what [`Self::set`] takes.
    pub(super) fn leaves(&self) -> &[(&'a Atom, usize)] {
        &self.leaves
    }

    /// The first rule of a group that holds.
    pub(super) fn first(&self, group: usize) -> Option<usize> {
        self.holding[group].first().copied()
    }

    /// Makes an atom true or false.
    pub(super) fn set(&mut self, leaf: usize, value: bool) {
        if self.gates[leaf].is_true() == value {
            return;
        }
        self.gates[leaf].set(0, value);
        let (mut output, mut value) = (self.gates[leaf].output, value);
        while let Output::Gate(gate, input) = output {
            let gate = &mut self.gates[gate];
            let before = gate.is_true();
            gate.set(input, value);
            if gate.is_true() == before {
                return;
            }
            (output, value) = (gate.output, !before);
        }
        if let Output::Rule(rule, group) = output {
            if value {
                self.holding[group].insert(rule);
            } else {
                self.holding[group].remove(&rule);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn condition() -> impl Strategy<Value = Condition> {
        let atom = (0_u16..5).prop_map(|port| Condition::Atom(Atom::PortFrom(port)));
        let leaf = prop_oneof![4 => atom, 1 => any::<bool>().prop_map(Condition::Constant)];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                inner
                    .clone()
                    .prop_map(|inner| Condition::Not(Box::new(inner))),
                prop::collection::vec(inner.clone(), 0..4).prop_map(Condition::All),
                prop::collection::vec(inner.clone(), 0..4).prop_map(Condition::Any),
                prop::array::uniform3(inner).prop_map(|parts| Condition::If(Box::new(parts))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_holds_is_what_holds_afresh(
            conditions in prop::collection::vec(condition(), 1..4),
            changes in prop::collection::vec((0_u16..5, any::<bool>()), 0..20),
        ) {
            let mut circuit = Circuit::new(1);
            for (rule, condition) in conditions.iter().enumerate() {
                circuit.add(rule, 0, condition);
            }
            let mut reached = [false; 5];
            for (port, value) in changes {
                reached[usize::from(port)] = value;
                let leaves = circuit.leaves().to_vec();
                for (atom, leaf) in leaves {
                    if *atom == Atom::PortFrom(port) {
                        circuit.set(leaf, value);
                    }
                }
                let is_true = |atom: &Atom| matches!(atom, Atom::PortFrom(port) if reached[usize::from(*port)]);
                let holding = conditions.iter().enumerate().filter(|(_, condition)| condition.holds(&is_true));
                let expected: BTreeSet<usize> = holding.map(|(rule, _)| rule).collect();
                prop_assert_eq!(&circuit.holding[0], &expected);
            }
        }
    }
}
