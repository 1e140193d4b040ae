//! The environment as the configuration sees it: variables and the files that secrets lie in.

use crate::machine::MachineFacts;
#[cfg(any(test, fuzzing))]
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Reads variables and secret files. The process's own, and a map for tests.
pub(crate) trait Environment {
    /// A variable. What is not UTF-8 is replaced, so that it is noticed and not skipped.
    fn var(&self, name: &str) -> Option<String>;

    /// The names of all variables.
    fn names(&self) -> Vec<String>;

    /// A file that a reference points to.
    fn read_file(&self, path: &Path) -> io::Result<String>;

    /// The machine.
    fn machine(&self) -> MachineFacts;
}

/// The process's environment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ProcessEnvironment;

#[cfg(any(test, fuzzing))]
/// An environment of given variables and files, for tests.
#[derive(Clone, Debug, Default)]
pub(crate) struct FixedEnvironment {
    /// Variables.
    pub(crate) vars: BTreeMap<String, String>,
    /// Files by path.
    pub(crate) files: BTreeMap<String, String>,
    /// The machine; one of which nothing is known when a test does not say.
    pub(crate) machine: MachineFacts,
}

impl Environment for ProcessEnvironment {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    fn names(&self) -> Vec<String> {
        std::env::vars_os()
            .map(|(name, _)| name.to_string_lossy().into_owned())
            .collect()
    }

    fn read_file(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }

    fn machine(&self) -> MachineFacts {
        MachineFacts::here()
    }
}

#[cfg(test)]
impl FixedEnvironment {
    /// These variables, no files.
    pub(crate) fn of<const N: usize>(vars: [(&str, &str); N]) -> Self {
        Self {
            vars: vars
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            ..Self::default()
        }
    }
}

#[cfg(any(test, fuzzing))]
impl Environment for FixedEnvironment {
    fn var(&self, name: &str) -> Option<String> {
        self.vars.get(name).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.vars.keys().cloned().collect()
    }

    fn read_file(&self, path: &Path) -> io::Result<String> {
        path.to_str()
            .and_then(|path| self.files.get(path))
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn machine(&self) -> MachineFacts {
        self.machine
    }
}
