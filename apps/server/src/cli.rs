//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

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
    /// Send a message to the running server and print the answer as it comes
    Send(SendArgs),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the version
    Version,
}

/// Where the configuration comes from. Environment variables count too: see `openclaw config show`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ServeArgs {
    /// The configuration file; without it, openclaw.toml in the data directory if it is there
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where everything is kept
    #[arg(long, value_name = "KIND")]
    pub(crate) storage: Option<Storage>,
    /// Where the server keeps its data
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<std::net::SocketAddr>,
    /// One field of the configuration, such as concurrency.maxWorkers=8; may be repeated
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Storage {
    /// Nothing survives the process
    Memory,
    /// One file in the data directory
    Sqlite,
}

#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// What to say; from standard input when it is "-"
    pub(crate) text: String,
    /// Which model; the server chooses without it
    #[arg(long, default_value = "auto")]
    pub(crate) model: String,
    /// The server's address; found through the data directory without it
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The data directory of the server
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
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
    /// Say what a field means, where its value came from and what it may be
    Explain {
        /// The field, such as concurrency.maxWorkers
        field: String,
        #[command(flatten)]
        from: ServeArgs,
    },
}

impl ServeArgs {
    /// The flags as fields of the configuration.
    pub(crate) fn overrides(&self) -> Vec<String> {
        let mut fields = self.set.clone();
        if let Some(storage) = self.storage {
            let kind = match storage {
                Storage::Memory => "memory",
                Storage::Sqlite => "sqlite",
            };
            fields.push(format!("storage.kind={kind}"));
        }
        if let Some(path) = &self.data_dir {
            fields.push(format!("storage.dataDir={}", path.display()));
        }
        if let Some(address) = &self.listen {
            fields.push(format!("server.listen={address}"));
        }
        fields
    }
}
