//! A headless Chromium, driven over its DevTools protocol: as much of it as tests of pages need.
//!
//! Each [`Page`] is a visitor of its own: its cookies and its storage are shared with no other. Everything a page
//! asked the network for, every dialog, every uncaught exception and every violation of a content security policy is
//! remembered from its first moment on.
//!
//! ```no_run
//! # async fn example(chromium: &std::path::Path) -> anyhow::Result<()> {
//! use openclaw_testkit::browser::Browser;
//!
//! let browser = Browser::launch(chromium).await?;
//! let page = browser.visitor().await?;
//! page.open("http://127.0.0.1:3000/").await?;
//! page.type_text("Hello").await?;
//! page.press("Enter").await?;
//! page.wait_for("document.querySelector('article')").await?;
//! # Ok(())
//! # }
//! ```

mod socket;

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use serde_json::{Value, json};
use socket::{Reader, Writer};
use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long the browser may take for anything it is asked.
const LIMIT: Duration = Duration::from_secs(60);
/// Time between two looks.
const POLL: Duration = Duration::from_millis(10);
/// Runs in every document before its own scripts: remembers what the policy forbade.
const WATCH: &str = "window.__violations = [];\
    addEventListener('securitypolicyviolation', (event) => \
    window.__violations.push(event.violatedDirective + ' ' + event.blockedURI));";

/// A running browser. Dropping it kills the process and removes its profile.
#[derive(Debug)]
pub struct Browser {
    connection: Arc<Connection>,
    reading: JoinHandle<()>,
    _child: Child,
    _profile: TempDir,
}

/// A tab in a browser context of its own.
#[derive(Debug)]
pub struct Page {
    connection: Arc<Connection>,
    session: String,
}

/// What was sent without being asked for.
#[derive(Clone, Debug)]
struct Happening {
    session: String,
    method: String,
    params: Value,
}

#[derive(Debug)]
struct Connection {
    /// Held while one message is written.
    writer: tokio::sync::Mutex<Writer>,
    number: AtomicU64,
    /// Who waits for the answer of which number.
    waiting: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    happenings: Mutex<Vec<Happening>>,
}

// === impl Browser ===

impl Browser {
    /// Starts this Chromium with a new profile.
    ///
    /// # Errors
    /// When it did not start or could not be talked to.
    pub async fn launch(chromium: &Path) -> Result<Self> {
        let profile = tempfile::Builder::new().prefix("openclaw-browser-").tempdir()?;
        let child = Command::new(chromium)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
                "--lang=en-US",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be run", chromium.display()))?;
        let (port, path) = debugging_address(profile.path()).await?;
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let (reader, writer) = socket::open(stream, port, &path).await?;
        let connection = Arc::new(Connection {
            writer: tokio::sync::Mutex::new(writer),
            number: AtomicU64::new(1),
            waiting: Mutex::default(),
            happenings: Mutex::default(),
        });
        let reading = tokio::spawn(read(reader, Arc::clone(&connection)));
        Ok(Self {
            connection,
            reading,
            _child: child,
            _profile: profile,
        })
    }

    /// A tab of a visitor nobody has seen before.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn visitor(&self) -> Result<Page> {
        let context = self.ask("Target.createBrowserContext", json!({})).await?;
        self.tab(&context["browserContextId"]).await
    }

    /// A second tab of the visitor who has `page`.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn tab_beside(&self, page: &Page) -> Result<Page> {
        let info = page.ask("Target.getTargetInfo", json!({})).await?;
        self.tab(&info["targetInfo"]["browserContextId"]).await
    }

    async fn tab(&self, context: &Value) -> Result<Page> {
        let target = self
            .ask(
                "Target.createTarget",
                json!({"url": "about:blank", "browserContextId": context}),
            )
            .await?;
        let attached = self
            .ask(
                "Target.attachToTarget",
                json!({"targetId": target["targetId"], "flatten": true}),
            )
            .await?;
        let session = attached["sessionId"].as_str().context("no session")?.to_owned();
        let page = Page {
            connection: Arc::clone(&self.connection),
            session,
        };
        for domain in ["Page", "Network", "Runtime", "Log", "Accessibility"] {
            page.ask(&format!("{domain}.enable"), json!({})).await?;
        }
        page.ask("Page.addScriptToEvaluateOnNewDocument", json!({"source": WATCH}))
            .await?;
        page.viewport(1024, 768).await?;
        Ok(page)
    }

    async fn ask(&self, method: &str, params: Value) -> Result<Value> {
        self.connection.ask(None, method, params).await
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

// === impl Page ===

impl Page {
    /// Calls a method of the protocol.
    ///
    /// # Errors
    /// When the browser refuses or does not answer.
    pub async fn ask(&self, method: &str, params: Value) -> Result<Value> {
        self.connection.ask(Some(&self.session), method, params).await
    }

    /// Opens an address and waits until the document and its scripts are there.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn open(&self, url: &str) -> Result<()> {
        // The document before stays for a moment and must not be taken for the new one.
        self.eval("window.__before = true").await?;
        let answer = self.ask("Page.navigate", json!({"url": url})).await?;
        if let Some(error) = answer["errorText"].as_str() {
            bail!("{url}: {error}");
        }
        self.wait_for("!window.__before && document.readyState === 'complete'")
            .await
    }

    /// Loads the document again.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub async fn reload(&self) -> Result<()> {
        self.eval("window.__before = true").await?;
        self.ask("Page.reload", json!({})).await?;
        self.wait_for("!window.__before && document.readyState === 'complete'")
            .await
    }

    /// The value of an expression; a promise is waited for.
    ///
    /// # Errors
    /// When it throws; the message is the exception's.
    pub async fn eval(&self, expression: &str) -> Result<Value> {
        let answer = self
            .ask(
                "Runtime.evaluate",
                json!({"expression": expression, "returnByValue": true, "awaitPromise": true}),
            )
            .await?;
        if let Some(exception) = answer.get("exceptionDetails") {
            bail!("{expression}: {exception}");
        }
        Ok(answer["result"]["value"].clone())
    }

    /// The value of an expression that is a text; empty when it is none.
    ///
    /// # Errors
    /// As [`Self::eval`].
    pub async fn text(&self, expression: &str) -> Result<String> {
        Ok(self
            .eval(expression)
            .await?
            .as_str()
            .unwrap_or_default()
            .to_owned())
    }

    /// Waits until an expression is true.
    ///
    /// # Errors
    /// When that took longer than 60 s; the message shows the page's text.
    pub async fn wait_for(&self, expression: &str) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        let asked = format!("!!({expression})");
        loop {
            // While a document is being replaced there is nothing to ask.
            if matches!(self.eval(&asked).await, Ok(Value::Bool(true))) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let text = self.text("document.body.innerText").await;
                bail!(
                    "not true within {LIMIT:?}: {expression}\n{}",
                    text.unwrap_or_default()
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Types into what has the focus.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn type_text(&self, text: &str) -> Result<()> {
        self.ask("Input.insertText", json!({"text": text})).await?;
        Ok(())
    }

    /// Presses a key as a person does: `Enter`, `Escape`, `Tab`, `Space`, an arrow; `Shift+` may stand before it.
    ///
    /// # Errors
    /// When the key is none of these.
    pub async fn press(&self, key: &str) -> Result<()> {
        let (shift, name) = match key.strip_prefix("Shift+") {
            Some(name) => (8, name),
            None => (0, key),
        };
        let (key, code, text) = match name {
            "Enter" => ("Enter", 13, Some("\r")),
            "Space" => (" ", 32, Some(" ")),
            "Escape" => ("Escape", 27, None),
            "Tab" => ("Tab", 9, None),
            "ArrowDown" => ("ArrowDown", 40, None),
            "ArrowUp" => ("ArrowUp", 38, None),
            other => bail!("no such key: {other}"),
        };
        let mut event = json!({"type": "keyDown", "key": key, "code": name, "windowsVirtualKeyCode": code, "modifiers": shift});
        if let Some(text) = text {
            event["text"] = text.into();
        }
        self.ask("Input.dispatchKeyEvent", event.clone()).await?;
        event["type"] = "keyUp".into();
        if let Some(fields) = event.as_object_mut() {
            fields.remove("text");
        }
        self.ask("Input.dispatchKeyEvent", event).await?;
        Ok(())
    }

    /// Clicks the middle of the first element a selector finds.
    ///
    /// # Errors
    /// When there is none.
    pub async fn click(&self, selector: &str) -> Result<()> {
        let selector = Value::from(selector);
        let place = self
            .eval(&format!(
                "(() => {{ const box = document.querySelector({selector}).getBoundingClientRect(); \
                 return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
            ))
            .await?;
        for kind in ["mousePressed", "mouseReleased"] {
            let event =
                json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.ask("Input.dispatchMouseEvent", event).await?;
        }
        Ok(())
    }

    /// Sets the size of the window in CSS pixels.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn viewport(&self, width: u32, height: u32) -> Result<()> {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.ask("Emulation.setDeviceMetricsOverride", metrics).await?;
        Ok(())
    }

    /// Pretends that the person's system has these settings, such as `("prefers-color-scheme", "dark")`.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn prefers(&self, features: &[(&str, &str)]) -> Result<()> {
        let features: Vec<Value> = features
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        self.ask("Emulation.setEmulatedMedia", json!({"features": features}))
            .await?;
        Ok(())
    }

    /// Pretends that the person reads this language, such as `ru-RU`. Documents opened from now on see it.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn speaks(&self, language: &str) -> Result<()> {
        let agent = self.text("navigator.userAgent").await?;
        let agent = json!({"userAgent": agent, "acceptLanguage": language});
        self.ask("Network.setUserAgentOverride", agent).await?;
        Ok(())
    }

    /// The names of the cookies the page's address would be sent.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn cookies(&self) -> Result<Vec<String>> {
        let answer = self.ask("Network.getCookies", json!({})).await?;
        let cookies = answer["cookies"].as_array().context("no cookies")?;
        Ok(cookies
            .iter()
            .filter_map(|cookie| Some(cookie["name"].as_str()?.to_owned()))
            .collect())
    }

    /// A picture of the window, as a PNG.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn picture(&self) -> Result<Vec<u8>> {
        let answer = self
            .ask("Page.captureScreenshot", json!({"format": "png"}))
            .await?;
        let text = answer["data"].as_str().context("no picture")?;
        from_base64(text).context("the picture is not base64")
    }

    /// What a screen reader is told: role and name of every node that is not ignored, in reading order.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn accessibility(&self) -> Result<Vec<(String, String)>> {
        let tree = self.ask("Accessibility.getFullAXTree", json!({})).await?;
        let nodes = tree["nodes"].as_array().context("no tree")?;
        let value = |node: &Value, field: &str| node[field]["value"].as_str().unwrap_or_default().to_owned();
        Ok(nodes
            .iter()
            .filter(|node| node["ignored"] != true)
            .map(|node| (value(node, "role"), value(node, "name")))
            .collect())
    }

    /// The addresses asked for, oldest first, `data:` and `blob:` included.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.happened("Network.requestWillBeSent", "/request/url")
    }

    /// The texts of dialogs that were opened.
    #[must_use]
    pub fn dialogs(&self) -> Vec<String> {
        self.happened("Page.javascriptDialogOpening", "/message")
    }

    /// The exceptions nobody caught.
    #[must_use]
    pub fn exceptions(&self) -> Vec<String> {
        self.happened(
            "Runtime.exceptionThrown",
            "/exceptionDetails/exception/description",
        )
    }

    /// What stands in the console: warnings and errors of the browser, and what scripts wrote.
    #[must_use]
    pub fn console(&self) -> Vec<String> {
        let mut lines = self.happened("Log.entryAdded", "/entry/text");
        lines.extend(self.happened("Runtime.consoleAPICalled", "/args/0/value"));
        lines
    }

    /// What the content security policy of the present document has forbidden.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub async fn violations(&self) -> Result<Vec<String>> {
        let found = self.eval("window.__violations").await?;
        Ok(serde_json::from_value(found)?)
    }

    fn happened(&self, method: &str, field: &str) -> Vec<String> {
        self.connection
            .happenings
            .lock()
            .iter()
            .filter(|one| one.session == self.session && one.method == method)
            .filter_map(|one| Some(one.params.pointer(field)?.as_str()?.to_owned()))
            .collect()
    }
}

// === impl Connection ===

impl Connection {
    async fn ask(&self, session: Option<&str>, method: &str, params: Value) -> Result<Value> {
        let id = self.number.fetch_add(1, Relaxed);
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().insert(id, answer);
        self.writer.lock().await.text(&message.to_string()).await?;
        let answer = tokio::time::timeout(LIMIT, answered)
            .await
            .with_context(|| format!("{method}: no answer within {LIMIT:?}"))?
            .with_context(|| format!("{method}: the browser has gone"))?;
        if let Some(error) = answer.get("error") {
            bail!("{method}: {error}");
        }
        Ok(answer["result"].clone())
    }

    fn take(&self, mut message: Value) {
        if let Some(id) = message["id"].as_u64() {
            if let Some(waiting) = self.waiting.lock().remove(&id) {
                // Who asked may have given up meanwhile.
                drop(waiting.send(message));
            }
            return;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.happenings.lock().push(Happening {
            session: text(&message["sessionId"]),
            method: text(&message["method"]),
            params: message["params"].take(),
        });
    }
}

/// Reads until the browser goes; whoever waits then learns it.
async fn read(mut reader: Reader, connection: Arc<Connection>) {
    while let Ok(Some(text)) = reader.text().await {
        if let Ok(message) = serde_json::from_slice(&text) {
            connection.take(message);
        }
    }
    connection.waiting.lock().clear();
}

/// Port and path, as the browser writes them into its profile.
async fn debugging_address(profile: &Path) -> Result<(u16, String)> {
    let file = profile.join("DevToolsActivePort");
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Ok(text) = std::fs::read_to_string(&file)
            && let Some((port, path)) = text.split_once('\n')
            && let Ok(port) = port.parse()
            && !path.trim().is_empty()
        {
            return Ok((port, path.trim().to_owned()));
        }
        if Instant::now() >= deadline {
            bail!("the browser did not open its debugging port within {LIMIT:?}");
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The bytes of a base64 text with the usual alphabet.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0);
    for character in text.trim_end_matches('=').bytes() {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read() {
        for (text, bytes) in [("", ""), ("TQ==", "M"), ("TWE=", "Ma"), ("TWFu", "Man")] {
            assert_eq!(from_base64(text).unwrap(), bytes.as_bytes());
        }
        assert_eq!(from_base64("TW-u"), None);
    }
}
