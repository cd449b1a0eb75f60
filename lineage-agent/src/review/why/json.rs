//! Causes as JSON, for programs.

use std::io::{self, Write};

use super::super::ndjson;
use super::super::reach::json::{list, name};
use super::Why;

impl Why<'_> {
    /// Writes one JSON object on one line: the `event`, the `chain` of programs from it to the start of the
    /// lineage, all `nodes` that are causes with the `seq` until which they are, the `flows` between them, the
    /// `records` that these name, the `purpose` of the grant, and whether there may be more (`partial`).
    ///
    /// # Errors
    ///
    /// What the writer returns.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"{\"chain\":[")?;
        let chain = self.spine.iter();
        list(out, chain.map(|node| format!("\"{}\"", name(*node))))?;
        let mut purpose = b"null".to_vec();
        if let Some(text) = &self.purpose {
            purpose.clear();
            ndjson::string(&mut purpose, text);
        }
        out.write_all(b"],\"purpose\":")?;
        out.write_all(&purpose)?;
        out.write_all(b",")?;
        self.reach.write_json(out)?;
        out.write_all(b"}\n")
    }
}
