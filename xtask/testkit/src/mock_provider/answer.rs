//! What the mock answers: the answer as a value, and how a model's name becomes one.

use super::gate::Gate;
use bytes::Bytes;
use std::time::Duration;

/// One answer of the mock provider.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Nothing at all is sent for this long after the request arrived.
    pub silence: Duration,
    /// Time between the headers and the first piece of a stream; before the headers where there is no stream.
    pub first_after: Duration,
    /// Time between two pieces of a stream.
    pub gap: Duration,
    /// What is answered.
    pub content: Content,
    /// How a stream ends.
    pub end: End,
    /// What a stream that does not end well waits for before it ends so; `None` does not wait.
    pub gate: Option<Gate>,
    /// Before so many pieces a stream waits for the gate.
    pub halts: Vec<(u64, Gate)>,
    /// Prompt and completion tokens reported; `None` estimates them from the lengths.
    pub usage: Option<(u64, u64)>,
    /// How they are reported.
    pub usage_form: UsageForm,
    /// The reason to stop that is reported (`stop`, `length`, `content_filter`), in OpenAI's words.
    pub finish_reason: &'static str,
}

/// What an answer is made of.
#[derive(Clone, Debug)]
pub enum Content {
    /// So many made-up words, one piece each.
    Words(u64),
    /// These texts, one piece each.
    Pieces(Vec<String>),
    /// `echo: ` and the text of the last user message, word by word.
    Echo,
    /// Refused with this status and an error in the provider's own shape.
    Fault {
        /// The HTTP status.
        status: u16,
        /// Headers beside the usual ones.
        headers: Vec<(&'static str, String)>,
    },
    /// Refused because the money is used up, in the provider's own way.
    OutOfQuota,
    /// Exactly these frames of bytes, whatever was asked for: garbage, half events, foreign formats.
    Raw {
        /// The HTTP status.
        status: u16,
        /// The `Content-Type`.
        content_type: String,
        /// Sent one by one with [`Answer::gap`] between them.
        frames: Vec<Bytes>,
    },
}

/// How a stream ends. Numbers count the pieces that are still sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With all pieces and the provider's own end mark.
    Complete,
    /// The connection is closed after so many pieces.
    CutAfter(u64),
    /// An error event follows so many pieces, then the body ends.
    ErrorEventAfter(u64),
    /// After so many pieces nothing comes any more, and the connection stays open.
    SilentAfter(u64),
    /// After so many pieces the body ends as if it were whole, without the provider's own end mark.
    MarkMissingAfter(u64),
    /// An event that is not what the format says follows so many pieces, then the rest.
    MalformedAfter(u64),
}

/// How the tokens of an answer are reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UsageForm {
    /// As the provider's documentation has it.
    #[default]
    Documented,
    /// Not at all.
    Missing,
    /// As null.
    Null,
    /// With each piece what was used so far, and the whole at the end.
    Running,
}

// === impl End ===

impl End {
    /// Whether so many pieces come before it. Never for an answer that is complete.
    pub(super) fn is_after(self, pieces: u64) -> bool {
        match self {
            Self::Complete => false,
            Self::CutAfter(last)
            | Self::ErrorEventAfter(last)
            | Self::SilentAfter(last)
            | Self::MarkMissingAfter(last)
            | Self::MalformedAfter(last) => last == pieces,
        }
    }
}

// === impl Answer ===

impl Answer {
    /// A whole answer at once, without delays.
    #[must_use]
    pub fn new(content: Content) -> Self {
        Self {
            silence: Duration::ZERO,
            first_after: Duration::ZERO,
            gap: Duration::ZERO,
            content,
            end: End::Complete,
            gate: None,
            halts: Vec::new(),
            usage: None,
            usage_form: UsageForm::default(),
            finish_reason: "stop",
        }
    }

    /// One piece of text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Content::Pieces(vec![text.into()]))
    }

    /// Texts, one piece each.
    #[must_use]
    pub fn pieces<T: Into<String>>(pieces: impl IntoIterator<Item = T>) -> Self {
        Self::new(Content::Pieces(pieces.into_iter().map(Into::into).collect()))
    }

    /// A refusal with this status.
    #[must_use]
    pub fn fault(status: u16) -> Self {
        Self::new(Content::Fault {
            status,
            headers: Vec::new(),
        })
    }

    /// A refusal because the money is used up.
    #[must_use]
    pub fn out_of_quota() -> Self {
        Self::new(Content::OutOfQuota)
    }

    /// A request that is never answered, with the connection open.
    #[must_use]
    pub fn mute() -> Self {
        Self {
            silence: Duration::MAX,
            ..Self::new(Content::Words(0))
        }
    }

    /// A refusal with 429 and `Retry-After`.
    #[must_use]
    pub fn rate_limited(retry_after_secs: u64) -> Self {
        Self::fault(429).with_header("retry-after", retry_after_secs.to_string())
    }

    /// The same refusal with another header; anything but a refusal stays as it is.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Content::Fault { headers, .. } = &mut self.content {
            headers.push((name, value.into()));
        }
        self
    }

    /// The same with another time between pieces.
    #[must_use]
    pub fn with_gap(mut self, gap: Duration) -> Self {
        self.gap = gap;
        self
    }

    /// The same with another time before the first piece.
    #[must_use]
    pub fn with_first_after(mut self, first_after: Duration) -> Self {
        self.first_after = first_after;
        self
    }

    /// The same with another end.
    #[must_use]
    pub fn with_end(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    /// The same, ending badly only once the gate is open.
    #[must_use]
    pub fn with_gate(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// The same, waiting for the gate when so many pieces have been sent.
    #[must_use]
    pub fn with_halt(mut self, pieces: u64, gate: &Gate) -> Self {
        self.halts.push((pieces, gate.clone()));
        self
    }

    /// The same with its tokens reported in another way.
    #[must_use]
    pub fn with_usage_form(mut self, form: UsageForm) -> Self {
        self.usage_form = form;
        self
    }

    /// The same with these tokens reported.
    #[must_use]
    pub fn with_usage(mut self, prompt: u64, completion: u64) -> Self {
        self.usage = Some((prompt, completion));
        self
    }

    /// Reads the behaviour from a model's name: parts after the first `-`, each a letter and a number.
    ///
    /// | part | meaning |
    /// | --- | --- |
    /// | `c64` | 64 pieces (the default) |
    /// | `d5` | 5 ms between pieces |
    /// | `t20` | 20 ms before the first piece |
    /// | `h5000` | silent for 5 s before the headers |
    /// | `f429`, `a2` | refused with 429, with `Retry-After: 2` |
    /// | `k10` | cut after 10 pieces |
    /// | `e10` | an error event after 10 pieces |
    /// | `s10` | silent for ever after 10 pieces |
    /// | `p30` | 30 of 100 requests are refused with 500, spread evenly |
    /// | `echo` | answers `echo: ` and the last user message |
    ///
    /// `number` is the request's, counted from 0; only `p` looks at it. Parts not understood are passed over.
    #[must_use]
    pub fn for_model(model: &str, number: u64) -> Self {
        let mut answer = Self::new(Content::Words(64));
        let (mut status, mut retry_after, mut failing_percent) = (None, None::<u64>, 0);
        for part in model.split('-').skip(1) {
            if part == "echo" {
                answer.content = Content::Echo;
                continue;
            }
            let mut letters = part.chars();
            let letter = letters.next();
            let Ok(value) = letters.as_str().parse::<u64>() else {
                continue;
            };
            match letter {
                Some('c') => answer.content = Content::Words(value),
                Some('d') => answer.gap = Duration::from_millis(value),
                Some('t') => answer.first_after = Duration::from_millis(value),
                Some('h') => answer.silence = Duration::from_millis(value),
                Some('f') => status = u16::try_from(value).ok(),
                Some('a') => retry_after = Some(value),
                Some('k') => answer.end = End::CutAfter(value),
                Some('e') => answer.end = End::ErrorEventAfter(value),
                Some('s') => answer.end = End::SilentAfter(value),
                Some('p') => failing_percent = value,
                _ => {}
            }
        }
        if number.wrapping_mul(37) % 100 < failing_percent {
            status = status.or(Some(500));
        }
        if let Some(status) = status {
            let seconds = retry_after.map(|seconds| ("retry-after", seconds.to_string()));
            answer.content = Content::Fault {
                status,
                headers: seconds.into_iter().collect(),
            };
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_name_are_read_one_by_one() {
        let answer = Answer::for_model("mock-c10-d5-t20-h7-k3-x9-", 0);
        assert!(matches!(answer.content, Content::Words(10)));
        assert_eq!(answer.gap, Duration::from_millis(5));
        assert_eq!(answer.first_after, Duration::from_millis(20));
        assert_eq!(answer.silence, Duration::from_millis(7));
        assert_eq!(answer.end, End::CutAfter(3));
    }

    #[test]
    fn a_share_of_failures_is_exact_over_a_hundred_requests() {
        let failed = (0..100)
            .filter(|&number| {
                matches!(
                    Answer::for_model("mock-p30", number).content,
                    Content::Fault { .. }
                )
            })
            .count();
        assert_eq!(failed, 30);
    }

    #[test]
    fn a_fault_carries_its_retry_after() {
        let Content::Fault { status, headers } = Answer::for_model("mock-f429-a2", 0).content else {
            panic!("no fault");
        };
        assert_eq!((status, headers), (429, vec![("retry-after", "2".to_owned())]));
    }
}
