//! What is said before something that cannot be taken back.

super::catalogue! {
    confirm_nothing_done() { "nothing was done", "ничего не сделано" }
    confirm_nobody() {
        "nothing was done: nobody can be asked, as standard input is no terminal",
        "ничего не сделано: спросить некого, стандартный ввод — не терминал"
    }
    confirm_nobody_next() { "the same with --yes, or with --dry-run", "то же с --yes или с --dry-run" }
    confirm_question() { "go on? Type yes or y: ", "продолжить? Напечатайте да или yes (можно д или y): " }
}
