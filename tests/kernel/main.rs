//! What the running kernel does, found again in the evidence: one module per probe, and some for what
//! only shows in the whole. Every test records for real, as root, and asserts the exact records.

mod accept;
mod attach;
mod bind;
mod bytes;
mod calls;
mod cgroup;
mod close;
#[cfg(target_arch = "x86_64")]
mod compat;
mod connect;
mod container;
mod context;
mod coverage;
mod crash;
mod datagram;
mod digest;
mod ending;
mod ends;
mod exec;
mod exit;
mod flow;
mod fork;
mod host_path;
mod inherit;
mod keys;
mod launch;
mod left_out;
mod listen;
mod load;
mod loss;
mod map;
mod open;
mod others;
mod output;
mod pair;
mod pass;
mod recognised;
mod refusals;
mod signals;
mod snapshot;
mod socket_create;
mod status;
mod tally;
mod terminal;
mod transfer;
