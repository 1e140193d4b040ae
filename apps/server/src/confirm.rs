//! Commands that cannot be taken back say what they will do and ask first.

use crate::failure::Failure;
use crate::texts::Texts;
use clap::Args;
use openclaw_core::Language;
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
    pub(crate) fn confirms(self, what: &str, texts: Texts) -> anyhow::Result<bool> {
        let mut err = std::io::stderr().lock();
        writeln!(err, "{what}")?;
        if self.dry_run {
            writeln!(err, "{}", texts.confirm_nothing_done())?;
            return Ok(false);
        }
        if self.yes {
            return Ok(true);
        }
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Err(Failure::usage(texts.confirm_nobody(), texts.confirm_nobody_next()).into());
        }
        write!(err, "{}", texts.confirm_question())?;
        err.flush()?;
        let mut answer = String::new();
        stdin.lock().read_line(&mut answer)?;
        let answer = answer.trim().to_lowercase();
        if answer == "yes" || (texts.language() == Language::Ru && answer == "да") {
            return Ok(true);
        }
        writeln!(err, "{}", texts.confirm_nothing_done())?;
        Ok(false)
    }
}
