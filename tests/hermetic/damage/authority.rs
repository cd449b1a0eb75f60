//! What a recorder that follows the format can still get wrong about authority, and what its evidence says of how a lineage
//! was governed.

use lineage_agent::authority::grant::{Budgets, Grant, Purpose};
use lineage_agent::authority::policy::source::SCHEMA;
use lineage_agent::authority::selector::Selector;
use lineage_agent::authority::statement::{self, Subject};
use lineage_agent::authority::time::Time;
use lineage_agent::clock::Clock as _;
use lineage_agent::evidence::counters::Counters;
use lineage_agent::evidence::keys::IssuerKey;
use lineage_agent::evidence::manifest::Reason;
use lineage_agent::evidence::proof::make;
use lineage_agent::evidence::reader::Evidence;
use lineage_agent::evidence::schema::Record;
use lineage_agent::evidence::writer::Writer;
use lineage_agent::verify::{
    Code, Lines, Options, ProofReport, Report, Requirement, State, Trust, verify, verify_proof,
};
use serde_json::{Value, json};

use crate::sample::{Copy, Host, LINEAGE};

const POLICY: &str = r#"
    @id("read") permit (principal, action == Action::"read", resource is File) when { resource.path like "/srv/*" };
"#;

/// First second of the grants, which is before the host's clock begins, and their last.
const FROM: i64 = 1_795_400_000;
const UNTIL: i64 = 1_795_600_000;

/// A host whose recorder writes what the test says.
struct Scribe {
    host: Host,
    writer: Writer,
    issuer: IssuerKey,
    lead: IssuerKey,
    told: u64,
    /// Of what governs by the contexts that are made from here on.
    generation: i64,
}

impl Scribe {
    fn new() -> Self {
        let host = Host::new(9);
        let key = |name: &str| IssuerKey::create(&host.evidence().with_file_name(name)).unwrap();
        Self {
            issuer: key("issuer.pem"),
            lead: key("lead.pem"),
            writer: host.writer(),
            host,
            told: 0,
            generation: 1,
        }
    }

    fn store(&self, bytes: impl AsRef<[u8]>) -> String {
        self.writer.artifact(bytes.as_ref()).unwrap()
    }

    /// A grant about a policy.
    fn grant(&self, policy: &str, change: impl FnOnce(&mut Grant)) -> String {
        let mut grant = Grant {
            issuer: self.issuer.public(),
            purpose: Purpose::new("Triage".to_owned()),
            selector: Selector::default(),
            not_before: Time::from_seconds(FROM).unwrap(),
            not_after: Time::from_seconds(UNTIL).unwrap(),
            max_depth: 0,
            narrowed_by: Vec::new(),
            parent: None,
            budgets: Budgets::default(),
        };
        change(&mut grant);
        let key = if grant.issuer == self.lead.public() {
            &self.lead
        } else {
            &self.issuer
        };
        let subject = Subject::new("p.cedar".to_owned(), policy.as_bytes());
        statement::sign(vec![subject], grant, key)
    }

    /// The context of a lineage that these grants govern, changed by `change`.
    fn context(&self, grants: &[String], change: impl FnOnce(&mut Value)) -> String {
        let policy = self.store(POLICY);
        let levels: Vec<Value> = grants
            .iter()
            .map(|_| json!([{ "blake3": policy, "name": "p.cedar" }]))
            .collect();
        let governance = json!({
            "generation": self.generation,
            "levels": levels,
            "rules": ["p.cedar:read"],
            "schema": self.store(SCHEMA),
            "version": 1,
        });
        let grants: Vec<String> = grants.iter().map(|grant| self.store(grant)).collect();
        let mut context = json!({
            "enforcement": "enforce",
            "environment": self.store("{}"),
            "grants": grants,
            "intent": self.store("Triage"),
            "lineage": LINEAGE,
            "policy": self.store(governance.to_string()),
            "previous": null,
            "reason": "start",
            "version": 1,
        });
        change(&mut context);
        self.store(context.to_string())
    }

    /// A context after another, in which nothing governs.
    fn ungoverned(&self, previous: &str) -> String {
        self.context(&[], |context| {
            context["previous"] = json!(previous);
            context.as_object_mut().unwrap().remove("policy");
        })
    }

    /// The context after another, by the same grant in another environment.
    fn next(&self, grant: &String, previous: &str) -> String {
        self.context(std::slice::from_ref(grant), |context| {
            context["previous"] = json!(previous);
        })
    }

    /// Ends the segment.
    fn seal(&mut self) {
        self.writer.commit(&Counters::default()).unwrap();
        self.writer.seal(Reason::Rows).unwrap();
    }

    /// One record of the lineage.
    fn tell<'a>(&mut self, kind: &'a str, context: &'a str, fill: impl FnOnce(&mut Record<'a>)) {
        self.host.clock.pass(1_000_000);
        let time_ns = self.host.clock.now().boot_ns + self.writer.offset_ns();
        let mut record = Record {
            seq: Some(self.writer.next_seq()),
            time: Some(time_ns.div_euclid(1000)),
            time_ns: Some(time_ns),
            kind: Some(kind),
            origin: Some("agent"),
            lineage: Some(LINEAGE),
            lineage_seq: Some(self.told),
            cause: self.writer.next_seq().checked_sub(1),
            context: Some(context),
            ..Record::default()
        };
        fill(&mut record);
        self.writer.append(&record).unwrap();
        self.told += 1;
    }

    /// A file that was opened to be read, and what was decided.
    fn opened<'a>(&mut self, context: &'a str, path: &str, verdict: &'a str) {
        self.opened_by(1, context, path, verdict);
    }

    /// The same, by this generation of what governs.
    fn opened_by<'a>(&mut self, generation: i64, context: &'a str, path: &str, verdict: &'a str) {
        // Tests are short.
        let judged: &'static str = format!("read {path}").leak();
        // The recorder has names of the rules of generations that the lineage has had.
        let named = verdict == "allow" && generation <= self.generation;
        self.tell("file.open", context, |record| {
            record.verdict = Some(verdict);
            record.effect = Some(if verdict == "allow" {
                "allowed"
            } else {
                "prevented"
            });
            record.rule = named.then_some("p.cedar:read");
            record.grant_level = Some(0);
            record.table_generation = Some(generation);
            record.judged = Some(judged);
        });
    }

    /// The end of it, and what is said of the evidence.
    fn verified(self) -> Report {
        self.verified_after(|_| {})
    }

    /// The same of a copy that somebody has damaged.
    fn verified_after(mut self, damage: impl FnOnce(&Copy)) -> Report {
        self.writer.commit(&Counters::default()).unwrap();
        let trust = [self.host.root(), self.issuer.public().to_string()];
        self.writer.close(Reason::Shutdown).unwrap();
        let copy = self.host.copy();
        damage(&copy);
        let trust = Trust::parse(&trust).unwrap();
        verify(copy.temp.path(), &trust, &Options::default(), &|_, _| {}).unwrap()
    }
}

impl Scribe {
    /// The proof of the last event, and what is said of it.
    fn proven(mut self) -> ProofReport {
        self.writer.commit(&Counters::default()).unwrap();
        let trust = [self.host.root(), self.issuer.public().to_string()];
        let last = self.writer.next_seq() - 1;
        self.writer.close(Reason::Shutdown).unwrap();
        let evidence = Evidence::open(&self.host.evidence()).unwrap();
        let proof = make(&evidence.hosts()[0], last, &[]).unwrap();
        let trust = Trust::parse(&trust).unwrap();
        verify_proof(proof.text().as_bytes(), &trust, &[Requirement::Governed])
    }
}

fn codes(report: &Report) -> Vec<Code> {
    report.findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn a_lineage_under_a_grant_in_force_is_governed_without_a_break() {
    let mut scribe = Scribe::new();
    let grant = scribe.grant(POLICY, |_| {});
    let context = scribe.context(&[grant], |_| {});
    scribe.tell("lineage.start", &context, |record| record.cause = None);
    scribe.opened(&context, "/srv/a", "allow");
    scribe.opened(&context, "/etc/a", "deny");
    scribe.tell("lineage.end", &context, |_| {});
    let report = scribe.verified();
    assert_eq!(codes(&report), []);
    let told = &report.hosts[0].governance[0];
    assert!(told.unbroken, "{told:?}");
    assert_eq!(told.intervals[0].state, State::Governed);
    assert_eq!(told.intervals[0].decisions.allowed, 1);
    assert_eq!(told.intervals[0].decisions.prevented, 1);
}

#[test]
fn a_decision_that_the_policy_does_not_give_is_found() {
    for (path, verdict) in [("/etc/a", "allow"), ("/srv/a", "deny")] {
        let mut scribe = Scribe::new();
        let grant = scribe.grant(POLICY, |_| {});
        let context = scribe.context(&[grant], |_| {});
        scribe.tell("lineage.start", &context, |record| record.cause = None);
        scribe.opened(&context, path, verdict);
        scribe.tell("lineage.end", &context, |_| {});
        let report = scribe.verified();
        assert_eq!(codes(&report), [Code::DecisionWrong], "{path} {verdict}");
    }
}

#[test]
fn grants_that_do_not_authorise_what_governed_are_found() {
    let wide = |grant: &mut Grant, lead: &IssuerKey| {
        grant.max_depth = 1;
        grant.narrowed_by = vec![lead.public()];
    };
    type Case = fn(&Scribe, &dyn Fn(&mut Grant, &IssuerKey)) -> Vec<String>;
    let cases: [(&str, Case); 4] = [
        ("another policy", |scribe, _| {
            vec![scribe.grant("// other\n", |_| {})]
        }),
        ("a signature of nobody", |scribe, _| {
            let grant = scribe.grant(POLICY, |_| {});
            let mut envelope: Value = serde_json::from_str(&grant).unwrap();
            let signature = envelope["signatures"][0]["sig"].as_str().unwrap();
            let flipped = if signature.starts_with('A') { "B" } else { "A" };
            envelope["signatures"][0]["sig"] = format!("{flipped}{}", &signature[1..]).into();
            vec![envelope.to_string()]
        }),
        ("a wider child", |scribe, wide| {
            let parent = scribe.grant(POLICY, |grant| wide(grant, &scribe.lead));
            let id = statement::parse::<Grant>(parent.as_bytes()).unwrap().id;
            let child = scribe.grant(POLICY, |grant| {
                grant.issuer = scribe.lead.public();
                grant.parent = Some(id);
                grant.not_after = Time::from_seconds(UNTIL + 1).unwrap();
            });
            vec![parent, child]
        }),
        ("a child by somebody who may not", |scribe, _| {
            let parent = scribe.grant(POLICY, |grant| {
                grant.max_depth = 1;
                grant.narrowed_by = vec![scribe.issuer.public()];
            });
            let id = statement::parse::<Grant>(parent.as_bytes()).unwrap().id;
            let child = scribe.grant(POLICY, |grant| {
                grant.issuer = scribe.lead.public();
                grant.parent = Some(id);
            });
            vec![parent, child]
        }),
    ];
    for (what, grants) in cases {
        let mut scribe = Scribe::new();
        let grants = grants(&scribe, &wide);
        let context = scribe.context(&grants, |_| {});
        scribe.tell("lineage.start", &context, |record| record.cause = None);
        scribe.tell("lineage.end", &context, |_| {});
        let report = scribe.verified();
        assert_eq!(codes(&report), [Code::GrantBad], "{what}");
        assert!(!report.hosts[0].governance[0].unbroken, "{what}");
    }
}

#[test]
fn contexts_that_are_no_path_are_found() {
    let mut scribe = Scribe::new();
    let grant = scribe.grant(POLICY, |_| {});
    let first = scribe.context(std::slice::from_ref(&grant), |_| {});
    let hidden = scribe.context(&[], |context| context["previous"] = json!(first));
    let last = scribe.context(&[grant], |context| {
        context["previous"] = json!(hidden);
        context["reason"] = json!("reload");
    });
    scribe.tell("lineage.start", &first, |record| record.cause = None);
    // In between it was another one, of which no record tells.
    scribe.tell("context.change", &last, |_| {});
    scribe.tell("lineage.end", &last, |_| {});
    assert_eq!(codes(&scribe.verified()), [Code::ContextPath]);
}

/// Every record names a context, and only a record that says so begins one.
#[test]
fn a_context_that_no_record_began_is_found() {
    // Nothing is judged in it, so that no decision is wrong.
    let mut scribe = Scribe::new();
    let grant = scribe.grant(POLICY, |_| {});
    let first = scribe.context(&[grant], |_| {});
    let free = scribe.ungoverned(&first);
    scribe.tell("lineage.start", &first, |record| record.cause = None);
    scribe.tell("file.open", &free, |_| {});
    scribe.tell("lineage.end", &free, |_| {});
    let report = scribe.verified();
    assert_eq!(codes(&report), [Code::ContextPath]);
    let told = &report.hosts[0].governance[0];
    assert!(!told.unbroken);
    let states: Vec<State> = told.intervals.iter().map(|one| one.state).collect();
    assert_eq!(states, [State::Governed, State::Ungoverned]);
}

#[test]
fn records_of_a_lineage_that_never_began_are_found() {
    for kind in ["file.open", "context.change", "lineage.end"] {
        let mut scribe = Scribe::new();
        let grant = scribe.grant(POLICY, |_| {});
        let context = scribe.context(&[grant], |_| {});
        scribe.tell(kind, &context, |record| record.cause = None);
        let report = scribe.verified();
        assert_eq!(codes(&report), [Code::ContextPath], "{kind}");
        assert!(!report.hosts[0].governance[0].unbroken, "{kind}");
    }
}

#[test]
fn a_context_of_another_lineage_is_found() {
    let mut scribe = Scribe::new();
    let grant = scribe.grant(POLICY, |_| {});
    let context = scribe.context(&[grant], |context| context["lineage"] = json!("other"));
    scribe.tell("lineage.start", &context, |record| record.cause = None);
    scribe.tell("lineage.end", &context, |_| {});
    assert_eq!(codes(&scribe.verified()), [Code::ContextPath]);
}

/// It begins once, with a context that follows none, and nothing comes after its end.
#[test]
fn a_lineage_that_does_not_begin_and_end_once_is_found() {
    let cases: [(&str, [&str; 4]); 3] = [
        (
            "starts twice",
            ["lineage.start", "file.open", "lineage.start", "lineage.end"],
        ),
        (
            "ends twice",
            ["lineage.start", "file.open", "lineage.end", "lineage.end"],
        ),
        (
            "goes on",
            ["lineage.start", "file.open", "lineage.end", "file.open"],
        ),
    ];
    for (what, kinds) in cases {
        let mut scribe = Scribe::new();
        let grant = scribe.grant(POLICY, |_| {});
        let context = scribe.context(&[grant], |_| {});
        for kind in kinds {
            scribe.tell(kind, &context, |_| {});
        }
        assert_eq!(codes(&scribe.verified()), [Code::ContextPath], "{what}");
    }
    let mut scribe = Scribe::new();
    let grant = scribe.grant(POLICY, |_| {});
    let hidden = scribe.context(&[], |_| {});
    let context = scribe.context(&[grant], |context| context["previous"] = json!(hidden));
    scribe.tell("lineage.start", &context, |record| record.cause = None);
    scribe.tell("lineage.end", &context, |_| {});
    assert_eq!(codes(&scribe.verified()), [Code::ContextPath]);
}

/// What is not here is missing, and nobody is accused for that.
#[test]
fn segments_that_are_not_here_break_what_is_told_and_no_more() {
    for missing in [0, 1, 2] {
        let mut scribe = Scribe::new();
        let grant = scribe.grant(POLICY, |_| {});
        let first = scribe.context(std::slice::from_ref(&grant), |_| {});
        let second = scribe.next(&grant, &first);
        let third = scribe.next(&grant, &second);
        scribe.tell("lineage.start", &first, |record| record.cause = None);
        scribe.seal();
        scribe.tell("context.change", &second, |_| {});
        scribe.opened(&second, "/srv/a", "allow");
        scribe.seal();
        scribe.tell("context.change", &third, |_| {});
        scribe.opened(&third, "/srv/a", "allow");
        scribe.seal();
        scribe.opened(&third, "/srv/b", "allow");
        scribe.tell("lineage.end", &third, |_| {});
        let report = scribe.verified_after(|evidence| {
            std::fs::remove_file(evidence.segment(missing)).unwrap();
        });
        assert_eq!(codes(&report), [Code::FileMissing], "{missing}");
        let told = &report.hosts[0].governance[0];
        assert!(!told.unbroken, "{missing}");
        let why: Vec<&str> = told.breaks.iter().map(|one| &*one.why).collect();
        let expected = match missing {
            0 => "the records of its beginning are not here",
            1 => "its records between 1 and 2 are not proven",
            _ => "its records between 3 and 4 are not proven",
        };
        assert!(why.iter().any(|why| why.contains(expected)), "{why:?}");
    }
}

#[test]
fn documents_that_are_not_here_are_missing_and_no_more() {
    for which in ["context", "parent"] {
        let mut scribe = Scribe::new();
        let wide = scribe.grant(POLICY, |grant| {
            grant.max_depth = 1;
            grant.narrowed_by = vec![scribe.lead.public()];
        });
        let id = statement::parse::<Grant>(wide.as_bytes()).unwrap().id;
        let narrow = scribe.grant(POLICY, |grant| {
            grant.issuer = scribe.lead.public();
            grant.parent = Some(id);
        });
        let parent = scribe.context(std::slice::from_ref(&wide), |context| {
            context["lineage"] = json!("above");
        });
        let grants = [wide, narrow];
        let first = scribe.context(&grants, |context| context["parent"] = json!(parent));
        let last = scribe.context(&grants, |context| {
            context["previous"] = json!(first);
            context["parent"] = json!(parent);
        });
        scribe.tell("lineage.start", &first, |record| record.cause = None);
        scribe.tell("context.change", &last, |_| {});
        scribe.tell("lineage.end", &last, |_| {});
        let gone = if which == "parent" { parent } else { first };
        let report = scribe.verified_after(|evidence| {
            std::fs::remove_file(evidence.path(&format!("artifacts/{gone}"))).unwrap();
        });
        let codes = codes(&report);
        let missing = |code: &Code| matches!(code, Code::FileMissing | Code::PolicyMissing);
        assert!(codes.contains(&Code::FileMissing), "{which}");
        assert!(codes.iter().all(missing), "{which}: {codes:?}");
        assert!(which == "parent" || !report.hosts[0].governance[0].unbroken);
    }
}

/// A call that was allowed may last on until nothing is any more. It was allowed all the same, and that is told; what never
/// was allowed is found.
#[test]
fn what_is_allowed_in_a_context_that_lapsed_was_allowed_before() {
    for (path, lapsed_before, expected) in [
        ("/srv/a", false, vec![]),
        ("/etc/a", false, vec![Code::DecisionWrong]),
        ("/srv/a", true, vec![Code::DecisionWrong]),
    ] {
        let mut scribe = Scribe::new();
        let grant = scribe.grant(POLICY, |_| {});
        let first = scribe.context(std::slice::from_ref(&grant), |context| {
            if lapsed_before {
                context["lapsed"] = json!("it was over");
            }
        });
        let last = scribe.context(&[grant], |context| {
            context["previous"] = json!(first);
            context["reason"] = json!("revoked");
            context["lapsed"] = json!("it was revoked");
        });
        scribe.tell("lineage.start", &first, |record| record.cause = None);
        scribe.tell("context.change", &last, |_| {});
        scribe.opened(&last, path, "allow");
        scribe.tell("lineage.end", &last, |_| {});
        let report = scribe.verified();
        assert_eq!(codes(&report), expected, "{path}");
        if expected.is_empty() {
            assert!(broken(&report, "1 were allowed before"), "{report:?}");
        }
    }
}

/// Whether a lineage was not governed without a break for such a reason.
fn broken(report: &Report, why: &str) -> bool {
    let told = &report.hosts[0].governance[0];
    !told.unbroken && told.breaks.iter().any(|one| one.why.contains(why))
}

/// Of a call that lasts on while a lineage is made from another one, or while the policies are exchanged, those decide that
/// governed when it began.
#[test]
fn what_decided_before_a_call_lasted_on_is_asked() {
    let wrong = || vec![Code::DecisionWrong];
    for (case, by_parent, first, generation, expected) in [
        ("an older generation", false, 1, 1, vec![]),
        ("one that never was", false, 1, 3, wrong()),
        ("the lineage above", true, 1, 1, vec![]),
        ("a rule without a name here", true, 2, 2, vec![]),
        ("not even the lineage above", true, 1, 3, wrong()),
    ] {
        let mut scribe = Scribe::new();
        let wide = scribe.grant(POLICY, |grant| {
            grant.max_depth = 1;
            grant.narrowed_by = vec![scribe.lead.public()];
        });
        let id = statement::parse::<Grant>(wide.as_bytes()).unwrap().id;
        let narrow = scribe.grant(POLICY, |grant| {
            grant.issuer = scribe.lead.public();
            grant.parent = Some(id);
        });
        scribe.generation = first;
        let above = scribe.context(std::slice::from_ref(&wide), |context| {
            context["lineage"] = json!(if by_parent { "above" } else { LINEAGE });
        });
        scribe.generation = 1;
        let grants = [wide.clone(), narrow];
        let context = if by_parent {
            scribe.context(&grants, |context| context["parent"] = json!(above))
        } else {
            scribe.tell("lineage.start", &above, |record| record.cause = None);
            scribe.generation = 2;
            scribe.next(&wide, &above)
        };
        let kind = if by_parent {
            "lineage.start"
        } else {
            "context.change"
        };
        scribe.tell(kind, &context, |_| {});
        scribe.opened_by(generation, &context, "/srv/a", "allow");
        scribe.tell("lineage.end", &context, |_| {});
        let report = scribe.verified();
        assert_eq!(codes(&report), expected, "{case}");
        if expected.is_empty() {
            let told = broken(&report, "decided by what governs the lineage");
            assert_eq!(told, by_parent, "{case}: {report:?}");
        }
    }
}

/// The budget that is spent is that of the grant that governed when it was.
#[test]
fn a_budget_is_one_of_the_grants_that_decided() {
    for (generation, expected) in [(1, vec![]), (2, vec![Code::DecisionWrong])] {
        let mut scribe = Scribe::new();
        let limited = scribe.grant(POLICY, |grant| grant.budgets.execs = Some(1));
        let free = scribe.grant(POLICY, |_| {});
        let first = scribe.context(&[limited], |_| {});
        scribe.generation = 2;
        let last = scribe.next(&free, &first);
        scribe.tell("lineage.start", &first, |record| record.cause = None);
        scribe.tell("context.change", &last, |_| {});
        scribe.tell("process.exec", &last, |record| {
            record.verdict = Some("deny");
            record.effect = Some("killed-before-run");
            record.reason = Some("budget");
            record.grant_level = Some(0);
            record.table_generation = Some(generation);
            record.judged = Some("exec /srv/a");
        });
        scribe.tell("lineage.end", &last, |_| {});
        assert_eq!(codes(&scribe.verified()), expected, "{generation}");
    }
}

/// A verdict has an effect that fits it, and an effect a verdict.
#[test]
fn effects_that_no_verdict_has_are_found() {
    for (verdict, effect, kind) in [
        (Some("deny"), Some("allowed"), "file.open"),
        (Some("allow"), Some("prevented"), "file.open"),
        (Some("allow"), None, "file.open"),
        (None, Some("allowed"), "file.open"),
        // These are decided by nobody, and what they are for is not lost.
        (None, Some("allowed"), "context.change"),
        (None, Some("allowed"), "evidence.loss"),
    ] {
        let mut scribe = Scribe::new();
        let grant = scribe.grant(POLICY, |_| {});
        let context = scribe.context(&[grant], |_| {});
        scribe.tell("lineage.start", &context, |record| record.cause = None);
        scribe.tell(kind, &context, |record| {
            record.verdict = verdict;
            record.effect = effect;
            record.rule = Some("p.cedar:read");
            record.grant_level = Some(0);
            record.table_generation = Some(1);
            record.judged = Some("read /srv/a");
        });
        scribe.tell("lineage.end", &context, |_| {});
        let codes = codes(&scribe.verified());
        assert_eq!(
            codes,
            [Code::DecisionWrong],
            "{verdict:?} {effect:?} {kind}"
        );
    }
}

#[test]
fn denials_that_were_only_recorded_break_what_is_enforced() {
    for (enforcement, told) in [("enforce", true), ("audit", false)] {
        let mut scribe = Scribe::new();
        let grant = scribe.grant(POLICY, |_| {});
        let context = scribe.context(&[grant], |context| {
            context["enforcement"] = json!(enforcement);
        });
        scribe.tell("lineage.start", &context, |record| record.cause = None);
        scribe.tell("file.open", &context, |record| {
            record.verdict = Some("deny");
            record.effect = Some("would-deny");
            record.grant_level = Some(0);
            record.table_generation = Some(1);
            record.judged = Some("read /etc/a");
        });
        scribe.tell("lineage.end", &context, |_| {});
        let report = scribe.verified();
        assert_eq!(codes(&report), []);
        assert_eq!(broken(&report, "1 denials were only recorded"), told);
    }
}

/// Nobody has to parse what no grant can name.
#[test]
fn policies_without_end_are_not_looked_up() {
    let level = |scribe: &Scribe, count: usize| -> Vec<Value> {
        let policy = scribe.store(POLICY);
        let named = |at| json!({ "blake3": policy, "name": format!("{at}.cedar") });
        (0..count).map(named).collect()
    };
    for (levels, each, expected) in [
        (1, 64, vec![]),
        (1, 65, vec![Code::PolicyMissing]),
        (9, 1, vec![Code::PolicyMissing]),
    ] {
        let mut scribe = Scribe::new();
        let levels: Vec<_> = (0..levels).map(|_| level(&scribe, each)).collect();
        let policy = json!({ "generation": 1, "levels": levels, "schema": scribe.store(SCHEMA) });
        let policy = scribe.store(policy.to_string());
        let context = scribe.context(&[], |context| context["policy"] = json!(policy));
        scribe.tell("lineage.start", &context, |record| record.cause = None);
        scribe.tell("lineage.end", &context, |_| {});
        assert_eq!(codes(&scribe.verified()), expected, "{each}");
    }
}

#[test]
fn what_was_allowed_outside_of_the_time_of_the_grant_is_a_break() {
    let mut scribe = Scribe::new();
    let grant = scribe.grant(POLICY, |grant| {
        grant.not_after = Time::from_seconds(FROM + 10).unwrap();
    });
    let context = scribe.context(&[grant], |_| {});
    scribe.tell("lineage.start", &context, |record| record.cause = None);
    scribe.opened(&context, "/srv/a", "allow");
    scribe.tell("lineage.end", &context, |_| {});
    let report = scribe.verified();
    let told = &report.hosts[0].governance[0];
    assert!(!told.unbroken);
    assert!(told.breaks[0].why.contains("did not authorise"), "{told:?}");
}

#[test]
fn an_issuer_who_is_not_trusted_governs_nothing() {
    let mut scribe = Scribe::new();
    let grant = scribe.grant(POLICY, |grant| grant.issuer = scribe.lead.public());
    let context = scribe.context(&[grant], |_| {});
    scribe.tell("lineage.start", &context, |record| record.cause = None);
    scribe.tell("lineage.end", &context, |_| {});
    let report = scribe.verified();
    assert_eq!(codes(&report), []);
    let told = &report.hosts[0].governance[0];
    assert!(!told.unbroken);
    assert!(told.breaks[0].why.contains("is not trusted"), "{told:?}");
}

#[test]
fn a_proof_tells_what_governed_the_event() {
    let mut scribe = Scribe::new();
    let grant = scribe.grant(POLICY, |_| {});
    let first = scribe.context(std::slice::from_ref(&grant), |_| {});
    let next = scribe.next(&grant, &first);
    scribe.tell("lineage.start", &first, |record| record.cause = None);
    scribe.tell("context.change", &next, |_| {});
    scribe.opened(&next, "/srv/a", "allow");
    let issuer = scribe.issuer.public().to_string();
    let report = scribe.proven();
    assert!(
        report.findings.is_empty(),
        "{}",
        report.text(&Lines::default(), str::to_owned)
    );
    assert_eq!((report.exit_code, &report.unmet[..]), (0, &[][..]));
    let governed = report.proven.unwrap().governed;
    assert_eq!(governed.state, State::Governed);
    assert_eq!(governed.purpose.as_deref(), Some("Triage"));
    assert_eq!(governed.issuer, Some(issuer));
    assert!(governed.issuer_trusted && governed.in_time);
    assert_eq!(governed.rule.as_deref(), Some("p.cedar:read"));
}

#[test]
fn a_proof_of_something_that_did_not_govern_is_found() {
    type Case = fn(&mut Scribe);
    let cases: [(&str, Code, Case); 4] = [
        ("another decision", Code::DecisionWrong, |scribe| {
            let grant = scribe.grant(POLICY, |_| {});
            let context = scribe.context(&[grant], |_| {});
            scribe.tell("lineage.start", &context, |record| record.cause = None);
            scribe.opened(&context, "/etc/a", "allow");
        }),
        ("another policy", Code::GrantBad, |scribe| {
            let grant = scribe.grant("// other\n", |_| {});
            let context = scribe.context(&[grant], |_| {});
            scribe.tell("lineage.start", &context, |record| record.cause = None);
        }),
        (
            "a context of another lineage",
            Code::ContextPath,
            |scribe| {
                let context = scribe.context(&[], |context| context["lineage"] = json!("other"));
                scribe.tell("lineage.start", &context, |record| record.cause = None);
            },
        ),
        (
            "a context that follows from none",
            Code::ContextPath,
            |scribe| {
                let grant = scribe.grant(POLICY, |_| {});
                let first = scribe.context(std::slice::from_ref(&grant), |_| {});
                let other = scribe.context(&[grant], |context| context["reason"] = json!("reload"));
                scribe.tell("lineage.start", &first, |record| record.cause = None);
                scribe.tell("file.open", &other, |_| {});
            },
        ),
    ];
    for (what, code, tell) in cases {
        let mut scribe = Scribe::new();
        tell(&mut scribe);
        let report = scribe.proven();
        let codes: Vec<Code> = report.findings.iter().map(|finding| finding.code).collect();
        assert_eq!((codes, report.exit_code), (vec![code], 1), "{what}");
    }
}
