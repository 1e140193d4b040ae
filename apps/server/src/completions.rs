//! `openclaw completions`: what a shell needs to complete commands, options and their values.

use crate::cli::{Cli, Shell};
use clap::CommandFactory as _;

/// The script for a shell.
pub(crate) fn script(shell: Shell) -> Vec<u8> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "openclaw", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_learns_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(script(shell)).unwrap();
            for command in ["serve", "status", "send", "keys", "config", "completions"] {
                assert!(script.contains(command), "{shell:?} does not know {command}");
            }
        }
    }
}
