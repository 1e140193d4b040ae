//! What the demo model says.

use openclaw_core::{ChatMessage, Language, Role};

/// How much of a message is repeated, in characters.
const MAX_ECHO: usize = 400;

/// The answer to a conversation: a greeting, what was said, and how many earlier messages were seen.
pub(crate) fn reply(messages: &[ChatMessage]) -> String {
    let said = |message: &&ChatMessage| matches!(message.role, Role::User | Role::Assistant);
    let last = messages.iter().rev().find(|message| message.role == Role::User);
    let text = last.map(ChatMessage::joined_text).unwrap_or_default();
    let text = text.trim();
    let earlier = messages
        .iter()
        .filter(said)
        .count()
        .saturating_sub(usize::from(last.is_some()));
    let echo = shortened(text);
    // What ends in a mark of its own gets no second one.
    let end = if echo.ends_with(['.', '!', '?', '…']) {
        ""
    } else {
        "."
    };
    match (Language::of_text(text).unwrap_or_default(), echo.is_empty()) {
        (Language::Ru, false) => format!(
            "Здравствуйте! Я демонстрационная модель и отвечаю без сети и ключей. Вы написали: «{echo}»{end} {}",
            memory(Language::Ru, earlier)
        ),
        (Language::Ru, true) => format!(
            "Здравствуйте! Я демонстрационная модель. {}",
            memory(Language::Ru, earlier)
        ),
        (Language::En, false) => format!(
            "Hello! I am the demo model and answer without network or keys. You wrote: “{echo}”{end} {}",
            memory(Language::En, earlier)
        ),
        (Language::En, true) => format!("Hello! I am the demo model. {}", memory(Language::En, earlier)),
    }
}

fn shortened(text: &str) -> String {
    let mut echo: String = text.chars().take(MAX_ECHO).collect();
    if echo.len() < text.len() {
        echo.push('…');
    }
    echo
}

fn memory(language: Language, earlier: usize) -> String {
    let forms = [
        "предыдущее сообщение",
        "предыдущих сообщения",
        "предыдущих сообщений",
    ];
    let number = u64::try_from(earlier).unwrap_or(u64::MAX);
    let messages = language.counted(number, ["earlier message", "earlier messages"], forms);
    match (language, earlier) {
        (Language::En, 0) => "This is the first message of our conversation that I see.".into(),
        (Language::En, _) => format!("I see {earlier} {messages} of our conversation."),
        (Language::Ru, 0) => "Это первое сообщение нашего разговора, которое я вижу.".into(),
        (Language::Ru, _) => format!("Я вижу {earlier} {messages} нашего разговора."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(earlier: usize, text: &str) -> Vec<ChatMessage> {
        let mut messages = vec![ChatMessage::text(Role::System, "be brief")];
        messages.extend((0..earlier).map(|_| ChatMessage::text(Role::Assistant, "before")));
        messages.push(ChatMessage::text(Role::User, text));
        messages
    }

    #[test]
    fn it_answers_in_the_language_it_was_asked_in() {
        assert!(reply(&conversation(0, "Как дела?")).starts_with("Здравствуйте! "));
        assert!(reply(&conversation(0, "How are you?")).contains("“How are you?” This is"));
        assert!(reply(&conversation(0, "Answer me, please.")).contains("please.” This is"));
        assert!(reply(&conversation(0, "Answer me")).contains("“Answer me”. This is"));
    }

    #[test]
    fn it_counts_what_it_was_shown_but_not_instructions() {
        let ends = [
            (0, "первое сообщение нашего разговора, которое я вижу."),
            (1, "Я вижу 1 предыдущее сообщение нашего разговора."),
            (3, "Я вижу 3 предыдущих сообщения нашего разговора."),
            (12, "Я вижу 12 предыдущих сообщений нашего разговора."),
            (21, "Я вижу 21 предыдущее сообщение нашего разговора."),
        ];
        for (earlier, end) in ends {
            assert!(
                reply(&conversation(earlier, "Привет")).ends_with(end),
                "{earlier}"
            );
        }
        assert!(reply(&conversation(2, "hi")).ends_with("I see 2 earlier messages of our conversation."));
    }

    #[test]
    fn a_long_message_is_repeated_in_part_and_an_empty_one_not() {
        let answer = reply(&conversation(0, &"я".repeat(1_000)));
        assert!(answer.contains(&format!("{}…»", "я".repeat(400))));
        assert!(!reply(&[]).contains('“'));
    }
}
