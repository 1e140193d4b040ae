//! What people can say that is not for a model. Commands have a lane of their own: `/stop` must not wait behind the
//! turn it is meant to end.

use crate::admission::Admission;
use crate::error::Refusal;
use crate::ports::{OpenEntry, Outcome};
use crate::renewal::Renewal;
use crate::services::Services;
use crate::words;
use openclaw_core::{CodedError, Language};
use openclaw_plugins::{HookContext, HookName, SessionEndReason};
use std::sync::Arc;

/// A command of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Start,
    Help,
    New,
    Stop,
    Usage,
    Unknown,
}

impl Command {
    /// Reads `/name`, `/name@Bot` and `/name arguments`. `None` for a text that is not a command.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let word = text.strip_prefix('/')?.split(char::is_whitespace).next()?;
        let name = word.split('@').next().unwrap_or_default();
        // A path such as `/etc/hosts` or a lone slash is a message.
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return None;
        }
        Some(match name.to_ascii_lowercase().as_str() {
            "start" => Self::Start,
            "help" => Self::Help,
            "new" => Self::New,
            "stop" => Self::Stop,
            "usage" => Self::Usage,
            _ => Self::Unknown,
        })
    }
}

/// Carries out a command and ends its entry with the answer.
pub(crate) async fn run(
    services: &Arc<Services>,
    admission: &Arc<Admission>,
    entry: &OpenEntry,
    command: Command,
    renewal: Option<Renewal>,
) {
    let language = entry.message.language();
    let answer = match command {
        Command::Start => Ok(words::greeting(language).to_owned()),
        Command::Help => Ok(words::help(language).to_owned()),
        Command::New => return start_over(services, admission, entry, renewal).await,
        Command::Stop => {
            let anything = admission.stop(&entry.tenant.tenant_id, Some(entry.id)).await;
            Ok(words::stopped(language, anything).to_owned())
        }
        Command::Usage => usage(services, entry, language).await,
        Command::Unknown => Ok(words::unknown_command(language).to_owned()),
    };
    close(admission, entry, answer).await;
}

/// Ends a command's entry with its answer. Whether the end is in the store.
async fn close(admission: &Admission, entry: &OpenEntry, answer: Result<String, Refusal>) -> bool {
    match answer {
        Ok(text) => admission.close_entry(entry, Outcome::Command, &text, None).await,
        Err(refusal) => {
            let words = refusal.user_message(entry.message.language());
            admission
                .close_entry(entry, Outcome::Refused, &words, Some(&refusal))
                .await
        }
    }
}

async fn start_over(
    services: &Arc<Services>,
    admission: &Arc<Admission>,
    entry: &OpenEntry,
    renewal: Option<Renewal>,
) {
    // An answer to the old conversation must not become the first word of the new one.
    admission.stop(&entry.tenant.tenant_id, Some(entry.id)).await;
    let ended = services.store.start_over(entry.key, services.clock.now()).await;
    let (answer, ended) = match ended {
        Ok(ended) => {
            let generation = ended.as_ref().map(|session| session.generation);
            services.recall.start_over(entry.key, generation);
            (
                Ok(words::started_over(entry.message.language()).to_owned()),
                ended,
            )
        }
        Err(error) => (Err(error.into()), None),
    };
    // Let through after the end is in the store: a restart would carry the command out once more, and start over what
    // had begun since.
    match (close(admission, entry, answer).await, renewal) {
        (false, Some(renewal)) => renewal.leave(),
        (_, renewal) => drop(renewal),
    }
    if let Some(session) = ended {
        services
            .session_hook(
                HookName::OnSessionEnd,
                || HookContext::OnSessionEnd {
                    tenant: entry.tenant.tenant_id.clone(),
                    session: session.id.clone(),
                    generation: session.generation,
                    reason: SessionEndReason::Renewed,
                },
                entry,
            )
            .await;
    }
}

async fn usage(services: &Services, entry: &OpenEntry, language: Language) -> Result<String, Refusal> {
    let account = services.budget.account_for(&entry.tenant.tenant_id);
    let usage = services.purse.usage(&account, entry.tenant.tier).await?;
    let now = services.clock.now();
    Ok(words::usage(
        language,
        usage.used,
        usage.limit,
        usage.remaining,
        usage.resets_at,
        now,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<Command>) {
        assert_eq!(Command::parse(text), expected, "{text:?}");
    }

    #[test]
    fn commands_are_read_with_bot_names_and_arguments() {
        check("/stop", Some(Command::Stop));
        check("/STOP@My_Bot now", Some(Command::Stop));
        check("/start deep-link", Some(Command::Start));
        check("/whatever", Some(Command::Unknown));
    }

    #[test]
    fn what_only_looks_like_a_command_is_a_message() {
        check("hello /stop", None);
        check("/", None);
        check("/etc/hosts is empty", None);
        check("/ stop", None);
    }
}
