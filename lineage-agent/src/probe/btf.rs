//! A small reader of the kernel's type information (BTF).
//!
//! It answers one question: at which byte of which structure is a member, found by name, through
//! anonymous structures and unions as C does. The format is
//! [`Documentation/bpf/btf.rst`](https://docs.kernel.org/bpf/btf.html). The input is foreign bytes:
//! everything is bounds-checked, and nothing recurses without a limit.

use std::collections::HashMap;

/// Where the running kernel shows its own types.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// `BTF_MAGIC`, in the byte order of the machine that wrote it.
const MAGIC: u16 = 0xeb9f;
/// Bytes of `struct btf_header` this reader needs.
const HEADER_BYTES: usize = 24;
/// Bytes of `struct btf_type`.
const TYPE_BYTES: usize = 12;
/// Deepest nesting of anonymous members, and longest chain of `const`, `volatile`, `typedef`.
const DEPTH_MAX: usize = 32;
/// Most members looked at for one name: a structure that contains itself many times over must not
/// take exponential time. The kernel's largest has a few hundred.
const LOOKS_MAX: usize = 65_536;

const PTR: u8 = 2;
const STRUCT: u8 = 4;
const UNION: u8 = 5;
const TYPEDEF: u8 = 8;
const FUNC: u8 = 12;
const FUNC_PROTO: u8 = 13;
const VAR: u8 = 14;

/// Why type information cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// The bytes are not BTF of this machine's byte order.
    #[error("not type information of this machine: {0}")]
    Format(&'static str),
    /// A section or a type reaches past the end.
    #[error("type information ends inside {0}")]
    Short(&'static str),
    /// A kind of type this reader does not know, so that it cannot find the next one.
    #[error("type {id} is of unknown kind {kind}")]
    Kind {
        /// The type's number.
        id: u32,
        /// The kind.
        kind: u8,
    },
}

/// Parsed type information.
#[derive(Debug)]
pub struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Offset in `types` of each type; type 0 is `void` and has none.
    starts: Vec<u32>,
    /// Structures, unions, typedefs, functions and variables by name; a name can stand for several.
    names: HashMap<&'a [u8], Vec<u32>>,
}

/// One type.
#[derive(Debug, Clone, Copy)]
struct Type {
    start: usize,
    name: u32,
    info: u32,
    /// Size in bytes, or the number of another type, by kind.
    size_or_type: u32,
}

impl Type {
    fn kind(self) -> u8 {
        (self.info >> 24 & 0x1f) as u8
    }

    fn members(self) -> usize {
        (self.info & 0xffff) as usize
    }

    /// Whether member offsets carry a bit-field size in their upper byte.
    fn bit_fields(self) -> bool {
        self.info >> 31 == 1
    }
}

impl<'a> Btf<'a> {
    /// Reads type information.
    ///
    /// # Errors
    ///
    /// [`BtfError`] when the bytes are not well-formed.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
        let (types, strings) = sections(bytes)?;
        let mut btf = Self {
            types,
            strings,
            starts: vec![0],
            names: HashMap::new(),
        };
        let mut at = 0;
        while at < types.len() {
            let id = u32::try_from(btf.starts.len()).map_err(|_| BtfError::Short("types"))?;
            let ty = read_type(types, at).ok_or(BtfError::Short("a type"))?;
            let extra = extra_bytes(ty).ok_or(BtfError::Kind {
                id,
                kind: ty.kind(),
            })?;
            let next = at + TYPE_BYTES + extra;
            if next > types.len() {
                return Err(BtfError::Short("a type"));
            }
            if matches!(ty.kind(), STRUCT | UNION | TYPEDEF | FUNC | VAR) {
                let name = btf.string(ty.name);
                if !name.is_empty() {
                    btf.names.entry(name).or_default().push(id);
                }
            }
            btf.starts
                .push(u32::try_from(at).map_err(|_| BtfError::Short("types"))?);
            at = next;
        }
        Ok(btf)
    }

    /// Byte offset of a member of a structure or union. `path` descends into named members at dots;
    /// alternatives are separated by `|`. `None` when no structure of that name has it, or when it
    /// does not start at a byte.
    #[must_use]
    pub fn offset(&self, owner: &str, path: &str) -> Option<u32> {
        self.structures(owner)
            .find_map(|ty| path.split('|').find_map(|path| self.member(ty, path)))
    }

    /// Size of a structure or union in bytes.
    #[must_use]
    pub fn size(&self, name: &str) -> Option<u32> {
        self.structures(name).next().map(|ty| ty.size_or_type)
    }

    /// Id and size in bytes of a structure.
    #[must_use]
    pub fn structure(&self, name: &str) -> Option<(u32, u32)> {
        let (id, ty) = self.identified(name).find(|(_, ty)| ty.kind() == STRUCT)?;
        Some((id, ty.size_or_type))
    }

    /// Id of a function.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<u32> {
        let (id, _) = self.identified(name).find(|(_, ty)| ty.kind() == FUNC)?;
        Some(id)
    }

    /// Whether the kernel has a function of that name.
    #[must_use]
    pub fn has_function(&self, name: &str) -> bool {
        self.function(name).is_some()
    }

    /// Whether the kernel has a variable of that name. Only those that exist once per processor are
    /// described.
    #[must_use]
    pub fn has_variable(&self, name: &str) -> bool {
        self.named(name).any(|ty| ty.kind() == VAR)
    }

    /// Number of arguments of a tracepoint, `None` when the kernel has no such tracepoint.
    ///
    /// Its type is `typedef void (*btf_trace_NAME)(void *, …)`; the first is not counted.
    #[must_use]
    pub fn tracepoint_arguments(&self, name: &str) -> Option<usize> {
        let pointer = self
            .named(&format!("btf_trace_{name}"))
            .find(|ty| ty.kind() == TYPEDEF)
            .and_then(|ty| self.resolve(ty.size_or_type))
            .filter(|ty| ty.kind() == PTR)?;
        let prototype = self
            .resolve(pointer.size_or_type)
            .filter(|ty| ty.kind() == FUNC_PROTO)?;
        prototype.members().checked_sub(1)
    }

    fn named(&self, name: &str) -> impl Iterator<Item = Type> + '_ {
        self.identified(name).map(|(_, ty)| ty)
    }

    /// Types of a name, with their ids.
    fn identified(&self, name: &str) -> impl Iterator<Item = (u32, Type)> + '_ {
        self.names
            .get(name.as_bytes())
            .into_iter()
            .flatten()
            .filter_map(|id| Some((*id, self.get(*id)?)))
    }

    fn structures(&self, name: &str) -> impl Iterator<Item = Type> + '_ {
        self.named(name)
            .filter(|ty| matches!(ty.kind(), STRUCT | UNION))
    }

    fn get(&self, id: u32) -> Option<Type> {
        if id == 0 {
            return None;
        }
        read_type(self.types, *self.starts.get(id as usize)? as usize)
    }

    /// The type behind `typedef`, `const`, `volatile`, `restrict` and type tags.
    fn resolve(&self, mut id: u32) -> Option<Type> {
        for _ in 0..DEPTH_MAX {
            let ty = self.get(id)?;
            match ty.kind() {
                TYPEDEF | 9..=11 | 18 => id = ty.size_or_type,
                _ => return Some(ty),
            }
        }
        None
    }

    /// Byte offset of a dotted path below `owner`.
    fn member(&self, mut owner: Type, path: &str) -> Option<u32> {
        let mut bits = 0u32;
        let mut names = path.split('.').peekable();
        while let Some(name) = names.next() {
            let mut looks = LOOKS_MAX;
            let (offset, ty) = self.find(owner, name.as_bytes(), DEPTH_MAX, &mut looks)?;
            bits = bits.checked_add(offset)?;
            if names.peek().is_some() {
                owner = self.resolve(ty)?;
            }
        }
        bits.is_multiple_of(8).then_some(bits / 8)
    }

    /// Bit offset and type of a member, searched through anonymous members.
    fn find(
        &self,
        owner: Type,
        name: &[u8],
        depth: usize,
        looks: &mut usize,
    ) -> Option<(u32, u32)> {
        if !matches!(owner.kind(), STRUCT | UNION) || depth == 0 {
            return None;
        }
        for index in 0..owner.members() {
            *looks = looks.checked_sub(1)?;
            let at = owner.start + TYPE_BYTES + index * 12;
            let member_name = self.string(read_u32(self.types, at)?);
            let ty = read_u32(self.types, at + 4)?;
            let mut offset = read_u32(self.types, at + 8)?;
            if owner.bit_fields() {
                offset &= 0x00ff_ffff;
            }
            if member_name == name {
                return Some((offset, ty));
            }
            if member_name.is_empty()
                && let Some(inner) = self.resolve(ty)
                && let Some((more, found)) = self.find(inner, name, depth - 1, looks)
            {
                return Some((offset.checked_add(more)?, found));
            }
        }
        None
    }

    /// The string at an offset; empty when there is none.
    fn string(&self, offset: u32) -> &'a [u8] {
        let rest = self.strings.get(offset as usize..).unwrap_or_default();
        let len = rest.iter().position(|byte| *byte == 0).unwrap_or(0);
        &rest[..len]
    }
}

/// The types and the strings.
fn sections(bytes: &[u8]) -> Result<(&[u8], &[u8]), BtfError> {
    let short = BtfError::Short("the header");
    if bytes.len() < HEADER_BYTES {
        return Err(short);
    }
    if bytes[..2] != MAGIC.to_ne_bytes() {
        return Err(BtfError::Format("wrong magic number"));
    }
    if bytes[2] != 1 {
        return Err(BtfError::Format("unknown version"));
    }
    let field = |at| read_u32(bytes, at).map(|value| value as usize);
    let (Some(header), Some(type_at), Some(type_len), Some(string_at), Some(string_len)) =
        (field(4), field(8), field(12), field(16), field(20))
    else {
        return Err(short);
    };
    let body = bytes.get(header..).ok_or(short)?;
    let section = |at: usize, len: usize, name| {
        at.checked_add(len)
            .and_then(|end| body.get(at..end))
            .ok_or(BtfError::Short(name))
    };
    Ok((
        section(type_at, type_len, "the types")?,
        section(string_at, string_len, "the strings")?,
    ))
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

fn read_type(types: &[u8], at: usize) -> Option<Type> {
    Some(Type {
        start: at,
        name: read_u32(types, at)?,
        info: read_u32(types, at + 4)?,
        size_or_type: read_u32(types, at + 8)?,
    })
}

/// Bytes that follow a type, by kind.
fn extra_bytes(ty: Type) -> Option<usize> {
    match ty.kind() {
        // Pointer, forward, typedef, volatile, const, restrict, function, float, type tag.
        2 | 7..=12 | 16 | 18 => Some(0),
        // Integer, variable, declaration tag.
        1 | 14 | 17 => Some(4),
        // Array.
        3 => Some(12),
        // Structure, union, data section, 64-bit enumeration.
        4 | 5 | 15 | 19 => Some(12 * ty.members()),
        // Enumeration, function prototype.
        6 | 13 => Some(8 * ty.members()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
