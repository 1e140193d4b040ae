//! The commands of a chat, in the language of whoever writes.

use crate::setup::{LONG, without_limits, world};

/// What the answer begins with, by language.
const ANSWERS: [(&str, &str, &str); 6] = [
    ("/start", "Hello! ", "Здравствуйте! "),
    ("/help", "/new — start a new", "/new — начать разговор"),
    ("/new", "A new conversation.", "Новый разговор."),
    (
        "/stop",
        "There is nothing to stop.",
        "Сейчас останавливать нечего.",
    ),
    ("/usage", "Used ", "Израсходовано "),
    (
        "/nonsense",
        "I do not know this command.",
        "Такой команды я не знаю.",
    ),
];

/// While no worker is free: a command waits for nobody.
#[tokio::test]
async fn every_command_is_answered_at_once_in_the_persons_language() {
    let world = world(|setup| {
        without_limits(setup)
            .env("OPENCLAW__CONCURRENCY__MIN_WORKERS", "1")
            .env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "1")
    })
    .await;
    let _hold = world.provider.hold();
    assert_eq!(world.say(99, "a question").await, 200);
    world.provider.wait_for_requests(1, LONG).await.unwrap();
    let mut user = 0;
    for (command, en, ru) in ANSWERS {
        for (language, begins) in [("en", en), ("ru", ru)] {
            user += 1;
            assert_eq!(world.say_in(language, user, command).await, 200);
            let answered = world
                .telegram
                .wait_for(
                    |state| {
                        state
                            .chat(user)
                            .texts()
                            .iter()
                            .any(|text| text.starts_with(begins))
                    },
                    LONG,
                )
                .await;
            assert!(
                answered.is_ok(),
                "{command} in {language}: {:?}",
                world.telegram.chat(user).texts()
            );
        }
    }
    assert_eq!(world.provider.stats().requests, 1, "no model is asked");
}
