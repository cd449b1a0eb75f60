//! The tables and the real engine give the same answers.

use std::net::IpAddr;
use std::sync::Arc;

use lineage_common::policy::{Operation, Protocol, Resource, Ruling};
use proptest::prelude::*;

use super::engine::{Engine, Object};
use super::source::SourceError;
use super::*;

/// Policies with the engine and the table for them, to be asked both.
struct Both {
    compiled: Compiled,
    levels: Vec<Vec<Source>>,
    schema: Arc<Schema>,
}

impl Both {
    fn new(levels: &[&str]) -> Self {
        let schema = Arc::new(Schema::new());
        let levels: Vec<Vec<Source>> = levels
            .iter()
            .map(|text| match Source::parse("p", text.as_bytes(), &schema) {
                Ok(source) => vec![source],
                Err(error) => panic!("{error}\n{text}"),
            })
            .collect();
        let compiled = match compile(&levels, &schema) {
            Ok(compiled) => compiled,
            Err(error) => panic!("{error}"),
        };
        Self {
            compiled,
            levels,
            schema,
        }
    }

    /// Asks both the same questions; what they say.
    fn ask<const N: usize>(
        &self,
        questions: &[(Target, Object); N],
    ) -> [(bool, u8, Option<&str>); N] {
        let engine = Engine::new(&self.levels, self.schema.clone()).unwrap();
        std::array::from_fn(|at| {
            let (target, object) = &questions[at];
            self.same(&engine, *target, object)
        })
    }

    fn same(&self, engine: &Engine, target: Target, object: &Object) -> (bool, u8, Option<&str>) {
        let ruling = match object {
            Object::Path(path) => self.compiled.table.path(target, path.as_bytes()),
            Object::Endpoint {
                address,
                port,
                protocol,
            } => self
                .compiled
                .table
                .address(target.operation, *protocol, *address, *port),
        };
        let Ruling {
            allowed,
            level,
            rule,
        } = ruling.expect("an entry for everything");
        let named = self.compiled.rules.get(usize::from(rule));
        let answer = engine.decide(target, object);
        assert_eq!(answer.errors, [] as [&str; 0]);
        assert_eq!(
            (allowed == 1, level),
            (answer.allowed, answer.level),
            "{target:?} {object:?}\n{:?}",
            self.levels
        );
        match named {
            Some(rule) => {
                assert!(answer.rules.contains(&rule.name), "{target:?} {object:?}");
                assert_eq!(rule.level, level);
                assert_eq!(rule.effect == Effect::Permit, allowed == 1);
            }
            None => assert_eq!((answer.rules, rule), (vec![], Ruling::NO_RULE)),
        }
        (allowed == 1, level, named.map(|rule| rule.name.as_str()))
    }
}

fn file(operation: Operation, path: &str) -> (Target, Object) {
    let resource = match operation {
        Operation::EXEC => Resource::Program,
        _ => Resource::File,
    };
    let target = Target {
        operation,
        resource,
    };
    (target, Object::Path(path.to_owned()))
}

fn endpoint(operation: Operation, address: &str, port: u16) -> (Target, Object) {
    let target = Target {
        operation,
        resource: Resource::Endpoint,
    };
    let object = Object::Endpoint {
        address: address.parse().unwrap(),
        port,
        protocol: Protocol::TCP,
    };
    (target, object)
}

fn said(text: &str, target_and_object: (Target, Object)) -> (bool, u8, Option<String>) {
    let both = Both::new(&[text]);
    let (allowed, level, rule) = both.ask(&[target_and_object])[0];
    (allowed, level, rule.map(str::to_owned))
}

/// What is wrong with a text.
fn wrong(text: &str) -> String {
    let schema = Schema::new();
    match Source::parse("p", text.as_bytes(), &schema) {
        Err(error) => error.to_string(),
        Ok(source) => compile(&[vec![source]], &schema).unwrap_err().to_string(),
    }
}

#[test]
fn what_is_not_permitted_is_denied_and_what_is_forbidden_too() {
    let text = r#"
        @id("data") permit (principal, action == Action::"read", resource) when { resource.path like "/data/*" };
        @id("keys") forbid (principal, action, resource is File) when { resource.path like "/data/keys/*" };
        permit (principal, action == Action::"exec", resource) when { resource.path == "/bin/sh" };
    "#;
    let ask = |operation, path| said(text, file(operation, path));
    let rule = |allowed, name: &str| (allowed, 0, Some(format!("p:{name}")));
    assert_eq!(ask(Operation::READ, "/data/a"), rule(true, "data"));
    assert_eq!(ask(Operation::READ, "/data/keys/a"), rule(false, "keys"));
    assert_eq!(ask(Operation::WRITE, "/data/keys/a"), rule(false, "keys"));
    assert_eq!(ask(Operation::READ, "/data"), (false, 0, None));
    assert_eq!(ask(Operation::WRITE, "/data/a"), (false, 0, None));
    assert_eq!(ask(Operation::EXEC, "/bin/sh"), rule(true, "policy2"));
    assert_eq!(ask(Operation::EXEC, "/bin/shx"), (false, 0, None));
    assert_eq!(ask(Operation::EXEC, "/bin/s"), (false, 0, None));
}

#[test]
fn every_grant_of_a_chain_must_allow_it() {
    let wide = r#"permit (principal, action, resource is File);"#;
    let narrow = r#"permit (principal, action == Action::"read", resource is File) when { resource.path like "/a/*" };"#;
    let both = Both::new(&[wide, narrow]);
    let asked = [
        file(Operation::READ, "/a/b"),
        file(Operation::READ, "/b"),
        file(Operation::EXEC, "/a/b"),
    ];
    let expected = [
        (true, 1, Some("p:policy0")),
        (false, 1, None),
        (false, 0, None),
    ];
    assert_eq!(both.ask(&asked), expected);
}

#[test]
fn addresses_ports_and_protocols() {
    let text = r#"
        permit (principal, action == Action::"connect", resource is Endpoint)
        when { resource.address.isInRange(ip("10.0.0.0/8")) && resource.port == 443 && resource.protocol == "tcp" };
        permit (principal, action in Action::"network", resource is Endpoint)
        when { resource.address.isLoopback() && (resource.port >= 1024 || resource.port < 10) };
        forbid (principal, action, resource is Endpoint) when { resource.address == ip("10.1.1.1") };
        permit (principal, action == Action::"connect", resource is UnixSocket) when { resource.path == "/run/a.sock" };
    "#;
    let both = Both::new(&[text]);
    let ask = |address, port| both.ask(&[endpoint(Operation::CONNECT, address, port)])[0].0;
    assert!(ask("10.1.1.2", 443) && ask("::ffff:10.1.1.2", 443));
    assert!(!ask("10.1.1.1", 443) && !ask("10.1.1.2", 80) && !ask("11.1.1.2", 443));
    assert!(ask("127.3.0.1", 1024) && ask("::1", 9) && ask("127.0.0.1", 65535));
    assert!(!ask("127.0.0.1", 10) && !ask("::1", 1023) && !ask("::2", 9));
    assert!(!both.ask(&[endpoint(Operation::SEND, "10.1.1.2", 443)])[0].0);
    assert!(both.ask(&[endpoint(Operation::SEND, "127.0.0.1", 2000)])[0].0);
    let socket = |path: &str| {
        let (operation, resource) = (Operation::CONNECT, Resource::UnixSocket);
        (
            Target {
                operation,
                resource,
            },
            Object::Path(path.to_owned()),
        )
    };
    let asked = [socket("/run/a.sock"), socket("/run/b.sock")];
    assert_eq!(both.ask(&asked).map(|(allowed, ..)| allowed), [true, false]);
}

#[test]
fn blocks_of_one_family_have_none_of_the_other() {
    let text = r#"permit (principal, action, resource is Endpoint) when { resource.address.isInRange(ip("::/0")) };"#;
    let both = Both::new(&[text]);
    let ask = |address| both.ask(&[endpoint(Operation::CONNECT, address, 1)])[0].0;
    assert!(ask("::1") && ask("2001:db8::1"));
    assert!(!ask("10.0.0.1") && !ask("::ffff:10.0.0.1"));
}

#[test]
fn what_has_no_table_is_an_error_that_names_it() {
    let of = |condition: &str| {
        wrong(&format!(
            "@id(\"x\") permit (principal, action == Action::\"read\", resource) when {{ {condition} }};"
        ))
    };
    let error = of(r#"resource.path like "/a/*/b""#);
    assert!(
        error.starts_with("policy p:x: `resource[\"path\"] like")
            || error.contains("like \"/a/*/b\""),
        "{error}"
    );
    assert!(error.contains("`*` can only stand at the end"), "{error}");
    assert!(
        of(r#"resource.path == principal"#).contains("line 1 column"),
        "by the schema"
    );
    assert!(of(r#"resource == File::"a""#).contains("cannot be enforced"));
    assert!(of(r#"principal == Workload::"a""#).contains("cannot be enforced"));
    assert!(
        of(&format!(r#"resource.path == "/{}""#, "a".repeat(247))).contains("longer than a key")
    );
    assert!(of("resource.path == \"/\u{fffd}\"").contains("no text"));
    let scope = r#"permit (principal == Workload::"a", action, resource);"#;
    assert!(wrong(scope).contains("not as entities"), "{}", wrong(scope));
    let error = wrong(
        "permit (principal, action == Action::\"read\", resource)\nwhen { resource.pat == \"a\" };",
    );
    assert!(error.starts_with("line 2 column"), "{error}");
    assert!(wrong("permit (principal, action\n  resource);").starts_with("line 2 column 3"));
    assert!(wrong("permit (principal == ?principal, action, resource);").contains("templates"));
    let twice = "@id(\"a\") permit (principal, action, resource); @id(\"a\") permit (principal, action, resource);";
    assert_eq!(wrong(twice), "two rules are called \"a\"");
    let parsed = Source::parse("p", b"\xff", &Schema::new());
    assert_eq!(parsed.unwrap_err(), SourceError::Encoding(0));
}

/// Cedar validates these, and means something else than one might think.
#[test]
fn groups_and_types_are_what_cedar_takes_them_for() {
    let write = || file(Operation::WRITE, "/a");
    let permit = |scope: &str| format!("permit (principal, action, resource is File) {scope};");
    let allowed = |text: &str| said(text, write()).0;
    assert!(allowed(&permit("when { action in Action::\"modify\" }")));
    assert!(!allowed(&permit("when { action == Action::\"modify\" }")));
    assert!(allowed(&permit("when { action != Action::\"modify\" }")));
    assert!(!allowed(&permit(
        "when { action in [Workload::\"write\"] }"
    )));
    assert!(!allowed(&permit("when { principal is File }")));
    assert!(allowed(&permit("when { principal is Workload }")));
    assert!(!allowed("permit (principal is File, action, resource);"));
    assert!(!allowed(
        "permit (principal, action == Action::\"modify\", resource is File);"
    ));
    let forbid = format!(
        "{} forbid (principal, action, resource is File) unless {{ action == Workload::\"write\" }};",
        permit("")
    );
    assert!(!allowed(&forbid));
    let warnings = Both::new(&["permit (principal is File, action, resource);"])
        .compiled
        .warnings;
    assert!(
        warnings
            .iter()
            .any(|warning| warning.what.contains("impossible")),
        "{warnings:?}"
    );
}

#[test]
fn what_would_exhaust_the_stack_or_the_time_is_refused_or_quick() {
    let deep = format!(
        "permit (principal, action, resource) when {{ {}true{} }};",
        "(".repeat(100_000),
        ")".repeat(100_000)
    );
    assert!(wrong(&deep).contains("brackets are open"));
    let chain = format!(
        "permit (principal, action, resource) when {{ true{} }};",
        " || true".repeat(100_000)
    );
    assert!(wrong(&chain).contains("operators"));
    let members = format!(
        "permit (principal, action, resource) when {{ resource{} == \"x\" }};",
        "[\"path\"]".repeat(5000)
    );
    assert!(wrong(&members).contains("operators"));
    let hidden = "// x\rpermit (principal, action, resource);";
    assert_eq!(wrong(hidden), "line 1: a carriage return that ends no line");
    // As deep as is allowed.
    let deep = format!(
        "permit (principal, action, resource) when {{ {}true{} }};",
        "(".repeat(30),
        ")".repeat(30)
    );
    assert!(said(&deep, file(Operation::READ, "/a")).0);
    let chain = format!(
        "permit (principal, action, resource is File) when {{ true{} }};",
        " && true".repeat(190)
    );
    assert!(said(&chain, file(Operation::READ, "/a")).0);
    let paths: Vec<String> = (0..20_000).map(|number| format!("\"/{number}\"")).collect();
    let list = format!(
        "permit (principal, action == Action::\"read\", resource) when {{ [{}].contains(resource.path) }};",
        paths.join(",")
    );
    let both = Both::new(&[&list]);
    let asked = [
        file(Operation::READ, "/19999"),
        file(Operation::READ, "/20000"),
    ];
    assert_eq!(both.ask(&asked).map(|(allowed, ..)| allowed), [true, false]);
}

#[test]
fn what_is_probably_a_mistake_is_told() {
    let text = r#"
        permit (principal, action, resource is File) when { resource.path like "/usr/bin*" };
        permit (principal, action, resource is File) when { resource.path == "/a/../b" || resource.path == "b" };
        permit (principal, action, resource is File) when { resource.path like "/usr/bin/*" || resource.path == "/" };
    "#;
    let warnings = Both::new(&[text]).compiled.warnings;
    let said: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].starts_with("p:policy0: ") && said[0].contains("/usr/bin-other"));
    assert!(said[1..].iter().any(|said| said.contains("/../")));
    assert!(said[1..].iter().any(|said| said.contains("not absolute")));
}

#[test]
fn five_thousand_rules_are_compiled_and_more_than_fit_refused() {
    let rule = |number: usize| {
        format!(
            "permit (principal, action == Action::\"read\", resource) when {{ resource.path like \"/d/{number}/*\" }};"
        )
    };
    let text: String = (0..5000).map(rule).collect();
    let both = Both::new(&[&text]);
    assert_eq!(
        both.compiled.table.paths.len(),
        5000 + Target::all().count() - 5
    );
    let asked = [
        file(Operation::READ, "/d/4999/x"),
        file(Operation::READ, "/d/5000/x"),
    ];
    assert_eq!(
        both.ask(&asked),
        [(true, 0, Some("p:policy4999")), (false, 0, None)]
    );
    let ports: String = (1..65)
        .map(|port| format!("permit (principal, action, resource is Endpoint) when {{ resource.port >= {port} }};"))
        .collect();
    assert!(
        wrong(&ports).contains("65 ranges of ports"),
        "{}",
        wrong(&ports)
    );
}

/// A path of few and short names, so that they often begin alike.
fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab]{0,2}", 0..4).prop_map(|names| format!("/{}", names.join("/")))
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0_u8..4, 0_u8..2, 0_u8..4).prop_map(|(a, b, c)| IpAddr::from([10 + a, b, 0, c])),
        (0_u16..2, 0_u16..4).prop_map(|(a, b)| IpAddr::from([0x2001 + a, 0, 0, 0, 0, 0, 0, b])),
        Just("::ffff:10.0.0.1".parse().unwrap()),
    ]
}

fn block() -> impl Strategy<Value = String> {
    (address(), 0_u32..129).prop_filter_map(
        "mapped addresses are written as IPv4",
        |(address, bits)| {
            let most = if address.is_ipv4() { 33 } else { 129 };
            let mapped =
                matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
            (!mapped).then(|| format!("{address}/{}", bits % most))
        },
    )
}

/// A condition about paths.
fn about_paths() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        path().prop_map(|path| format!("resource.path == \"{path}\"")),
        path().prop_map(|path| format!("resource.path like \"{path}*\"")),
        path().prop_map(|path| format!("resource.path != \"{path}\"")),
        (path(), path())
            .prop_map(|(one, two)| format!("[\"{one}\", \"{two}\"].contains(resource.path)")),
    ];
    combined(atom)
}

/// A condition about addresses.
fn about_endpoints() -> impl Strategy<Value = String> {
    let compare = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let atom = prop_oneof![
        block().prop_map(|block| format!("resource.address.isInRange(ip(\"{block}\"))")),
        block().prop_map(|block| format!("resource.address == ip(\"{block}\")")),
        (compare, 0_u16..6).prop_map(|(compare, port)| format!("resource.port {compare} {port}")),
        Just("resource.protocol == \"udp\"".to_owned()),
        Just("resource.address.isIpv4()".to_owned()),
    ];
    combined(atom)
}

fn combined(atom: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = String> {
    atom.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(one, two)| format!("({one} && {two})")),
            (inner.clone(), inner.clone()).prop_map(|(one, two)| format!("({one} || {two})")),
            inner.clone().prop_map(|one| format!("!({one})")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(one, two, three)| format!("(if {one} then {two} else {three})")),
        ]
    })
}

fn policy(
    kind: &'static str,
    actions: &'static [&'static str],
    condition: BoxedStrategy<String>,
) -> impl Strategy<Value = String> {
    let effect = prop::sample::select(vec!["permit", "permit", "forbid"]);
    let clause = prop::sample::select(vec!["when", "unless"]);
    let rule = (effect, prop::sample::select(actions), clause, condition).prop_map(
        move |(effect, action, clause, condition)| {
            format!(
                "{effect} (principal, {action}, resource is {kind}) {clause} {{ {condition} }};\n"
            )
        },
    );
    prop::collection::vec(rule, 0..6).prop_map(|rules| rules.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn tables_of_paths_say_what_cedar_says(
        policies in prop::collection::vec(
            policy("File", &["action", "action == Action::\"read\"", "action in Action::\"modify\""], about_paths().boxed()),
            1..4,
        ),
        paths in prop::collection::vec(path(), 1..12),
    ) {
        let texts: Vec<&str> = policies.iter().map(String::as_str).collect();
        let both = Both::new(&texts);
        let operations = [Operation::READ, Operation::WRITE];
        let questions: Vec<_> = operations
            .into_iter()
            .flat_map(|operation| paths.iter().map(move |path| file(operation, path)))
            .collect();
        let engine = Engine::new(&both.levels, both.schema.clone()).unwrap();
        for (target, object) in &questions {
            both.same(&engine, *target, object);
        }
    }

    #[test]
    fn tables_of_addresses_say_what_cedar_says(
        policies in prop::collection::vec(
            policy("Endpoint", &["action", "action == Action::\"connect\""], about_endpoints().boxed()),
            1..4,
        ),
        ends in prop::collection::vec((address(), 0_u16..7, 0_usize..3), 1..12),
    ) {
        let texts: Vec<&str> = policies.iter().map(String::as_str).collect();
        let both = Both::new(&texts);
        let questions: Vec<_> = ends
            .iter()
            .map(|(address, port, protocol)| {
                let (target, _) = endpoint(Operation::CONNECT, "::", 0);
                let protocol = Protocol::ALL[*protocol].0;
                let (address, port) = (*address, *port);
                (target, Object::Endpoint { address, port, protocol })
            })
            .collect();
        let engine = Engine::new(&both.levels, both.schema.clone()).unwrap();
        for (target, object) in &questions {
            both.same(&engine, *target, object);
        }
    }
}
