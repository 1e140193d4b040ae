//! Requests of `/v1/chat/completions`: accepted with what they need, or refused in OpenAI's form.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openclaw::fuzzing::chat_completion;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    match chat_completion(body) {
        Ok(request) => {
            assert!(request.messages > 0 && !request.model.is_empty());
            assert!(request.tools <= 128);
            assert!(request.parameters.values().all(|value| !value.is_null()));
        }
        Err((status, refusal)) => {
            assert_eq!(status, 400);
            let refusal: Value = serde_json::from_slice(&refusal).expect("a refusal is JSON");
            let error = &refusal["error"];
            assert_eq!(error["type"], "invalid_request_error");
            assert!(
                error["message"]
                    .as_str()
                    .is_some_and(|message| !message.is_empty())
            );
            assert!(
                error["param"].is_null() || error["param"].as_str().is_some_and(|param| !param.is_empty())
            );
            assert!(
                ["invalid_request", "unsupported_parameter"]
                    .contains(&error["code"].as_str().unwrap_or_default())
            );
        }
    }
});
