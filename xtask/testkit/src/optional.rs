//! Programs a test may need and a machine may lack: Python with the OpenAI SDK, Node with it, a browser.
//!
//! `cargo xtask test` finds them and hands their places down in the environment. A test asks here; where the answer
//! is `None` it returns at once, having said why. With `OPENCLAW_TEST_ALL=1` a missing program is a failure, so that
//! what was left out is never mistaken for what passed.

use std::path::PathBuf;

/// A program or package that is used where it is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optional {
    /// A Python interpreter that can import `openai`.
    Python,
    /// The `node_modules` directory that holds the package `openai`.
    NodeModules,
    /// A Chromium that runs headless.
    Chromium,
}

impl Optional {
    /// The variable its place is handed down in.
    #[must_use]
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Python => "OPENCLAW_TEST_PYTHON",
            Self::NodeModules => "OPENCLAW_TEST_NODE_MODULES",
            Self::Chromium => "OPENCLAW_TEST_CHROMIUM",
        }
    }

    /// Where it is; `None` after a line that says the test is left out.
    ///
    /// # Panics
    /// When it is missing and `OPENCLAW_TEST_ALL` is `1`.
    #[must_use]
    #[expect(
        clippy::print_stderr,
        reason = "the person running the tests must see what was left out"
    )]
    pub fn find(self) -> Option<PathBuf> {
        match self.look(|name| std::env::var_os(name)) {
            Ok(path) => Some(path),
            Err(must_have) => {
                assert!(
                    !must_have,
                    "{} is not set and nothing may be left out: run `cargo xtask setup`, then `cargo xtask test --all`",
                    self.variable()
                );
                eprintln!(
                    "left out: {} is not set (`cargo xtask setup` installs it)",
                    self.variable()
                );
                None
            }
        }
    }

    /// Its place, or whether it must not be missing.
    fn look(self, read: impl Fn(&str) -> Option<std::ffi::OsString>) -> Result<PathBuf, bool> {
        match read(self.variable()).filter(|value| !value.is_empty()) {
            Some(path) => Ok(path.into()),
            None => Err(read("OPENCLAW_TEST_ALL").is_some_and(|value| value == "1")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_a_failure_only_when_all_is_asked_for() {
        assert_eq!(Optional::Python.look(|_| None), Err(false));
        let all = |name: &str| (name == "OPENCLAW_TEST_ALL").then(|| "1".into());
        assert_eq!(Optional::Python.look(all), Err(true));
        let here = |name: &str| (name == "OPENCLAW_TEST_PYTHON").then(|| "/usr/bin/python3".into());
        assert_eq!(Optional::Python.look(here), Ok(PathBuf::from("/usr/bin/python3")));
    }
}
