//! Answers of OpenAI-compatible providers, streamed and in one piece.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openclaw_core::ModelEvent;
use openclaw_fuzz::check_answer;
use openclaw_openai::fuzzing::{answer, whole_answer};

fuzz_target!(|data: &[u8]| {
    check_answer(data, answer);
    if let Ok(body) = std::str::from_utf8(data)
        && let Ok(events) = whole_answer(body)
    {
        assert!(events.iter().any(|event| matches!(event, ModelEvent::Stop(_))));
    }
});
