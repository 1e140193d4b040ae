//! What `openclaw config` says around the faults it finds.

super::catalogue! {
    config_unset() { "(unset)", "(не задано)" }
    config_unchanged() { "nothing has changed\n", "ничего не изменилось\n" }
    config_applied() { "applied\n", "применено\n" }
    config_waiting() { "needs a restart; it stays as it was until then\n", "вступит в силу после перезапуска, до него действует прежнее\n" }
    config_anew(providers) { "connected anew: {providers}\n", "подключены заново: {providers}\n" }
    config_kept(why) { "nothing was changed: {why}", "ничего не изменено: {why}" }
    config_no_file() {
        "no file; defaults, environment and flags: ",
        "файла нет; умолчания, окружение и флаги: "
    }
    config_valid() { "the configuration is valid\n", "конфигурация годится\n" }
    config_valid_with(warnings) {
        "the configuration is valid, with {warnings}\n",
        "конфигурация годится, но есть {warnings}\n"
    }
    config_no_field(field) { "there is no field or section {field}", "поля или раздела {field} нет" }
    config_several(field, paths) {
        "several fields are named {field}:\n  {paths}",
        "так называются несколько полей ({field}):\n  {paths}"
    }
    ;
    config_errors # { ["error", "errors"], ["ошибка", "ошибки", "ошибок"] }
    config_warnings # { ["warning", "warnings"], ["предупреждение", "предупреждения", "предупреждений"] }
}
