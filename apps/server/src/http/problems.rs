//! `GET /problems/{name}`: what an error means, in words. The `type` of every problem leads here.

use super::{App, language};
use crate::problem::{INTERNAL, MEANINGS, Meaning, Problem, slug};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use openclaw_core::Language;
use std::sync::Arc;

/// The page loads nothing, sends nothing and runs nothing.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The titles of [`MEANINGS`] for people who read Russian.
const RUSSIAN: &[(&str, &str)] = &[
    ("UNAUTHORIZED", "Ключ или токен не прислан либо неверен"),
    ("FORBIDDEN", "Это не разрешено"),
    ("NOT_FOUND", "Такого здесь нет"),
    ("METHOD_NOT_ALLOWED", "Этот путь не принимает такой метод"),
    ("MISDIRECTED_REQUEST", "Этот сервер так не называется"),
    ("STALE_WRITE", "Это изменилось с тех пор, как вы его прочли"),
    ("TOO_LARGE", "Запрос слишком велик"),
    ("UNSUPPORTED_MEDIA_TYPE", "Тело запроса должно быть в JSON"),
    ("REQUEST_TIMEOUT", "Запрос не пришёл вовремя"),
    ("IDEMPOTENCY_MISMATCH", "Этот ключ уже был у другого запроса"),
    (
        "IDEMPOTENCY_IN_FLIGHT",
        "Первый запрос с этим ключом ещё выполняется",
    ),
    ("INBOX_FULL", "Слишком много сообщений ждут ответа"),
    ("STORE_UNAVAILABLE", "Хранилище недоступно"),
    ("VALIDATION", "Запрос составлен неверно"),
    ("CONFIG_INVALID", "Настройки неверны; ничего не изменено"),
    ("SECURITY", "Это не разрешено"),
    ("TOOL_ACCESS_DENIED", "Этот инструмент не разрешён"),
    ("TENANT_SUSPENDED", "Доступ приостановлен"),
    ("MESSAGE_BLOCKED", "Сообщение не принято"),
    ("LOCK_ACQUISITION", "Разговор занят"),
    ("SESSION_BUSY", "Разговор занят"),
    ("SESSION_QUEUE_FULL", "Разговор занят"),
    ("INVALID_STATE_TRANSITION", "Состояние этого не позволяет"),
    ("RATE_LIMIT", "Слишком много запросов"),
    ("TOKEN_BUDGET_EXCEEDED", "Дневного бюджета токенов не хватает"),
    (
        "TOKEN_BUDGET_TOO_SMALL",
        "Запросу нужно больше, чем весь дневной бюджет токенов",
    ),
    ("BACKPRESSURE", "Сервер загружен до предела"),
    ("QUEUE_FULL", "Сервер загружен до предела"),
    ("REQUEST_EXPIRED", "Запрос ждал слишком долго"),
    ("REQUEST_DROPPED", "Администратор снял запрос с очереди"),
    ("SHUTTING_DOWN", "Сервер останавливается"),
    ("MODEL_UNKNOWN", "Такой модели нет"),
    (
        "NO_SUITABLE_MODEL",
        "Ни одна модель не может выполнить этот запрос",
    ),
    ("MODEL_UNSUITABLE", "Эта модель не может выполнить этот запрос"),
    ("MODEL_UNSUPPORTED", "Эта модель не может выполнить этот запрос"),
    ("MODEL_BAD_REQUEST", "Модель не приняла запрос"),
    ("MODEL_CONTEXT_TOO_LONG", "Разговор слишком длинный для модели"),
    ("MODEL_CONTENT_REFUSED", "Поставщик модели отклонил содержание"),
    ("RATE_LIMIT_EXCEEDED", "Поставщик модели исчерпал свой предел"),
    ("ALL_MODELS_FAILED", "Ни одна модель не ответила"),
    ("MODEL_INTERRUPTED", "Ответ модели оборвался"),
    ("WORKER_TIMEOUT", "Ответ занял слишком много времени"),
    ("INTERNAL", "Здесь что-то сломалось"),
];

/// The page of one problem; of a name that no problem has, a problem of its own.
pub(super) async fn page(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let language = language(&app, &headers);
    let found = MEANINGS
        .iter()
        .chain([&INTERNAL])
        .find(|meaning| slug(meaning.code) == name);
    let Some(meaning) = found else {
        let detail = match language {
            Language::En => "no error has that name",
            Language::Ru => "ошибки с таким именем нет",
        };
        return Problem::new("NOT_FOUND", detail).into_response();
    };
    let mut response = rendered(meaning, language).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::VARY, "accept-language"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Nothing of a request stands in the page, so nothing has to be escaped.
fn rendered(meaning: &Meaning, language: Language) -> String {
    let title = title(meaning, language);
    let (status, code, advice) = (meaning.status.as_u16(), meaning.code, advice(meaning, language));
    let on_v1 = match language {
        Language::En => "on",
        Language::Ru => "на",
    };
    format!(
        "<!doctype html>\n<html lang=\"{}\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<h1>{title}</h1>\n\
         <p>HTTP {status} · <code>{code}</code> · {on_v1} /v1: <code>{}</code></p>\n<p>{advice}</p>\n",
        language.as_str(),
        meaning.openai,
    )
}

fn title(meaning: &Meaning, language: Language) -> &'static str {
    let russian = RUSSIAN.iter().find(|(code, _)| *code == meaning.code);
    match (language, russian) {
        (Language::Ru, Some((_, title))) => title,
        (Language::Ru, None) | (Language::En, _) => meaning.title,
    }
}

/// What the caller can do.
fn advice(meaning: &Meaning, language: Language) -> &'static str {
    let status = meaning.status;
    // A limit that no time lifts.
    let never = meaning.code == "TOKEN_BUDGET_TOO_SMALL";
    // A slow line and a busy conversation are not the same the next time.
    let is_final =
        status.is_client_error() && !matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT);
    match (status, language) {
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, Language::En) if !never => {
            "Send the same again after the time in Retry-After."
        }
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, Language::Ru) if !never => {
            "Повторите запрос через время, названное в Retry-After."
        }
        (_, Language::En) if is_final => {
            "Mend the request; the detail of the answer says what is wrong. The same again gives the same answer."
        }
        (_, Language::Ru) if is_final => {
            "Исправьте запрос: в поле detail ответа сказано, что не так. На тот же запрос ответ будет тем же."
        }
        (_, Language::En) => "Try again; if it stays, tell the operator the correlationId of the answer.",
        (_, Language::Ru) => {
            "Попробуйте ещё раз; если не поможет, назовите администратору correlationId из ответа."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_a_page_in_both_languages() {
        for meaning in MEANINGS.iter().chain([&INTERNAL]) {
            let (en, ru) = (rendered(meaning, Language::En), rendered(meaning, Language::Ru));
            assert!(en.contains(meaning.title) && en.contains(meaning.code), "{en}");
            assert_ne!(title(meaning, Language::Ru), meaning.title, "{}", meaning.code);
            assert!(ru.contains("<html lang=\"ru\">"), "{ru}");
        }
        assert_eq!(RUSSIAN.len(), MEANINGS.len() + 1);
        let too_small = MEANINGS
            .iter()
            .find(|one| one.code == "TOKEN_BUDGET_TOO_SMALL")
            .unwrap();
        assert!(!rendered(too_small, Language::En).contains("Retry-After"));
    }
}
