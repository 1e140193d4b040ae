//! Paths: from what somebody typed to the schema's names, and from a path to its place in a document.

use super::super::schema::{self, FIELDS};

/// A step down from the root: where we are in the schema and in the document.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// `ai-fabric.providers[]`
    pub(super) schema: String,
    /// `ai-fabric.providers[0]`
    pub(super) concrete: String,
}

/// A step of a concrete path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

// === impl Place ===

impl Place {
    pub(super) fn down(&self, name: &str, written: &str) -> Self {
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

pub(super) fn concrete_steps(path: &str) -> impl Iterator<Item = Step<'_>> {
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

pub(super) fn put_at<'a>(
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
pub(super) fn typed_steps(path: &str) -> Vec<String> {
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
pub(super) fn children(path: &str) -> impl Iterator<Item = &'static str> {
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
pub(super) fn child(path: &str, written: &str) -> Option<String> {
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

pub(super) fn is_section(path: &str) -> bool {
    FIELDS.iter().any(|field| field.path.starts_with(path))
}
