//! Providers of the configuration and those the environment names.

use super::*;

#[test]
fn what_the_environment_says_of_a_provider_is_checked_where_it_counts() {
    let vars = [
        ("OPENAI_API_KEY", "sk-…"),
        ("OPENAI_BASE_URL", "user:hush@127.0.0.1:11434/v1"),
        ("OPENAI_MODEL", "a\u{7}b"),
    ];
    let found = faults(from_env(vars));
    let begins = [
        "environment OPENAI_API_KEY: the key has",
        "environment OPENAI_BASE_URL: expected an http",
        "environment OPENAI_MODEL: ",
    ];
    for begin in begins {
        assert!(
            found.iter().any(|fault| fault.starts_with(begin)),
            "{begin} in {found:#?}"
        );
    }
    assert!(found.len() == 3 && !found.concat().contains("hush"), "{found:#?}");
    let file = "[[ai-fabric.providers]]\nid = 'a'\nkind = 'demo'\n";
    load(Some(file), &FixedEnvironment::of(vars), &[]).unwrap();
}

#[test]
fn every_fault_of_a_provider_is_found_where_it_stands() {
    let mut environment = FixedEnvironment::of([("KEY", "k")]);
    environment
        .files
        .insert("/ca.pem".into(), "no certificate".into());
    let text = r#"
[[ai-fabric.providers]]
id = "nameless"
anyModel = true
[[ai-fabric.providers]]
id = "giga"
kind = "gigachat"
scope = "GIGACHAT_API_XXL"
rootCertificate = "/absent.pem"
anyModel = true
[[ai-fabric.providers]]
id = "claude"
kind = "anthropic"
preset = "openai"
contextTokens = 5
rootCertificate = "/ca.pem"
[[ai-fabric.providers]]
id = "yandex"
preset = "yandex"
anyModel = true
[[ai-fabric.providers]]
id = "deep"
preset = "deepseek"
folder = "f"
anyModel = true
[[ai-fabric.providers]]
id = "agent"
kind = "command"
apiKey = { env = "KEY" }
[[ai-fabric.providers]]
id = "compatible"
kind = "openai"
secretHeaders = { "bad header" = { env = "KEY" }, x-token = { env = "ABSENT" } }
models = [{ id = "m", aliases = ["m"] }]
[ai-fabric.fallback]
primaryModel = "m"
fallbacks = ["nobody's"]
"#;
    let found = faults(load(Some(text), &environment, &[]));
    for expected in [
        "providers[0].kind: it is missing; one of openai, anthropic",
        "providers[1].scope: \"GIGACHAT_API_XXL\"; expected one of",
        "providers[1].apiKey: it is missing; GigaChat needs",
        "providers[1].rootCertificate: the file /absent.pem cannot be read",
        "providers[2].preset: it is for kind openai; this one is anthropic",
        "providers[2].contextTokens: it is for kind ollama; this one is anthropic",
        "providers[2]: it has no models",
        "providers[2].rootCertificate: the file /ca.pem holds no certificate in PEM",
        "providers[3].folder: it is missing; the models of yandex belong to a folder",
        "providers[3].apiKey: it is missing; yandex answers nobody without a key",
        "providers[4].folder: preset deepseek has no folders",
        "providers[5].program: it is missing",
        "providers[5].apiKey: it is for kind openai, anthropic, gigachat, ollama; this one is command",
        "providers[6].secretHeaders: \"bad header\" is not a header's name",
        "providers[6].secretHeaders.x-token: the variable ABSENT is not set",
        "providers[6].models[0].aliases: \"m\" is listed twice",
    ] {
        assert!(
            found.iter().any(|fault| fault.contains(expected)),
            "missing: {expected}\nin: {found:#?}"
        );
    }
    // Somebody serves any model here, so the chain has no fault; where nobody does, it has.
    assert!(found.iter().all(|fault| !fault.contains("no provider lists")));
    let closed = "[[ai-fabric.providers]]\nid='p'\nkind='openai'\nmodels=[{id='m',aliases=['n']}]\n\
                  [ai-fabric.fallback]\nprimaryModel='n'\nfallbacks=['p/m','q/m']\n";
    let found = faults(from_file(closed));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].contains("\"q/m\" is a model that no provider lists"),
        "{found:#?}"
    );
}

#[test]
fn what_a_preset_fills_in_is_shown_and_what_is_set_beside_it_is_stronger() {
    let environment = FixedEnvironment::of([("KEY", "k")]);
    let text = "[[ai-fabric.providers]]\nid='p'\npreset='mistral'\napiKey={env='KEY'}\nstreamUsage=true\nanyModel=true\n";
    let loaded = load(Some(text), &environment, &[]).unwrap();
    let value = |path: &str| origin(&loaded, &format!("ai-fabric.providers[0].{path}"));
    assert_eq!(value("baseUrl").0, "\"https://api.mistral.ai/v1\"");
    assert_eq!(value("kind").0, "\"openai\"");
    assert_eq!(value("streamUsage"), ("true".into(), "file 5:13".into()));
    // Only who names a model gets an answer here, and that is said.
    assert!(
        loaded
            .notices
            .iter()
            .any(|notice| notice.to_string().contains("only callers who name a model"))
    );
}

#[test]
fn the_first_provider_of_the_environment_is_taken() {
    let all = [
        ("ANTHROPIC_API_KEY", "k1"),
        ("OPENAI_API_KEY", "k2"),
        ("GIGACHAT_CREDENTIALS", "k3"),
        ("YANDEX_API_KEY", "k4"),
        ("YANDEX_FOLDER_ID", "f"),
        ("OLLAMA_HOST", "box"),
    ];
    let found = |skip: usize| {
        let mut environment = FixedEnvironment::default();
        for (name, value) in all.iter().skip(skip) {
            environment.vars.insert((*name).into(), (*value).into());
        }
        match load(None, &environment, &[]).unwrap().found {
            FoundProvider::Known(found) => found.by.to_owned(),
            FoundProvider::Ollama { base_url, .. } => base_url,
            FoundProvider::Nothing => String::new(),
        }
    };
    let order: Vec<String> = [0, 1, 2, 3, 5, 6].into_iter().map(found).collect();
    assert_eq!(
        order,
        [
            "ANTHROPIC_API_KEY",
            "OPENAI_API_KEY",
            "GIGACHAT_CREDENTIALS",
            "YANDEX_API_KEY",
            "http://box:11434",
            ""
        ]
    );
    // A configured provider is stronger than all of them, and their faults are nobody's then.
    let environment = FixedEnvironment::of([("ANTHROPIC_API_KEY_FILE", "/absent")]);
    let demo = "[[ai-fabric.providers]]\nid='d'\nkind='demo'\n";
    let loaded = load(Some(demo), &environment, &[]).unwrap();
    assert!(matches!(loaded.found, FoundProvider::Nothing));
    let alone = faults(load(None, &environment, &[]));
    assert!(alone[0].contains("/absent cannot be read"), "{alone:#?}");
}
