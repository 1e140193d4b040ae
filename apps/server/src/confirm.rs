//! Commands that cannot be taken back say what they will do and ask first.

use crate::failure::Failure;
use clap::Args;
use std::io::{BufRead as _, IsTerminal as _, Write as _};

/// How sure somebody is.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct Sure {
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Say what would happen and do nothing
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
}

// === impl Sure ===

impl Sure {
    /// Says what will happen; `true` when it shall. Asks on a terminal; elsewhere `--yes` is needed, and without it the
    /// error is one of usage.
    pub(crate) fn confirms(self, what: &str) -> anyhow::Result<bool> {
        let mut err = std::io::stderr().lock();
        writeln!(err, "{what}")?;
        if self.dry_run {
            writeln!(err, "nothing was done")?;
            return Ok(false);
        }
        if self.yes {
            return Ok(true);
        }
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Err(Failure::usage(
                "nobody can be asked: standard input is no terminal",
                "the same with --yes, or with --dry-run",
            )
            .into());
        }
        write!(err, "go on? Type yes: ")?;
        err.flush()?;
        let mut answer = String::new();
        stdin.lock().read_line(&mut answer)?;
        if answer.trim().eq_ignore_ascii_case("yes") {
            return Ok(true);
        }
        writeln!(err, "nothing was done")?;
        Ok(false)
    }
}
