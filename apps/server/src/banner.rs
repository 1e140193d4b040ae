//! What the server says on the terminal when it is ready: what is on, what is off and why, and where to go next.

use crate::bots::Intake;
use crate::client::{printable, reachable};
use crate::config::unused::UnusedVariable;
use crate::serve::CONFIG_FILE;
use crate::wire::ModelReason;
use openclaw_core::Language;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Models that are named on the line.
const SHOWN_MODELS: usize = 4;

/// Where the configuration came from, beside environment and flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ConfigSource {
    /// This file.
    File(PathBuf),
    /// No file.
    None,
    /// No file, though one of that name lies in the directory the server was started in.
    NotTheOneHere,
}

/// What there is to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) config: &'a ConfigSource,
    pub(crate) data_dir: &'a Path,
    /// Whether this start made the data directory's keys.
    pub(crate) is_new: bool,
    pub(crate) storage: &'a str,
    pub(crate) models: &'a [String],
    pub(crate) why: ModelReason,
    /// The workers, where they are processes.
    pub(crate) processes: Option<&'a WorkerProcesses>,
    /// What the configuration check would advise.
    pub(crate) warnings: usize,
    pub(crate) telegram: Option<Intake>,
    pub(crate) max: Option<Intake>,
    /// Variables that are set and do nothing in this version, each under the name it is set by.
    pub(crate) unused: &'a [(&'static UnusedVariable, String)],
    /// The https address others reach the server by.
    pub(crate) public_url: Option<&'a str>,
    pub(crate) web: bool,
    /// The file the API key is in; none when the operator set it.
    pub(crate) api_key: Option<&'a Path>,
    /// The file the admin token is in; none when the operator set it.
    pub(crate) admin_token: Option<&'a Path>,
    /// What leads the other commands to this server, with a space before it; nothing where they find it by themselves.
    pub(crate) there: &'a str,
    /// The flags of this start, with a space before each.
    pub(crate) flags: &'a str,
    pub(crate) took: Duration,
}

/// Workers that are processes.
#[derive(Clone, Debug)]
pub(crate) struct WorkerProcesses {
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// The fewest of them.
    pub(crate) min: usize,
    /// The most.
    pub(crate) max: usize,
}

/// The banner.
pub(crate) fn text(facts: &Facts<'_>, language: Language) -> String {
    // `choose(en, ru)`: the two texts of one thing stand side by side.
    let choose = |en: &str, ru: &str| match language {
        Language::En => en.to_owned(),
        Language::Ru => ru.to_owned(),
    };
    let url = format!("http://{}", reachable(facts.address));
    let mut out = format!("OpenClaw Platform {}\n", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, value: &str| {
        let name = format!("{name}:");
        out.push_str(&format!("  {name:<12} {value}\n"));
    };

    let new = if facts.is_new {
        choose(" (new)", " (новый)")
    } else {
        String::new()
    };
    line(
        &choose("data", "данные"),
        &format!("{}{new}", facts.data_dir.display()),
    );
    let config = match facts.config {
        ConfigSource::File(path) => path.display().to_string(),
        ConfigSource::None => {
            let place = facts.data_dir.join(CONFIG_FILE);
            choose(
                &format!("no file; {} would be read", place.display()),
                &format!("файла нет; был бы прочитан {}", place.display()),
            )
        }
        ConfigSource::NotTheOneHere => choose(
            &format!("no file; to read the one here: --config {CONFIG_FILE}"),
            &format!("файл не прочитан; чтобы прочитать тот, что здесь: --config {CONFIG_FILE}"),
        ),
    };
    line(&choose("config", "настройки"), &config);
    let storage = match facts.storage {
        "memory" => choose(
            "memory: nothing survives the end of the process",
            "memory: с завершением процесса всё будет забыто",
        ),
        kind => kind.to_owned(),
    };
    line(&choose("storage", "хранилище"), &storage);
    let reason = match facts.why {
        ModelReason::Configured => choose("from the configuration", "из конфигурации"),
        ModelReason::WorkersAnswer => choose(
            "your program answers (concurrency.runtime = process)",
            "отвечает ваша программа (concurrency.runtime = process)",
        ),
        ModelReason::Variable(name) => choose(&format!("{name} is set"), &format!("задан {name}")),
        ModelReason::LocalOllama => choose(
            "no key is set, and an Ollama answers on this machine",
            "ключей не задано, а на этой машине отвечает Ollama",
        ),
        ModelReason::NothingFound => choose(
            "no provider key found; for a real model set OPENAI_API_KEY,\n               ANTHROPIC_API_KEY, GIGACHAT_CREDENTIALS, YANDEX_API_KEY or OLLAMA_HOST",
            "ключ провайдера не найден; для настоящей модели задайте OPENAI_API_KEY,\n               ANTHROPIC_API_KEY, GIGACHAT_CREDENTIALS, YANDEX_API_KEY или OLLAMA_HOST",
        ),
    };
    line(
        &choose("model", "модель"),
        &format!("{}: {reason}", named(facts.models)),
    );
    if let Some(processes) = facts.processes {
        let WorkerProcesses { command, min, max } = processes;
        let command = printable(&command.join(" "));
        line(
            &choose("workers", "воркеры"),
            &choose(
                &format!("processes, {min} to {max}, each runs: {command}"),
                &format!("процессы, от {min} до {max}, каждый выполняет: {command}"),
            ),
        );
    }
    let url_of = |path: &str| {
        facts
            .public_url
            .map(|url| format!("{}{path}", url.trim_end_matches('/')))
    };
    let telegram = Platform {
        intake: facts.telegram,
        variable: "TELEGRAM_BOT_TOKEN",
        path: "/webhook/telegram",
        url: url_of("/webhook/telegram"),
    };
    line("telegram", &telegram.text(&choose));
    let max = Platform {
        intake: facts.max,
        variable: "MAX_BOT_TOKEN",
        path: "/webhook/max",
        // The rest of its path is nobody's to read.
        url: url_of("/webhook/max/…"),
    };
    line("max", &max.text(&choose));
    for (variable, name) in facts.unused {
        let why = variable.why(language);
        line(
            variable.part(language),
            &choose(
                &format!("off: {name} is set, but {why}"),
                &format!("выключено: {name} задан, но {why}"),
            ),
        );
    }
    if facts.web {
        let chat = match facts.public_url {
            Some(public) => {
                let public = public.trim_end_matches('/');
                choose(
                    &format!("{public}/chat; on this machine {url}/chat"),
                    &format!("{public}/chat; на этой машине {url}/chat"),
                )
            }
            None => format!("{url}/chat"),
        };
        line(&choose("chat", "чат"), &chat);
    } else {
        line(
            &choose("chat", "чат"),
            &choose(
                "off: messenger.web.enabled is false",
                "выключен: messenger.web.enabled = false",
            ),
        );
    }
    let place = |file: Option<&Path>, variable: &str| match file {
        Some(path) => choose(
            &format!("in {}", path.display()),
            &format!("в файле {}", path.display()),
        ),
        None => choose(
            &format!("as you set it ({variable})"),
            &format!("заданный вами ({variable})"),
        ),
    };
    let key = place(facts.api_key, "OPENCLAW_API_KEY");
    line("API", &format!("{url}/v1      {} {key}", choose("key", "ключ")));
    let token = place(facts.admin_token, "OPENCLAW_ADMIN_TOKEN");
    line(
        &choose("admin", "админ"),
        &format!("{url}/admin/api/v1      {} {token}", choose("token", "токен")),
    );

    if facts.warnings > 0 {
        let (count, flags) = (facts.warnings, facts.flags);
        line(
            &choose("warnings", "советы"),
            &choose(
                &format!("{count} about the configuration: openclaw config check{flags}"),
                &format!("{count} о конфигурации: openclaw config check{flags}"),
            ),
        );
    }
    let open = !facts.address.ip().is_loopback();
    if open {
        line(
            &choose("open", "доступ"),
            &choose(
                &format!("others can reach this server on {}", facts.address),
                &format!("сервер доступен извне по адресу {}", facts.address),
            ),
        );
    }
    out.push_str(&next(facts.there, &choose));
    let took = facts.took.as_secs_f64();
    out.push_str(&choose(
        &format!("ready in {took:.2} s · Ctrl-C stops after running turns\n"),
        &format!("готов за {took:.2} с · Ctrl-C остановит сервер, когда закончатся начатые ответы\n"),
    ));
    out
}

/// The models, the first of them by name: an Ollama may have dozens.
fn named(models: &[String]) -> String {
    let shown = models
        .get(..SHOWN_MODELS.min(models.len()))
        .unwrap_or_default()
        .join(", ");
    match models.len().saturating_sub(SHOWN_MODELS) {
        0 => shown,
        more => format!("{shown} (+{more})"),
    }
}

/// The commands to go on with, as they can be copied: on one line, unless each has to be told where the server is.
fn next(there: &str, choose: &dyn Fn(&str, &str) -> String) -> String {
    let head = choose("next: ", "дальше: ");
    let commands = [
        choose("openclaw send \"hello\"", "openclaw send \"привет\""),
        "openclaw status".to_owned(),
        "openclaw keys create".to_owned(),
    ]
    .map(|command| command + there);
    let between = match there {
        "" => " · ".to_owned(),
        _ => format!("\n  {:1$}", "", head.chars().count()),
    };
    format!("\n  {head}{}\n", commands.join(&between))
}

/// A messenger, and how its updates come.
struct Platform {
    intake: Option<Intake>,
    /// The variable that switches it on.
    variable: &'static str,
    path: &'static str,
    /// Where the platform finds the path.
    url: Option<String>,
}

// === impl Platform ===

impl Platform {
    fn text(&self, choose: &dyn Fn(&str, &str) -> String) -> String {
        let Self { variable, path, .. } = self;
        match (self.intake, &self.url) {
            (None, _) => choose(
                &format!("off: {variable} is not set"),
                &format!("выключен: не задан {variable}"),
            ),
            (Some(Intake::Polling), _) => choose("on, long polling", "включён, long polling"),
            (Some(Intake::Webhook), Some(url)) => {
                choose(&format!("on, webhook {url}"), &format!("включён, вебхук {url}"))
            }
            (Some(Intake::Webhook), None) => choose(
                &format!("on, webhook path {path}; not registered, since server.publicUrl is not set"),
                &format!("включён, путь вебхука {path}; не зарегистрирован: не задан server.publicUrl"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::unused::UNUSED_VARIABLES;

    fn facts(models: &[String]) -> Facts<'_> {
        Facts {
            address: SocketAddr::from(([127, 0, 0, 1], 3000)),
            config: &ConfigSource::None,
            data_dir: Path::new("/data"),
            is_new: true,
            storage: "sqlite",
            models,
            why: ModelReason::NothingFound,
            processes: None,
            warnings: 0,
            telegram: None,
            max: None,
            unused: &[],
            public_url: None,
            web: true,
            api_key: Some(Path::new("/data/api.key")),
            admin_token: None,
            there: "",
            flags: "",
            took: Duration::from_millis(210),
        }
    }

    #[test]
    fn it_says_what_is_off_why_and_where_to_go_in_both_languages() {
        let models = ["demo".to_owned()];
        for (language, words) in [
            (
                Language::En,
                [
                    "off: TELEGRAM_BOT_TOKEN is not set",
                    "OPENAI_API_KEY",
                    "(new)",
                    "as you set it",
                    "ready in 0.21 s",
                ],
            ),
            (
                Language::Ru,
                [
                    "не задан TELEGRAM_BOT_TOKEN",
                    "OPENAI_API_KEY",
                    "(новый)",
                    "заданный вами",
                    "готов за 0.21 с",
                ],
            ),
        ] {
            let banner = text(&facts(&models), language);
            for word in words.into_iter().chain([
                "http://127.0.0.1:3000/chat",
                "/data/api.key",
                "openclaw keys create",
            ]) {
                assert!(banner.contains(word), "{word} in\n{banner}");
            }
        }
    }

    #[test]
    fn worker_processes_are_named_with_their_program_and_warnings_with_their_number() {
        let processes = WorkerProcesses {
            command: ["python3", "worker.py"].map(str::to_owned).to_vec(),
            min: 1,
            max: 4,
        };
        let models = ["worker".to_owned()];
        let facts = Facts {
            why: ModelReason::WorkersAnswer,
            processes: Some(&processes),
            warnings: 2,
            ..facts(&models)
        };
        for (language, words) in [
            (
                Language::En,
                [
                    "processes, 1 to 4, each runs: python3 worker.py",
                    "2 about the configuration",
                ],
            ),
            (
                Language::Ru,
                [
                    "процессы, от 1 до 4, каждый выполняет: python3 worker.py",
                    "2 о конфигурации",
                ],
            ),
        ] {
            let banner = text(&facts, language);
            for word in words {
                assert!(banner.contains(word), "{word} in\n{banner}");
            }
        }
    }

    #[test]
    fn the_chat_is_where_others_reach_it() {
        let public = Facts {
            public_url: Some("https://bot.example.org/"),
            ..facts(&[])
        };
        for (language, here) in [
            (Language::En, "on this machine"),
            (Language::Ru, "на этой машине"),
        ] {
            let banner = text(&public, language);
            let line = format!("https://bot.example.org/chat; {here} http://127.0.0.1:3000/chat\n");
            assert!(banner.contains(&line), "{banner}");
        }
    }

    #[test]
    fn commands_are_told_where_the_server_is_when_they_would_look_elsewhere() {
        let there = Facts {
            there: " --data-dir '/a b'",
            flags: " --config c.toml",
            warnings: 1,
            ..facts(&[])
        };
        for (language, words) in [
            (
                Language::En,
                "  next: openclaw send \"hello\" --data-dir '/a b'\n        openclaw status --data-dir '/a b'\n        openclaw keys create --data-dir '/a b'\n",
            ),
            (
                Language::Ru,
                "  дальше: openclaw send \"привет\" --data-dir '/a b'\n          openclaw status --data-dir '/a b'\n          openclaw keys create --data-dir '/a b'\n",
            ),
        ] {
            let banner = text(&there, language);
            assert!(banner.contains(words), "{banner}");
            assert!(
                banner.contains(": openclaw config check --config c.toml\n"),
                "{banner}"
            );
            assert!(
                text(&facts(&[]), language).contains(" · openclaw status · openclaw keys create\n"),
                "{language:?}"
            );
        }
    }

    #[test]
    fn a_variable_that_does_nothing_is_named_with_the_reason() {
        let unused: Vec<_> = UNUSED_VARIABLES
            .iter()
            .map(|one| (one, one.name.to_owned()))
            .collect();
        let facts = Facts {
            unused: &unused,
            ..facts(&[])
        };
        for (language, words) in [
            (
                Language::En,
                [
                    "  max:         off: MAX_BOT_TOKEN is not set",
                    "  workspace:   off: WORKSPACE_ROOT is set, but nothing in this version works with files",
                ],
            ),
            (
                Language::Ru,
                [
                    "  max:         выключен: не задан MAX_BOT_TOKEN",
                    "  файлы:       выключено: WORKSPACE_ROOT задан, но в этой версии ничто не работает с файлами",
                ],
            ),
        ] {
            let banner = text(&facts, language);
            for word in words {
                assert!(banner.contains(word), "{word} in\n{banner}");
            }
        }
    }

    #[test]
    fn memory_says_that_nothing_survives_and_an_open_address_that_it_is_open() {
        let banner = text(
            &Facts {
                storage: "memory",
                address: SocketAddr::from(([0, 0, 0, 0], 80)),
                ..facts(&[])
            },
            Language::En,
        );
        assert!(banner.contains("nothing survives"), "{banner}");
        assert!(
            banner.contains("others can reach this server on 0.0.0.0:80"),
            "{banner}"
        );
        assert!(banner.contains("http://127.0.0.1:80/v1"), "{banner}");
    }
}
