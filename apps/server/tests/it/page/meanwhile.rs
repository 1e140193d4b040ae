//! What a person does while an answer is written, and what they find afterwards.

use super::{ANSWER, IDLE, MIDWAY, Scene, converse, nothing_odd, numbered_words, picture, say, thread};
use anyhow::Result;
use openclaw_testkit::Answer;
use serde_json::json;
use std::time::Duration;

/// The notes below answers.
const NOTES: &str = "[...document.querySelectorAll('.answer .note span')].map((one) => one.innerText)";

#[tokio::test]
async fn messages_sent_while_an_answer_is_written_are_answered_in_their_order() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    let hold = scene.provider.hold();
    say(&page, "one").await?;
    page.wait_for("document.querySelector('.dots')").await?;
    say(&page, "two").await?;
    say(&page, "three").await?;
    assert_eq!(
        page.text("document.querySelector('#text').value").await?,
        "",
        "nothing is left in the box"
    );
    page.wait_for(&format!(
        "{NOTES}.filter((one) => /after the message before|next in line|Before you/.test(one)).length === 2"
    ))
    .await?;
    picture(&page, "three-at-once").await?;
    // A draft for the fourth can be sent as well: both buttons are there.
    page.type_text("four").await?;
    for button in ["send", "stop"] {
        assert_eq!(
            page.eval(&format!("document.querySelector('#{button}').checkVisibility()"))
                .await?,
            true
        );
    }
    drop(hold);
    page.wait_for(&format!(
        "{IDLE} && document.querySelectorAll('.answer').length === 3"
    ))
    .await?;
    let expected = [
        "You: one",
        "OpenClaw: echo: one",
        "You: two",
        "OpenClaw: echo: two",
        "You: three",
        "OpenClaw: echo: three",
    ];
    assert_eq!(thread(&page).await?, expected);
    assert_eq!(page.eval(NOTES).await?, json!([]));
    page.reload().await?;
    page.wait_for(IDLE).await?;
    assert_eq!(thread(&page).await?, expected, "the server has it so as well");
    nothing_odd(&page, &scene.server.url("/")).await
}

#[tokio::test]
async fn a_reload_and_escape_concern_all_that_waits() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    scene.answers_slowly(&numbered_words(3_000), Duration::from_millis(20));
    say(&page, "one").await?;
    page.wait_for(MIDWAY).await?;
    say(&page, "two").await?;
    page.wait_for(&format!("{NOTES}.length === 1")).await?;
    page.reload().await?;
    page.wait_for(&format!("{MIDWAY} && {NOTES}.length === 1"))
        .await?;
    let said = thread(&page).await?;
    assert_eq!((said[0].as_str(), said[2].as_str()), ("You: one", "You: two"));
    page.press("Escape").await?;
    page.wait_for(IDLE).await?;
    assert_eq!(page.eval(NOTES).await?, json!(["Stopped.", "Stopped."]));
    assert_eq!(scene.provider.stats().requests, 1, "the second was never asked");
    // The second ended first; its place is behind the first all the same.
    page.reload().await?;
    page.wait_for(&format!("{NOTES}.length === 2")).await?;
    assert_eq!(page.eval(NOTES).await?, json!(["Stopped.", "Stopped."]));
    let read = thread(&page).await?;
    assert_eq!((read[0].as_str(), read[2].as_str()), ("You: one", "You: two"));
    assert!(read[1].contains("word1 word2"), "{read:?}");
    nothing_odd(&page, &scene.server.url("/")).await
}

#[tokio::test]
async fn the_console_stays_empty() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    converse(&page, "Hello").await?;
    page.reload().await?;
    page.wait_for(IDLE).await?;
    assert_eq!(page.console(), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_pause_is_called_a_pause_and_numbers_stand_with_the_right_form_of_their_words() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.browser.visitor().await?;
    // The page's listeners are kept, so that an event can be told to it.
    page.ask(
        "Page.addScriptToEvaluateOnNewDocument",
        json!({"source": "const add = EventSource.prototype.addEventListener; window.__tell = {}; \
               EventSource.prototype.addEventListener = function (name, act) { window.__tell[name] = act; add.call(this, name, act); };"}),
    )
    .await?;
    page.open(&scene.server.url("/")).await?;
    let hold = scene.provider.hold();
    say(&page, "Hello").await?;
    page.wait_for("window.__tell.notice && document.querySelector('.dots')")
        .await?;
    scene
        .provider
        .wait_until(crate::setup::LONG, |stats| stats.requests == 1)
        .await?;
    let notice = |place: usize, paused: bool, wait: &str| {
        format!(
            "fetch('/api/v1/chats/' + localStorage.getItem('openclaw.chat') + '/messages').then((answer) => answer.json()).then(({{ pending }}) => \
             window.__tell.notice({{ data: JSON.stringify({{ turnId: pending[0].turnId, place: {place}, paused: {paused}, expectedWaitMs: {wait} }}) }}))"
        )
    };
    page.eval(&notice(1, true, "null")).await?;
    assert_eq!(
        page.eval(NOTES).await?,
        json!(["Answering is paused. Your message is kept and will be answered later."])
    );
    page.eval(&notice(1, false, "null")).await?;
    assert_eq!(page.eval(NOTES).await?, json!(["You are next in line."]));
    page.eval("document.querySelector('[name=language][value=ru]').click()")
        .await?;
    for (place, wait, words) in [
        (1, "400", ["Вы следующий в очереди.", "Около 5 секунд."]),
        (
            2,
            "12300",
            ["В очереди перед вами 1 сообщение.", "Около 15 секунд."],
        ),
        (
            3,
            "60000",
            ["В очереди перед вами 2 сообщения.", "Около 1 минуты."],
        ),
        (
            6,
            "60001",
            ["В очереди перед вами 5 сообщений.", "Около 2 минут."],
        ),
        (
            12,
            "300000",
            ["В очереди перед вами 11 сообщений.", "Около 5 минут."],
        ),
        (
            22,
            "1260000",
            ["В очереди перед вами 21 сообщение.", "Около 21 минуты."],
        ),
    ] {
        page.eval(&notice(place, false, wait)).await?;
        assert_eq!(page.eval(NOTES).await?, json!(words));
    }
    page.eval("document.querySelector('[name=language][value=en]').click()")
        .await?;
    assert_eq!(
        page.eval(NOTES).await?,
        json!(["Waiting in line. Before you: 21 messages.", "About 21 minutes."])
    );
    drop(hold);
    page.wait_for(IDLE).await?;
    assert_eq!(page.text(ANSWER).await?, "echo: Hello");
    Ok(())
}

#[tokio::test]
async fn a_chat_can_be_taken_home() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    scene.answers("An answer, with **emphasis**.");
    for question in ["First", "Second"] {
        converse(&page, question).await?;
    }
    scene
        .provider
        .answer_with(|_| Some(Answer::text("The last one.")));
    converse(&page, "Third").await?;
    let home = tempfile::tempdir()?;
    page.ask(
        "Page.setDownloadBehavior",
        json!({"behavior": "allow", "downloadPath": home.path()}),
    )
    .await?;
    page.click("summary").await?;
    picture(&page, "menu-download").await?;
    page.click("#download").await?;
    let arrived = async |name: &str| {
        let file = home.path().join(name);
        let arrived = async {
            loop {
                match std::fs::read_to_string(&file) {
                    Ok(text) if !text.is_empty() => return text,
                    _ => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        tokio::time::timeout(crate::setup::LONG, arrived).await
    };
    let text = arrived("openclaw-chat.md").await?;
    let heads: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .filter_map(|head| head.split(", ").next())
        .collect();
    assert_eq!(heads, ["You", "OpenClaw"].repeat(3), "{text}");
    let places: Vec<_> = ["First", "with **emphasis**", "Second", "Third", "The last one."]
        .map(|said| text.find(said))
        .to_vec();
    assert!(places.is_sorted() && places[0].is_some(), "{text}");
    page.click("summary").await?;
    page.click("#data").await?;
    let data: serde_json::Value = serde_json::from_str(&arrived("openclaw-chat.json").await?)?;
    let said: Vec<_> = data["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| (&message["role"], &message["text"]))
        .collect();
    assert_eq!(said.len(), 6);
    assert_eq!(
        said[4..],
        [
            (&json!("user"), &json!("Third")),
            (&json!("assistant"), &json!("The last one."))
        ]
    );
    nothing_odd(&page, &scene.server.url("/")).await
}

/// What stands in the box.
const BOX: &str = "document.querySelector('#text').value";

#[tokio::test]
async fn a_draft_outlives_a_reload_and_is_gone_once_it_is_sent() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    // The tab goes to the background and comes back; how many things are stored meanwhile.
    let kept = "(() => { \
         Object.defineProperty(document, 'hidden', { value: true, configurable: true }); \
         document.dispatchEvent(new Event('visibilitychange')); \
         const kept = localStorage.length + sessionStorage.length; \
         delete document.hidden; \
         document.dispatchEvent(new Event('visibilitychange')); \
         return kept; })()";
    page.type_text("before the first").await?;
    assert_eq!(page.eval(kept).await?, 0, "nothing before the first message");
    page.eval(&format!("{BOX} = ''")).await?;
    converse(&page, "one").await?;
    page.type_text("two, almost").await?;
    page.reload().await?;
    page.wait_for(IDLE).await?;
    assert_eq!(page.text(BOX).await?, "two, almost");
    assert_eq!(page.eval("sessionStorage.length").await?, 0, "taken back out");
    // Once more, and then it is sent.
    page.reload().await?;
    page.wait_for(IDLE).await?;
    page.eval("document.querySelector('#text').focus()").await?;
    page.press("Enter").await?;
    page.wait_for(&format!("{IDLE} && {ANSWER} === 'echo: two, almost'"))
        .await?;
    page.reload().await?;
    page.wait_for(IDLE).await?;
    assert_eq!(page.text(BOX).await?, "");
    // It is not the next chat's.
    page.type_text("three").await?;
    assert_eq!(page.eval(kept).await?, 2, "the chat and the draft");
    page.click("#new").await?;
    assert_eq!(page.eval("localStorage.length + sessionStorage.length").await?, 0);
    nothing_odd(&page, &scene.server.url("/")).await
}

#[tokio::test]
async fn the_last_message_can_be_taken_back_into_the_box_changed_and_sent_again() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    page.press("ArrowUp").await?;
    assert_eq!(page.text(BOX).await?, "", "there is none yet");
    converse(&page, "first").await?;
    converse(&page, "a  **last**\u{a0}one").await?;
    page.press("ArrowUp").await?;
    assert_eq!(page.text(BOX).await?, "a  **last**\u{a0}one", "as it was written");
    page.type_text(", changed").await?;
    page.press("ArrowUp").await?;
    assert_eq!(
        page.text(BOX).await?,
        "a  **last**\u{a0}one, changed",
        "in a text the key moves"
    );
    page.press("Enter").await?;
    page.wait_for(&format!(
        "{IDLE} && document.querySelectorAll('.answer').length === 3"
    ))
    .await?;
    assert_eq!(
        thread(&page).await?[2..5],
        [
            "You: a  **last**\u{a0}one",
            "OpenClaw: echo: a last\u{a0}one",
            "You: a  **last**\u{a0}one, changed",
        ],
        "a message of its own"
    );
    nothing_odd(&page, &scene.server.url("/")).await
}
