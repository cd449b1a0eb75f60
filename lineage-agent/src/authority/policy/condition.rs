//! When a rule applies, in terms that a table can answer.

use std::net::IpAddr;
use std::ops::Not;

/// A block of addresses: those that begin with the same bits.
///
/// IPv4 is kept as IPv4-mapped IPv6, so a block of IPv4 has at least 96 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    /// Its first address.
    pub first: u128,
    /// How many bits they have in common.
    pub bits: u32,
}

/// Bits before the address in an IPv4-mapped one.
pub const MAPPED_BITS: u32 = 96;

impl Block {
    /// All IPv6 addresses that are not IPv4-mapped, and, as everything is below it, those too.
    pub const IPV6: Self = Self { first: 0, bits: 0 };

    /// All IPv4 addresses.
    pub const IPV4: Self = Self {
        first: 0xffff_0000_0000,
        bits: MAPPED_BITS,
    };

    /// The addresses that share this many bits with `address`, as its family counts them; `None` for more
    /// bits than it has.
    #[must_use]
    pub fn new(address: IpAddr, bits: u32) -> Option<Self> {
        let (address, bits) = match address {
            IpAddr::V4(address) => (
                u128::from(address.to_ipv6_mapped()),
                bits.checked_add(MAPPED_BITS)?,
            ),
            IpAddr::V6(address) => (u128::from(address), bits),
        };
        let mask = match bits {
            0 => 0,
            1..=128 => u128::MAX << (128 - bits),
            _ => return None,
        };
        Some(Self {
            first: address & mask,
            bits,
        })
    }

    /// Whether it is of IPv4.
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        Self::IPV4.holds(self)
    }

    /// Whether another block is a part of this one.
    #[must_use]
    pub fn holds(&self, other: &Self) -> bool {
        self.bits <= other.bits
            && (self.bits == 0 || (self.first ^ other.first) >> (128 - self.bits) == 0)
    }
}

/// One thing about a resource that is true or not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Atom {
    /// Its path is this one.
    Path(Box<str>),
    /// Its path begins so.
    Below(Box<str>),
    /// Its address is in this block. One of IPv6 has no address of IPv4 in it.
    Address(Block),
    /// Its port is at least this.
    PortFrom(u16),
    /// Its protocol has this name.
    Protocol(Box<str>),
}

/// A condition over one kind of resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Always, or never.
    Constant(bool),
    /// When this is true.
    Atom(Atom),
    /// When that is not.
    Not(Box<Condition>),
    /// When all are.
    All(Vec<Condition>),
    /// When one is.
    Any(Vec<Condition>),
    /// When the first and the second are, or the third but not the first.
    If(Box<[Condition; 3]>),
}

impl Not for Condition {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(!value),
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }
}

impl Condition {
    /// All of them, without those that are always true.
    #[must_use]
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::join(parts, true, Self::All)
    }

    /// One of them, without those that never are.
    #[must_use]
    pub fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::join(parts, false, Self::Any)
    }

    /// The second where the first is, else the third.
    #[must_use]
    pub fn choose(condition: Self, then: Self, otherwise: Self) -> Self {
        match condition {
            Self::Constant(true) => then,
            Self::Constant(false) => otherwise,
            condition => Self::If(Box::new([condition, then, otherwise])),
        }
    }

    /// `neutral` changes nothing and its opposite decides.
    fn join(
        parts: impl IntoIterator<Item = Self>,
        neutral: bool,
        several: fn(Vec<Self>) -> Self,
    ) -> Self {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Self::Constant(value) if value == neutral => {}
                Self::Constant(value) => return Self::Constant(value),
                part => kept.push(part),
            }
        }
        match kept.len() {
            0 => Self::Constant(neutral),
            1 => kept.swap_remove(0),
            _ => several(kept),
        }
    }

    /// Whether it holds where `is_true` says which atoms do.
    #[cfg(test)]
    pub(super) fn holds(&self, is_true: &impl Fn(&Atom) -> bool) -> bool {
        match self {
            Self::Constant(value) => *value,
            Self::Atom(atom) => is_true(atom),
            Self::Not(inner) => !inner.holds(is_true),
            Self::All(parts) => parts.iter().all(|part| part.holds(is_true)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(is_true)),
            Self::If(parts) => parts[if parts[0].holds(is_true) { 1 } else { 2 }].holds(is_true),
        }
    }

    /// Calls `visit` with each atom in it.
    pub fn atoms<'a>(&'a self, visit: &mut impl FnMut(&'a Atom)) {
        match self {
            Self::Constant(_) => {}
            Self::Atom(atom) => visit(atom),
            Self::Not(inner) => inner.atoms(visit),
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().for_each(|part| part.atoms(visit));
            }
            Self::If(parts) => parts.iter().for_each(|part| part.atoms(visit)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str, bits: u32) -> Block {
        Block::new(text.parse().unwrap(), bits).unwrap()
    }

    #[test]
    fn blocks_hold_what_begins_as_they_do() {
        let ten = block("10.1.2.3", 8);
        assert_eq!(ten, block("10.0.0.0", 8));
        assert!(ten.is_ipv4() && Block::IPV4.holds(&ten) && Block::IPV6.holds(&ten));
        assert!(ten.holds(&block("10.255.0.1", 32)));
        assert!(!ten.holds(&block("11.0.0.0", 8)) && !ten.holds(&block("0.0.0.0", 0)));
        assert_eq!(block("0.0.0.0", 0), Block::IPV4);
        assert!(!block("fe80::", 10).is_ipv4() && !block("::", 0).is_ipv4());
        // What is mapped is the same address.
        assert_eq!(block("::ffff:10.0.0.0", 104), ten);
        assert_eq!(Block::new("10.0.0.0".parse().unwrap(), 33), None);
        assert_eq!(Block::new("::".parse().unwrap(), 129), None);
    }

    #[test]
    fn constants_are_folded() {
        let path = || Condition::Atom(Atom::Path("/a".into()));
        let (yes, no) = (Condition::Constant(true), Condition::Constant(false));
        assert_eq!(Condition::all([yes.clone(), path()]), path());
        assert_eq!(Condition::all([no.clone(), path()]), no);
        assert_eq!(Condition::any([no.clone(), path()]), path());
        assert_eq!(Condition::any([yes.clone(), path()]), yes);
        assert_eq!(Condition::all([]), yes);
        assert_eq!(Condition::any([]), no);
        assert_eq!(!!path(), path());
        assert_eq!(!yes, no);
    }
}
