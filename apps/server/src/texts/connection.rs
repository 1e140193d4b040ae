//! How a server is found, and what is said where none answers.

super::catalogue! {
    not_an_address(url) { "\"{url}\" is not an address", "«{url}» — не адрес" }
    no_server(dir) { "no server runs on {dir}", "на {dir} сервер не запущен" }
    silent(url) { "{url} does not answer", "{url} не отвечает" }
    silent_elsewhere() {
        "check the address after --url, and that a server runs there and may be reached from here",
        "проверьте адрес после --url, и что сервер там запущен и отсюда доступен"
    }
    only_live(what) {
        "{what} are there only while a server runs",
        "{what} есть только у работающего сервера"
    }
    the_workers() { "workers", "воркеры" }
    the_queue() { "the queue and what waits in it", "очередь и то, что в ней ждёт," }
    no_store(dir) { "there is no database in {dir} to work on", "и базы данных в {dir} нет" }
    memory_only() {
        "no server runs, and storage.kind is memory: there is nothing to read without one",
        "сервер не запущен, а storage.kind = memory: без него читать нечего"
    }
    working_on(dir) { "no server runs; working on {dir}", "сервер не запущен; работаю с {dir}" }
    working_from_file(file) {
        "no server runs; working from the configuration {file}",
        "сервер не запущен; работаю по конфигурации {file}"
    }
    working_without_file() {
        "no server runs; working from environment and defaults, without a configuration file",
        "сервер не запущен; работаю по окружению и умолчаниям, без файла конфигурации"
    }
    store_in_use(dir) {
        "another process has the store in {dir}: a server that starts, stops or answers nowhere, or another command",
        "хранилище в {dir} занято другим процессом: сервером, который запускается, останавливается или не отвечает, или другой командой"
    }
    store_in_use_next() { "wait until it is ready, then try again", "подождите, пока он будет готов, и повторите" }
    elsewhere(url, variable) {
        "{url} is another machine, and {variable} is not set",
        "{url} — другая машина, а {variable} не задан"
    }
    set_to_servers(variable) { "set {variable} to that server's", "задайте в {variable} тот, что у этого сервера" }
    unreadable(path, error) { "{path} cannot be read: {error}", "{path} не читается: {error}" }
    set_or_data_dir(variable) { "set {variable}, or --data-dir", "задайте {variable} или --data-dir" }
    admin_token() { "admin token", "токен администратора" }
    api_key() { "API key", "ключ API" }
    make_a_key(variable) {
        "set {variable} to a key of that server; make one there: openclaw keys create",
        "задайте в {variable} ключ этого сервера; создать его там: openclaw keys create"
    }
    unset_or(set, own, other) {
        "unset {set}, and the one in {own} is used; or {other}",
        "уберите {set}, и будет взят тот, что в {own}; или {other}"
    }
    data_dir_or(other) { "give that server's --data-dir, or {other}", "укажите --data-dir этого сервера или {other}" }
    not_taken(url, name, place) { "{url} does not take the {name} in {place}", "{url} не принимает {name} из {place}" }
    answered(url, status, text) { "{url} answered {status}: {text}", "{url} ответил {status}: {text}" }
    other_version(url) { "{url} is not a server of this version", "{url} — не сервер этой версии" }
    mend_and_reload() { "mend it, then openclaw config reload", "исправьте её, затем openclaw config reload" }
}
