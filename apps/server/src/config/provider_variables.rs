//! The variables that name a provider for a configuration without one, as `config explain` explains them: what each does
//! and whether it is set. A value is never shown: most of them are secrets, and an address may hold one.

use super::environment::Environment;
use super::variable;
use crate::texts::Texts;
use std::fmt::Write as _;

/// A variable and what it does.
struct ProviderVariable {
    name: &'static str,
    /// The provider it belongs to, by the id that it gets.
    provider: &'static str,
    /// In English and Russian.
    doc: [&'static str; 2],
    /// Whether `…_FILE` may name a file that holds it.
    secret: bool,
}

const fn plain(name: &'static str, provider: &'static str, doc: [&'static str; 2]) -> ProviderVariable {
    ProviderVariable {
        name,
        provider,
        doc,
        secret: false,
    }
}

const fn secret(name: &'static str, provider: &'static str, doc: [&'static str; 2]) -> ProviderVariable {
    ProviderVariable {
        secret: true,
        ..plain(name, provider, doc)
    }
}

/// In the order in which they are looked for.
const VARIABLES: &[ProviderVariable] = &[
    secret(
        "ANTHROPIC_API_KEY",
        "anthropic",
        [
            "The key of Anthropic. Makes the provider.",
            "Ключ Anthropic. Создаёт провайдера.",
        ],
    ),
    plain(
        "ANTHROPIC_BASE_URL",
        "anthropic",
        [
            "Where its API is, where not at Anthropic itself.",
            "Где его API, если не у самой Anthropic.",
        ],
    ),
    plain(
        "ANTHROPIC_MODEL",
        "anthropic",
        [
            "The model that requests get which name none.",
            "Модель для запросов, которые её не называют.",
        ],
    ),
    secret(
        "OPENAI_API_KEY",
        "openai",
        [
            "The key of OpenAI, or of who speaks its protocol. Makes the provider.",
            "Ключ OpenAI или того, кто говорит на её протоколе. Создаёт провайдера.",
        ],
    ),
    plain(
        "OPENAI_BASE_URL",
        "openai",
        [
            "Where the API is, where not at OpenAI itself. Makes the provider, also without a key.",
            "Где API, если не у самой OpenAI. Создаёт провайдера и без ключа.",
        ],
    ),
    plain(
        "OPENAI_MODEL",
        "openai",
        [
            "The model that requests get which name none.",
            "Модель для запросов, которые её не называют.",
        ],
    ),
    secret(
        "GIGACHAT_CREDENTIALS",
        "gigachat",
        [
            "The authorization key of a GigaChat project. Makes the provider.",
            "Ключ авторизации проекта GigaChat. Создаёт провайдера.",
        ],
    ),
    plain(
        "GIGACHAT_SCOPE",
        "gigachat",
        [
            "GIGACHAT_API_PERS, GIGACHAT_API_B2B or GIGACHAT_API_CORP.",
            "GIGACHAT_API_PERS, GIGACHAT_API_B2B или GIGACHAT_API_CORP.",
        ],
    ),
    plain(
        "GIGACHAT_BASE_URL",
        "gigachat",
        ["Where its API is.", "Где его API."],
    ),
    plain(
        "GIGACHAT_AUTH_URL",
        "gigachat",
        ["Where its tokens are fetched.", "Где берутся его токены."],
    ),
    plain(
        "GIGACHAT_CA_BUNDLE_FILE",
        "gigachat",
        [
            "A file of certificates to trust for it.",
            "Файл с сертификатами, которым для него доверять.",
        ],
    ),
    plain(
        "GIGACHAT_MODEL",
        "gigachat",
        [
            "The model that requests get which name none.",
            "Модель для запросов, которые её не называют.",
        ],
    ),
    secret(
        "YANDEX_API_KEY",
        "yandex",
        [
            "The key of Yandex Cloud. Makes the provider together with YANDEX_FOLDER_ID.",
            "Ключ Yandex Cloud. Создаёт провайдера вместе с YANDEX_FOLDER_ID.",
        ],
    ),
    plain(
        "YANDEX_FOLDER_ID",
        "yandex",
        [
            "The folder that the models belong to.",
            "Каталог, которому принадлежат модели.",
        ],
    ),
    plain(
        "YC_FOLDER_ID",
        "yandex",
        [
            "The same as YANDEX_FOLDER_ID, which comes first.",
            "То же, что YANDEX_FOLDER_ID; та важнее.",
        ],
    ),
    plain("YANDEX_BASE_URL", "yandex", ["Where its API is.", "Где его API."]),
    plain(
        "YANDEX_MODEL",
        "yandex",
        [
            "The model that requests get which name none.",
            "Модель для запросов, которые её не называют.",
        ],
    ),
    plain(
        "OLLAMA_HOST",
        "ollama",
        [
            "Where an Ollama is. Makes the provider.",
            "Где Ollama. Создаёт провайдера.",
        ],
    ),
    plain(
        "OLLAMA_MODEL",
        "ollama",
        [
            "The model that requests get which name none.",
            "Модель для запросов, которые её не называют.",
        ],
    ),
];

/// Explains such a variable, also under the name of its file; `None` for every other name.
pub(crate) fn explain(environment: &dyn Environment, typed: &str, texts: Texts) -> Option<String> {
    let typed = typed.trim();
    let known = VARIABLES.iter().find(|known| {
        known.name == typed || (known.secret && typed.strip_suffix("_FILE") == Some(known.name))
    })?;
    let names = if known.secret {
        vec![known.name.to_owned(), format!("{}_FILE", known.name)]
    } else {
        vec![known.name.to_owned()]
    };
    let set: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| variable(environment, name).is_some())
        .collect();
    let set = if set.is_empty() {
        texts.explain_not_set()
    } else {
        let names = match set.as_slice() {
            [one, other] => texts.both_names(one, other),
            names => names.concat(),
        };
        texts.explain_is_set(&names)
    };
    let mut out = format!("{}\n  {}\n\n", known.name, texts.one_of(known.doc));
    let mut line = |name: String, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {name:<12} {value}");
    };
    line(texts.explain_provider(), &texts.explain_makes(known.provider));
    line(texts.explain_set(), &set);
    line(texts.explain_environment(), &names.join(", "));
    line(texts.explain_change(), &texts.explain_restart());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::super::environment::FixedEnvironment;
    use super::*;

    #[test]
    fn a_variable_tells_what_it_makes_and_whether_it_is_set_and_never_its_value() {
        let environment = FixedEnvironment::of([
            ("OPENAI_API_KEY", "hush"),
            ("OPENAI_BASE_URL", "http://me:hush@host/v1"),
            ("YANDEX_API_KEY_FILE", "/hush"),
        ]);
        let said =
            |name: &str| explain(&environment, name, Texts::default()).unwrap_or_else(|| panic!("{name}"));
        for (name, words) in [
            ("OPENAI_API_KEY", "set          yes, by OPENAI_API_KEY;"),
            ("OPENAI_API_KEY_FILE", "set          yes, by OPENAI_API_KEY;"),
            ("OPENAI_BASE_URL", "provider     openai, while"),
            ("YANDEX_API_KEY", "set          yes, by YANDEX_API_KEY_FILE;"),
            ("ANTHROPIC_MODEL", "set          no\n"),
            ("OLLAMA_HOST", "Makes the provider."),
            (
                "GIGACHAT_CREDENTIALS",
                "environment  GIGACHAT_CREDENTIALS, GIGACHAT_CREDENTIALS_FILE\n",
            ),
        ] {
            let text = said(name);
            assert!(text.contains(words), "{name}: {words:?} in\n{text}");
            assert!(!text.contains("hush"), "{text}");
        }
        for other in ["OPENAI_MODEL_FILE", "PORT", "openai"] {
            assert_eq!(explain(&environment, other, Texts::default()), None, "{other}");
        }
    }

    #[test]
    fn every_variable_that_makes_or_shapes_a_provider_is_explained() {
        let read = include_str!("found.rs");
        let quoted = read.split('"').filter(|word| {
            word.contains('_')
                && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
                && !word.starts_with("GIGACHAT_API_")
        });
        for name in quoted {
            let known = VARIABLES.iter().any(|known| known.name == name);
            assert!(known, "{name} is read and not explained");
        }
    }
}
