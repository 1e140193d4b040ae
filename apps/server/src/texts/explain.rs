//! What `openclaw config explain` says around what the table of fields says.

super::catalogue! {
    explain_type() { "type", "тип" }
    explain_default() { "default", "по умолчанию" }
    explain_value() { "value", "значение" }
    explain_environment() { "environment", "окружение" }
    explain_change() { "change", "изменение" }
    explain_provider() { "provider", "провайдер" }
    explain_set() { "set", "задана" }
    explain_required() { "(required)", "(обязательно)" }
    explain_off(why) { "(off: {why})", "(выключено: {why})" }
    explain_port(name) { "{name}, PORT (the port alone)", "{name}, PORT (только порт)" }
    explain_restart() { "needs a restart", "нужен перезапуск" }
    explain_at_once() {
        "takes effect at once after openclaw config reload",
        "действует сразу после openclaw config reload"
    }
    explain_later() {
        "needs a restart; this version changes models, budgets and log levels while it runs",
        "нужен перезапуск; на ходу эта версия меняет модели, бюджеты и уровни журнала"
    }
    explain_more(path) {
        "\nmore of each: openclaw config explain {path}\n",
        "\nподробнее о каждом: openclaw config explain {path}\n"
    }
    explain_unused(name, why) { "{name}\n  Not used: {why}.\n", "{name}\n  Не используется: {why}.\n" }
    explain_makes(provider) {
        "{provider}, while ai-fabric.providers names none and none before it is found",
        "{provider}, если в ai-fabric.providers нет ни одного и раньше него никакой не найден"
    }
    explain_is_set(names) { "yes, by {names}; its value is not shown", "да, в {names}; значение не показывается" }
    explain_not_set() { "no", "нет" }
}
