//! The mock provider of the test kit as a program: `mock [ADDRESS]`, by default on 127.0.0.1:9100.
//!
//! The model's name selects what it does; `openclaw_testkit::Answer::for_model` has the table. It runs on one thread,
//! so that it can share a core with the load generator, and remembers no requests.

use anyhow::{Context, Result};
use openclaw_testkit::{MockOptions, MockProvider};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stderr, reason = "a program that says where it listens")]
async fn main() -> Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9100".to_owned());
    let listen = address
        .parse()
        .with_context(|| format!("not an address with a port: {address}"))?;
    let options = MockOptions {
        listen,
        remember: 0,
        ..MockOptions::default()
    };
    let provider = MockProvider::start_with(options).await?;
    eprintln!("mock provider on {}", provider.address());
    provider.run().await;
    Ok(())
}
