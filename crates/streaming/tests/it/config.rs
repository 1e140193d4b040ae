//! Settings: what holds for which platform, and what is refused.

use openclaw_core::Platform;
use openclaw_streaming::{StreamConfig, StreamingOptions};
use std::time::Duration;

fn parse(json: &str) -> StreamingOptions {
    serde_json::from_str(json).expect("valid options")
}

#[track_caller]
fn check(config: StreamConfig, tokens: u64, flush: u64, length: Option<usize>, typing: Option<u64>) {
    assert_eq!(config.flush_token_threshold, tokens);
    assert_eq!(config.flush_timeout, Duration::from_millis(flush));
    assert_eq!(config.max_message_length, length);
    assert_eq!(
        config.typing_indicator_interval,
        typing.map(Duration::from_millis)
    );
}

#[test]
fn built_in_values_are_those_of_the_manual() {
    check(StreamConfig::default(), 50, 500, Some(4_096), Some(4_000));
    for platform in [Platform::Telegram, Platform::Max] {
        check(
            StreamConfig::for_platform(platform),
            50,
            500,
            Some(4_096),
            Some(4_000),
        );
    }
    check(
        StreamConfig::for_platform(Platform::Web),
        20,
        200,
        None,
        Some(4_000),
    );
    check(StreamConfig::for_platform(Platform::Api), 50, 500, None, None);
}

#[test]
fn a_general_value_gives_way_to_what_is_particular_to_a_platform() {
    let options = parse(
        r#"{"flushTokenThreshold": 30, "maxMessageLength": 1000, "typingIndicatorIntervalMs": 2000,
            "max": {"maxMessageLength": 3000}, "web": {"flushTimeoutMs": 100}, "api": {"typingIndicatorIntervalMs": 5000}}"#,
    );
    check(
        options.resolve(Platform::Telegram).unwrap(),
        30,
        500,
        Some(1_000),
        Some(2_000),
    );
    check(
        options.resolve(Platform::Max).unwrap(),
        30,
        500,
        Some(3_000),
        Some(2_000),
    );
    check(
        options.resolve(Platform::Web).unwrap(),
        20,
        100,
        None,
        Some(2_000),
    );
    check(
        options.resolve(Platform::Api).unwrap(),
        30,
        500,
        None,
        Some(5_000),
    );
}

#[test]
fn zero_is_unlimited_and_off() {
    let options = parse(r#"{"maxMessageLength": 0, "typingIndicatorIntervalMs": 0}"#);
    check(options.resolve(Platform::Telegram).unwrap(), 50, 500, None, None);
}

#[test]
fn all_faults_are_reported_with_the_names_of_the_file() {
    let options = parse(
        r#"{"flushTokenThreshold": 0, "flushTimeoutMs": 0,
            "telegram": {"maxMessageLength": 63, "typingIndicatorIntervalMs": 499}, "web": {"flushTimeoutMs": 0}}"#,
    );
    let error = options.resolve(Platform::Telegram).unwrap_err();
    let fields: Vec<_> = error
        .violations
        .iter()
        .map(|fault| fault.field.as_str())
        .collect();
    assert_eq!(
        fields,
        [
            "streaming.flushTokenThreshold",
            "streaming.flushTimeoutMs",
            "streaming.telegram.maxMessageLength",
            "streaming.telegram.typingIndicatorIntervalMs"
        ]
    );
}

#[test]
fn a_misspelt_field_is_refused() {
    assert!(serde_json::from_str::<StreamingOptions>(r#"{"flushTimeout": 5}"#).is_err());
    assert!(serde_json::from_str::<StreamingOptions>(r#"{"web": {"flushTimeout": 5}}"#).is_err());
}
