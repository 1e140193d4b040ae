//! What a person finds in their chat when they come back.

use crate::faults::{Faulty, faulty, until};
use crate::hooks::plug;
use crate::world::{LONG, TOOL_CALL, World};
use openclaw_ai_fabric::ModelError;
use openclaw_concurrency::RequestError;
use openclaw_core::{
    AccessTier, Clock, CodedError, IncomingMessage, Language, Platform, Role, TenantId, UserId,
};
use openclaw_gateway::ports::{CloseEntry, FeedbackStore, Outcome, TenantDirectory, TurnStore};
use openclaw_gateway::{
    ChatError, Chats, Draft, FeedEvent, FeedRead, FeedReader, GatewayConfig, Posted, QueueId,
};
use openclaw_plugins::{HookName, HookResult};
use std::sync::Arc;
use std::time::Duration;

struct Chat {
    faulty: Faulty,
    chats: Chats,
    tenant: TenantId,
}

impl Chat {
    async fn open(change: impl FnOnce(&mut GatewayConfig)) -> Self {
        let faulty = faulty(change).await;
        let world = &faulty.world;
        let directory = Arc::clone(&world.store) as Arc<dyn TenantDirectory>;
        let opinions = Arc::clone(&world.store) as Arc<dyn FeedbackStore>;
        let chats = Chats::new(world.gateway.clone(), directory, opinions);
        let user = UserId::parse("visitor").unwrap();
        let chat = chats.open(Platform::Web, user.clone(), None).await.unwrap();
        Self {
            tenant: TenantId::new(Platform::Web, user, chat),
            faulty,
            chats,
        }
    }

    fn world(&self) -> &World {
        &self.faulty.world
    }

    async fn post(&self, text: &str, key: Option<&str>) -> Result<Posted, ChatError> {
        let draft = Draft {
            text: text.to_owned(),
            idempotency_key: key.map(str::to_owned),
            language: Some(Language::En),
            correlation_id: None,
        };
        self.chats.post(&self.tenant, draft, false).await
    }

    async fn say(&self, text: &str) {
        self.post(text, None).await.unwrap();
    }

    async fn at_rest(&self) {
        until("every message has its end", async || {
            self.world().gateway.open_entries() == 0
        })
        .await;
    }

    /// Who said what, and how that ended where it has no answer.
    async fn reads(&self) -> Vec<(Role, String, Option<Outcome>)> {
        let snapshot = self.chats.snapshot(&self.tenant, None, 100).await.unwrap();
        snapshot
            .messages
            .into_iter()
            .map(|said| (said.role, said.text, said.unanswered))
            .collect()
    }

    /// How many messages a model was told with the last question.
    fn told(&self) -> usize {
        self.world().model.asked.lock().last().unwrap().messages.len()
    }
}

/// A question that ended so is read again with these words after it, and no model is told of either.
async fn check(chat: &Chat, outcome: Outcome, words: &str) {
    chat.at_rest().await;
    let reads = chat.reads().await;
    let expected = [
        (Role::User, "question".to_owned(), Some(outcome)),
        (Role::Assistant, words.to_owned(), Some(outcome)),
    ];
    assert_eq!(reads, expected);
    let world = chat.world();
    world.model.says(|_| Ok("answer".to_owned()));
    *world.model.gap.lock() = Duration::ZERO;
    chat.say("next").await;
    chat.at_rest().await;
    let reads = chat.reads().await;
    assert_eq!(reads[..2], expected);
    assert_eq!(
        reads[2..],
        [
            (Role::User, "next".to_owned(), None),
            (Role::Assistant, "answer".to_owned(), None)
        ]
    );
    assert_eq!(chat.told(), 1, "only the question itself");
}

#[tokio::test]
async fn a_message_dropped_from_the_queue() {
    let chat = Chat::open(|_| {}).await;
    let gateway = &chat.world().gateway;
    gateway.pause();
    chat.say("question").await;
    let item = gateway.queue().remove(0);
    gateway.drop_queued(item.id).await.unwrap().unwrap();
    gateway.resume();
    let words = RequestError::Dropped.user_message(Language::En);
    check(&chat, Outcome::Refused, &words).await;
}

#[tokio::test]
async fn a_message_that_no_worker_was_free_for() {
    let chat = Chat::open(|_| {}).await;
    chat.world().gateway.pause();
    chat.say("question").await;
    chat.at_rest().await;
    chat.world().gateway.resume();
    let words = "The operator of this service has paused answering, and I could not get to your message. \
                 Please send it again later.";
    check(&chat, Outcome::Refused, words).await;
}

#[tokio::test]
async fn a_message_that_the_model_had_no_answer_to() {
    let chat = Chat::open(|_| {}).await;
    chat.world().model.says(|_| Ok(String::new()));
    chat.say("question").await;
    let words = "The model gave an empty answer. Please ask in other words.";
    check(&chat, Outcome::Failed, words).await;
}

#[tokio::test]
async fn a_message_that_no_model_answered() {
    let chat = Chat::open(|_| {}).await;
    let breaks = |_: &_| {
        Err(ModelError::Server {
            status: 500,
            retry_after: None,
        })
    };
    chat.world().model.says(breaks);
    let mut reader = chat.chats.subscribe(&chat.tenant, None);
    chat.say("question").await;
    assert_eq!(failed(&mut reader).await["code"], "ALL_MODELS_FAILED");
    let words = "Sorry, the answer could not be produced. Please try again in a minute.";
    check(&chat, Outcome::Failed, words).await;
}

#[tokio::test]
async fn a_message_whose_answer_a_plugin_cancelled() {
    let chat = Chat::open(|_| {}).await;
    plug(chat.world(), HookName::OnBeforeSend, |context| {
        match context.text() {
            Some("echo: question") => HookResult::cancelled(Some("Not this.".to_owned())),
            _ => HookResult::default(),
        }
    });
    let mut reader = chat.chats.subscribe(&chat.tenant, None);
    chat.say("question").await;
    let reading = async {
        loop {
            if let FeedRead::Event { event, .. } = reader.next().await
                && let FeedEvent::TurnFinished { finish_reason, .. } = &*event
            {
                return finish_reason.clone();
            }
        }
    };
    assert_eq!(tokio::time::timeout(LONG, reading).await.unwrap(), "cancelled");
    check(&chat, Outcome::Cancelled, "Not this.").await;
}

#[tokio::test]
async fn who_has_no_budget_is_told_its_numbers_and_when_there_is_room_again_if_ever() {
    let chat = Chat::open(|config| config.default_tier = AccessTier::Free).await;
    let world = chat.world();
    world.model.costs(9_990);
    chat.say("first").await;
    chat.at_rest().await;
    let mut reader = chat.chats.subscribe(&chat.tenant, None);
    chat.say("second").await;
    let problem = failed(&mut reader).await;
    assert_eq!(problem["code"], "TOKEN_BUDGET_EXCEEDED");
    assert_eq!(
        (&problem["limit"], &problem["used"]),
        (&10_000.into(), &9_995.into())
    );
    for name in ["requested", "needed"] {
        assert!(problem[name].as_u64().unwrap() > 0, "{name}: {problem}");
    }
    assert!(problem["resetsAt"].is_string(), "{problem}");
    chat.say(&"word ".repeat(20_000)).await;
    let problem = failed(&mut reader).await;
    assert_eq!(problem["code"], "TOKEN_BUDGET_TOO_SMALL", "{problem}");
    assert!(
        problem["limit"].is_number() && problem.get("resetsAt").is_none(),
        "{problem}"
    );
}

/// Reads to the end of a turn that has no answer: why.
async fn failed(reader: &mut FeedReader) -> serde_json::Value {
    let reading = async {
        loop {
            let FeedRead::Event { event, .. } = reader.next().await else {
                panic!("not an event")
            };
            match &*event {
                FeedEvent::TurnFailed { problem, .. } => return problem.clone(),
                FeedEvent::TurnFinished { text, .. } => panic!("answered: {text}"),
                _ => {}
            }
        }
    };
    tokio::time::timeout(LONG, reading).await.unwrap()
}

#[tokio::test]
async fn a_message_whose_worker_broke() {
    let chat = Chat::open(|_| {}).await;
    chat.world().model.says(|_| panic!("as the test wants"));
    chat.say("question").await;
    let words = "Something went wrong while your request was being answered. Please try again.";
    check(&chat, Outcome::Failed, words).await;
}

#[tokio::test]
async fn a_message_that_was_stopped_while_it_waited() {
    let chat = Chat::open(|_| {}).await;
    chat.world().gateway.pause();
    chat.say("question").await;
    assert!(chat.chats.stop(&chat.tenant).await.unwrap());
    chat.world().gateway.resume();
    check(&chat, Outcome::Stopped, "Stopped.").await;
}

/// Something was said, but to a tool and not to the person.
#[tokio::test]
async fn a_message_that_was_stopped_after_the_model_had_called_a_tool() {
    let chat = Chat::open(|_| {}).await;
    let model = Arc::clone(&chat.world().model);
    chat.world().model.says(move |request| {
        if request
            .messages
            .last()
            .is_some_and(|last| last.role == Role::Tool)
        {
            *model.gap.lock() = LONG;
            Ok("too late".to_owned())
        } else {
            Ok(TOOL_CALL.to_owned())
        }
    });
    chat.say("question").await;
    let asked_again = async || chat.world().model.asked.lock().len() == 2;
    until("the model is told of its tool", asked_again).await;
    assert!(chat.chats.stop(&chat.tenant).await.unwrap());
    check(&chat, Outcome::Stopped, "Stopped.").await;
}

#[tokio::test]
async fn a_message_that_a_plugin_cancelled() {
    let chat = Chat::open(|_| {}).await;
    plug(
        chat.world(),
        HookName::OnMessageReceived,
        |context| match context.text() {
            Some("question") => HookResult::cancelled(Some("Not here.".to_owned())),
            _ => HookResult::default(),
        },
    );
    chat.say("question").await;
    check(&chat, Outcome::Cancelled, "Not here.").await;
}

#[tokio::test]
async fn an_answer_that_was_stopped_stays_as_far_as_it_came() {
    let chat = Chat::open(|_| {}).await;
    let world = chat.world();
    *world.model.gap.lock() = Duration::from_secs(2);
    world.model.says(|_| Ok("one two three four five six".to_owned()));
    chat.say("question").await;
    until("something is shown", async || {
        let snapshot = chat.chats.snapshot(&chat.tenant, None, 9).await.unwrap();
        snapshot.live.is_some_and(|live| live.text.contains("one"))
    })
    .await;
    assert!(chat.chats.stop(&chat.tenant).await.unwrap());
    chat.at_rest().await;
    let reads = chat.reads().await;
    assert_eq!(reads[0], (Role::User, "question".to_owned(), None));
    let (role, text, unanswered) = &reads[1];
    assert!(text.starts_with("one") && !text.contains("six"), "{text:?}");
    assert_eq!((*role, *unanswered), (Role::Assistant, None));
}

#[tokio::test]
async fn a_question_whose_answer_was_stopped_is_told_once_when_it_is_asked_again() {
    for store_texts in [true, false] {
        let chat = Chat::open(|config| config.store_texts = store_texts).await;
        let world = chat.world();
        chat.say("before").await;
        chat.at_rest().await;
        *world.model.gap.lock() = Duration::from_secs(2);
        world.model.says(|_| Ok("one two three four five six".to_owned()));
        for told in [3, 3] {
            chat.say("question").await;
            until("something is shown", async || {
                let snapshot = chat.chats.snapshot(&chat.tenant, None, 9).await.unwrap();
                snapshot.live.is_some_and(|live| live.text.contains("one"))
            })
            .await;
            assert_eq!(chat.told(), told);
            assert!(chat.chats.stop(&chat.tenant).await.unwrap());
            chat.at_rest().await;
        }
        assert_eq!(chat.reads().await.len(), 6, "its person reads all of it");
        *world.model.gap.lock() = Duration::ZERO;
        chat.say("something else").await;
        chat.at_rest().await;
        assert_eq!(
            chat.told(),
            7,
            "what was said counts where something else is asked"
        );
        chat.say("something else").await;
        chat.at_rest().await;
        assert_eq!(chat.told(), 9, "a whole answer counts also then");
    }
}

#[tokio::test]
async fn a_question_that_failed_is_told_once_when_it_is_asked_again() {
    let chat = Chat::open(|_| {}).await;
    chat.world().model.says(|_| Ok(String::new()));
    for _ in 0..2 {
        chat.say("question").await;
        chat.at_rest().await;
        assert_eq!(chat.told(), 1);
    }
}

#[tokio::test]
async fn what_is_told_with_the_end_of_a_turn_is_not_read_before_it() {
    let chat = Chat::open(|_| {}).await;
    let (store, chats) = (&chat.faulty.store, &chat.chats);
    store.hold("commit_turn's answer");
    chat.say("question").await;
    until("the end is in the store", async || {
        store.is_held("commit_turn's answer")
    })
    .await;
    let key = chats.find(&chat.tenant).await.unwrap().key;
    assert_eq!(store.said(key, 9).await.unwrap().len(), 2);
    let snapshot = chats.snapshot(&chat.tenant, None, 9).await.unwrap();
    assert_eq!(snapshot.messages, [], "the events after it tell the answer");
    assert_eq!((snapshot.asked.len(), snapshot.live.is_some()), (1, true));
    store.let_go("commit_turn's answer");
    chat.at_rest().await;
    assert_eq!(chat.reads().await.len(), 2);
}

#[tokio::test]
async fn what_is_dropped_while_another_is_answered_is_read_at_once() {
    let chat = Chat::open(|_| {}).await;
    let world = chat.world();
    *world.model.gap.lock() = Duration::from_secs(1_000);
    chat.say("being answered").await;
    until("it runs", async || world.model.asked.lock().len() == 1).await;
    chat.say("question").await;
    let item = world.gateway.queue().remove(0);
    world.gateway.drop_queued(item.id).await.unwrap().unwrap();
    let snapshot = chat.chats.snapshot(&chat.tenant, None, 9).await.unwrap();
    assert_eq!(snapshot.messages[0].text, "question");
    assert_eq!(snapshot.messages[0].turn_id, Some(item.id.to_string()));
    assert_eq!(snapshot.asked.len(), 1, "the other one only");
    assert!(snapshot.live.is_some());
}

#[tokio::test]
async fn a_message_that_has_its_end_is_not_told_another() {
    let chat = Chat::open(|config| config.store_texts = false).await;
    let world = chat.world();
    world.gateway.pause();
    let mut reader = chat.chats.subscribe(&chat.tenant, None);
    chat.say("question").await;
    let item = world.gateway.queue().remove(0);
    let QueueId::Turn(entry) = item.id else {
        panic!("{item:?}");
    };
    let close = CloseEntry {
        entry,
        now: chat.faulty.clock.now(),
        outcome: Outcome::Failed,
        history: Vec::new(),
        outbox: Vec::new(),
    };
    chat.faulty.store.close(close).await.unwrap().unwrap();
    world.gateway.drop_queued(item.id).await.unwrap().unwrap();
    let told = std::iter::from_fn(|| reader.try_next());
    let ends = told.filter(|read| match read {
        FeedRead::Event { event, .. } => matches!(**event, FeedEvent::TurnFailed { .. }),
        FeedRead::Reset { .. } | FeedRead::Closed => false,
    });
    assert_eq!(ends.count(), 0);
    assert_eq!(chat.reads().await, []);
}

#[tokio::test]
async fn commands_and_second_deliveries_leave_nothing() {
    let chat = Chat::open(|_| {}).await;
    for text in ["/help", "/stop", "/unknown"] {
        chat.say(text).await;
    }
    chat.at_rest().await;
    assert_eq!(chat.reads().await, []);
}

#[tokio::test]
async fn a_key_gives_the_same_answer_for_a_day_and_a_new_turn_after_it() {
    let chat = Chat::open(|_| {}).await;
    let first = chat.post("question", Some("k")).await.unwrap();
    assert!(!first.duplicate);
    chat.at_rest().await;
    // Time runs on in this world, a little: a minute short of the day.
    let day = Duration::from_secs(24 * 3_600);
    chat.faulty.clock.advance(day - Duration::from_secs(60));
    let again = chat.post("question", Some("k")).await.unwrap();
    assert_eq!((again.turn_id, again.duplicate), (first.turn_id.clone(), true));
    let other = chat.post("other", Some("k")).await;
    assert!(matches!(other, Err(ChatError::Mismatch)), "{other:?}");
    chat.faulty.clock.advance(Duration::from_secs(60));
    let later = chat.post("other", Some("k")).await.unwrap();
    assert!(!later.duplicate && later.turn_id != first.turn_id);
    chat.at_rest().await;
    let again = chat.post("other", Some("k")).await.unwrap();
    assert_eq!((again.turn_id, again.duplicate), (later.turn_id, true));
    assert_eq!(chat.world().model.asked.lock().len(), 2);
}

#[tokio::test]
async fn without_stored_texts_a_conversation_is_remembered_in_memory_and_nowhere_else() {
    let chat = Chat::open(|config| config.store_texts = false).await;
    let world = chat.world();
    let answered = |text: &str| {
        [
            (Role::User, text.to_owned(), None),
            (Role::Assistant, format!("echo: {text}"), None),
        ]
    };
    chat.say("first").await;
    chat.at_rest().await;
    chat.say("second").await;
    chat.at_rest().await;
    assert_eq!(chat.told(), 3, "the model is told the first");
    let both = [answered("first"), answered("second")].concat();
    assert_eq!(chat.reads().await, both);
    world.gateway.pause();
    chat.say("dropped").await;
    let item = world.gateway.queue().remove(0);
    world.gateway.drop_queued(item.id).await.unwrap().unwrap();
    world.gateway.resume();
    assert_eq!(chat.reads().await.len(), 6);
    let key = chat.chats.find(&chat.tenant).await.unwrap().key;
    assert!(chat.faulty.store.said(key, 99).await.unwrap().is_empty());
    chat.say("/new").await;
    chat.at_rest().await;
    assert_eq!(chat.reads().await, []);
    chat.say("third").await;
    chat.at_rest().await;
    assert_eq!((chat.told(), chat.reads().await), (1, answered("third").to_vec()));
    chat.chats.erase(&chat.tenant).await.unwrap();
    assert!(chat.reads_nothing_more().await);
}

impl Chat {
    async fn reads_nothing_more(&self) -> bool {
        let gone = self.chats.snapshot(&self.tenant, None, 9).await;
        matches!(gone, Err(ChatError::NoSuchChat))
    }
}

#[tokio::test]
async fn a_messenger_without_stored_texts_remembers_too() {
    let world = World::with(|config| config.store_texts = false).await;
    let say = async |text: &str, shown: &[&str]| {
        let message: IncomingMessage = world.message("1", text);
        world.gateway.receive(vec![message], None).await.unwrap();
        world.messenger.shows("1", shown).await;
    };
    say("first", &["echo: first"]).await;
    say("second", &["echo: first", "echo: second"]).await;
    assert_eq!(world.model.asked.lock().last().unwrap().messages.len(), 3);
}

#[tokio::test]
async fn after_a_stop_everything_stands_in_the_order_in_which_it_was_accepted() {
    for store_texts in [true, false] {
        let chat = Chat::open(|config| config.store_texts = store_texts).await;
        let world = chat.world();
        *world.model.gap.lock() = Duration::from_secs(2);
        world.model.says(|_| Ok("one two three four five six".to_owned()));
        chat.say("first").await;
        until("something is shown", async || {
            let snapshot = chat.chats.snapshot(&chat.tenant, None, 9).await.unwrap();
            snapshot.live.is_some_and(|live| live.text.contains("one"))
        })
        .await;
        chat.say("second").await;
        chat.say("third").await;
        assert!(chat.chats.stop(&chat.tenant).await.unwrap());
        chat.at_rest().await;
        let read = chat
            .chats
            .snapshot(&chat.tenant, None, 100)
            .await
            .unwrap()
            .messages;
        let questions: Vec<&str> = read.iter().step_by(2).map(|said| said.text.as_str()).collect();
        assert_eq!(questions, ["first", "second", "third"], "{read:?}");
        assert!(read[1].text.starts_with("one"), "{read:?}");
        assert_eq!((&*read[3].text, &*read[5].text), ("Stopped.", "Stopped."));
        assert!(
            read[0].at < read[1].at,
            "a question is older than its answer: {read:?}"
        );
        let ends: Vec<_> = read.iter().map(|said| said.finish_reason.as_deref()).collect();
        assert_eq!(ends, [None, Some("stopped"), None, None, None, None]);
        let mut before = None;
        let mut pages = Vec::new();
        loop {
            let page = chat.chats.snapshot(&chat.tenant, before, 2).await.unwrap();
            let Some(first) = page.messages.first() else { break };
            before = Some(first.seq);
            pages.splice(0..0, page.messages);
        }
        assert_eq!(pages, read, "page by page it is the same");
    }
}
