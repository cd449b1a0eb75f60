//! What a person sees of stored evidence.
//!
//! Needs no probes and no root. What is shown comes from files that anyone may have
//! written, so nothing in it reaches a terminal that the terminal would obey (see [`text`]), and
//! everything is streamed or bounded.

mod denial;
pub mod event;
pub mod filter;
pub mod flow;
pub mod line;
pub mod ls;
pub mod ndjson;
mod notable;
pub mod report;
pub mod text;
pub mod tree;
pub mod walk;
pub mod why;
