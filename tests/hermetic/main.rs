//! Tests that need no kernel, no root and no network.

mod cli;
mod golden;
mod schema;
