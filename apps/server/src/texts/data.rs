//! What is said of a data directory, a key's file or a store that cannot be used.

super::catalogue! {
    no_data_dir() {
        "no data directory is known: neither HOME nor XDG_DATA_HOME is set",
        "каталог данных неизвестен: не заданы ни HOME, ни XDG_DATA_HOME"
    }
    set_data_dir() {
        "set OPENCLAW_DATA_DIR, or give --data-dir",
        "задайте OPENCLAW_DATA_DIR или укажите --data-dir"
    }
    data_dir_not_made(dir, error) {
        "the data directory {dir} cannot be made: {error}",
        "каталог данных {dir} не создать: {error}"
    }
    data_dir_unusable(dir, error) {
        "the data directory {dir} cannot be used: {error}",
        "каталог данных {dir} не годится: {error}"
    }
    mend_data_dir() {
        "mend that, or name another with --data-dir or OPENCLAW_DATA_DIR",
        "исправьте это или назовите другой: --data-dir или OPENCLAW_DATA_DIR"
    }
    key_file_unusable(path, error) {
        "the key file {path} cannot be used: {error}",
        "файл ключа {path} не годится: {error}"
    }
    key_file_without_key(path) { "the key file {path} holds no key", "в файле ключа {path} нет ключа" }
    remove_key_file() { "remove it and a new one is made", "удалите его, и будет создан новый" }
    store_newer(found, known) {
        "the store was written by a newer version: its schema is {found}, this version knows up to {known}",
        "хранилище записано более новой версией: схема {found}, а эта версия знает до {known}"
    }
    store_of_another(version, name) {
        "the store was written by another program: its migration {version} ({name}) is not this version's",
        "хранилище записано другой программой: миграция {version} ({name}) в нём не та, что в этой версии"
    }
    use_its_version() {
        "start the version that wrote it, or name another directory with --data-dir",
        "запустите ту версию, которая его записала, или назовите другой каталог: --data-dir"
    }
    store_not_opened(error) { "the store cannot be opened: {error}", "хранилище не открывается: {error}" }
    put_back_a_copy() {
        "put back a copy of the data directory, or name another with --data-dir",
        "верните копию каталога данных или назовите другой: --data-dir"
    }
}
