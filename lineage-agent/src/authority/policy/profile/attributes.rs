//! What is asked of one attribute of the resource.

use std::net::IpAddr;

use cedar_policy::pst::{BinaryOp, Expr, Literal, PatternElem, UnaryOp, Var};
use lineage_common::policy::{PATH_KEY_BYTES, Protocol, Resource};

use super::{OPERANDS, OPERATOR, Reader, Unenforceable};
use crate::authority::policy::condition::{Atom, Block, Condition, MAPPED_BITS};

/// A side of a comparison that differs from request to request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    /// A path, or what is looked up like one.
    Path,
    Address,
    Port,
    Protocol,
}

const PATTERN: &str = "`*` can only stand at the end";
const NAMES: &str =
    "there is none of this name: `lineage policy schema` and docs/policies.md have them all";
const ADDRESS: &str = "not a literal address or block of addresses";

impl Reader<'_> {
    /// `resource.address.isIpv4()` and the like.
    pub(super) fn family(
        &self,
        whole: &Expr,
        op: UnaryOp,
        of: &Expr,
    ) -> Result<Condition, Unenforceable> {
        let blocks: &[(&str, u32)] = match op {
            UnaryOp::IsIPv4 => &[("0.0.0.0", 0)],
            UnaryOp::IsIPV6 => &[("::", 0)],
            UnaryOp::IsLoopback => &[("127.0.0.0", 8), ("::1", 128)],
            UnaryOp::IsMulticast => &[("224.0.0.0", 4), ("ff00::", 8)],
            _ => return Err(self.refuse(whole, OPERATOR)),
        };
        if self.attribute(of) != Some(Attribute::Address) {
            return Err(self.refuse(whole, OPERANDS));
        }
        let blocks = blocks.iter().map(|(first, bits)| {
            let block = first
                .parse()
                .ok()
                .and_then(|first| Block::new(first, *bits));
            Condition::Atom(Atom::Address(block.expect("a block that stands here")))
        });
        Ok(Condition::any(blocks))
    }

    pub(super) fn comparison(
        &self,
        whole: &Expr,
        op: BinaryOp,
        left: &Expr,
        right: &Expr,
    ) -> Result<Condition, Unenforceable> {
        if let (Expr::Var(Var::Action), BinaryOp::Eq | BinaryOp::In | BinaryOp::NotEq) = (left, op)
        {
            return self.action(whole, op, right);
        }
        if op == BinaryOp::Contains {
            let (Expr::Set(list), Some(attribute)) = (left, self.attribute(right)) else {
                return Err(self.refuse(whole, OPERANDS));
            };
            let each = list.iter().map(|one| self.equal(whole, attribute, one));
            return Ok(Condition::any(each.collect::<Result<Vec<_>, _>>()?));
        }
        // The attribute on the left, whichever way it is written.
        let (attribute, literal, op) = match (self.attribute(left), self.attribute(right)) {
            (Some(attribute), None) => (attribute, right, op),
            (None, Some(attribute)) => match mirrored(op) {
                Some(op) => (attribute, left, op),
                None => return Err(self.refuse(whole, OPERATOR)),
            },
            _ => return Err(self.refuse(whole, OPERANDS)),
        };
        match (op, attribute) {
            (BinaryOp::Eq, _) => self.equal(whole, attribute, literal),
            (BinaryOp::NotEq, _) => Ok(!self.equal(whole, attribute, literal)?),
            (BinaryOp::IsInRange, Attribute::Address) => self.block(whole, literal),
            (_, Attribute::Port) => {
                let Expr::Literal(Literal::Long(port)) = literal else {
                    return Err(self.refuse(whole, OPERANDS));
                };
                let next = port.saturating_add(1);
                match op {
                    BinaryOp::GreaterEq => Ok(port_from(*port)),
                    BinaryOp::Greater => Ok(port_from(next)),
                    BinaryOp::Less => Ok(!port_from(*port)),
                    BinaryOp::LessEq => Ok(!port_from(next)),
                    _ => Err(self.refuse(whole, OPERATOR)),
                }
            }
            _ => Err(self.refuse(whole, OPERATOR)),
        }
    }

    pub(super) fn attribute(&self, expr: &Expr) -> Option<Attribute> {
        let Expr::GetAttr { expr, attr } = expr else {
            return None;
        };
        if !matches!(**expr, Expr::Var(Var::Resource)) {
            return None;
        }
        // What the resource has not is an error to Cedar, where the schema did not notice.
        let endpoint = self.target.resource == Resource::Endpoint;
        match attr.as_str() {
            text if self.target.resource.text() == Some(text) => Some(Attribute::Path),
            "address" if endpoint => Some(Attribute::Address),
            "port" if endpoint => Some(Attribute::Port),
            "protocol" if endpoint => Some(Attribute::Protocol),
            _ => None,
        }
    }

    fn equal(
        &self,
        whole: &Expr,
        attribute: Attribute,
        literal: &Expr,
    ) -> Result<Condition, Unenforceable> {
        match (attribute, literal) {
            (Attribute::Path, Expr::Literal(Literal::String(path))) => {
                if !self.target.resource.has(path) {
                    return Err(self.refuse(whole, NAMES));
                }
                self.path(whole, path, PATH_KEY_BYTES - 1)?;
                Ok(Condition::Atom(Atom::Path(path.as_str().into())))
            }
            (Attribute::Protocol, Expr::Literal(Literal::String(name))) => {
                let known = Protocol::ALL.iter().any(|(_, known)| known == name);
                if !known {
                    return Err(self.refuse(whole, "a protocol is tcp, udp or other"));
                }
                Ok(Condition::Atom(Atom::Protocol(name.as_str().into())))
            }
            (Attribute::Port, Expr::Literal(Literal::Long(port))) => Ok(Condition::all([
                port_from(*port),
                !port_from(port.saturating_add(1)),
            ])),
            (Attribute::Address, _) => {
                let (address, bits) = self.address(whole, literal)?;
                // Equal to a block is no address.
                let single = bits == if address.is_ipv4() { 32 } else { 128 };
                Ok(if single {
                    in_block(address, bits)
                } else {
                    Condition::Constant(false)
                })
            }
            _ => Err(self.refuse(whole, OPERANDS)),
        }
    }

    fn block(&self, whole: &Expr, literal: &Expr) -> Result<Condition, Unenforceable> {
        let (address, bits) = self.address(whole, literal)?;
        Ok(in_block(address, bits))
    }

    /// `ip("10.0.0.0/8")`
    fn address(&self, whole: &Expr, expr: &Expr) -> Result<(IpAddr, u32), Unenforceable> {
        let refused = || self.refuse(whole, ADDRESS);
        let Expr::UnaryOp {
            op: UnaryOp::Ip,
            expr,
        } = expr
        else {
            return Err(refused());
        };
        let Expr::Literal(Literal::String(text)) = &**expr else {
            return Err(refused());
        };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text.as_str(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| refused())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().map_err(|_| refused())?,
            None => most,
        };
        if bits > most {
            return Err(refused());
        }
        Ok((address, bits))
    }

    pub(super) fn like(
        &self,
        whole: &Expr,
        pattern: &[PatternElem],
    ) -> Result<Condition, Unenforceable> {
        let literal = pattern
            .iter()
            .take_while(|element| matches!(element, PatternElem::Char(_)));
        let (text, rest) = pattern.split_at(literal.count());
        if rest
            .iter()
            .any(|element| matches!(element, PatternElem::Char(_)))
        {
            return Err(self.refuse(whole, PATTERN));
        }
        let text: String = text
            .iter()
            .filter_map(|element| match element {
                PatternElem::Char(character) => Some(*character),
                PatternElem::Wildcard => None,
            })
            .collect();
        let exact = rest.is_empty();
        self.path(whole, &text, PATH_KEY_BYTES - usize::from(exact))?;
        let text = text.into_boxed_str();
        Ok(match (exact, text.is_empty()) {
            (true, _) => Condition::Atom(Atom::Path(text)),
            (false, true) => Condition::Constant(true),
            (false, false) => Condition::Atom(Atom::Below(text)),
        })
    }

    /// Refuses a path that no key can hold.
    fn path(&self, whole: &Expr, path: &str, bytes_max: usize) -> Result<(), Unenforceable> {
        if path.len() > bytes_max {
            return Err(self.refuse(
                whole,
                "the path is longer than a key of the table, 247 bytes",
            ));
        }
        if path.contains('\0') {
            return Err(self.refuse(whole, "no path has a NUL in it"));
        }
        // What stands for bytes that are no text when a decision is looked at again.
        if path.contains(char::REPLACEMENT_CHARACTER) {
            return Err(self.refuse(whole, "U+FFFD stands for bytes that are no text"));
        }
        Ok(())
    }
}

fn in_block(address: IpAddr, bits: u32) -> Condition {
    match Block::new(address, bits) {
        // Mapped addresses are IPv4 addresses when they are judged, so none is in a block of IPv6.
        Some(block) if block.bits >= MAPPED_BITS && block.is_ipv4() != address.is_ipv4() => {
            Condition::Constant(false)
        }
        Some(block) => Condition::Atom(Atom::Address(block)),
        None => Condition::Constant(false),
    }
}

fn port_from(port: i64) -> Condition {
    match u16::try_from(port) {
        Ok(0) => Condition::Constant(true),
        Ok(port) => Condition::Atom(Atom::PortFrom(port)),
        Err(_) => Condition::Constant(port < 0),
    }
}

/// The operator with its sides exchanged.
fn mirrored(op: BinaryOp) -> Option<BinaryOp> {
    match op {
        BinaryOp::Eq | BinaryOp::NotEq => Some(op),
        BinaryOp::Less => Some(BinaryOp::Greater),
        BinaryOp::LessEq => Some(BinaryOp::GreaterEq),
        BinaryOp::Greater => Some(BinaryOp::Less),
        BinaryOp::GreaterEq => Some(BinaryOp::LessEq),
        _ => None,
    }
}
