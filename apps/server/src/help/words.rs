//! The texts of the command line in Russian, by their English ones.

use crate::texts::in_russian;

/// What clap shows of commands, arguments and options.
#[rustfmt::skip]
pub(super) const HELP: &[(&str, &str)] = &[
    ("A self-hosted server that runs AI agents for many tenants at once.", "Собственный сервер, на котором ИИ-агенты отвечают сразу многим пользователям."),
    ("Start the server; no file needed", "Запустить сервер; файл не нужен"),
    ("Show on one screen how the running server is doing", "Показать на одном экране, как дела у работающего сервера"),
    ("Say by the exit code whether the server is well, for health checks of containers; needs no token", "Сказать кодом завершения, здоров ли сервер: для проверок контейнера; токен не нужен"),
    ("Only whether the process answers", "Только то, отвечает ли процесс"),
    ("Only whether messages are taken, without the list of checks", "Только то, принимаются ли сообщения, без списка проверок"),
    ("Send a message to the running server and print the answer as it comes", "Отправить сообщение работающему серверу и печатать ответ по мере поступления"),
    ("Make, list and take back API keys", "Создать, перечислить, отозвать ключи API"),
    ("See the workers, let them go, kill them", "Посмотреть воркеров, отпустить, остановить"),
    ("See what waits, stop handing it out, drop it", "Посмотреть очередь, приостановить, убрать из неё"),
    ("List models, say which one a request would get and why, try whether they answer", "Перечислить модели, сказать, какая и почему достанется запросу, проверить, отвечают ли они"),
    ("Show, explain and reset token budgets; report what was spent", "Показать, объяснить, обнулить бюджеты токенов; отчёт о расходе"),
    ("Look at the configuration, and let the running server read it again", "Посмотреть конфигурацию и дать работающему серверу перечитать её"),
    ("Print what a shell needs to complete commands", "Напечатать то, что нужно оболочке для дополнения команд"),
    ("For which shell", "Для какой оболочки"),
    ("Print the version", "Напечатать версию"),
    ("The configuration file; without it, openclaw.toml in the data directory if it is there", "Файл конфигурации; без него — openclaw.toml из каталога данных, если он там есть"),
    ("Where everything is kept: in memory, where nothing survives the process, or in one file of the data directory", "Где всё хранится: в памяти (с процессом всё забудется) или в одном файле каталога данных"),
    ("Where the server keeps its data", "Где сервер держит данные"),
    ("The address to listen on", "На каком адресе слушать"),
    ("One field of the configuration, such as concurrency.maxWorkers=8; may be repeated", "Одно поле конфигурации, например concurrency.maxWorkers=8; можно повторять"),
    ("The server's address; found through the data directory without it", "Адрес сервера; без него находится через каталог данных"),
    ("The data directory of the server", "Каталог данных сервера"),
    ("As JSON", "В виде JSON"),
    ("What to say; from standard input when it is \"-\"", "Что сказать; «-» — взять со стандартного ввода"),
    ("Which model; the server chooses without it", "Какая модель; без этого выбирает сервер"),
    ("Make a key; it is printed once and never again", "Создать ключ; он печатается один раз"),
    ("Whose it is: a name of your choice, without colons; without it, somebody new", "Чей он: имя на ваш выбор, без двоеточий; без этого — кто-то новый"),
    ("What it grants: free, standard, premium or admin", "Что он даёт: free, standard, premium или admin"),
    ("When it ends by itself: 90d, 12h, 30m; never without it", "Когда кончится сам: 90d, 12h, 30m; без этого — никогда"),
    ("Without the limits of messenger.rateLimits.api", "Без ограничений messenger.rateLimits.api"),
    ("List the keys, without the keys themselves", "Перечислить ключи, не показывая их самих"),
    ("Take a key back; a running server refuses it from then on", "Отозвать ключ; работающий сервер сразу перестаёт его принимать"),
    ("The key's id as `openclaw keys list` shows it, the beginning of one, or the key itself", "Номер ключа, как в `openclaw keys list`, его начало или сам ключ"),
    ("Print every value and where it came from", "Напечатать все значения и откуда они взялись"),
    ("Find every fault at once", "Найти сразу все ошибки"),
    ("Let the running server read its configuration again; says what needs a restart", "Дать работающему серверу перечитать конфигурацию; сказать, что ждёт перезапуска"),
    ("Say what a field means, where its value came from and what it may be; of a section, list the fields", "Сказать, что значит поле, откуда его значение и каким оно может быть; у раздела — перечислить поля"),
    ("The field or section, such as concurrency.maxWorkers or concurrency", "Поле или раздел, например concurrency.maxWorkers или concurrency"),
    ("List the workers, what they do and for whom", "Перечислить воркеров: что делают и для кого"),
    ("Only those of this state", "Только в этом состоянии"),
    ("End a worker at once; its request ends with an error", "Остановить воркера сразу; его запрос завершится ошибкой"),
    ("The worker's number, as `openclaw workers list` shows it", "Номер воркера, как в `openclaw workers list`"),
    ("Let a worker go after its request and have a new one take its place", "Отпустить воркера после его запроса; место займёт новый"),
    ("Say how many workers the load asks for", "Сказать, сколько воркеров нужно при такой нагрузке"),
    ("For this many requests a second, such as 60rps, instead of the present load; asks no server", "Для стольких запросов в секунду, например 60rps, вместо нынешней нагрузки; сервер не нужен"),
    ("Show what waits for a worker, in the inbox and in the pool", "Показать, что ждёт воркера в inbox и в пуле"),
    ("Count by this", "По чему считать"),
    ("Hand nothing to workers; what comes in is accepted and waits", "Ничего не отдавать воркерам; входящее принимается и ждёт"),
    ("Hand work to workers again", "Снова отдавать работу воркерам"),
    ("Take something out of the queue; whoever asked is told that there will be no answer", "Убрать из очереди; спросившему скажут, что ответа не будет"),
    ("What to take out: turn_N or call_N, as `openclaw queue show` shows it", "Что убрать: turn_N или call_N, как в `openclaw queue show`"),
    ("List the models, with provider, price, circuit and how quick they are to begin", "Перечислить модели: провайдер, цена, предохранитель, как быстро начинают отвечать"),
    ("Also the providers' limits and what is left of them", "Ещё и лимиты провайдеров и что от них осталось"),
    ("Say which model a request would get, with every model's score or what stands against it", "Сказать, какая модель достанется запросу, с баллами каждой или тем, что ей мешает"),
    ("For this tenant: its id, or a part of it", "Для этого тенанта: его id или часть id"),
    ("What the request needs; several with commas", "Что нужно запросу; несколько — через запятую"),
    ("How long the request is, in tokens", "Длина запроса в токенах"),
    ("Ask one model, or all that are listed, one small question; the provider charges for it", "Задать одной модели или всем из списка маленький вопрос; провайдер возьмёт за него плату"),
    ("The model, as `openclaw models list` shows it; all without it", "Модель, как в `openclaw models list`; без этого — все"),
    ("The configuration file, for when no server runs; without it, openclaw.toml in the data directory if it is there", "Файл конфигурации на случай, когда сервер не запущен; без него — openclaw.toml из каталога данных, если он там есть"),
    ("Show what a tenant has used and has left", "Показать, сколько тенант израсходовал и сколько осталось"),
    ("The tenant: its id, or a part of it that only one has; api:USER for a key's user", "Тенант: id или часть id, которая есть только у него; api:USER — пользователь ключа"),
    ("Say since when, by whom and for what it was used, and whether the next turn is refused", "Сказать, с каких пор, кем и на что израсходовано и откажут ли следующему запросу"),
    ("Start a tenant's budget over", "Начать бюджет тенанта заново"),
    ("Add up what was spent", "Подсчитать расход"),
    ("By what", "По чему считать"),
    ("How far back, from midnight UTC of its first day: 7d, 24h, 4w", "За какое время, с полуночи UTC первого дня: 7d, 24h, 4w"),
    ("Only this tenant", "Только этот тенант"),
    ("Do not ask", "Не спрашивать"),
    ("Say what would happen and do nothing", "Сказать, что было бы сделано, и ничего не делать"),
];

/// What is said of a value that cannot be read.
#[rustfmt::skip]
pub(super) const VALUES: &[(&str, &str)] = &[
    ("expected an address with a port, such as 127.0.0.1:3000 or 0.0.0.0:80", "нужен адрес с портом, например 127.0.0.1:3000 или 0.0.0.0:80"),
    ("expected a number and a unit, such as 90d, 12h, 30m, 45s or 2w", "нужно число с единицей, например 90d, 12h, 30m, 45s или 2w"),
    ("expected a time that is neither zero nor beyond counting", "время должно быть больше нуля и в пределах счёта"),
    ("expected requests a second, such as 60rps", "нужно число запросов в секунду, например 60rps"),
    ("invalid digit found in string", "нужно целое число"),
    ("cannot parse integer from empty string", "нужно целое число"),
    ("expected turn_N or call_N", "нужно turn_N или call_N"),
];

/// What is said of a value that cannot be read, with what stands in it.
const VALUES_WITH_HOLES: &[[&str; 2]] = &[
    [
        "unknown tier {}; expected free, standard, premium or admin",
        "такого тира нет: {}; нужен free, standard, premium или admin",
    ],
    ["user id must not be empty", "имя не может быть пустым"],
    [
        "user id is {} bytes long, {} are allowed",
        "длина имени в байтах {}, допустимо {}",
    ],
    [
        "user id contains {}, which is not allowed in it",
        "в имени не может быть {}",
    ],
];

/// The Russian text, where there is one.
pub(super) fn find(english: &str) -> Option<&'static str> {
    HELP.iter()
        .chain(VALUES)
        .find(|(en, _)| *en == english)
        .map(|(_, ru)| *ru)
}

/// The Russian text, else the English one.
pub(super) fn russian(english: &str) -> String {
    find(english)
        .map(str::to_owned)
        .or_else(|| in_russian(VALUES_WITH_HOLES, english))
        .unwrap_or_else(|| english.to_owned())
}
