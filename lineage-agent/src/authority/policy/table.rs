//! What a policy says about everything there is, as the kernel looks it up.
//!
//! Within a prefix of a path, or a block of addresses, in which no longer one begins, every rule says the
//! same. So for each prefix that any rule names there is an entry with the whole answer, and the longest
//! prefix that fits is all there is to look for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lineage_common::policy::{Operation, PORT_BOUNDS_MAX, Protocol, Resource, Ruling};

use super::circuit::Circuit;
use super::condition::{Atom, Block, Condition};
use super::profile::Target;
use crate::authority::grant::LEVELS_MAX;

/// Most entries of one table in each of the two tries.
pub const ENTRIES_MAX: usize = 1 << 17;

/// A rule, as far as tables go.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The grant whose policies it is of; 0 is the first.
    pub level: u8,
    /// It permits; otherwise it forbids.
    pub permits: bool,
    /// When it applies.
    pub conditions: BTreeMap<Target, Condition>,
}

/// Entries of both tries for one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// By target and prefix; the prefix of an entry for one path ends with a NUL.
    pub paths: BTreeMap<(Target, Vec<u8>), Ruling>,
    /// By operation, protocol, class of ports and block.
    pub addresses: BTreeMap<(Operation, u8, u8, Block), Ruling>,
    /// Ports at which a class begins, ascending; the class of a port is how many of them it has reached.
    pub port_bounds: Vec<u16>,
}

/// More than the kernel has room for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// Rules.
    #[error("{0} rules in all; there can be 65535")]
    Rules(usize),
    /// Grants.
    #[error("{0} grants in the chain; there can be {LEVELS_MAX}")]
    Levels(usize),
    /// Ports that rules tell apart.
    #[error("the rules tell {0} ranges of ports apart; there can be 64")]
    Ports(usize),
    /// Entries.
    #[error("{0} entries of {1}; there can be {ENTRIES_MAX}")]
    Entries(usize, &'static str),
}

impl Table {
    /// The table of these rules, of a chain of so many grants.
    ///
    /// # Errors
    ///
    /// [`TooLarge`]
    pub fn compile(rules: &[Rule], levels: usize) -> Result<Self, TooLarge> {
        if rules.len() > usize::from(Ruling::NO_RULE) {
            return Err(TooLarge::Rules(rules.len()));
        }
        if levels == 0 || levels > LEVELS_MAX {
            return Err(TooLarge::Levels(levels));
        }
        let mut table = Self {
            port_bounds: port_bounds(rules),
            ..Self::default()
        };
        if table.port_bounds.len() > PORT_BOUNDS_MAX {
            return Err(TooLarge::Ports(table.port_bounds.len() + 1));
        }
        for target in Target::all() {
            let mut sweep = Sweep::new(rules, levels, target);
            if target.resource == Resource::Endpoint {
                table.add_addresses(target.operation, &mut sweep)?;
            } else {
                table.add_paths(target, &mut sweep)?;
            }
        }
        Ok(table)
    }

    fn add_paths(&mut self, target: Target, sweep: &mut Sweep<'_>) -> Result<(), TooLarge> {
        let boundaries = sweep.boundaries(Vec::new(), |atom| match atom {
            Atom::Path(path) => Some([path.as_bytes(), b"\0"].concat()),
            Atom::Below(text) => Some(text.as_bytes().into()),
            _ => None,
        });
        let holds = |one: &Vec<u8>, other: &Vec<u8>| other.starts_with(one);
        sweep.run(&boundaries, &holds, &mut |prefix, ruling| {
            self.paths.insert((target, prefix.clone()), ruling);
            limited(self.paths.len(), "paths")
        })
    }

    fn add_addresses(
        &mut self,
        operation: Operation,
        sweep: &mut Sweep<'_>,
    ) -> Result<(), TooLarge> {
        // Nothing of one family is in a block of the other.
        let families = [Block::IPV6, Block::IPV4].map(|root| {
            sweep.boundaries(root, |atom| match atom {
                Atom::Address(block) if block.is_ipv4() == root.is_ipv4() => Some(*block),
                _ => None,
            })
        });
        for (protocol, name) in Protocol::ALL {
            sweep.set(|atom| match atom {
                Atom::Protocol(wanted) => Some(**wanted == *name),
                _ => None,
            });
            let begins = std::iter::once(0).chain(self.port_bounds.clone());
            for (class, least) in (0_u8..).zip(begins) {
                sweep.set(|atom| match atom {
                    Atom::PortFrom(port) => Some(least >= *port),
                    _ => None,
                });
                for boundaries in &families {
                    sweep.run(boundaries, &Block::holds, &mut |block, ruling| {
                        let key = (operation, protocol.0, class, *block);
                        self.addresses.insert(key, ruling);
                        limited(self.addresses.len(), "addresses")
                    })?;
                }
            }
        }
        Ok(())
    }

    /// What it says about a path: as the kernel finds it, the entry with the longest prefix.
    #[must_use]
    pub fn path(&self, target: Target, path: &[u8]) -> Option<Ruling> {
        let exact = [path, b"\0"].concat();
        let prefixes = (0..=exact.len()).rev().map(|len| &exact[..len]);
        prefixes
            .filter_map(|prefix| self.paths.get(&(target, prefix.into())))
            .copied()
            .next()
    }

    /// What it says about an address.
    #[must_use]
    pub fn address(
        &self,
        operation: Operation,
        protocol: Protocol,
        address: IpAddr,
        port: u16,
    ) -> Option<Ruling> {
        let class = self.port_bounds.partition_point(|bound| *bound <= port) as u8;
        let address = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        let blocks = (0..=128).rev().map(|bits| Block::new(address.into(), bits));
        blocks
            .flatten()
            .filter_map(|block| self.addresses.get(&(operation, protocol.0, class, block)))
            .copied()
            .next()
    }
}

fn port_bounds(rules: &[Rule]) -> Vec<u16> {
    let mut bounds = BTreeSet::new();
    for condition in rules.iter().flat_map(|rule| rule.conditions.values()) {
        condition.atoms(&mut |atom| {
            if let Atom::PortFrom(port) = atom {
                bounds.insert(*port);
            }
        });
    }
    bounds.into_iter().collect()
}

fn limited(count: usize, what: &'static str) -> Result<(), TooLarge> {
    if count > ENTRIES_MAX {
        return Err(TooLarge::Entries(count, what));
    }
    Ok(())
}

/// The rules that can apply to one target, and which of them hold at a place.
struct Sweep<'a> {
    levels: usize,
    circuit: Circuit<'a>,
}

/// Rules of one grant and one effect are a group.
fn group(level: u8, permits: bool) -> usize {
    2 * usize::from(level) + usize::from(permits)
}

/// Prefixes, each after those that hold it, with the atoms that are true in it and not around it.
type Boundaries<P> = BTreeMap<P, Vec<usize>>;

impl<'a> Sweep<'a> {
    fn new(rules: &'a [Rule], levels: usize, target: Target) -> Self {
        let mut circuit = Circuit::new(2 * levels);
        for (index, rule) in rules.iter().enumerate() {
            if let Some(condition) = rule.conditions.get(&target) {
                circuit.add(index, group(rule.level, rule.permits), condition);
            }
        }
        Self { levels, circuit }
    }

    /// The prefixes in which atoms are true, and the one that holds them all.
    fn boundaries<P: Ord>(&self, root: P, of: impl Fn(&Atom) -> Option<P>) -> Boundaries<P> {
        let mut boundaries = Boundaries::from([(root, Vec::new())]);
        for (atom, leaf) in self.circuit.leaves() {
            if let Some(prefix) = of(atom) {
                boundaries.entry(prefix).or_default().push(*leaf);
            }
        }
        boundaries
    }

    /// Makes those atoms true or false that `value` says.
    fn set(&mut self, value: impl Fn(&Atom) -> Option<bool>) {
        for (atom, leaf) in self.circuit.leaves().to_vec() {
            if let Some(value) = value(atom) {
                self.circuit.set(leaf, value);
            }
        }
    }

    /// Goes through all prefixes and adds what is to be said in each, where it differs from what is said around it.
    fn run<P: Clone>(
        &mut self,
        boundaries: &Boundaries<P>,
        holds: &impl Fn(&P, &P) -> bool,
        add: &mut impl FnMut(&P, Ruling) -> Result<(), TooLarge>,
    ) -> Result<(), TooLarge> {
        let mut open: Vec<(&P, &Vec<usize>, Ruling)> = Vec::new();
        for (prefix, leaves) in boundaries {
            while let Some((_, leaves, _)) = open.pop_if(|(above, ..)| !holds(above, prefix)) {
                leaves
                    .iter()
                    .for_each(|leaf| self.circuit.set(*leaf, false));
            }
            leaves.iter().for_each(|leaf| self.circuit.set(*leaf, true));
            let ruling = self.ruling();
            if open.last().is_none_or(|(.., above)| *above != ruling) {
                add(prefix, ruling)?;
            }
            open.push((prefix, leaves, ruling));
        }
        for (_, leaves, _) in open {
            leaves
                .iter()
                .for_each(|leaf| self.circuit.set(*leaf, false));
        }
        Ok(())
    }

    /// As Cedar decides, for each grant: what a rule forbids is denied, and so is what none permits.
    fn ruling(&self) -> Ruling {
        let mut by = Ruling::NO_RULE;
        for level in 0..self.levels as u8 {
            let first = |permits| self.circuit.first(group(level, permits));
            match (first(false), first(true)) {
                (None, Some(rule)) => by = rule as u16,
                (forbids, _) => {
                    return Ruling {
                        allowed: 0,
                        level,
                        rule: forbids.map_or(Ruling::NO_RULE, |rule| rule as u16),
                    };
                }
            }
        }
        Ruling {
            allowed: 1,
            level: self.levels.saturating_sub(1) as u8,
            rule: by,
        }
    }
}
