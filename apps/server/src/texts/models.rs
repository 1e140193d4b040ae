//! What `openclaw models` says.

super::catalogue! {
    models_none() { "no model is listed\n", "в списке нет ни одной модели\n" }
    models_none_to_test() { "no model is listed; name one", "в списке нет ни одной модели; назовите её" }
    models_asking(name) { "asking {name}", "спрашиваю {name}" }
    models_waits(time) { "; it has {time} to begin its answer", "; на начало ответа у неё {time}" }
    models_head() {
        "model|provider|context|output|in/1k|out/1k|tier|circuit|health|first token",
        "модель|провайдер|контекст|ответ|вход/1k|выход/1k|тир|предохранитель|здоровье|первый токен"
    }
    models_not_asked() { "not asked", "не спрашивали" }
    models_any(providers) {
        "any other model may be named too: {providers}\n",
        "можно назвать и любую другую модель: {providers}\n"
    }
    models_then(models) { ", then {models}", ", затем {models}" }
    models_primary(model, then) {
        "requests that name none ask {model}{then}\n",
        "запросы без имени модели спрашивают {model}{then}\n"
    }
    models_limits_head() {
        "provider|requests/min|left|tokens/min|left|at once|left|in flight",
        "провайдер|запросов/мин|осталось|токенов/мин|осталось|сразу|осталось|идут"
    }
    models_no_limit() { "no limit", "без лимита" }
    models_free() { "free", "бесплатно" }
    models_question(whose, tier, needs, input, output) {
        "{whose}tier {tier} · needs {needs} · {input} tokens in, {output} out\n",
        "{whose}тир {tier} · нужно: {needs} · токенов на входе {input}, на выходе {output}\n"
    }
    models_refused(why) { "  refused: {why}\n", "  отказ: {why}\n" }
    models_asks_chain(models) {
        "  asks {models} (the chain of ai-fabric.fallback)\n",
        "  спрашивает {models} (цепочка ai-fabric.fallback)\n"
    }
    models_asks_score(models) { "  asks {models} (by score)\n", "  спрашивает {models} (по баллам)\n" }
    models_asks_found(models) {
        "  asks {models} (the first model of the provider that was found)\n",
        "  спрашивает {models} (первая модель найденного провайдера)\n"
    }
    models_joined() { ", then ", ", затем " }
    models_scored(name, score, capabilities, cost, priority, health) {
        "    {name}: score {score} = {capabilities} capabilities × 10 − cost {cost} × 100; priority {priority}, health {health}\n",
        "    {name}: баллы {score} = {capabilities} (возможности) × 10 − цена {cost} × 100; приоритет {priority}, здоровье {health}\n"
    }
    models_not_reported() { " (not reported)", " (провайдер не сообщил)" }
    models_used(input, output, reported) {
        "{input} tokens in, {output} out{reported}",
        "токенов на входе {input}, на выходе {output}{reported}"
    }
    models_ok(name, first, whole, used, cost, text) {
        "ok    {name}: first token {first}, whole {whole} · {used}, cost {cost} · {text}\n",
        "ok    {name}: первый токен {first}, всё {whole} · {used}, цена {cost} · {text}\n"
    }
    models_by_workers(name) {
        "-     {name}: answered by workers, which are asked through the pool alone\n      next  openclaw send \"hello\"\n",
        "-     {name}: отвечают воркеры, а их спрашивают только через пул\n      дальше  openclaw send \"привет\"\n"
    }
    models_failed(name, code, time, detail, next) {
        "FAIL  {name}: {code} after {time}: {detail}\n      next  {next}\n",
        "СБОЙ  {name}: {code} через {time}: {detail}\n      дальше  {next}\n"
    }
}
