//! The faults: what each is called, and how a mock or a program has it.

use crate::formats::Format;
use openclaw_testkit::{Answer, End, Gate, UsageForm};

/// The pieces a healthy answer of the first model has.
pub(crate) const PIECES: [&str; 3] = ["The ", "first ", "answer."];
/// What it reports: tokens of the request and of the answer.
pub(crate) const USAGE: (u64, u64) = (9, 4);
/// So many pieces come before what happens in the middle of an answer.
pub(crate) const BEFORE: u64 = 2;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    RetryAfterSeconds,
    RetryAfterDate,
    RetryAfterNonsense,
    RetryAfterMillis,
    RetryAfterTooLong,
    OutOfQuota,
    Status(u16),
    NobodyThere,
    UntrustedCertificate,
    MuteBeforeHeaders,
    CutBeforeFirst,
    ErrorBeforeFirst,
    SilentInside,
    CutInside,
    MarkMissing,
    ErrorInside,
    MalformedInside,
    Usage(UsageForm),
    CutWithRunningUsage,
    Exchange(ExchangeFault),
    ProgramFails,
}

/// What goes wrong while GigaChat's key is exchanged for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExchangeFault {
    RateLimited,
    Failed,
    Refused,
    Mute,
}

/// Where the first model's provider is, and what it does.
#[derive(Clone, Debug)]
pub(crate) enum Staged {
    /// A mock that gives this answer to everybody, plainly or under TLS.
    Mock { answer: Answer, tls: bool },
    /// A mock that answers well and exchanges no key.
    Exchange(Answer),
    /// Nobody is there.
    Nowhere,
    /// A script for the shell.
    Script(String),
}

impl Fault {
    pub(crate) fn all() -> Vec<Self> {
        vec![
            Self::RetryAfterSeconds,
            Self::RetryAfterDate,
            Self::RetryAfterMillis,
            Self::RetryAfterNonsense,
            Self::RetryAfterTooLong,
            Self::OutOfQuota,
            Self::Status(500),
            Self::Status(503),
            Self::Status(529),
            Self::Exchange(ExchangeFault::RateLimited),
            Self::Exchange(ExchangeFault::Failed),
            Self::Exchange(ExchangeFault::Refused),
            Self::Exchange(ExchangeFault::Mute),
            Self::NobodyThere,
            Self::UntrustedCertificate,
            Self::ProgramFails,
            Self::MuteBeforeHeaders,
            Self::CutBeforeFirst,
            Self::ErrorBeforeFirst,
            Self::SilentInside,
            Self::CutInside,
            Self::MarkMissing,
            Self::ErrorInside,
            Self::MalformedInside,
            Self::Usage(UsageForm::Missing),
            Self::Usage(UsageForm::Null),
            Self::Usage(UsageForm::Running),
            Self::CutWithRunningUsage,
        ]
    }

    /// The heading of its section, in English and Russian.
    pub(crate) fn title(self) -> [&'static str; 2] {
        match self {
            Self::RetryAfterSeconds => ["429 with `Retry-After: 2`", "429 с `Retry-After: 2`"],
            Self::RetryAfterDate => [
                "429 with `Retry-After` as a date three seconds ahead",
                "429 с `Retry-After` датой через три секунды",
            ],
            Self::RetryAfterMillis => ["429 with `retry-after-ms: 1500`", "429 с `retry-after-ms: 1500`"],
            Self::RetryAfterNonsense => [
                "429 with a `Retry-After` that makes no sense",
                "429 с бессмысленным `Retry-After`",
            ],
            Self::RetryAfterTooLong => [
                "429 with a `Retry-After` longer than the request may take",
                "429 с `Retry-After` дольше, чем может длиться запрос",
            ],
            Self::OutOfQuota => [
                "The quota or the balance is used up",
                "Квота или баланс исчерпаны",
            ],
            Self::Status(500) => ["500", "500"],
            Self::Status(503) => ["503", "503"],
            Self::Status(_) => ["529", "529"],
            Self::Exchange(ExchangeFault::RateLimited) => [
                "The exchange of the key: 429 with `Retry-After: 2`",
                "Обмен ключа: 429 с `Retry-After: 2`",
            ],
            Self::Exchange(ExchangeFault::Failed) => ["The exchange of the key: 500", "Обмен ключа: 500"],
            Self::Exchange(ExchangeFault::Refused) => [
                "The exchange of the key: the key is refused",
                "Обмен ключа: ключ отвергнут",
            ],
            Self::Exchange(ExchangeFault::Mute) => {
                ["The exchange of the key: no answer", "Обмен ключа: нет ответа"]
            }
            Self::NobodyThere => [
                "Nobody is there: the connection is refused, the program does not exist",
                "Никого нет: в соединении отказано, программы не существует",
            ],
            Self::UntrustedCertificate => [
                "TLS: the certificate is not trusted",
                "TLS: сертификату нет доверия",
            ],
            Self::ProgramFails => [
                "The program fails before its first word",
                "Программа завершается с ошибкой до первого слова",
            ],
            Self::MuteBeforeHeaders => ["Silence before the headers", "Молчание до заголовков"],
            Self::CutBeforeFirst => [
                "The connection breaks before the first word",
                "Соединение рвётся до первого слова",
            ],
            Self::ErrorBeforeFirst => [
                "An error inside the stream before the first word",
                "Ошибка внутри потока до первого слова",
            ],
            Self::SilentInside => ["Silence in the middle of an answer", "Молчание посреди ответа"],
            Self::CutInside => [
                "The connection breaks in the middle of an answer",
                "Соединение рвётся посреди ответа",
            ],
            Self::MarkMissing => [
                "The body ends well, but without the format's end mark",
                "Тело кончается без ошибки, но и без знака конца",
            ],
            Self::ErrorInside => [
                "An error inside the stream, in the middle of an answer",
                "Ошибка внутри потока посреди ответа",
            ],
            Self::MalformedInside => [
                "A malformed event in the middle of an answer",
                "Испорченное событие посреди ответа",
            ],
            Self::Usage(UsageForm::Missing) => {
                ["A good answer without usage", "Хороший ответ без расхода токенов"]
            }
            Self::Usage(UsageForm::Null) => [
                "A good answer with null for usage",
                "Хороший ответ, где вместо расхода null",
            ],
            Self::Usage(UsageForm::Running | UsageForm::Documented) => [
                "A good answer with running usage in every piece",
                "Хороший ответ с нарастающим расходом в каждом куске",
            ],
            Self::CutWithRunningUsage => [
                "The connection breaks in the middle of an answer with running usage",
                "Соединение рвётся посреди ответа с нарастающим расходом",
            ],
        }
    }

    /// Whether an answer has begun by then, so that a reader who cannot replace it is told of the end.
    pub(crate) fn is_inside(self) -> bool {
        self.pieces_before() == Some(BEFORE)
    }

    /// Whether the answer is good all the same.
    pub(crate) fn is_harmless(self) -> bool {
        matches!(self, Self::Usage(_))
    }

    /// Whether only the passing of time ends it.
    pub(crate) fn is_silence(self) -> bool {
        matches!(
            self,
            Self::MuteBeforeHeaders | Self::SilentInside | Self::Exchange(ExchangeFault::Mute)
        )
    }

    /// The pieces that come before it; `None` for what happens before an answer.
    pub(crate) fn pieces_before(self) -> Option<u64> {
        match self {
            Self::CutBeforeFirst | Self::ErrorBeforeFirst => Some(0),
            Self::SilentInside
            | Self::CutInside
            | Self::MarkMissing
            | Self::ErrorInside
            | Self::MalformedInside
            | Self::CutWithRunningUsage => Some(BEFORE),
            _ => None,
        }
    }

    /// How a format has it; `None` where it cannot.
    pub(crate) fn staged(self, format: Format, gate: &Gate) -> Option<Staged> {
        match format {
            Format::Command => self.script().map(|script| match script {
                Some(script) => Staged::Script(script),
                None => Staged::Nowhere,
            }),
            Format::GigaChat => self.over_http(gate).or_else(|| self.exchange()),
            Format::OpenAi | Format::Anthropic | Format::Ollama => self.over_http(gate),
        }
    }

    fn over_http(self, gate: &Gate) -> Option<Staged> {
        let answer = || {
            let (prompt, completion) = USAGE;
            Answer::pieces(PIECES).with_usage(prompt, completion)
        };
        let limited = |name, value: &str| Answer::fault(429).with_header(name, value);
        let cut = |pieces| answer().with_end(End::CutAfter(pieces)).with_gate(gate);
        let answer = match self {
            Self::RetryAfterSeconds => limited("retry-after", "2"),
            // The clock stands at the first second of the year.
            Self::RetryAfterDate => limited("retry-after", "Thu, 01 Jan 2026 00:00:03 GMT"),
            Self::RetryAfterNonsense => limited("retry-after", "soon"),
            Self::RetryAfterMillis => limited("retry-after-ms", "1500"),
            Self::RetryAfterTooLong => limited("retry-after", "3600"),
            Self::OutOfQuota => Answer::out_of_quota(),
            Self::Status(status) => Answer::fault(status),
            Self::NobodyThere => return Some(Staged::Nowhere),
            Self::UntrustedCertificate => {
                let (answer, tls) = (answer(), true);
                return Some(Staged::Mock { answer, tls });
            }
            Self::MuteBeforeHeaders => Answer::mute(),
            Self::CutBeforeFirst => cut(0),
            Self::ErrorBeforeFirst => answer().with_end(End::ErrorEventAfter(0)),
            Self::SilentInside => answer().with_end(End::SilentAfter(BEFORE)),
            Self::CutInside => cut(BEFORE),
            Self::MarkMissing => answer().with_end(End::MarkMissingAfter(BEFORE)),
            Self::ErrorInside => answer().with_end(End::ErrorEventAfter(BEFORE)),
            Self::MalformedInside => answer().with_end(End::MalformedAfter(BEFORE)),
            Self::Usage(form) => answer().with_usage_form(form),
            Self::CutWithRunningUsage => cut(BEFORE).with_usage_form(UsageForm::Running),
            Self::Exchange(_) | Self::ProgramFails => return None,
        };
        Some(Staged::Mock { answer, tls: false })
    }

    fn exchange(self) -> Option<Staged> {
        let Self::Exchange(fault) = self else {
            return None;
        };
        Some(Staged::Exchange(match fault {
            ExchangeFault::RateLimited => Answer::rate_limited(2),
            ExchangeFault::Failed => Answer::fault(500),
            ExchangeFault::Refused => Answer::fault(401),
            ExchangeFault::Mute => Answer::mute(),
        }))
    }

    /// A program has no statuses and no certificates; `Some(None)` is a program that does not exist.
    fn script(self) -> Option<Option<String>> {
        let text = |piece: &str| format!("echo '{{\"type\":\"text\",\"text\":\"{piece}\"}}'\n");
        let first: String = PIECES.iter().take(2).map(|piece| text(piece)).collect();
        let all: String = PIECES.iter().map(|piece| text(piece)).collect();
        let usage = |input: &str, output: &str| {
            format!("echo '{{\"type\":\"usage\",\"inputTokens\":{input},\"outputTokens\":{output}}}'\n")
        };
        let error = "echo '{\"type\":\"error\",\"message\":\"mid-stream failure\"}'\n";
        let running: String = PIECES
            .iter()
            .zip(1..)
            .map(|(piece, count): (_, u64)| text(piece) + &usage("9", &count.to_string()))
            .collect();
        let two_running: String = running.split_inclusive('\n').take(4).collect();
        Some(match self {
            Self::NobodyThere => None,
            Self::ProgramFails => Some("exit 3".to_owned()),
            Self::MuteBeforeHeaders => Some("exec sleep 1000".to_owned()),
            Self::CutBeforeFirst => Some("kill -9 $$".to_owned()),
            Self::ErrorBeforeFirst => Some(error.to_owned()),
            Self::SilentInside => Some(first + "exec sleep 1000"),
            Self::CutInside => Some(first + "kill -9 $$"),
            Self::ErrorInside => Some(first + error),
            Self::MalformedInside => Some(first + "echo '{\"type\":\"text\",\"text\":'\n" + &all),
            Self::Usage(UsageForm::Missing | UsageForm::Documented) => Some(all),
            Self::Usage(UsageForm::Null) => Some(all + &usage("null", "null")),
            Self::Usage(UsageForm::Running) => Some(running + &usage("9", "4")),
            Self::CutWithRunningUsage => Some(two_running + "kill -9 $$"),
            // How a program ends is its end mark.
            Self::MarkMissing
            | Self::RetryAfterSeconds
            | Self::RetryAfterDate
            | Self::RetryAfterNonsense
            | Self::RetryAfterMillis
            | Self::RetryAfterTooLong
            | Self::OutOfQuota
            | Self::Status(_)
            | Self::UntrustedCertificate
            | Self::Exchange(_) => return None,
        })
    }
}
