//! Which rules say who was talked to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lineage_common::policy::{Operation, PORT_BOUNDS_MAX, Protocol};

use super::paths::Operations;

/// What was done with ends of connections.
pub(super) type Ends = BTreeMap<(Protocol, u16, IpAddr), Operations>;

/// First of the ports that the kernel gives to who asks for none (`net.ipv4.ip_local_port_range`).
const GIVEN_FROM: u16 = 32_768;

/// First of the ports that anybody may take.
const FREE_FROM: u16 = 1024;

/// Operations on the process's own end.
const OWN: Operations =
    1 << Operation::BIND.0 | 1 << Operation::LISTEN.0 | 1 << Operation::ACCEPT.0;

/// Ports of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Port {
    /// This one.
    Exactly(u16),
    /// This one and all above.
    From(u16),
}

/// Addresses of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Block {
    /// This one.
    Exactly(IpAddr),
    /// The /24 or /64 that begins so.
    Around(IpAddr),
}

/// A rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Talk {
    pub(super) operations: Operations,
    pub(super) protocol: Protocol,
    pub(super) ports: BTreeSet<Port>,
    pub(super) blocks: BTreeSet<Block>,
}

/// Rules about ends, and the port from which on ports are taken together because a table tells no more apart.
pub(super) fn talks(ends: &Ends, blocks: bool) -> (Vec<Talk>, Option<u16>) {
    let (floor, ports) = narrowest(ends);
    let wide = if blocks {
        neighbours(ends)
    } else {
        BTreeSet::new()
    };
    // By operations, protocol and port the addresses.
    let mut by_port: BTreeMap<(Operations, Protocol, Port), BTreeSet<Block>> = BTreeMap::new();
    for ((protocol, port, address), operations) in ends {
        let around = around(*address);
        let block = if wide.contains(&around) {
            Block::Around(around)
        } else {
            Block::Exactly(*address)
        };
        for (part, port) in ports(*operations, *port) {
            let blocks = by_port.entry((part, *protocol, port)).or_default();
            blocks.insert(block);
        }
    }
    // Ports with the same addresses are one rule.
    let mut talks: BTreeMap<(Operations, Protocol, BTreeSet<Block>), BTreeSet<Port>> =
        BTreeMap::new();
    for ((operations, protocol, port), blocks) in by_port {
        let ports = talks.entry((operations, protocol, blocks)).or_default();
        ports.insert(port);
    }
    let talks = talks
        .into_iter()
        .map(|((operations, protocol, blocks), ports)| Talk {
            operations,
            protocol,
            ports,
            blocks,
        });
    (talks.collect(), floor)
}

/// Ports for the operations on one port, those on an own end apart from others.
type Ports = Box<dyn Fn(Operations, u16) -> Vec<(Operations, Port)>>;

/// The least to take together, so that a table can tell the ports apart.
fn narrowest(ends: &Ends) -> (Option<u16>, Ports) {
    let floors = [None, Some(GIVEN_FROM), Some(FREE_FROM), Some(0)];
    let mut chosen = Some(0);
    for floor in floors {
        let mut bounds = BTreeSet::new();
        for ((_, port, _), operations) in ends {
            for (_, port) in ports(floor, *operations, *port) {
                match port {
                    Port::From(least) => bounds.insert(u32::from(least)),
                    Port::Exactly(port) => {
                        bounds.insert(u32::from(port) + 1);
                        bounds.insert(u32::from(port))
                    }
                };
            }
        }
        // No class begins at the first port or beyond the last.
        bounds.remove(&0);
        bounds.remove(&(u32::from(u16::MAX) + 1));
        if bounds.len() <= PORT_BOUNDS_MAX {
            chosen = floor;
            break;
        }
    }
    let ports = move |operations, port| ports(chosen, operations, port);
    (chosen, Box::new(ports))
}

fn ports(floor: Option<u16>, operations: Operations, port: u16) -> Vec<(Operations, Port)> {
    let mut found = Vec::new();
    let mut add = |operations: Operations, port| {
        if operations != 0 {
            found.push((operations, port));
        }
    };
    let is_free = floor.is_some_and(|floor| port >= floor);
    let other = match floor {
        Some(floor) if is_free => Port::From(floor),
        _ => Port::Exactly(port),
    };
    add(operations & !OWN, other);
    let own = operations & OWN;
    if port < GIVEN_FROM || (is_free && floor != Some(GIVEN_FROM)) {
        add(own, other);
        return found;
    }
    // It was given, and will be another one the next time; who asks for none binds to 0.
    add(own, Port::From(GIVEN_FROM));
    add(own & 1 << Operation::BIND.0, Port::Exactly(0));
    found
}

/// The blocks that have several addresses.
fn neighbours(ends: &Ends) -> BTreeSet<IpAddr> {
    let addresses: BTreeSet<IpAddr> = ends.keys().map(|(_, _, address)| *address).collect();
    let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
    for address in addresses {
        *counts.entry(around(address)).or_default() += 1;
    }
    let several = counts.into_iter().filter(|(_, count)| *count > 1);
    several.map(|(first, _)| first).collect()
}

/// The first address of the /24 or /64.
fn around(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from(u32::from(address) & !0xff).into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONNECT: Operations = 1 << Operation::CONNECT.0;
    const BIND: Operations = 1 << Operation::BIND.0;

    fn ends(entries: &[(&str, u16, Operations)]) -> Ends {
        let each = entries.iter().map(|(address, port, operations)| {
            let address = address.parse().unwrap();
            ((Protocol::TCP, *port, address), *operations)
        });
        each.collect()
    }

    #[test]
    fn ports_with_the_same_addresses_are_one_rule() {
        let ends = ends(&[
            ("10.0.0.1", 80, CONNECT),
            ("10.0.0.1", 443, CONNECT),
            ("10.0.0.2", 22, CONNECT),
        ]);
        let (talks, floor) = talks(&ends, false);
        let ports: Vec<_> = talks.iter().map(|talk| talk.ports.len()).collect();
        assert_eq!((ports, floor), (vec![2, 1], None));
    }

    #[test]
    fn addresses_next_to_each_other_are_a_block_when_asked_for() {
        let ends = ends(&[
            ("10.0.0.1", 80, CONNECT),
            ("10.0.0.2", 80, CONNECT),
            ("10.0.1.1", 80, CONNECT),
            ("2001:db8::1", 80, CONNECT),
            ("2001:db8::2", 80, CONNECT),
        ]);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let (exact, _) = talks(&ends, false);
        assert_eq!(exact[0].blocks.len(), 5);
        let (wide, _) = talks(&ends, true);
        assert_eq!(
            wide[0].blocks,
            BTreeSet::from([
                Block::Around(ip("10.0.0.0")),
                Block::Around(ip("2001:db8::")),
                Block::Exactly(ip("10.0.1.1")),
            ])
        );
    }

    #[test]
    fn a_port_that_was_given_is_any_of_those() {
        let (talks, floor) = talks(
            &ends(&[("0.0.0.0", 40_001, BIND), ("0.0.0.0", 80, BIND)]),
            false,
        );
        let expected = [Port::Exactly(0), Port::Exactly(80), Port::From(GIVEN_FROM)];
        assert_eq!(talks[0].ports, BTreeSet::from(expected));
        assert_eq!((talks.len(), floor), (1, None));
    }

    #[test]
    fn ports_that_a_table_cannot_tell_apart_are_taken_together() {
        let many = |from: u16, step: u16| {
            let entries: Vec<_> = (0..40)
                .map(|n| ("10.0.0.1", from + n * step, CONNECT))
                .collect();
            talks(&ends(&entries), false)
        };
        assert_eq!(many(40_000, 2).1, Some(GIVEN_FROM));
        assert_eq!(many(2000, 2).1, Some(FREE_FROM));
        assert_eq!(many(2, 2).1, Some(0));
        // One bound for both: they are next to each other.
        assert_eq!(many(2000, 1).1, None);
    }
}
