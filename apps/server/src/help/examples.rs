//! Examples under each command's help. A test types every one of them.

/// The commands by their path, and what may be typed.
#[rustfmt::skip]
const EXAMPLES: &[(&str, &[&str])] = &[
    ("", &["openclaw serve", "openclaw send \"hello\"", "openclaw status"]),
    ("serve", &["openclaw serve --storage memory --listen 127.0.0.1:8080", "OPENAI_API_KEY=… openclaw serve --set concurrency.maxWorkers=8"]),
    ("status", &["openclaw status", "openclaw status --json"]),
    ("health", &["openclaw health", "openclaw health --ready --url http://127.0.0.1:3000"]),
    ("send", &["openclaw send \"hello\"", "git diff | openclaw send - > review.txt"]),
    ("keys", &["openclaw keys create --user alice --tier standard --expires 90d", "openclaw keys revoke oc_live_3fZk81Qd"]),
    ("keys create", &["openclaw keys create --user alice --tier standard --expires 90d", "openclaw keys create --unlimited > key.txt"]),
    ("keys list", &["openclaw keys list", "openclaw keys list --json"]),
    ("keys revoke", &["openclaw keys revoke oc_live_3fZk81Qd", "openclaw keys revoke 3fZk"]),
    ("workers", &["openclaw workers list --state stuck", "openclaw workers kill 7", "openclaw workers suggest --load 60rps"]),
    ("workers list", &["openclaw workers list", "openclaw workers list --state stuck"]),
    ("workers kill", &["openclaw workers kill 7 --dry-run", "openclaw workers kill 7 --yes"]),
    ("workers recycle", &["openclaw workers recycle 7", "openclaw workers recycle 7 --json"]),
    ("workers suggest", &["openclaw workers suggest", "openclaw workers suggest --load 60rps"]),
    ("queue", &["openclaw queue show --by tenant", "openclaw queue pause", "openclaw queue drop turn_12"]),
    ("queue show", &["openclaw queue show", "openclaw queue show --by tenant"]),
    ("queue pause", &["openclaw queue pause", "openclaw queue pause --json"]),
    ("queue resume", &["openclaw queue resume", "openclaw queue resume --json"]),
    ("queue drop", &["openclaw queue drop turn_12 --dry-run", "openclaw queue drop call_7 --yes"]),
    ("models", &["openclaw models explain --tenant telegram:555 --needs vision", "openclaw models test"]),
    ("models list", &["openclaw models list --limits", "openclaw models list --config openclaw.toml"]),
    ("models explain", &["openclaw models explain --needs vision,tool_use", "openclaw models explain --tenant telegram:555:555 --input 20000"]),
    ("models test", &["openclaw models test", "openclaw models test demo --json"]),
    ("budget", &["openclaw budget explain telegram:555:555", "openclaw budget report --by model --since 30d"]),
    ("budget show", &["openclaw budget show telegram:555:555", "openclaw budget show api:alice --json"]),
    ("budget explain", &["openclaw budget explain telegram:555:555", "openclaw budget explain alice"]),
    ("budget reset", &["openclaw budget reset telegram:555:555 --dry-run", "openclaw budget reset api:alice --yes"]),
    ("budget report", &["openclaw budget report --by model --since 30d", "openclaw budget report --tenant api:alice --by day"]),
    ("config", &["openclaw config check --config openclaw.toml", "openclaw config explain concurrency.maxWorkers", "openclaw config reload"]),
    ("config show", &["openclaw config show", "openclaw config show --json"]),
    ("config check", &["openclaw config check", "openclaw config check --config openclaw.toml"]),
    ("config reload", &["openclaw config reload", "openclaw config reload --json"]),
    ("config explain", &["openclaw config explain concurrency.maxWorkers", "openclaw config explain concurrency"]),
    ("completions", &["openclaw completions bash > ~/.local/share/bash-completion/completions/openclaw", "openclaw completions fish > ~/.config/fish/completions/openclaw.fish"]),
    ("version", &["openclaw version"]),
];

pub(super) const EXIT_CODES_EN: &str = "
Exit codes: 0 done, 1 failed, 2 wrong usage, 69 no server answers, 74 the store failed, 77 not allowed, 78 configuration not valid";
pub(super) const EXIT_CODES_RU: &str = "
Коды завершения: 0 сделано, 1 не удалось, 2 неверный вызов, 69 сервер не отвечает, 74 хранилище отказало, 77 нет доступа, 78 конфигурация с ошибками";

/// The examples of a command; none when it has none.
pub(super) fn of(path: &[String]) -> &'static [&'static str] {
    let path = path.join(" ");
    EXAMPLES
        .iter()
        .find(|(command, _)| *command == path)
        .map_or(&[], |(_, lines)| lines)
}

/// Types an example as a shell would take it apart.
#[cfg(test)]
pub(super) fn check(line: &str, path: &[String]) {
    use clap::CommandFactory as _;

    let command = line.rsplit(" | ").next().unwrap_or(line);
    let command = command.split(" > ").next().unwrap_or(command);
    let words: Vec<String> = command
        .split_whitespace()
        .skip_while(|word| *word != "openclaw")
        .map(|word| word.trim_matches('"').to_owned())
        .collect();
    let belongs = words.iter().skip(1).zip(path).all(|(word, part)| word == part);
    assert!(belongs && words.len() > path.len(), "{line} is under {path:?}");
    let parsed = crate::cli::Cli::command().try_get_matches_from(&words);
    assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
}
