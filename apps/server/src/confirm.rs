//! Commands that cannot be taken back say what they will do and ask first.

use crate::failure::Failure;
use crate::texts::Texts;
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
        if is_yes(&answer) {
            return Ok(true);
        }
        writeln!(err, "{}", texts.confirm_nothing_done())?;
        Ok(false)
    }
}

/// Whether somebody agrees, whichever layout the keyboard was left in.
fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "yes" | "y" | "да" | "д")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_or_its_first_letter_agrees_and_nothing_else() {
        for yes in ["yes\n", "Y\n", " Да \n", "д"] {
            assert!(is_yes(yes), "{yes:?}");
        }
        for no in ["", "\n", "no", "yess", "н", "1"] {
            assert!(!is_yes(no), "{no:?}");
        }
    }
}
