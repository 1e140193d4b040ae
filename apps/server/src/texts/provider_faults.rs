//! What is wrong with a provider or a model of the configuration, and what the environment says wrongly of one.

super::catalogue! {
    id_empty() { "it must not be empty", "не может быть пустым" }
    id_long(bytes, most) {
        "it is {bytes} bytes long, {most} are allowed",
        "длина {bytes} байт, а допустимо {most}"
    }
    id_forbidden(character) {
        "it contains {character}, which is not allowed in it",
        "содержит {character}, а этого в имени не бывает"
    }
    provider_twice(id) { "\"{id}\" names two providers", "\"{id}\" — так названы два провайдера" }
    provider_no_kind() {
        "it is missing; one of openai, anthropic, gigachat, ollama, command, demo, or a preset",
        "не задано; нужно одно из openai, anthropic, gigachat, ollama, command, demo или preset"
    }
    provider_other_kind(kinds, kind) {
        "it is for kind {kinds}; this one is {kind}",
        "годится для kind {kinds}, а здесь {kind}"
    }
    provider_no_models() {
        "it has no models; list them or set anyModel = true",
        "у него нет моделей; перечислите их или задайте anyModel = true"
    }
    provider_no_gigachat_key() {
        "it is missing; GigaChat needs the authorization key of your project",
        "не задано; GigaChat нужен ключ авторизации вашего проекта"
    }
    provider_no_program() {
        "it is missing; a path, or a name of PATH",
        "не задано; нужен путь или имя из PATH"
    }
    provider_folder_alone() { "it needs preset = \"yandex\"", "нужен preset = \"yandex\"" }
    provider_no_folder(preset) {
        "it is missing; the models of {preset} belong to a folder",
        "не задано; модели {preset} принадлежат каталогу"
    }
    provider_bad_folder(folder) { "{folder} is no folder's id", "{folder} — не идентификатор каталога" }
    provider_without_folders(preset) { "preset {preset} has no folders", "у preset {preset} нет каталогов" }
    provider_needs_key(preset) {
        "it is missing; {preset} answers nobody without a key",
        "не задано; {preset} без ключа никому не отвечает"
    }
    provider_header_name(header) { "\"{header}\" is not a header's name", "\"{header}\" — не имя заголовка" }
    provider_secret_header(header) {
        "{header} carries a secret; use apiKey or secretHeaders, by reference",
        "в {header} секрет; для него есть apiKey и secretHeaders, ссылкой"
    }
    provider_no_pem(path) {
        "the file {path} holds no certificate in PEM",
        "в файле {path} нет сертификата в PEM"
    }
    model_twice(model) { "\"{model}\" is listed twice", "\"{model}\" в списке дважды" }
    model_capability(capability, known) {
        "\"{capability}\"; expected some of {known}",
        "\"{capability}\"; ожидаются некоторые из {known}"
    }
    model_output(output, window) {
        "{output} is more than contextWindow, {window}",
        "{output} больше, чем contextWindow, {window}"
    }
    found_url() {
        "expected an http:// or https:// address, such as http://127.0.0.1:11434/v1",
        "ожидается адрес http:// или https://, например http://127.0.0.1:11434/v1"
    }
    found_scope(scope) {
        "{scope}; one of GIGACHAT_API_PERS, GIGACHAT_API_B2B, GIGACHAT_API_CORP",
        "{scope}; нужно одно из GIGACHAT_API_PERS, GIGACHAT_API_B2B, GIGACHAT_API_CORP"
    }
    found_no_folder() {
        "it is passed over: YANDEX_FOLDER_ID is not set, and models belong to a folder",
        "пропущена: YANDEX_FOLDER_ID не задана, а модели принадлежат каталогу"
    }
    found_set_folder() { "set YANDEX_FOLDER_ID", "задайте YANDEX_FOLDER_ID" }
}
