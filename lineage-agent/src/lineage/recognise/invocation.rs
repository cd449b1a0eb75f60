//! What an exec runs: a program, or a script or module that an interpreter was given.

use super::pattern::Pattern;

/// How an interpreter is told what to run. Options are given as they are written, with their dashes.
#[derive(Debug, Clone, Default)]
pub(super) struct Language {
    /// Its name, for the condition `language`.
    pub(super) name: String,
    /// File names of its interpreters.
    pub(super) programs: Vec<Pattern>,
    /// File names of executables that are one of these programs when they are called by its name.
    pub(super) multicall: Vec<Pattern>,
    /// Options whose value is the next argument.
    pub(super) value_options: Vec<String>,
    /// Options whose value is a module to run.
    pub(super) module_options: Vec<String>,
    /// Options whose value is code to run.
    pub(super) code_options: Vec<String>,
    /// Options whose value, if they have one, is in the same argument: letters in it are none.
    pub(super) joined_options: Vec<String>,
}

/// An exec, taken apart. All text is as the record has it: escaped.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Invocation {
    /// Number of the language whose interpreter runs, in the list of languages.
    pub(super) language: Option<usize>,
    /// What an interpreter was given to run.
    pub(super) entry: Option<Entry>,
    /// File names under which the program may be known: of the script or module if there is one,
    /// of the executable, and of the name given to exec.
    names: Vec<String>,
    /// What the program was given, without what is the interpreter's.
    pub(super) arguments: Vec<String>,
}

/// What an interpreter was given to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// A file.
    Script(String),
    /// A module, by name.
    Module(String),
    /// Code in an argument or on standard input.
    Code,
}

/// What the record of an exec, or of a process that was found running, tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) exe: &'a str,
    /// Absent for a process that was found running.
    pub(super) filename: Option<&'a str>,
    /// There when the kernel ran a script.
    pub(super) interpreter: Option<&'a str>,
    /// As JSON.
    pub(super) argv: &'a str,
}

impl Invocation {
    /// Takes an exec apart.
    pub(super) fn new(facts: Facts<'_>, languages: &[Language]) -> Self {
        // The recorder wrote it; what other programs wrote may be anything, and tells nothing then.
        let argv: Vec<String> = serde_json::from_str(facts.argv).unwrap_or_default();
        let executable = base_name(facts.exe);
        let numbered = languages.iter().enumerate();
        let language = numbered
            .filter_map(|(number, language)| Some((number, language.runs(executable, &argv)?)))
            .next();
        let (entry, skipped) = match (language, facts.interpreter.and(facts.filename)) {
            (_, Some(script)) => of_script(script, &argv),
            (Some((number, name)), None) => languages[number].entry(&argv, name + 1),
            (None, None) => (None, argv.len().min(1)),
        };
        let language = language.map(|(number, _)| number);
        let called = facts.filename.or(argv.first().map(String::as_str));
        let mut names = vec![executable.to_owned()];
        names.extend(called.map(|name| base_name(name).to_owned()));
        match &entry {
            // What it is called says who interprets it.
            Some(Entry::Script(path)) => names = vec![base_name(path).to_owned()],
            Some(Entry::Module(name)) => names = vec![name.clone()],
            Some(Entry::Code) | None => {}
        }
        Self {
            language,
            entry,
            names,
            arguments: argv.into_iter().skip(skipped).collect(),
        }
    }

    /// Whether an interpreter was given a file to run.
    pub(super) fn runs_script(&self) -> bool {
        matches!(self.entry, Some(Entry::Script(_)))
    }

    /// Whether what runs has a file name that matches.
    pub(super) fn is_program(&self, patterns: &[Pattern]) -> bool {
        let any = |name: &String| patterns.iter().any(|pattern| pattern.matches(name));
        self.names.iter().any(any)
    }

    /// Whether the arguments begin with these words, options and their values left out.
    pub(super) fn has_command(&self, words: &[Pattern], value_options: &[String]) -> bool {
        let mut arguments = self.arguments.iter();
        let mut next = || loop {
            let argument = arguments.next()?;
            if !is_option(argument) {
                return Some(argument);
            }
            if value_options.contains(argument) {
                arguments.next();
            }
        };
        words
            .iter()
            .all(|word| next().is_some_and(|argument| word.matches(argument)))
    }
}

/// A script the kernel ran itself: the interpreter's arguments end where the script's name is.
fn of_script(script: &str, argv: &[String]) -> (Option<Entry>, usize) {
    let place = argv.iter().skip(1).position(|argument| argument == script);
    let skipped = place.map_or(argv.len(), |place| place + 2);
    (Some(Entry::Script(script.to_owned())), skipped)
}

impl Language {
    /// Whether it is an interpreter of this language that runs, and which argument is its name.
    fn runs(&self, executable: &str, argv: &[String]) -> Option<usize> {
        let any = |patterns: &[Pattern], name: &str| patterns.iter().any(|it| it.matches(name));
        if any(&self.programs, executable) {
            return Some(0);
        }
        if !any(&self.multicall, executable) {
            return None;
        }
        let called = |at: usize| {
            let name = argv.get(at).map(|name| base_name(name))?;
            Some(name.strip_prefix('-').unwrap_or(name))
        };
        let at = usize::from(any(&self.multicall, called(0)?));
        any(&self.programs, called(at)?).then_some(at)
    }

    /// What the interpreter was given to run by the arguments from there on, and how many arguments are not
    /// the program's.
    fn entry(&self, argv: &[String], from: usize) -> (Option<Entry>, usize) {
        let mut at = from;
        while let Some(argument) = argv.get(at) {
            at += 1;
            if argument == "-" {
                return (Some(Entry::Code), at);
            }
            if argument == "--" {
                return match argv.get(at) {
                    Some(script) => (Some(Entry::Script(script.clone())), at + 1),
                    None => (None, at),
                };
            }
            if !self.is_option(argument) {
                return (Some(Entry::Script(argument.clone())), at);
            }
            let Some((option, attached)) = self.known(argument) else {
                continue;
            };
            let value = attached.or_else(|| argv.get(at).map(String::as_str));
            at += usize::from(attached.is_none());
            let is = |options: &[String]| options.iter().any(|known| known == option);
            if is(&self.module_options) {
                let module = value.map(|name| Entry::Module(name.to_owned()));
                return (module, at.min(argv.len()));
            }
            if is(&self.code_options) {
                return (Some(Entry::Code), at.min(argv.len()));
            }
        }
        (None, at.min(argv.len()))
    }

    /// Whether an argument is an option. Those of a shell that switch off begin with a plus.
    fn is_option(&self, argument: &str) -> bool {
        let plus = |option: &String| option.starts_with('+');
        let may_be = argument.starts_with('+') && self.value_options.iter().any(plus);
        may_be || is_option(argument)
    }

    /// The option of an argument that has a value, with the value if it is in the same argument:
    /// `-m pip`, `-mpip`, and after other letters `-Im pip` (getopt(3)); `--eval x` and `--eval=x`.
    fn known<'a>(&'a self, argument: &'a str) -> Option<(&'a str, Option<&'a str>)> {
        let lists = [
            &self.joined_options,
            &self.value_options,
            &self.module_options,
            &self.code_options,
        ];
        let joined = |option: &str| self.joined_options.iter().any(|known| known == option);
        let find = |wanted: &str| {
            let mut all = lists.iter().flat_map(|list| list.iter());
            all.find(|option| *option == wanted).map(String::as_str)
        };
        if let Some(option) = find(argument) {
            return Some((option, joined(option).then_some("")));
        }
        if let Some((name, value)) = argument.split_once('=')
            && let Some(option) = find(name)
        {
            return Some((option, Some(value)));
        }
        let (sign, letters) = argument.split_at_checked(1)?;
        if letters.starts_with('-') {
            return None;
        }
        letters.char_indices().find_map(|(place, letter)| {
            let option = find(&format!("{sign}{letter}"))?;
            let value = &letters[place + letter.len_utf8()..];
            let attached = !value.is_empty() || joined(option);
            Some((option, attached.then_some(value)))
        })
    }
}

fn is_option(argument: &str) -> bool {
    argument.starts_with('-') && argument != "-"
}

/// What follows the last `/`.
fn base_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python() -> Language {
        let options = |all: &[&str]| all.iter().map(|&option| option.to_owned()).collect();
        Language {
            name: "python".to_owned(),
            programs: vec![Pattern::new("python{,3,3.*}").unwrap()],
            multicall: Vec::new(),
            value_options: options(&["-W", "-X", "--check-hash-based-pycs"]),
            module_options: options(&["-m"]),
            code_options: options(&["-c"]),
            joined_options: Vec::new(),
        }
    }

    fn of(filename: &str, interpreter: Option<&str>, argv: &[&str]) -> Invocation {
        let facts = Facts {
            exe: "/usr/bin/python3.11",
            filename: Some(filename),
            interpreter,
            argv: &serde_json::to_string(argv).unwrap(),
        };
        Invocation::new(facts, &[python()])
    }

    #[test]
    fn what_an_interpreter_was_given_is_found() {
        let script = |name: &str| Some(Entry::Script(name.to_owned()));
        let module = |name: &str| Some(Entry::Module(name.to_owned()));
        let cases: [(&[&str], Option<Entry>, usize); 16] = [
            (&["python3"], None, 0),
            (&[], None, 0),
            (&["python3", "a.py", "-m", "x"], script("a.py"), 2),
            (&["python3", "-u", "a.py"], script("a.py"), 0),
            (&["python3", "-W", "ignore", "a.py", "x"], script("a.py"), 1),
            (&["python3", "-Wignore", "a.py"], script("a.py"), 0),
            (&["python3", "-IXdev", "a.py"], script("a.py"), 0),
            (&["python3", "-m", "pip", "install"], module("pip"), 1),
            (&["python3", "-Im", "pip", "install"], module("pip"), 1),
            (&["python3", "-mpip", "install"], module("pip"), 1),
            (&["python3", "-m"], None, 0),
            (&["python3", "-c", "print()", "a.py"], Some(Entry::Code), 1),
            (&["python3", "-"], Some(Entry::Code), 0),
            (&["python3", "--", "-a.py", "x"], script("-a.py"), 1),
            (
                &["python3", "--check-hash-based-pycs=always", "a"],
                script("a"),
                0,
            ),
            (&["python3", "-é", "a"], script("a"), 0),
        ];
        for (argv, entry, arguments) in cases {
            let found = of("/usr/bin/python3", None, argv);
            assert_eq!(found.entry, entry, "{argv:?}");
            assert_eq!(found.arguments.len(), arguments, "{argv:?}");
        }
    }

    #[test]
    fn a_script_is_known_by_its_own_name() {
        let argv = [
            "/venv/bin/python3",
            "-I",
            "/venv/bin/pip",
            "--quiet",
            "install",
            "x",
        ];
        let found = of("/venv/bin/pip", Some("/venv/bin/python3"), &argv);
        let patterns = |text: &str| vec![Pattern::new(text).unwrap()];
        assert!(found.is_program(&patterns("pip")));
        assert!(!found.is_program(&patterns("python*")));
        assert!(found.has_command(&patterns("install"), &[]));
        assert!(!found.has_command(&patterns("x"), &[]));
        assert!(found.has_command(&patterns("x"), &["--quiet".to_owned()]));
        // The script overwrote its arguments: nothing is known of them.
        let other = of(
            "/venv/bin/pip",
            Some("/venv/bin/python3"),
            &["pip: waiting"],
        );
        assert!(other.is_program(&patterns("pip")) && other.arguments.is_empty());
    }

    #[test]
    fn text_that_is_no_list_tells_nothing() {
        for argv in ["", "{", "[1]", "null"] {
            let facts = Facts {
                exe: "/bin/true",
                filename: None,
                interpreter: None,
                argv,
            };
            let found = Invocation::new(facts, &[python()]);
            assert_eq!((found.entry, found.arguments.len()), (None, 0));
        }
    }
}
