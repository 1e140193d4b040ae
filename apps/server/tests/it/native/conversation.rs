//! A conversation as it is heard, remembered, read page by page and paid for.

use super::{Person, assert_problem, data, shown};
use crate::setup::{api_world, word_by_word};
use openclaw_testkit::Answer;
use serde_json::{Value, json};

#[tokio::test]
async fn a_conversation_is_streamed_in_order_and_remembered() {
    let (provider, _server, client) = api_world(word_by_word).await;
    let person = Person::with_key(&client);
    let chat = person.open().await;
    let mut watch = person.watch(&chat).await;
    assert_eq!(watch.reader.headers["content-type"], "text/event-stream");
    assert_eq!(watch.reader.headers["cache-control"], "no-cache, no-transform");
    assert_eq!(watch.reader.headers["x-accel-buffering"], "no");

    let turn = person.post(&chat, "my name is Ada").await;
    let events = watch.until("turn.finished").await;
    let names: Vec<&str> = events
        .iter()
        .map(|event| event.event.as_str())
        .filter(|name| *name != "notice")
        .collect();
    assert_eq!(
        (names.first(), names.last()),
        (Some(&"turn.started"), Some(&"turn.finished"))
    );
    assert!(
        names.len() > 3 && names[1..names.len() - 1].iter().all(|name| *name == "text.delta"),
        "{names:?}"
    );
    let end = data(events.last().unwrap());
    assert_eq!(end["text"], "echo: my name is Ada");
    assert_eq!(
        (end["turnId"].as_str(), end["finishReason"].as_str()),
        (Some(&*turn), Some("stop"))
    );
    assert!(end["usage"].is_object());
    assert_eq!(shown(&events), "echo: my name is Ada");

    person.post(&chat, "what is my name?").await;
    watch.until("turn.finished").await;
    let told: Vec<String> = provider.requests()[1].body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["content"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        told,
        ["my name is Ada", "echo: my name is Ada", "what is my name?"]
    );

    let snapshot = person.messages(&chat).await;
    let said: Vec<(&str, &str)> = snapshot["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| {
            (
                message["role"].as_str().unwrap(),
                message["text"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("user", "my name is Ada"),
        ("assistant", "echo: my name is Ada"),
        ("user", "what is my name?"),
        ("assistant", "echo: what is my name?"),
    ];
    assert_eq!(said, expected);
    assert!(snapshot["live"].is_null() && snapshot["pending"] == json!([]) && snapshot["next"].is_null());
}

#[tokio::test]
async fn a_message_without_an_answer_is_read_again_with_what_was_said_of_it() {
    let (provider, _server, client) = api_world(|setup| setup).await;
    let person = Person::with_key(&client);
    let chat = person.open().await;
    let mut watch = person.watch(&chat).await;
    provider.answer_with(|_| Some(Answer::fault(400)));
    let turn = person.post(&chat, "question").await;
    let events = watch.until("turn.failed").await;
    let words = data(events.last().unwrap())["problem"]["detail"].clone();
    let said = |snapshot: &Value| {
        let messages = snapshot["messages"].as_array().unwrap();
        let said = messages.iter().map(|said| {
            json!([
                said["role"],
                said["text"],
                said["turnId"],
                said["unanswered"],
                said["finishReason"]
            ])
        });
        said.collect::<Vec<_>>()
    };
    let expected = [
        json!(["user", "question", turn, "failed", null]),
        json!(["assistant", words, turn, "failed", null]),
    ];
    assert_eq!(said(&person.messages(&chat).await), expected);
    provider.clear_script();
    let next = person.post(&chat, "next").await;
    watch.until("turn.finished").await;
    let told = provider.requests().last().unwrap().body["messages"].clone();
    assert_eq!(
        told.as_array().unwrap().len(),
        1,
        "the model is told the question only"
    );
    let read = said(&person.messages(&chat).await);
    assert_eq!(read[..2], expected);
    assert_eq!(read[2], json!(["user", "next", next, null, null]));
    assert_eq!(read[3], json!(["assistant", "echo: next", next, null, "stop"]));
}

#[tokio::test]
async fn a_conversation_is_read_page_by_page_from_its_end() {
    let (_provider, _server, client) = api_world(|setup| setup).await;
    let person = Person::with_key(&client);
    let chat = person.open().await;
    let mut watch = person.watch(&chat).await;
    for number in 0..4 {
        person.post(&chat, &format!("question {number}")).await;
        watch.until("turn.finished").await;
    }
    let (mut pages, mut next) = (Vec::new(), String::new());
    loop {
        let reply = person
            .get(&format!("/api/v1/chats/{chat}/messages?limit=3{next}"))
            .await;
        let page = reply.json().unwrap();
        let texts: Vec<String> = page["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["text"].as_str().unwrap().to_owned())
            .collect();
        pages.push(texts);
        match page["next"].as_str() {
            Some(before) => next = format!("&before={before}"),
            None => break,
        }
    }
    let sizes: Vec<usize> = pages.iter().map(Vec::len).collect();
    assert_eq!(sizes, [3, 3, 2]);
    let all: Vec<String> = pages.into_iter().rev().flatten().collect();
    let expected: Vec<String> = (0..4)
        .flat_map(|n| [format!("question {n}"), format!("echo: question {n}")])
        .collect();
    assert_eq!(all, expected);
    let reply = person
        .get(&format!("/api/v1/chats/{chat}/messages?limit=0"))
        .await;
    assert_problem(&reply, 400, "VALIDATION");
}

#[tokio::test]
async fn a_whole_conversation_is_exported_as_one_document() {
    let (provider, _server, client) = api_world(|setup| setup).await;
    let person = Person::with_key(&client);
    let chat = person.open().await;
    let export = async || {
        let path = format!("/api/v1/chats/{chat}/export");
        let reply = person.request("POST", &path).send().await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(
            reply.header("content-disposition"),
            Some("attachment; filename=\"openclaw-chat.json\"")
        );
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        reply.json().unwrap()
    };
    let empty = export().await;
    assert_eq!((&empty["messages"], &empty["pending"]), (&json!([]), &json!([])));

    let mut watch = person.watch(&chat).await;
    // More than is written at once.
    for number in 0..4 {
        let text = format!("{number} \"quoted\" {}", "long ".repeat(2_000));
        person.post(&chat, &text).await;
        watch.until("turn.finished").await;
    }
    let hold = provider.hold();
    let turn = person.post(&chat, "not answered yet").await;
    watch.until("turn.started").await;
    let whole = export().await;
    assert_eq!(whole["messages"].as_array().map(Vec::len), Some(8));
    assert_eq!(whole["messages"], person.messages(&chat).await["messages"]);
    assert_eq!(
        whole["pending"],
        json!([{ "turnId": turn, "text": "not answered yet" }])
    );
    assert_eq!(whole["chatId"], chat.as_str());
    for time in ["createdAt", "lastActiveAt", "exportedAt"] {
        assert!(whole[time].as_str().is_some_and(|at| at.ends_with('Z')), "{time}");
    }
    drop(hold);
    watch.until("turn.finished").await;
}

#[tokio::test]
async fn an_answer_has_one_opinion_which_can_be_changed_and_goes_with_its_chat() {
    let (_provider, server, client) = api_world(|setup| setup).await;
    let person = Person::with_key(&client);
    let chat = person.open().await;
    let mut watch = person.watch(&chat).await;
    let turn = person.post(&chat, "hello").await;
    watch.until("turn.finished").await;
    let path = format!("/api/v1/chats/{chat}/feedback");
    let rate = async |body: Value| person.request("POST", &path).json(&body).send().await.unwrap();
    let known = async || person.messages(&chat).await["messages"][1]["feedback"].clone();
    assert_eq!(known().await, Value::Null);
    for (body, expected) in [
        (
            json!({ "turnId": turn, "rating": "up", "text": "thank you" }),
            json!({ "rating": "up", "text": "thank you" }),
        ),
        (
            json!({ "turnId": turn, "rating": "down" }),
            json!({ "rating": "down", "text": null }),
        ),
    ] {
        assert_eq!(rate(body).await.status, 204);
        assert_eq!(known().await, expected);
    }
    assert_eq!(
        person.messages(&chat).await["messages"][0]["feedback"],
        Value::Null,
        "nobody rates a question"
    );
    for wrong in [
        json!({}),
        json!({ "turnId": turn }),
        json!({ "turnId": 5, "rating": "up" }),
        json!({ "turnId": turn, "rating": "great" }),
        json!({ "turnId": turn, "rating": "up", "text": 5 }),
        json!({ "turnId": turn, "rating": "up", "text": "x".repeat(2_001) }),
        json!({ "turnId": turn, "rating": "up", "stars": 5 }),
    ] {
        assert_problem(&rate(wrong).await, 400, "VALIDATION");
    }
    let other = json!({ "turnId": "turn_000000000000000000000000", "rating": "up" });
    assert_problem(&rate(other).await, 404, "NOT_FOUND");
    let (stranger, _) = Person::visitor(&server).await;
    let foreign = stranger
        .request("POST", &path)
        .json(&json!({ "turnId": turn, "rating": "up" }));
    assert_problem(&foreign.send().await.unwrap(), 404, "NOT_FOUND");
    assert_eq!(known().await, json!({ "rating": "down", "text": null }));

    let erased = person.request("DELETE", &format!("/api/v1/chats/{chat}"));
    assert_eq!(erased.send().await.unwrap().status, 204);
    let gone = rate(json!({ "turnId": turn, "rating": "up" })).await;
    assert_problem(&gone, 404, "NOT_FOUND");
}

#[tokio::test]
async fn chats_are_listed_page_by_page() {
    let (_provider, server, client) = api_world(|setup| setup).await;
    let person = Person::with_key(&client);
    let mut opened = Vec::new();
    for _ in 0..5 {
        opened.push(person.open().await);
    }
    let (mut listed, mut next) = (Vec::new(), String::new());
    loop {
        let page = person
            .get(&format!("/api/v1/chats?limit=2{next}"))
            .await
            .json()
            .unwrap();
        let chats = page["chats"].as_array().unwrap();
        assert!(chats.len() <= 2);
        listed.extend(
            chats
                .iter()
                .map(|chat| chat["chatId"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(after) => next = format!("&after={after}"),
            None => break,
        }
    }
    assert_eq!(listed, opened);
    // A place holds also when the chat it stands for is erased, is its owner's alone, and does not count.
    let first = person.get("/api/v1/chats?limit=2").await.json().unwrap();
    let next = first["next"].as_str().unwrap();
    assert!(next.len() == 48 && next.parse::<i64>().is_err(), "{next}");
    let erased = person.request("DELETE", &format!("/api/v1/chats/{}", opened[1]));
    assert_eq!(erased.send().await.unwrap().status, 204);
    let rest = format!("/api/v1/chats?after={next}");
    let left = person.get(&rest).await.json().unwrap();
    let left = left["chats"]
        .as_array()
        .unwrap()
        .iter()
        .map(|chat| &chat["chatId"]);
    assert_eq!(left.collect::<Vec<_>>(), opened[2..].iter().collect::<Vec<_>>());
    let (visitor, _) = Person::visitor(&server).await;
    assert_problem(&visitor.get(&rest).await, 400, "VALIDATION");
}

#[tokio::test]
async fn usage_is_told_by_chat() {
    let (provider, server, client) = api_world(|setup| setup).await;
    let (visitor, chat) = Person::visitor(&server).await;
    provider.script(Answer::text("done").with_usage(100, 23));
    let mut watch = visitor.watch(&chat).await;
    visitor.post(&chat, "count").await;
    watch.until("turn.finished").await;
    let usage = visitor
        .get(&format!("/api/v1/usage?chatId={chat}"))
        .await
        .json()
        .unwrap();
    assert_eq!(
        (&usage["used"], &usage["limit"], &usage["remaining"]),
        (&json!(123), &json!(10_000), &json!(9_877))
    );
    assert!(
        usage["resetsAt"].as_str().is_some_and(|at| at.ends_with('Z')),
        "{usage}"
    );
    let operator = Person::with_key(&client)
        .get("/api/v1/usage")
        .await
        .json()
        .unwrap();
    assert_eq!(
        operator,
        json!({ "used": 0, "limit": null, "remaining": null, "resetsAt": null })
    );
}
