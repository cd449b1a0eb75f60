//! What a person sees of stored evidence.
//!
//! Needs no probes and no root. What is shown comes from files that anyone may have
//! written, so nothing in it reaches a terminal that the terminal would obey (see [`text`]), and
//! everything is streamed or bounded.

mod denial;
pub mod diff;
mod digests;
pub mod event;
pub mod export;
pub mod filter;
pub mod flow;
mod happening;
pub mod impact;
pub mod index;
pub mod line;
pub mod ls;
pub mod ndjson;
mod notable;
mod reach;
pub mod report;
pub mod show;
pub mod tables;
pub mod text;
pub mod timeline;
mod told;
pub mod tree;
pub mod walk;
pub mod when;
pub mod why;
