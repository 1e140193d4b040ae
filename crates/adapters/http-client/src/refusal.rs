//! What providers mean by the same status, and what may be shown of their words.
//!
//! Providers write their errors differently and agree on what most statuses mean. An adapter first looks for what only
//! its provider says (a spend limit called a bad request), then leaves the rest to [`by_status`].

use openclaw_ai_fabric::ModelError;
use openclaw_core::{ModelId, Secret};
use serde::Deserialize;
use std::time::Duration;

/// What a refusal with this status means where the provider says nothing else. `retry_after` is what headers or body
/// ask to wait, `message` what may be shown of the body; each is only called for where it is part of the meaning.
pub fn by_status(
    status: u16,
    retry_after: impl FnOnce() -> Option<Duration>,
    message: impl FnOnce() -> String,
) -> ModelError {
    match status {
        401 | 403 => ModelError::Unauthorized { status },
        402 => ModelError::QuotaExhausted { message: message() },
        404 => ModelError::UnknownModel,
        413 => ModelError::ContextTooLong,
        429 => ModelError::RateLimited {
            retry_after: retry_after(),
        },
        503 | 529 => ModelError::Overloaded {
            retry_after: retry_after(),
        },
        // A time-out of theirs, a conflict, a request too early, a failure: the same call may do better.
        408 | 409 | 425 | 500.. => ModelError::Server {
            status,
            retry_after: retry_after(),
        },
        _ => ModelError::BadRequest { message: message() },
    }
}

/// A provider's words as they may be logged: short, in one line, the secrets blotted out should they be repeated. The
/// status where there are no words.
pub fn shown<'a>(text: &str, status: u16, secrets: impl IntoIterator<Item = &'a Secret>) -> String {
    if text.is_empty() {
        return format!("status {status}");
    }
    let blotted = secrets
        .into_iter()
        .map(Secret::expose)
        .filter(|secret| !secret.is_empty())
        .fold(text.to_owned(), |text, secret| text.replace(secret, "…"));
    ModelError::text(&blotted)
}

/// The models in a list of the form `{"data": [{"id": "…"}]}`; what is no id of ours could not be asked for and is left
/// out. `short` takes from an id what the provider needs and we do not show.
///
/// # Errors
///
/// [`ModelError::Malformed`], with the place and nothing of the body, when it has another form.
pub fn listed_models(body: &[u8], short: impl Fn(&str) -> &str) -> Result<Vec<ModelId>, ModelError> {
    #[derive(Deserialize)]
    struct List {
        data: Vec<Listed>,
    }

    #[derive(Deserialize)]
    struct Listed {
        id: String,
    }

    let list: List = serde_json::from_slice(body).map_err(|error| ModelError::Malformed {
        message: format!(
            "the list of models is not what it should be, at line {} column {}",
            error.line(),
            error.column()
        ),
    })?;
    let ids = list
        .data
        .iter()
        .filter_map(|model| ModelId::parse(short(&model.id)).ok());
    Ok(ids.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_told_by_whom_it_concerns() {
        let wait = Some(Duration::from_secs(2));
        let message = || "words".to_owned();
        let told = |status| by_status(status, || wait, message);
        for status in [401, 403] {
            assert_eq!(told(status), ModelError::Unauthorized { status });
        }
        assert_eq!(told(402), ModelError::QuotaExhausted { message: message() });
        assert_eq!(told(404), ModelError::UnknownModel);
        assert_eq!(told(413), ModelError::ContextTooLong);
        assert_eq!(told(429), ModelError::RateLimited { retry_after: wait });
        for status in [503, 529] {
            assert_eq!(told(status), ModelError::Overloaded { retry_after: wait });
        }
        for status in [408, 409, 425, 500, 502, 504, 520, 599] {
            let expected = ModelError::Server {
                status,
                retry_after: wait,
            };
            assert_eq!(told(status), expected);
        }
        for status in [301, 400, 405, 418, 422, 451] {
            assert_eq!(told(status), ModelError::BadRequest { message: message() });
        }
    }

    #[test]
    fn words_are_shown_without_secrets_and_never_empty() {
        let [key, token, none] = ["sk-hush", "t0ken", ""].map(Secret::new);
        assert_eq!(shown("bad sk-hush\nt0ken", 400, [&key, &token, &none]), "bad … …");
        assert_eq!(shown("as it is", 400, []), "as it is");
        assert_eq!(shown("", 418, [&key]), "status 418");
    }

    #[test]
    fn a_list_gives_its_ids_and_shows_nothing_when_it_is_none() {
        let body = br#"{"data":[{"id":"gpt://folder/lite","object":"model"},{"id":""},{"id":"two"}]}"#;
        let ids = listed_models(body, |id| id.trim_start_matches("gpt://folder/")).unwrap();
        assert_eq!(
            ids.iter().map(ModelId::as_str).collect::<Vec<_>>(),
            ["lite", "two"]
        );
        let error = listed_models(br#"{"data":"hush"}"#, str::trim).unwrap_err();
        assert!(!error.to_string().contains("hush"), "{error}");
    }
}
