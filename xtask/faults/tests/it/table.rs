//! Every fault in every format, judged and compared with the page.

use crate::catalogue::{BEFORE, Fault, PIECES, USAGE};
use crate::drive::{DEADLINE, Failing, OTHER, RETRIES, Reader, Trace, run};
use crate::formats::{Format, client};
use crate::page::{self, Row, Section};
use futures::{StreamExt, stream};
use openclaw_ai_fabric::{AttemptOutcome, RouteError};
use openclaw_core::TokenUsage;
use openclaw_http_client::Client;
use openclaw_testkit::UsageForm;
use std::path::{Path, PathBuf};

/// Runs at the same time; each has its own clock, so they do not see each other.
const AT_ONCE: usize = 8;

fn first_answer() -> String {
    PIECES.concat()
}

fn other_answer() -> String {
    OTHER.concat()
}

/// What was said before something happened in the middle.
fn half_answer() -> String {
    PIECES
        .iter()
        .take(usize::try_from(BEFORE).unwrap())
        .copied()
        .collect()
}

/// What holds of every request, whatever went wrong.
#[track_caller]
fn judge(fault: Fault, format: Format, reader: Reader, failing: Failing, trace: &Trace) {
    let what = format!(
        "{fault:?} in {} for {reader:?}, {failing:?}: {trace:#?}",
        format.name()
    );
    for name in ["first", "second"] {
        let of_model = trace
            .calls
            .iter()
            .filter(|call| call.attempt.model.as_str() == name);
        assert!(of_model.count() <= 1 + RETRIES as usize, "too many calls. {what}");
    }
    assert!(trace.over_after <= DEADLINE, "past the deadline. {what}");
    let answered: Vec<_> = trace
        .calls
        .iter()
        .filter(|call| call.attempt.outcome == AttemptOutcome::Answered)
        .collect();
    if fault.is_harmless() {
        assert_eq!(
            (&trace.end, trace.text.as_str()),
            (&Ok(()), first_answer().as_str()),
            "{what}"
        );
        assert_eq!(trace.calls.len(), 1, "{what}");
        return;
    }
    let begun = fault.is_inside();
    match (reader, failing) {
        // Nothing was shown, or what was shown can be replaced.
        (Reader::Chat, Failing::First) => {
            assert_eq!(
                (&trace.end, trace.text.as_str()),
                (&Ok(()), other_answer().as_str()),
                "{what}"
            );
            assert_eq!(trace.replaced, begun, "{what}");
            assert_eq!(answered.len(), 1, "{what}");
        }
        (Reader::Api, _) if begun => {
            assert!(matches!(trace.end, Err(RouteError::Interrupted { .. })), "{what}");
            assert_eq!(trace.text, half_answer(), "{what}");
            assert_eq!((trace.calls.len(), answered.len()), (1, 0), "{what}");
        }
        (Reader::Api, Failing::First) => {
            assert_eq!(
                (&trace.end, trace.text.as_str()),
                (&Ok(()), other_answer().as_str()),
                "{what}"
            );
        }
        (_, Failing::Both) => {
            assert!(matches!(trace.end, Err(RouteError::AllModelsFailed(_))), "{what}");
            assert!(answered.is_empty(), "{what}");
        }
    }
}

/// What the calls of one model have cost.
pub(crate) fn spent<'a>(trace: &'a Trace, model: &'a str) -> TokenUsage {
    let usages = trace
        .calls
        .iter()
        .filter(|call| call.attempt.model.as_str() == model)
        .map(|call| call.attempt.usage);
    usages.fold(TokenUsage::default(), |sum, usage| TokenUsage {
        input_tokens: sum.input_tokens + usage.input_tokens,
        output_tokens: sum.output_tokens + usage.output_tokens,
        estimated: sum.estimated || usage.estimated,
    })
}

async fn row(client: &Client, fault: Fault, format: Format) -> Option<Row> {
    let seen = async |reader, failing| {
        let trace = run(client, fault, format, reader, failing).await?;
        judge(fault, format, reader, failing, &trace);
        Some(trace)
    };
    Some(Row {
        format,
        chat: seen(Reader::Chat, Failing::First).await?,
        api: seen(Reader::Api, Failing::First).await?,
        both: seen(Reader::Chat, Failing::Both).await?,
    })
}

async fn sections() -> Vec<Section> {
    let client = client();
    let cases = Fault::all()
        .into_iter()
        .flat_map(|fault| Format::ALL.map(|format| (fault, format)));
    let rows: Vec<_> = stream::iter(cases)
        .map(async |(fault, format)| (fault, row(&client, fault, format).await))
        .buffered(AT_ONCE)
        .collect()
        .await;
    Fault::all()
        .into_iter()
        .map(|fault| Section {
            fault,
            rows: rows
                .iter()
                .filter(|(of, _)| *of == fault)
                .filter_map(|(_, row)| row.clone())
                .collect(),
        })
        .collect()
}

fn place(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(page)
}

#[tokio::test]
async fn every_fault_in_every_format_is_what_the_page_says() {
    let sections = sections().await;
    for (section, formats) in sections.iter().zip(Fault::all()) {
        assert!(!section.rows.is_empty(), "{formats:?} was not seen in any format");
    }
    for (language, page) in [(0, "provider-faults.md"), (1, "provider-faults.ru.md")] {
        let seen = page::write(language, &sections);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(place(page), &seen).unwrap();
        }
        let stored = std::fs::read_to_string(place(page)).unwrap_or_default();
        let difference = stored
            .lines()
            .zip(seen.lines())
            .find(|(stored, seen)| stored != seen)
            .map(|(stored, seen)| format!("the page: {stored}\nwas seen: {seen}"));
        assert!(
            stored == seen,
            "docs/{page} is not what was seen; `UPDATE_DOCS=1 cargo test -p openclaw-faults` writes it\n{}",
            difference.unwrap_or_else(|| "one is longer than the other".into())
        );
    }
}

#[tokio::test]
async fn what_a_provider_reports_is_charged_and_what_it_does_not_is_estimated_and_marked() {
    let client = client();
    for format in Format::ALL {
        for (form, estimated) in [
            (UsageForm::Missing, true),
            (UsageForm::Null, true),
            (UsageForm::Running, false),
        ] {
            let trace = run(&client, Fault::Usage(form), format, Reader::Chat, Failing::First).await;
            let usage = spent(&trace.unwrap(), "first");
            assert_eq!(usage.estimated, estimated, "{format:?} {form:?}");
            if !estimated {
                // The last word, and not the sum of all.
                assert_eq!((usage.input_tokens, usage.output_tokens), USAGE, "{format:?}");
            }
            assert!(usage.output_tokens > 0, "{format:?} {form:?}");
        }
    }
}

#[tokio::test]
async fn a_refused_call_costs_nothing_and_a_broken_answer_what_was_said() {
    let client = client();
    for format in Format::ALL {
        for fault in [Fault::NobodyThere, Fault::CutInside] {
            let trace = run(&client, fault, format, Reader::Chat, Failing::First)
                .await
                .unwrap();
            let usage = spent(&trace, "first");
            assert_eq!(
                usage.total() > 0,
                fault == Fault::CutInside,
                "{format:?} {fault:?}"
            );
            assert_eq!(
                usage.estimated,
                fault == Fault::CutInside && format != Format::Anthropic || usage.estimated,
                "{format:?}"
            );
        }
    }
}
