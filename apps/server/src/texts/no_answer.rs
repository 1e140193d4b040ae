//! Why a model or a platform gave no answer: said by the server in English, put into Russian part by part where the words
//! are known. A provider's own words stay as they are.

use super::Texts;
use super::foreign::in_russian;
use openclaw_core::Language;

/// Parts of a reason, English and Russian; between parts there is a colon.
const REASONS: &[[&str; 2]] = &[
    ["no connection", "нет соединения"],
    ["the platform cannot be reached", "платформа недоступна"],
    ["no connection in time", "соединение не успело открыться"],
    ["no answer in time", "ответ не пришёл вовремя"],
    ["its name cannot be resolved", "его имя не найдено в DNS"],
    ["the connection is refused", "в соединении отказано"],
    ["the network knows no way there", "сеть не знает туда пути"],
    [
        "the connection was lost while it was opened",
        "соединение оборвалось при открытии",
    ],
    ["the connection was lost", "соединение оборвалось"],
    [
        "it closed the connection without an answer",
        "соединение закрыто без ответа",
    ],
    ["its proxy cannot be reached", "его прокси недоступен"],
    [
        "its proxy wants a name and a password",
        "его прокси требует имя и пароль",
    ],
    [
        "its proxy opens no connection to it",
        "его прокси не открывает соединения с ним",
    ],
    ["its certificate has expired", "его сертификат истёк"],
    [
        "its certificate is not valid yet",
        "его сертификат ещё не действует",
    ],
    [
        "its certificate is for another name",
        "его сертификат выдан другому имени",
    ],
    [
        "its certificate is signed by nobody this machine trusts",
        "его сертификат не подписан никем, кому доверяет эта машина",
    ],
    ["its certificate is not accepted", "его сертификат не принят"],
    ["its TLS is not accepted", "его TLS не принят"],
    [
        "its certificate or its TLS is not accepted",
        "его сертификат или его TLS не принят",
    ],
    ["it does not speak TLS", "на TLS он не говорит"],
    ["rate limited", "предел запросов"],
    ["quota used up", "квота исчерпана"],
    ["refused the key (status {})", "ключ отвергнут (код {})"],
    ["unknown model", "нет такой модели"],
    ["lacks {}", "не умеет {}"],
    ["bad request", "запрос не принят"],
    ["context too long", "разговор слишком длинный"],
    ["content refused", "отказ из-за содержания"],
    ["overloaded", "перегружен"],
    ["server error (status {})", "сбой на его стороне (код {})"],
    [
        "timed out waiting for the first token",
        "первый токен не пришёл вовремя",
    ],
    [
        "timed out waiting for the next piece of the answer",
        "продолжение ответа не пришло вовремя",
    ],
    [
        "timed out waiting for the whole answer",
        "весь ответ не пришёл вовремя",
    ],
    ["the answer was cut off", "ответ оборвался"],
    ["malformed answer", "неправильный ответ"],
    ["error inside the stream", "ошибка посреди ответа"],
    ["refused", "отказ"],
    ["circuit open", "предохранитель разомкнут"],
    ["retry budget used up", "повторы исчерпаны"],
];

impl Texts {
    /// Why there was no answer.
    pub(crate) fn no_answer(self, english: &str) -> String {
        if self.language() == Language::En {
            return english.to_owned();
        }
        let parts: Vec<String> = english
            .split(": ")
            .map(|part| in_russian(REASONS, part).unwrap_or_else(|| part.to_owned()))
            .collect();
        parts.join(": ")
    }
}

#[cfg(test)]
mod tests {
    use super::super::foreign::quoted;
    use super::*;

    #[test]
    fn every_reason_of_the_client_and_of_models_is_known_in_russian() {
        let client = include_str!("../../../../crates/adapters/http-client/src/no_answer.rs");
        let bots = include_str!("../../../../crates/adapters/bot-http/src/call.rs");
        let errors = include_str!("../../../../crates/ai-fabric/src/error/model.rs");
        let begins = ["its ", "it ", "the connection ", "the network ", "no connection"];
        let mut reasons: Vec<String> = [client, bots]
            .iter()
            .flat_map(|program| quoted(program))
            .filter(|text| begins.iter().any(|begin| text.starts_with(begin)))
            .collect();
        let (_, model) = errors.split_once("pub enum ModelError {").unwrap();
        let (model, _) = model.split_once("impl ModelError").unwrap();
        reasons.extend(
            model
                .split("#[error(")
                .skip(1)
                .filter_map(|rest| quoted(rest).into_iter().next())
                .filter(|text| !text.starts_with("timed out")),
        );
        assert!(reasons.len() > 30, "{reasons:?}");
        for reason in reasons {
            let first = reason.split(": ").next().unwrap();
            assert!(in_russian(REASONS, first).is_some(), "{reason}");
        }
    }

    #[test]
    fn a_reason_is_told_in_russian_around_what_is_named() {
        let texts = Texts::new(Language::Ru);
        assert_eq!(
            texts.no_answer("no connection: nowhere.invalid: its name cannot be resolved"),
            "нет соединения: nowhere.invalid: его имя не найдено в DNS"
        );
        assert_eq!(
            texts.no_answer("bad request: The model refused: it is closed"),
            "запрос не принят: The model refused: it is closed"
        );
        assert_eq!(
            Texts::default().no_answer("no connection: x: y"),
            "no connection: x: y"
        );
    }
}
