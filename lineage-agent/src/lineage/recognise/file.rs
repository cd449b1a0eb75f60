//! Files of recognisers: read strictly, so that a slip is not taken for "recognises nothing".

use super::{
    document::{Document, Item, Table},
    error::{Problem, RecogniserError},
    invocation::Language,
    pattern::Pattern,
    rule::{Condition, Rule},
};
use crate::evidence::{
    kinds::{self, KINDS, Kind},
    schema::{FIELDS, FieldType},
};

/// Most recognisers, and most languages, of all files together.
const RULES_MAX: usize = 4096;
/// Longest label.
const NAME_BYTES_MAX: usize = 64;
/// What a recogniser may have besides conditions on fields of the record.
const KEYS: &[&str] = &[
    "label",
    "doc",
    "kinds",
    "digest",
    "failed",
    "program",
    "language",
    "script",
    "module",
    "code",
    "command",
    "value_options",
    "argument",
];
/// Before a condition: it must not hold.
const NOT: &str = "not_";
/// Fields that are no condition: the same for all, or worked out from the others, or JSON.
const NO_CONDITION: &[&str] = &[
    "argv",
    "entry",
    "recognised",
    "detail",
    "truncated",
    "blake3",
];

/// What the files say together.
#[derive(Debug, Clone, Default)]
pub(super) struct Definitions {
    pub(super) languages: Vec<Language>,
    pub(super) rules: Vec<Rule>,
}

impl Definitions {
    /// Takes another file: what it calls by a known name replaces what had that name.
    pub(super) fn add(&mut self, document: Document<'_>) -> Result<(), RecogniserError> {
        let entries = document.parse()?;
        let table = document.table(&entries);
        for item in table.items() {
            match item.key {
                "version" if item.numbers()? == [1] => {}
                "version" => return Err(item.error(Problem::Version)),
                "remove" | "language" | "recogniser" => {}
                _ => {
                    return Err(unknown(
                        item,
                        &["version", "remove", "language", "recogniser"],
                    ));
                }
            }
        }
        self.remove(table)?;
        self.add_languages(table)?;
        self.add_rules(table)
    }

    fn remove(&mut self, table: Table<'_>) -> Result<(), RecogniserError> {
        let Some(item) = table.get("remove") else {
            return Ok(());
        };
        for item in item.strings()? {
            let label = item.string()?;
            let before = self.rules.len();
            self.rules.retain(|rule| rule.label != label);
            if self.rules.len() == before {
                return Err(item.error(Problem::NotThere(label.to_owned())));
            }
        }
        Ok(())
    }

    fn add_languages(&mut self, table: Table<'_>) -> Result<(), RecogniserError> {
        let Some(item) = table.get("language") else {
            return Ok(());
        };
        let mut own: Vec<String> = Vec::new();
        for table in item.tables("language")? {
            let language = language(table)?;
            if own.contains(&language.name) {
                return Err(table.require("name")?.error(Problem::Twice(language.name)));
            }
            own.push(language.name.clone());
            // In its place: conditions name languages by number.
            let mut known = self.languages.iter_mut();
            match known.find(|known| known.name == language.name) {
                Some(known) => *known = language,
                None => self.languages.push(language),
            }
        }
        limit(item, self.languages.len())
    }

    fn add_rules(&mut self, table: Table<'_>) -> Result<(), RecogniserError> {
        let Some(item) = table.get("recogniser") else {
            return Ok(());
        };
        let mut rules = Vec::new();
        for table in item.tables("recogniser")? {
            rules.push(self.rule(table)?);
        }
        self.rules
            .retain(|known| rules.iter().all(|rule| rule.label != known.label));
        self.rules.extend(rules);
        limit(item, self.rules.len())
    }

    fn rule(&self, table: Table<'_>) -> Result<Rule, RecogniserError> {
        let mut rule = Rule {
            label: name(table.require("label")?)?,
            doc: String::new(),
            kinds: Vec::new(),
            digest: false,
            failed: false,
            paths: Vec::new(),
            conditions: Vec::new(),
        };
        let wanted = kinds_of(table)?;
        let value_options = match table.get("value_options") {
            Some(item) => owned(&item.strings()?)?,
            None => Vec::new(),
        };
        let mut conditions = Vec::new();
        for item in table.items() {
            match item.key {
                "label" | "kinds" | "value_options" => {}
                "doc" => item.string()?.clone_into(&mut rule.doc),
                "digest" => rule.digest = item.boolean()?,
                "failed" => rule.failed = item.boolean()?,
                "path" => {
                    rule.paths = item.patterns()?;
                    conditions.push(item);
                }
                _ => {
                    let condition = self.condition(item, &value_options)?;
                    rule.conditions.push(condition);
                    conditions.push(item);
                }
            }
        }
        if conditions.iter().all(|item| item.key.starts_with(NOT)) {
            return Err(table.error(Problem::NoCondition));
        }
        rule.kinds = fitting(&wanted, &conditions)?;
        Ok(rule)
    }

    fn condition(
        &self,
        item: Item<'_>,
        value_options: &[String],
    ) -> Result<Condition, RecogniserError> {
        match item.key.strip_prefix(NOT) {
            Some(key) => {
                let condition = self.plain_condition(item, key, value_options)?;
                Ok(Condition::Not(Box::new(condition)))
            }
            None => self.plain_condition(item, item.key, value_options),
        }
    }

    fn plain_condition(
        &self,
        item: Item<'_>,
        key: &str,
        value_options: &[String],
    ) -> Result<Condition, RecogniserError> {
        Ok(match key {
            "program" => Condition::Program(item.patterns()?),
            "script" => Condition::Script(item.patterns()?),
            "module" => Condition::Module(item.patterns()?),
            "argument" => Condition::Argument(item.patterns()?),
            "code" => Condition::Code(item.boolean()?),
            "language" => Condition::Language(self.language_numbers(item)?),
            "command" => Condition::Command(commands(item)?, value_options.to_vec()),
            _ => {
                let field = FIELDS
                    .iter()
                    .find(|field| is_condition(field.name) && field.name == key);
                let Some(field) = field else {
                    return Err(unknown_condition(item));
                };
                match field.field_type {
                    FieldType::Text => Condition::Text(field.id, item.patterns()?),
                    FieldType::U64 | FieldType::I64 | FieldType::Micros => {
                        Condition::Number(field.id, item.numbers()?)
                    }
                }
            }
        })
    }

    fn language_numbers(&self, item: Item<'_>) -> Result<Vec<usize>, RecogniserError> {
        let number = |item: Item<'_>| {
            let name = item.string()?;
            let known = self.languages.iter().position(|known| known.name == name);
            known.ok_or_else(|| item.error(Problem::Language(name.to_owned())))
        };
        item.strings()?.into_iter().map(number).collect()
    }
}

fn language(table: Table<'_>) -> Result<Language, RecogniserError> {
    let mut language = Language {
        name: name(table.require("name")?)?,
        programs: table.require("programs")?.patterns()?,
        ..Language::default()
    };
    for item in table.items() {
        let options = match item.key {
            "name" | "programs" => continue,
            "multicall" => {
                language.multicall = item.patterns()?;
                continue;
            }
            "value_options" => &mut language.value_options,
            "module_options" => &mut language.module_options,
            "code_options" => &mut language.code_options,
            "joined_options" => &mut language.joined_options,
            _ => {
                let known = [
                    "name",
                    "programs",
                    "multicall",
                    "value_options",
                    "module_options",
                    "code_options",
                    "joined_options",
                ];
                return Err(unknown(item, &known));
            }
        };
        *options = owned(&item.strings()?)?;
    }
    Ok(language)
}

/// Words in a row, as one would type them.
fn commands(item: Item<'_>) -> Result<Vec<Vec<Pattern>>, RecogniserError> {
    let words = |item: Item<'_>| {
        let words = item.string()?.split_whitespace();
        match words
            .map(|word| item.pattern(word))
            .collect::<Result<Vec<_>, _>>()?
        {
            words if words.is_empty() => Err(item.error(Problem::Empty)),
            words => Ok(words),
        }
    };
    item.strings()?.into_iter().map(words).collect()
}

/// The kinds a recogniser names: with each where it was named, and whether as one of a group.
fn kinds_of<'a>(table: Table<'a>) -> Result<Vec<(Item<'a>, &'static Kind, bool)>, RecogniserError> {
    let mut found = Vec::new();
    for item in table.require("kinds")?.strings()? {
        let name = item.string()?;
        let group = name.strip_suffix('*').filter(|group| group.ends_with('.'));
        let before = found.len();
        for kind in KINDS {
            let named = group.map_or(kind.name == name, |group| kind.name.starts_with(group));
            if named && kind.group != kinds::Group::Recorder {
                found.push((item, kind, group.is_some()));
            }
        }
        if found.len() == before {
            let known: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
            return Err(item.error(Problem::Kind {
                name: name.to_owned(),
                known: known.join(", "),
            }));
        }
    }
    Ok(found)
}

/// The kinds whose records can meet the conditions. One that was named itself must; of a group those
/// that can are meant, and there must be one.
fn fitting(
    wanted: &[(Item<'_>, &'static Kind, bool)],
    conditions: &[Item<'_>],
) -> Result<Vec<&'static Kind>, RecogniserError> {
    let mut fitting: Vec<&'static Kind> = Vec::new();
    let mut misfit = None;
    for (_, kind, of_group) in wanted {
        match conditions.iter().find_map(|item| unfit(*item, kind)) {
            None if fitting.contains(kind) => {}
            None => fitting.push(kind),
            Some(error) if *of_group => misfit = misfit.or(Some(error)),
            Some(error) => return Err(error),
        }
    }
    match misfit {
        Some(error) if fitting.is_empty() => Err(error),
        _ => Ok(fitting),
    }
}

/// Why no record of the kind can meet a condition.
fn unfit(item: Item<'_>, kind: &Kind) -> Option<RecogniserError> {
    let name = kind.name.to_owned();
    let key = item.key.strip_prefix(NOT).unwrap_or(item.key);
    if KEYS.contains(&key) {
        let runs = kind.carries("argv");
        return (!runs).then(|| item.error(Problem::NoProgram { kind: name }));
    }
    (!kind.carries(key)).then(|| item.error(Problem::NoField { kind: name }))
}

fn is_condition(field: &str) -> bool {
    !kinds::COMMON.contains(&field) && !NO_CONDITION.contains(&field)
}

fn unknown_condition(item: Item<'_>) -> RecogniserError {
    let fields = FIELDS.iter().map(|field| field.name);
    let mut known = KEYS.to_vec();
    known.extend(fields.filter(|name| is_condition(name)));
    unknown(item, &known)
}

fn unknown(item: Item<'_>, known: &[&str]) -> RecogniserError {
    item.error(Problem::UnknownKey {
        expected: known.join(", "),
    })
}

fn owned(items: &[Item<'_>]) -> Result<Vec<String>, RecogniserError> {
    items
        .iter()
        .map(|item| item.string().map(str::to_owned))
        .collect()
}

fn name(item: Item<'_>) -> Result<String, RecogniserError> {
    let text = item.string()?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let begins = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_lowercase());
    if begins && text.len() <= NAME_BYTES_MAX && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(item.error(Problem::Name))
    }
}

fn limit(item: Item<'_>, count: usize) -> Result<(), RecogniserError> {
    if count > RULES_MAX {
        return Err(item.error(Problem::TooMany(RULES_MAX)));
    }
    Ok(())
}
