//! The chat page in a real browser, as a person meets it.
//!
//! With `OPENCLAW_TEST_PICTURES` naming a directory, pictures of the page are left there.

mod line;
mod meanwhile;
mod writing;

use crate::BINARY;
use anyhow::Result;
use line::Line;
use openclaw_testkit::browser::{Browser, Page};
use openclaw_testkit::optional::Optional;
use openclaw_testkit::{Answer, MockProvider, ServerProcess, ServerSetup};
use std::time::Duration;

/// The last answer's text.
const ANSWER: &str = "[...document.querySelectorAll('.answer .body')].at(-1).innerText";
/// Whether nothing is being answered.
const IDLE: &str = "document.querySelector('#thread').childElementCount > 0 && document.querySelector('#transcript').ariaBusy === 'false'";
/// Whether some of an answer is there, and not all of it.
const MIDWAY: &str = "document.querySelector('.raw')?.textContent.length > 60";
/// Remembers every state of the text being streamed.
const WATCH_TEXT: &str = "window.__seen = []; new MutationObserver(() => { \
     const raw = document.querySelector('.raw'); if (raw) window.__seen.push(raw.textContent); \
     }).observe(document.querySelector('#thread'), { childList: true, subtree: true, characterData: true })";

/// A server with a model, and a browser.
struct Scene {
    provider: MockProvider,
    server: ServerProcess,
    browser: Browser,
}

impl Scene {
    /// `None` where there is no browser.
    async fn set() -> Result<Option<Self>> {
        let Some(chromium) = Optional::Chromium.find() else {
            return Ok(None);
        };
        let provider = MockProvider::start().await?;
        let server = ServerSetup::new(BINARY).provider(&provider).start().await?;
        let browser = Browser::launch(&chromium).await?;
        Ok(Some(Self {
            provider,
            server,
            browser,
        }))
    }

    /// A visitor who has the page open.
    async fn visitor(&self) -> Result<Page> {
        let page = self.browser.visitor().await?;
        page.open(&self.server.url("/")).await?;
        Ok(page)
    }

    /// Every coming answer is this text, all at once.
    fn answers(&self, text: &'static str) {
        self.provider.answer_with(move |_| Some(Answer::text(text)));
    }

    /// Every coming answer is this text, a word at a time.
    fn answers_slowly(&self, text: &str, gap: Duration) {
        let mut answer = Answer::pieces(text.split_inclusive(' '));
        answer.gap = gap;
        self.provider.answer_with(move |_| Some(answer.clone()));
    }
}

/// Words that are all different, so that a lost or doubled one shows.
fn numbered_words(count: usize) -> String {
    (1..=count)
        .map(|number| format!("word{number}"))
        .collect::<Vec<_>>()
        .join(" ")
}

async fn say(page: &Page, text: &str) -> Result<()> {
    page.eval("document.querySelector('#text').focus()").await?;
    page.type_text(text).await?;
    page.press("Enter").await
}

async fn converse(page: &Page, text: &str) -> Result<String> {
    say(page, text).await?;
    page.wait_for(IDLE).await?;
    page.text(ANSWER).await
}

/// What was said, as `who: text`.
async fn thread(page: &Page) -> Result<Vec<String>> {
    let said = page
        .eval(
            "[...document.querySelectorAll('article')].map((one) => one.ariaLabel + ': ' + \
             (one.querySelector('.body') ?? one).innerText.trim())",
        )
        .await?;
    Ok(serde_json::from_value(said)?)
}

/// Nothing went wrong behind the page's back, and nobody else was asked for anything.
async fn nothing_odd(page: &Page, host: &str) -> Result<()> {
    assert_eq!(page.violations().await?, [""; 0], "content security policy");
    assert_eq!(page.exceptions(), [""; 0], "exceptions");
    assert_eq!(page.dialogs(), [""; 0], "dialogs");
    let foreign: Vec<_> = page
        .requests()
        .into_iter()
        .filter(|url| !url.starts_with(host) && url != "about:blank")
        .collect();
    assert_eq!(foreign, [""; 0], "requests to others");
    Ok(())
}

/// Every state of the streamed text was the beginning of the whole, and the last one all of it.
async fn streamed_exactly(page: &Page, whole: &str) -> Result<()> {
    let seen: Vec<String> = serde_json::from_value(page.eval("window.__seen").await?)?;
    assert!(seen.len() > 2, "the text came piece by piece: {seen:?}");
    for state in &seen {
        assert!(whole.starts_with(state.as_str()), "lost or doubled: {state:?}");
    }
    assert_eq!(
        seen.last().map(String::as_str),
        Some(whole),
        "all of it was streamed"
    );
    Ok(())
}

async fn picture(page: &Page, name: &str) -> Result<()> {
    if let Some(directory) = std::env::var_os("OPENCLAW_TEST_PICTURES") {
        let path = std::path::Path::new(&directory).join(format!("{name}.png"));
        // What has just changed is painted first.
        page.eval("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            .await?;
        std::fs::write(path, page.picture().await?)?;
    }
    Ok(())
}

#[tokio::test]
async fn the_page_is_protected_and_its_parts_may_be_kept() -> Result<()> {
    let server = ServerSetup::new(BINARY).start().await?;
    let http = server.http()?;
    for path in ["/", "/chat"] {
        let page = http.get(path).send().await?;
        assert_eq!(page.status, 200);
        let policy = page.header("content-security-policy").unwrap();
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("cross-origin-opener-policy"), Some("same-origin"));
        assert!(page.header("permissions-policy").is_some());
        assert_eq!(page.header("set-cookie"), None);
        assert_eq!(page.header("cache-control"), Some("no-cache"));
    }
    let html = http.get("/").send().await?.text();
    let parts: Vec<_> = html
        .split('"')
        .filter(|part| part.starts_with("/assets/"))
        .collect();
    assert_eq!(parts.len(), 3, "{parts:?}");
    for part in parts {
        let asset = http.get(part).send().await?;
        assert_eq!(asset.status, 200, "{part}");
        assert!(asset.header("cache-control").unwrap().contains("immutable"));
    }
    assert_eq!(http.get("/assets/chat.js").send().await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn a_page_that_is_turned_off_is_not_there() -> Result<()> {
    let server = ServerSetup::new(BINARY)
        .env("OPENCLAW__MESSENGER__WEB__ENABLED", "false")
        .start()
        .await?;
    let page = server.http()?.get("/").send().await?;
    assert_eq!(page.status, 404);
    Ok(())
}

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
    scene.answers_slowly(&whole, Duration::from_millis(30));
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
async fn a_cut_line_is_picked_up_without_a_lost_or_doubled_word() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let line = Line::to(scene.server.address()).await?;
    let page = scene.browser.visitor().await?;
    page.open(&line.url("/")).await?;
    let whole = numbered_words(300);
    scene.answers_slowly(&whole, Duration::from_millis(20));
    say(&page, "Count").await?;
    page.eval(WATCH_TEXT).await?;
    page.wait_for(MIDWAY).await?;
    // Once so briefly that nobody notices, once until the page says so.
    line.cut();
    line.mend(scene.server.address());
    let before = page
        .eval("document.querySelector('.raw').textContent.length")
        .await?;
    page.wait_for(&format!(
        "document.querySelector('.raw').textContent.length > {before}"
    ))
    .await?;
    line.cut();
    page.wait_for("document.querySelector('#banner').checkVisibility()")
        .await?;
    picture(&page, "cut").await?;
    page.type_text("a draft").await?;
    line.mend(scene.server.address());
    page.wait_for("!document.querySelector('#banner').checkVisibility()")
        .await?;
    page.wait_for(IDLE).await?;
    assert_eq!(
        thread(&page).await?,
        ["You: Count".to_owned(), format!("OpenClaw: {whole}")]
    );
    streamed_exactly(&page, &whole).await?;
    assert_eq!(
        page.text("document.querySelector('#text').value").await?,
        "a draft"
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
    scene.answers_slowly(&whole, Duration::from_millis(30));
    say(&page, "Count").await?;
    page.wait_for(MIDWAY).await?;
    scene.server.kill().await?;
    line.cut();
    scene.server.start_again().await?;
    line.mend(scene.server.address());
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
async fn a_reload_and_a_second_tab_show_the_same_conversation_also_in_mid_answer() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    converse(&page, "before").await?;
    let whole = numbered_words(100);
    scene.answers_slowly(&whole, Duration::from_millis(30));
    say(&page, "Count").await?;
    page.wait_for(MIDWAY).await?;
    let other = scene.browser.tab_beside(&page).await?;
    other.open(&scene.server.url("/chat")).await?;
    page.reload().await?;
    page.wait_for(MIDWAY).await?;
    for tab in [&page, &other] {
        tab.eval(WATCH_TEXT).await?;
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
    scene.provider.clear_script();
    page.click(".failed .note button").await?;
    page.wait_for(&format!("{IDLE} && {ANSWER} === 'echo: Hello'"))
        .await?;
    assert_eq!(thread(&page).await?, ["You: Hello", "OpenClaw: echo: Hello"]);
    Ok(())
}

#[tokio::test]
async fn language_and_theme_follow_the_system_until_the_person_chooses() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.browser.visitor().await?;
    page.speaks("ru-RU").await?;
    page.prefers(&[("prefers-color-scheme", "dark")]).await?;
    page.open(&scene.server.url("/")).await?;
    let placeholder = "document.querySelector('#text').placeholder";
    let paper = "getComputedStyle(document.body).backgroundColor";
    assert_eq!(page.text("document.documentElement.lang").await?, "ru");
    assert_eq!(page.text(placeholder).await?, "Напишите сообщение");
    let dark = page.text(paper).await?;
    converse(&page, "Привет").await?;
    picture(&page, "russian-dark").await?;
    let stored = "localStorage.length";
    assert_eq!(page.eval(stored).await?, 1, "the chat, and no choice nobody made");

    page.click("summary").await?;
    picture(&page, "menu").await?;
    page.click("[name=language][value=en]").await?;
    page.click("[name=theme][value=light]").await?;
    assert_eq!(page.text("document.documentElement.lang").await?, "en");
    assert_eq!(page.text(placeholder).await?, "Write a message");
    assert_eq!(
        page.text("document.querySelector('article').ariaLabel").await?,
        "You"
    );
    let light = page.text(paper).await?;
    assert_ne!(light, dark);
    page.reload().await?;
    page.wait_for(IDLE).await?;
    assert_eq!(
        page.text("document.documentElement.lang").await?,
        "en",
        "remembered"
    );
    assert_eq!(page.text(paper).await?, light, "remembered");

    page.click("summary").await?;
    page.click("[name=language][value=auto]").await?;
    page.click("[name=theme][value=auto]").await?;
    assert_eq!(page.text("document.documentElement.lang").await?, "ru");
    assert_eq!(page.text(paper).await?, dark);
    assert_eq!(page.eval(stored).await?, 1, "taken back");
    assert_eq!(
        page.text("document.body.innerText.match(/undefined|\\[object/)?.[0] ?? ''")
            .await?,
        ""
    );
    nothing_odd(&page, &scene.server.url("/")).await
}

#[tokio::test]
async fn everything_can_be_done_with_the_keyboard() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    let focused = "document.activeElement.id || document.activeElement.localName";
    assert_eq!(page.text(focused).await?, "text", "ready to type");
    page.type_text("one").await?;
    page.press("Shift+Enter").await?;
    page.type_text("two").await?;
    assert_eq!(
        page.text("document.querySelector('#text').value").await?,
        "one\ntwo"
    );
    page.press("Enter").await?;
    page.wait_for(IDLE).await?;
    assert_eq!(thread(&page).await?[0], "You: one\ntwo");
    assert_eq!(page.text(focused).await?, "text");

    // Around the page, in reading order.
    page.press("Tab").await?;
    assert_eq!(page.text(focused).await?, "send");
    page.press("Shift+Tab").await?;
    page.press("Shift+Tab").await?;
    assert_eq!(page.text(focused).await?, "transcript");
    page.press("Shift+Tab").await?;
    assert_eq!(page.text(focused).await?, "summary");
    assert_ne!(
        page.text("getComputedStyle(document.activeElement).outlineStyle")
            .await?,
        "none",
        "focus is seen"
    );
    page.press("Shift+Tab").await?;
    assert_eq!(page.text(focused).await?, "new");
    page.press("Tab").await?;

    // The menu: opened, walked through, left again.
    page.press("Enter").await?;
    page.wait_for("document.querySelector('#menu').open").await?;
    page.press("Tab").await?;
    page.press("ArrowDown").await?;
    assert_eq!(page.text("document.documentElement.lang").await?, "ru");
    page.press("Tab").await?;
    page.press("Tab").await?;
    assert_eq!(page.text(focused).await?, "download");
    page.press("Tab").await?;
    assert_eq!(page.text(focused).await?, "delete");
    page.press("Escape").await?;
    assert_eq!(page.eval("document.querySelector('#menu').open").await?, false);
    assert_eq!(page.text(focused).await?, "summary");

    // A new chat begins with the focus in the box.
    page.press("Shift+Tab").await?;
    page.press("Enter").await?;
    assert_eq!(page.eval("document.querySelectorAll('article').length").await?, 0);
    assert_eq!(page.text(focused).await?, "text");
    nothing_odd(&page, &scene.server.url("/")).await
}

#[tokio::test]
async fn a_screen_reader_finds_names_roles_and_one_live_region() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    scene.answers("An answer with a [link](https://example.com/) and code:\n\n```rust\nfn main() {}\n```");
    converse(&page, "A question").await?;
    page.click("summary").await?;
    let tree = page.accessibility().await?;
    let named = |role: &str| -> Vec<&str> {
        tree.iter()
            .filter(|(found, _)| found == role)
            .map(|(_, name)| name.as_str())
            .collect()
    };
    assert_eq!(named("region"), ["Conversation"]);
    assert_eq!(named("article"), ["You", "OpenClaw"]);
    assert_eq!(named("textbox"), ["Message"]);
    assert_eq!(named("banner").len(), 1);
    assert_eq!(named("main").len(), 1);
    assert_eq!(named("link"), ["link"]);
    assert_eq!(
        named("radio"),
        ["Automatic", "Русский", "English", "Automatic", "Light", "Dark"]
    );
    assert!(
        named("group").contains(&"Language") && named("group").contains(&"Appearance"),
        "{tree:?}"
    );
    for button in ["New chat", "Delete this chat", "Copy", "Send"] {
        assert!(named("button").contains(&button), "{button}: {tree:?}");
    }
    for (role, name) in &tree {
        let must_be_named = [
            "button",
            "link",
            "textbox",
            "radio",
            "region",
            "article",
            "DisclosureTriangle",
            "dialog",
        ];
        assert!(
            !must_be_named.contains(&role.as_str()) || !name.is_empty(),
            "a {role} without a name: {tree:?}"
        );
    }
    let live = "[...document.querySelectorAll('[aria-live], [role=log], [role=status], [role=alert], output')].map((one) => one.id)";
    assert_eq!(page.eval(live).await?, serde_json::json!(["live"]));
    assert_eq!(
        page.text("document.querySelector('#live').innerText").await?,
        "An answer with a link and code:\nCode block.",
        "what is told is prose"
    );
    Ok(())
}

#[tokio::test]
async fn a_hostile_answer_does_nothing() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    scene.answers(
        "<script>alert(1)</script>\n\n<img src=x onerror=alert(2)>\n\n<svg/onload=alert(3)>\n\n<iframe src='https://evil.example/f'></iframe>\n\n\
         <style>@import 'https://evil.example/s.css';</style>\n\n![beacon](https://evil.example/pixel.png?who=you)\n\n\
         ![](data:image/svg+xml,<svg/onload=alert(4)>)\n\n[one](javascript:alert(5)) [two](JaVaScRiPt&colon;alert(6)) \
         [three](<java\tscript:alert(7)>) [four](data:text/html,<script>alert(8)</script>) [five](vbscript:x) [six](//evil.example/) \
         [seven](blob:https://evil.example/x) [eight](file:///etc/passwd) <javascript:alert(9)> [good](https://example.com/\"onmouseover=\"alert(10))\n\n\
         ```html\n<script>alert(11)</script>\n```\n\n| <b onclick=alert(12)>x</b> | [y](javascript:alert(13)) |\n|---|---|\n| <a href='javascript:alert(14)'>z</a> | ![i](https://evil.example/t.gif) |\n\n\
         # <u onmouseover=alert(15)>heading</u>\n\n[ref]: javascript:alert(16)\n\n[ref] ![ref]\n\nhttps://evil.example/`x`",
    );
    converse(&page, "Harm me").await?;
    picture(&page, "hostile").await?;
    let elements: Vec<String> = serde_json::from_value(
        page.eval(
            "[...new Set([...document.querySelectorAll('.answer *')].map((one) => one.localName))].sort()",
        )
        .await?,
    )?;
    let plain = [
        "a", "b", "br", "button", "code", "div", "em", "h1", "li", "p", "pre", "span", "strong", "table",
        "tbody", "td", "th", "thead", "tr", "ul",
    ];
    for element in &elements {
        assert!(
            plain.contains(&element.as_str()) && element != "b",
            "an element out of the text: {element}"
        );
    }
    let links: Vec<String> = serde_json::from_value(
        page.eval("[...document.querySelectorAll('.answer a')].map((one) => one.href)")
            .await?,
    )?;
    assert!(!links.is_empty());
    for link in &links {
        assert!(link.starts_with("https://"), "{link}");
    }
    let careless = "[...document.querySelectorAll('.answer a')].filter((one) => one.rel !== 'noopener noreferrer' || one.target !== '_blank').length";
    assert_eq!(page.eval(careless).await?, 0);
    let attributes: Vec<String> = serde_json::from_value(
        page.eval("[...new Set([...document.querySelectorAll('.answer *')].flatMap((one) => one.getAttributeNames()))]").await?,
    )?;
    for name in &attributes {
        assert!(
            ["class", "href", "rel", "target", "title", "type", "data-t"].contains(&name.as_str()),
            "{name}"
        );
    }
    // Everything that looks clickable and goes nowhere is clicked.
    page.eval(
        "document.querySelectorAll('.answer span, .answer td, .answer h1').forEach((one) => one.click())",
    )
    .await?;
    // The same, out of the history.
    page.reload().await?;
    page.wait_for(IDLE).await?;
    nothing_odd(&page, &scene.server.url("/")).await
}

#[tokio::test]
async fn a_chat_is_out_of_reach_for_another_visitor_and_gone_once_it_is_deleted() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let owner = scene.visitor().await?;
    converse(&owner, "A secret").await?;
    let chat = owner.text("localStorage.getItem('openclaw.chat')").await?;
    assert!(chat.len() >= 22, "it cannot be guessed: {chat}");

    let stranger = scene.visitor().await?;
    converse(&stranger, "Hello").await?;
    let theirs = format!("fetch('/api/v1/chats/{chat}/messages').then((answer) => answer.status)");
    assert_eq!(stranger.eval(&theirs).await?, 404);
    assert_eq!(owner.eval(&theirs).await?, 200);
    stranger
        .eval(&format!("localStorage.setItem('openclaw.chat', '{chat}')"))
        .await?;
    stranger.reload().await?;
    stranger
        .wait_for("document.querySelector('#banner').checkVisibility()")
        .await?;
    assert!(!stranger.text("document.body.innerText").await?.contains("secret"));
    assert_eq!(
        converse(&stranger, "Hello again").await?,
        "echo: Hello again",
        "and goes on with a new one"
    );

    let deleting = [
        ("summary", "document.querySelector('#menu').open"),
        ("#delete", "document.querySelector('#confirm').open"),
    ];
    for (button, shown) in deleting {
        owner.click(button).await?;
        owner.wait_for(shown).await?;
    }
    picture(&owner, "confirm").await?;
    owner.click("#confirm [value=no]").await?;
    assert_eq!(
        owner.eval("document.querySelectorAll('article').length").await?,
        2,
        "not confirmed"
    );
    for (button, shown) in deleting {
        owner.click(button).await?;
        owner.wait_for(shown).await?;
    }
    owner.click("#confirm [value=yes]").await?;
    owner
        .wait_for("document.querySelectorAll('article').length === 0")
        .await?;
    assert_eq!(owner.eval(&theirs).await?, 404);
    assert_eq!(owner.eval("localStorage.length").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_narrow_window_never_scrolls_sideways() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    scene.answers(SHOWCASE);
    converse(
        &page,
        "How would I read a file in Rust without loading all of it at once?",
    )
    .await?;
    picture(&page, "light").await?;
    page.prefers(&[("prefers-color-scheme", "dark")]).await?;
    picture(&page, "dark").await?;
    let long = "x".repeat(400);
    scene
        .provider
        .answer_with(move |_| Some(Answer::text(format!("{long} https://example.com/{long}"))));
    converse(&page, &"y".repeat(300)).await?;
    for width in [320, 360] {
        page.viewport(width, 640).await?;
        page.wait_for(&format!("innerWidth === {width}")).await?;
        let overflow = "Math.max(document.documentElement.scrollWidth - innerWidth, \
             document.querySelector('#transcript').scrollWidth - document.querySelector('#transcript').clientWidth)";
        assert_eq!(page.eval(overflow).await?, 0, "at {width}");
        page.click("summary").await?;
        assert_eq!(page.eval(overflow).await?, 0, "with the menu, at {width}");
        let outside = "(() => { const box = document.querySelector('.sheet').getBoundingClientRect(); return box.left < 0 || box.right > innerWidth; })()";
        assert_eq!(page.eval(outside).await?, false, "the menu is inside, at {width}");
        page.click("summary").await?;
    }
    page.eval("document.querySelector('#transcript').scrollTop = 0")
        .await?;
    picture(&page, "phone").await?;
    Ok(())
}

#[tokio::test]
async fn nothing_moves_for_who_asked_for_less_motion() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    let _hold = scene.provider.hold();
    say(&page, "Hello").await?;
    page.wait_for("document.querySelector('.dots')").await?;
    let moving = "document.getAnimations().length";
    assert_eq!(page.eval(moving).await?, 3);
    page.prefers(&[("prefers-reduced-motion", "reduce")]).await?;
    assert_eq!(page.eval(moving).await?, 0);
    Ok(())
}

#[tokio::test]
async fn words_stand_out_from_their_background_in_both_themes() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    scene.answers(SHOWCASE);
    converse(&page, "Show me").await?;
    scene.provider.answer_with(|_| Some(Answer::fault(400)));
    say(&page, "And fail").await?;
    page.wait_for("document.querySelector('.failed .note button')")
        .await?;
    page.click("summary").await?;
    for theme in ["light", "dark"] {
        page.prefers(&[("prefers-color-scheme", theme)]).await?;
        let faint = page.eval(FAINT).await?;
        assert_eq!(faint, serde_json::json!([]), "{theme}: below 4.5 to 1");
    }
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
    last.wait_for("/before you|next in line/i.test(document.querySelector('.answer .note')?.innerText)")
        .await?;
    picture(last, "waiting").await?;
    drop(hold);
    for (number, page) in pages.iter().enumerate() {
        page.wait_for(IDLE).await?;
        assert_eq!(page.text(ANSWER).await?, format!("echo: message {number}"));
        assert_eq!(page.eval("document.querySelectorAll('.note').length").await?, 0);
    }
    Ok(())
}

/// Everything with words of its own whose contrast is below 4.5 to 1.
const FAINT: &str = "(() => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const channels = (color) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = (color) => {
        const [r, g, b] = channels(color).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (one) => {
        const color = getComputedStyle(one).backgroundColor;
        return channels(color)[3] === 255 || !one.parentElement ? color : behind(one.parentElement);
    };
    return [...document.body.querySelectorAll('*')]
        .filter((one) => one.checkVisibility() && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
        .map((one) => {
            const [dim, bright] = [light(getComputedStyle(one).color), light(behind(one))].sort((x, y) => x - y);
            return [one.localName + '.' + one.className + ': ' + one.innerText.slice(0, 20), (bright + 0.05) / (dim + 0.05)];
        })
        .filter(([, contrast]) => contrast < 4.5);
})()";

/// One of everything a model writes.
const SHOWCASE: &str = "Read it **line by line**: a `BufReader` keeps only a small buffer in memory.\n\n\
    ```rust\nuse std::fs::File;\nuse std::io::{BufRead, BufReader};\n\nfn main() -> std::io::Result<()> {\n    \
    let reader = BufReader::new(File::open(\"notes.txt\")?);\n    for line in reader.lines() {\n        println!(\"{}\", line?);\n    }\n    Ok(())\n}\n```\n\n\
    ### What to choose\n\n| Way | Memory | When |\n| --- | ---: | --- |\n| `read_to_string` | whole file | small files |\n| `BufReader::lines` | one line | text |\n| `read` into a buffer | fixed | *binary* data |\n\n\
    A few things to keep in mind:\n\n1. Lines come **without** their line feed.\n2. Each `line?` may fail:\n   - the disk may\n   - the text may not be UTF-8\n3. See [the documentation](https://doc.rust-lang.org/std/io/).\n\n\
    > A larger buffer helps only when the disk is slow.\n";
