//! What `openclaw keys` says.

super::catalogue! {
    keys_revoked_before(id, at) { "{id} was taken back already, at {at}\n", "{id} уже отозван, {at}\n" }
    keys_revoked(id) { "{id} is taken back\n", "{id} отозван\n" }
    keys_too_short(typed, count) {
        "\"{typed}\" is too short; {count} characters after oc_live_ are needed",
        "«{typed}» слишком коротко; после oc_live_ нужно знаков: {count}"
    }
    keys_ambiguous(count, ids) { "{count} keys begin so: {ids}", "так начинаются ключи ({count}): {ids}" }
    keys_give_more() { "give more of the one that is meant", "наберите больше знаков нужного ключа" }
    keys_unknown(typed) { "there is no key {typed}", "ключа {typed} нет" }
    keys_not_made() { "the key could not be made", "ключ создать не удалось" }
    keys_made(id, user, tier) { "key {id} for user {user}, tier {tier}", "ключ {id} для пользователя {user}, тир {tier}" }
    keys_ends(end) { ", ends {end}", ", действует до {end}" }
    keys_endless() { ", without an end", ", бессрочный" }
    keys_unlimited() { ", unlimited", ", без ограничения частоты" }
    keys_once() {
        "This is the key. It is shown once and cannot be shown again:",
        "Вот ключ. Он показывается один раз, второго раза не будет:"
    }
    keys_none() {
        "no keys but the operator's own\n  next  openclaw keys create\n",
        "ключей, кроме операторского, нет\n  дальше  openclaw keys create\n"
    }
    keys_head() {
        "id|user|tier|limited|created|expires|revoked",
        "id|пользователь|тир|частота|создан|истекает|отозван"
    }
    keys_limited() { "yes", "ограничена" }
    keys_not_limited() { "no", "свободна" }
}
