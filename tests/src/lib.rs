//! What the tests of the whole share: running the real binary, and reading what it recorded.
//!
//! `hermetic/` needs no kernel and no privileges; `kernel/` records on the running kernel, as root;
//! `oracle/` compares with strace, `programs/` too, with programs from elsewhere; `consumers/` has
//! other engines read the evidence.

pub mod connected;
pub mod desk;
pub mod entries;
pub mod evidence;
pub mod flow;
pub mod governed;
pub mod group;
pub mod hook;
pub mod invariants;
pub mod oracle;
pub mod outsider;
pub mod programs;
pub mod recorder;
pub mod rows;
pub mod stage;
pub mod terminal;
pub mod wait;
pub mod workload;
