//! Answers of Claude.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openclaw_anthropic::fuzzing::answer;
use openclaw_fuzz::check_answer;

fuzz_target!(|data: &[u8]| check_answer(data, answer));
