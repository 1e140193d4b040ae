//! What `openclaw health` says.

super::catalogue! {
    health_next() { "openclaw status, and the server's log", "openclaw status и журнал сервера" }
    health_alive(url) { "{url} is alive\n", "{url} жив\n" }
    health_not_alive(url, status) { "{url} answered {status}", "{url} ответил {status}" }
    health_not_ready(url) { "{url} is not ready", "{url} не готов" }
}
