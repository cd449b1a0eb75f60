//! Rules that are many, and paths that are long.

use std::fs;

use serde_json::json;

use super::{governed, passed};

/// What is further in the path than a key holds does not count; what is more than a path can have is denied.
#[test]
fn long_paths_are_judged_by_what_they_begin_with() {
    let long = vec!["d".repeat(60); 6].join("/");
    for (directory, verdict) in [("open", "allow"), ("closed", "deny")] {
        let recorder = governed("audit", "");
        let place = recorder.path(directory).join(&long);
        fs::create_dir_all(&place).expect("writable");
        fs::write(place.join("file"), "").expect("writable");
        let run = passed(
            recorder,
            &format!("open @a ROOT/{directory}/{long}/file O_RDONLY"),
        );
        let path = place.join("file").canonicalize().expect("it is there");
        let open = run.rows.only("file.open", &json!({ "path": path }));
        open.expect(&json!({ "verdict": verdict }));
    }
}

#[test]
fn five_thousand_rules_say_what_they_say() {
    let rule = |number: usize| {
        let effect = if number.is_multiple_of(3) {
            "forbid"
        } else {
            "permit"
        };
        format!(
            "@id(\"r{number}\") {effect} (principal, action == Action::\"write\", resource is File) \
             when {{ resource.path like \"ROOT/{number}/*\" }};\n"
        )
    };
    let rules: String = (0..5000).map(rule).collect();
    let recorder = governed("audit", &rules);
    let mut script = String::new();
    let asked = [0_usize, 1, 2, 2499, 2500, 4998, 4999];
    for number in asked {
        let directory = recorder.path(number.to_string());
        fs::create_dir(&directory).expect("writable");
        fs::write(directory.join("file"), "").expect("writable");
        script += &format!("open @f ROOT/{number}/file O_WRONLY ");
    }
    let run = passed(recorder, &script);
    for number in asked {
        let path = run.recorder.path(format!("{number}/file"));
        let path = path.canonicalize().expect("it is there");
        let open = run.rows.only("file.open", &json!({ "path": path }));
        let denied = number.is_multiple_of(3);
        open.expect(&json!({
            "verdict": if denied { "deny" } else { "allow" }, "rule": format!("p.cedar:r{number}"),
            "judged": format!("write {}", path.display()),
        }));
    }
}
