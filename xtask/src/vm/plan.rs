//! What `init` (`tests/src/bin/init.rs`) runs in a machine, in its own format.

/// A plan being written.
pub(crate) struct Plan(String);

impl Plan {
    /// A plan in which programs find those of busybox.
    pub(crate) fn new() -> Self {
        let mut plan = Self(String::new());
        plan.env("PATH", "/bin:/sbin:/usr/bin");
        plan.env("HOME", "/root");
        plan
    }

    /// Gives a variable to all that is run after it.
    pub(crate) fn env(&mut self, name: &str, value: &str) {
        self.line(&["env", name, value]);
    }

    /// Runs a program, and says under this name how it ended.
    pub(crate) fn run(&mut self, name: &str, words: &[&str]) {
        self.line(&[&["run", name], words].concat());
    }

    /// What stands in the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn line(&mut self, fields: &[&str]) {
        self.0.push_str(&fields.join("\t"));
        self.0.push('\n');
    }
}
