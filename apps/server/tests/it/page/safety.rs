//! What a model writes does nothing, and a chat is its visitor's alone.

use super::{IDLE, Scene, converse, nothing_odd, picture};
use anyhow::Result;

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
            "[...new Set([...document.querySelectorAll('.answer .body *')].map((one) => one.localName))].sort()",
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
        page.eval("[...new Set([...document.querySelectorAll('.answer .body *')].flatMap((one) => one.getAttributeNames()))]").await?,
    )?;
    for name in &attributes {
        assert!(
            [
                "class", "href", "lang", "rel", "target", "title", "type", "data-t"
            ]
            .contains(&name.as_str()),
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
