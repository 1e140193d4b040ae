//! Marked ranges of a text as the Bot API writes them.

use openclaw_bot_http::{Entity, EntityKind, Rendered};
use serde::Serializer;
use serde::ser::SerializeSeq;
use serde_json::json;

/// Telegram drops what goes beyond about so many.
const MAX_ENTITIES: usize = 100;

/// Renders Markdown. What cannot be rendered within the length of its source comes back as it stands.
pub fn render_markdown(source: &str) -> Rendered {
    cut(openclaw_bot_http::render_markdown(source))
}

/// Renders Markdown that goes on. Like [`render_markdown`], never longer than its source.
pub fn render_unfinished(source: &str) -> Rendered {
    cut(openclaw_bot_http::render_unfinished(source))
}

fn cut(mut rendered: Rendered) -> Rendered {
    rendered.entities.truncate(MAX_ENTITIES);
    rendered
}

/// For `serialize_with`: the wire's form.
pub(crate) fn serialize<S: Serializer>(entities: &[Entity], serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(entities.len()))?;
    for entity in entities {
        let kind = match &entity.kind {
            EntityKind::Bold => "bold",
            EntityKind::Italic => "italic",
            EntityKind::Strikethrough => "strikethrough",
            EntityKind::Code => "code",
            EntityKind::Pre { .. } => "pre",
            EntityKind::Blockquote => "blockquote",
            EntityKind::TextLink { .. } => "text_link",
        };
        let mut object = json!({ "type": kind, "offset": entity.offset, "length": entity.length });
        match &entity.kind {
            EntityKind::Pre {
                language: Some(language),
            } => object["language"] = language.as_str().into(),
            EntityKind::TextLink { url } => object["url"] = url.as_str().into(),
            EntityKind::Bold
            | EntityKind::Italic
            | EntityKind::Strikethrough
            | EntityKind::Code
            | EntityKind::Pre { language: None }
            | EntityKind::Blockquote => {}
        }
        list.serialize_element(&object)?;
    }
    list.end()
}
