//! One file per kernel event.

mod accept;
mod bind;
mod call;
mod cgroup_attach;
mod close;
mod connect;
mod datagram;
mod found;
mod guarded;
mod hooks;
mod io_uring;
mod ioctl;
mod listen;
pub(crate) mod map;
mod newborn;
mod open;
pub(crate) mod pass;
mod pipe;
pub(crate) mod process_exec;
mod process_exit;
mod process_fork;
pub(crate) mod sock_addr;
mod socket_create;
mod syscall;
mod tasks;
pub(crate) mod transfer;
