//! `openclaw completions`: what a shell needs to complete commands, options and their values.

use crate::cli::Shell;
use crate::help;
use openclaw_core::Language;

/// The script for a shell, with descriptions in this language.
pub(crate) fn script(shell: Shell, language: Language) -> Vec<u8> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
        Shell::Powershell => clap_complete::Shell::PowerShell,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut help::command(language), "openclaw", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_learns_every_command() {
        let verbs = [
            "serve", "status", "health", "send", "keys", "workers", "queue", "models", "budget", "config",
        ];
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Powershell] {
            for language in Language::ALL {
                let script = String::from_utf8(script(shell, language)).unwrap();
                for command in verbs
                    .iter()
                    .chain(&["completions", "explain", "resume", "recycle"])
                {
                    assert!(script.contains(command), "{shell:?} does not know {command}");
                }
            }
        }
    }
}
