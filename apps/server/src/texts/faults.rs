//! What is wrong with a configuration. A fault stands after its field and a colon, unless it begins with the field itself.

super::catalogue! {
    // Around the faults.
    invalid_config(faults, errors) {
        "the configuration is not valid\n{faults}{errors}; nothing was started or changed",
        "конфигурация не годится\n{faults}{errors}; ничего не запущено и не изменено"
    }
    mend_variable(name) { "mend {name}, or unset it", "исправьте {name} или уберите её" }
    mend_and_check() {
        "mend it, then openclaw config check",
        "исправьте, затем openclaw config check"
    }
    fault_error() { "error", "ошибка" }
    fault_warning() { "warn", "предупреждение" }
    origin_default() { "default", "по умолчанию" }
    origin_not_set() { "not set", "не задано" }
    origin_file(line, column) { "file {line}:{column}", "файл {line}:{column}" }
    origin_environment(name) { "environment {name}", "окружение {name}" }

    // What a value must be.
    expected_flag() { "true or false", "true или false" }
    expected_integer_from(min) { "a whole number from {min}", "целое число от {min}" }
    expected_integer(min, max) { "a whole number from {min} to {max}", "целое число от {min} до {max}" }
    expected_number(min, max) { "a number from {min} to {max}", "число от {min} до {max}" }
    expected_text() { "a text", "текст" }
    expected_choice(choices) { "one of {choices}", "одно из {choices}" }
    expected_texts() { "a list of texts", "список текстов" }
    expected_addresses() { "a list of IP addresses", "список IP-адресов" }
    expected_socket() {
        "an address with a port, such as 127.0.0.1:3000",
        "адрес с портом, например 127.0.0.1:3000"
    }
    expected_url() { "an http:// or https:// address", "адрес http:// или https://" }
    expected_size() {
        "a number of bytes, or a text such as \"1MiB\"",
        "число байтов или текст вроде \"1MiB\""
    }
    expected_secret() {
        "a reference, {{ env = \"NAME\" }} or {{ file = \"path\" }}",
        "ссылка, {{ env = \"NAME\" }} или {{ file = \"path\" }}"
    }
    expected_levels() {
        "a level (trace, debug, info, warn, error, fatal), also by module: info,concurrency=debug",
        "уровень (trace, debug, info, warn, error, fatal), также по модулям: info,concurrency=debug"
    }

    // Values.
    fault_value(value, expected) { "{value}; expected {expected}", "{value}; ожидается {expected}" }
    fault_form(expected) { "expected {expected}", "ожидается {expected}" }
    fault_hint(fault, hint) { "{fault}; {hint}", "{fault}; {hint}" }
    fault_too_large(number) { "{number} is too large", "{number} — слишком большое число" }
    fault_no_number(text) { "{text} is not a number", "{text} — не число" }
    fault_date(date) { "{date} is a date; no field holds one", "{date} — дата, а полей для дат нет" }
    fault_secret_here(expected) {
        "a secret does not belong in the configuration; expected {expected}",
        "секрету не место в конфигурации; ожидается {expected}"
    }
    fault_port(text) { "{text}; expected a port, 0 to 65535", "{text}; ожидается порт, от 0 до 65535" }
    fault_level(value) { "`{value}` is not a level", "`{value}` — не уровень" }
    fault_module(value) { "`{value}` is not a module's name", "`{value}` — не имя модуля" }
    fault_levels(most) {
        "too many levels; {most} modules are allowed",
        "слишком много уровней; модулей может быть {most}"
    }
    fault_backpressure() { "0; above 0 and at most 1", "0; нужно больше 0 и не больше 1" }

    // Names.
    fault_no_key() { "there is no such key", "такого ключа нет" }
    fault_twice() { "it is written twice, in two spellings", "написано дважды, в двух написаниях" }
    fault_understood(written) { "`{written}` is understood", "`{written}` читается" }
    hint_its_name(name) { "its name is `{name}`", "правильное имя — `{name}`" }
    hint_did_you_mean(name) { "did you mean {name}?", "может быть, {name}?" }
    hint_did_you_mean_key(name) { "did you mean `{name}`?", "может быть, `{name}`?" }
    hint_list(path) { "{path} is a list; a number follows", "{path} — список; дальше нужен номер" }
    hint_section(path) {
        "{path} is a section; name one of its fields",
        "{path} — раздел; назовите одно из его полей"
    }
    fault_no_variable() { "this variable names no field", "такого поля у этой переменной нет" }
    fault_unread() { "this variable is not read", "эту переменную никто не читает" }
    fault_unused(why) { "off: {why}, so this variable is not used", "выключено: {why}, и переменная не используется" }
    fault_both(name, file_name) {
        "both {name} and {file_name} are set; keep one",
        "заданы и {name}, и {file_name}; оставьте одну"
    }
    fault_setting() { "expected section.field=value", "ожидается раздел.поле=значение" }

    // Forms.
    fault_long_file(bytes, most) {
        "the file has {bytes} bytes, {most} are read",
        "в файле {bytes} байт, а читается {most}"
    }
    fault_list(path) { "expected a list, written as [[{path}]]", "ожидается список, он пишется как [[{path}]]" }
    fault_table(path) { "expected a table, written as [{path}]", "ожидается таблица, она пишется как [{path}]" }
    fault_list_as_toml(why) { "expected a list as TOML: {why}", "ожидается список в TOML: {why}" }
    fault_missing(expected) { "it is missing; expected {expected}", "не задано; ожидается {expected}" }
    fault_gap() {
        "the list has no such place; places are counted from 0 without gaps",
        "такого места в списке нет; места считаются от 0 и без пропусков"
    }

    // Secrets and files.
    fault_variable_not_set(name) { "the variable {name} is not set", "переменная {name} не задана" }
    fault_unreadable(path, why) { "the file {path} cannot be read: {why}", "файл {path} не читается: {why}" }
    fault_empty_file(path) { "the file {path} is empty", "файл {path} пуст" }
    fault_secret(reference, fault) { "the secret in {reference} {fault}", "секрет в {reference} {fault}" }
    fault_weak() {
        "is too weak; 16 or more visible ASCII characters are needed",
        "слишком слаб; нужно не меньше 16 видимых символов ASCII"
    }
    fault_invisible() {
        "has white space or other characters that no header can carry",
        "содержит пробелы или другие символы, которых не бывает в заголовке"
    }
    fault_webhook_secret() {
        "is not one that Telegram takes; 1 to 256 of A-Z a-z 0-9 _ - are",
        "не из тех, что принимает Telegram: от 1 до 256 символов A-Z a-z 0-9 _ -"
    }
    fault_max_webhook_secret() {
        "is not one that MAX takes; 5 to 256 of A-Z a-z 0-9 _ - are",
        "не из тех, что принимает MAX: от 5 до 256 символов A-Z a-z 0-9 _ -"
    }
    fault_bot_token(fault, characters) {
        "is not a bot's token: {fault}; @BotFather gives one as digits, a colon and about {characters} of A-Z a-z 0-9 _ -",
        "не токен бота: {fault}; @BotFather выдаёт токен из цифр, двоеточия и около {characters} символов A-Z a-z 0-9 _ -"
    }
    token_no_colon() { "it has no colon", "в нём нет двоеточия" }
    token_no_number() { "what stands before the colon is not a number", "перед двоеточием не число" }
    token_strange() {
        "after the colon it has a character that no token has",
        "после двоеточия есть символ, которого не бывает в токенах"
    }
    token_short(characters) { "after the colon it has {characters}", "после двоеточия в нём {characters}" }
    fault_header_line() { "has characters that no header can carry", "содержит символы, которых не бывает в заголовке" }
    fault_found_key() {
        "the key has white space or other characters that no header can carry",
        "в ключе пробелы или другие символы, которых не бывает в заголовке"
    }
    fault_same_key() {
        "it is the same as the admin token; every key needs its own",
        "тот же, что токен администратора; каждому ключу нужно своё"
    }

    // Rules that join fields.
    fault_open(address) {
        "{address} can be reached by others, so the keys made at first start do not count",
        "{address} доступен другим, поэтому ключи, созданные при первом запуске, не годятся"
    }
    hint_open(missing, characters) {
        "set {missing} ({characters} or more visible characters each), or listen on 127.0.0.1",
        "задайте {missing} (по {characters} видимых символов или больше) или слушайте 127.0.0.1"
    }
    both_names(one, other) { "{one} and {other}", "{one} и {other}" }
    fault_at_most(low, value, high, other) {
        "{low} is {value}; it must be at most {high}, which is {other}",
        "{low} — {value}; должно быть не больше {high}, а там {other}"
    }
    fault_less_than(low, value, high, other) {
        "{low} is {value}; it must be less than {high}, which is {other}",
        "{low} — {value}; должно быть меньше {high}, а там {other}"
    }
    fault_by_part(why) { "{why}", "часть программы не принимает это: {why}" }
    fault_joined(path, fault) { "{path} is {fault}", "{path} сейчас {fault}" }
    fault_http_telegram(url) {
        "{url} is not https, and Telegram calls no other; give the https address, or set messenger.telegram.mode to polling",
        "{url} — не https, а другие адреса Telegram не вызывает; дайте адрес https или задайте messenger.telegram.mode = polling"
    }
    fault_http_max(url) {
        "{url} is not an https address without a port, and MAX calls no other; give one, or set messenger.max.mode to polling",
        "{url} — не адрес https без порта, а другие MAX не вызывает; дайте такой или задайте messenger.max.mode = polling"
    }
    fault_no_max_secret() {
        "it is not set, and neither is server.publicUrl: who registers the webhook by hand must know its secret; set OPENCLAW__MESSENGER__MAX__SECRET to 5 to 256 characters of A-Z a-z 0-9 _ -, or messenger.max.mode to polling",
        "не задано, как и server.publicUrl: кто регистрирует вебхук вручную, должен знать его секрет; задайте в OPENCLAW__MESSENGER__MAX__SECRET от 5 до 256 символов A-Z a-z 0-9 _ - или messenger.max.mode = polling"
    }
    fault_no_webhook_secret() {
        "it is not set, and a webhook is not taken without it; set WEBHOOK_SECRET to 1 to 256 characters of A-Z a-z 0-9 _ -, or messenger.telegram.mode to polling",
        "не задано, а без него вебхук не принимается; задайте в WEBHOOK_SECRET от 1 до 256 символов A-Z a-z 0-9 _ - или messenger.telegram.mode = polling"
    }
    fault_stranger(model) {
        "{model} is a model that no provider lists; list it, or set anyModel = true on one",
        "{model} — такой модели нет в списке ни у одного провайдера; внесите её или задайте одному anyModel = true"
    }
    fault_nobody() {
        "no model is listed and ai-fabric.fallback.primaryModel is not set: only callers who name a model get an answer",
        "в списках нет ни одной модели и не задано ai-fabric.fallback.primaryModel: ответ получат только те, кто назовёт модель"
    }

    // What has no effect.
    idle_processes() {
        "has no effect: with concurrency.runtime = process the workers answer, and no model is asked",
        "ничего не меняет: при concurrency.runtime = process отвечают воркеры, и модели не спрашивают"
    }
    idle_first_token() {
        "has no effect: with concurrency.runtime = process a worker's heartbeats say whether it still works",
        "ничего не меняет: при concurrency.runtime = process о том, что воркер работает, говорят его сигналы"
    }
    idle_tasks() { "has no effect: concurrency.runtime is task", "ничего не меняет: concurrency.runtime — task" }
    fault_no_file(argument) { "{argument} names no file", "{argument} — такого файла нет" }
    fault_no_file_in(argument, directory) {
        "{argument} names no file in {directory}",
        "{argument} — такого файла в {directory} нет"
    }
    fault_program(program) {
        "{program}; it must be a program that exists and may be run",
        "{program}; нужна существующая программа, которую можно запустить"
    }
    fault_directory(directory) {
        "{directory}; it must be a directory that exists",
        "{directory}; нужен существующий каталог"
    }
    ;
    characters # { ["character", "characters"], ["символ", "символа", "символов"] }
}
