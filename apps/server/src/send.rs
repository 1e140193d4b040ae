//! `openclaw send`: a message from the terminal, the answer streamed.

mod waiting;

use crate::cli::SendArgs;
use crate::client::{Credential, Found, Server, printable};
use crate::failure::Failure;
use crate::texts::Texts;
use openclaw_http_client::{Client, HttpClientConfig};
use reqwest::StatusCode;
use serde_json::Value;
use std::io::{IsTerminal as _, Read, Write};

/// Sends the message and prints the answer.
pub(crate) fn run(args: &SendArgs) -> anyhow::Result<u8> {
    let text = if args.text == "-" {
        read(std::io::stdin().lock(), Texts::of(&args.server))?
    } else {
        args.text.clone()
    };
    if text.trim().is_empty() {
        let texts = Texts::of(&args.server);
        return Err(Failure::failed(texts.send_nothing(), texts.send_hello()).into());
    }
    let server = Server::find(&args.server)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(send(&server, &args.model, &text))
}

/// The text that comes in.
fn read(mut from: impl Read, texts: Texts) -> Result<String, Failure> {
    let mut text = String::new();
    match from.read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::failed(
            texts.send_unreadable(&texts.no_file(&error)),
            texts.send_text(),
        )),
    }
}

async fn send(server: &Server, model: &str, text: &str) -> anyhow::Result<u8> {
    let key = server.secret(Credential::ApiKey)?;
    let client: Client = HttpClientConfig::default().build()?;
    let body = serde_json::json!({
        "model": model,
        "stream": true,
        "messages": [{ "role": "user", "content": text }],
    });
    let request = client
        .post(format!("{}/v1/chat/completions", server.url))
        .bearer_auth(key.secret.expose())
        .json(&body);
    let mut response = tokio::select! {
        response = request.send() => response.map_err(|_| server.silent())?,
        never = waiting::tell(server, &client) => match never {},
    };
    let asked = Asked {
        texts: server.texts(),
        model,
        id: response
            .headers()
            .get("x-request-id")
            .and_then(|value| value.to_str().ok())
            .map(printable),
    };
    if !response.status().is_success() {
        let status = response.status();
        let wait = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let answer: Value = response.json().await.unwrap_or_default();
        return Err(refused(server, &key, &asked, status, &answer, wait.as_deref()).into());
    }
    let mut out = Answer::new(std::io::stdout().lock(), std::io::stdout().is_terminal());
    let cut = || Failure::failed(asked.traced(&server.texts().send_cut()), "openclaw status");
    while let Some(piece) = response.chunk().await.map_err(|_| cut())? {
        match out.take(&piece)? {
            Progress::More => {}
            Progress::Done => return Ok(0),
            Progress::Failed { message, code } => {
                let next = asked.next(code.as_deref());
                return Err(Failure::failed(asked.traced(&message), next).into());
            }
        }
    }
    out.end()?;
    Err(cut().into())
}

/// What was asked of whom, for whoever must find out why there is no answer.
struct Asked<'a> {
    texts: Texts,
    model: &'a str,
    /// The `correlationId` of the request, where the server said it.
    id: Option<String>,
}

// === impl Asked ===

impl Asked<'_> {
    /// The words with the id under which the log has the reason.
    fn traced(&self, said: &str) -> String {
        match &self.id {
            Some(id) => self.texts.send_traced(said, id),
            None => said.to_owned(),
        }
    }

    /// The command that finds out more about a failure of the server's side.
    fn next(&self, code: Option<&str>) -> String {
        match (code, self.model) {
            (Some("provider_unavailable"), "auto") => "openclaw models test".to_owned(),
            (Some("provider_unavailable"), model) => format!("openclaw models test {}", printable(model)),
            (_, _) => "openclaw status".to_owned(),
        }
    }
}

/// What an answer that is an error means, and what to do about it.
fn refused(
    server: &Server,
    key: &Found,
    asked: &Asked<'_>,
    status: StatusCode,
    answer: &Value,
    wait: Option<&str>,
) -> Failure {
    let said = match answer["error"]["message"].as_str() {
        Some(message) => printable(message),
        None => server.texts().send_answered(&server.url, status.as_u16()),
    };
    match (status, answer["error"]["code"].as_str()) {
        (StatusCode::UNAUTHORIZED, _) => server.refuses(Credential::ApiKey, key),
        (_, Some("request_dropped")) => Failure::failed(said, "openclaw queue show"),
        (StatusCode::FORBIDDEN, _) => Failure::not_allowed(said, "openclaw keys list"),
        (_, Some("model_not_found")) => Failure::failed(said, server.texts().send_models()),
        (StatusCode::PAYLOAD_TOO_LARGE, _) | (_, Some("context_length_exceeded")) => {
            Failure::failed(said, server.texts().send_less())
        }
        (_, Some("insufficient_quota")) => Failure::failed(said, "openclaw keys create --tier standard"),
        (_, code @ Some("provider_unavailable")) => Failure::failed(asked.traced(&said), asked.next(code)),
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, _) => match wait {
            Some(seconds) => Failure::failed(said, server.texts().send_again(&printable(seconds))),
            None => Failure::failed(said, "openclaw status"),
        },
        (status, code) if status.is_server_error() => Failure::failed(asked.traced(&said), asked.next(code)),
        (_, _) => Failure::failed(said, "openclaw status"),
    }
}

/// Whether more is to come.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Progress {
    More,
    Done,
    /// The server has ended the answer with an error.
    Failed {
        message: String,
        code: Option<String>,
    },
}

/// The answer as it grows: server-sent events in, text out.
struct Answer<W> {
    out: W,
    /// A terminal obeys control characters, and a model is not to steer it.
    is_terminal: bool,
    line: Vec<u8>,
    ends_in_new_line: bool,
}

// === impl Answer ===

impl<W: Write> Answer<W> {
    fn new(out: W, is_terminal: bool) -> Self {
        Self {
            out,
            is_terminal,
            line: Vec::new(),
            ends_in_new_line: false,
        }
    }

    fn take(&mut self, piece: &[u8]) -> anyhow::Result<Progress> {
        for &byte in piece {
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let Some(data) = line.strip_prefix(b"data: ") else {
                continue;
            };
            if data.trim_ascii_end() == b"[DONE]" {
                self.end()?;
                return Ok(Progress::Done);
            }
            let event: Value = serde_json::from_slice(data).unwrap_or_default();
            if let Some(message) = event["error"]["message"].as_str() {
                self.end()?;
                return Ok(Progress::Failed {
                    message: printable(message),
                    code: event["error"]["code"].as_str().map(printable),
                });
            }
            if let Some(text) = event["choices"][0]["delta"]["content"].as_str() {
                self.say(text)?;
            }
        }
        Ok(Progress::More)
    }

    fn say(&mut self, text: &str) -> std::io::Result<()> {
        if self.is_terminal {
            self.out.write_all(printable(text).as_bytes())?;
        } else {
            self.out.write_all(text.as_bytes())?;
        }
        if !text.is_empty() {
            self.ends_in_new_line = text.ends_with('\n');
        }
        self.out.flush()
    }

    /// The shell's prompt begins on a line of its own.
    fn end(&mut self) -> std::io::Result<()> {
        if !self.ends_in_new_line {
            self.out.write_all(b"\n")?;
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_core::Language;
    use proptest::prelude::*;

    const STREAM: &str = ": ping\n\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"При\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"вет \\u001b[31m!\"}}]}\n\n\
        data: {\"choices\":[],\"usage\":{}}\n\ndata: [DONE]\n\n";

    fn printed(pieces: &[&[u8]], is_terminal: bool) -> (String, bool) {
        let mut out = Vec::new();
        let mut answer = Answer::new(&mut out, is_terminal);
        let done = pieces
            .iter()
            .any(|piece| answer.take(piece).unwrap() == Progress::Done);
        (String::from_utf8(out).unwrap(), done)
    }

    #[test]
    fn a_pipe_gets_the_answer_as_it_is_and_a_terminal_nothing_that_steers_it() {
        assert_eq!(
            printed(&[STREAM.as_bytes()], false),
            ("Привет \u{1b}[31m!\n".to_owned(), true)
        );
        assert_eq!(
            printed(&[STREAM.as_bytes()], true),
            ("Привет [31m!\n".to_owned(), true)
        );
    }

    #[test]
    fn an_error_in_the_stream_ends_it_with_its_words() {
        let mut out = Vec::new();
        let failed = Answer::new(&mut out, false)
            .take(
                b"data: {\"error\":{\"message\":\"no model answered\",\"code\":\"provider_unavailable\"}}\n",
            )
            .unwrap();
        let (message, code) = (
            "no model answered".to_owned(),
            Some("provider_unavailable".to_owned()),
        );
        assert_eq!(failed, Progress::Failed { message, code });
    }

    #[test]
    fn what_comes_in_and_is_no_text_is_told_with_what_to_do() {
        assert_eq!(read("привет".as_bytes(), Texts::default()).unwrap(), "привет");
        for (language, said) in [
            (
                Language::En,
                "standard input cannot be read: it is not text in UTF-8\n  next  send text in UTF-8",
            ),
            (
                Language::Ru,
                "стандартный ввод не читается: это не текст в UTF-8\n  next  пришлите текст в UTF-8",
            ),
        ] {
            let refused = read(&b"\xff\xfe"[..], Texts::new(language)).unwrap_err();
            assert_eq!(refused.to_string(), said);
        }
    }

    #[test]
    fn a_failure_leads_to_the_log_and_to_the_test_of_the_model_that_was_asked() {
        let asked = |model, id: Option<&str>| Asked {
            texts: Texts::default(),
            model,
            id: id.map(str::to_owned),
        };
        assert_eq!(
            asked("m", Some("0193")).traced("no"),
            "no\n  id    0193 is the correlationId of the log's lines about it"
        );
        assert_eq!(asked("m", None).traced("no"), "no");
        let next = |model, code| asked(model, None).next(code);
        assert_eq!(next("auto", Some("provider_unavailable")), "openclaw models test");
        assert_eq!(next("m", Some("provider_unavailable")), "openclaw models test m");
        assert_eq!(next("m", Some("internal_error")), "openclaw status");
    }

    proptest! {
        #[test]
        fn however_the_stream_is_cut_the_answer_is_the_same(at in 0..STREAM.len()) {
            let (head, tail) = STREAM.as_bytes().split_at(at);
            prop_assert_eq!(printed(&[head, tail], false), ("Привет \u{1b}[31m!\n".to_owned(), true));
        }
    }
}
