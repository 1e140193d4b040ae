//! What `config explain` says: of a field its meaning, type, names and value, of a section its fields.

use super::fault::nearest;
use super::schema::{self, FIELDS, Field, Reload};
use super::show::{Settings, unset};
use super::tree;
use super::unused;
use crate::texts::Texts;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The widest value that is shown whole in the list of a section.
const VALUE_CHARS: usize = 40;

/// The field that `PORT` gives a part of.
const LISTEN: &str = "server.listen";

/// What a name that explains nothing may have been meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meant {
    /// Nothing is near.
    Nothing,
    /// Probably this.
    One(&'static str),
    /// Any of these: all have that last name.
    Several(Vec<&'static str>),
}

/// Explains a field or a section, by its path, also with places of lists (`ai-fabric.providers[0].kind`), by its name
/// in the environment, or by the last part of its path alone where no other field has it. The error is what was probably
/// meant.
pub(crate) fn explain(settings: &Settings, typed: &str, texts: Texts) -> Result<String, Meant> {
    let typed = typed.trim().trim_end_matches('.');
    if let Some(field) = by_variable(typed) {
        return Ok(of_field(settings, field, field.path, texts));
    }
    if let Some(unused) = unused::named(typed) {
        return Ok(texts.explain_unused(unused.name, unused.why(texts.language())));
    }
    let variable = typed
        .strip_prefix("OPENCLAW__")
        .map(|rest| rest.replace("__", "."));
    let name = variable.as_deref().unwrap_or(typed);
    let Some(path) = tree::schema_path(name) else {
        let named = by_last_name(name);
        return match named.as_slice() {
            [field] => Ok(of_field(settings, field, field.path, texts)),
            [] => Err(similar(typed).map_or(Meant::Nothing, Meant::One)),
            several => Err(Meant::Several(several.iter().map(|field| field.path).collect())),
        };
    };
    match schema::find(&path) {
        Some(field) => Ok(of_field(settings, field, name, texts)),
        None => Ok(of_section(settings, &path, texts)),
    }
}

/// The field that a fault or a person names, whatever places of lists stand in the name.
pub(crate) fn field_named(path: &str) -> Option<&'static Field> {
    schema::find(&tree::schema_path(path)?)
}

fn by_variable(name: &str) -> Option<&'static Field> {
    if name == "PORT" {
        return schema::find(LISTEN);
    }
    // A secret's variable may name a file instead.
    let plain = name.strip_suffix("_FILE").unwrap_or(name);
    let is_it = |field: &&Field, name: &str| field.short_name() == Some(name) || field.env_name() == name;
    FIELDS.iter().find(|field| is_it(field, name)).or_else(|| {
        let mut secrets = FIELDS.iter().filter(|field| field.kind == schema::Kind::Secret);
        secrets.find(|field| is_it(field, plain))
    })
}

/// The fields whose path ends in this name, in any spelling: `maxWorkers`, `max_workers`, `MAX_WORKERS`, with or without
/// `OPENCLAW_` before it.
fn by_last_name(name: &str) -> Vec<&'static Field> {
    let folded = |name: &str| {
        if name.chars().any(char::is_lowercase) {
            schema::upper_snake(name)
        } else {
            name.to_owned()
        }
    };
    let name = folded(name.strip_prefix("OPENCLAW_").unwrap_or(name));
    FIELDS
        .iter()
        .filter(|field| {
            field
                .path
                .rsplit('.')
                .next()
                .is_some_and(|last| folded(last) == name)
        })
        .collect()
}

fn of_field(settings: &Settings, field: &Field, path: &str, texts: Texts) -> String {
    let mut out = format!("{}\n  {}\n\n", field.path, texts.one_of(field.doc));
    // Writing to a String cannot fail.
    let mut line = |name: String, value: &str| {
        let _ = writeln!(out, "  {name:<12} {value}");
    };
    line(texts.explain_type(), &field.kind.expected(texts));
    line(texts.explain_default(), &unset(field, texts));
    let own = |entry: &&super::show::Setting| entry.path == path || entry.path == field.path;
    if let Some(entry) = settings.entries().iter().find(own) {
        let value = format!("{} ({})", entry.value(texts), entry.origin.told(texts));
        line(texts.explain_value(), &value);
    }
    let names = match field.short_name() {
        Some(short) => format!("{}, {short}", field.env_name()),
        None if field.path == LISTEN => texts.explain_port(&field.env_name()),
        None => field.env_name(),
    };
    line(texts.explain_environment(), &names);
    let change = match field.reload {
        Reload::Restart => texts.explain_restart(),
        Reload::Now | Reload::NewConversations | Reload::Reconnect if schema::applies_at_once(field.path) => {
            texts.explain_at_once()
        }
        // What each will mean once a running server can change it.
        Reload::Now | Reload::NewConversations | Reload::Reconnect => texts.explain_later(),
    };
    line(texts.explain_change(), &change);
    out
}

/// The fields of a section, each with its present value and its meaning.
fn of_section(settings: &Settings, path: &str, texts: Texts) -> String {
    let within = format!("{}.", path.trim_end_matches("[]"));
    let of_list = format!("{}[].", path.trim_end_matches("[]"));
    let rows: Vec<(&'static Field, &str, String)> = FIELDS
        .iter()
        .filter_map(|field| {
            let name = field
                .path
                .strip_prefix(&of_list)
                .or_else(|| field.path.strip_prefix(&within))?;
            let value = settings
                .entries()
                .iter()
                .find(|entry| entry.path == field.path)
                .map_or_else(|| unset(field, texts), |entry| entry.value(texts).to_owned());
            Some((field, name, shortened(&value)))
        })
        .collect();
    let widest = |of: fn(&(&'static Field, &str, String)) -> usize| rows.iter().map(of).max().unwrap_or(0);
    let names = widest(|row| row.1.chars().count());
    let values = widest(|row| row.2.chars().count());
    let mut out = format!("{}\n\n", path.trim_end_matches("[]"));
    for (field, name, value) in &rows {
        let doc = texts.one_of(field.doc);
        let _ = writeln!(out, "  {name:<names$}  {value:<values$}  {doc}");
    }
    if let Some((field, ..)) = rows.first() {
        out.push_str(&texts.explain_more(field.path));
    }
    out
}

fn shortened(value: &str) -> String {
    if value.chars().count() <= VALUE_CHARS {
        value.to_owned()
    } else {
        value.chars().take(VALUE_CHARS - 1).chain(['…']).collect()
    }
}

/// Every section and list of tables: what stands before a dot in a field's path.
fn sections() -> BTreeSet<&'static str> {
    FIELDS
        .iter()
        .flat_map(|field| {
            field
                .path
                .match_indices('.')
                .filter_map(|(at, _)| field.path.get(..at))
                .map(|section| section.trim_end_matches("[]"))
        })
        .collect()
}

/// The field or section that was probably meant: a field of that last name, else one written almost so.
fn similar(typed: &str) -> Option<&'static str> {
    let last = |path: &'static str| path.rsplit('.').next().unwrap_or(path);
    let fields = || FIELDS.iter().map(|field| field.path);
    let name = typed.rsplit('.').next().filter(|name| !name.is_empty())?;
    fields()
        .find(|other| last(other).eq_ignore_ascii_case(name))
        .or_else(|| nearest(typed, sections().into_iter().chain(fields())))
        .or_else(|| {
            let close = nearest(name, fields().map(last))?;
            fields().find(|other| last(other) == close)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(typed: &str, words: &[&str]) {
        let text = explain(&Settings::default(), typed, Texts::default()).unwrap();
        for word in words {
            assert!(text.contains(word), "{typed}: {word} in\n{text}");
        }
    }

    #[test]
    fn a_section_lists_its_fields_with_their_meaning() {
        check(
            "concurrency",
            &[
                "  minWorkers ",
                "  latencyWindowMs ",
                "Upper bound of the pool.",
                "explain concurrency.preset",
            ],
        );
        check("streaming.web", &["flushTimeoutMs", "200"]);
        check("ai-fabric", &["budgets.free", "providers[].models[].id"]);
        for list in [
            "ai-fabric.providers",
            "ai-fabric.providers[]",
            "ai-fabric.providers[3]",
        ] {
            check(
                list,
                &[
                    "ai-fabric.providers\n",
                    "\n  kind",
                    "(required)",
                    "\n  models[].contextWindow",
                ],
            );
        }
        let text = explain(&Settings::default(), "session", Texts::default()).unwrap();
        assert!(
            !text.contains("session.ttlMs  "),
            "names are those within the section: {text}"
        );
    }

    #[test]
    fn a_field_is_found_by_every_name_it_goes_by() {
        for name in [
            "ai-fabric.providers[].kind",
            "ai-fabric.providers[2].kind",
            "ai-fabric.providers.kind",
            "OPENCLAW__AI_FABRIC__PROVIDERS__N__KIND",
        ] {
            check(name, &["ai-fabric.providers[].kind\n  What it speaks."]);
        }
        check(
            "PORT",
            &["server.listen\n", "environment  ", ", PORT (the port alone)"],
        );
        check("LOG_LEVEL", &["logging.level\n"]);
        for name in [
            "concurrency.max_workers",
            "OPENCLAW__CONCURRENCY__MAX_WORKERS",
            "MAX_WORKERS",
            "OPENCLAW_MAX_WORKERS",
            "maxWorkers",
            "max_workers",
        ] {
            check(name, &["concurrency.maxWorkers\n"]);
        }
        check("MAX_BOT_TOKEN", &["messenger.max.token\n"]);
        check("WEBHOOK_SECRET_FILE", &["messenger.telegram.secret\n"]);
        check(
            "OPENCLAW__AI_FABRIC__PROVIDERS__0__KIND",
            &["ai-fabric.providers[].kind\n  What it speaks."],
        );
        check(
            "WORKSPACE_ROOT",
            &["Not used: nothing in this version works with files."],
        );
        let Err(Meant::Several(several)) = explain(&Settings::default(), "baseUrl", Texts::default()) else {
            panic!("several fields have that name");
        };
        assert!(several.contains(&"messenger.telegram.baseUrl"), "{several:?}");
        assert!(several.contains(&"messenger.max.baseUrl"), "{several:?}");
        assert!(several.contains(&"ai-fabric.providers[].baseUrl"), "{several:?}");
        check("logging.levels.ai-fabric", &["The level of one module."]);
    }

    #[test]
    fn a_misspelt_section_finds_its_neighbour() {
        let meant = |typed: &str| explain(&Settings::default(), typed, Texts::default()).unwrap_err();
        assert_eq!(meant("concurency"), Meant::One("concurrency"));
        assert_eq!(meant("streming.web"), Meant::One("streaming.web"));
        assert_eq!(meant("server.maxWorkers"), Meant::One("concurrency.maxWorkers"));
        assert_eq!(meant("maxWorker"), Meant::One("concurrency.maxWorkers"));
        assert_eq!(meant("weather"), Meant::Nothing);
        assert_eq!(meant(""), Meant::Nothing);
    }
}
