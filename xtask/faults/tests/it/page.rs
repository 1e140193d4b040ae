//! What was seen, written down as a page in English (0) and Russian (1).

use crate::catalogue::Fault;
use crate::drive::{DEADLINE, RETRIES, Trace};
use crate::formats::Format;
use crate::table::spent;
use openclaw_ai_fabric::{AttemptOutcome, RouteError};
use openclaw_core::{CodedError, TokenUsage};
use std::fmt::Write;
use std::time::Duration;

/// One fault.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) fault: Fault,
    pub(crate) rows: Vec<Row>,
}

/// One fault in one format.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) format: Format,
    pub(crate) chat: Trace,
    pub(crate) api: Trace,
    pub(crate) both: Trace,
}

/// A word in both languages.
type Words = [&'static str; 2];

const INTRODUCTION: Words = [
    "# What becomes of a request when a provider fails\n\n\
     Written by a test (`UPDATE_DOCS=1 cargo test -p openclaw-faults`), which runs the fallback chain and the real\n\
     adapters against a mock provider that fails in each of these ways, and compares this page with what it sees\n\
     whenever the tests run. Do not edit it by hand.\n\n\
     The chain has two models, `first` and `second`; each gets one attempt and {retries} retries, the first of them\n\
     after a second and the next after two (without the jitter of the real server). A request may take {deadline}, a\n\
     model 30 s for its first word and 30 s for each next one. Times count from the beginning of the request.\n\n\
     - **Calls**: when each model was called and what became of it.\n\
     - **A chat shows**, **`/v1` sends**: what the reader has in the end, and the error it ends with. A chat replaces\n\
     \x20 what it showed; `/v1` cannot, so an answer that breaks off after its first word ends with an error object and\n\
     \x20 without `[DONE]`.\n\
     - **Charged**: tokens of the request + tokens of the answer, `~` where they are our estimate because the provider\n\
     \x20 did not say.\n\
     - **Both fail**: the same request when the second model fails in the same way.\n\n\
     A format that cannot have a fault is left out: a program (`command`) has no statuses, no headers and no\n\
     certificates, and how it ends is its end mark.\n",
    "# Что становится с запросом, когда провайдер отказывает\n\n\
     Страницу пишет тест (`UPDATE_DOCS=1 cargo test -p openclaw-faults`): он гоняет цепочку запасных моделей и настоящие\n\
     адаптеры против поддельного провайдера, который отказывает каждым из этих способов, и при каждом прогоне тестов\n\
     сверяет страницу с увиденным. Руками её не правят.\n\n\
     В цепочке две модели, `first` и `second`; у каждой одна попытка и {retries} повтора, первый через секунду, следующий\n\
     через две (без случайной добавки, которая есть у настоящего сервера). Запрос может длиться {deadline}, модель может\n\
     молчать 30 с до первого слова и 30 с до каждого следующего. Время считается от начала запроса.\n\n\
     - **Вызовы**: когда вызвали каждую модель и чем это кончилось.\n\
     - **Чат показывает**, **`/v1` отдаёт**: что у читателя в итоге и какой ошибкой это кончилось. Чат заменяет уже\n\
     \x20 показанное; `/v1` не может, поэтому ответ, прерванный после первого слова, кончается объектом ошибки и без\n\
     \x20 `[DONE]`.\n\
     - **Списано**: токены запроса + токены ответа, `~` — наша оценка, потому что провайдер не сообщил.\n\
     - **Отказали обе**: тот же запрос, когда вторая модель отказывает так же.\n\n\
     Формата нет в таблице, если такого отказа у него быть не может: у программы (`command`) нет статусов, заголовков и\n\
     сертификатов, а знак конца — то, как она завершилась.\n",
];
const HEADINGS: Words = [
    "| formats | calls | a chat shows | `/v1` sends | charged | over after | both fail |",
    "| форматы | вызовы | чат показывает | `/v1` отдаёт | списано | всего | отказали обе |",
];
const REPLACED: Words = ["(replaced)", "(заменено)"];
const ANSWERED: Words = ["answered", "ответ"];
const CALLS: Words = ["calls", "вызовов"];
const SECONDS: Words = ["s", "с"];
const NOTHING: Words = ["nothing", "ничего"];

/// The page.
pub(crate) fn write(language: usize, sections: &[Section]) -> String {
    let mut page = word(language, INTRODUCTION)
        .replace("{retries}", &RETRIES.to_string())
        .replace("{deadline}", &time(language, DEADLINE));
    for section in sections {
        let title = word(language, section.fault.title());
        let heading = word(language, HEADINGS);
        let line = "| --- | --- | --- | --- | --- | --- | --- |";
        write!(page, "\n## {title}\n\n{heading}\n{line}\n").unwrap();
        for (formats, cells) in same_together(language, section) {
            writeln!(page, "| {} | {cells} |", formats.join(", ")).unwrap();
        }
    }
    page
}

fn word(language: usize, words: Words) -> &'static str {
    words.get(language).copied().unwrap_or_default()
}

/// The formats in which a fault looks the same, and how it looks.
fn same_together(language: usize, section: &Section) -> Vec<(Vec<String>, String)> {
    let mut lines: Vec<(Vec<String>, String)> = Vec::new();
    for row in &section.rows {
        let format = format!("`{}`", row.format.name());
        let cells = cells(language, section.fault, row);
        match lines.iter_mut().find(|(_, same)| *same == cells) {
            Some((formats, _)) => formats.push(format),
            None => lines.push((vec![format], cells)),
        }
    }
    lines
}

fn cells(language: usize, fault: Fault, row: &Row) -> String {
    let charged: Vec<_> = ["first", "second"]
        .into_iter()
        .filter(|model| {
            row.chat
                .calls
                .iter()
                .any(|call| call.attempt.model.as_str() == *model)
        })
        .map(|model| format!("`{model}` {}", tokens(spent(&row.chat, model))))
        .collect();
    let both = if fault.is_harmless() {
        "—".to_owned()
    } else {
        both(language, &row.both)
    };
    format!(
        "{} | {} | {} | {} | {} | {both}",
        calls(language, &row.chat),
        reads(language, &row.chat),
        reads(language, &row.api),
        charged.join(", "),
        time(language, row.chat.over_after),
    )
}

/// Calls of one model with one outcome are told together.
fn calls(language: usize, trace: &Trace) -> String {
    let mut groups: Vec<(String, String, Vec<String>)> = Vec::new();
    for call in &trace.calls {
        let model = call.attempt.model.to_string();
        let outcome = match &call.attempt.outcome {
            AttemptOutcome::Answered => word(language, ANSWERED).to_owned(),
            AttemptOutcome::Failed(error) | AttemptOutcome::Skipped(error) => format!("`{}`", error.code()),
            AttemptOutcome::Cancelled => "—".to_owned(),
        };
        let at = time(language, call.at);
        match groups.last_mut() {
            Some((last, same, times)) if *last == model && *same == outcome => times.push(at),
            _ => groups.push((model, outcome, vec![at])),
        }
    }
    let told: Vec<_> = groups
        .iter()
        .map(|(model, outcome, times)| format!("`{model}` {}: {outcome}", times.join(", ")))
        .collect();
    told.join("; ")
}

/// What the reader has, and the error it ends with.
fn reads(language: usize, trace: &Trace) -> String {
    let text = match trace.text.as_str() {
        "" => word(language, NOTHING).to_owned(),
        text => format!("“{}”", text.trim_end()),
    };
    let replaced = if trace.replaced {
        format!(" {}", word(language, REPLACED))
    } else {
        String::new()
    };
    match &trace.end {
        Ok(()) => text + &replaced,
        Err(error) => format!("{text}{replaced}, `{}`", route_code(error)),
    }
}

fn route_code(error: &RouteError) -> &'static str {
    match error {
        RouteError::AllModelsFailed(_) => error.code(),
        RouteError::Interrupted { error, .. } => error.code(),
    }
}

fn both(language: usize, trace: &Trace) -> String {
    let sum = ["first", "second"].map(|model| spent(trace, model));
    let sum = TokenUsage {
        input_tokens: sum.iter().map(|usage| usage.input_tokens).sum(),
        output_tokens: sum.iter().map(|usage| usage.output_tokens).sum(),
        estimated: sum.iter().any(|usage| usage.estimated),
    };
    format!(
        "{}: {}; {}; {}; {}",
        word(language, CALLS),
        trace.calls.len(),
        reads(language, trace),
        time(language, trace.over_after),
        tokens(sum)
    )
}

fn tokens(usage: TokenUsage) -> String {
    if usage.total() == 0 {
        return "0".to_owned();
    }
    let mark = if usage.estimated { "~" } else { "" };
    format!("{mark}{}+{}", usage.input_tokens, usage.output_tokens)
}

fn time(language: usize, time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let number = format!("{seconds:.3}");
    let number = number.trim_end_matches('0').trim_end_matches('.').to_owned();
    let number = if language == 1 {
        number.replace('.', ",")
    } else {
        number
    };
    format!("{number} {}", word(language, SECONDS))
}
