//! The configuration: defaults, then `openclaw.toml`, then the environment, then flags.
//!
//! [`load`] reads all layers, checks every value where it stands and reports all faults at once, each with its place
//! (line and column, variable or flag), its rule and, where a name is misspelt, the name that was probably meant.
//! Every value knows where it came from. Nothing here reads the process's environment but
//! [`environment::ProcessEnvironment`].

pub(crate) mod ai_fabric;
mod check;
mod check_providers;
pub(crate) mod environment;
pub(crate) mod explain;
pub(crate) mod fault;
pub(crate) mod found;
pub(crate) mod locale;
pub(crate) mod presets;
pub(crate) mod provider_variables;
pub(crate) mod schema;
pub(crate) mod secrets;
pub(crate) mod sections;
pub(crate) mod show;
mod tree;
pub(crate) mod unused;

use crate::texts::Said;
use crate::wire;
use environment::Environment;
use fault::{ConfigError, Fault, Origin};
use found::FoundProvider;
use openclaw_core::Language;
use secrets::Secrets;
use sections::{Locale, Sections};
use serde::Deserialize;
use unused::UnusedVariable;

/// The longest configuration file that is read.
pub(crate) const MAX_FILE_BYTES: usize = 1 << 20;

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// Every section.
    pub(crate) sections: Sections,
    /// The secrets that the sections refer to.
    pub(crate) secrets: Secrets,
    /// The server's own language, by `server.locale`.
    pub(crate) language: Language,
    /// What the environment says about a provider, for a configuration without one.
    pub(crate) found: FoundProvider,
    /// Every value with its origin, as text.
    pub(crate) settings: show::Settings,
    /// What is understood, but better written otherwise.
    pub(crate) notices: Vec<Fault>,
    /// Variables that are set and do nothing in this version, each under the name it is set by.
    pub(crate) unused: Vec<(&'static UnusedVariable, String)>,
}

/// A setting of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Override {
    /// The flag that was typed: `--set`, or one that stands for a field, such as `--listen`.
    pub(crate) flag: &'static str,
    /// `section.field=value`
    pub(crate) setting: String,
}

/// Puts the layers together and checks them. `file` is the file's text.
pub(crate) fn load(
    file: Option<&str>,
    environment: &dyn Environment,
    flags: &[Override],
) -> Result<Loaded, ConfigError> {
    let mut tree = tree::Tree::default();
    match file {
        Some(text) if text.len() > MAX_FILE_BYTES => {
            tree.fault(Fault::new(
                Origin::File { line: 1, column: 1 },
                "",
                Said::new(|texts| texts.fault_long_file(text.len(), MAX_FILE_BYTES)),
            ));
        }
        Some(text) => tree.file(text),
        None => {}
    }
    apply_environment(&mut tree, environment);
    for Override { flag, setting } in flags {
        let origin = Origin::Flag(flag);
        match setting.split_once('=') {
            Some((path, value)) => tree.set_text(path.trim(), value, &origin),
            None => tree.fault(Fault::new(
                origin,
                setting,
                Said::new(|texts| texts.fault_setting()),
            )),
        }
    }
    tree::check_entries(&mut tree, "ai-fabric.providers");
    tree.defaults();
    apply_port(&mut tree, environment);

    let configured = tree.get("ai-fabric.providers").is_some();
    let found = if configured {
        FoundProvider::Nothing
    } else {
        found::look(&mut tree, environment)
    };
    let language = locale::language(locale_of(&tree), environment);
    // With a file that is not TOML everything in it seems missing, and nothing more can be said.
    if tree.faults.iter().any(is_syntax) {
        return Err(ConfigError {
            faults: tree.faults,
            language,
        });
    }
    let sections = match Sections::deserialize(toml::Value::Table(tree.whole())) {
        Ok(sections) => sections,
        Err(error) => {
            if tree.faults.is_empty() {
                let why = error.message();
                let said = Said::new(|texts| texts.fault_form(why));
                tree.fault(Fault::new(Origin::Default, "", said));
            }
            return Err(ConfigError {
                faults: tree.faults,
                language,
            });
        }
    };
    // A value that cannot be read counts as absent here. What only follows from that is not told.
    let direct = tree.faults.len();
    let secrets = check::check(&mut tree, &sections, environment);
    check::parts(&mut tree, wire::broken_rules(&sections));
    let later = tree.faults.split_off(direct);
    for fault in later {
        if !tree
            .faults
            .iter()
            .take(direct)
            .any(|cause| follows(&fault, cause))
        {
            tree.fault(fault);
        }
    }
    if !tree.faults.is_empty() {
        return Err(ConfigError {
            faults: tree.faults,
            language,
        });
    }
    check::advise(&mut tree, wire::advice(&sections, environment.machine()));
    let mut settings = show::Settings::of(&tree);
    let unused = unused::set_in(environment);
    for (variable, name) in &unused {
        settings.unused(variable, name);
    }
    for (path, value) in wire::pool_values(&sections) {
        settings.decided(path, &value);
    }
    for (path, value) in wire::stream_values(&sections) {
        settings.decided(&path, &value);
    }
    for (path, value) in presets::values(&sections.ai_fabric) {
        settings.derived(path, value);
    }
    Ok(Loaded {
        settings,
        language: locale::language(sections.server.locale, environment),
        sections,
        secrets,
        found,
        notices: tree.notices,
        unused,
    })
}

/// What `server.locale` says, where it can be read: faults are told in that language too.
fn locale_of(tree: &tree::Tree) -> Locale {
    tree.get("server.locale")
        .and_then(|value| Locale::deserialize(value.clone()).ok())
        .unwrap_or(Locale::Auto)
}

/// Whether the file is not TOML at this place.
fn is_syntax(fault: &Fault) -> bool {
    matches!(fault.origin, Origin::File { .. }) && fault.path.is_empty()
}

/// Whether a rule seems broken only because a field it names could not be read. A rule names a field of its own section
/// by the last part of its path, and one of another section by the whole path.
fn follows(fault: &Fault, cause: &Fault) -> bool {
    if fault.path == cause.path {
        return true;
    }
    let parts = |path: &str| {
        path.rsplit_once('.')
            .map(|(section, name)| (section.to_owned(), name.to_owned()))
    };
    let Some((section, name)) = parts(&cause.path) else {
        return false;
    };
    let is_sibling = parts(&fault.path).is_some_and(|(own, _)| own == section);
    let names = |word: &str, within: fn(char) -> bool| {
        let message = fault.message.within(Language::En);
        let mut words = message.split(|c: char| !within(c));
        words.any(|found| found.trim_end_matches('.') == word)
    };
    (is_sibling && names(&name, |c| c.is_ascii_alphanumeric()))
        || names(&cause.path, |c| c.is_ascii_alphanumeric() || "-.[]".contains(c))
}

/// A variable that is set to something. Empty ones count as unset: that is how container tools pass what nobody gave.
fn variable(environment: &dyn Environment, name: &str) -> Option<String> {
    environment.var(name).filter(|text| !text.trim().is_empty())
}

fn apply_environment(tree: &mut tree::Tree, environment: &dyn Environment) {
    for (name, path) in schema::SHORT_NAMES {
        let secret = schema::find(path).is_some_and(|field| field.kind == schema::Kind::Secret);
        let origin = |name: &str| Origin::Environment {
            name: name.to_owned(),
        };
        if secret {
            let file_name = format!("{name}_FILE");
            match (variable(environment, name), variable(environment, &file_name)) {
                (Some(_), Some(_)) => tree.fault(Fault::new(
                    origin(&file_name),
                    *path,
                    Said::new(|texts| texts.fault_both(name, &file_name)),
                )),
                (Some(_), None) => tree.set_reference(path, "env", name, &origin(name)),
                (None, Some(file)) => tree.set_reference(path, "file", file.trim(), &origin(&file_name)),
                (None, None) => {}
            }
        } else if let Some(text) = variable(environment, name) {
            tree.set_text(path, &text, &origin(name));
        }
    }
    let mut names: Vec<String> = environment
        .names()
        .into_iter()
        .filter(|name| name.starts_with("OPENCLAW__"))
        .collect();
    // Places of a list are filled in order, and the order of the environment is chance.
    names.sort_by_key(|name| (name.len(), name.clone()));
    for name in names {
        if let Some(text) = variable(environment, &name) {
            tree.set_variable(&name, &text);
        }
    }
    let unused = unused::set_in(environment);
    let unused = unused.into_iter().map(|(variable, name)| variable.notice(name));
    tree.notices.extend(unused);
    tree.notices.extend(unread_variables(environment));
}

/// So many variables that nobody reads are told of.
const MAX_UNREAD: usize = 20;

/// Variables that look like ours and are not read: a name that is misspelt would otherwise be ignored in silence. They
/// are no faults, since another program may use them.
fn unread_variables(environment: &dyn Environment) -> Vec<Fault> {
    let is_short = |name: &str| {
        let plain = name.strip_suffix("_FILE").unwrap_or(name);
        schema::SHORT_NAMES
            .iter()
            .any(|(known, _)| *known == name || *known == plain)
    };
    let mut names: Vec<String> = environment
        .names()
        .into_iter()
        .filter(|name| name.starts_with("OPENCLAW_") && !name.starts_with("OPENCLAW__") && !is_short(name))
        .collect();
    names.sort();
    let fields: Vec<String> = schema::FIELDS.iter().map(schema::Field::env_name).collect();
    let known = || {
        let short = schema::SHORT_NAMES.iter().map(|(name, _)| *name);
        short.chain(fields.iter().map(String::as_str))
    };
    names
        .into_iter()
        .take(MAX_UNREAD)
        .map(|name| {
            let hint =
                fault::nearest(&name, known()).map(|near| Said::new(|texts| texts.hint_did_you_mean(near)));
            let origin = Origin::Environment { name };
            Fault::new(origin, "", Said::new(|texts| texts.fault_unread())).with_hint(hint)
        })
        .collect()
}

/// `PORT` replaces the port of `server.listen`, unless a flag said where to listen.
fn apply_port(tree: &mut tree::Tree, environment: &dyn Environment) {
    let Some(text) = variable(environment, "PORT") else {
        return;
    };
    let origin = Origin::Environment {
        name: "PORT".to_owned(),
    };
    if matches!(tree.origin("server.listen"), Origin::Flag(_)) {
        return;
    }
    let Ok(port) = text.trim().parse::<u16>() else {
        tree.fault(Fault::new(
            origin,
            "server.listen",
            Said::new(|texts| texts.fault_port(&format!("{:?}", text.trim()))),
        ));
        return;
    };
    let listen = tree
        .get("server.listen")
        .and_then(toml::Value::as_str)
        .and_then(|text| text.parse::<std::net::SocketAddr>().ok());
    if let Some(mut listen) = listen {
        listen.set_port(port);
        tree.set_text("server.listen", &listen.to_string(), &origin);
    }
}

#[cfg(test)]
mod tests;
