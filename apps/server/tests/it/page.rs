//! The chat page in a real browser, as a person meets it.
//!
//! With `OPENCLAW_TEST_PICTURES` naming a directory, pictures of the page are left there.

mod conversation;
mod for_everybody;
mod line;
mod lost_line;
mod meanwhile;
mod rating;
mod readme;
mod safety;
mod served;
mod tape;
mod writing;

use crate::BINARY;
use anyhow::Result;
use openclaw_testkit::browser::{Browser, Page};
use openclaw_testkit::optional::Optional;
use openclaw_testkit::{Answer, Gate, MockProvider, ServerProcess, ServerSetup};
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
        Self::set_with(|setup| setup).await
    }

    /// The same; `change` may add to the server's environment.
    async fn set_with(change: impl FnOnce(ServerSetup) -> ServerSetup) -> Result<Option<Self>> {
        let Some(chromium) = Optional::Chromium.find() else {
            return Ok(None);
        };
        let provider = MockProvider::start().await?;
        let server = change(ServerSetup::new(BINARY).provider(&provider))
            .start()
            .await?;
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

    /// Every coming answer is this text, a word at a time, of which the second half waits for the gate: whatever a slow
    /// browser does in the middle of the answer, it is in the middle of it.
    fn answers_in_halves(&self, text: &str, gap: Duration) -> Gate {
        let words: Vec<&str> = text.split_inclusive(' ').collect();
        let gate = Gate::new();
        let half = u64::try_from(words.len() / 2).unwrap_or_default();
        let answer = Answer::pieces(words).with_gap(gap).with_halt(half, &gate);
        self.provider.answer_with(move |_| Some(answer.clone()));
        gate
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
    let seen = shown_on_the_way(page, whole).await?;
    assert!(seen > 2, "the text came piece by piece, not in {seen}");
    Ok(())
}

/// The same of a text so long that the page need not draw every piece; how many states there were.
async fn shown_on_the_way(page: &Page, whole: &str) -> Result<usize> {
    let seen: Vec<String> = serde_json::from_value(page.eval("window.__seen").await?)?;
    for state in &seen {
        assert!(whole.starts_with(state.as_str()), "lost or doubled: {state:?}");
    }
    assert_eq!(
        seen.last().map(String::as_str),
        Some(whole),
        "all of it was streamed"
    );
    Ok(seen.len())
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
