//! A conversation, from the first word to the last.

use super::{
    ANSWER, IDLE, MIDWAY, Scene, WATCH_TEXT, converse, nothing_odd, numbered_words, picture, say,
    streamed_exactly, thread,
};
use crate::BINARY;
use anyhow::Result;
use openclaw_testkit::browser::Browser;
use openclaw_testkit::optional::Optional;
use openclaw_testkit::{Answer, MockProvider, ServerSetup};
use std::time::Duration;

#[tokio::test]
async fn a_conversation_streams_is_remembered_and_stores_nothing_before_it_begins() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    assert_eq!(page.cookies().await?, [""; 0]);
    assert_eq!(page.eval("localStorage.length + sessionStorage.length").await?, 0);
    assert!(
        !page.requests().iter().any(|url| url.contains("/api/")),
        "{:?}",
        page.requests()
    );
    picture(&page, "empty").await?;

    let whole = numbered_words(30);
    let rest = scene.answers_in_halves(&whole, Duration::from_millis(30));
    page.eval(WATCH_TEXT).await?;
    say(&page, "First question").await?;
    page.wait_for(MIDWAY).await?;
    assert_eq!(
        page.eval("document.querySelector('#stop').checkVisibility()")
            .await?,
        true
    );
    assert_eq!(
        page.text("document.querySelector('#transcript').ariaBusy")
            .await?,
        "true"
    );
    assert_eq!(
        page.text("document.querySelector('#live').innerText").await?,
        "",
        "not token by token"
    );
    rest.open();
    page.wait_for(IDLE).await?;
    assert_eq!(page.text(ANSWER).await?, whole);
    assert_eq!(
        page.text("document.querySelector('#live').innerText").await?,
        whole,
        "told once, whole"
    );
    assert_eq!(page.text("document.activeElement.id").await?, "text");
    assert_eq!(page.cookies().await?.len(), 1);

    scene.answers("Second answer, with **emphasis**.");
    assert_eq!(
        converse(&page, "Second question").await?,
        "Second answer, with emphasis."
    );
    assert_eq!(
        page.text("document.querySelector('.answer:last-child strong').innerText")
            .await?,
        "emphasis"
    );
    let asked = scene.provider.requests().last().unwrap().body.to_string();
    assert!(
        asked.contains("First question") && asked.contains("word30"),
        "{asked}"
    );
    nothing_odd(&page, &scene.server.url("/")).await
}

#[tokio::test]
async fn a_reload_and_a_second_tab_show_the_same_conversation_also_in_mid_answer() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    converse(&page, "before").await?;
    let whole = numbered_words(100);
    let rest = scene.answers_in_halves(&whole, Duration::from_millis(30));
    say(&page, "Count").await?;
    page.wait_for(MIDWAY).await?;
    let other = scene.browser.tab_beside(&page).await?;
    other.open(&scene.server.url("/chat")).await?;
    page.reload().await?;
    for tab in [&page, &other] {
        tab.wait_for(MIDWAY).await?;
        tab.eval(WATCH_TEXT).await?;
    }
    rest.open();
    for tab in [&page, &other] {
        tab.wait_for(IDLE).await?;
        let expected = [
            "You: before",
            "OpenClaw: echo: before",
            "You: Count",
            &format!("OpenClaw: {whole}"),
        ];
        assert_eq!(thread(tab).await?, expected);
        nothing_odd(tab, &scene.server.url("/")).await?;
    }
    streamed_exactly(&page, &whole).await?;
    scene.provider.clear_script();
    converse(&page, "after").await?;
    other
        .wait_for("document.querySelectorAll('article').length === 6")
        .await?;
    other.wait_for(IDLE).await?;
    assert_eq!(
        thread(&other).await?[4..],
        ["You: after", "OpenClaw: echo: after"],
        "the other tab follows"
    );
    Ok(())
}

#[tokio::test]
async fn escape_stops_an_answer_and_it_can_be_tried_again() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    scene.answers_slowly(&numbered_words(3_000), Duration::from_millis(20));
    say(&page, "Count").await?;
    page.wait_for(MIDWAY).await?;
    page.press("Escape").await?;
    page.wait_for(IDLE).await?;
    let text = page.text(ANSWER).await?;
    assert!(
        text.starts_with("word1 word2") && !text.contains("word2999"),
        "what was said is kept: {text}"
    );
    assert_eq!(
        page.text("document.querySelector('.note span').innerText")
            .await?,
        "Stopped."
    );
    assert_eq!(page.text("document.activeElement.id").await?, "text");
    page.reload().await?;
    page.wait_for("document.querySelector('.note button')").await?;
    assert_eq!(page.text(ANSWER).await?, text, "it stands as far as it came");
    scene.answers("In short: many.");
    page.click(".note button").await?;
    page.wait_for(&format!("{IDLE} && {ANSWER} === 'In short: many.'"))
        .await?;
    // Another one is stopped with the button.
    scene.answers_slowly(&numbered_words(3_000), Duration::from_millis(20));
    say(&page, "Again").await?;
    page.wait_for(MIDWAY).await?;
    page.click("#stop").await?;
    page.wait_for(IDLE).await
}

#[tokio::test]
async fn an_answer_stopped_before_its_first_word_is_marked_and_stays_so() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    let hold = scene.provider.hold();
    say(&page, "Count").await?;
    page.wait_for("document.querySelector('.dots')").await?;
    page.press("Escape").await?;
    page.wait_for(IDLE).await?;
    let notes = "[...document.querySelectorAll('.note span')].map((one) => one.innerText).join()";
    assert_eq!(page.text(notes).await?, "Stopped.");
    assert_eq!(
        page.text("String(document.querySelector('.dots'))").await?,
        "null"
    );
    page.reload().await?;
    page.wait_for("document.querySelector('.note button')").await?;
    assert_eq!(page.text(notes).await?, "Stopped.");
    drop(hold);
    // What is said next is of the same conversation, and both can be asked again.
    assert_eq!(converse(&page, "Hello").await?, "echo: Hello");
    Ok(())
}

#[tokio::test]
async fn a_failed_turn_says_so_and_can_be_tried_again() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    scene.provider.answer_with(|_| Some(Answer::fault(400)));
    say(&page, "Hello").await?;
    page.wait_for("document.querySelector('.failed .note button')")
        .await?;
    picture(&page, "failed").await?;
    let said = thread(&page).await?;
    page.reload().await?;
    page.wait_for("document.querySelector('.failed .note button')")
        .await?;
    assert_eq!(
        thread(&page).await?[..1],
        said[..1],
        "what was asked is still there"
    );
    scene.provider.clear_script();
    page.click(".failed .note button").await?;
    page.wait_for(&format!("{IDLE} && {ANSWER} === 'echo: Hello'"))
        .await?;
    assert_eq!(thread(&page).await?, ["You: Hello", "OpenClaw: echo: Hello"]);
    Ok(())
}

#[tokio::test]
async fn who_waits_is_told_the_place_in_line() -> Result<()> {
    let Some(chromium) = Optional::Chromium.find() else {
        return Ok(());
    };
    let provider = MockProvider::start().await?;
    let server = ServerSetup::new(BINARY)
        .provider(&provider)
        .env("OPENCLAW__CONCURRENCY__MIN_WORKERS", "1")
        .env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "1")
        .env("OPENCLAW__CONCURRENCY__MAX_QUEUE_SIZE", "1")
        .start()
        .await?;
    let browser = Browser::launch(&chromium).await?;
    // Without an answer before, nothing is known of how long one takes.
    let first = browser.visitor().await?;
    first.open(&server.url("/")).await?;
    converse(&first, "How long does it take?").await?;
    let hold = provider.hold();
    let mut pages = Vec::new();
    for number in 0..4 {
        let page = browser.visitor().await?;
        page.open(&server.url("/")).await?;
        say(&page, &format!("message {number}")).await?;
        page.wait_for("document.querySelector('.dots')").await?;
        pages.push(page);
    }
    let last = pages.last().unwrap();
    last.wait_for(
        "/Before you: 2 messages.\\s+About 5 seconds./.test(document.querySelector('.answer .note')?.innerText)",
    )
    .await?;
    last.eval("window.__note = document.querySelector('.answer .note')")
        .await?;
    picture(last, "waiting").await?;
    // The one before it does not want an answer any more.
    pages[2].press("Escape").await?;
    last.wait_for(
        "/Before you: 1 message.\\s+About 5 seconds./.test(document.querySelector('.answer .note')?.innerText)",
    )
    .await?;
    assert_eq!(
        last.eval("window.__note.isConnected").await?,
        true,
        "its words were changed in place"
    );
    drop(hold);
    pages.remove(2);
    for (number, page) in [0, 1, 3].into_iter().zip(&pages) {
        page.wait_for(IDLE).await?;
        assert_eq!(page.text(ANSWER).await?, format!("echo: message {number}"));
        assert_eq!(page.eval("document.querySelectorAll('.note').length").await?, 0);
    }
    Ok(())
}

#[tokio::test]
async fn a_spent_budget_is_told_in_words_with_the_time_it_begins_anew() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    // One answer that costs 9 900 of a visitor's 10 000 tokens.
    scene
        .provider
        .script(Answer::text("Done.").with_usage(4_900, 5_000));
    assert_eq!(converse(&page, "Do it").await?, "Done.");
    let words = "document.querySelector('.failed .note span').innerText";
    say(&page, "More").await?;
    page.wait_for(&format!("{IDLE} && document.querySelector('.failed .note span')"))
        .await?;
    let told = page.text(words).await?;
    assert!(
        told.contains("daily limit") && told.contains("It resets in ") && told.contains(" UTC"),
        "{told}"
    );
    assert_eq!(
        page.text("document.querySelector('#live').innerText").await?,
        told
    );
    page.reload().await?;
    page.wait_for("document.querySelector('.failed .note span')")
        .await?;
    let told = page.text(words).await?;
    assert!(told.contains("daily limit"), "also when it is read again: {told}");
    Ok(())
}

#[tokio::test]
async fn that_nothing_is_stored_is_said_only_while_it_is_true() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    scene.answers("Hello to you");
    let promised = "document.querySelector('#privacy').checkVisibility()";
    assert_eq!(page.eval(promised).await?, true);
    converse(&page, "Hello").await?;
    converse(&page, "/new").await?;
    page.reload().await?;
    page.wait_for(
        "document.querySelector('#hello').checkVisibility() && !document.querySelector('#delete').hidden",
    )
    .await?;
    assert_eq!(
        page.eval(promised).await?,
        false,
        "what was said before is still on the server"
    );
    Ok(())
}
