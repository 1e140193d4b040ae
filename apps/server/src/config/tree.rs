//! The layers, put together: each value is checked against the schema where it is read, and remembers where it stood.

use super::fault::{Fault, Origin, nearest};
use super::schema::{self, FIELDS, Field, Kind};
use super::sections::ByteSize;
use crate::telemetry::LogFilter;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

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

/// A step down from the root: where we are in the schema and in the document.
#[derive(Clone, Debug, Default)]
struct Place {
    /// `ai-fabric.providers[]`
    schema: String,
    /// `ai-fabric.providers[0]`
    concrete: String,
}

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
            self.faults.push(Fault::new(origin, "", error.message()));
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
                self.fault(Fault::new(origin.clone(), path, "there is no such field").with_hint(hint))
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
        let hint =
            nearest(name, names.iter().map(String::as_str)).map(|name| format!("did you mean {name}?"));
        self.fault(Fault::new(origin, "", "this variable names no field").with_hint(hint));
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
                self.fault(Fault::new(
                    origin,
                    &next.concrete,
                    "it is written twice, in two spellings",
                ));
                continue;
            }
            if name != "*" && name != written {
                self.notices.push(
                    Fault::new(origin, &next.concrete, format!("`{written}` is understood"))
                        .with_hint(Some(format!("its name is `{name}`"))),
                );
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
                let message = format!("expected a list, written as [[{}]]", place.concrete);
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
                let message = format!("expected a table, written as [{}]", place.concrete);
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
                    format!("it is missing; {}", field.kind.expected()),
                ));
            }
        }
    }

    /// Finds the field of these steps, whatever their spelling; the error is advice.
    fn resolve(&self, steps: &[String]) -> Result<Place, Option<String>> {
        let mut place = Place::default();
        for step in steps {
            let list = format!("{}[]", place.schema);
            if is_section(&list) {
                let index: usize = step
                    .parse()
                    .ok()
                    .filter(|index| *index < MAX_FAULTS)
                    .ok_or_else(|| Some(format!("{} is a list; a number follows", place.concrete)))?;
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
            Err(Some(format!(
                "{} is a section; name one of its fields",
                place.concrete
            )))
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
                            format!("expected {}", field.kind.expected()),
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
                format!("expected a list as TOML: {}", error.message()),
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
            self.fault(Fault::new(
                origin,
                path,
                "the list has no such place; places are counted from 0 without gaps",
            ));
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
    let means = |hint: &String| hint.contains(&format!("`{name}`"));
    fault.path == path || (is_beside && fault.hint.as_ref().is_some_and(means))
}

// === impl Place ===

impl Place {
    fn down(&self, name: &str, written: &str) -> Self {
        let join = |path: &str, name: &str| {
            if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            }
        };
        Self {
            schema: join(&self.schema, name),
            concrete: join(&self.concrete, if name == "*" { written } else { name }),
        }
    }
}

/// A step of a concrete path.
#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

fn concrete_steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    path.split('.').flat_map(|part| {
        let (name, indices) = part.split_at(part.find('[').unwrap_or(part.len()));
        std::iter::once(Step::Name(name)).chain(
            indices
                .split('[')
                .skip(1)
                .filter_map(|index| index.trim_end_matches(']').parse().ok())
                .map(Step::Index),
        )
    })
}

fn put_at<'a>(
    target: &mut toml::Value,
    mut steps: impl Iterator<Item = Step<'a>>,
    value: toml::Value,
) -> bool {
    let mut here = target;
    let Some(mut step) = steps.next() else {
        return false;
    };
    loop {
        let next = steps.next();
        let slot = match step {
            Step::Name(name) => {
                if !here.is_table() {
                    *here = toml::Value::Table(toml::Table::new());
                }
                let Some(table) = here.as_table_mut() else {
                    return false;
                };
                table.entry(name).or_insert(toml::Value::Boolean(false))
            }
            Step::Index(index) => {
                if !here.is_array() {
                    *here = toml::Value::Array(Vec::new());
                }
                let Some(array) = here.as_array_mut() else {
                    return false;
                };
                if index == array.len() {
                    array.push(toml::Value::Table(toml::Table::new()));
                }
                match array.get_mut(index) {
                    Some(slot) => slot,
                    None => return false,
                }
            }
        };
        match next {
            Some(next) => {
                here = slot;
                step = next;
            }
            None => {
                *slot = value;
                return true;
            }
        }
    }
}

/// The steps of a path that somebody typed: `a.b[0].c` as `a`, `b`, `0`, `c`.
fn typed_steps(path: &str) -> Vec<String> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (name, indices) = part.split_at(part.find('[').unwrap_or(part.len()));
        steps.push(name.to_owned());
        for index in indices.split('[').skip(1) {
            steps.push(index.trim_end_matches(']').to_owned());
        }
    }
    steps
}

/// The schema's path of a field or section that somebody typed, in any spelling of its names; places of lists are of no
/// interest and may be left out.
pub(crate) fn schema_path(typed: &str) -> Option<String> {
    let mut path = String::new();
    for step in typed_steps(typed) {
        let list = format!("{path}[]");
        if !path.is_empty() && is_section(&list) {
            path = list;
            if step.bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
        }
        let name = child(&path, &step)?;
        path = if path.is_empty() {
            name
        } else {
            format!("{path}.{name}")
        };
    }
    let known = schema::find(&path).is_some() || is_section(&format!("{path}."));
    (known || is_section(&format!("{}[]", path.trim_end_matches("[]")))).then_some(path)
}

/// The names that may follow a schema path.
fn children(path: &str) -> impl Iterator<Item = &'static str> {
    FIELDS.iter().filter_map(move |field| {
        let rest = if path.is_empty() {
            field.path
        } else {
            field.path.strip_prefix(path)?.strip_prefix('.')?
        };
        rest.split(['.', '[']).next()
    })
}

/// The schema's name for a key: as it is written, in snake or upper case, or any name where any may stand.
fn child(path: &str, written: &str) -> Option<String> {
    let folded = schema::upper_snake(written).replace("__", "_");
    children(path)
        .find(|name| *name == written)
        .or_else(|| {
            children(path).find(|name| {
                schema::upper_snake(name) == folded
                    || schema::upper_snake(name) == written.to_uppercase().replace('-', "_")
            })
        })
        .or_else(|| children(path).find(|name| *name == "*"))
        .map(str::to_owned)
}

fn is_section(path: &str) -> bool {
    FIELDS.iter().any(|field| field.path.starts_with(path))
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
        .map(|name| format!("did you mean `{name}`?"));
    let elsewhere = || {
        FIELDS
            .iter()
            .find(|field| field.path.rsplit('.').next().is_some_and(|name| name == written))
            .map(|field| format!("did you mean `{}`?", field.path))
    };
    let path = place.down(&shown, &shown).concrete;
    Fault::new(origin, path, "there is no such key").with_hint(here.or_else(elsewhere))
}

/// A TOML value without its places. Dates have no use here.
fn plain(value: &DeValue<'_>) -> Result<toml::Value, String> {
    Ok(match value {
        DeValue::String(text) => toml::Value::String(text.clone().into_owned()),
        DeValue::Integer(number) => toml::Value::Integer(
            i64::from_str_radix(number.as_str(), number.radix())
                .map_err(|_| format!("{} is too large", number.as_str()))?,
        ),
        DeValue::Float(number) => toml::Value::Float(
            number
                .as_str()
                .parse()
                .map_err(|_| format!("{} is not a number", number.as_str()))?,
        ),
        DeValue::Boolean(flag) => toml::Value::Boolean(*flag),
        DeValue::Datetime(date) => return Err(format!("{date} is a date; no field holds one")),
        DeValue::Array(items) => toml::Value::Array(
            items
                .iter()
                .map(|item| plain(item.get_ref()))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => toml::Value::Table(
            table
                .iter()
                .map(|(key, value)| Ok((key.get_ref().clone().into_owned(), plain(value.get_ref())?)))
                .collect::<Result<_, String>>()?,
        ),
    })
}

/// A value of the environment or a flag as its field's type.
fn from_text(field: &Field, text: &str) -> Result<toml::Value, String> {
    let text = text.trim();
    let wrong = || format!("{text:?}; expected {}", field.kind.expected());
    Ok(match field.kind {
        Kind::Flag => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => toml::Value::Boolean(true),
            "false" | "0" | "no" | "off" => toml::Value::Boolean(false),
            _ => return Err(wrong()),
        },
        Kind::Integer(..) => toml::Value::Integer(text.replace('_', "").parse().map_err(|_| wrong())?),
        Kind::Number(..) => toml::Value::Float(text.parse().map_err(|_| wrong())?),
        Kind::Texts | Kind::Addresses => {
            if text.starts_with('[') {
                literal(text).ok_or_else(wrong)?
            } else {
                toml::Value::Array(
                    text.split(',')
                        .map(str::trim)
                        .filter(|item| !item.is_empty())
                        .map(|item| toml::Value::String(item.to_owned()))
                        .collect(),
                )
            }
        }
        Kind::Text
        | Kind::Choice(_)
        | Kind::Socket
        | Kind::Url
        | Kind::Size
        | Kind::Secret
        | Kind::Levels => toml::Value::String(text.to_owned()),
    })
}

fn literal(text: &str) -> Option<toml::Value> {
    toml::from_str::<toml::Table>(&format!("value = {text}"))
        .ok()?
        .remove("value")
}

/// Whether the field may hold the value; gives it back in the field's own type. The error names value and rule.
fn check(field: &Field, value: toml::Value) -> Result<toml::Value, String> {
    use toml::Value as V;
    if field.kind == Kind::Secret {
        // The value is never shown: it may be the secret.
        return match &value {
            V::Table(table)
                if table.len() == 1
                    && ["env", "file"].iter().any(|how| {
                        table
                            .get(*how)
                            .and_then(V::as_str)
                            .is_some_and(|text| !text.is_empty())
                    }) =>
            {
                Ok(value)
            }
            V::String(_) => Err(format!(
                "a secret does not belong in the configuration; expected {}",
                field.kind.expected()
            )),
            _ => Err(format!("expected {}", field.kind.expected())),
        };
    }
    let shown = shown(&value);
    let wrong = move || format!("{shown}; expected {}", field.kind.expected());
    match (field.kind, &value) {
        (Kind::Flag, V::Boolean(_)) | (Kind::Text, V::String(_)) => Ok(value),
        (Kind::Integer(min, max), V::Integer(number)) if (min..=max).contains(number) => Ok(value),
        (Kind::Number(min, max), V::Float(number)) if (min..=max).contains(number) => Ok(value),
        (Kind::Number(min, max), V::Integer(number)) if (min..=max).contains(&(*number as f64)) => {
            Ok(V::Float(*number as f64))
        }
        (Kind::Choice(choices), V::String(text)) => {
            if choices.contains(&text.as_str()) {
                Ok(value)
            } else {
                let hint = nearest(text, choices.iter().copied());
                Err(wrong() + &hint.map_or_else(String::new, |choice| format!("; did you mean {choice}?")))
            }
        }
        (Kind::Texts, V::Array(items)) if items.iter().all(V::is_str) => Ok(value),
        (Kind::Addresses, V::Array(items))
            if items
                .iter()
                .all(|item| item.as_str().is_some_and(|text| text.parse::<IpAddr>().is_ok())) =>
        {
            Ok(value)
        }
        (Kind::Socket, V::String(text)) if text.parse::<SocketAddr>().is_ok() => Ok(value),
        (Kind::Url, V::String(text)) if is_url(text) => Ok(V::String(text.trim_end_matches('/').to_owned())),
        (Kind::Size, V::Integer(0..)) => Ok(value),
        (Kind::Size, V::String(text)) if ByteSize::parse(text).is_some() => Ok(value),
        (Kind::Levels, V::String(text)) => match LogFilter::parse(text) {
            Ok(_) => Ok(value),
            Err(error) => Err(format!("{error}; expected {}", field.kind.expected())),
        },
        _ => Err(wrong()),
    }
}

/// Nothing, or an address with a host and without a password, a query or a fragment.
pub(super) fn is_url(text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    let Some(rest) = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
    else {
        return false;
    };
    let host = rest.split('/').next().unwrap_or_default();
    !host.is_empty()
        && !host.contains('@')
        && text
            .parse::<http::Uri>()
            .is_ok_and(|uri| uri.host().is_some() && uri.query().is_none())
        && !text.contains('#')
}

fn shown(value: &toml::Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 64 {
        text.chars().take(64).chain(['…']).collect()
    } else {
        text
    }
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
