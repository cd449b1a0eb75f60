//! `docs/schema.md` says what the code says.

use std::fmt::Write;

use lineage_agent::evidence::kinds::{ACTOR, COMMON, Group, KINDS, Kind};
use lineage_agent::evidence::schema::{FIELDS, Field, FieldType, Source};

use crate::golden;

const INTRODUCTION: &str = "\
# Schema

What a record can say: the columns of `events/**/*.parquet` and the keys of `lineage ls --ndjson`. Generated from
`lineage-agent/src/evidence/schema.rs` and `kinds.rs` by `cargo xtask bless`; `evidence-format.md` says how records are
encoded, hashed and signed.

Every column may be null: a field is absent where it is not known or has no meaning. Text never holds a byte that a terminal
would obey: what is not printable UTF-8 is written `\\xHH`, a backslash `\\\\` (see *Text and escape* in `evidence-format.md`).

Two columns are text that holds JSON: `argv` an array of strings, `detail` an object; `--ndjson` has the array and the object themselves.

```sql
-- DuckDB, straight on the evidence: what was written, by whom
SELECT time, pid, comm, path, bytes_written FROM 'run1/host=*/events/**/*.parquet'
WHERE kind = 'file.close' AND bytes_written > 0 ORDER BY seq;

-- every record with the one that caused it
SELECT r.seq, r.kind, r.path, c.kind AS because, c.argv FROM 'run1/host=*/events/**/*.parquet' r
JOIN 'run1/host=*/events/**/*.parquet' c
ON r.host = c.host AND r.cause = c.seq;
```

";

#[test]
fn the_schema_document_is_up_to_date() {
    golden::check("docs/schema.md", &document());
}

fn document() -> String {
    let mut text = INTRODUCTION.to_owned();
    kinds(&mut text).expect("writing to a String succeeds");
    fields(&mut text).expect("writing to a String succeeds");
    text
}

fn kinds(text: &mut String) -> std::fmt::Result {
    text.push_str("## Kinds\n\n");
    let common = list(COMMON);
    let actor = list(ACTOR);
    writeln!(text, "Every record has {common}.\n")?;
    writeln!(text, "Every record in which a process acts has {actor}.\n")?;
    text.push_str("OCSF is `type_uid` (class and activity) of the Open Cybersecurity Schema Framework, for exports.\n\n");
    text.push_str("| kind | meaning | further fields | OCSF |\n|---|---|---|---|\n");
    for kind in KINDS {
        let ocsf = kind
            .ocsf
            .map_or("–".to_owned(), |ocsf| ocsf.type_uid().to_string());
        let meaning = meaning(kind);
        writeln!(
            text,
            "| `{}` | {meaning} | {} | {ocsf} |",
            kind.name,
            list(kind.fields)
        )?;
    }
    text.push('\n');
    Ok(())
}

fn meaning(kind: &Kind) -> String {
    let actor = if kind.group == Group::Recorder {
        " No process acts."
    } else {
        ""
    };
    format!("{}{actor}", kind.doc)
}

fn fields(text: &mut String) -> std::fmt::Result {
    text.push_str(
        "## Fields\n\n\
         *Source* is where the value comes from when `origin` is `kernel`: **kernel** structures; **claimed**, memory of the\n\
         process, which could have written anything there; **derived** by the recorder from the rest of the evidence.\n\n\
         | id | name | type | source | meaning |\n|---|---|---|---|---|\n",
    );
    for field in FIELDS {
        let Field { id, name, doc, .. } = field;
        let (kind, source) = (column(field.field_type), source(field.source));
        writeln!(text, "| {id} | `{name}` | {kind} | {source} | {doc} |")?;
    }
    Ok(())
}

fn column(field_type: FieldType) -> &'static str {
    match field_type {
        FieldType::U64 | FieldType::I64 => "BIGINT",
        FieldType::Micros => "TIMESTAMP",
        FieldType::Text => "VARCHAR",
    }
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Kernel => "kernel",
        Source::Claimed => "claimed",
        Source::Derived => "derived",
    }
}

fn list(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
