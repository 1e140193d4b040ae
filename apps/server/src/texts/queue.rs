//! What `openclaw queue` says.

super::catalogue! {
    queue_oldest(time) { ", the oldest for {time}", ", дольше всех {time}" }
    queue_paused_mark() { " · PAUSED (openclaw queue resume)", " · НА ПАУЗЕ (openclaw queue resume)" }
    queue_empty(paused) { "nothing waits{paused}\n", "никто не ждёт{paused}\n" }
    queue_top(waiting, oldest, inbox, pool, size, paused) {
        "{waiting} wait{oldest} · in the inbox {inbox} · in the pool {pool} / {size}{paused}\n",
        "ждут: {waiting}{oldest} · в inbox {inbox} · в пуле {pool} / {size}{paused}\n"
    }
    queue_groups_head() { "group|waiting|oldest", "группа|ждут|дольше всех" }
    queue_head() {
        "id|priority|tier|waited|waits in|for|tenant|request",
        "id|приоритет|тир|ждёт|где|чего|тенант|запрос"
    }
    queue_for_worker() { "a worker", "воркера" }
    queue_for_conversation() { "its conversation", "своей беседы" }
    queue_more(count) {
        "and {count} more: openclaw queue show --by tenant\n",
        "и ещё {count}: openclaw queue show --by tenant\n"
    }
    queue_pause_done(inbox, pool) {
        "paused; {inbox} wait in the inbox, {pool} in the pool; what runs runs on\n  next  openclaw queue resume\n",
        "на паузе; в inbox ждут {inbox}, в пуле {pool}; начатое продолжается\n  дальше  openclaw queue resume\n"
    }
    queue_resumed() { "resumed\n", "пауза снята\n" }
    queue_consequence(id, tenant, tier, time) {
        "{id} of {tenant} ({tier}, waiting for {time}) will be taken out of the queue: it will not be answered, and whoever asked will be told",
        "{id} от {tenant} ({tier}, ждёт {time}) будет убрано из очереди: ответа не будет, и спросившему об этом скажут"
    }
    queue_dropped(id) { "{id} is dropped\n", "{id} убрано из очереди\n" }
    queue_unclear() { "the server did not say what it did", "сервер не сказал, что сделал" }
}
