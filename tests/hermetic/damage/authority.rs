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
use lineage_agent::evidence::schema::Record;
use lineage_agent::evidence::writer::Writer;
use lineage_agent::verify::{Code, Options, Report, State, Trust, verify};
use serde_json::{Value, json};

use crate::sample::{Host, LINEAGE};

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
            "generation": 1,
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
        // Tests are short.
        let judged: &'static str = format!("read {path}").leak();
        self.tell("file.open", context, |record| {
            record.verdict = Some(verdict);
            record.effect = Some(if verdict == "allow" {
                "allowed"
            } else {
                "prevented"
            });
            record.rule = (verdict == "allow").then_some("p.cedar:read");
            record.grant_level = Some(0);
            record.table_generation = Some(1);
            record.judged = Some(judged);
        });
    }

    /// The end of it, and what is said of the evidence.
    fn verified(mut self) -> Report {
        self.writer.commit(&Counters::default()).unwrap();
        let trust = [self.host.root(), self.issuer.public().to_string()];
        self.writer.close(Reason::Shutdown).unwrap();
        let trust = Trust::parse(&trust).unwrap();
        verify(
            &self.host.evidence(),
            &trust,
            &Options::default(),
            &|_, _| {},
        )
        .unwrap()
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

#[test]
fn nothing_is_allowed_after_the_authority_is_over() {
    for (lapsed, expected) in [(false, vec![]), (true, vec![Code::DecisionWrong])] {
        let mut scribe = Scribe::new();
        let grant = scribe.grant(POLICY, |_| {});
        let first = scribe.context(std::slice::from_ref(&grant), |_| {});
        let last = scribe.context(&[grant], |context| {
            context["previous"] = json!(first);
            context["reason"] = json!("revoked");
            if lapsed {
                context["lapsed"] = json!("it was revoked");
            }
        });
        scribe.tell("lineage.start", &first, |record| record.cause = None);
        scribe.tell("context.change", &last, |_| {});
        scribe.opened(&last, "/srv/a", "allow");
        scribe.tell("lineage.end", &last, |_| {});
        assert_eq!(codes(&scribe.verified()), expected);
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
