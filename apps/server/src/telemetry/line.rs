//! One event as one line: pino's JSON, or a readable line for a terminal.

use super::Sink;
use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// One JSON object.
    Json,
    /// For people.
    Pretty {
        /// Whether the terminal shows colours.
        color: bool,
    },
}

/// Writes events as lines. Spans write nothing; what they know is added to the lines inside them.
pub(super) struct LineLayer {
    style: Style,
    sink: Sink,
    /// `,"pid":…,"hostname":"…"`
    process: String,
}

/// Fields in the order they were recorded, each a name and its value as JSON.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    fatal: bool,
    entries: Vec<(String, String)>,
}

/// Names that pino gives a meaning; a field called so is renamed.
const RESERVED: &[&str] = &[
    "level", "severity", "time", "pid", "hostname", "name", "module", "msg",
];

/// A line longer than this is cut field by field: a log is not a store.
const MAX_FIELD_BYTES: usize = 16 << 10;

thread_local! {
    static BUFFER: RefCell<String> = const { RefCell::new(String::new()) };
}

// === impl LineLayer ===

impl LineLayer {
    pub(super) fn new(style: Style, sink: Sink) -> Self {
        let uname = rustix::system::uname();
        let mut hostname = String::new();
        quote(&uname.nodename().to_string_lossy(), &mut hostname);
        Self {
            style,
            sink,
            process: format!(",\"pid\":{},\"hostname\":{hostname}", std::process::id()),
        }
    }

    fn json(&self, event: &Event<'_>, fields: &Fields, outer: &[(String, String)], out: &mut String) {
        let (number, severity) = severity(*event.metadata().level(), fields.fatal);
        let target = event.metadata().target();
        let _ = write!(
            out,
            "{{\"level\":{number},\"severity\":\"{severity}\",\"time\":{}",
            millis()
        );
        out.push_str(&self.process);
        out.push_str(",\"name\":");
        quote(module(target), out);
        out.push_str(",\"module\":");
        quote(target, out);
        for (name, value) in outer.iter().chain(&fields.entries) {
            out.push(',');
            quote(name, out);
            out.push(':');
            out.push_str(value);
        }
        out.push_str(",\"msg\":");
        quote(&fields.message, out);
        out.push_str("}\n");
    }

    fn pretty(color: bool, event: &Event<'_>, fields: &Fields, outer: &[(String, String)], out: &mut String) {
        let (_, severity) = severity(*event.metadata().level(), fields.fatal);
        let of_day = millis().rem_euclid(86_400_000);
        let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
        let (second, milli) = (of_day / 1_000 % 60, of_day % 1_000);
        let (on, dim, off) = match (color, severity) {
            (false, _) => ("", "", ""),
            (true, "FATAL" | "ERROR") => ("\u{1b}[31m", "\u{1b}[2m", "\u{1b}[0m"),
            (true, "WARN") => ("\u{1b}[33m", "\u{1b}[2m", "\u{1b}[0m"),
            (true, "INFO") => ("\u{1b}[32m", "\u{1b}[2m", "\u{1b}[0m"),
            (true, _) => ("\u{1b}[34m", "\u{1b}[2m", "\u{1b}[0m"),
        };
        let _ = write!(
            out,
            "{dim}{hour:02}:{minute:02}:{second:02}.{milli:03}{off} {on}{severity:<5}{off} {dim}{:<12}{off} ",
            module(event.metadata().target())
        );
        printable(&fields.message, out);
        for (name, value) in fields.entries.iter().chain(outer) {
            let _ = write!(out, " {dim}{name}={off}");
            printable(value, out);
        }
        out.push('\n');
    }
}

impl fmt::Debug for LineLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineLayer")
            .field("style", &self.style)
            .finish_non_exhaustive()
    }
}

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for LineLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut outer: Vec<(String, String)> = Vec::new();
        // The innermost span first: it knows best.
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(known) = span.extensions().get::<Fields>() {
                for (name, value) in &known.entries {
                    let taken = |entries: &[(String, String)]| entries.iter().any(|(other, _)| other == name);
                    if !taken(&fields.entries) && !taken(&outer) {
                        outer.push((name.clone(), value.clone()));
                    }
                }
            }
        }
        BUFFER.with(|buffer| {
            // A value's own `Debug` may log; its line then gets a buffer of its own.
            let mut line = buffer
                .try_borrow_mut()
                .map(|mut line| std::mem::take(&mut *line))
                .unwrap_or_default();
            line.clear();
            match self.style {
                Style::Json => self.json(event, &fields, &outer, &mut line),
                Style::Pretty { color } => Self::pretty(color, event, &fields, &outer, &mut line),
            }
            (self.sink)(line.as_bytes());
            if let Ok(mut kept) = buffer.try_borrow_mut() {
                line.shrink_to(MAX_FIELD_BYTES);
                *kept = line;
            }
        });
    }
}

// === impl Fields ===

impl Fields {
    fn put(&mut self, field: &Field, value: String) {
        let mut name = camel(field.name());
        if RESERVED.contains(&name.as_str()) {
            name.push_str("Value");
        }
        match self.entries.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => *old = value,
            None => self.entries.push((name, value)),
        }
    }

    fn text(&mut self, field: &Field, text: &str) {
        let text = shorten(text);
        if field.name() == "message" {
            text.clone_into(&mut self.message);
        } else {
            let mut value = String::with_capacity(text.len() + 2);
            quote(text, &mut value);
            self.put(field, value);
        }
    }
}

impl Visit for Fields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "fatal" {
            self.fatal = value;
        } else {
            self.put(field, value.to_string());
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.to_string());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.to_string());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let value = if value.is_finite() {
            value.to_string()
        } else {
            format!("\"{value}\"")
        };
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let message = value.to_string();
        let mut stack = message.clone();
        let mut source = value.source();
        while let Some(error) = source {
            let _ = write!(stack, ": {error}");
            source = error.source();
        }
        let mut json = String::from("{\"message\":");
        quote(shorten(&message), &mut json);
        json.push_str(",\"stack\":");
        quote(shorten(&stack), &mut json);
        json.push('}');
        self.put(field, json);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.text(field, &text);
    }
}

fn severity(level: Level, fatal: bool) -> (u8, &'static str) {
    match level {
        Level::ERROR if fatal => (60, "FATAL"),
        Level::ERROR => (50, "ERROR"),
        Level::WARN => (40, "WARN"),
        Level::INFO => (30, "INFO"),
        Level::DEBUG => (20, "DEBUG"),
        Level::TRACE => (10, "TRACE"),
    }
}

/// The module as people know it: `concurrency` of `openclaw_concurrency::pool`, `http` of `openclaw::http::chat`.
fn module(target: &str) -> &str {
    let (first, rest) = target.split_once("::").unwrap_or((target, ""));
    if first == "openclaw" {
        return rest
            .split("::")
            .next()
            .filter(|name| !name.is_empty())
            .unwrap_or("server");
    }
    first.strip_prefix("openclaw_").unwrap_or(first)
}

/// `queue_depth` as `queueDepth`.
fn camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        if c == '_' && !camel.is_empty() {
            upper = true;
        } else if upper {
            camel.extend(c.to_uppercase());
            upper = false;
        } else {
            camel.push(c);
        }
    }
    camel
}

fn shorten(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_FIELD_BYTES))
        .unwrap_or(text)
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// What cannot be printed is shown as an escape: a text must not move the cursor or begin a line.
fn printable(text: &str, out: &mut String) {
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
}

fn millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
