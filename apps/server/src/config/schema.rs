//! The table of everything that can be configured: path, type, default, when a change takes effect, meaning.
//!
//! The file's keys, the names in the environment, `config show`, `config explain` and the suggestions for misspelt
//! keys all come from it. It is one table, so it is one file.

/// One configuration field.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its path: `concurrency.maxWorkers`. `[]` stands for a place in a list, `*` for a name of the operator's.
    pub(crate) path: &'static str,
    /// What it may hold.
    pub(crate) kind: Kind,
    /// What it is when nobody says.
    pub(crate) default: Initial,
    /// When a change takes effect.
    pub(crate) reload: Reload,
    /// What it means, in one sentence, in English and Russian. The guides say it in the same words.
    pub(crate) doc: [&'static str; 2],
}

/// What a field may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number between two bounds, inclusive.
    Integer(i64, i64),
    /// A number between two bounds, inclusive.
    Number(f64, f64),
    /// Any text.
    Text,
    /// One of these.
    Choice(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// A list of IP addresses.
    Addresses,
    /// `address:port`.
    Socket,
    /// An `http` or `https` address, or nothing.
    Url,
    /// A number of bytes, or a text such as `"1MiB"`.
    Size,
    /// A reference to a secret: `{ env = "NAME" }` or `{ file = "path" }`.
    Secret,
    /// Log levels: `info,concurrency=debug`.
    Levels,
}

/// What a field is when nobody says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Initial {
    /// This TOML value.
    Value(&'static str),
    /// This TOML value, but the crate that owns the field decides; here it is documentation.
    Owned(&'static str),
    /// Nothing; the words say what happens then, in English and Russian.
    Unset([&'static str; 2]),
    /// It must be given where its list entry is given.
    Required,
}

/// When a change takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reload {
    /// At once.
    Now,
    /// For conversations that begin after it.
    NewConversations,
    /// The platform is connected anew.
    Reconnect,
    /// After a restart.
    Restart,
}

use super::presets::PRESET_NAMES;
use Initial::{Owned, Required, Unset, Value};
use Kind::{Addresses, Choice, Flag, Integer, Levels, Number, Secret, Size, Socket, Text, Texts, Url};
use Reload::{NewConversations, Now, Reconnect, Restart};

const fn field(
    path: &'static str,
    kind: Kind,
    default: Initial,
    reload: Reload,
    doc: [&'static str; 2],
) -> Field {
    Field {
        path,
        kind,
        default,
        reload,
        doc,
    }
}

/// Milliseconds that may be anything up to a hundred years.
const MS: Kind = Integer(1, 3_155_760_000_000);
const MS_OR_OFF: Kind = Integer(0, 3_155_760_000_000);
const COUNT: Kind = Integer(1, 1_000_000_000);
const COUNT_OR_NONE: Kind = Integer(0, 1_000_000_000);
const TIERS: Kind = Choice(&["free", "standard", "premium", "admin"]);
const RATE: Kind = Number(0.001, 1_000_000.0);

/// Names that people know, beside `OPENCLAW__SECTION__FIELD`: each is the value of one field.
pub(crate) const SHORT_NAMES: &[(&str, &str)] = &[
    ("LOG_LEVEL", "logging.level"),
    ("OPENCLAW_DATA_DIR", "storage.dataDir"),
    ("OPENCLAW_ADMIN_TOKEN", "server.adminToken"),
    ("OPENCLAW_API_KEY", "server.apiKey"),
    ("TELEGRAM_BOT_TOKEN", "messenger.telegram.token"),
    ("WEBHOOK_SECRET", "messenger.telegram.secret"),
    ("MAX_BOT_TOKEN", "messenger.max.token"),
    ("WEB_API_KEY", "messenger.web.apiKey"),
];

/// Every field.
#[rustfmt::skip]
pub(crate) const FIELDS: &[Field] = &[
    field("configVersion", Integer(1, 1), Value("1"), Restart, ["Version of this file's format.", "Версия формата этого файла."]),

    field("server.listen", Socket, Value("\"127.0.0.1:3000\""), Restart, ["Address and port to listen on; PORT replaces the port. Anything but loopback needs an admin token and an API key of yours.", "Адрес и порт; порт заменяет PORT. Для всего, кроме loopback, нужны ваши токен администратора и ключ API."]),
    field("server.publicUrl", Url, Value("\"\""), Reconnect, ["The https address people and platforms reach the server by; set, webhooks are registered; empty, Telegram and MAX are polled.", "Адрес https, по которому сервер видят люди и платформы; если задан, регистрируются вебхуки, если нет — Telegram и MAX опрашиваются."]),
    field("server.allowedHosts", Texts, Value("[]"), Restart, ["Names in Host that the server may be called by, beside those of its machine and of server.publicUrl; on another address than loopback an empty list allows all.", "Имена в Host, по которым можно обращаться к серверу, кроме имён его машины и server.publicUrl; если адрес не loopback, пустой список разрешает любые."]),
    field("server.trustedProxies", Addresses, Value("[]"), Restart, ["Proxies whose X-Forwarded-For is believed.", "Прокси, чьему X-Forwarded-For верят."]),
    field("server.bodyLimit", Size, Value("\"1MiB\""), Restart, ["The longest request body.", "Самое длинное тело запроса."]),
    field("server.headerTimeoutMs", MS, Value("10_000"), Restart, ["How long a request's head may take to arrive.", "Сколько может приходить заголовок запроса."]),
    field("server.requestTimeoutMs", MS, Value("30_000"), Restart, ["How long a request's body may take to arrive; streams are exempt.", "Сколько может приходить тело запроса; потоков не касается."]),
    field("server.shutdownGraceMs", MS_OR_OFF, Value("25_000"), Now, ["How long running turns may go on after SIGTERM.", "Сколько могут идти начатые ответы после SIGTERM."]),
    field("server.maxConnections", COUNT, Value("16_384"), Restart, ["Open connections, all addresses together.", "Открытых соединений со всех адресов вместе."]),
    field("server.maxConnectionsPerAddress", COUNT, Value("256"), Restart, ["Open connections of one address; loopback and trusted proxies are exempt.", "Открытых соединений с одного адреса; loopback и доверенных прокси не касается."]),
    field("server.locale", Choice(&["auto", "ru", "en"]), Value("\"auto\""), Now, ["Language of the start on the terminal, and of people whose platform and text tell none; auto: by LC_ALL, LC_MESSAGES or LANG.", "Язык сообщений о запуске в терминале и людей, чей язык не сказан ни платформой, ни текстом; auto: по LC_ALL, LC_MESSAGES или LANG."]),
    field("server.adminToken", Secret, Unset(["made at first start", "создаётся при первом запуске, лежит в каталоге данных"]), Restart, ["The operator's token for console and admin API, at least 16 characters; without one it is made and kept in the data directory.", "Токен оператора для консоли и API администратора, не короче 16 символов."]),
    field("server.apiKey", Secret, Unset(["made at first start", "создаётся при первом запуске, лежит в каталоге данных"]), Restart, ["The operator's API key, tier admin, at least 16 characters; without one it is made and kept in the data directory.", "Ключ API оператора, тир admin, не короче 16 символов."]),

    field("storage.kind", Choice(&["memory", "sqlite"]), Value("\"sqlite\""), Restart, ["Where state is kept; memory forgets everything at exit.", "Где хранится состояние; memory при выходе всё забывает."]),
    field("storage.dataDir", Text, Value("\"\""), Restart, ["The data directory; empty: the platform's own.", "Каталог данных; пусто — обычный для системы."]),
    field("storage.storeTexts", Flag, Value("true"), Restart, ["Whether texts of conversations are stored; false keeps history in memory only.", "Хранить ли тексты разговоров; false — история только в памяти."]),
    field("storage.textRetentionDays", Integer(1, 36_500), Value("30"), Now, ["Days that texts of conversations are kept.", "Сколько дней хранятся тексты разговоров."]),

    field("concurrency.preset", Choice(&["custom", "small", "medium", "large", "xlarge"]), Owned("\"custom\""), Now, ["Pool size by expected load: small < 10 rps, medium 10-50, large 50-200, xlarge > 200; single fields override it.", "Размер пула по ожидаемой нагрузке: small < 10 запросов/с, medium 10–50, large 50–200, xlarge > 200; отдельные поля сильнее."]),
    field("concurrency.runtime", Choice(&["task", "process"]), Value("\"task\""), Restart, ["What a worker is: a task of the server, which asks a model, or a process of yours, which answers in a model's place.", "Что такое воркер: task — задача сервера, которая спрашивает модель; process — ваш процесс, который отвечает вместо модели."]),
    field("concurrency.command", Texts, Unset(["none; needed where runtime is process", "нет; нужна при runtime = \"process\""]), Restart, ["The program a worker process runs and its arguments, such as [\"python3\", \"/srv/worker.py\"].", "Программа процесса-воркера и её аргументы, например [\"python3\", \"/srv/worker.py\"]."]),
    field("concurrency.directory", Text, Unset(["the server's own", "каталог самого сервера"]), Restart, ["The directory worker processes run in.", "Каталог, в котором работают процессы-воркеры."]),
    field("concurrency.env", Texts, Unset(["none", "нет"]), Restart, ["Names of variables that worker processes get from the server's environment, beside PATH, HOME and the like.", "Имена переменных, которые процессы-воркеры получают из окружения сервера, кроме PATH, HOME и им подобных."]),
    field("concurrency.minWorkers", COUNT_OR_NONE, Owned("1"), Now, ["Workers kept alive even when idle.", "Воркеров держится всегда, даже без работы."]),
    field("concurrency.maxWorkers", COUNT, Owned("4"), Now, ["Upper bound of the pool.", "Верхняя граница пула."]),
    field("concurrency.maxQueueSize", COUNT, Owned("32"), Now, ["Waiting requests, all priorities together.", "Ждущих запросов, всех приоритетов вместе."]),
    field("concurrency.workerTimeoutMs", MS, Owned("120_000"), Now, ["One request, from start to end.", "Один запрос, от начала до конца."]),
    field("concurrency.maxRequestsPerWorker", COUNT, Owned("100"), Now, ["Requests after which a worker is recycled.", "Запросов, после которых воркер заменяется."]),
    field("concurrency.memoryLimitMb", COUNT, Owned("512"), Now, ["Memory per worker, in MB, after which it is recycled.", "Памяти на воркер, МБ, после чего он заменяется."]),
    field("concurrency.backpressureThreshold", Number(0.0, 1.0), Owned("0.7"), Now, ["Refuse new requests at or above this level, 0 to 1.", "С этого уровня новые запросы отклоняются, от 0 до 1."]),
    field("concurrency.heartbeatIntervalMs", MS, Owned("5_000"), Now, ["Time between a worker's heartbeats.", "Время между сигналами воркера."]),
    field("concurrency.stuckThresholdMs", MS, Owned("60_000"), Now, ["Without a heartbeat for this long a worker is stuck.", "Без сигнала столько времени воркер считается застрявшим."]),
    field("concurrency.starvationLimitMs", MS, Owned("30_000"), Now, ["A request that has waited longer is served next, whatever its priority.", "Запрос, ждущий дольше, берётся следующим при любом приоритете."]),
    field("concurrency.latencyWindowMs", MS, Owned("300_000"), Now, ["The window of avgLatencyMs, p95LatencyMs and p99LatencyMs.", "Окно для avgLatencyMs, p95LatencyMs и p99LatencyMs."]),

    field("streaming.flushTokenThreshold", COUNT, Owned("50"), NewConversations, ["Tokens gathered before they are shown.", "Токенов копится, прежде чем показать."]),
    field("streaming.flushTimeoutMs", MS, Owned("500"), NewConversations, ["Nothing is held back longer.", "Дольше ничего не задерживается."]),
    field("streaming.maxMessageLength", COUNT_OR_NONE, Owned("4_096"), NewConversations, ["Longest message; 0 is unlimited. The platform's own limit counts when it is lower.", "Самое длинное сообщение; 0 — без предела. Более низкий предел платформы сильнее."]),
    field("streaming.typingIndicatorIntervalMs", MS_OR_OFF, Owned("4_000"), NewConversations, ["Time between typing indicators; 0 is off.", "Время между индикаторами набора; 0 — выключено."]),
    field("streaming.telegram.flushTokenThreshold", COUNT, Owned("50"), NewConversations, ["Tokens gathered before they are shown in Telegram.", "Токенов копится, прежде чем показать в Telegram."]),
    field("streaming.telegram.flushTimeoutMs", MS, Owned("500"), NewConversations, ["Nothing is held back longer in Telegram.", "В Telegram дольше ничего не задерживается."]),
    field("streaming.telegram.maxMessageLength", COUNT_OR_NONE, Owned("4_096"), NewConversations, ["Longest message in Telegram.", "Самое длинное сообщение в Telegram."]),
    field("streaming.telegram.typingIndicatorIntervalMs", MS_OR_OFF, Owned("4_000"), NewConversations, ["Time between typing indicators in Telegram; 0 is off.", "Время между индикаторами набора в Telegram; 0 — выключено."]),
    field("streaming.max.flushTokenThreshold", COUNT, Owned("50"), NewConversations, ["Tokens gathered before they are shown in MAX.", "Токенов копится, прежде чем показать в MAX."]),
    field("streaming.max.flushTimeoutMs", MS, Owned("500"), NewConversations, ["Nothing is held back longer in MAX.", "В MAX дольше ничего не задерживается."]),
    field("streaming.max.maxMessageLength", COUNT_OR_NONE, Owned("4_096"), NewConversations, ["Longest message in MAX.", "Самое длинное сообщение в MAX."]),
    field("streaming.max.typingIndicatorIntervalMs", MS_OR_OFF, Owned("4_000"), NewConversations, ["Time between typing indicators in MAX; 0 is off.", "Время между индикаторами набора в MAX; 0 — выключено."]),
    field("streaming.web.flushTokenThreshold", COUNT, Owned("20"), NewConversations, ["Tokens gathered before they are shown on the chat page.", "Токенов копится, прежде чем показать на странице чата."]),
    field("streaming.web.flushTimeoutMs", MS, Owned("200"), NewConversations, ["Nothing is held back longer on the chat page.", "На странице чата дольше ничего не задерживается."]),
    field("streaming.web.maxMessageLength", COUNT_OR_NONE, Owned("0"), NewConversations, ["Longest message on the chat page; 0 is unlimited.", "Самое длинное сообщение на странице чата; 0 — без предела."]),
    field("streaming.web.typingIndicatorIntervalMs", MS_OR_OFF, Owned("4_000"), NewConversations, ["Time between typing indicators on the chat page; 0 is off.", "Время между индикаторами набора на странице чата; 0 — выключено."]),
    field("streaming.api.flushTokenThreshold", COUNT, Owned("50"), NewConversations, ["Tokens gathered before they are sent on the native API.", "Токенов копится, прежде чем послать по собственному API."]),
    field("streaming.api.flushTimeoutMs", MS, Owned("500"), NewConversations, ["Nothing is held back longer on the native API.", "По собственному API дольше ничего не задерживается."]),
    field("streaming.api.maxMessageLength", COUNT_OR_NONE, Owned("0"), NewConversations, ["Longest message on the native API; 0 is unlimited.", "Самое длинное сообщение по собственному API; 0 — без предела."]),
    field("streaming.api.typingIndicatorIntervalMs", MS_OR_OFF, Owned("0"), NewConversations, ["Time between typing indicators on the native API; 0 is off.", "Время между индикаторами набора по собственному API; 0 — выключено."]),

    field("messenger.instances", COUNT, Value("1"), Now, ["Servers that share the platforms' limits; the limits are divided by it.", "Серверов, делящих пределы платформ; пределы делятся на это число."]),
    field("messenger.rateLimits.telegram.rps", RATE, Owned("30"), Now, ["Calls a second to Telegram, per chat and per bot.", "Вызовов Telegram в секунду, на чат и на бота."]),
    field("messenger.rateLimits.telegram.burstSize", COUNT, Owned("30"), Now, ["Calls at once to Telegram, per chat and per bot.", "Вызовов Telegram сразу, на чат и на бота."]),
    field("messenger.rateLimits.max.rps", RATE, Owned("20"), Now, ["Calls a second to MAX, per chat and per bot.", "Вызовов MAX в секунду, на чат и на бота."]),
    field("messenger.rateLimits.max.burstSize", COUNT, Owned("20"), Now, ["Calls at once to MAX, per chat and per bot.", "Вызовов MAX сразу, на чат и на бота."]),
    field("messenger.rateLimits.web.rps", RATE, Owned("100"), Now, ["Requests a second of one web visitor.", "Запросов в секунду от одного посетителя."]),
    field("messenger.rateLimits.web.burstSize", COUNT, Owned("100"), Now, ["Requests at once of one web visitor.", "Запросов сразу от одного посетителя."]),
    field("messenger.rateLimits.api.rps", RATE, Owned("100"), Now, ["Requests a second of one API key.", "Запросов в секунду с одним ключом API."]),
    field("messenger.rateLimits.api.burstSize", COUNT, Owned("100"), Now, ["Requests at once of one API key.", "Запросов сразу с одним ключом API."]),
    field("messenger.telegram.token", Secret, Unset(["Telegram is off", "Telegram выключен"]), Reconnect, ["The bot's token.", "Токен бота."]),
    field("messenger.telegram.secret", Secret, Unset(["webhooks are not taken without it", "без него вебхук не принимается"]), Reconnect, ["The webhook secret that Telegram sends back.", "Секрет вебхука, который Telegram присылает обратно."]),
    field("messenger.telegram.mode", Choice(&["auto", "polling", "webhook"]), Value("\"auto\""), Reconnect, ["How updates arrive; auto: webhook when server.publicUrl is set, else long polling.", "Как приходят обновления; auto: вебхук, если задан server.publicUrl, иначе опрос."]),
    field("messenger.telegram.streamMode", Choice(&["auto", "draft", "edit", "off"]), Value("\"auto\""), NewConversations, ["How an answer grows in the chat; auto: drafts where Telegram has them, edits elsewhere.", "Как ответ растёт в чате; auto: черновики, где они есть, иначе правки."]),
    field("messenger.telegram.baseUrl", Url, Value("\"https://api.telegram.org\""), Reconnect, ["The Bot API server.", "Сервер Bot API."]),
    field("messenger.telegram.groups", Choice(&["addressed", "all", "off"]), Value("\"addressed\""), Now, ["When the bot answers in groups.", "Когда бот отвечает в группах."]),
    field("messenger.telegram.privateChat.rps", RATE, Unset(["the adapter's own limit", "предел адаптера"]), Reconnect, ["Calls a second to one private chat.", "Вызовов в секунду в один личный чат."]),
    field("messenger.telegram.privateChat.burstSize", COUNT, Unset(["the adapter's own limit", "предел адаптера"]), Reconnect, ["Calls at once to one private chat.", "Вызовов сразу в один личный чат."]),
    field("messenger.telegram.groupChat.rps", RATE, Unset(["the adapter's own limit", "предел адаптера"]), Reconnect, ["Calls a second to one group.", "Вызовов в секунду в одну группу."]),
    field("messenger.telegram.groupChat.burstSize", COUNT, Unset(["the adapter's own limit", "предел адаптера"]), Reconnect, ["Calls at once to one group.", "Вызовов сразу в одну группу."]),
    field("messenger.max.token", Secret, Unset(["MAX is off", "MAX выключен"]), Reconnect, ["The token of the MAX bot.", "Токен бота MAX."]),
    field("messenger.max.secret", Secret, Unset(["made by the server, which registers the webhook with it", "создаёт сам сервер и с ним регистрирует вебхук"]), Reconnect, ["The webhook secret that MAX sends back; needed only where the webhook is registered by hand.", "Секрет вебхука, который MAX присылает обратно; нужен, только если вебхук регистрируют вручную."]),
    field("messenger.max.mode", Choice(&["auto", "polling", "webhook"]), Value("\"auto\""), Reconnect, ["How updates of MAX arrive; auto: webhook when server.publicUrl is set, else long polling.", "Как приходят обновления MAX; auto: вебхук, если задан server.publicUrl, иначе опрос."]),
    field("messenger.max.streamMode", Choice(&["auto", "edit", "off"]), Value("\"auto\""), NewConversations, ["How an answer grows in a chat of MAX; auto: by edits.", "Как ответ растёт в чате MAX; auto: правками."]),
    field("messenger.max.baseUrl", Url, Value("\"https://platform-api2.max.ru\""), Reconnect, ["The API server of MAX.", "Сервер API MAX."]),
    field("messenger.max.rootCertificate", Text, Unset(["the system's certificates alone", "только сертификаты системы"]), Reconnect, ["A PEM file of certificates trusted for MAX beside the system's, such as those of Russia's state root.", "Файл PEM с сертификатами, которым верят для MAX кроме системных, например корневые Минцифры."]),
    field("messenger.max.groups", Choice(&["addressed", "all", "off"]), Value("\"addressed\""), Now, ["When the bot answers in groups of MAX.", "Когда бот отвечает в группах MAX."]),
    field("messenger.max.privateChat.rps", RATE, Unset(["the adapter's own limit", "предел адаптера"]), Reconnect, ["Calls a second to one private chat of MAX.", "Вызовов в секунду в один личный чат MAX."]),
    field("messenger.max.privateChat.burstSize", COUNT, Unset(["the adapter's own limit", "предел адаптера"]), Reconnect, ["Calls at once to one private chat of MAX.", "Вызовов сразу в один личный чат MAX."]),
    field("messenger.max.groupChat.rps", RATE, Unset(["the adapter's own limit", "предел адаптера"]), Reconnect, ["Calls a second to one group of MAX.", "Вызовов в секунду в одну группу MAX."]),
    field("messenger.max.groupChat.burstSize", COUNT, Unset(["the adapter's own limit", "предел адаптера"]), Reconnect, ["Calls at once to one group of MAX.", "Вызовов сразу в одну группу MAX."]),
    field("messenger.web.enabled", Flag, Value("true"), Restart, ["Whether the chat page is served.", "Показывать ли страницу чата."]),
    field("messenger.web.apiKey", Secret, Unset(["no such key", "такого ключа нет"]), Restart, ["A key of the web platform, for sites that speak for their visitors.", "Ключ веб-платформы для сайтов, которые говорят за своих посетителей."]),

    field("ai-fabric.budgetScope", Choice(&["tenant", "user"]), Owned("\"tenant\""), Now, ["Whose tokens are counted together: one chat's, or all chats' of one person.", "Чьи токены считаются вместе: одного чата или всех чатов одного человека."]),
    field("ai-fabric.localOllama", Url, Value("\"http://127.0.0.1:11434\""), Now, ["Where an Ollama is looked for when no provider is configured or named by the environment; a short look at start.", "Где искать Ollama, если провайдер не задан ни в настройках, ни в окружении; проверка при запуске короткая."]),
    field("ai-fabric.budgets.free", Integer(-1, i64::MAX), Owned("10_000"), Now, ["Tokens per 24 h; -1 is unlimited.", "Токенов за 24 ч; -1 — без предела."]),
    field("ai-fabric.budgets.standard", Integer(-1, i64::MAX), Owned("100_000"), Now, ["Tokens per 24 h; -1 is unlimited.", "Токенов за 24 ч; -1 — без предела."]),
    field("ai-fabric.budgets.premium", Integer(-1, i64::MAX), Owned("1_000_000"), Now, ["Tokens per 24 h; -1 is unlimited.", "Токенов за 24 ч; -1 — без предела."]),
    field("ai-fabric.budgets.admin", Integer(-1, i64::MAX), Owned("-1"), Now, ["Tokens per 24 h; -1 is unlimited.", "Токенов за 24 ч; -1 — без предела."]),
    field("ai-fabric.budgets.freeTotal", Integer(-1, i64::MAX), Owned("-1"), Now, ["Tokens per 24 h of all free accounts together; -1 is unlimited.", "Токенов за 24 ч на все бесплатные счета вместе; -1 — без предела."]),
    field("ai-fabric.firstTokenTimeoutMs", MS, Owned("30_000"), Now, ["How long a model may take to say its first word.", "Сколько модель может молчать до первого слова."]),
    field("ai-fabric.idleTimeoutMs", MS, Owned("30_000"), Now, ["How long a model may be silent in the middle of an answer.", "Сколько модель может молчать посреди ответа."]),
    field("ai-fabric.limitWaitMs", MS_OR_OFF, Owned("1_000"), Now, ["How long a request waits for its provider's limit while another model could be asked.", "Сколько запрос ждёт предела своего провайдера, пока можно спросить другую модель."]),
    field("ai-fabric.fallback.primaryModel", Text, Unset(["chosen by the selector", "выбирает селектор"]), Now, ["The model a request asks first.", "Модель, которую спрашивают первой."]),
    field("ai-fabric.fallback.fallbacks", Texts, Owned("[]"), Now, ["The models asked when it fails, in order.", "Модели, которые спрашивают, если она не ответила, по порядку."]),
    field("ai-fabric.fallback.maxRetries", Integer(0, 20), Owned("2"), Now, ["Retries of each model after its first attempt.", "Повторов каждой модели после первой попытки."]),
    field("ai-fabric.fallback.retryDelayMs", MS_OR_OFF, Owned("1_000"), Now, ["Delay before the first retry; it doubles.", "Пауза перед первым повтором; дальше удваивается."]),
    field("ai-fabric.fallback.retriesPerMinute", COUNT_OR_NONE, Owned("10"), Now, ["Retries a minute that are always allowed, all requests together.", "Повторов в минуту, которые разрешены всегда, на все запросы вместе."]),
    field("ai-fabric.fallback.retryPercent", Integer(0, 100), Owned("20"), Now, ["Retries and fallbacks beyond that, in per cent of the requests of the minute.", "Повторов и переходов сверх того, в процентах от запросов за минуту."]),
    field("ai-fabric.circuit.failures", COUNT, Owned("5"), Now, ["Failures in a row after which a model is left alone.", "Сбоев подряд, после которых модель оставляют в покое."]),
    field("ai-fabric.circuit.openMs", MS, Owned("30_000"), Now, ["How long it is left alone before one probe.", "На сколько её оставляют в покое, прежде чем попробовать один раз."]),
    field("ai-fabric.circuit.benchMs", MS, Owned("60_000"), Now, ["How long it is left alone when a key was refused or a quota is used up.", "На сколько её оставляют в покое, если ключ отвергнут или квота исчерпана."]),
    field("ai-fabric.providers[].id", Text, Required, Now, ["The provider's name in logs and metrics.", "Имя провайдера в журнале и метриках."]),
    field("ai-fabric.providers[].kind", Choice(&["openai", "anthropic", "gigachat", "ollama", "command", "demo"]), Unset(["openai, where there is a preset", "openai, если задан preset"]), Now, ["What it speaks.", "На каком языке он говорит."]),
    field("ai-fabric.providers[].preset", Choice(PRESET_NAMES), Unset(["none", "нет"]), Now, ["Whose OpenAI-compatible API it is: fills in the address and what it does not take.", "Чей это API, совместимый с OpenAI: подставляет адрес и то, чего он не принимает."]),
    field("ai-fabric.providers[].name", Text, Unset(["the id", "как id"]), Now, ["The provider's name for people.", "Имя провайдера для людей."]),
    field("ai-fabric.providers[].baseUrl", Url, Unset(["the address of the kind or preset", "адрес вида или preset"]), Now, ["Where its API begins, such as https://llm.example.net/v1.", "Где начинается его API, например https://llm.example.net/v1."]),
    field("ai-fabric.providers[].apiKey", Secret, Unset(["no key is sent", "ключ не посылается"]), Now, ["Its key, by reference; of GigaChat the authorization key.", "Его ключ, ссылкой; у GigaChat — ключ авторизации."]),
    field("ai-fabric.providers[].folder", Text, Unset(["none", "нет"]), Now, ["The cloud folder that YandexGPT's models belong to.", "Каталог облака, которому принадлежат модели YandexGPT."]),
    field("ai-fabric.providers[].scope", Choice(&["GIGACHAT_API_PERS", "GIGACHAT_API_B2B", "GIGACHAT_API_CORP"]), Owned("\"GIGACHAT_API_PERS\""), Now, ["On whose behalf GigaChat is called: a person, or a company that pays before or after.", "От чьего имени вызывается GigaChat: человек или компания с оплатой до или после."]),
    field("ai-fabric.providers[].authUrl", Url, Unset(["GigaChat's own address", "адрес самого GigaChat"]), Now, ["Where GigaChat's key is exchanged for a token.", "Где ключ GigaChat обменивается на токен."]),
    field("ai-fabric.providers[].rootCertificate", Text, Unset(["the system's roots alone", "только корни системы"]), Now, ["A PEM file with certificates that are trusted beside the system's.", "Файл PEM с сертификатами, которым доверяют сверх системных."]),
    field("ai-fabric.providers[].proxy", Url, Unset(["none", "нет"]), Now, ["The proxy its calls go through.", "Прокси, через который идут его вызовы."]),
    field("ai-fabric.providers[].streamUsage", Flag, Unset(["true, unless the preset knows better", "true, если preset не знает иного"]), Now, ["Whether usage is asked for with stream_options; a few servers refuse what they do not know.", "Спрашивать ли расход через stream_options; немногие серверы отвергают незнакомое."]),
    field("ai-fabric.providers[].maxTokensField", Choice(&["auto", "max_tokens", "max_completion_tokens"]), Unset(["auto, unless the preset knows better", "auto, если preset не знает иного"]), Now, ["The field that holds the longest answer; auto: by the model's name.", "Поле с наибольшей длиной ответа; auto: по имени модели."]),
    field("ai-fabric.providers[].contextTokens", COUNT, Unset(["Ollama's own, which is small", "как решит Ollama, а это немного"]), Now, ["The context an Ollama loads its models with.", "Контекст, с которым Ollama загружает модели."]),
    field("ai-fabric.providers[].keepAlive", Text, Unset(["Ollama's own", "как решит Ollama"]), Now, ["How long an Ollama keeps a model loaded, in its words: 10m, -1.", "Сколько Ollama держит модель загруженной, её словами: 10m, -1."]),
    field("ai-fabric.providers[].program", Text, Unset(["none", "нет"]), Now, ["The program that answers: a path, or a name of PATH. No shell reads it.", "Программа, которая отвечает: путь или имя из PATH. Оболочка её не читает."]),
    field("ai-fabric.providers[].args", Texts, Owned("[]"), Now, ["Its arguments, each as it stands; {model} and {correlationId} are filled in.", "Её аргументы, каждый как есть; подставляются {model} и {correlationId}."]),
    field("ai-fabric.providers[].directory", Text, Unset(["where the server runs", "где работает сервер"]), Now, ["Where the program runs.", "Где программа выполняется."]),
    field("ai-fabric.providers[].output", Choice(&["text", "jsonLines"]), Owned("\"text\""), Now, ["How the program writes its answer.", "Как программа пишет ответ."]),
    field("ai-fabric.providers[].maxOutputBytes", Size, Owned("\"8MiB\""), Now, ["The most the program may write.", "Сколько программа может написать самое большее."]),
    field("ai-fabric.providers[].environment.*", Text, Unset(["none", "нет"]), Now, ["A variable of the program's environment.", "Переменная окружения программы."]),
    field("ai-fabric.providers[].secretEnvironment.*", Secret, Unset(["none", "нет"]), Now, ["A variable of the program's environment that is a secret, by reference.", "Секретная переменная окружения программы, ссылкой."]),
    field("ai-fabric.providers[].priority", Integer(-1_000_000, 1_000_000), Owned("0"), Now, ["Breaks ties between models; higher is preferred.", "Решает между равными моделями; большее предпочтительнее."]),
    field("ai-fabric.providers[].anyModel", Flag, Value("false"), Now, ["Whether models that are not listed may be named too.", "Можно ли называть и модели не из списка."]),
    field("ai-fabric.providers[].headers.*", Text, Unset(["none", "нет"]), Now, ["A header sent with every call.", "Заголовок при каждом вызове."]),
    field("ai-fabric.providers[].secretHeaders.*", Secret, Unset(["none", "нет"]), Now, ["A header sent with every call that is a secret, by reference.", "Секретный заголовок при каждом вызове, ссылкой."]),
    field("ai-fabric.providers[].wordDelayMs", MS_OR_OFF, Owned("15"), Now, ["The pause between words of the demo provider.", "Пауза между словами провайдера demo."]),
    field("ai-fabric.providers[].rateLimit.requestsPerMinute", COUNT, Unset(["not limited", "без ограничения"]), Now, ["Requests in any 60 s.", "Запросов за любые 60 с."]),
    field("ai-fabric.providers[].rateLimit.tokensPerMinute", COUNT, Unset(["not limited", "без ограничения"]), Now, ["Tokens in any 60 s.", "Токенов за любые 60 с."]),
    field("ai-fabric.providers[].rateLimit.concurrentRequests", COUNT, Unset(["not limited", "без ограничения"]), Now, ["Requests at once.", "Запросов одновременно."]),
    field("ai-fabric.providers[].models[].id", Text, Required, Now, ["The model, as the provider names it.", "Модель, как её называет провайдер."]),
    field("ai-fabric.providers[].models[].aliases", Texts, Owned("[]"), Now, ["Other names it is asked for by.", "Другие имена, под которыми её спрашивают."]),
    field("ai-fabric.providers[].models[].name", Text, Unset(["the id", "как id"]), Now, ["The model's name for people.", "Имя модели для людей."]),
    field("ai-fabric.providers[].models[].contextWindow", COUNT, Owned("128_000"), Now, ["Tokens it can hold.", "Сколько токенов она вмещает."]),
    field("ai-fabric.providers[].models[].maxOutputTokens", COUNT, Owned("16_384"), Now, ["Tokens it can answer with.", "Сколько токенов может быть в ответе."]),
    field("ai-fabric.providers[].models[].costPer1kInput", Number(0.0, 1_000_000.0), Owned("0.0"), Now, ["Price of 1 000 input tokens.", "Цена 1 000 токенов запроса."]),
    field("ai-fabric.providers[].models[].costPer1kOutput", Number(0.0, 1_000_000.0), Owned("0.0"), Now, ["Price of 1 000 output tokens.", "Цена 1 000 токенов ответа."]),
    field("ai-fabric.providers[].models[].capabilities", Texts, Owned("[\"chat\", \"tool_use\", \"streaming\"]"), Now, ["What it can: chat, code, vision, tool_use, streaming, function_calling.", "Что она умеет: chat, code, vision, tool_use, streaming, function_calling."]),
    field("ai-fabric.providers[].models[].requiredTier", TIERS, Owned("\"free\""), Now, ["The lowest tier that may use it.", "Низший тир, которому она доступна."]),

    field("session.ttlMs", MS, Owned("3_600_000"), Now, ["A session expires this long after its last activity.", "Сессия истекает через столько после последней активности."]),
    field("session.maxHistoryTokens", COUNT, Owned("100_000"), NewConversations, ["Tokens of earlier conversation that a model is told.", "Сколько токенов прежнего разговора сообщается модели."]),
    field("session.historyPolicy", Choice(&["keep", "forget"]), Owned("\"keep\""), NewConversations, ["What a new session keeps of the earlier conversation.", "Что новая сессия сохраняет от прежнего разговора."]),
    field("session.cleanupIntervalMs", MS, Owned("60_000"), Now, ["Time between clean-ups of expired sessions.", "Время между уборками истекших сессий."]),
    field("session.defaultTier", TIERS, Owned("\"free\""), Now, ["The tier of a tenant at first contact.", "Тир при первом обращении."]),
    field("session.maxReplyTokens", COUNT, Value("2_048"), Now, ["The output a chat's turn asks for.", "Какой длины ответ запрашивается в чате."]),
    field("session.systemPrompt", Text, Value("\"\""), NewConversations, ["What every conversation begins with; empty: nothing.", "С чего начинается каждый разговор; пусто — ни с чего."]),

    field("plugins.hookTimeoutMs", MS, Owned("1_000"), Now, ["A hook that takes longer is skipped.", "Хук, который идёт дольше, пропускается."]),
    field("plugins.failuresToError", COUNT, Owned("5"), Now, ["Failures in a row after which a plugin goes to error.", "Сбоев подряд, после которых плагин переходит в error."]),

    field("inbox.maxOpen", COUNT, Value("100_000"), Now, ["Accepted messages without an answer; beyond it webhooks get 503.", "Принятых сообщений без ответа; сверх того вебхуки получают 503."]),
    field("inbox.admissionDeadlineMs", MS, Value("120_000"), Now, ["How long an accepted message may wait for the pool before it is refused in words.", "Сколько принятое сообщение может ждать пула, прежде чем ему откажут словами."]),
    field("inbox.replayMaxAgeMs", MS, Value("3_600_000"), Now, ["At start, older messages are closed with an apology instead of an answer.", "Более старые сообщения при запуске закрываются извинением вместо ответа."]),
    field("inbox.maxAttempts", Integer(1, 100), Value("3"), Now, ["Crashed attempts after which a message is set aside.", "Прерванных попыток, после которых сообщение откладывается."]),

    field("logging.level", Levels, Value("\"info\""), Now, ["trace, debug, info, warn, error or fatal; also by module: info,concurrency=debug.", "trace, debug, info, warn, error или fatal; также по модулям: info,concurrency=debug."]),
    field("logging.format", Choice(&["auto", "pretty", "json"]), Value("\"auto\""), Restart, ["Form of a line; auto: readable on a terminal, JSON elsewhere.", "Вид строки; auto: читаемый в терминале, иначе JSON."]),
    field("logging.levels.*", Choice(&["trace", "debug", "info", "warn", "error", "fatal", "off"]), Unset(["logging.level", "как logging.level"]), Now, ["The level of one module.", "Уровень одного модуля."]),
];

// === impl Field ===

impl Field {
    /// Its name in the environment: `OPENCLAW__CONCURRENCY__MAX_WORKERS`. Places in lists are written as `N`, free
    /// names as `NAME`.
    pub(crate) fn env_name(&self) -> String {
        let mut name = String::from("OPENCLAW");
        for segment in segments(self.path) {
            name.push_str("__");
            match segment {
                "[]" => name.push('N'),
                "*" => name.push_str("NAME"),
                plain => name.push_str(&upper_snake(plain)),
            }
        }
        name
    }

    /// The short name it is also known by.
    pub(crate) fn short_name(&self) -> Option<&'static str> {
        SHORT_NAMES
            .iter()
            .find(|(_, path)| *path == self.path)
            .map(|(name, _)| *name)
    }
}

// === impl Kind ===

impl Kind {
    /// What a value must be, for people.
    pub(crate) fn expected(self, texts: crate::texts::Texts) -> String {
        match self {
            Flag => texts.expected_flag(),
            Integer(min, i64::MAX) => texts.expected_integer_from(min),
            Integer(min, max) => texts.expected_integer(min, max),
            Number(min, max) => texts.expected_number(min, max),
            Text => texts.expected_text(),
            Choice(choices) => texts.expected_choice(&choices.join(", ")),
            Texts => texts.expected_texts(),
            Addresses => texts.expected_addresses(),
            Socket => texts.expected_socket(),
            Url => texts.expected_url(),
            Size => texts.expected_size(),
            Secret => texts.expected_secret(),
            Levels => texts.expected_levels(),
        }
    }
}

/// The segments of a schema path; `[]` is one of its own.
pub(crate) fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('.').flat_map(|part| {
        let (name, list) = match part.strip_suffix("[]") {
            Some(name) => (name, Some("[]")),
            None => (part, None),
        };
        std::iter::once(name).chain(list)
    })
}

/// `maxWorkers` as `MAX_WORKERS`, `ai-fabric` as `AI_FABRIC`, `costPer1kInput` as `COST_PER1K_INPUT`.
pub(crate) fn upper_snake(name: &str) -> String {
    let mut upper = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            upper.push('_');
            upper.push(c);
        } else if c == '-' {
            upper.push('_');
        } else {
            upper.extend(c.to_uppercase());
        }
    }
    upper
}

/// Whether a change of this path counts as soon as the server reads its configuration again. What is not here needs a
/// restart, whatever its class promises for a later version.
pub(crate) fn applies_at_once(path: &str) -> bool {
    path == "logging.level" || path.starts_with("logging.levels.") || path.starts_with("ai-fabric.")
}

/// The field of a schema path.
pub(crate) fn find(path: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.path == path)
}
