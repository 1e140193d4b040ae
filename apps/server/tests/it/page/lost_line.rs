//! Connections that are lost, and servers that are.
//!
//! An answer's end holds the whole text, and the beginning of a turn clears what is shown: a page that comes back with a
//! wrong position is mended by either, and looks right in the end. So these tests look at every state of the text in
//! between, and at the line: what the page said it had seen, and what it was sent then.

use super::line::{AfterCut, Line};
use super::tape::{Listening, places};
use super::{
    ANSWER, IDLE, MIDWAY, Scene, WATCH_TEXT, converse, nothing_odd, numbered_words, picture, say,
    shown_on_the_way, streamed_exactly, thread,
};
use crate::setup::{LONG, word_by_word};
use anyhow::{Context, Result};
use openclaw_testkit::{Answer, Gate};
use serde_json::json;
use std::time::Duration;

/// Where the event begins that is the `number`th of its name, once it has begun to come.
fn beginning_of(answered: &[u8], name: &str, number: usize) -> Option<usize> {
    let name = format!("\nevent: {name}\n");
    let at = *places(answered, name.as_bytes()).get(number - 1)?;
    places(answered.get(..at)?, b"id: ").pop()
}

/// The page came back once: it said what it had seen, and was sent what followed, once. Of what was under way when the
/// line was cut a browser may have seen less than was sent.
#[track_caller]
fn came_back_once(listened: &[Listening]) -> [&Listening; 2] {
    let [first, second] = listened else {
        panic!("it listened twice: {listened:?}");
    };
    let said = second.in_header.expect("it says what it has seen");
    assert!(
        first.opened_at <= Some(said) && Some(said) <= first.reached(),
        "{listened:?}"
    );
    assert_eq!(second.opened_at, Some(said), "it is taken up there");
    let ids: Vec<u64> = second.events.iter().map(|(id, _)| *id).collect();
    let expected: Vec<u64> = (said + 1..).take(ids.len()).collect();
    assert_eq!(ids, expected, "nothing lost, nothing twice");
    let seen = first.events.iter().filter(|(id, _)| *id <= said);
    let names: Vec<&str> = seen
        .chain(&second.events)
        .map(|(_, name)| name.as_str())
        .collect();
    let count = |name: &str| names.iter().filter(|found| **found == name).count();
    assert_eq!(
        (count("turn.started"), count("turn.finished"), count("reset")),
        (1, 1, 0),
        "{names:?}"
    );
    [first, second]
}

/// The text while it is being streamed is just this.
fn shows(text: &str) -> String {
    format!("document.querySelector('.raw')?.textContent === '{text}'")
}

/// Lets the page show the first words, cuts the line in what comes next, and lets the page come back. What was shown
/// before was shown in time, so that the page has to know of all of it.
async fn cut_once(
    scene: &Scene,
    words: &str,
    shown: usize,
    place: impl FnMut(&[u8]) -> Option<usize> + Send + 'static,
) -> Result<Vec<Listening>> {
    let line = Line::to(scene.server.address()).await?;
    let page = scene.browser.visitor().await?;
    page.open(&line.url("/")).await?;
    let gate = Gate::new();
    let pieces: Vec<&str> = words.split_inclusive(' ').collect();
    let answer = Answer::pieces(pieces.clone())
        .with_gap(Duration::from_millis(30))
        .with_halt(u64::try_from(shown)?, &gate);
    scene.provider.answer_with(move |_| Some(answer.clone()));
    line.cut_at(AfterCut::Open, place);
    page.eval(WATCH_TEXT).await?;
    say(&page, "Count").await?;
    if shown > 0 {
        page.wait_for(&shows(&pieces[..shown].concat())).await?;
    }
    gate.open();
    line.was_cut(1).await?;
    page.wait_for(IDLE).await?;
    assert_eq!(
        thread(&page).await?,
        ["You: Count".to_owned(), format!("OpenClaw: {words}")]
    );
    streamed_exactly(&page, words).await?;
    nothing_odd(&page, &line.url("/")).await?;
    let listened = line.listened();
    let [first, second] = came_back_once(&listened);
    if shown > 0 {
        assert_eq!(second.in_header, first.reached(), "all that was shown");
    }
    Ok(listened)
}

#[tokio::test]
async fn a_cut_line_is_picked_up_without_a_lost_or_doubled_word() -> Result<()> {
    let Some(scene) = Scene::set_with(word_by_word).await? else {
        return Ok(());
    };
    let whole = numbered_words(60);
    let listened = cut_once(&scene, &whole, 5, |answered| {
        beginning_of(answered, "text.delta", 6)
    })
    .await?;
    let words = |one: &Listening| one.names().iter().filter(|name| **name == "text.delta").count();
    assert_eq!((words(&listened[0]), words(&listened[1])), (5, 55));
    Ok(())
}

#[tokio::test]
async fn a_line_cut_within_a_letter_gives_the_whole_word_again() -> Result<()> {
    let Some(scene) = Scene::set_with(word_by_word).await? else {
        return Ok(());
    };
    let whole = (1..=60)
        .map(|number| format!("слово{number}"))
        .collect::<Vec<_>>()
        .join(" ");
    cut_once(&scene, &whole, 5, |answered| {
        let event = beginning_of(answered, "text.delta", 6)?;
        // Between the two bytes of the first letter.
        let letter = *places(answered.get(event..)?, "с".as_bytes()).first()?;
        Some(event + letter + 1)
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_line_cut_before_the_first_word_gives_all_of_them() -> Result<()> {
    let Some(scene) = Scene::set_with(word_by_word).await? else {
        return Ok(());
    };
    let whole = numbered_words(60);
    let listened = cut_once(&scene, &whole, 0, |answered| {
        beginning_of(answered, "text.delta", 1)
    })
    .await?;
    assert!(!listened[0].names().contains(&"text.delta"), "{listened:?}");
    Ok(())
}

#[tokio::test]
async fn a_line_cut_before_the_end_of_a_turn_gives_the_end_alone() -> Result<()> {
    let Some(scene) = Scene::set_with(word_by_word).await? else {
        return Ok(());
    };
    let whole = numbered_words(20);
    // Before that event, and in the middle of it.
    for further in [0, "id: 1".len()] {
        let listened = cut_once(&scene, &whole, 20, move |answered| {
            beginning_of(answered, "turn.finished", 1).map(|at| at + further)
        })
        .await?;
        assert_eq!(listened[1].names(), ["turn.finished"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_line_that_is_down_for_long_is_told_of_and_keeps_the_draft() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let line = Line::to(scene.server.address()).await?;
    let page = scene.browser.visitor().await?;
    page.open(&line.url("/")).await?;
    let whole = numbered_words(300);
    let rest = scene.answers_in_halves(&whole, Duration::from_millis(20));
    page.eval(WATCH_TEXT).await?;
    say(&page, "Count").await?;
    page.wait_for(MIDWAY).await?;
    line.cut();
    page.wait_for("document.querySelector('#banner').checkVisibility()")
        .await?;
    picture(&page, "cut").await?;
    page.type_text("a draft").await?;
    line.mend(scene.server.address());
    page.wait_for("!document.querySelector('#banner').checkVisibility()")
        .await?;
    rest.open();
    page.wait_for(IDLE).await?;
    assert_eq!(
        thread(&page).await?,
        ["You: Count".to_owned(), format!("OpenClaw: {whole}")]
    );
    streamed_exactly(&page, &whole).await?;
    came_back_once(&line.listened());
    assert_eq!(
        page.text("document.querySelector('#text').value").await?,
        "a draft"
    );
    nothing_odd(&page, &line.url("/")).await
}

#[tokio::test]
async fn a_page_that_listens_anew_by_itself_goes_on_from_what_it_has_seen() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let line = Line::to(scene.server.address()).await?;
    let page = scene.browser.visitor().await?;
    page.open(&line.url("/")).await?;
    let whole = numbered_words(100);
    let rest = scene.answers_in_halves(&whole, Duration::from_millis(30));
    page.eval(WATCH_TEXT).await?;
    say(&page, "Count").await?;
    page.wait_for(MIDWAY).await?;
    // What a browser says when its network is back.
    page.eval("dispatchEvent(new Event('online'))").await?;
    rest.open();
    page.wait_for(IDLE).await?;
    streamed_exactly(&page, &whole).await?;
    let listened = line.listened();
    let [first, second] = &*listened else {
        panic!("it listened twice: {listened:?}");
    };
    assert_eq!(
        second.in_header, None,
        "a new listener, not one the browser revives"
    );
    let position = second.in_address.context("the page says what it has seen")?;
    // More may have been sent than the page had looked at.
    assert!(
        first.opened_at < Some(position) && Some(position) <= first.reached(),
        "{listened:?}"
    );
    assert!(
        first
            .events
            .iter()
            .any(|(id, name)| *id <= position && name == "text.delta"),
        "{listened:?}"
    );
    assert_eq!(second.events.first().map(|(id, _)| *id), Some(position + 1));
    assert!(!second.names().contains(&"turn.started"), "{listened:?}");
    Ok(())
}

/// More events than a chat's ring holds.
const MISSED: u64 = 4_500;

#[tokio::test]
async fn a_page_that_missed_too_much_is_given_the_whole_and_goes_on_from_there() -> Result<()> {
    let Some(scene) = Scene::set_with(word_by_word).await? else {
        return Ok(());
    };
    let line = Line::to(scene.server.address()).await?;
    let page = scene.browser.visitor().await?;
    page.open(&line.url("/")).await?;
    let seen = 10;
    let whole = numbered_words(usize::try_from(seen + MISSED)? + 40);
    let (goes_away, came_back) = (Gate::new(), Gate::new());
    let answer = Answer::pieces(whole.split_inclusive(' '))
        .with_halt(seen, &goes_away)
        .with_halt(seen + MISSED, &came_back);
    scene.provider.answer_with(move |_| Some(answer.clone()));
    line.cut_at(AfterCut::Closed, |answered| {
        beginning_of(answered, "text.delta", 11)
    });
    page.eval(WATCH_TEXT).await?;
    say(&page, "Count").await?;
    page.wait_for(&shows(&format!("{} ", numbered_words(10)))).await?;
    goes_away.open();
    line.was_cut(1).await?;
    let chat = page.text("localStorage.getItem('openclaw.chat')").await?;
    let cookie = line.cookie().context("a visitor has a cookie")?;
    let last = format!("word{}", seen + MISSED);
    let path = format!("/api/v1/chats/{chat}/messages");
    let written = async {
        loop {
            let request = scene.server.http()?.get(&path).header("cookie", &cookie);
            let snapshot = request.send().await?.json()?;
            if snapshot["live"]["text"]
                .as_str()
                .is_some_and(|text| text.contains(&last))
            {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(LONG, written)
        .await
        .context("an answer goes on without a reader")??;
    line.mend(scene.server.address());
    page.wait_for(&format!(
        "document.querySelector('.raw')?.textContent.includes('{last}')"
    ))
    .await?;
    let listened = line.listened();
    let [first, second] = &*listened else {
        panic!("it listened twice: {listened:?}");
    };
    assert_eq!(second.in_header, first.reached());
    assert_eq!(second.names(), ["reset"]);
    page.eval(WATCH_TEXT).await?;
    came_back.open();
    page.wait_for(IDLE).await?;
    assert_eq!(
        thread(&page).await?,
        ["You: Count".to_owned(), format!("OpenClaw: {whole}")]
    );
    shown_on_the_way(&page, &whole).await?;
    let names = line.listened()[1].names().join(" ");
    assert!(
        names.starts_with("reset text.delta ") && names.ends_with(" text.delta turn.finished"),
        "{names}"
    );
    nothing_odd(&page, &line.url("/")).await
}

#[tokio::test]
async fn a_server_killed_in_mid_answer_answers_whole_and_once_after_its_restart() -> Result<()> {
    let Some(mut scene) = Scene::set().await? else {
        return Ok(());
    };
    let line = Line::to(scene.server.address()).await?;
    let page = scene.browser.visitor().await?;
    page.open(&line.url("/")).await?;
    let whole = numbered_words(60);
    let rest = scene.answers_in_halves(&whole, Duration::from_millis(30));
    say(&page, "Count").await?;
    page.wait_for(MIDWAY).await?;
    scene.server.kill().await?;
    line.cut();
    scene.server.start_again().await?;
    line.mend(scene.server.address());
    // For the answer that was cut, should it wait yet, and for the one that takes its place.
    rest.open();
    rest.open();
    page.wait_for(IDLE).await?;
    assert_eq!(
        thread(&page).await?,
        ["You: Count".to_owned(), format!("OpenClaw: {whole}")]
    );
    Ok(())
}

#[tokio::test]
async fn a_message_sent_into_a_cut_line_arrives_once() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let line = Line::to(scene.server.address()).await?;
    let page = scene.browser.visitor().await?;
    page.open(&line.url("/")).await?;
    assert_eq!(converse(&page, "one").await?, "echo: one");
    line.cut();
    say(&page, "two").await?;
    page.wait_for("document.querySelector('#banner').checkVisibility()")
        .await?;
    line.mend(scene.server.address());
    page.wait_for(IDLE).await?;
    let expected = [
        "You: one",
        "OpenClaw: echo: one",
        "You: two",
        "OpenClaw: echo: two",
    ];
    assert_eq!(thread(&page).await?, expected);
    assert_eq!(scene.provider.stats().requests, 2);
    page.reload().await?;
    page.wait_for(IDLE).await?;
    assert_eq!(thread(&page).await?, expected, "the server has it so as well");
    Ok(())
}

#[tokio::test]
async fn a_message_whose_receipt_is_lost_is_sent_again_and_answered_once() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let line = Line::to(scene.server.address()).await?;
    let page = scene.browser.visitor().await?;
    page.open(&line.url("/")).await?;
    assert_eq!(converse(&page, "one").await?, "echo: one");
    // The receipt is lost as a whole, and in its middle.
    for (number, head_is_lost) in [(2, true), (3, false)] {
        line.cut_at(AfterCut::Open, move |answered| {
            let head = places(answered, b"HTTP/1.1 ").pop()?;
            let receipt = answered.get(head..)?.strip_prefix(b"HTTP/1.1 202")?;
            if head_is_lost {
                return Some(head);
            }
            let body = *places(receipt, b"\r\n\r\n{\"turnId\":\"").first()?;
            Some(answered.len() - receipt.len() + body + 10)
        });
        say(&page, &format!("number {number}")).await?;
        line.was_cut(number - 1).await?;
        page.wait_for(IDLE).await?;
    }
    let expected = [
        "You: one",
        "OpenClaw: echo: one",
        "You: number 2",
        "OpenClaw: echo: number 2",
        "You: number 3",
        "OpenClaw: echo: number 3",
    ];
    assert_eq!(thread(&page).await?, expected);
    assert_eq!(scene.provider.stats().requests, 3);
    Ok(())
}

#[tokio::test]
async fn who_has_no_network_is_told_so_and_keeps_what_was_written() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    converse(&page, "one").await?;
    let network = async |offline: bool| {
        let conditions =
            json!({"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
        page.ask("Network.emulateNetworkConditions", conditions).await
    };
    network(true).await?;
    page.wait_for("document.querySelector('#banner').checkVisibility()")
        .await?;
    let banner = page.text("document.querySelector('#banner').innerText").await?;
    assert!(banner.starts_with("You are offline."), "{banner}");
    page.type_text("two").await?;
    let disabled = "document.querySelector('#send').ariaDisabled";
    assert_eq!(page.text(disabled).await?, "true");
    page.press("Enter").await?;
    page.click("#send").await?;
    assert_eq!(page.text("document.querySelector('#text').value").await?, "two");
    assert_eq!(page.eval("document.querySelectorAll('.mine').length").await?, 1);
    network(false).await?;
    page.wait_for(&format!(
        "!document.querySelector('#banner').checkVisibility() && {disabled} === 'false'"
    ))
    .await?;
    page.press("Enter").await?;
    page.wait_for(&format!("{IDLE} && {ANSWER} === 'echo: two'"))
        .await?;
    Ok(())
}
