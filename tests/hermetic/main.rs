//! Tests that need no kernel, no root and no network.

mod cli;
mod coverage;
mod exports;
mod golden;
mod grant;
mod listing;
mod policy;
mod schema;
mod stack;
