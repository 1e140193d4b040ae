//! Variables that people know from the manual and that this version has no use for. Who sets one is told so, in the log,
//! the banner and the configuration's own commands, rather than left to believe that it works.

use super::environment::Environment;
use super::fault::{Fault, Origin};
use super::variable;
use crate::texts::Said;
use openclaw_core::Language;

/// A variable that is understood and does nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnusedVariable {
    /// Its name. With `_FILE` behind it, it does as little.
    pub(crate) name: &'static str,
    /// What it would switch on, as the banner names it: English and Russian.
    part: [&'static str; 2],
    /// Why nothing comes of it: English and Russian.
    why: [&'static str; 2],
}

/// All of them.
pub(crate) const UNUSED_VARIABLES: &[UnusedVariable] = &[UnusedVariable {
    name: "WORKSPACE_ROOT",
    part: ["workspace", "файлы"],
    why: [
        "nothing in this version works with files",
        "в этой версии ничто не работает с файлами",
    ],
}];

/// Those that are set, each under the name that it is set by.
pub(super) fn set_in(environment: &dyn Environment) -> Vec<(&'static UnusedVariable, String)> {
    UNUSED_VARIABLES
        .iter()
        .filter_map(|unused| {
            let names = [unused.name.to_owned(), format!("{}_FILE", unused.name)];
            let name = names
                .into_iter()
                .find(|name| variable(environment, name).is_some())?;
            Some((unused, name))
        })
        .collect()
}

/// The variable of that name.
pub(super) fn named(name: &str) -> Option<&'static UnusedVariable> {
    let plain = name.strip_suffix("_FILE").unwrap_or(name);
    UNUSED_VARIABLES.iter().find(|unused| unused.name == plain)
}

// === impl UnusedVariable ===

impl UnusedVariable {
    /// What it would switch on.
    pub(crate) fn part(&self, language: Language) -> &'static str {
        let [en, ru] = self.part;
        match language {
            Language::En => en,
            Language::Ru => ru,
        }
    }

    /// Why nothing comes of it.
    pub(crate) fn why(&self, language: Language) -> &'static str {
        let [en, ru] = self.why;
        match language {
            Language::En => en,
            Language::Ru => ru,
        }
    }

    /// For the log and the check.
    pub(super) fn notice(&self, name: String) -> Fault {
        let message = Said::new(|texts| texts.fault_unused(self.why(texts.language())));
        Fault::new(Origin::Environment { name }, "", message)
    }
}
