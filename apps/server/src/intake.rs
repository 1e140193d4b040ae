//! How updates come in other than by somebody calling us: long polling, and telling platforms where the webhook is and
//! looking whether they still know.

use crate::bots::{Bot, Connected, Intake, Polled};
use crate::keep::keep;
use crate::prometheus::Counters;
use crate::wire::Built;
use openclaw_core::{Clock, CodedError, Platform};
use openclaw_gateway::Gateway;
use openclaw_gateway::ports::MetaStore;
use openclaw_messenger::{DeliveryError, DeliveryErrorKind, Parsed};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What keeps a platform's updates from coming, for `openclaw status`; nothing while they come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble {
    /// Held for a copy only.
    now: Arc<Mutex<Option<String>>>,
}

// === impl Trouble ===

impl Trouble {
    /// What it is now.
    pub(crate) fn now(&self) -> Option<String> {
        self.now.lock().clone()
    }

    fn is(&self, bot: &dyn Bot, error: &DeliveryError) {
        *self.now.lock() = Some(format!("{}: {error}", bot.address()));
    }

    fn is_over(&self) {
        *self.now.lock() = None;
    }
}

/// What runs until the server stops.
#[derive(Debug)]
pub(crate) struct Running {
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    /// Stops taking updates. What was taken is in the inbox.
    pub(crate) async fn stop(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Starts what the configuration asks for.
pub(crate) fn start(built: &Built, public_url: Option<&str>) -> Running {
    let running = Running {
        closing: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    for connected in &built.bots {
        let (closing, clock) = (running.closing.clone(), Arc::clone(&built.app.clock));
        let (watch, kept_clock, kept_closing) =
            (connected.watch.clone(), Arc::clone(&clock), closing.clone());
        let name = task_name(connected);
        match connected.intake {
            Intake::Polling => {
                let poller = Poller {
                    connected: connected.clone(),
                    gateway: built.gateway.clone(),
                    meta: Arc::clone(&built.meta),
                    counters: Arc::clone(&built.app.counters),
                    clock,
                };
                running
                    .tasks
                    .spawn(keep(name, watch, kept_clock, kept_closing, move || {
                        until(closing.clone(), poller.clone().poll())
                    }));
            }
            Intake::Webhook => {
                let registrar = Registrar {
                    connected: connected.clone(),
                    public_url: public_url.map(|url| url.trim_end_matches('/').to_owned()),
                    clock,
                };
                running
                    .tasks
                    .spawn(keep(name, watch, kept_clock, kept_closing, move || {
                        until(closing.clone(), registrar.clone().run())
                    }));
            }
        }
    }
    running
}

fn task_name(connected: &Connected) -> &'static str {
    match (connected.bot.platform(), connected.intake) {
        (Platform::Max, Intake::Polling) => "max.polling",
        (Platform::Max, Intake::Webhook) => "max.webhook",
        (_, Intake::Polling) => "telegram.polling",
        (_, Intake::Webhook) => "telegram.webhook",
    }
}

async fn until(closing: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = closing.cancelled() => {}
    }
}

/// Waits that double until something works.
struct Waits(Duration);

// === impl Waits ===

impl Waits {
    fn new() -> Self {
        Self(FIRST_WAIT)
    }

    async fn wait(&mut self, clock: &dyn Clock, asked: Option<Duration>) {
        clock.sleep(asked.unwrap_or(self.0)).await;
        self.0 = (self.0 * 2).min(LONGEST_WAIT);
    }
}

/// Asks who we are until the platform says so. Until then groups are not answered, since nobody knows our name.
async fn connect(connected: &Connected, clock: &dyn Clock) {
    let bot = &connected.bot;
    let mut waits = Waits::new();
    loop {
        let error = match bot.ask_who().await {
            Ok(()) => {
                connected.trouble.is_over();
                tracing::info!(username = bot.username(), "connected to {}", bot.name());
                return;
            }
            Err(error) => error,
        };
        let address = bot.address();
        connected.trouble.is(&**bot, &error);
        if error.kind == DeliveryErrorKind::BadToken {
            let advice = bot.token_advice();
            tracing::warn!(%error, address, "the bot is not connected; {advice}");
        } else {
            let advice = bot.network_advice();
            tracing::warn!(%error, address, "the bot is not connected yet and is tried again; {advice}");
        }
        waits.wait(clock, None).await;
    }
}

/// Tells a platform where its webhook is, where that is known, and tells it again when it has forgotten.
#[derive(Clone)]
struct Registrar {
    connected: Connected,
    /// Without a slash at the end.
    public_url: Option<String>,
    clock: Arc<dyn Clock>,
}

// === impl Registrar ===

impl Registrar {
    async fn run(self) {
        connect(&self.connected, &*self.clock).await;
        let Some(public_url) = &self.public_url else {
            return;
        };
        let open = format!("{public_url}{}", self.connected.open_path());
        let url = format!("{public_url}{}", self.connected.path().expose());
        self.register(&url, &open).await;
        let Some(time) = self.connected.bot.time_between_looks() else {
            return;
        };
        loop {
            self.clock.sleep(time).await;
            self.look(&url, &open).await;
        }
    }

    /// Registers until that works.
    async fn register(&self, url: &str, open: &str) {
        let Connected {
            bot,
            secret: Some(secret),
            ..
        } = &self.connected
        else {
            return;
        };
        let mut waits = Waits::new();
        while let Err(error) = bot.register(url, open, secret).await {
            self.connected.trouble.is(&**bot, &error);
            tracing::warn!(%error, url = open, "the webhook is not registered yet");
            waits.wait(&*self.clock, error.retry_after()).await;
        }
        self.connected.trouble.is_over();
        tracing::info!(url = open, "the webhook is registered");
    }

    /// Looks once whether the platform still knows our address. That a look fails says nothing of the webhook.
    async fn look(&self, url: &str, open: &str) {
        match self.connected.bot.is_registered(url).await {
            Ok(true) => self.connected.trouble.is_over(),
            Ok(false) => {
                let name = self.connected.bot.name();
                tracing::warn!(
                    url = open,
                    "{name} sends no updates any more; the webhook is registered anew"
                );
                self.register(url, open).await;
            }
            Err(error) => {
                self.connected.trouble.is(&*self.connected.bot, &error);
                tracing::warn!(%error, url = open, "whether the webhook is still registered is not known");
            }
        }
    }
}

#[derive(Clone)]
struct Poller {
    connected: Connected,
    gateway: Gateway,
    meta: Arc<dyn MetaStore>,
    counters: Arc<Counters>,
    clock: Arc<dyn Clock>,
}

// === impl Poller ===

impl Poller {
    async fn poll(self) {
        let bot = &self.connected.bot;
        connect(&self.connected, &*self.clock).await;
        // A webhook that is still set would keep every poll from getting anything.
        if let Err(error) = bot.stop_webhooks().await {
            tracing::warn!(%error, "a webhook that may be set was not removed");
        }
        let mut position = self.stored_position().await;
        let mut waits = Waits::new();
        loop {
            let began = self.clock.monotonic();
            match bot.poll(position, self.clock.now()).await {
                Ok(Polled { updates, next }) => {
                    self.connected.trouble.is_over();
                    waits = Waits::new();
                    self.take(updates).await;
                    // Asking from there confirms, so it is asked only after the commit.
                    if let Some(next) = next.filter(|next| Some(*next) != position) {
                        position = Some(next);
                        self.store_position(next).await;
                    }
                    let spent = self.clock.monotonic().saturating_since(began);
                    let rest = bot.time_between_polls().saturating_sub(spent);
                    if !rest.is_zero() {
                        self.clock.sleep(rest).await;
                    }
                }
                Err(error) => {
                    self.connected.trouble.is(&**bot, &error);
                    report(&error, bot.address());
                    waits.wait(&*self.clock, error.retry_after()).await;
                }
            }
        }
    }

    /// Makes a batch durable. Tries until it is: what is not confirmed comes again.
    async fn take(&self, updates: Vec<Result<Parsed, openclaw_messenger::ParseError>>) {
        let platform = self.connected.bot.platform();
        let count = |outcome| self.counters.polled.bump([platform.as_str(), outcome]);
        let mut messages = Vec::new();
        for update in updates {
            match update {
                Ok(Parsed::Messages(parsed)) => messages.extend(parsed),
                Ok(Parsed::Ignored { .. }) => count("ignored"),
                Ok(Parsed::Migrated { from, to }) => {
                    self.gateway.chat_moved(platform, &from, &to);
                    count("ok");
                }
                Err(error) => {
                    tracing::warn!(%platform, %error, "an update cannot be understood");
                    count("malformed");
                }
            }
        }
        let mut waits = Waits::new();
        while !messages.is_empty() {
            match self.gateway.receive(messages.clone(), None).await {
                Ok(receipts) => {
                    for receipt in receipts {
                        count(if receipt.duplicate { "duplicate" } else { "ok" });
                    }
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "updates are not taken yet");
                    let asked = error.retry_after().map(|wait| wait.min(LONGEST_WAIT));
                    waits.wait(&*self.clock, asked).await;
                }
            }
        }
    }

    async fn stored_position(&self) -> Option<i64> {
        match self.meta.get_meta(self.connected.bot.position_key()).await {
            Ok(text) => text.and_then(|text| text.parse().ok()),
            Err(error) => {
                tracing::warn!(%error, "the polling position cannot be read; what comes again is known by its id");
                None
            }
        }
    }

    async fn store_position(&self, position: i64) {
        let key = self.connected.bot.position_key();
        if let Err(error) = self.meta.put_meta(key, &position.to_string()).await {
            tracing::warn!(%error, "the polling position is not stored; what comes again is known by its id");
        }
    }
}

fn report(error: &DeliveryError, address: &str) {
    match &error.kind {
        DeliveryErrorKind::Conflict => {
            tracing::warn!(%error, address, "another process polls with this token, or a webhook is set; only one can get the updates");
        }
        _ => tracing::warn!(%error, address, "polling failed and is tried again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bots::{webhook_hook, webhook_secret};
    use crate::keep::Watch;
    use openclaw_core::Secret;
    use openclaw_core::testing::ManualClock;
    use openclaw_max::{MaxAdapter, MaxConfig};
    use openclaw_testkit::fake_max::{FakeMax, MaxFault};

    const LONG: Duration = Duration::from_secs(20);

    struct Registering {
        max: FakeMax,
        clock: Arc<ManualClock>,
        connected: Connected,
        task: tokio::task::JoinHandle<()>,
    }

    /// A registrar that runs against a fake MAX which knows these addresses already.
    async fn registering(
        public_url: Option<&str>,
        known: &[&str],
        change: impl FnOnce(&FakeMax),
    ) -> Registering {
        let max = FakeMax::start().await.unwrap();
        known.iter().for_each(|url| max.subscribe(url, None));
        change(&max);
        let token = Secret::new(max.token());
        let secret = webhook_secret(&Secret::new("a key"), &token);
        let config = MaxConfig {
            base_url: max.base_url(),
            ..MaxConfig::new(token)
        };
        let http = openclaw_http_client::HttpClientConfig::default().build().unwrap();
        let connected = Connected {
            bot: Arc::new(MaxAdapter::new(config, http)),
            intake: Intake::Webhook,
            hook: Some(webhook_hook(&secret)),
            secret: Some(secret),
            trouble: Trouble::default(),
            watch: Watch::default(),
        };
        let clock = ManualClock::new();
        let registrar = Registrar {
            connected: connected.clone(),
            public_url: public_url.map(str::to_owned),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
        };
        let task = tokio::spawn(registrar.run());
        Registering {
            max,
            clock,
            connected,
            task,
        }
    }

    /// Waits until the registrar waits.
    async fn asleep(clock: &ManualClock) {
        let sleeping = async {
            while clock.sleepers() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, sleeping).await.expect("it waits");
    }

    #[tokio::test]
    async fn a_webhook_is_registered_on_a_path_nobody_can_guess_in_the_place_of_our_earlier_ones() {
        let foreign = "https://other.example/max";
        let earlier = [
            "https://bot.example/webhook/max",
            "https://bot.example/webhook/max/earlier",
        ];
        let known = [earlier[0], foreign, earlier[1]];
        let Registering {
            max, connected, task, ..
        } = registering(Some("https://bot.example"), &known, |_| {}).await;
        max.wait_for(|state| state.subscriptions.len() == 2, LONG)
            .await
            .unwrap();
        let subscriptions = max.subscriptions();
        assert_eq!(subscriptions[0].url, foreign, "what is not ours stays");
        let ours = &subscriptions[1];
        let hook = ours.url.strip_prefix("https://bot.example/webhook/max/").unwrap();
        assert_eq!(hook.len(), 32);
        assert!(connected.is_hook(Some(hook)) && !connected.is_hook(None) && !connected.is_hook(Some("x")));
        assert_eq!(
            ours.secret.as_deref(),
            connected.secret.as_ref().map(Secret::expose)
        );
        task.abort();
    }

    #[tokio::test]
    async fn a_subscription_that_the_platform_has_ended_is_made_anew() {
        let Registering {
            max,
            clock,
            connected,
            task,
        } = registering(Some("https://bot.example"), &[], |_| {}).await;
        let is_looked = |count: u64| {
            move |state: &openclaw_testkit::fake_max::MaxState| state.count("GET /subscriptions") >= count
        };
        max.wait_for(is_looked(1), LONG).await.unwrap();
        asleep(&clock).await;
        clock.advance(Duration::from_secs(600));
        max.wait_for(is_looked(2), LONG).await.unwrap();
        assert_eq!(max.call_count("POST /subscriptions"), 1, "all is well");

        max.unsubscribe_all();
        asleep(&clock).await;
        clock.advance(Duration::from_secs(600));
        max.wait_for(|state| !state.subscriptions.is_empty(), LONG)
            .await
            .unwrap();

        asleep(&clock).await;
        // What cannot be asked is told, and is over with the next answer.
        max.fault("GET /subscriptions", MaxFault::Page { status: 502 });
        clock.advance(Duration::from_secs(600));
        asleep(&clock).await;
        let trouble = connected.trouble.now().unwrap();
        assert!(trouble.contains("status 502"), "{trouble}");
        clock.advance(Duration::from_secs(600));
        asleep(&clock).await;
        assert_eq!(connected.trouble.now(), None);
        task.abort();
    }

    #[tokio::test]
    async fn what_fails_while_it_is_registered_is_tried_again_and_without_an_address_nothing_is() {
        let Registering {
            max,
            clock,
            connected,
            task,
        } = registering(Some("https://bot.example"), &[], |max| {
            max.fault(
                "POST /subscriptions",
                MaxFault::RateLimited { retry_after: Some(7) },
            );
        })
        .await;
        asleep(&clock).await;
        assert!(connected.trouble.now().unwrap().contains("asks to wait"));
        clock.advance(Duration::from_secs(6));
        assert_eq!(max.call_count("POST /subscriptions"), 1, "as long as it asks");
        clock.advance(Duration::from_secs(1));
        max.wait_for(|state| !state.subscriptions.is_empty(), LONG)
            .await
            .unwrap();
        task.abort();

        let Registering { max, task, .. } = registering(None, &[], |_| {}).await;
        tokio::time::timeout(LONG, task).await.unwrap().unwrap();
        assert_eq!(max.call_count("GET /me"), 1);
        assert_eq!(max.call_count("POST /subscriptions"), 0);
    }
}
