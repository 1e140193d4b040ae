//! How many tokens a text will cost, before its provider says so.
//!
//! Characters are counted by script: about 4.5 to a token for Latin prose, 3.4 for code, 2.2 for Cyrillic, 1 for CJK.
//! Four for everything would overspend by half in Russian. What a model reports corrects its later estimates by a
//! learned factor. Nothing is rounded before the end: a text counted in pieces counts as the whole does.

use crate::chat::{ChatRequest, is_image};
use openclaw_core::{ChatMessage, ContentBlock, ModelId};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tokens a chat template adds to each message.
const PER_MESSAGE: u64 = 4;
/// Tokens a chat template adds to each request.
const PER_REQUEST: u64 = 3;
/// What an image is taken to cost; its real price depends on the provider and on its size.
const PER_IMAGE: u64 = 1_000;
/// Parameters that steer or name a call and that no model reads.
const UNREAD_BY_MODELS: [&str; 4] = ["logit_bias", "stop", "prompt_cache_key", "safety_identifier"];
/// How much of a new observation goes into the learned factor.
const LEARNING_RATE: f64 = 0.2;
/// A factor outside of this range is a mistake of somebody's.
const FACTOR_RANGE: (f64, f64) = (0.25, 4.0);
/// Estimates below this say nothing of a model: the template outweighs the text.
const LEAST_LEARNED: u64 = 32;
/// Models whose factors are kept; at the bound the one learned longest ago is forgotten.
const MAX_LEARNED: usize = 1_024;
/// The share of code-like characters at which a text counts as prose, and as code.
const CODE_SHARE: (f64, f64) = (0.04, 0.14);

/// How many tokens a text costs, about. An empty text costs none, any other at least one.
pub fn estimate_tokens(text: &str) -> u64 {
    let mut meter = TextMeter::default();
    meter.add(text);
    meter.tokens()
}

/// Counts a text that comes in pieces. The same text gives the same count however it is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextMeter {
    ascii: u64,
    /// Of `ascii`: characters that are frequent in code and rare in prose.
    code: u64,
    cyrillic: u64,
    cjk: u64,
    other: u64,
    last: Script,
}

/// What a character counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Script {
    #[default]
    Ascii,
    Cyrillic,
    Cjk,
    Other,
}

/// Estimates requests, and learns from what models report. Shared by all requests.
#[derive(Debug, Default)]
pub struct Estimator {
    /// Guards the factors; held for one look or one change.
    learned: Mutex<HashMap<ModelId, Learned>>,
    /// Grows with every observation, to know the oldest.
    ticks: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Learned {
    factor: f64,
    tick: u64,
}

// === impl TextMeter ===

impl TextMeter {
    /// Counts one more piece.
    pub fn add(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                'a'..='z' | 'A'..='Z' => self.count(Script::Ascii),
                // Spaces and punctuation belong to the words around them: a tokenizer joins them.
                ' ' | ',' | '.' | '!' | '?' | '-' | '\'' => match self.last {
                    Script::Cyrillic => self.cyrillic += 1,
                    Script::Ascii | Script::Cjk | Script::Other => self.ascii += 1,
                },
                '\0'..='\x7f' => {
                    self.ascii += 1;
                    self.code += 1;
                }
                '\u{0400}'..='\u{052F}' => self.count(Script::Cyrillic),
                '\u{1100}'..='\u{11FF}'
                | '\u{2E80}'..='\u{9FFF}'
                | '\u{A960}'..='\u{A97F}'
                | '\u{AC00}'..='\u{D7FF}'
                | '\u{F900}'..='\u{FAFF}'
                | '\u{FF00}'..='\u{FFEF}'
                | '\u{10000}'.. => self.count(Script::Cjk),
                _ => self.count(Script::Other),
            }
        }
    }

    /// What it comes to.
    pub fn tokens(&self) -> u64 {
        let exact = self.ascii as f64 / self.ascii_per_token()
            + self.cyrillic as f64 / 2.2
            + self.cjk as f64
            + self.other as f64 / 2.2;
        exact.ceil() as u64
    }

    fn count(&mut self, script: Script) {
        self.last = script;
        match script {
            Script::Ascii => self.ascii += 1,
            Script::Cyrillic => self.cyrillic += 1,
            Script::Cjk => self.cjk += 1,
            Script::Other => self.other += 1,
        }
    }

    /// Between prose and code by the share of characters that are code's.
    fn ascii_per_token(&self) -> f64 {
        let share = self.code as f64 / self.ascii.max(1) as f64;
        let (prose, code) = CODE_SHARE;
        let position = ((share - prose) / (code - prose)).clamp(0.0, 1.0);
        4.5 - position * (4.5 - 3.4)
    }
}

// === impl Estimator ===

impl Estimator {
    /// Has learned nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a request will cost this model, before its answer.
    pub fn request(&self, model: &ModelId, request: &ChatRequest) -> u64 {
        self.adjust(model, raw_request_tokens(request))
    }

    /// What a text costs this model.
    pub fn text(&self, model: &ModelId, text: &str) -> u64 {
        self.adjust(model, estimate_tokens(text))
    }

    /// Applies what was learned of a model to an estimate made without it.
    pub fn adjust(&self, model: &ModelId, raw: u64) -> u64 {
        (raw as f64 * self.factor(model)).ceil() as u64
    }

    /// The model's factor: what it reports divided by what was estimated; 1 until it is known.
    pub fn factor(&self, model: &ModelId) -> f64 {
        self.learned
            .lock()
            .get(model)
            .map_or(1.0, |learned| learned.factor)
    }

    /// Learns from a report. `raw` is the estimate without the factor; reports of short requests and of zero say
    /// nothing and are passed over.
    pub fn learn(&self, model: &ModelId, raw: u64, reported: u64) {
        if raw < LEAST_LEARNED || reported == 0 {
            return;
        }
        let (low, high) = FACTOR_RANGE;
        let observed = (reported as f64 / raw as f64).clamp(low, high);
        let tick = self.ticks.fetch_add(1, Ordering::Relaxed);
        let mut learned = self.learned.lock();
        if let Some(known) = learned.get_mut(model) {
            known.factor += LEARNING_RATE * (observed - known.factor);
            known.tick = tick;
            return;
        }
        if learned.len() >= MAX_LEARNED {
            let oldest = learned
                .iter()
                .min_by_key(|(_, known)| known.tick)
                .map(|(id, _)| id.clone());
            if let Some(oldest) = oldest {
                learned.remove(&oldest);
            }
        }
        learned.insert(
            model.clone(),
            Learned {
                factor: observed,
                tick,
            },
        );
    }
}

/// What a request costs before its answer, without anything learned: texts, tool schemas, images, and what the chat
/// template adds.
pub fn raw_request_tokens(request: &ChatRequest) -> u64 {
    let mut meter = TextMeter::default();
    let mut fixed = PER_REQUEST;
    for message in &request.messages {
        fixed = fixed
            .saturating_add(PER_MESSAGE)
            .saturating_add(message_parts(message, &mut meter));
    }
    for tool in &request.tools {
        fixed = fixed.saturating_add(PER_MESSAGE);
        meter.add(&tool.name);
        meter.add(tool.description.as_deref().unwrap_or_default());
        if let Some(parameters) = &tool.parameters {
            fixed = fixed.saturating_add(json_tokens(parameters));
        }
    }
    // A schema, a prediction, arguments of the template: whatever a caller passes on may come to stand in the prompt.
    for (name, value) in &request.parameters {
        let is_text = value.is_string() || value.is_array() || value.is_object();
        if is_text && !UNREAD_BY_MODELS.contains(&name.as_str()) {
            fixed = fixed.saturating_add(json_tokens(value));
        }
    }
    fixed.saturating_add(meter.tokens())
}

/// Adds the texts to the meter and returns what does not depend on texts.
fn message_parts(message: &ChatMessage, meter: &mut TextMeter) -> u64 {
    let mut fixed: u64 = 0;
    for block in &message.content {
        match block {
            ContentBlock::Text { text } => meter.add(text),
            ContentBlock::ToolUse { name, arguments, .. } => {
                meter.add(name);
                meter.add(arguments);
            }
            ContentBlock::ToolResult { content, .. } => meter.add(content),
            ContentBlock::Other { .. } if is_image(block) => fixed = fixed.saturating_add(PER_IMAGE),
            ContentBlock::Other { value } => fixed = fixed.saturating_add(json_tokens(value)),
        }
    }
    fixed
}

fn json_tokens(value: &Value) -> u64 {
    estimate_tokens(&value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_core::Role;
    use proptest::prelude::*;

    fn model(name: &str) -> ModelId {
        name.parse().unwrap()
    }

    #[track_caller]
    fn per_token(text: &str, low: f64, high: f64) {
        let ratio = text.chars().count() as f64 / estimate_tokens(text) as f64;
        assert!((low..=high).contains(&ratio), "{ratio} characters a token");
    }

    #[test]
    fn what_a_caller_passes_on_for_the_model_to_read_is_not_free() {
        let long = "word ".repeat(1_000);
        let tokens = |name: &str, value: Value| {
            let mut request = ChatRequest::new(vec![ChatMessage::text(Role::User, "hello")], 1);
            request.parameters.insert(name.to_owned(), value);
            raw_request_tokens(&request)
        };
        let plain = tokens("temperature", Value::from(0.5));
        for (name, value) in [
            (
                "response_format",
                serde_json::json!({ "json_schema": { "description": long } }),
            ),
            (
                "prediction",
                serde_json::json!({ "type": "content", "content": long }),
            ),
            ("chat_template_kwargs", serde_json::json!([long])),
            ("of_a_later_version", serde_json::json!(long)),
        ] {
            assert!(tokens(name, value) > plain + 1_000, "{name}");
        }
        assert_eq!(tokens("stop", serde_json::json!([long])), plain);
    }

    #[test]
    fn each_script_has_its_own_rate() {
        let prose =
            "The quick brown fox jumps over the lazy dog and runs away into the dark forest. ".repeat(10);
        let russian = "Съешь же ещё этих мягких французских булок, да выпей чаю. ".repeat(10);
        let code = "fn main() { let x: u64 = a[3] + b(7); println!(\"{x}\"); }\n".repeat(10);
        let chinese = "我能吞下玻璃而不伤身体".repeat(10);
        per_token(&prose, 4.4, 4.6);
        per_token(&russian, 2.1, 2.3);
        per_token(&code, 3.3, 3.6);
        per_token(&chinese, 0.99, 1.01);
    }

    #[test]
    fn ten_deltas_of_one_character_do_not_count_ten_tokens() {
        let mut meter = TextMeter::default();
        for _ in 0..10 {
            meter.add("a");
        }
        assert_eq!(meter.tokens(), 3);
        assert_eq!(estimate_tokens(""), 0);
    }

    #[test]
    fn an_estimate_approaches_what_the_model_reports() {
        let estimator = Estimator::new();
        let request = ChatRequest::new(
            vec![ChatMessage::text(Role::User, "Привет, мир. ".repeat(100))],
            100,
        );
        let raw = raw_request_tokens(&request);
        estimator.learn(&model("m"), raw, raw / 2);
        assert_eq!(estimator.factor(&model("m")), (raw / 2) as f64 / raw as f64);
        for _ in 0..50 {
            estimator.learn(&model("m"), raw, raw * 2);
        }
        assert!((estimator.factor(&model("m")) - 2.0).abs() < 0.01);
        assert!(estimator.request(&model("m"), &request).abs_diff(raw * 2) < raw / 50);
        assert_eq!(estimator.request(&model("other"), &request), raw);
    }

    #[test]
    fn an_absurd_report_moves_the_factor_only_so_far() {
        let estimator = Estimator::new();
        estimator.learn(&model("m"), 100, u64::MAX);
        assert_eq!(estimator.factor(&model("m")), 4.0);
        estimator.learn(&model("zero"), 100, 0);
        assert_eq!(estimator.factor(&model("zero")), 1.0);
    }

    #[test]
    fn the_model_learned_longest_ago_is_forgotten() {
        let estimator = Estimator::new();
        for number in 0..=MAX_LEARNED {
            estimator.learn(&model(&format!("m{number}")), 100, 200);
        }
        assert_eq!(estimator.learned.lock().len(), MAX_LEARNED);
        assert_eq!(estimator.factor(&model("m0")), 1.0);
        assert_eq!(estimator.factor(&model("m1")), 2.0);
    }

    proptest! {
        #[test]
        fn however_a_text_is_cut_it_counts_the_same(text in "[a-zа-я中文 {}0-9.é]{0,80}", cuts in proptest::collection::vec(0_usize..80, 0..6)) {
            let characters: Vec<char> = text.chars().collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(characters.len())).collect();
            cuts.extend([0, characters.len()]);
            cuts.sort_unstable();
            let mut meter = TextMeter::default();
            for pair in cuts.windows(2) {
                meter.add(&characters[pair[0]..pair[1]].iter().collect::<String>());
            }
            prop_assert_eq!(meter.tokens(), estimate_tokens(&text));
        }

        #[test]
        fn a_longer_text_of_one_script_never_costs_less(words in 0_usize..50) {
            let text = "слово ".repeat(words);
            let longer = "слово ".repeat(words + 1);
            prop_assert!(estimate_tokens(&text) <= estimate_tokens(&longer));
        }
    }
}
