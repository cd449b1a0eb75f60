//! Policies in the kernel: the agent's side of the tables, and of what governs which lineage.

use std::collections::BTreeMap;

use aya::{
    Ebpf,
    maps::{
        Array, MapData,
        lpm_trie::{Key, LpmTrie},
    },
};
use lineage_common::{
    limits::{ADDRESS_RULES_MAX, BUDGETS_MAX, GOVERNANCES_MAX, GOVERNED_MAX, PATH_RULES_MAX},
    policy::{
        AddressKey, Budget, Governance, KEY_HEAD_BITS, PATH_KEY_BYTES, PathKey, Ruling, SPENT_COUNT,
    },
};

use super::{ProbeError, plain::Plain};

/// One entry of a table of paths.
#[derive(Debug, Clone, Copy)]
pub struct PathRule<'a> {
    /// [`PathKey::operation`]
    pub operation: u32,
    /// What the path begins with; with a NUL at its end, what it is.
    pub prefix: &'a [u8],
    /// What is said about it.
    pub ruling: Ruling,
}

/// One entry of a table of addresses.
#[derive(Debug, Clone, Copy)]
pub struct AddressRule {
    /// Its key but for the table.
    pub key: AddressKey,
    /// Bits of the address that count.
    pub bits: u32,
    /// What is said about it.
    pub ruling: Ruling,
}

impl PathRule<'_> {
    /// Its key in a table; `None` when it is too long.
    fn key(&self, table: u32) -> Option<Key<Plain<PathKey>>> {
        let mut path = [0; PATH_KEY_BYTES];
        path.get_mut(..self.prefix.len())?
            .copy_from_slice(self.prefix);
        let key = PathKey {
            table,
            operation: self.operation,
            path,
        };
        let bits = KEY_HEAD_BITS + 8 * self.prefix.len() as u32;
        Some(Key::new(bits, Plain(key)))
    }
}

impl AddressRule {
    fn key(&self, table: u32) -> Key<Plain<AddressKey>> {
        let key = AddressKey { table, ..self.key };
        Key::new(KEY_HEAD_BITS + self.bits, Plain(key))
    }
}

/// All rules of a table.
#[derive(Debug, Clone, Default)]
pub struct Rules<'a> {
    /// About paths and names.
    pub paths: Vec<PathRule<'a>>,
    /// About addresses.
    pub addresses: Vec<AddressRule>,
}

type Paths = LpmTrie<MapData, Plain<PathKey>, Plain<Ruling>>;

/// The maps of policies.
pub(super) struct Governing {
    paths: [Paths; PathKey::TRIES.len()],
    addresses: LpmTrie<MapData, Plain<AddressKey>, Plain<Ruling>>,
    governed: Array<MapData, u32>,
    governance: Array<MapData, Plain<Governance>>,
    budgets: Array<MapData, Plain<Budget>>,
    breach: Array<MapData, u32>,
    /// Places in [`Self::budgets`] that are taken.
    budgeted: u32,
    /// What is in [`Self::governance`].
    used: Vec<Governance>,
    /// Places in it that are free again.
    free: Vec<u32>,
    /// How many rules there are in all tables, of paths and of addresses.
    rules: (usize, usize),
    /// Which of them governs each lineage that is governed.
    places: BTreeMap<u32, u32>,
}

impl std::fmt::Debug for Governing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Governing").finish_non_exhaustive()
    }
}

impl Governing {
    /// Takes the maps; the programs must be loaded already.
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        let mut map = |name| ebpf.take_map(name).ok_or(ProbeError::Object(name));
        let [read, write, path] = PathKey::TRIES.map(&mut map);
        Ok(Self {
            paths: [read?.try_into()?, write?.try_into()?, path?.try_into()?],
            addresses: map("ADDRESS_RULES")?.try_into()?,
            governed: map("GOVERNED")?.try_into()?,
            governance: map("GOVERNANCE")?.try_into()?,
            budgets: map("BUDGETS")?.try_into()?,
            breach: map(".data.breach")?.try_into()?,
            budgeted: 0,
            used: Vec::new(),
            free: Vec::new(),
            rules: (0, 0),
            places: BTreeMap::new(),
        })
    }

    /// Puts a table in place, which governs nothing yet; its number. Where `spare` is not 0, a table with as many rules of
    /// each kind must have room besides.
    pub(super) fn stage(
        &mut self,
        governance: Governance,
        rules: &Rules<'_>,
        spare: usize,
    ) -> Result<u32, ProbeError> {
        let room = |used: usize, more: usize, max: u32| used + more + spare <= max as usize;
        let places = self.free.len() + GOVERNANCES_MAX as usize - self.used.len();
        if places <= usize::from(spare > 0) {
            return Err(ProbeError::Governed);
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.used.push(Governance::NONE);
            self.used.len() as u32 - 1
        });
        let governance = Governance {
            table: number,
            ..governance
        };
        let fits = room(self.rules.0, rules.paths.len(), PATH_RULES_MAX)
            && room(self.rules.1, rules.addresses.len(), ADDRESS_RULES_MAX);
        let staged = match fits {
            true => self.insert(number, rules),
            false => Err(ProbeError::Governed),
        };
        let staged = staged.and_then(|()| Ok(self.governance.set(number, Plain(governance), 0)?));
        if let Err(error) = staged {
            self.retire(number, rules);
            return Err(error);
        }
        self.used[number as usize] = governance;
        Ok(number)
    }

    fn insert(&mut self, number: u32, rules: &Rules<'_>) -> Result<(), ProbeError> {
        for rule in &rules.paths {
            let key = rule.key(number).ok_or(ProbeError::Governed)?;
            self.paths_of(rule).insert(&key, Plain(rule.ruling), 0)?;
            self.rules.0 += 1;
        }
        for rule in &rules.addresses {
            self.addresses
                .insert(&rule.key(number), Plain(rule.ruling), 0)?;
            self.rules.1 += 1;
        }
        Ok(())
    }

    /// Where a rule about paths is.
    fn paths_of(&mut self, rule: &PathRule<'_>) -> &mut Paths {
        &mut self.paths[PathKey::trie(rule.operation)]
    }

    /// Takes a table away that governs nothing, of which the rules may not all be there. Nobody looks anything up in it any
    /// more: see [`super::tracking::settle`].
    pub(super) fn retire(&mut self, number: u32, rules: &Rules<'_>) {
        for rule in &rules.paths {
            let key = rule.key(number);
            let gone = key.is_some_and(|key| self.paths_of(rule).remove(&key).is_ok());
            self.rules.0 -= usize::from(gone);
        }
        for rule in &rules.addresses {
            let gone = self.addresses.remove(&rule.key(number)).is_ok();
            self.rules.1 -= usize::from(gone);
        }
        self.free.push(number);
    }

    /// Lets a table that is in place govern lineages: each from one moment to the next.
    pub(super) fn switch(&mut self, lineages: &[u32], number: u32) -> Result<(), ProbeError> {
        if lineages.iter().any(|lineage| *lineage >= GOVERNED_MAX) {
            return Err(ProbeError::Governed);
        }
        for &lineage in lineages {
            self.governed.set(lineage, number + 1, 0)?;
            self.places.insert(lineage, number);
        }
        Ok(())
    }

    /// Makes a budget with these limits; its place, from 1.
    pub(super) fn budget(&mut self, limits: [u64; SPENT_COUNT]) -> Result<u16, ProbeError> {
        let place = self.budgeted;
        let number = u16::try_from(place + 1)
            .ok()
            .filter(|_| place < BUDGETS_MAX);
        let number = number.ok_or(ProbeError::Governed)?;
        let budget = Budget {
            limits,
            spent: [0; SPENT_COUNT],
        };
        self.budgets.set(place, Plain(budget), 0)?;
        self.budgeted += 1;
        Ok(number)
    }

    /// Whether somebody did what was denied, so that names lead elsewhere: then nothing is authorised any more.
    pub(super) fn breached(&self) -> Result<bool, ProbeError> {
        Ok(self.breach.get(&0, 0)? != 0)
    }

    /// Lets what governs authorise again, whatever was done before.
    pub(super) fn pardon(&mut self) -> Result<(), ProbeError> {
        Ok(self.breach.set(0, 0, 0)?)
    }

    /// Lets what governs a lineage end at this boot time, and with it whatever else it governs.
    pub(super) fn end(&mut self, lineage: u32, until_ns: u64) -> Result<(), ProbeError> {
        let Some(&number) = self.places.get(&lineage) else {
            return Ok(());
        };
        let Some(governance) = self.used.get_mut(number as usize) else {
            return Ok(());
        };
        governance.until_ns = until_ns;
        let value = Plain(*governance);
        Ok(self.governance.set(number, value, 0)?)
    }

    /// Lets nothing govern a lineage whose processes have ended; what did is there to be used anew.
    pub(super) fn forget(&mut self, lineage: u32) -> Result<(), ProbeError> {
        self.governed.set(lineage, 0, 0)?;
        self.free.extend(self.places.remove(&lineage));
        Ok(())
    }
}
