//! What people are told by the gateway itself, in Russian and English. Never shows internals.

use openclaw_ai_fabric::TokenBudgetExceededError;
use openclaw_core::{Language, Timestamp};
use std::time::Duration;

/// The greeting of `/start`.
pub(crate) fn greeting(language: Language) -> &'static str {
    match language {
        Language::En => "Hello! Send me a message and I will answer. /help shows what else I can do.",
        Language::Ru => "Здравствуйте! Напишите сообщение, и я отвечу. /help покажет, что ещё я умею.",
    }
}

/// The answer to `/help`.
pub(crate) fn help(language: Language) -> &'static str {
    match language {
        Language::En => {
            "/new — start a new conversation\n/stop — stop the answer being written\n/usage — what is left of your \
             daily limit\n/help — this list"
        }
        Language::Ru => {
            "/new — начать разговор заново\n/stop — остановить ответ, который сейчас пишется\n/usage — сколько \
             осталось от дневного лимита\n/help — этот список"
        }
    }
}

/// The answer to `/new`.
pub(crate) fn started_over(language: Language) -> &'static str {
    match language {
        Language::En => "A new conversation. I no longer remember the earlier one.",
        Language::Ru => "Новый разговор. Предыдущий я больше не помню.",
    }
}

/// The answer to `/stop` when there was something to stop, and when not.
pub(crate) fn stopped(language: Language, anything: bool) -> &'static str {
    match (language, anything) {
        (Language::En, true) => "Stopped.",
        (Language::En, false) => "There is nothing to stop.",
        (Language::Ru, true) => "Остановлено.",
        (Language::Ru, false) => "Сейчас останавливать нечего.",
    }
}

/// The answer to a command we do not have.
pub(crate) fn unknown_command(language: Language) -> &'static str {
    match language {
        Language::En => "I do not know this command. /help lists those I know.",
        Language::Ru => "Такой команды я не знаю. Список команд: /help.",
    }
}

/// The answer to `/usage`.
pub(crate) fn usage(
    language: Language,
    used: u64,
    limit: Option<u64>,
    remaining: Option<u64>,
    resets_at: Option<Timestamp>,
    now: Timestamp,
) -> String {
    let mut text = match (language, limit, remaining) {
        (Language::En, Some(limit), Some(remaining)) => {
            format!(
                "Used {} of {} {}, {} left.",
                grouped(used),
                grouped(limit),
                tokens(language, limit),
                grouped(remaining)
            )
        }
        (Language::Ru, Some(limit), Some(remaining)) => format!(
            "Израсходовано токенов: {} из {}, осталось {}.",
            grouped(used),
            grouped(limit),
            grouped(remaining)
        ),
        (Language::En, _, _) => format!(
            "Used {} {}; there is no limit.",
            grouped(used),
            tokens(language, used)
        ),
        (Language::Ru, _, _) => format!("Израсходовано токенов: {}; лимита нет.", grouped(used)),
    };
    if let (Some(resets_at), Some(_)) = (resets_at, limit) {
        text.push(' ');
        text.push_str(&resets(language, resets_at, now));
    }
    text
}

/// When a budget begins anew: in how long, and at which time.
pub fn resets(language: Language, resets_at: Timestamp, now: Timestamp) -> String {
    let wait = resets_at.saturating_since(now);
    let at = resets_at.to_string();
    // `2026-11-23T10:05:00Z` as `2026-11-23 10:05 UTC`.
    let at = format!(
        "{} {} UTC",
        at.get(..10).unwrap_or(&at),
        at.get(11..16).unwrap_or_default()
    );
    match language {
        Language::En => format!("It resets in {} ({at}).", in_words(language, wait)),
        Language::Ru => format!("Обновится через {} ({at}).", in_words(language, wait)),
    }
}

/// A duration a person can read: `23 h 5 min`, never less than a minute.
fn in_words(language: Language, wait: Duration) -> String {
    let minutes = wait.as_secs().div_ceil(60).max(1);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    let (h, min) = match language {
        Language::En => ("h", "min"),
        Language::Ru => ("ч", "мин"),
    };
    match (hours, minutes) {
        (0, minutes) => format!("{minutes} {min}"),
        (hours, 0) => format!("{hours} {h}"),
        (hours, minutes) => format!("{hours} {h} {minutes} {min}"),
    }
}

/// A number in groups of three digits, separated by a thin no-break space.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A suspended tenant, once an hour.
pub(crate) fn suspended(language: Language) -> &'static str {
    match language {
        Language::En => "Your access has been suspended. Please contact the operator of this service.",
        Language::Ru => "Ваш доступ приостановлен. Обратитесь к администратору этого сервиса.",
    }
}

/// No place in the pool within the admission deadline.
pub(crate) fn too_busy(language: Language) -> &'static str {
    match language {
        Language::En => {
            "Too many people are writing right now, and I could not get to your message. Please send it again in a few minutes."
        }
        Language::Ru => {
            "Сейчас пишет слишком много людей, и до вашего сообщения очередь не дошла. Пожалуйста, отправьте его ещё раз через несколько минут."
        }
    }
}

/// The same while the operator has stopped the queue.
pub(crate) fn paused(language: Language) -> &'static str {
    match language {
        Language::En => {
            "The operator of this service has paused answering, and I could not get to your message. Please send it again later."
        }
        Language::Ru => {
            "Администратор сервиса приостановил ответы, и до вашего сообщения очередь не дошла. Пожалуйста, отправьте его ещё раз позже."
        }
    }
}

/// The message was too old when the server came back.
pub(crate) fn too_late(language: Language) -> &'static str {
    match language {
        Language::En => {
            "Sorry, I was away and your message waited too long. Please send it again if it still matters."
        }
        Language::Ru => {
            "Простите, меня не было на связи, и ваше сообщение ждало слишком долго. Если вопрос ещё актуален, отправьте его снова."
        }
    }
}

/// The message's turns crashed as often as is allowed.
pub(crate) fn set_aside(language: Language) -> &'static str {
    match language {
        Language::En => {
            "Sorry, I failed to answer this message several times. It has been set aside for the operator."
        }
        Language::Ru => {
            "Простите, ответить на это сообщение не получилось несколько раз. Оно передано администратору."
        }
    }
}

/// No model could answer.
pub(crate) fn failed(language: Language) -> &'static str {
    match language {
        Language::En => "Sorry, the answer could not be produced. Please try again in a minute.",
        Language::Ru => "Простите, ответ получить не удалось. Попробуйте ещё раз через минуту.",
    }
}

/// The time for one answer was used up.
pub(crate) fn timed_out(language: Language) -> &'static str {
    match language {
        Language::En => {
            "Sorry, the answer took too long and was stopped. Please try again or ask for less at once."
        }
        Language::Ru => {
            "Простите, ответ занял слишком много времени и был остановлен. Попробуйте ещё раз или спросите короче."
        }
    }
}

/// A plugin cancelled the message and gave no words of its own.
pub(crate) fn cancelled_by_plugin(language: Language) -> &'static str {
    match language {
        Language::En => "This message was not passed on.",
        Language::Ru => "Это сообщение не было передано дальше.",
    }
}

/// Only text is read so far.
pub(crate) fn text_only(language: Language) -> &'static str {
    match language {
        Language::En => "I can read text only. Please write your question in words.",
        Language::Ru => "Пока я понимаю только текст. Напишите, пожалуйста, вопрос словами.",
    }
}

/// The message does not fit the model.
pub(crate) fn too_long(language: Language) -> &'static str {
    match language {
        Language::En => "This message is too long for me. Please make it shorter or send it in parts.",
        Language::Ru => "Это сообщение слишком длинное. Сократите его, пожалуйста, или отправьте частями.",
    }
}

/// The model answered with nothing.
pub(crate) fn empty_answer(language: Language) -> &'static str {
    match language {
        Language::En => "The model gave an empty answer. Please ask in other words.",
        Language::Ru => "Модель вернула пустой ответ. Попробуйте спросить иначе.",
    }
}

/// The token budget is used up.
pub(crate) fn budget_spent(language: Language, limit: u64, resets_at: Timestamp, now: Timestamp) -> String {
    let tokens = tokens(language, limit);
    let limit = grouped(limit);
    let resets = resets(language, resets_at, now);
    match language {
        Language::En => format!("Your daily limit of {limit} {tokens} is used up. {resets}"),
        Language::Ru => format!("Ваш дневной лимит в {limit} {tokens} исчерпан. {resets}"),
    }
}

/// Tokens are left, and fewer than the message needs.
pub(crate) fn budget_short(language: Language, error: &TokenBudgetExceededError, now: Timestamp) -> String {
    let word = tokens(language, error.limit);
    let is_left = language.counted(error.left(), ["is", "are"], [""; 3]);
    let [limit, left, needed] = [error.limit, error.left(), error.least].map(grouped);
    let resets = resets(language, error.resets_at, now);
    match language {
        Language::En => format!(
            "Of your daily limit of {limit} {word}, {left} {is_left} left, and this message needs at least {needed}. {resets}"
        ),
        Language::Ru => format!(
            "Из вашего дневного лимита в {limit} {word} осталось {left}, а этому сообщению нужно не меньше {needed}. {resets}"
        ),
    }
}

/// The whole token budget is less than the message needs, so that waiting does not help.
pub(crate) fn budget_too_small(language: Language, limit: u64, needed: u64) -> String {
    let word = tokens(language, limit);
    let (limit, needed) = (grouped(limit), grouped(needed));
    match language {
        Language::En => format!(
            "This message needs at least {needed} tokens, and your daily limit is {limit} {word}. Waiting does not help: \
             please send a shorter message, or ask whoever runs this service for a higher limit."
        ),
        Language::Ru => format!(
            "Этому сообщению нужно токенов: не меньше {needed}, а ваш дневной лимит — {limit} {word}. Ждать бесполезно: \
             пришлите сообщение короче или попросите владельца сервиса увеличить лимит."
        ),
    }
}

/// The word for that many tokens.
fn tokens(language: Language, number: u64) -> &'static str {
    language.counted(number, ["token", "tokens"], ["токен", "токена", "токенов"])
}

/// The caller named a model we do not have.
pub(crate) fn unknown_model(language: Language) -> &'static str {
    match language {
        Language::En => "There is no such model.",
        Language::Ru => "Такой модели нет.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_names_the_wait_and_the_time() {
        let now = Timestamp::from_millis(1_795_327_380_000);
        let at = now + Duration::from_secs(23 * 3600 + 5 * 60);
        assert_eq!(
            resets(Language::En, at, now),
            "It resets in 23 h 5 min (2026-11-23 05:08 UTC)."
        );
        assert_eq!(
            resets(Language::Ru, at, now),
            "Обновится через 23 ч 5 мин (2026-11-23 05:08 UTC)."
        );
        assert_eq!(
            resets(Language::En, now, now),
            "It resets in 1 min (2026-11-22 06:03 UTC)."
        );
    }

    #[test]
    fn usage_without_a_limit_says_so() {
        let now = Timestamp::from_millis(0);
        assert_eq!(
            usage(Language::En, 12_345, None, None, None, now),
            "Used 12\u{202f}345 tokens; there is no limit."
        );
        assert_eq!(
            usage(Language::En, 1, None, None, None, now),
            "Used 1 token; there is no limit."
        );
        let short = |language, left: u64| {
            let error = TokenBudgetExceededError {
                limit: 10_000,
                used: 10_000 - left,
                requested: 2_000,
                least: 1_300,
                resets_at: now,
            };
            budget_short(language, &error, now)
        };
        assert!(
            short(Language::En, 1).starts_with(
                "Of your daily limit of 10\u{202f}000 tokens, 1 is left, and this message needs at least 1\u{202f}300. It"
            )
        );
        assert!(short(Language::En, 1_200).contains(" 1\u{202f}200 are left, "));
        assert!(short(Language::Ru, 100).starts_with(
            "Из вашего дневного лимита в 10\u{202f}000 токенов осталось 100, а этому сообщению нужно не меньше 1\u{202f}300. "
        ));
        let spent = |language, limit| budget_spent(language, limit, now, now);
        assert!(spent(Language::En, 1).starts_with("Your daily limit of 1 token is used up. "));
        assert!(spent(Language::Ru, 21).starts_with("Ваш дневной лимит в 21 токен исчерпан. "));
        assert!(spent(Language::Ru, 2_002).starts_with("Ваш дневной лимит в 2\u{202f}002 токена исчерпан. "));
        assert!(
            spent(Language::Ru, 10_000).starts_with("Ваш дневной лимит в 10\u{202f}000 токенов исчерпан. ")
        );
    }
}
