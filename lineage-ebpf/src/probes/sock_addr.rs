//! Internet addresses that processes connect to, take or send to, before they do.
//!
//! The hooks of the root control group are asked by the kernel with the address that it has copied already, so nothing
//! that the process does meanwhile changes it, and what they refuse does not happen (`EPERM`). They can be preempted, so
//! they use no scratch: the decision waits in a map until the call returns, and goes into its record.

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid, macros::cgroup_sock_addr, maps::lpm_trie::Key,
    programs::SockAddrContext,
};
use lineage_common::layout::ABSENT;
use lineage_common::policy::{
    ADDRESS_BITS, AddressKey, Decided, End, Governance, KEY_HEAD_BITS, Mode, Operation, Outcome,
    PORT_BOUNDS_MAX, Protocol, Ruling, Spent,
};

use crate::{
    budget,
    endpoints::{INET, INET6},
    judge,
    maps::{self, DECIDED},
    read::{offset, untyped},
    skip::Skip,
    task::Actor,
};

/// What the hooks answer.
const ALLOW: i32 = 1;
const REFUSE: i32 = 0;

/// `IPPROTO_TCP`, `IPPROTO_UDP` (`include/uapi/linux/in.h`)
const TCP: u32 = 6;
const UDP: u32 = 17;
/// `IPPROTO_MPTCP`: TCP over several ways; its connections are asked about as those of TCP.
const MPTCP: u32 = 262;

macro_rules! hooks {
    ($($name:ident $operation:ident $address:ident;)*) => {
        $(
            /// `BPF_CGROUP_RUN_SA_PROG` ([`include/linux/bpf-cgroup.h`](https://elixir.bootlin.com/linux/v6.12/source/include/linux/bpf-cgroup.h)).
            #[cgroup_sock_addr($name)]
            pub(crate) fn $name(ctx: SockAddrContext) -> i32 {
                answer(&ctx, Operation::$operation, $address(&ctx))
            }
        )*
    };
}

hooks! {
    connect4 CONNECT ipv4;
    connect6 CONNECT ipv6;
    bind4 BIND ipv4;
    bind6 BIND ipv6;
    sendmsg4 SEND ipv4;
    sendmsg6 SEND ipv6;
}

/// The address, IPv4-mapped.
#[inline(always)]
fn ipv4(ctx: &SockAddrContext) -> [u32; 4] {
    // SAFETY: the kernel's own; the verifier knows the members.
    let address = unsafe { (&raw const (*ctx.sock_addr).user_ip4).read_volatile() };
    [0, 0, 0xffff_u32.to_be(), address]
}

#[inline(always)]
fn ipv6(ctx: &SockAddrContext) -> [u32; 4] {
    // SAFETY: as above.
    unsafe {
        let words = (&raw const (*ctx.sock_addr).user_ip6).cast::<u32>();
        [
            words.read_volatile(),
            words.add(1).read_volatile(),
            words.add(2).read_volatile(),
            words.add(3).read_volatile(),
        ]
    }
}

#[inline(always)]
fn answer(ctx: &SockAddrContext, operation: Operation, address: [u32; 4]) -> i32 {
    let address = match operation {
        Operation::BIND => address,
        _ => other_end(address),
    };
    // SAFETY: the context is the kernel's own.
    let (port, protocol) = unsafe {
        (
            (&raw const (*ctx.sock_addr).user_port).read_volatile(),
            (&raw const (*ctx.sock_addr).protocol).read_volatile(),
        )
    };
    let port = u16::from_be(port as u16);
    judged(operation, address, port, protocol).unwrap_or(ALLOW)
}

/// The answer of a security module to a socket of the internet, whose `struct sock` is at `sock`, that is made to listen.
#[inline(always)]
pub(crate) fn listened(sock: u64) -> i32 {
    /// `EPERM` (`include/uapi/asm-generic/errno-base.h`).
    const NOT_PERMITTED: i32 = 1;
    match own_end(sock).map(|(address, port, protocol)| {
        judged(Operation::LISTEN, address, port, protocol).unwrap_or(ALLOW)
    }) {
        Some(REFUSE) => -NOT_PERMITTED,
        _ => 0,
    }
}

/// Address, port and protocol that a socket has; `None` when it has none yet, or is of another family.
#[inline(always)]
fn own_end(sock: u64) -> Option<([u32; 4], u16, u32)> {
    let family: u16 = untyped(sock + offset!(sock_family) as u64)?;
    let port: u16 = untyped(sock + offset!(sock_num) as u64)?;
    let protocol: u16 = untyped(sock + offset!(sock_protocol) as u64)?;
    let address = match family {
        INET => [
            0,
            0,
            0xffff_u32.to_be(),
            untyped(sock + offset!(sock_rcv_saddr) as u64)?,
        ],
        INET6 if offset!(sock_v6_rcv_saddr) != ABSENT as usize => {
            untyped(sock + offset!(sock_v6_rcv_saddr) as u64)?
        }
        _ => return None,
    };
    (port != 0).then_some((address, port, protocol.into()))
}

#[inline(always)]
fn judged(operation: Operation, address: [u32; 4], port: u16, protocol: u32) -> Result<i32, Skip> {
    if !maps::governs() {
        return Err(Skip::Untraced);
    }
    let actor = Actor::current()?;
    // SAFETY: the entry of a tracked process stays while one of its threads runs; map values live as long as the
    // program.
    let governance = unsafe { &*maps::governance((*actor.task).lineage).ok_or(Skip::Untraced)? };
    let protocol = self::protocol(protocol);
    let mut reasons = 0;
    let mut ruling = Ruling {
        allowed: 0,
        level: 0,
        rule: Ruling::NO_RULE,
    };
    if judge::over(governance.until_ns) {
        reasons |= Outcome::OVER;
    } else {
        let key = AddressKey {
            table: governance.table,
            operation,
            protocol,
            port_class: class(governance, port),
            reserved: 0,
            address: bytes(address),
        };
        match maps::address_rule(&Key::new(KEY_HEAD_BITS + ADDRESS_BITS, key)) {
            Some(found) => ruling = found,
            None => reasons |= Outcome::NO_ENTRY,
        }
    }
    if ruling.allowed != 0 && operation == Operation::CONNECT {
        // SAFETY: the entry of a tracked process stays while one of its threads runs.
        let lineage = unsafe { (*actor.task).lineage };
        let level = budget::spend(lineage, Spent::Connection as u32, 1);
        if level != 0 {
            ruling = budget::ruling(level);
            reasons |= Outcome::BUDGET;
        }
    }
    let (kind, answer) = match (ruling.allowed != 0, governance.mode == Mode::ENFORCE) {
        (true, _) => (Outcome::ALLOWED, ALLOW),
        (false, false) => (Outcome::DENIED, ALLOW),
        (false, true) => (Outcome::PREVENTED, REFUSE),
    };
    let asked = Outcome::of(operation);
    let decided = Decided {
        ruling,
        outcome: Outcome(kind.0 | reasons | asked),
        generation: governance.generation,
        operation: u32::from(operation.0),
        end: End {
            address: bytes(address),
            port,
            protocol,
            reserved: [0; 5],
        },
    };
    // Without room it is not told, and done all the same.
    let _ = DECIDED.insert(bpf_get_current_pid_tgid(), decided, 0);
    Ok(answer)
}

/// The protocol of this number.
#[inline(always)]
pub(crate) fn protocol(number: u32) -> Protocol {
    match number {
        TCP | MPTCP => Protocol::TCP,
        UDP => Protocol::UDP,
        _ => Protocol::OTHER,
    }
}

/// What the kernel takes for this address of another end: where that is no address, the host itself (`ip_route_output_key` in
/// `net/ipv4/route.c`, `tcp_v6_connect` in `net/ipv6/tcp_ipv6.c`), which happens behind the hooks.
#[inline(always)]
pub(crate) fn other_end(address: [u32; 4]) -> [u32; 4] {
    const MAPPED: u32 = 0xffff_u32.to_be();
    match address {
        [0, 0, 0, 0] => [0, 0, 0, 1_u32.to_be()],
        [0, 0, MAPPED, 0] => [0, 0, MAPPED, 0x7f00_0001_u32.to_be()],
        other => other,
    }
}

/// How many bounds a port has reached.
#[inline(always)]
pub(crate) fn class(governance: &Governance, port: u16) -> u8 {
    let mut class = 0_usize;
    let mut step = PORT_BOUNDS_MAX.div_ceil(2);
    // The bounds are as many as a power of two less one, and what is beyond those there are is never reached.
    while step > 0 {
        let bound = governance.port_bounds[(class + step - 1) & PORT_BOUNDS_MAX];
        if bound <= port && ((class + step) as u32) <= governance.port_bounds_count {
            class += step;
        }
        step /= 2;
    }
    class as u8
}

#[inline(always)]
pub(crate) fn bytes(words: [u32; 4]) -> [u8; 16] {
    // SAFETY: both have the same size and no invalid values.
    unsafe { core::mem::transmute(words) }
}
