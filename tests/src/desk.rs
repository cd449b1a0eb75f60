//! `lineage grant`, as people use it, in a directory with their keys and policies.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::programs::LINEAGE;

/// A directory with the keys of three people. Names of files in the words of commands are relative to it.
pub struct Desk {
    place: PathBuf,
}

impl Desk {
    /// Makes the keys of the boss, the lead and a stranger in this directory.
    #[must_use]
    pub fn new(place: &Path) -> Self {
        let place = place.to_owned();
        let desk = Self { place };
        for name in ["boss", "lead", "stranger"] {
            let public = desk.well(&["key", &format!("{name}.pem")]);
            desk.file(&format!("{name}.pub"), public);
        }
        desk
    }

    /// A path in the directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// Writes a file.
    pub fn file(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.path(name), contents).expect("writable");
    }

    /// What is in a file.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("it is there")
    }

    /// Runs `lineage grant` with these words.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(&*LINEAGE);
        command.arg("grant").args(words).current_dir(&self.place);
        command.output().expect("the lineage binary runs")
    }

    /// What a command prints that must work.
    pub fn well(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {stderr}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// What a command complains about that must not.
    #[must_use]
    pub fn refused(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert_eq!(output.stdout, b"", "{words:?}");
        String::from_utf8(output.stderr).expect("text")
    }

    /// The boss grants what the policy `p.cedar` says, with these options besides.
    pub fn issue(&self, name: &str, more: &[&str]) {
        let words = "issue --key boss.pem --purpose Triage --policy p.cedar -o";
        let words: Vec<&str> = words.split(' ').chain([name]).collect();
        self.well(&[&words[..], more].concat());
    }

    /// The lead gives less on, for reading, with these options besides.
    pub fn narrow(&self, grant: &str, name: &str, more: &[&str]) {
        let words = ["narrow", grant, "--key", "lead.pem", "--purpose", "Read"];
        self.well(&[&words[..], &["-o", name], more].concat());
    }

    /// What `inspect --json` says, and how it ends.
    #[must_use]
    pub fn inspect(&self, words: &[&str]) -> (Value, Option<i32>) {
        let output = self.run(&[&["inspect", "--json"], words].concat());
        let document = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (document, output.status.code())
    }
}
