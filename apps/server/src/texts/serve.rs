//! What `openclaw serve` says when it cannot start.

super::catalogue! {
    serve_unreadable(path, error) { "{path} cannot be read: {error}", "{path} не читается: {error}" }
    serve_mend_path() {
        "mend the path, or leave --config out: no file is needed",
        "исправьте путь или уберите --config: файл не нужен"
    }
    serve_in_use(dir) {
        "the data directory {dir} is in use by another server",
        "каталог данных {dir} занят другим сервером"
    }
    serve_in_use_next(again) {
        "openclaw status{again}, or stop that server with Ctrl-C first, or another --data-dir",
        "openclaw status{again}, или сперва остановите тот сервер (Ctrl-C), или другой --data-dir"
    }
    serve_cannot_listen(address, error) {
        "{address} cannot be listened on: {error}",
        "слушать {address} нельзя: {error}"
    }
}
