//! What a person thinks of an answer.

use super::{IDLE, Scene, converse, nothing_odd, picture, say};
use anyhow::Result;
use serde_json::json;

/// Which of an answer's two buttons is pressed.
const PRESSED: &str = "[...document.querySelectorAll('.rate button')].map((one) => one.ariaPressed)";

#[tokio::test]
async fn an_answer_is_rated_by_keyboard_once_and_the_opinion_can_be_changed() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let page = scene.visitor().await?;
    let hold = scene.provider.hold();
    say(&page, "Hello").await?;
    page.wait_for("document.querySelector('.dots')").await?;
    assert_eq!(
        page.eval(PRESSED).await?,
        json!([]),
        "there is nothing to rate yet"
    );
    drop(hold);
    page.wait_for(IDLE).await?;
    assert_eq!(page.eval(PRESSED).await?, json!(["false", "false"]));
    for name in ["Helpful", "Not helpful"] {
        let button = ("button".to_owned(), name.to_owned());
        assert!(page.accessibility().await?.contains(&button), "{name}");
    }

    page.eval("document.querySelector('.rate button').focus()")
        .await?;
    page.press("Enter").await?;
    page.wait_for(&format!("{PRESSED}.join() === 'true,false'"))
        .await?;
    assert_eq!(
        page.text("document.querySelector('#live').innerText").await?,
        "Thank you."
    );
    // To the other one, and a few words behind it.
    page.press("Tab").await?;
    page.press("Enter").await?;
    page.wait_for(&format!("{PRESSED}.join() === 'false,true'"))
        .await?;
    page.press("Tab").await?;
    assert_eq!(
        page.text("document.activeElement.ariaLabel").await?,
        "Why? Enter sends it"
    );
    page.type_text("Too short").await?;
    picture(&page, "rating").await?;
    page.press("Enter").await?;
    page.wait_for("document.querySelector('.rate input').hidden")
        .await?;
    assert_eq!(
        page.text("document.activeElement.textContent").await?,
        "Not helpful",
        "the focus stays near"
    );

    page.reload().await?;
    page.wait_for(IDLE).await?;
    assert_eq!(page.eval(PRESSED).await?, json!(["false", "true"]));
    assert_eq!(
        page.text("document.querySelector('.rate input').value").await?,
        "Too short"
    );
    // What is no answer of a model is not rated.
    converse(&page, "/help").await?;
    assert_eq!(page.eval(PRESSED).await?, json!(["false", "true"]));
    nothing_odd(&page, &scene.server.url("/")).await
}
