//! Whether there is an Ollama, and what it has.

use openclaw_core::{Clock, ModelId};
use openclaw_http_client::{Client, Response, StatusCode, address, read_at_most};
use serde::Deserialize;
use std::time::Duration;

/// How much of an answer is read, in bytes.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// An Ollama that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// The models it has, the one used last first, as it lists them. May be empty: nothing was pulled yet.
    pub models: Vec<ModelId>,
}

#[derive(Deserialize)]
struct Tags {
    models: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
}

/// Asks for the models at this address. `None` when nothing there answers like an Ollama within the time. Never waits
/// longer, never fails.
///
/// Cancellation: dropping the future ends the call.
pub async fn discover(
    client: &Client,
    base_url: &str,
    within: Duration,
    clock: &dyn Clock,
) -> Option<Discovered> {
    let asked = async {
        let response = client.get(address(base_url, "/api/tags")?).send().await.ok()?;
        if response.status() != StatusCode::OK {
            return None;
        }
        let models = list(response).await?;
        Some(Discovered { models })
    };
    let asked = std::pin::pin!(asked);
    match futures::future::select(asked, clock.sleep(within)).await {
        futures::future::Either::Left((found, _)) => found,
        futures::future::Either::Right(_) => None,
    }
}

/// The models of an answer. What is no id of ours could not be asked for.
pub(crate) async fn list(response: Response) -> Option<Vec<ModelId>> {
    let body = read_at_most(response, MAX_BYTES).await;
    let tags: Tags = serde_json::from_slice(&body).ok()?;
    let ids = tags
        .models
        .iter()
        .filter_map(|tag| ModelId::parse(&tag.name).ok());
    Some(ids.collect())
}
