//! Which opened files are read for their digest: by name.
//!
//! Programs and the scripts they interpret are read whatever their names are. Of what is only opened,
//! this list names what is code or decides what a model does: the one place for that.

use crate::glob::Glob;

/// Endings, after the last dot.
const EXTENSIONS: &[&str] = &[
    // Code in other files than programs.
    "so",
    "py",
    "pyc",
    "pyz",
    "whl",
    "js",
    "mjs",
    "cjs",
    "jsx",
    "ts",
    "mts",
    "cts",
    "tsx",
    "node",
    "wasm",
    "sh",
    "bash",
    "zsh",
    "fish",
    "ps1",
    "pl",
    "pm",
    "rb",
    "php",
    "lua",
    "luac",
    "r",
    "jl",
    "tcl",
    "awk",
    "jar",
    "class",
    "dll",
    "ko",
    // Models and what belongs to them.
    "safetensors",
    "gguf",
    "ggml",
    "onnx",
    "pt",
    "pth",
    "ckpt",
    "h5",
    "hdf5",
    "keras",
    "tflite",
    "pb",
    "mlmodel",
    "engine",
    "npz",
    "npy",
    "pkl",
    "joblib",
    "tiktoken",
    // What people write for models and notebooks.
    "ipynb",
    "prompt",
    "prompty",
    "mdc",
    "jinja",
    "jinja2",
    "j2",
];

/// Endings that alone say nothing, with what makes them interesting somewhere in the name.
const WITH: &[(&str, &[&str])] = &[
    ("prompt", &["txt", "md", "yaml", "yml", "json", "toml"]),
    ("model", &["bin"]),
    ("consolidated", &["bin"]),
    ("tokenizer", &["json", "model"]),
];

/// Whole names.
const NAMES: &[&str] = &[
    ".cursorrules",
    ".mcp.json",
    "AGENTS.md",
    "CLAUDE.md",
    "GEMINI.md",
    "Modelfile",
    "SKILL.md",
    "generation_config.json",
    "mcp.json",
];

/// Longest ending, in bytes.
const EXTENSION_BYTES_MAX: usize = 11;

/// The patterns of one recording.
#[derive(Debug)]
pub(super) struct Patterns {
    /// Sorted.
    extensions: Vec<&'static str>,
    /// Of a name, further ones.
    names: Vec<Glob>,
    /// Of a whole path, further ones.
    paths: Vec<Glob>,
}

impl Patterns {
    /// The built-in ones, and these: of the whole path if there is a `/` in it, else of the name.
    pub(super) fn new(more: &[String]) -> Self {
        let mut extensions = EXTENSIONS.to_vec();
        extensions.sort_unstable();
        let of_paths = more.iter().filter(|pattern| pattern.contains('/'));
        let of_names = more.iter().filter(|pattern| !pattern.contains('/'));
        Self {
            extensions,
            names: of_names.map(|name| Glob::new(name)).collect(),
            paths: of_paths.map(|path| Glob::new(path)).collect(),
        }
    }

    /// Whether a file of this path is read.
    pub(super) fn matches(&self, path: &str) -> bool {
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        self.is_built_in(name)
            || self.names.iter().any(|glob| glob.matches(name))
            || self.paths.iter().any(|glob| glob.matches(path))
    }

    /// Looked up and not tried one by one: most of what is opened matches nothing.
    fn is_built_in(&self, name: &str) -> bool {
        is_versioned_library(name) || NAMES.contains(&name) || self.has_ending(name)
    }

    fn has_ending(&self, name: &str) -> bool {
        let Some((stem, ending)) = name.rsplit_once('.') else {
            return false;
        };
        if stem.is_empty() || ending.len() > EXTENSION_BYTES_MAX {
            return false;
        }
        let mut lower = [0; EXTENSION_BYTES_MAX];
        let lower = &mut lower[..ending.len()];
        lower.copy_from_slice(ending.as_bytes());
        lower.make_ascii_lowercase();
        let known = self
            .extensions
            .binary_search_by(|known| known.as_bytes().cmp(lower));
        let interesting = |(part, endings): &(&str, &[&str])| {
            endings.iter().any(|known| known.as_bytes() == lower) && stem.contains(part)
        };
        known.is_ok() || WITH.iter().any(interesting)
    }
}

/// Whether it is a name like `libc.so.6`.
fn is_versioned_library(name: &str) -> bool {
    name.split_once(".so.")
        .is_some_and(|(_, version)| version.starts_with(|first: char| first.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_models_and_prompts_match_and_the_rest_does_not() {
        let patterns = Patterns::new(&["*.weights".to_owned(), "/srv/data/*".to_owned()]);
        for path in [
            "/usr/lib/libc.so.6",
            "/usr/lib/x/libz.so",
            "/a/main.py",
            "/a/MODEL.SAFETENSORS",
            "/a/b.ipynb",
            "/x/AGENTS.md",
            "/x/system_prompt.txt",
            "/x/my.weights",
            "/srv/data/any/thing",
        ] {
            assert!(patterns.matches(path), "{path}");
        }
        for path in [
            "/etc/ld.so.cache",
            "/etc/passwd",
            "/a/README.md",
            "/a/.py",
            "/a/py",
            "/a/x.sock",
            "/other/srv/data/x",
            "/dev/null",
            "",
            "/",
        ] {
            assert!(!patterns.matches(path), "{path}");
        }
    }

    #[test]
    fn no_ending_is_too_long_for_the_look_up() {
        assert!(
            EXTENSIONS
                .iter()
                .all(|ending| ending.len() <= EXTENSION_BYTES_MAX && ending.is_ascii())
        );
    }

    #[test]
    fn the_documentation_has_them_all() {
        let text = include_str!("../../../../docs/digests.md");
        let endings = EXTENSIONS.iter().map(|ending| format!("`*.{ending}`"));
        let names = NAMES.iter().map(|name| format!("`{name}`"));
        let with = WITH.iter().map(|(part, _)| format!("`*{part}*"));
        for pattern in endings.chain(names).chain(with) {
            assert!(text.contains(&pattern), "{pattern}");
        }
    }
}
