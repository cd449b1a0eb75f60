//! Policies in the kernel: the agent's side of the tables, and of what governs which lineage.

use aya::{
    Ebpf, Pod,
    maps::{
        Array, MapData,
        lpm_trie::{Key, LpmTrie},
    },
};
use lineage_common::{
    limits::{GOVERNANCES_MAX, GOVERNED_MAX},
    policy::{AddressKey, Governance, KEY_HEAD_BITS, PATH_KEY_BYTES, PathKey, Ruling},
};

use super::ProbeError;

/// Types of map keys and values in the form aya wants.
macro_rules! pods {
    ($($wrapper:ident($inner:ty);)*) => {
        $(
            #[repr(transparent)]
            #[derive(Debug, Clone, Copy)]
            struct $wrapper($inner);

            // SAFETY: plain integers without padding, as the inner type's derives prove.
            unsafe impl Pod for $wrapper {}
        )*
    };
}

pods! {
    PathValue(PathKey);
    AddressValue(AddressKey);
    RulingValue(Ruling);
    GovernanceValue(Governance);
}

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
    paths: LpmTrie<MapData, PathValue, RulingValue>,
    addresses: LpmTrie<MapData, AddressValue, RulingValue>,
    governed: Array<MapData, u32>,
    governance: Array<MapData, GovernanceValue>,
    /// How many of [`Self::governance`] were ever used.
    used: u32,
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
            used: 0,
        })
    }

    /// Puts a table in place, and lets it govern a lineage: from one moment to the next, when all of it is there.
    pub(super) fn govern<'a>(
        &mut self,
        lineage: u32,
        governance: Governance,
        paths: impl IntoIterator<Item = PathRule<'a>>,
        addresses: impl IntoIterator<Item = AddressRule>,
    ) -> Result<(), ProbeError> {
        let number = self.used;
        if number >= GOVERNANCES_MAX || lineage >= GOVERNED_MAX {
            return Err(ProbeError::Governed);
        }
        self.used += 1;
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
                .insert(&Key::new(bits, PathValue(key)), RulingValue(rule.ruling), 0)?;
        }
        for rule in addresses {
            let key = AddressKey {
                table: number,
                ..rule.key
            };
            let key = Key::new(KEY_HEAD_BITS + rule.bits, AddressValue(key));
            self.addresses.insert(&key, RulingValue(rule.ruling), 0)?;
        }
        let governance = Governance {
            table: number,
            ..governance
        };
        self.governance
            .set(number, GovernanceValue(governance), 0)?;
        self.governed.set(lineage, number + 1, 0)?;
        Ok(())
    }
}
