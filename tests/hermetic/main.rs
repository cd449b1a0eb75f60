//! Tests that need no kernel, no root and no network.

mod cli;
mod coverage;
mod exports;
mod golden;
mod grant;
mod index;
mod listing;
mod missing;
mod policy;
mod schema;
mod stack;
