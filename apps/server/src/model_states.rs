//! What each model did when it was last asked, by a turn or by an operator's test: for the status, which must say more
//! than that a circuit is open.
//!
//! Learned from the event bus, so it may lag a moment behind; nothing is decided by it.

use openclaw_ai_fabric::event::{ModelFailed, ModelResponded};
use openclaw_core::{Envelope, ModelId, ProviderId, Timestamp};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Models of which something is known. A provider may take any name; at the bound the one asked longest ago is
/// forgotten.
const MAX_MODELS: usize = 4_096;

/// The last word of every model that was asked.
#[derive(Debug, Default)]
pub(crate) struct ModelStates {
    by_model: Mutex<HashMap<(ProviderId, ModelId), LastCall>>,
}

/// How a model's last call went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LastCall {
    /// Whether it answered.
    pub(crate) ok: bool,
    /// When.
    pub(crate) at: Timestamp,
    /// Since when every call has gone like that.
    pub(crate) since: Timestamp,
    /// Who asked.
    pub(crate) by: AskedBy,
    /// The failure.
    pub(crate) failure: Option<CallFailure>,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallFailure {
    /// The error's code.
    pub(crate) code: &'static str,
    /// In a few words, none of them the provider's own.
    pub(crate) reason: String,
}

/// Who asked a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AskedBy {
    /// A person's turn.
    Turn,
    /// An operator, by `openclaw models test`.
    Test,
}

// === impl ModelStates ===

impl ModelStates {
    /// Takes note of an event, if it is the end of a call.
    pub(crate) fn observe(&self, event: &Envelope) {
        if let Some(answered) = event.payload::<ModelResponded>() {
            let (provider, model) = (&answered.provider, &answered.model);
            self.note(provider, model, AskedBy::Turn, event.timestamp(), None);
        } else if let Some(failed) = event.payload::<ModelFailed>() {
            if is_the_requests_own(failed.code) {
                return;
            }
            let failure = CallFailure {
                code: failed.code,
                reason: failed.reason.clone(),
            };
            let (provider, model) = (&failed.provider, &failed.model);
            self.note(provider, model, AskedBy::Turn, event.timestamp(), Some(failure));
        }
    }

    /// Takes note of the end of a call; without a failure it was answered.
    pub(crate) fn note(
        &self,
        provider: &ProviderId,
        model: &ModelId,
        by: AskedBy,
        at: Timestamp,
        failure: Option<CallFailure>,
    ) {
        let mut by_model = self.by_model.lock();
        let key = (provider.clone(), model.clone());
        let ok = failure.is_none();
        let since = match by_model.get(&key) {
            Some(before) if before.ok == ok => before.since,
            Some(_) | None => at,
        };
        if by_model.len() >= MAX_MODELS && !by_model.contains_key(&key) {
            let oldest = by_model.iter().min_by_key(|(_, last)| last.at);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                by_model.remove(&oldest);
            }
        }
        by_model.insert(
            key,
            LastCall {
                ok,
                at,
                since,
                by,
                failure,
            },
        );
    }

    /// How the model's last call went; `None` before it was asked.
    pub(crate) fn last(&self, provider: &ProviderId, model: &ModelId) -> Option<LastCall> {
        let key = (provider.clone(), model.clone());
        self.by_model.lock().get(&key).cloned()
    }
}

// === impl LastCall ===

impl LastCall {
    /// As the admin API has it.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "ok": self.ok,
            "at": self.at.to_string(),
            "since": self.since.to_string(),
            "by": match self.by {
                AskedBy::Turn => "turn",
                AskedBy::Test => "test",
            },
            "code": self.failure.as_ref().map(|failure| failure.code),
            "reason": self.failure.as_ref().map(|failure| &failure.reason),
        })
    }
}

/// Whether the failure says nothing of the model: its reader left, or what it was asked could not be answered.
fn is_the_requests_own(code: &str) -> bool {
    matches!(
        code,
        "CANCELLED"
            | "MODEL_CONTEXT_TOO_LONG"
            | "MODEL_CONTENT_REFUSED"
            | "MODEL_REFUSED"
            | "MODEL_UNSUPPORTED"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: &'static str) -> Option<CallFailure> {
        Some(CallFailure {
            code,
            reason: "refused the key (status 401)".to_owned(),
        })
    }

    #[test]
    fn a_failure_lasts_from_its_first_call_to_the_next_answer() {
        let states = ModelStates::default();
        let (provider, model): (ProviderId, ModelId) = ("p".parse().unwrap(), "m".parse().unwrap());
        assert_eq!(states.last(&provider, &model), None);
        let at = Timestamp::from_millis;
        let note = |by, when, failure| {
            states.note(&provider, &model, by, at(when), failure);
            states.last(&provider, &model).unwrap()
        };
        let first = note(AskedBy::Turn, 1_000, failure("MODEL_UNAUTHORIZED"));
        assert_eq!((first.ok, first.since), (false, at(1_000)));
        let second = note(AskedBy::Test, 2_000, failure("MODEL_UNAUTHORIZED"));
        assert_eq!((second.since, second.at), (at(1_000), at(2_000)));
        let answered = note(AskedBy::Test, 3_000, None);
        assert_eq!((answered.ok, answered.since), (true, at(3_000)));
        assert_eq!(
            second.to_json(),
            json!({
                "ok": false, "at": "1970-01-01T00:00:02Z", "since": "1970-01-01T00:00:01Z", "by": "test",
                "code": "MODEL_UNAUTHORIZED", "reason": "refused the key (status 401)",
            })
        );
    }

    #[test]
    fn however_many_names_a_provider_takes_no_more_than_the_bound_are_known() {
        let states = ModelStates::default();
        let provider: ProviderId = "p".parse().unwrap();
        let name = |number: usize| ModelId::parse(format!("m{number}")).unwrap();
        for number in 0..=MAX_MODELS {
            let at = Timestamp::from_millis(i64::try_from(number).unwrap());
            states.note(&provider, &name(number), AskedBy::Turn, at, None);
        }
        assert_eq!(states.by_model.lock().len(), MAX_MODELS);
        assert!(states.last(&provider, &name(0)).is_none());
        assert!(states.last(&provider, &name(MAX_MODELS)).is_some());
    }
}
