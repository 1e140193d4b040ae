//! What `openclaw status` says.

super::catalogue! {
    status_ready() { "ready", "готов" }
    status_ready_paused() { "ready, PAUSED (openclaw queue resume)", "готов, НА ПАУЗЕ (openclaw queue resume)" }
    status_not_ready(reasons) { "NOT READY: {reasons}", "НЕ ГОТОВ: {reasons}" }
    status_top(version, up, storage, ready) {
        "openclaw {version} · up {up} · {storage} · {ready}\n",
        "openclaw {version} · работает {up} · {storage} · {ready}\n"
    }
    status_names() {
        "path|workers|queue|pressure|latency|outbox|models|platforms",
        "путь|воркеры|очередь|давление|задержки|исходящие|модели|платформы"
    }
    status_oldest(time) { "oldest waiting message {time}", "дольше всех сообщение ждёт {time}" }
    status_none_waits() { "no message waits", "ни одно сообщение не ждёт" }
    status_path(oldest, open, waiting) {
        "{oldest} · without an answer yet {open} (waiting for the pool {waiting})",
        "{oldest} · пока без ответа {open} (ждут пула {waiting})"
    }
    status_workers(active, idle, stuck, min, max) {
        "active {active}  idle {idle}  stuck {stuck}      min {min}  max {max}",
        "заняты {active}  свободны {idle}  зависли {stuck}      min {min}  max {max}"
    }
    status_abandoned(count) { "      ABANDONED {count}", "      БРОШЕНО {count}" }
    status_processes(command) { "\nprocesses of {command}", "\nпроцессы {command}" }
    status_failing_since(since, times, reason) {
        "\nFAILING since {since}, {times}: {reason}",
        "\nСБОЙ с {since}, {times}: {reason}"
    }
    status_failed_before(times, at, reason) {
        "\n{times} since the start, the last {at}: {reason}",
        "\n{times} с запуска, последний {at}: {reason}"
    }
    status_last_line(line) { "\nits last line: {line}", "\nего последняя строка: {line}" }
    status_queue(depth, size, refusals) {
        "{depth} / {size}      refused since the start: {refusals}",
        "{depth} / {size}      отказов с запуска: {refusals}"
    }
    status_refusing() { "  REFUSING NOW", "  СЕЙЧАС ОТКАЗЫВАЕТ" }
    status_pressure(formula, threshold, over) {
        "backpressureLevel {formula}      refuses at {threshold}{over}",
        "backpressureLevel {formula}      отказывает с {threshold}{over}"
    }
    status_per_minute(requests, done, failed) {
        "{requests}/min · {done} done, {failed} failed",
        "{requests}/мин · готово {done}, с ошибкой {failed}"
    }
    status_not_measured(rest) {
        "nothing measured in the last minutes · {rest}",
        "за последние минуты ничего не измерено · {rest}"
    }
    status_latency(average, p95, p99, rest) {
        "avg {average}  p95 {p95}  p99 {p99} · {rest}",
        "средняя {average}  p95 {p95}  p99 {p99} · {rest}"
    }
    status_outbox(pending, delivered, retried, failed) {
        "waiting {pending} · delivered {delivered}, put off {retried}, given up {failed}",
        "ждут {pending} · доставлено {delivered}, отложено {retried}, не доставлено {failed}"
    }
    status_no_models() { "none", "нет" }
    status_more_models(count) { "and {count} more: openclaw status --json", "и ещё {count}: openclaw status --json" }
    status_demo() {
        " · built in; set OPENAI_API_KEY for a real one",
        " · встроенная; для настоящей задайте OPENAI_API_KEY"
    }
    status_model(model, provider, state, demo) {
        "{model} at {provider}: {state}{demo}",
        "{model} у {provider}: {state}{demo}"
    }
    status_because(reason, since) { ": {reason}, since {since}", ": {reason}, с {since}" }
    status_because_of(reason) { ": {reason}", ": {reason}" }
    status_tried_in(seconds) { "; tried again in {seconds} s", "; снова спросят через {seconds} с" }
    status_in_the_log() { "; the log says why", "; почему, сказано в журнале" }
    status_left_alone(failures, why) { "left alone after {failures}{why}", "оставлена в покое, {failures}{why}" }
    status_tried_again() { "being tried again", "пробуют снова" }
    status_failing(failures, why) { "FAILING, {failures}{why}", "СБОЙ, {failures}{why}" }
    status_failing_test(why) { "FAILING{why}", "СБОЙ{why}" }
    status_ok_first(time) { "ok (first token {time})", "в порядке (первый токен {time})" }
    status_ok_tested(at) { "ok, tested {at}", "в порядке, проверена {at}" }
    status_ok() { "ok", "в порядке" }
    status_not_asked() { "not asked yet", "ещё не спрашивали" }
    status_trouble(why) { " FAILING: {why}", " СБОЙ: {why}" }
    status_bot_not_yet(platform, intake, trouble) {
        "{platform} NOT CONNECTED YET ({intake}){trouble}",
        "{platform} ЕЩЁ НЕ ПОДКЛЮЧЁН ({intake}){trouble}"
    }
    status_bot_off(platform) { "{platform} off", "{platform} выключен" }
    status_on() { "on", "включён" }
    status_own_key() { " beside the operator's own", " кроме собственного ключа оператора" }
    status_off() { "off", "выключен" }
    status_days(days, hours, minutes) { "{days} d {hours:02}:{minutes:02}", "{days} д {hours:02}:{minutes:02}" }
    ;
    status_failures # { ["failure", "failures in a row"], ["сбой подряд", "сбоя подряд", "сбоев подряд"] }
    status_failed_processes # { ["process has failed", "processes have failed"], ["процесс со сбоем", "процесса со сбоем", "процессов со сбоем"] }
    status_requests # { ["request", "requests"], ["запрос", "запроса", "запросов"] }
    status_keys # { ["valid key", "valid keys"], ["действующий ключ", "действующих ключа", "действующих ключей"] }
}
