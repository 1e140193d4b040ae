//! What `openclaw send` says when there is no answer.

super::catalogue! {
    send_nothing() { "there is nothing to send", "отправлять нечего" }
    send_hello() { "openclaw send \"hello\"", "openclaw send \"привет\"" }
    send_unreadable(error) { "standard input cannot be read: {error}", "стандартный ввод не читается: {error}" }
    send_text() { "send text in UTF-8", "пришлите текст в UTF-8" }
    send_less() { "send less at once", "пришлите меньше за один раз" }
    send_paused() {
        "answering is paused by the operator; the message waits\n  next  openclaw queue resume",
        "оператор приостановил ответы; сообщение ждёт\n  дальше  openclaw queue resume"
    }
    send_place(place) { "waiting for a worker; place {place} in line", "ждёт воркера; место в очереди: {place}" }
    send_cut() { "the answer was cut off", "ответ оборвался" }
    send_traced(said, id) {
        "{said}\n  id    {id} is the correlationId of the log's lines about it",
        "{said}\n  id    {id} — correlationId, под которым об этом сказано в журнале"
    }
    send_answered(url, status) { "{url} answered {status}", "{url} ответил {status}" }
    send_models() { "openclaw status, which lists the models", "openclaw status: там перечислены модели" }
    send_again(seconds) { "the same again in {seconds} s", "то же самое через {seconds} с" }
}
