//! `lineage grant inspect`: show grants, and whether they authorise anything.

use std::{
    fmt::{self, Display, Write as _},
    process::ExitCode,
};

use serde_json::{Value, json};

use super::{now, screen};
use crate::{
    authority::{
        chain::Chain,
        files,
        grant::{Budgets, Grant},
        revocation::Revocation,
        selector::{Executable, Selector},
        statement::Statement,
        time::Time,
    },
    cli::grant::Inspect,
    commands::visible,
    counted::{counted, grouped},
    evidence::keys::PublicKey,
};

/// Whether a chain authorises something.
enum Answer {
    Yes,
    /// Why not.
    No(String),
    /// Nobody said whom to trust.
    Unknown,
}

impl Answer {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Yes => ExitCode::SUCCESS,
            Self::No(_) => ExitCode::from(1),
            Self::Unknown => ExitCode::from(3),
        }
    }
}

/// Runs `lineage grant inspect`.
pub(super) fn run(options: &Inspect) -> anyhow::Result<ExitCode> {
    let chain = files::chain(&options.grant)?;
    let trusted = options.trust.iter().map(|text| files::public_key(text));
    let trusted: Vec<PublicKey> = trusted.collect::<Result<_, _>>()?;
    let revocations = options.revoked.iter().map(|path| files::revocation(path));
    let revocations: Vec<_> = revocations.collect::<Result<_, _>>()?;
    let at = match &options.at {
        Some(text) => super::terms::time("--at", text)?,
        None => now()?,
    };
    for revocation in revocations.iter().filter(|one| !counts(one, &chain)) {
        let names = chain.links().iter().any(|grant| revocation.names(grant.id));
        let why = if names {
            "does not count: only who issued a grant, or one above it, can take it back"
        } else {
            "is about other grants"
        };
        super::remark(&format!(
            "the revocation by {} {why}",
            revocation.predicate.issuer
        ));
    }
    let refusal = if trusted.is_empty() {
        chain.lapse(&revocations, at)
    } else {
        chain.refusal(&trusted, &revocations, at)
    };
    let answer = match refusal {
        Some(refusal) => Answer::No(refusal.to_string()),
        None if trusted.is_empty() => Answer::Unknown,
        None => Answer::Yes,
    };
    let text = if options.json {
        screen::json(&json(&chain, at, &answer))
    } else {
        text(&chain, at, &answer)?
    };
    screen::print(&text)?;
    Ok(answer.exit_code())
}

/// Whether a revocation takes back anything here, at any time.
fn counts(revocation: &Statement<Revocation>, chain: &Chain) -> bool {
    chain.revoked_by(revocation).is_some()
}

fn json(chain: &Chain, at: Time, answer: &Answer) -> Value {
    let grants = chain.links().iter().map(|statement| {
        json!({
            "id": statement.id,
            "policies": statement.subjects,
            "grant": statement.predicate,
        })
    });
    let (authorises, why_not) = match answer {
        Answer::Yes => (Some(true), None),
        Answer::No(why) => (Some(false), Some(why.as_str())),
        Answer::Unknown => (None, None),
    };
    json!({
        "grants": grants.collect::<Vec<_>>(),
        "at": at,
        "authorises": authorises,
        "why_not": why_not,
    })
}

fn text(chain: &Chain, at: Time, answer: &Answer) -> Result<String, fmt::Error> {
    let mut out = String::new();
    let levels = chain.links().len();
    for (index, link) in chain.links().iter().enumerate() {
        let title = if levels > 1 {
            format!(" ({} of {levels})", index + 1)
        } else {
            String::new()
        };
        grant(&mut out, link, &title)?;
        writeln!(out)?;
    }
    match answer {
        Answer::Yes => writeln!(out, "authorises at {at}")?,
        Answer::No(why) => {
            let why = visible(why.as_bytes());
            writeln!(out, "authorises nothing at {at}: {why}")?;
        }
        Answer::Unknown => writeln!(
            out,
            "nothing is wrong with it at {at}; whether its issuer may grant anything was not asked \
             (--trust KEY)"
        )?,
    }
    Ok(out)
}

fn grant(out: &mut String, statement: &Statement<Grant>, title: &str) -> fmt::Result {
    let grant = &statement.predicate;
    writeln!(out, "grant     {}{title}", statement.id)?;
    writeln!(out, "purpose   {}", visible(grant.purpose.text.as_bytes()))?;
    writeln!(out, "issuer    {}", grant.issuer)?;
    writeln!(out, "from      {}", grant.not_before)?;
    writeln!(out, "until     {}", grant.not_after)?;
    writeln!(out, "selects   {}", selected(&grant.selector))?;
    for subject in &statement.subjects {
        let name = visible(subject.name.as_bytes());
        writeln!(out, "policy    {} {name}", subject.digest())?;
    }
    let Budgets {
        execs,
        connections,
        bytes_sent,
    } = grant.budgets;
    let budgets = [
        (execs, "executions"),
        (connections, "connections"),
        (bytes_sent, "bytes sent"),
    ];
    for (most, what) in budgets {
        if let Some(most) = most {
            writeln!(out, "at most   {} {what}", grouped(most))?;
        }
    }
    if grant.max_depth == 0 {
        return writeln!(out, "narrowed  by nobody");
    }
    let levels = counted(grant.max_depth, "level", "levels");
    for key in &grant.narrowed_by {
        writeln!(out, "narrowed  by {key}, {levels} more")?;
    }
    Ok(())
}

/// What a selector selects, in words.
fn selected(selector: &Selector) -> String {
    let executables = selector.executables.as_ref().map(|list| {
        any(list.iter().map(|program| match program {
            Executable::Path(path) => visible(path.as_bytes()),
            Executable::Blake3(digest) => format!("blake3:{digest}"),
        }))
    });
    let uids = selector
        .uids
        .as_ref()
        .map(|list| format!("as user {}", any(list.iter())));
    let cgroups = selector.cgroups.as_ref().map(|list| {
        let names = list.iter().map(|name| visible(name.as_bytes()));
        format!("in control group {}", any(names))
    });
    let launched = selector
        .launch_only
        .then(|| "started by the recorder".to_owned());
    let conditions: Vec<String> = [executables, uids, cgroups, launched]
        .into_iter()
        .flatten()
        .collect();
    if conditions.is_empty() {
        return "any process".to_owned();
    }
    conditions.join(", ")
}

fn any(list: impl Iterator<Item = impl Display>) -> String {
    let texts: Vec<String> = list.map(|one| one.to_string()).collect();
    texts.join(" or ")
}
