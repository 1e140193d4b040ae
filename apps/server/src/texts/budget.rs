//! What `openclaw budget` says.

super::catalogue! {
    budget_unlimited() { "unlimited", "без ограничения" }
    budget_window(began, resets) {
        "window began {began} (first use) · resets {resets}",
        "окно началось {began} (первый расход) · обновится {resets}"
    }
    budget_no_window() { "no window has begun", "окно ещё не началось" }
    budget_limit(limit) { "limit {limit} tokens / 24 h", "лимит {limit} токенов / 24 ч" }
    budget_head(tenant, tier, tokens, window) {
        "{tenant} · tier {tier} · {tokens} · {window}\n",
        "{tenant} · тир {tier} · {tokens} · {window}\n"
    }
    budget_shown(used, reserved, left) {
        "  used {used} · reserved {reserved} · remaining {left}\n",
        "  израсходовано {used} · зарезервировано {reserved} · осталось {left}\n"
    }
    budget_settled(tokens, count) { "  settled   {tokens:>12}    ({count})\n", "  учтено    {tokens:>12}    ({count})\n" }
    budget_under_way(count, since) { "    ({count} under way, since {since})", "    (идут: {count}, с {since})" }
    budget_reserved(tokens, running) { "  reserved  {tokens:>12}{running}\n", "  в резерве {tokens:>12}{running}\n" }
    budget_remaining(tokens, verdict) { "  remaining {tokens:>12}    {verdict}\n", "  осталось  {tokens:>12}    {verdict}\n" }
    budget_refused(least, why, until) {
        "→ a turn needs at least {least}: refused as {why}{until}",
        "→ ответу нужно не меньше {least}: отказ, {why}{until}"
    }
    budget_until(resets) { " until {resets}", " до {resets}" }
    budget_until_raised() { ", until the limit is raised", ", пока лимит не увеличат" }
    budget_let_in(usual) { "→ a turn needs about {usual}: it is let in", "→ ответу нужно около {usual}: он будет дан" }
    budget_free(used, limit) {
        "  free tier {used:>12}    used by all free accounts together, of {limit}\n",
        "  все free  {used:>12}    израсходовано всеми бесплатными вместе, из {limit}\n"
    }
    budget_spent_on(tokens, model, calls) {
        "  on        {tokens:>12}    {model} ({calls}, since midnight UTC of the first day)\n",
        "  на        {tokens:>12}    {model} ({calls}, с полуночи UTC первого дня)\n"
    }
    budget_next(name) {
        "  next   openclaw budget reset {name} · openclaw budget report --tenant {name} --by day\n",
        "  дальше openclaw budget reset {name} · openclaw budget report --tenant {name} --by day\n"
    }
    budget_consequence(name, used, limit) {
        "the budget of {name} will start over: {used} of {limit} tokens are used",
        "бюджет {name} начнётся заново: израсходовано {used} из {limit} токенов"
    }
    budget_consequence_unlimited(name, used) {
        "the budget of {name}, which has no limit, will start over: {used} tokens are used",
        "бюджет {name}, у которого нет лимита, начнётся заново: израсходовано {used} токенов"
    }
    budget_reset_done(name, used) {
        "{name} starts over: {used} tokens were used, none are now\n",
        "{name} начинает заново: было израсходовано {used} токенов, теперь 0\n"
    }
    budget_nothing(since) { "nothing was spent since {since}\n", "с {since} ничего не израсходовано\n" }
    budget_since(since) { "since {since}\n", "с {since}\n" }
    budget_report_head(by) {
        "{by}|tokens|share|in|out|calls|cost",
        "{by}|токены|доля|вход|выход|вызовы|стоимость"
    }
    ;
    budget_turns # { ["turn or call", "turns and calls"], ["ответ или вызов", "ответа и вызова", "ответов и вызовов"] }
    budget_calls # { ["call", "calls"], ["вызов", "вызова", "вызовов"] }
}
