//! The layers, put together: each value is checked against the schema where it is read, and remembers where it stood.

mod path;
mod value;

use super::fault::{Fault, Origin, nearest};
use super::schema::{self, FIELDS, Field, Kind};
use crate::texts::{Said, Texts};
use openclaw_core::Language;
use path::{Place, Step, child, children, concrete_steps, is_section, put_at, typed_steps};
use std::collections::{BTreeMap, BTreeSet};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use value::{check, from_text, literal, plain};

pub(crate) use path::schema_path;
pub(super) use value::is_url;

/// Values by path, with their origins, and what was found wrong on the way.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// The values.
    pub(crate) table: toml::Table,
    /// Where each came from, by its path: `ai-fabric.providers[0].id`.
    pub(crate) origins: BTreeMap<String, Origin>,
    /// What is wrong.
    pub(crate) faults: Vec<Fault>,
    /// What is understood, but better spelt otherwise.
    pub(crate) notices: Vec<Fault>,
}

/// More faults than this help nobody, and a hostile file must not make a list without end.
const MAX_FAULTS: usize = 200;

/// Says where a span of the text that is read stands.
type Locate<'a> = &'a dyn Fn(std::ops::Range<usize>) -> Origin;

// === impl Tree ===

impl Tree {
    /// Takes the file's text.
    pub(crate) fn file(&mut self, text: &str) {
        let locate = |span: std::ops::Range<usize>| location(text, span.start);
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors.iter().take(MAX_FAULTS) {
            let origin = locate(error.span().unwrap_or(0..0));
            let said = Said::new(|texts| texts.toml(error.message()));
            self.faults.push(Fault::new(origin, "", said));
        }
        if !errors.is_empty() {
            // Keys found around a mistake are guesses, and so would be what is wrong with them.
            return;
        }
        let mut table = std::mem::take(&mut self.table);
        self.walk_table(document.get_ref(), &Place::default(), &mut table, &locate);
        self.table = table;
    }

    /// Sets the field at `path` (schema spelling, or close to it) to `text`, read as the field's type wants.
    pub(crate) fn set_text(&mut self, path: &str, text: &str, origin: &Origin) {
        match self.resolve(&typed_steps(path)) {
            Ok(place) => self.set_place(&place, text, origin),
            Err(hint) => {
                let said = Said::new(Texts::fault_no_key);
                self.fault(Fault::new(origin.clone(), path, said).with_hint(hint));
            }
        }
    }

    /// Sets the field that a variable `OPENCLAW__SECTION__FIELD` names.
    pub(crate) fn set_variable(&mut self, name: &str, text: &str) {
        let origin = Origin::Environment {
            name: name.to_owned(),
        };
        let steps: Vec<String> = name.split("__").skip(1).map(str::to_owned).collect();
        if let Ok(place) = self.resolve(&steps) {
            self.set_place(&place, text, &origin);
            return;
        }
        if let Some(direct) = name.strip_suffix("_FILE") {
            let steps: Vec<String> = direct.split("__").skip(1).map(str::to_owned).collect();
            if let Ok(place) = self.resolve(&steps)
                && schema::find(&place.schema).is_some_and(|field| field.kind == Kind::Secret)
            {
                self.set_secret(&place, "file", text, &origin);
                return;
            }
        }
        let names: Vec<String> = FIELDS.iter().map(Field::env_name).collect();
        let hint = nearest(name, names.iter().map(String::as_str))
            .map(|name| Said::new(|texts| texts.hint_did_you_mean(name)));
        self.fault(Fault::new(origin, "", Said::new(Texts::fault_no_variable)).with_hint(hint));
    }

    /// Points a secret's field at a variable or a file.
    pub(crate) fn set_reference(&mut self, path: &'static str, how: &str, target: &str, origin: &Origin) {
        let place = Place {
            schema: path.to_owned(),
            concrete: path.to_owned(),
        };
        self.set_secret(&place, how, target, origin);
    }

    /// Fills in the defaults of what nobody set.
    pub(crate) fn defaults(&mut self) {
        for field in FIELDS {
            if let schema::Initial::Value(text) = field.default
                && !field.path.contains("[]")
                && self.get(field.path).is_none()
                && let Some(value) = literal(text)
            {
                self.put(field.path, value, Origin::Default);
            }
        }
    }

    /// The values, with a stand-in for each that must be given and could not be read, so that the rest can be looked at.
    /// What a stand-in breaks has its path and is no fault of its own.
    pub(crate) fn whole(&self) -> toml::Table {
        let mut root = toml::Value::Table(self.table.clone());
        for field in FIELDS {
            if field.default == schema::Initial::Required {
                let steps: Vec<&str> = schema::segments(field.path).collect();
                stand_in(&mut root, &steps, field, 0);
            }
        }
        root.as_table().cloned().unwrap_or_default()
    }

    /// The value at a path.
    pub(crate) fn get(&self, path: &str) -> Option<&toml::Value> {
        let mut steps = concrete_steps(path);
        let mut value = match steps.next()? {
            Step::Name(name) => self.table.get(name)?,
            Step::Index(_) => return None,
        };
        for step in steps {
            value = match step {
                Step::Name(name) => value.get(name)?,
                Step::Index(index) => value.get(index)?,
            };
        }
        Some(value)
    }

    /// Where the value at a path came from; for a section, where its first value did.
    pub(crate) fn origin(&self, path: &str) -> Origin {
        self.origins
            .range(path.to_owned()..)
            .next()
            .filter(|(found, _)| found.starts_with(path))
            .map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// Notes a fault, up to a bound.
    pub(crate) fn fault(&mut self, fault: Fault) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        }
    }

    fn walk_table(
        &mut self,
        document: &DeTable<'_>,
        place: &Place,
        target: &mut toml::Table,
        locate: Locate<'_>,
    ) {
        let mut entries: Vec<_> = document.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut seen = BTreeSet::new();
        for (key, value) in entries {
            let origin = locate(key.span());
            let written = key.get_ref().as_ref();
            let Some(name) = child(&place.schema, written) else {
                let fault = unknown(place, written, origin);
                self.fault(fault);
                continue;
            };
            let next = place.down(&name, written);
            let key_name = if name == "*" {
                written.to_owned()
            } else {
                name.clone()
            };
            if !seen.insert(key_name.clone()) {
                self.fault(Fault::new(origin, &next.concrete, Said::new(Texts::fault_twice)));
                continue;
            }
            if name != "*" && name != written {
                let said = Said::new(|texts| texts.fault_understood(written));
                let hint = Said::new(|texts| texts.hint_its_name(&name));
                self.notices
                    .push(Fault::new(origin, &next.concrete, said).with_hint(Some(hint)));
            }
            if let Some(value) = self.walk_value(value, &next, locate, target.get(&key_name)) {
                target.insert(key_name, value);
            }
        }
    }

    /// Checks a value and what lies below it; `None` when nothing of it can be used.
    fn walk_value(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        place: &Place,
        locate: Locate<'_>,
        existing: Option<&toml::Value>,
    ) -> Option<toml::Value> {
        let origin = locate(value.span());
        if let Some(field) = schema::find(&place.schema) {
            let checked = plain(value.get_ref()).and_then(|value| check(field, value));
            return match checked {
                Ok(value) => {
                    self.origins.insert(place.concrete.clone(), origin);
                    Some(value)
                }
                Err(message) => {
                    self.fault(Fault::new(origin, &place.concrete, message));
                    None
                }
            };
        }
        let list = format!("{}[]", place.schema);
        if is_section(&list) {
            let DeValue::Array(items) = value.get_ref() else {
                let message = Said::new(|texts| texts.fault_list(&place.concrete));
                self.fault(Fault::new(origin, &place.concrete, message));
                return None;
            };
            let mut entries = Vec::new();
            for (index, item) in items.iter().enumerate() {
                let next = Place {
                    schema: list.clone(),
                    concrete: format!("{}[{index}]", place.concrete),
                };
                match self.walk_value(item, &next, locate, None) {
                    Some(entry) => {
                        self.required(&next, &entry, &locate(item.span()));
                        entries.push(entry);
                    }
                    // The entries after it keep their places.
                    None => entries.push(toml::Value::Table(toml::Table::new())),
                }
            }
            return Some(toml::Value::Array(entries));
        }
        match value.get_ref() {
            DeValue::Table(table) => {
                let mut target = existing
                    .and_then(toml::Value::as_table)
                    .cloned()
                    .unwrap_or_default();
                self.walk_table(table, place, &mut target, locate);
                Some(toml::Value::Table(target))
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => {
                let message = Said::new(|texts| texts.fault_table(&place.concrete));
                self.fault(Fault::new(origin, &place.concrete, message));
                None
            }
        }
    }

    fn required(&mut self, place: &Place, entry: &toml::Value, origin: &Origin) {
        for field in FIELDS {
            if field.default == schema::Initial::Required
                && let Some(name) = field.path.strip_prefix(&format!("{}.", place.schema))
                && !name.contains('.')
                && entry.get(name).is_none()
            {
                let path = format!("{}.{name}", place.concrete);
                // It was given, and could not be read or has a misspelt name: that has been said.
                if self.faults.iter().any(|fault| says(fault, &path)) {
                    continue;
                }
                self.fault(Fault::new(
                    origin.clone(),
                    path,
                    Said::new(|texts| texts.fault_missing(&field.kind.expected(texts))),
                ));
            }
        }
    }

    /// Finds the field of these steps, whatever their spelling; the error is advice.
    fn resolve(&self, steps: &[String]) -> Result<Place, Option<Said>> {
        let mut place = Place::default();
        for step in steps {
            let list = format!("{}[]", place.schema);
            if is_section(&list) {
                let index: usize = step
                    .parse()
                    .ok()
                    .filter(|index| *index < MAX_FAULTS)
                    .ok_or_else(|| Some(Said::new(|texts| texts.hint_list(&place.concrete))))?;
                place = Place {
                    schema: list,
                    concrete: format!("{}[{index}]", place.concrete),
                };
                continue;
            }
            let name =
                child(&place.schema, step).ok_or_else(|| unknown(&place, step, Origin::Default).hint)?;
            let free = step.to_lowercase().replace('_', "-");
            place = place.down(&name, &free);
        }
        let list = format!("{}[]", place.schema);
        if schema::find(&place.schema).is_some() || is_section(&list) {
            Ok(place)
        } else {
            Err(Some(Said::new(|texts| texts.hint_section(&place.concrete))))
        }
    }

    fn set_place(&mut self, place: &Place, text: &str, origin: &Origin) {
        let Some(field) = schema::find(&place.schema) else {
            self.set_list(place, text, origin);
            return;
        };
        if field.kind == Kind::Secret {
            match origin {
                Origin::Environment { name } => {
                    let name = name.clone();
                    self.set_secret(place, "env", &name, origin);
                }
                Origin::Default | Origin::File { .. } | Origin::Flag(_) => {
                    let reference = toml::from_str::<toml::Table>(&format!("value = {text}"))
                        .ok()
                        .and_then(|mut table| table.remove("value"))
                        .map(|value| check(field, value));
                    match reference {
                        Some(Ok(value)) => self.put(&place.concrete, value, origin.clone()),
                        Some(Err(message)) => {
                            self.fault(Fault::new(origin.clone(), &place.concrete, message))
                        }
                        None => self.fault(Fault::new(
                            origin.clone(),
                            &place.concrete,
                            Said::new(|texts| texts.fault_form(&field.kind.expected(texts))),
                        )),
                    }
                }
            }
            return;
        }
        match from_text(field, text).and_then(|value| check(field, value)) {
            Ok(value) => self.put(&place.concrete, value, origin.clone()),
            Err(message) => self.fault(Fault::new(origin.clone(), &place.concrete, message)),
        }
    }

    /// A whole list of tables, written as TOML.
    fn set_list(&mut self, place: &Place, text: &str, origin: &Origin) {
        match DeValue::parse(text) {
            Ok(value) => {
                let locate = |_: std::ops::Range<usize>| origin.clone();
                self.origins
                    .retain(|path, _| !path.starts_with(&format!("{}[", place.concrete)));
                if let Some(value) = self.walk_value(&value, place, &locate, None) {
                    self.put(&place.concrete, value, origin.clone());
                    self.origins.remove(&place.concrete);
                }
            }
            Err(error) => self.fault(Fault::new(
                origin.clone(),
                &place.concrete,
                Said::new(|texts| texts.fault_list_as_toml(&texts.toml(error.message()))),
            )),
        }
    }

    fn set_secret(&mut self, place: &Place, how: &str, target: &str, origin: &Origin) {
        let mut reference = toml::Table::new();
        reference.insert(how.to_owned(), toml::Value::String(target.to_owned()));
        self.put(&place.concrete, toml::Value::Table(reference), origin.clone());
    }

    /// Puts a value where the path says, making what lies between. List places must follow on what is there.
    fn put(&mut self, path: &str, value: toml::Value, origin: Origin) {
        let mut root = toml::Value::Table(std::mem::take(&mut self.table));
        let done = put_at(&mut root, concrete_steps(path), value);
        if let toml::Value::Table(table) = root {
            self.table = table;
        }
        if done {
            self.origins.insert(path.to_owned(), origin);
        } else {
            self.fault(Fault::new(origin, path, Said::new(Texts::fault_gap)));
        }
    }
}

/// Checks the list entries that variables and flags made piece by piece.
pub(crate) fn check_entries(tree: &mut Tree, list: &str) {
    let entries = tree
        .get(list)
        .and_then(toml::Value::as_array)
        .cloned()
        .unwrap_or_default();
    for (index, entry) in entries.iter().enumerate() {
        let concrete = format!("{list}[{index}]");
        let origin = tree.origin(&concrete);
        if matches!(origin, Origin::Environment { .. } | Origin::Flag(_)) {
            let place = Place {
                schema: format!("{list}[]"),
                concrete,
            };
            tree.required(&place, entry, &origin);
        }
    }
}

/// Puts something where a field that must be given has no value, in every entry of the lists on the way.
fn stand_in(here: &mut toml::Value, steps: &[&str], field: &Field, number: usize) {
    match (steps, here) {
        (["[]", rest @ ..], toml::Value::Array(entries)) => {
            for (number, entry) in entries.iter_mut().enumerate() {
                stand_in(entry, rest, field, number);
            }
        }
        ([name], toml::Value::Table(table)) => {
            table.entry(*name).or_insert_with(|| {
                toml::Value::String(match field.kind {
                    // The built-in provider asks for nothing else, so that it breaks no rule.
                    Kind::Choice(choices) => {
                        let built_in = choices.iter().find(|choice| **choice == "demo");
                        (*built_in.or(choices.first()).unwrap_or(&"")).to_owned()
                    }
                    _ => format!("unreadable-{number}"),
                })
            });
        }
        ([name, rest @ ..], toml::Value::Table(table)) => {
            if let Some(below) = table.get_mut(*name) {
                stand_in(below, rest, field, number);
            }
        }
        (_, _) => {}
    }
}

/// Whether a fault is about this field, or about a misspelling of it beside it.
fn says(fault: &Fault, path: &str) -> bool {
    let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
    let is_beside = fault.path.rsplit_once('.').is_some_and(|(own, _)| own == section);
    let means = |hint: &Said| hint.within(Language::En).contains(&format!("`{name}`"));
    fault.path == path || (is_beside && fault.hint.as_ref().is_some_and(means))
}

fn unknown(place: &Place, written: &str, origin: Origin) -> Fault {
    let shown: String = written.chars().take(64).collect();
    // A name without its unit (`ttl` for `ttlMs`) is further away in letters than in meaning.
    let begun = || {
        children(&place.schema)
            .find(|name| shown.len() >= 3 && name.to_lowercase().starts_with(&shown.to_lowercase()))
    };
    let here = nearest(&shown, children(&place.schema))
        .or_else(begun)
        .map(|name| Said::new(|texts| texts.hint_did_you_mean_key(name)));
    let elsewhere = || {
        FIELDS
            .iter()
            .find(|field| field.path.rsplit('.').next().is_some_and(|name| name == written))
            .map(|field| Said::new(|texts| texts.hint_did_you_mean_key(field.path)))
    };
    let path = place.down(&shown, &shown).concrete;
    Fault::new(origin, path, Said::new(Texts::fault_no_key)).with_hint(here.or_else(elsewhere))
}

/// Line and column of a place in the text.
fn location(text: &str, offset: usize) -> Origin {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Origin::File {
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).map_or(0, |line| line.chars().count()) + 1,
    }
}
