//! The pictures of the chat page in the READMEs. Nothing is tested here: whoever changes how the page looks takes them anew
//! (CONTRIBUTING.md has the command), looks at them and commits them.

use super::{Scene, converse};
use anyhow::Result;
use serde_json::json;
use std::path::Path;

/// The most a picture may weigh.
const MAX_BYTES: usize = 120_000;

/// What is asked and answered: language, question, answer.
const PICTURES: [(&str, &str, &str); 2] = [
    (
        "en",
        "How do I give every customer an assistant of their own?",
        "Each chat is a **tenant** with a budget, a queue and a memory of its own. Three steps:\n\n\
         1. Start the server: it needs no key and no file.\n\
         2. Name a model, or several to fall back on.\n\
         3. Give out the link, a Telegram bot or a key of the API.\n\n\
         ```sh\nOPENAI_API_KEY=sk-… openclaw serve\n```",
    ),
    (
        "ru",
        "Как дать каждому клиенту собственного помощника?",
        "Каждый чат — **тенант** с собственными бюджетом, очередью и памятью. Три шага:\n\n\
         1. Запустите сервер: ему не нужны ни ключ, ни файл.\n\
         2. Назовите модель или несколько, на случай отказа.\n\
         3. Раздайте ссылку, бота в Telegram или ключ API.\n\n\
         ```sh\nOPENAI_API_KEY=sk-… openclaw serve\n```",
    ),
];

#[tokio::test]
#[ignore = "writes docs/pictures"]
async fn pictures() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pictures");
    std::fs::create_dir_all(&directory)?;
    for (language, question, answer) in PICTURES {
        scene.answers(answer);
        let page = scene.browser.visitor().await?;
        page.speaks(language).await?;
        // Sharper than it is large.
        let metrics = json!({ "width": 720, "height": 620, "deviceScaleFactor": 1.5, "mobile": false });
        page.ask("Emulation.setDeviceMetricsOverride", metrics).await?;
        page.prefers(&[("prefers-color-scheme", "light")]).await?;
        page.open(&scene.server.url("/")).await?;
        converse(&page, question).await?;
        // A caret is there or not, by the moment.
        page.eval("document.activeElement.blur()").await?;
        page.eval("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            .await?;
        let picture = page.picture().await?;
        std::fs::write(directory.join(format!("chat.{language}.png")), &picture)?;
        assert!(picture.len() < MAX_BYTES, "{language}: {} bytes", picture.len());
    }
    Ok(())
}
