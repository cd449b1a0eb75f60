//! What changed, in the record of a change of context.

use serde_json::{Map, Value};

use super::super::line::{Fit, Line, Style};
use crate::evidence::schema::Record;

/// Most things named one by one.
const TOLD_MAX: usize = 4;

/// Adds what changed, or the detail as it is where it is not as the recorder writes it.
pub(super) fn push(line: &mut Line, record: &Record<'_>) {
    line.push(Style::Bold, Fit::Keep, "changes");
    let Some(detail) = record.detail else {
        return;
    };
    let told = told(detail).unwrap_or_else(|| detail.to_owned());
    line.push(Style::Plain, Fit::Shorten, told);
    line.push(Style::Dim, Fit::Drop, record.lineage.unwrap_or_default());
}

fn told(detail: &str) -> Option<String> {
    let detail: Value = serde_json::from_str(detail).ok()?;
    if let Some(authority) = detail.get("authority") {
        return self::authority(authority.as_str()?, &detail);
    }
    let changed = detail.get("changed")?.as_object()?;
    let changes: Vec<String> = changed
        .iter()
        .map(|(name, change)| {
            let what = match name.as_str() {
                "mounts" => mounts(change),
                "clock.steps" => step(change),
                _ => None,
            };
            what.unwrap_or_else(|| values(name, change))
        })
        .collect();
    (!changes.is_empty()).then(|| changes.join(", "))
}

/// What became of what authorises.
fn authority(reason: &str, detail: &Value) -> Option<String> {
    if reason == "reload" {
        let generation = detail.get("generation")?.as_u64()?;
        return Some(format!(
            "what governs was read again: generation {generation}"
        ));
    }
    Some(format!(
        "nothing is authorised any more: {}",
        detail.get("why")?.as_str()?
    ))
}

fn values(name: &str, change: &Value) -> String {
    format!(
        "{name} {} → {}",
        plain(&change["from"]),
        plain(&change["to"])
    )
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "?".to_owned(),
        other => other.to_string(),
    }
}

fn step(change: &Value) -> Option<String> {
    let step_ns = change.get("step_ns")?.as_i64()?;
    let ms = step_ns / 1_000_000;
    let (seconds, ms) = (ms / 1000, (ms % 1000).abs());
    let sign = if step_ns < 0 { "−" } else { "+" };
    Some(format!("clock set by {sign}{}.{ms:03} s", seconds.abs()))
}

fn mounts(change: &Value) -> Option<String> {
    let change = change.as_object()?;
    let words = [
        ("added", "mounted"),
        ("removed", "unmounted"),
        ("altered", "mounted otherwise"),
    ];
    let told: Vec<String> = words
        .iter()
        .filter_map(|(key, word)| Some(format!("{word} {}", points(change, key)?)))
        .collect();
    (!told.is_empty()).then(|| told.join(", "))
}

fn points(change: &Map<String, Value>, key: &str) -> Option<String> {
    let points = change.get(key)?.as_array()?;
    let more = change.get(&format!("more_{key}")).and_then(Value::as_u64);
    let named: Vec<String> = points.iter().take(TOLD_MAX).map(plain).collect();
    let rest = more
        .unwrap_or_default()
        .saturating_add((points.len() - named.len()) as u64);
    let named = named.join(" ");
    Some(match rest {
        0 => named,
        _ => format!("{named} and {rest} more"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_in_words() {
        let told = |detail: &str| told(detail);
        assert_eq!(
            told(r#"{"changed":{"hostname":{"from":"a","to":"b"}}}"#).as_deref(),
            Some("hostname a → b")
        );
        assert_eq!(
            told(r#"{"changed":{"clock.steps":{"from":0,"step_ns":-1500000000,"to":1}}}"#)
                .as_deref(),
            Some("clock set by −1.500 s")
        );
        let points = r#"["/a","/b","/c","/d","/e"]"#;
        let mounts = format!(r#"{{"added":{points},"more_added":2,"removed":["/x"]}}"#);
        assert_eq!(
            told(&format!(r#"{{"changed":{{"mounts":{mounts}}}}}"#)).as_deref(),
            Some("mounted /a /b /c /d and 3 more, unmounted /x")
        );
    }

    #[test]
    fn what_is_not_as_the_recorder_writes_it_is_left_as_it_is() {
        for detail in ["", "{}", "[]", r#"{"changed":{}}"#, r#"{"changed":7}"#] {
            assert_eq!(told(detail), None, "{detail}");
        }
        assert_eq!(
            told(r#"{"changed":{"mounts":7,"clock.steps":[]}}"#).as_deref(),
            Some("mounts ? → ?, clock.steps ? → ?")
        );
    }
}
