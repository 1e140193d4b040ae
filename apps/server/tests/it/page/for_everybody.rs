//! In both languages and themes, by keyboard, for a screen reader, on a narrow window.

use super::{IDLE, Scene, converse, nothing_odd, picture, say, thread};
use anyhow::Result;
use openclaw_testkit::Answer;
use serde_json::json;

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

    // Sent by its button, which makes room for another: the focus is not lost with it.
    page.type_text("three").await?;
    page.press("Tab").await?;
    page.press("Enter").await?;
    page.wait_for("document.querySelectorAll('.answer').length === 2")
        .await?;
    page.wait_for(IDLE).await?;
    assert_eq!(page.text(focused).await?, "text");

    // Around the page, in reading order.
    page.press("Tab").await?;
    assert_eq!(page.text(focused).await?, "send");
    page.press("Shift+Tab").await?;
    for _ in 0..2 {
        for rating in ["down", "up"] {
            page.press("Shift+Tab").await?;
            assert_eq!(page.text("document.activeElement.value").await?, rating);
        }
    }
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
    assert_eq!(page.text(focused).await?, "data");
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
    for (width, text) in [(320, 100), (360, 100), (320, 200)] {
        page.viewport(width, 640).await?;
        page.wait_for(&format!("innerWidth === {width}")).await?;
        page.eval(&format!("document.documentElement.style.fontSize = '{text}%'"))
            .await?;
        let overflow = "Math.max(document.documentElement.scrollWidth - innerWidth, \
             document.querySelector('#transcript').scrollWidth - document.querySelector('#transcript').clientWidth)";
        assert_eq!(page.eval(overflow).await?, 0, "at {width}");
        let outside = "[...document.querySelectorAll('.bar > *, .bar .plain, .composer textarea, .round')].filter((one) => one.checkVisibility()) \
             .filter((one) => { const box = one.getBoundingClientRect(); return box.left < 0 || box.right > innerWidth; }).map((one) => one.id || one.className)";
        assert_eq!(
            page.eval(outside).await?,
            serde_json::json!([]),
            "out of reach at {width}, text of {text} %"
        );
        page.click("summary").await?;
        assert_eq!(page.eval(overflow).await?, 0, "with the menu, at {width}");
        let outside = "(() => { const box = document.querySelector('.sheet').getBoundingClientRect(); return box.left < 0 || box.right > innerWidth || box.bottom > innerHeight; })()";
        assert_eq!(page.eval(outside).await?, false, "the menu is inside, at {width}");
        page.click("summary").await?;
    }
    page.eval("document.documentElement.style.fontSize = ''").await?;
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
pub(super) const SHOWCASE: &str = "Read it **line by line**: a `BufReader` keeps only a small buffer in memory.\n\n\
    ```rust\nuse std::fs::File;\nuse std::io::{BufRead, BufReader};\n\nfn main() -> std::io::Result<()> {\n    \
    let reader = BufReader::new(File::open(\"notes.txt\")?);\n    for line in reader.lines() {\n        println!(\"{}\", line?);\n    }\n    Ok(())\n}\n```\n\n\
    ### What to choose\n\n| Way | Memory | When |\n| --- | ---: | --- |\n| `read_to_string` | whole file | small files |\n| `BufReader::lines` | one line | text |\n| `read` into a buffer | fixed | *binary* data |\n\n\
    A few things to keep in mind:\n\n1. Lines come **without** their line feed.\n2. Each `line?` may fail:\n   - the disk may\n   - the text may not be UTF-8\n3. See [the documentation](https://doc.rust-lang.org/std/io/).\n\n\
    > A larger buffer helps only when the disk is slow.\n";

#[tokio::test]
async fn what_is_russian_says_so_and_of_the_rest_nothing_is_claimed() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    scene.answers(
        "Вот как это сделать в Rust:\n\n```rust\nfn main() {}\n```\n\nAnd in English.\n\n- Раз\n- Два\n\n\
         Так робити не слід, її немає.\n\nДобър ден",
    );
    let spoken = "[...document.querySelectorAll('.mine > span, .answer .body > *')].map((one) => one.getAttribute('lang'))";
    let languages = json!(["ru", "ru", null, "", "ru", "", ""]);
    converse(&page, "Как начать?").await?;
    assert_eq!(page.eval(spoken).await?, languages);
    // What is read aloud when the answer is finished says it as well.
    let told = "[...document.querySelectorAll('#live span')].map((one) => one.lang)";
    assert_eq!(page.eval(told).await?, json!(["ru", "", "ru", "", ""]));
    page.reload().await?;
    page.wait_for(IDLE).await?;
    assert_eq!(page.eval(spoken).await?, languages, "also when it is read again");
    // The names of the speakers stay in the language of the page.
    let names = "[...document.querySelectorAll('article')].map((one) => one.closest('[lang]').lang + ' ' + one.ariaLabel)";
    assert_eq!(page.eval(names).await?, json!(["en You", "en OpenClaw"]));
    Ok(())
}
