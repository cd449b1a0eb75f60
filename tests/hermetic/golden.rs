//! Expected texts: files in the repository that a test compares with, or writes when it is run with
//! `BLESS=1` (`cargo xtask bless` does).

use std::fs;
use std::path::Path;

/// Compares a text with the file of this path below the repository's root.
pub(crate) fn check(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
        let directory = file.parent().expect("a file is in a directory");
        fs::create_dir_all(directory).expect("the directory can be made");
        fs::write(&file, text).expect("the file can be written");
        return;
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    if let Some(difference) = first_difference(&expected, text) {
        panic!("{path} is not what it should be; `cargo xtask bless` rewrites it\n{difference}");
    }
}

/// The first line that differs, both ways.
fn first_difference(expected: &str, found: &str) -> Option<String> {
    if expected == found {
        return None;
    }
    let (mut before, mut after) = (expected.split('\n'), found.split('\n'));
    for number in 1.. {
        let (old, new) = (before.next(), after.next());
        if old != new {
            let shown =
                |line: Option<&str>| line.map_or("(end)".to_owned(), |line| format!("{line:?}"));
            return Some(format!(
                "line {number}\n  file: {}\n  now:  {}",
                shown(old),
                shown(new)
            ));
        }
    }
    None
}
