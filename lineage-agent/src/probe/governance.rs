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
    limits::{BUDGETS_MAX, GOVERNANCES_MAX, GOVERNED_MAX},
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

/// The maps of policies.
pub(super) struct Governing {
    paths: LpmTrie<MapData, Plain<PathKey>, Plain<Ruling>>,
    addresses: LpmTrie<MapData, Plain<AddressKey>, Plain<Ruling>>,
    governed: Array<MapData, u32>,
    governance: Array<MapData, Plain<Governance>>,
    budgets: Array<MapData, Plain<Budget>>,
    /// Places in [`Self::budgets`] that are taken.
    budgeted: u32,
    /// What was ever put into [`Self::governance`].
    used: Vec<Governance>,
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
        Ok(Self {
            paths: map("PATH_RULES")?.try_into()?,
            addresses: map("ADDRESS_RULES")?.try_into()?,
            governed: map("GOVERNED")?.try_into()?,
            governance: map("GOVERNANCE")?.try_into()?,
            budgets: map("BUDGETS")?.try_into()?,
            budgeted: 0,
            used: Vec::new(),
            places: BTreeMap::new(),
        })
    }

    /// Puts a table in place, and lets it govern lineages: each from one moment to the next, when all of it is there.
    pub(super) fn govern<'a>(
        &mut self,
        lineages: &[u32],
        governance: Governance,
        paths: impl IntoIterator<Item = PathRule<'a>>,
        addresses: impl IntoIterator<Item = AddressRule>,
    ) -> Result<(), ProbeError> {
        let number = self.used.len() as u32;
        if number >= GOVERNANCES_MAX || lineages.iter().any(|lineage| *lineage >= GOVERNED_MAX) {
            return Err(ProbeError::Governed);
        }
        let governance = Governance {
            table: number,
            ..governance
        };
        self.used.push(governance);
        for rule in paths {
            let mut path = [0; PATH_KEY_BYTES];
            let room = path.get_mut(..rule.prefix.len());
            room.ok_or(ProbeError::Governed)?
                .copy_from_slice(rule.prefix);
            let key = PathKey {
                table: number,
                operation: rule.operation,
                path,
            };
            let bits = KEY_HEAD_BITS + 8 * rule.prefix.len() as u32;
            self.paths
                .insert(&Key::new(bits, Plain(key)), Plain(rule.ruling), 0)?;
        }
        for rule in addresses {
            let key = AddressKey {
                table: number,
                ..rule.key
            };
            let key = Key::new(KEY_HEAD_BITS + rule.bits, Plain(key));
            self.addresses.insert(&key, Plain(rule.ruling), 0)?;
        }
        self.governance.set(number, Plain(governance), 0)?;
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

    /// Lets nothing govern a lineage whose processes have ended, and everything that ever governed be used anew.
    pub(super) fn forget(&mut self, lineage: u32) -> Result<(), ProbeError> {
        self.governed.set(lineage, 0, 0)?;
        self.used.clear();
        self.places.clear();
        Ok(())
    }
}
