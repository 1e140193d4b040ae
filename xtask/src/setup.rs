//! `cargo xtask setup`: installs what tests, checks and the chat page need on Debian and Ubuntu. Quick where everything is there.
//!
//! System packages are installed by root alone; anybody else is told which are missing. The SDKs and esbuild live
//! below the target directory, the cargo programs where `cargo install` puts them.

use crate::toolbox::{self, PYTHON_SDK, Toolbox};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Cargo programs and the versions tried.
const CARGO_PROGRAMS: &[(&str, &str)] = &[
    ("cargo-nextest", "0.9.143"),
    ("cargo-deny", "0.20.2"),
    ("cargo-fuzz", "0.13.2"),
];

/// Installs everything that is missing.
pub(crate) fn run(root: &Path) -> Result<()> {
    system_packages()?;
    for (program, version) in CARGO_PROGRAMS {
        if toolbox::on_path(program).is_none() {
            let exact = format!("{program}@{version}");
            toolbox::run(toolbox::cargo().args(["install", "--locked", &exact]))?;
        }
    }
    let place = toolbox::directory(root)?;
    std::fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
    python(&place)?;
    node_modules(root, &place, SDK)?;
    node_modules(root, &place, PAGE)?;
    let left: Vec<_> = Toolbox::find(root)?
        .variables()
        .iter()
        .filter(|(_, found, _)| found.is_none())
        .map(|(_, _, what)| *what)
        .collect();
    if !left.is_empty() {
        bail!("still missing: {}", left.join("; "));
    }
    println!("everything tests, checks and the chat page need is installed");
    Ok(())
}

fn system_packages() -> Result<()> {
    let mut missing = Vec::new();
    if toolbox::on_path("chromium").is_none()
        && toolbox::on_path("chromium-browser").is_none()
        && toolbox::on_path("google-chrome").is_none()
    {
        missing.push("chromium");
    }
    if !toolbox::succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])) {
        missing.push("python3-venv");
    }
    if toolbox::on_path("npm").is_none() {
        missing.extend(["nodejs", "npm"]);
    }
    // The allocator's own build.
    if toolbox::on_path("make").is_none() {
        missing.push("make");
    }
    // The fuzzer itself is C++.
    if toolbox::on_path("c++").is_none() {
        missing.push("g++");
    }
    if missing.is_empty() {
        return Ok(());
    }
    let is_root = toolbox::output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0");
    if !is_root || toolbox::on_path("apt-get").is_none() {
        bail!("install these system packages first: {}", missing.join(" "));
    }
    toolbox::run(Command::new("apt-get").args(["update", "-qq"]))?;
    toolbox::run(
        Command::new("apt-get")
            .args(["install", "-qq", "-y", "--no-install-recommends"])
            .args(&missing)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

fn python(place: &Path) -> Result<()> {
    let venv = place.join("venv");
    // Written last: what an interrupted set-up left behind is not taken for a finished one.
    let stamp = venv.join("installed");
    if std::fs::read_to_string(&stamp).is_ok_and(|text| text == PYTHON_SDK) {
        return Ok(());
    }
    toolbox::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    toolbox::run(
        Command::new(venv.join("bin/python")).args(["-m", "pip", "install", "--quiet", PYTHON_SDK]),
    )?;
    std::fs::write(&stamp, PYTHON_SDK).with_context(|| stamp.display().to_string())
}

/// The packages a `package-lock.json` names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packages {
    /// The directory that holds the lock, from the root.
    source: &'static str,
    /// The directory they are installed in, below the one of all tools.
    name: &'static str,
}

/// The SDK for JavaScript.
pub(crate) const SDK: Packages = Packages {
    source: "xtask/testkit/js",
    name: "js",
};
/// What makes the chat page's script and style short.
pub(crate) const PAGE: Packages = Packages {
    source: "xtask/page",
    name: "page",
};

impl Packages {
    /// Where they are installed; `None` where they are not, or not as the lock says now.
    pub(crate) fn installed(self, root: &Path, place: &Path) -> Option<PathBuf> {
        let lock = std::fs::read(root.join(self.source).join("package-lock.json")).ok()?;
        let directory = place.join(self.name);
        let is_there = std::fs::read(directory.join("installed")).is_ok_and(|text| text == lock);
        is_there.then(|| directory.join("node_modules"))
    }
}

/// Installs these packages where they are missing; the directory they are in.
pub(crate) fn node_modules(root: &Path, place: &Path, packages: Packages) -> Result<PathBuf> {
    if let Some(modules) = packages.installed(root, place) {
        return Ok(modules);
    }
    let source = root.join(packages.source);
    let directory = place.join(packages.name);
    std::fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
    for name in ["package.json", "package-lock.json"] {
        let from = source.join(name);
        std::fs::copy(&from, directory.join(name)).with_context(|| from.display().to_string())?;
    }
    toolbox::run(
        Command::new("npm")
            .args([
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
            ])
            .current_dir(&directory),
    )?;
    // Written last, as above.
    let stamp = directory.join("installed");
    std::fs::copy(source.join("package-lock.json"), &stamp).with_context(|| stamp.display().to_string())?;
    Ok(directory.join("node_modules"))
}
