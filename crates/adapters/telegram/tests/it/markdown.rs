//! What is Telegram's own about marked ranges; what they are is tested where they are made.

use openclaw_telegram::render_markdown;

#[test]
fn a_flood_of_entities_is_cut() {
    let source = "**b** ".repeat(500);
    assert_eq!(render_markdown(&source).entities.len(), 100);
}
