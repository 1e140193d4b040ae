//! `cargo xtask setup`: installs what tests and checks need on Debian and Ubuntu. Quick where everything is there.
//!
//! System packages are installed by root alone; anybody else is told which are missing. The SDKs live below the
//! target directory, the cargo programs where `cargo install` puts them.

use crate::toolbox::{self, PYTHON_SDK, Toolbox};
use anyhow::{Context, Result, bail};
use std::path::Path;
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
    node(root, &place)?;
    let left: Vec<_> = Toolbox::find(root)?
        .variables()
        .iter()
        .filter(|(_, found, _)| found.is_none())
        .map(|(_, _, what)| *what)
        .collect();
    if !left.is_empty() {
        bail!("still missing: {}", left.join("; "));
    }
    println!("everything tests and checks need is installed");
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

fn node(root: &Path, place: &Path) -> Result<()> {
    let source = root.join("xtask/testkit/js");
    let directory = place.join("js");
    std::fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
    let lock =
        std::fs::read(source.join("package-lock.json")).context("xtask/testkit/js/package-lock.json")?;
    let stamp = directory.join("installed");
    if std::fs::read(&stamp).is_ok_and(|text| text == lock) {
        return Ok(());
    }
    for name in ["package.json", "package-lock.json"] {
        std::fs::copy(source.join(name), directory.join(name)).with_context(|| name.to_owned())?;
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
    std::fs::write(&stamp, lock).with_context(|| stamp.display().to_string())
}
