//! Answers of GigaChat.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openclaw_fuzz::check_answer;
use openclaw_gigachat::fuzzing::answer;

fuzz_target!(|data: &[u8]| check_answer(data, answer));
