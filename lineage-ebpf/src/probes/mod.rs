//! One file per kernel event.

mod close;
mod open;
mod process_exec;
mod process_exit;
mod process_fork;
mod syscall;
mod tasks;
