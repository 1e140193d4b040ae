//! Answers while they are written: what is open is shown as if it were closed, what is finished is left alone, and in the
//! end everything stands as if it had come in one piece.

use super::for_everybody::SHOWCASE;
use super::{IDLE, Scene, nothing_odd, picture, say};
use anyhow::{Context, Result};
use openclaw_testkit::browser::Page;
use openclaw_testkit::{Answer, Gate};
use serde_json::{Value, json};
use std::time::Duration;

/// The modules of the page's script that render, those first that others import.
const MODULES: [&str; 5] = [
    include_str!("../../../assets/chat/script/dom.js"),
    include_str!("../../../assets/chat/script/markdown/inline.js"),
    include_str!("../../../assets/chat/script/markdown/code.js"),
    include_str!("../../../assets/chat/script/markdown/blocks.js"),
    include_str!("../../../assets/chat/script/markdown/writing.js"),
];

/// Answers with what is easily torn apart.
const ANSWERS: &[&str] = &[
    SHOWCASE,
    "- a\n- b\n\n- c\n  para\n\n      more\n\ntext ***both*** __x__ ~~no~~ *it* _em_ snake_case 2*3*4 **open",
    "a\r\nb\r\rc\r\n\r\n~~~\r\ncode ``` in\r\n~~~\r\n* * *\n---\n--- x\npara\n```a```\n# h #\n#no\n1) x\n2) y\n   ```\n   f\n   ```\n",
    "| a |\nnot a table\n\n|a|b|\n|-|:-:|\n|1|\n|2|3|4|\nafter | row\n\n| head |\n\nend `a ``b`` c` \\* <br> <https://e.x/a> https://e.x/(a). \
     ![i](https://e/x.png) [a [b] c](x) [t](https://e/ \"title\") [1] [2](",
    "```\nunclosed\n\nx",
    "- [ ] a\n- [x] b\n1. one\n\n   two\n\n\n\n5. six\n- other",
    "\0a\0 **b",
    "> q\nlazy\n> > deep\n\n***bold it* rest**\n\n**a\nb** `c\nd`\n\nТекст **жирный** 👍🏽 текст",
];

/// Answers that would like to do something.
const HOSTILE: &[&str] = &[
    "<script>alert(1)</script>\n\n<img src=x onerror=alert(2)>\n\n<svg/onload=alert(3)>\n\n<iframe src='https://evil.example/f'></iframe>\n\n\
     ![beacon](https://evil.example/pixel.png?who=you)\n\n![](data:image/svg+xml,<svg/onload=alert(4)>)\n\n\
     [one](javascript:alert(5)) [two](JaVaScRiPt&colon;alert(6)) [three](<java\tscript:alert(7)>) [four](data:text/html,<script>alert(8)</script>) \
     <javascript:alert(9)> [good](https://example.com/\"onmouseover=\"alert(10))\n\n```html\n<script>alert(11)</script>\n```\n\n\
     | <b onclick=alert(12)>x</b> | [y](javascript:alert(13)) |\n|---|---|\n| <a href='javascript:alert(14)'>z</a> | ![i](https://evil.example/t.gif) |\n\n\
     # <u onmouseover=alert(15)>heading</u>\n\n**<script>alert(16)</script>\n\n[**x](javascript:alert(17))** `<img src=x>",
];

/// The modules as one script.
fn modules() -> String {
    let lines = MODULES.iter().flat_map(|module| module.lines());
    lines
        .filter(|line| !line.starts_with("import "))
        .map(|line| format!("{}\n", line.strip_prefix("export ").unwrap_or(line)))
        .collect()
}

/// Runs `script` beside the part of the page's script that renders, with frames that come when the script says so.
async fn render(page: &Page, script: &str, texts: &[&str]) -> Result<Value> {
    let modules = modules();
    page.eval(&format!(
        "(() => {{
            const t = (key) => key, announce = () => {{}}, follow = () => {{}};
            const requestAnimationFrame = () => 1, cancelAnimationFrame = () => {{}};
            const setTimeout = () => 1, clearTimeout = () => {{}};
            const button = (key, className) => {{ const one = make('button', className, key); one.type = 'button'; one.dataset.t = key; return one; }};
            {modules}
            const at_once = (text) => {{
                const body = document.createElement('div');
                blocks(text.replace(/\\r\\n?/g, '\\n').replace(/\\0/g, '\\uFFFD').split('\\n'), body, 0, false);
                return body.innerHTML;
            }};
            const texts = {};
            {script}
        }})()",
        json!(texts)
    ))
    .await
}

#[tokio::test]
async fn however_an_answer_is_cut_it_ends_as_if_it_had_come_in_one_piece() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    let texts = [ANSWERS, HOSTILE].concat();
    let differing = render(
        &page,
        "const differing = [];
         for (const text of texts) {
            const whole = at_once(text);
            const check = (how, ...pieces) => {
                const body = document.createElement('div');
                const writing = new Writing(body);
                for (const piece of pieces) {
                    writing.add(piece);
                    writing.draw();
                    if (body.textContent.includes('\\0')) differing.push([how, 'the edge is seen', body.innerHTML]);
                }
                writing.end(text);
                if (body.innerHTML !== whole) differing.push([how, body.innerHTML, whole]);
            };
            check('by characters', ...text);
            for (let at = 0; at <= text.length; at += 1) check(`at ${at}`, text.slice(0, at), text.slice(at));
         }
         return differing.slice(0, 3);",
        &texts,
    )
    .await?;
    assert_eq!(differing, json!([]));
    nothing_odd(&page, &scene.server.url("/")).await
}

#[tokio::test]
async fn a_hostile_answer_does_nothing_at_any_length() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    let odd = render(
        &page,
        "const elements = new Set('a br button code div em h1 li p pre span strong table tbody td th thead tr ul'.split(' '));
         const attributes = new Set('class href rel target title type data-t'.split(' '));
         const odd = [];
         for (const text of texts) {
            const body = document.querySelector('#thread').appendChild(document.createElement('div'));
            const writing = new Writing(body);
            for (const piece of text) {
                writing.add(piece);
                writing.draw();
                for (const one of body.querySelectorAll('*')) {
                    if (!elements.has(one.localName)) odd.push(one.localName);
                    for (const name of one.getAttributeNames()) if (!attributes.has(name)) odd.push(name);
                    if (one.href && !/^https:/.test(one.href)) odd.push(one.href);
                }
            }
            if (!body.querySelector('a[href^=\"https://example.com/\"]')) odd.push('the good link is missing');
         }
         return odd.slice(0, 5);",
        HOSTILE,
    )
    .await?;
    assert_eq!(odd, json!([]));
    nothing_odd(&page, &scene.server.url("/")).await
}

#[tokio::test]
async fn the_work_of_rendering_grows_with_the_answer_and_not_with_its_square() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    let texts = [
        &*"Some **bold** words and `code`.\n\n".repeat(6_000),
        &*format!("```\n{}", "let x = 1; // a line of code\n".repeat(7_000)),
        &*"- an item with **bold** and `code`\n".repeat(6_000),
        &*"word **b** ".repeat(18_000),
    ];
    // How many characters are rendered per character, for a part of the text and for all of it, in 2,000 pieces.
    let work = render(
        &page,
        "return texts.map((text) => [text.slice(0, text.length / 4), text].map((text) => {
            const writing = new Writing(document.createElement('div'));
            let rendered = 0;
            const draw = writing.draw;
            writing.draw = function (...how) { rendered += this.open.length; draw.apply(this, how); };
            for (let at = 0; at < text.length; at += text.length / 2000) {
                writing.add(text.slice(at, at + text.length / 2000));
                if (writing.request) writing.draw();
            }
            writing.end(text);
            return rendered / text.length;
         }));",
        &texts,
    )
    .await?;
    let work: Vec<[f64; 2]> = serde_json::from_value(work)?;
    for [part, all] in &work {
        assert!(*all < 30.0 && *all <= part * 1.1, "{work:?}");
    }
    Ok(())
}

/// What makes a careless pattern try every way to cut a text in two, or a careless loop begin anew at every mark.
#[tokio::test]
async fn no_answer_keeps_the_page_busy_for_longer_than_it_takes_to_read_it() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    let spaces = &" ".repeat(300_000);
    let texts = [
        format!("[a]({spaces}x"),
        format!("[a](b{spaces}x"),
        format!("{}](", "[".repeat(600_000)),
        format!("```{spaces}`"),
        format!("a|b\n{spaces}|x|\n"),
        format!("a|b\n|-{spaces}|x\n"),
        format!("a\n# {spaces}b\u{2028}c"),
        format!("a\n- {spaces}b\u{2028}c"),
        format!("` {}`", "a".repeat(300_000)),
        format!("https://e.x/{} ", ")".repeat(1_900)).repeat(200),
        // Eighty thousand short rows below four thousand columns.
        format!(
            "{}|\n{}|\n{}",
            "|a".repeat(4_000),
            "|-".repeat(4_000),
            "|\n".repeat(80_000)
        ),
    ];
    for text in &texts {
        let begins: String = text.chars().take(20).collect();
        let shown = render(
            &page,
            "const body = document.createElement('div');
             const writing = new Writing(body);
             writing.add(texts[0]);
             writing.draw();
             writing.end(texts[0]);
             return body.querySelectorAll('*').length;",
            &[text],
        )
        .await
        .with_context(|| format!("{begins:?}…"))?;
        assert!(
            shown.as_u64().is_some_and(|elements| elements < 400_000),
            "{begins:?}… became {shown} elements"
        );
    }
    Ok(())
}

#[tokio::test]
async fn marks_are_not_seen_while_they_are_open_and_what_stands_stays_as_it_is() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    let pieces: Vec<String> = SHOWCASE
        .chars()
        .collect::<Vec<_>>()
        .chunks(3)
        .map(|piece| piece.iter().collect())
        .collect();
    // It waits where it is looked at: a slow browser sees it there, too.
    let piece_after = |text: &str| {
        let (before, _) = SHOWCASE.split_once(text).context("it is said")?;
        anyhow::Ok(u64::try_from(
            (before.chars().count() + text.chars().count()).div_ceil(3),
        )?)
    };
    let gate = Gate::new();
    let answer = Answer::pieces(pieces)
        .with_gap(Duration::from_millis(8))
        .with_halt(piece_after("for line in reader")?, &gate)
        .with_halt(piece_after("*binary* data |\n")?, &gate);
    scene.provider.answer_with(move |_| Some(answer.clone()));
    page.eval(
        "window.__seen = []; new MutationObserver(() => window.__seen.push(document.querySelector('.raw')?.textContent ?? '')) \
         .observe(document.querySelector('#thread'), { childList: true, subtree: true, characterData: true })",
    )
    .await?;
    page.viewport(360, 640).await?;
    say(&page, "Show me").await?;
    // In the middle of the code: a word above it is selected, and the code is scrolled sideways.
    page.wait_for("document.querySelector('.raw pre')?.textContent.includes('for line')")
        .await?;
    picture(&page, "writing-code").await?;
    page.eval(
        "getSelection().selectAllChildren(document.querySelector('.raw strong')); \
         document.querySelector('.raw pre').scrollLeft = 40; \
         window.__nodes = [...document.querySelectorAll('.raw strong, .raw pre, .raw .code button')]",
    )
    .await?;
    gate.open();
    page.wait_for("document.querySelector('.raw td em')").await?;
    picture(&page, "writing-table").await?;
    gate.open();
    page.wait_for(IDLE).await?;
    assert_eq!(page.text("getSelection().toString()").await?, "line by line");
    assert_eq!(
        page.eval("document.querySelector('.body pre').scrollLeft")
            .await?,
        40
    );
    assert_eq!(
        page.eval("window.__nodes.every((one) => one.isConnected)")
            .await?,
        true
    );
    let seen: Vec<String> = serde_json::from_value(page.eval("window.__seen").await?)?;
    assert!(seen.len() > 2, "it grew: {seen:?}");
    // The same by characters, whatever the machine has let be seen.
    let by_character = render(
        &page,
        "const body = document.createElement('div');
         const writing = new Writing(body);
         return [...texts[0]].map((piece) => { writing.add(piece); writing.draw(); return body.textContent; });",
        &[SHOWCASE],
    )
    .await?;
    let by_character: Vec<String> = serde_json::from_value(by_character)?;
    for state in seen.iter().chain(&by_character) {
        // What is read is prose, at no time its marks.
        for mark in ["**", "```", "| -", "###", "](", "> A"] {
            assert!(!state.contains(mark), "{mark} in {state:?}");
        }
    }
    assert_eq!(
        page.text("document.querySelector('#live').innerText")
            .await?
            .matches("Read it")
            .count(),
        1,
        "told once"
    );
    nothing_odd(&page, &scene.server.url("/")).await
}
