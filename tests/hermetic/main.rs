//! Tests that need no kernel, no root and no network.

mod cli;
mod coverage;
mod golden;
mod schema;
mod stack;
