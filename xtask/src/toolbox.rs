//! Programs outside the Rust toolchain: which ones tests can use, where they are, how commands are run.

use crate::setup;
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The OpenAI SDK for Python the compatibility tests speak through. The one for Node is pinned by
/// `xtask/testkit/js/package-lock.json`.
pub(crate) const PYTHON_SDK: &str = "openai==3.54.0";

/// The variable that hands esbuild's place down; it is read by tests of this crate, which knows none of ours.
pub(crate) const ESBUILD_VARIABLE: &str = "OPENCLAW_TEST_ESBUILD";

/// Names a Chromium goes by.
const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// What the tests can use of what may be missing.
#[derive(Debug)]
pub(crate) struct Toolbox {
    /// A Python that imports `openai`.
    pub(crate) python: Option<PathBuf>,
    /// A `node_modules` that holds `openai`.
    pub(crate) node_modules: Option<PathBuf>,
    /// A browser.
    pub(crate) chromium: Option<PathBuf>,
    /// A `node_modules` that holds the esbuild the chat page is made with.
    pub(crate) esbuild: Option<PathBuf>,
}

// === impl Toolbox ===

impl Toolbox {
    /// Looks for everything.
    pub(crate) fn find(root: &Path) -> Result<Self> {
        let place = directory(root)?;
        let python = place.join("venv/bin/python");
        let node_modules = place.join("js/node_modules");
        let has_node = on_path("node").is_some();
        Ok(Self {
            python: succeeds(Command::new(&python).args(["-c", "import openai"])).then_some(python),
            node_modules: (has_node && node_modules.join("openai/package.json").is_file())
                .then_some(node_modules),
            chromium: BROWSERS.iter().find_map(|name| on_path(name)),
            esbuild: setup::PAGE.installed(root, &place).filter(|_| has_node),
        })
    }

    /// The variables that hand the places down to the tests, with what is left out where there is none.
    pub(crate) fn variables(&self) -> [(&'static str, Option<&Path>, &'static str); 4] {
        [
            (
                "OPENCLAW_TEST_PYTHON",
                self.python.as_deref(),
                "the OpenAI SDK for Python as a client",
            ),
            (
                "OPENCLAW_TEST_NODE_MODULES",
                self.node_modules.as_deref(),
                "the OpenAI SDK for JavaScript as a client",
            ),
            (
                "OPENCLAW_TEST_CHROMIUM",
                self.chromium.as_deref(),
                "the chat page and the console in a browser",
            ),
            (
                ESBUILD_VARIABLE,
                self.esbuild.as_deref(),
                "the chat page's script and style made anew from their sources",
            ),
        ]
    }
}

/// Where set-up puts what only this tool and tests use: below the target directory, so that it goes with it.
pub(crate) fn directory(root: &Path) -> Result<PathBuf> {
    Ok(target(root)?.join("test-tools"))
}

/// The target directory in force.
pub(crate) fn target(root: &Path) -> Result<PathBuf> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("cargo metadata failed")?;
    Ok(metadata.target_directory.into_std_path_buf())
}

/// The program of this name on `PATH`.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// The cargo this tool was started by, told nothing of this tool: build scripts that look at these variables would run
/// again, and all that depends on them be built anew, whenever `cargo` and `cargo xtask` take turns.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let of_this_tool = [
            "CARGO_MANIFEST_",
            "CARGO_PKG_",
            "CARGO_BIN_NAME",
            "CARGO_CRATE_NAME",
        ]
        .iter()
        .any(|begin| name.to_string_lossy().starts_with(begin));
        if of_this_tool {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Whether the command could be run and succeeded; it says nothing.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs a command, shown before, to its successful end.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    println!("$ {shown}");
    let status = command
        .status()
        .with_context(|| format!("{shown}: cannot be run"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

/// What a command prints, without the white space around it.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| shown(command))?;
    if !output.status.success() {
        bail!(
            "{}: {}: {}",
            shown(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn shown(command: &Command) -> String {
    let parts = std::iter::once(command.get_program()).chain(command.get_args());
    let name = |part: &OsStr| part.to_string_lossy().into_owned();
    let mut words: Vec<_> = parts.map(name).collect();
    if let Some(program) = words.first_mut() {
        *program = program.rsplit('/').next().unwrap_or_default().to_owned();
    }
    words.join(" ")
}
