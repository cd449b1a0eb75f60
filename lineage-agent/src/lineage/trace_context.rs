//! What a process's environment says of the trace that it is a part of: W3C Trace Context and Baggage.
//!
//! The environment is what whoever executed the program set: a hint, and never a reason to believe anything. So only what
//! has the form is kept, and of what may hold a secret only the key.

use lineage_common::limits::HINT_BYTES_MAX;

use super::variables::is_secret;
use crate::evidence::escape::escape;

/// What was found, each if it has the form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TraceContext {
    /// `TRACEPARENT`
    pub(super) traceparent: Option<String>,
    /// `TRACESTATE`, where there is a `traceparent`.
    pub(super) tracestate: Option<String>,
    /// `BAGGAGE`
    pub(super) baggage: Option<String>,
    /// Names of fields that are not whole.
    pub(super) cut: Vec<&'static str>,
    /// What is left out because it has not the form.
    pub(super) notes: Vec<&'static str>,
}

/// Length of a `traceparent` of version 0, and of what later versions begin with.
const PARENT_BYTES: usize = 55;

/// Most members of a `tracestate` (<https://www.w3.org/TR/trace-context/#tracestate-header>).
const STATE_MEMBERS_MAX: usize = 32;

/// Most members of a baggage that need be passed on (<https://www.w3.org/TR/baggage/#limits>).
const BAGGAGE_MEMBERS_MAX: usize = 64;

impl TraceContext {
    /// What is in these variables, each ended by NUL. Of several of one name the first counts, as for getenv(3).
    pub(super) fn of(block: &[u8]) -> Self {
        let mut context = Self::default();
        let variables = || block.split(|byte| *byte == 0);
        let value = |name: &[u8]| {
            variables().find_map(|variable| {
                let value = variable.strip_prefix(name)?;
                Some((value, variable.len() >= HINT_BYTES_MAX - 1))
            })
        };
        if let Some((value, _)) = value(b"TRACEPARENT=") {
            context.traceparent = traceparent(value).map(str::to_owned);
            if context.traceparent.is_none() {
                context.notes.push("traceparent-malformed");
            }
        }
        // Without one whoever reads it must not either (section 3.3.1 of the recommendation).
        if let Some((value, cut)) = value(b"TRACESTATE=")
            && context.traceparent.is_some()
        {
            context.tracestate = members(value, cut, STATE_MEMBERS_MAX);
            context.tell("tracestate", "tracestate-malformed", cut, |it| {
                &it.tracestate
            });
        }
        if let Some((value, cut)) = value(b"BAGGAGE=") {
            context.baggage = members(value, cut, BAGGAGE_MEMBERS_MAX);
            context.tell("baggage", "baggage-malformed", cut, |it| &it.baggage);
        }
        context
    }

    fn tell(
        &mut self,
        field: &'static str,
        malformed: &'static str,
        cut: bool,
        of: impl Fn(&Self) -> &Option<String>,
    ) {
        match of(self) {
            None => self.notes.push(malformed),
            Some(_) if cut => self.cut.push(field),
            Some(_) => {}
        }
    }
}

/// `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`; of a later version, which may go on, what has this form.
fn traceparent(value: &[u8]) -> Option<&str> {
    let text = str::from_utf8(value).ok()?;
    let (known, rest) = text.split_at_checked(PARENT_BYTES)?;
    let mut parts = known.split('-');
    let [version, trace, parent, flags] = [(); 4].map(|()| parts.next().unwrap_or_default());
    let is_hex = |part: &str, len: usize| {
        part.len() == len
            && part
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_some = |part: &str| part.bytes().any(|byte| byte != b'0');
    let good = is_hex(version, 2)
        && version != "ff"
        && is_hex(trace, 32)
        && is_some(trace)
        && is_hex(parent, 16)
        && is_some(parent)
        && is_hex(flags, 2)
        && (rest.is_empty() || version != "00" && rest.starts_with('-'));
    good.then_some(known)
}

/// The members of a list, `key=value` with commas between; of what may be a secret only the key. `None` when one has not
/// that form, or there are too many; the last of what was cut is none.
fn members(value: &[u8], cut: bool, members_max: usize) -> Option<String> {
    let mut all: Vec<&[u8]> = value.split(|byte| *byte == b',').collect();
    if cut {
        all.pop();
    }
    let mut shown = Vec::new();
    for member in all {
        let member = member.trim_ascii();
        // An empty one is allowed, and says nothing.
        if member.is_empty() {
            continue;
        }
        let at = member.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (member[..at].trim_ascii(), &member[at + 1..]);
        let named = !key.is_empty() && key.iter().all(|byte| is_of_key(*byte));
        let printable = value.iter().all(|byte| matches!(byte, b' '..=b'~'));
        if !named || !printable {
            return None;
        }
        let name = str::from_utf8(key).ok()?;
        shown.push(if is_secret(name, value) {
            escape(key)
        } else {
            escape(&[key, b"=", value].concat())
        });
    }
    let fits = !shown.is_empty() && shown.len() <= members_max;
    fits.then(|| shown.join(","))
}

/// What keys are made of: tokens (RFC 9110, section 5.6.2), and what keys of a `tracestate` have besides.
fn is_of_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(variables: &[&str]) -> TraceContext {
        let block: String = variables.iter().map(|it| format!("{it}\0")).collect();
        TraceContext::of(block.as_bytes())
    }

    #[test]
    fn what_has_the_form_is_kept() {
        let found = of(&[
            &format!("TRACEPARENT={PARENT}"),
            "TRACESTATE=congo=t61rcWkgMzE, rojo=00f067",
            "BAGGAGE=user=alice,,region = eu%20west;ttl=1",
            "TRACEPARENT=another",
        ]);
        assert_eq!(
            found,
            TraceContext {
                traceparent: Some(PARENT.to_owned()),
                tracestate: Some("congo=t61rcWkgMzE,rojo=00f067".to_owned()),
                baggage: Some("user=alice,region= eu%20west;ttl=1".to_owned()),
                ..TraceContext::default()
            }
        );
        assert_eq!(of(&[]), TraceContext::default());
    }

    #[test]
    fn what_has_not_the_form_is_left_out_and_said() {
        for bad in [
            "",
            "00",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7\u{e9}1",
            "\u{1b}[31m",
        ] {
            let found = of(&[&format!("TRACEPARENT={bad}"), "TRACESTATE=a=b"]);
            let expected = TraceContext {
                notes: vec!["traceparent-malformed"],
                ..TraceContext::default()
            };
            assert_eq!(found, expected, "{bad}");
        }
        let later = format!("TRACEPARENT=01{}-more", &PARENT[2..]);
        assert_eq!(
            of(&[&later]).traceparent,
            Some(format!("01{}", &PARENT[2..]))
        );
        for bad in [
            "a",
            "=b",
            "a b=c",
            "a=\u{1b}",
            "a=\u{e9}",
            "",
            &"a=b,".repeat(65),
        ] {
            let found = of(&[&format!("BAGGAGE={bad}")]);
            assert_eq!(
                (found.baggage, found.notes),
                (None, vec!["baggage-malformed"]),
                "{bad}"
            );
        }
    }

    #[test]
    fn of_what_may_be_a_secret_there_is_the_key() {
        let found = of(&["BAGGAGE=api_key=x,user=bob,session=d41d8cd98f00b204e9800998ecf8427e"]);
        assert_eq!(found.baggage.as_deref(), Some("api_key,user=bob,session"));
    }

    #[test]
    fn what_is_cut_has_its_whole_members() {
        let long = format!("BAGGAGE=a=b,c={}", "d".repeat(3000));
        let found = of(&[&long[..HINT_BYTES_MAX - 1]]);
        assert_eq!(
            (found.baggage.as_deref(), found.cut),
            (Some("a=b"), vec!["baggage"])
        );
    }
}
