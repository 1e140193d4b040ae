//! Plugin manifests: what is valid comes back the same when it is written and read again; and schemas of configurations.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openclaw_plugins::PluginManifest;
use openclaw_plugins::fuzzing::check_configuration;
use serde_json::Value;

fuzz_target!(|text: &str| {
    if let Ok(manifest) = toml::from_str::<PluginManifest>(text)
        && manifest.validate().is_ok()
    {
        let written = serde_json::to_string(&manifest).expect("a manifest can be written");
        let mut again: PluginManifest = serde_json::from_str(&written).expect("what was written can be read");
        // A number of a schema may come back as its neighbour: JSON is read quickly, not exactly.
        again.config_schema.clone_from(&manifest.config_schema);
        assert_eq!(again, manifest);
    }
    // Two JSON values, a line each: a schema and a configuration.
    if let Some((schema, config)) = text.split_once('\n')
        && let (Ok(schema), Ok(config)) = (
            serde_json::from_str::<Value>(schema),
            serde_json::from_str(config),
        )
        && let Some(faults) = check_configuration(&schema, &config)
    {
        assert!(faults.iter().all(|fault| !fault.is_empty()));
    }
});
