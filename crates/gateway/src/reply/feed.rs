//! An answer on the feed of a web or API chat.

use super::{Address, due};
use super::{Closing, FeedReply, before_send};
use crate::feed::FeedEvent;
use crate::ports::EntryId;
use crate::step::{Change, Followed, Step};
use futures::StreamExt;
use futures::future::BoxFuture;
use openclaw_ai_fabric::RoutedStream;
use openclaw_concurrency::WorkContext;
use openclaw_core::{ChatKind, Monotonic};
use openclaw_streaming::FlushReason;

// === impl FeedReply ===

impl FeedReply {
    pub(super) async fn follow(
        &mut self,
        stream: &mut RoutedStream,
        step: &mut Step,
        context: &WorkContext,
    ) -> Followed {
        let cancelled = context.cancelled();
        tokio::pin!(cancelled);
        let mut timer: Option<(Monotonic, BoxFuture<'static, ()>)> = None;
        loop {
            let deadline = self.gathered.next_deadline();
            if timer.as_ref().map(|(at, _)| *at) != deadline {
                timer = deadline.map(|at| (at, self.services.clock.sleep_until(at)));
            }
            tokio::select! {
                biased;
                () = &mut cancelled => return Followed::Stopped,
                event = stream.next() => match event {
                    Some(Ok(event)) => match step.take(event) {
                        Change::Text(text) => {
                            self.progress.update(|progress| progress.said.add(&text));
                            self.push(&text);
                        }
                        Change::Void => self.void(),
                        Change::None => {}
                    },
                    Some(Err(error)) => return Followed::Failed(error),
                    None => {
                        self.flush();
                        return Followed::Complete;
                    }
                },
                () = due(&mut timer) => {
                    timer = None;
                    if let Some(flush) = self.gathered.poll(self.services.clock.monotonic()) {
                        self.publish(flush.text);
                    }
                }
            }
        }
    }

    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        if let Some(flush) = self.gathered.push(text, self.services.clock.monotonic()) {
            self.publish(flush.text);
        }
    }

    pub(super) fn publish(&self, text: String) {
        if !self.held_back && !text.is_empty() {
            let event = FeedEvent::TextDelta {
                turn_id: self.turn_id.clone(),
                text,
            };
            self.services.feeds.publish(&self.tenant, event);
        }
    }

    fn flush(&mut self) {
        if let Some(flush) = self.gathered.flush(FlushReason::Done) {
            self.publish(flush.text);
        }
    }

    /// What this step has shown is void; what earlier steps of the turn have shown as well, because the page shows one text.
    fn void(&mut self) {
        self.gathered.clear();
        self.text.clear();
        self.publish_replacement();
    }

    pub(super) fn publish_replacement(&self) {
        if !self.held_back {
            let event = FeedEvent::TextReplace {
                turn_id: self.turn_id.clone(),
                text: self.text.clone(),
            };
            self.services.feeds.publish(&self.tenant, event);
        }
    }

    pub(super) async fn close(&mut self) -> Closing {
        self.flush();
        let mut closing = Closing {
            text: self.text.clone(),
            ..Closing::default()
        };
        if self.held_back {
            let address = Address {
                tenant: self.tenant.clone(),
                tier: self.tier,
                chat_kind: ChatKind::Private,
                reply_to: None,
                entry: EntryId(0),
                correlation_id: self.correlation_id,
            };
            match before_send(&self.services, &address, std::mem::take(&mut closing.text), true).await {
                Ok(text) => closing.text = text,
                Err(reason) => closing.cancelled = Some(reason),
            }
        }
        closing
    }
}
