//! The page around the data: one file that needs no other, and that runs nothing but its own script.
//!
//! Its content security policy names style and script by their digests, so nothing else is ever obeyed, and it
//! forbids the page to make markup out of text (trusted types).

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::evidence::digest::sha256;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");

/// One script, in parts by concern.
const SCRIPT: &[&str] = &[
    include_str!("page/dom.js"),
    include_str!("page/data.js"),
    include_str!("page/walk.js"),
    include_str!("page/list.js"),
    include_str!("page/summary.js"),
    include_str!("page/highlights.js"),
    include_str!("page/tree.js"),
    include_str!("page/timeline.js"),
    include_str!("page/graph.js"),
    include_str!("page/tables.js"),
    include_str!("page/search.js"),
    include_str!("page/print.js"),
    include_str!("page/main.js"),
];

/// Places in the page, in their order there.
const MARKS: [&str; 4] = ["{{policy}}", "{{style}}", "{{data}}", "{{script}}"];

/// Writes the page.
pub(super) fn write(out: &mut impl Write, data: &impl Serialize) -> io::Result<()> {
    let script = SCRIPT.concat();
    let policy = policy(STYLE, &script);
    let mut rest = PAGE;
    for mark in MARKS {
        let (before, after) = rest.split_once(mark).unwrap_or((rest, ""));
        out.write_all(before.as_bytes())?;
        match mark {
            "{{policy}}" => out.write_all(policy.as_bytes())?,
            "{{style}}" => out.write_all(STYLE.as_bytes())?,
            "{{data}}" => serde_json::to_writer(Inert(&mut *out), data)?,
            _ => out.write_all(script.as_bytes())?,
        }
        rest = after;
    }
    out.write_all(rest.as_bytes())
}

/// What the page may do: show itself with this style, and run this script.
fn policy(style: &str, script: &str) -> String {
    let digest = |text: &str| STANDARD.encode(sha256(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        digest(style),
        digest(script)
    )
}

/// Writes JSON so that nothing in it is markup: `<` is only ever in its texts, where `\u003c` is the same.
struct Inert<W>(W);

impl<W: Write> Write for Inert<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut parts = bytes.split(|byte| *byte == b'<');
        if let Some(first) = parts.next() {
            self.0.write_all(first)?;
        }
        for part in parts {
            self.0.write_all(b"\\u003c")?;
            self.0.write_all(part)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        write(&mut out, &[text]).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// What is between two texts, the first of them.
    fn between<'a>(page: &'a str, start: &str, end: &str) -> &'a str {
        let (_, rest) = page.split_once(start).unwrap();
        rest.split_once(end).unwrap().0
    }

    #[test]
    fn each_mark_is_there_once_and_in_order() {
        let mut from = 0;
        for mark in MARKS {
            assert_eq!(PAGE.matches(mark).count(), 1, "{mark}");
            let at = PAGE.find(mark).unwrap();
            assert!(at >= from, "{mark}");
            from = at;
        }
        assert!(!written("x").contains("{{"));
    }

    #[test]
    fn data_is_never_markup() {
        let hostile = "</script><img src=x onerror=alert(1)><!--<script>{{script}}'\"&";
        let page = written(hostile);
        let data = between(&page, "id=\"data\">", "</script>");
        assert!(!data.contains('<'), "{data}");
        let read: Vec<String> = serde_json::from_str(data).unwrap();
        assert_eq!(read, [hostile]);
        let plain = written("x");
        let count = |page: &str, what: &str| page.matches(what).count();
        for markup in ["<script", "</script", "<img", "<!--"] {
            assert_eq!(count(&page, markup), count(&plain, markup), "{markup}");
        }
    }

    #[test]
    fn the_policy_names_exactly_what_is_in_the_page() {
        let page = written("x");
        let digest = |text: &str| format!("'sha256-{}'", STANDARD.encode(sha256(text.as_bytes())));
        let style = digest(between(&page, "<style>", "</style>"));
        let script = digest(between(&page, "<script>", "</script>"));
        let policy = between(
            &page,
            "http-equiv=\"Content-Security-Policy\" content=\"",
            "\"",
        );
        assert!(policy.contains(&format!("style-src {style};")), "{policy}");
        assert!(
            policy.contains(&format!("script-src {script};")),
            "{policy}"
        );
        assert!(policy.starts_with("default-src 'none';"));
    }

    #[test]
    fn nothing_makes_markup_out_of_text_or_asks_the_network() {
        let script = SCRIPT.concat();
        let forbidden = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            "fetch(",
            "XMLHttpRequest",
            "WebSocket",
            "import(",
            "sendBeacon",
            "://",
        ];
        for word in forbidden {
            assert!(
                !script
                    .replace("http://www.w3.org/2000/svg", "")
                    .contains(word),
                "{word}"
            );
        }
        for word in ["url(", "@import", "://"] {
            assert!(!STYLE.contains(word), "{word}");
        }
    }
}
