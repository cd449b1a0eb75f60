//! Tests that need no kernel, no root and no network.

mod golden;
mod schema;
