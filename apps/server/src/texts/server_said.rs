//! What the server answers in English, as a command says it in the language of whoever typed it. The API stays English.

use super::Texts;
use openclaw_core::Language;

/// Beginnings and ends around a name, English and Russian.
const AROUND: &[([&str; 2], [&str; 2])] = &[
    (["there is no worker ", ""], ["воркера ", " нет"]),
    (["there is no tenant ", ""], ["тенанта ", " нет"]),
    (
        ["no provider serves a model named ", ""],
        ["ни у одного провайдера нет модели ", ""],
    ),
    (
        ["", " does not wait; a worker may have it by now, or it has ended"],
        ["", " не ждёт: возможно, его уже взял воркер, или всё закончилось"],
    ),
    (
        ["that names nothing that waits: expected turn_N or call_N", ""],
        ["так не называется ничто ждущее: нужно turn_N или call_N", ""],
    ),
];

impl Texts {
    /// The words of a server, in this language where they are known.
    pub(crate) fn server_said(self, english: &str) -> String {
        if self.language() == Language::En {
            return english.to_owned();
        }
        if let Some((name, list)) = english.split_once(" fits several tenants: ") {
            return format!("{name} подходит нескольким тенантам: {list}");
        }
        AROUND
            .iter()
            .find_map(|([before, after], [ru_before, ru_after])| {
                let name = english.strip_prefix(before)?.strip_suffix(after)?;
                Some(format!("{ru_before}{name}{ru_after}"))
            })
            .unwrap_or_else(|| english.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_is_told_in_russian_where_the_words_are_known() {
        let said = |english| Texts::new(Language::Ru).server_said(english);
        assert_eq!(said("there is no worker 99"), "воркера 99 нет");
        assert_eq!(
            said("\"web\" fits several tenants: web:a, web:b"),
            "\"web\" подходит нескольким тенантам: web:a, web:b"
        );
        assert!(
            said("that names nothing that waits: expected turn_N or call_N")
                .ends_with("нужно turn_N или call_N")
        );
        assert_eq!(said("something else"), "something else");
        assert_eq!(
            Texts::default().server_said("there is no worker 99"),
            "there is no worker 99"
        );
    }
}
