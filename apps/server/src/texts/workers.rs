//! What `openclaw workers` says.

super::catalogue! {
    workers_none() { "no workers\n", "воркеров нет\n" }
    workers_head() {
        "id|state|for|age|served|memory|heartbeat|request|running|tenant",
        "id|состояние|уже|возраст|запросов|память|heartbeat|запрос|идёт|тенант"
    }
    workers_abandoned(count) {
        "abandoned: {count} were killed and are not gone; the log says which\n",
        "брошено: {count} — остановлены и не исчезли; какие именно, сказано в журнале\n"
    }
    workers_megabytes(number) { "{number} MB", "{number} МБ" }
    workers_ago(time) { "{time} ago", "{time} назад" }
    workers_unknown(id) { "there is no worker {id}", "воркера {id} нет" }
    workers_kill(id, state, what) { "worker {id} ({state}) will be killed: {what}", "воркер {id} ({state}) будет остановлен: {what}" }
    workers_kill_idle() { "it has no request", "запроса у него нет" }
    workers_kill_request(request, tenant, time) {
        "its request {request} of {tenant}, running for {time}, will end with an error, and whoever asked will be told",
        "его запрос {request} от {tenant}, идущий {time}, завершится ошибкой, и спросившему об этом скажут"
    }
    workers_killed(id) {
        "worker {id} is killed; a new one starts when there is work or the pool is too small\n",
        "воркер {id} остановлен; новый запустится, когда будет работа или когда воркеров станет меньше minWorkers\n"
    }
    workers_recycled(id) { "worker {id} is let go\n", "воркер {id} отпущен\n" }
    workers_recycled_later(id) {
        "worker {id} is let go when its request has ended\n",
        "воркер {id} будет отпущен, когда закончит свой запрос\n"
    }
    workers_for_load(load, preset, min, max, queue) {
        "for {load} requests a second: preset {preset} — minWorkers {min}, maxWorkers {max}, maxQueueSize {queue}\n",
        "для {load} запросов в секунду: пресет {preset} — minWorkers {min}, maxWorkers {max}, maxQueueSize {queue}\n"
    }
    workers_suggested(suggested, level, present, min, max) {
        "{suggested} for the present load (backpressureLevel {level}); there are {present}, and there may be {min} to {max}\n",
        "{suggested} для нынешней нагрузки (backpressureLevel {level}); сейчас {present}, допустимо от {min} до {max}\n"
    }
    workers_raise() { "  next  raise concurrency.maxWorkers\n", "  дальше  увеличьте concurrency.maxWorkers\n" }
    ;
    workers_counted # { ["worker", "workers"], ["воркер", "воркера", "воркеров"] }
}
