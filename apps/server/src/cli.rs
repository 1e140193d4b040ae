//! The command line: what can be typed. What it means is in the modules that carry it out.

use crate::budget_cli::BudgetCommand;
use crate::config::Override;
use crate::models_cli::ModelsCommand;
use clap::{Args, Parser, Subcommand, ValueEnum};
use openclaw_core::{AccessTier, UserId};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A self-hosted server that runs AI agents for many tenants at once.
#[derive(Debug, Parser)]
#[command(name = "openclaw", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the server; no file needed
    Serve(ServeArgs),
    /// Show on one screen how the running server is doing
    Status(StatusArgs),
    /// Say by the exit code whether the server is well, for health checks of containers; needs no token
    Health(crate::health_cli::HealthArgs),
    /// Send a message to the running server and print the answer as it comes
    Send(SendArgs),
    /// Make, list and take back API keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// See the workers, let them go, kill them
    #[command(subcommand)]
    Workers(crate::workers_cli::WorkersCommand),
    /// See what waits, stop handing it out, drop it
    #[command(subcommand)]
    Queue(crate::queue_cli::QueueCommand),
    /// List models, say which one a request would get and why, try whether they answer
    #[command(subcommand)]
    Models(ModelsCommand),
    /// Show, explain and reset token budgets; report what was spent
    #[command(subcommand)]
    Budget(BudgetCommand),
    /// Look at the configuration, and let the running server read it again
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print what a shell needs to complete commands
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// Print the version
    Version,
}

/// Where the configuration comes from. Environment variables count too: see `openclaw config show`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ServeArgs {
    /// The configuration file; without it, openclaw.toml in the data directory if it is there
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where everything is kept: in memory, where nothing survives the process, or in one file of the data directory
    #[arg(long, value_name = "KIND")]
    pub(crate) storage: Option<Storage>,
    /// Where the server keeps its data
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    pub(crate) listen: Option<SocketAddr>,
    /// One field of the configuration, such as concurrency.maxWorkers=8; may be repeated
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Storage {
    Memory,
    Sqlite,
}

/// Which server a command talks to.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ServerArgs {
    /// The server's address; found through the data directory without it
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The data directory of the server
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// What to say; from standard input when it is "-"
    pub(crate) text: String,
    /// Which model; the server chooses without it
    #[arg(long, default_value = "auto")]
    pub(crate) model: String,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key; it is printed once and never again
    Create {
        /// Whose it is: a name of your choice, without colons; without it, somebody new
        #[arg(long, value_name = "USER")]
        user: Option<UserId>,
        /// What it grants: free, standard, premium or admin
        #[arg(long, default_value = "free", value_name = "TIER")]
        tier: AccessTier,
        /// When it ends by itself: 90d, 12h, 30m; never without it
        #[arg(long, value_name = "TIME", value_parser = parse_span)]
        expires: Option<Duration>,
        /// Without the limits of messenger.rateLimits.api
        #[arg(long)]
        unlimited: bool,
        #[command(flatten)]
        server: ServerArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List the keys, without the keys themselves
    List {
        #[command(flatten)]
        server: ServerArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a key back; a running server refuses it from then on
    Revoke {
        /// The key's id as `openclaw keys list` shows it, the beginning of one, or the key itself
        id: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every value and where it came from
    Show {
        #[command(flatten)]
        from: ServeArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Find every fault at once
    Check {
        #[command(flatten)]
        from: ServeArgs,
    },
    /// Let the running server read its configuration again; says what needs a restart
    Reload {
        #[command(flatten)]
        server: ServerArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what a field means, where its value came from and what it may be; of a section, list the fields
    Explain {
        /// The field or section, such as concurrency.maxWorkers or concurrency
        field: String,
        #[command(flatten)]
        from: ServeArgs,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
}

impl ServeArgs {
    /// The flags as fields of the configuration.
    pub(crate) fn overrides(&self) -> Vec<Override> {
        let of = |flag, setting| Override { flag, setting };
        let mut fields: Vec<_> = self.set.iter().map(|set| of("--set", set.clone())).collect();
        if let Some(storage) = self.storage {
            fields.push(of("--storage", format!("storage.kind={}", storage.as_str())));
        }
        if let Some(path) = &self.data_dir {
            fields.push(of("--data-dir", format!("storage.dataDir={}", path.display())));
        }
        if let Some(address) = &self.listen {
            fields.push(of("--listen", format!("server.listen={address}")));
        }
        fields
    }

    /// Whether a flag says where to listen, so that `PORT` does not count.
    pub(crate) fn says_where_to_listen(&self) -> bool {
        self.listen.is_some()
            || self.set.iter().any(|set| {
                set.split('=')
                    .next()
                    .is_some_and(|field| field.trim() == "server.listen")
            })
    }

    /// The same flags as they can be typed again, each with a space before it; `listen` in place of what was said of it.
    pub(crate) fn typed_again(&self, listen: Option<SocketAddr>) -> String {
        let mut typed = String::new();
        let mut flag = |name: &str, value: &str| typed.push_str(&format!(" {name} {}", quoted(value)));
        if let Some(path) = &self.config {
            flag("--config", &path.to_string_lossy());
        }
        if let Some(storage) = self.storage {
            flag("--storage", storage.as_str());
        }
        if let Some(path) = &self.data_dir {
            flag("--data-dir", &path.to_string_lossy());
        }
        if let Some(address) = listen.or(self.listen) {
            flag("--listen", &address.to_string());
        }
        for set in &self.set {
            flag("--set", set);
        }
        typed
    }
}

impl Storage {
    fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
        }
    }
}

impl ServerArgs {
    /// The data directory as it can be typed again, with a space before it; nothing when it was not given.
    pub(crate) fn typed_again(&self) -> String {
        match &self.data_dir {
            Some(path) => format!(" --data-dir {}", quoted(&path.to_string_lossy())),
            None => String::new(),
        }
    }
}

/// A word as a shell reads it back.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "expected an address with a port, such as 127.0.0.1:3000 or 0.0.0.0:80".to_owned())
}

/// Reads `90d`, `12h`, `30m`, `45s`, `2w`.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected a number and a unit, such as 90d, 12h, 30m, 45s or 2w";
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits).ok_or(EXPECTED)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(EXPECTED.to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| EXPECTED.to_owned())?;
    match number.checked_mul(seconds) {
        Some(0) | None => Err("expected a time that is neither zero nor beyond counting".to_owned()),
        Some(seconds) => Ok(Duration::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_can_be_typed_again_also_with_another_address() {
        let typed = |words: &[&str], listen: Option<&str>| {
            let cli = Cli::parse_from(["openclaw", "serve"].iter().chain(words));
            let Command::Serve(args) = cli.command else {
                panic!("not serve")
            };
            args.typed_again(listen.map(|listen| listen.parse().unwrap()))
        };
        assert_eq!(typed(&[], None), "");
        assert_eq!(
            typed(
                &[
                    "--data-dir",
                    "/a b",
                    "--listen",
                    "[::1]:1",
                    "--set",
                    "session.systemPrompt=it's"
                ],
                Some("[::1]:2")
            ),
            r" --data-dir '/a b' --listen '[::1]:2' --set 'session.systemPrompt=it'\''s'"
        );
        assert_eq!(
            typed(&["--config", "c.toml", "--storage", "memory"], None),
            " --config c.toml --storage memory"
        );
    }

    #[test]
    fn a_span_has_a_number_and_a_unit() {
        assert_eq!(parse_span("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert_eq!(parse_span("2w"), Ok(Duration::from_secs(14 * 86_400)));
        assert_eq!(parse_span("1s"), Ok(Duration::from_secs(1)));
        for wrong in [
            "",
            "d",
            "90",
            "0d",
            "-1d",
            "1.5h",
            "90 d",
            "1y",
            "99999999999999999w",
            "д",
        ] {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
    }
}
