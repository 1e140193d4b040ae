//! The use cases on in-memory stores, with a messenger and a model made for the test.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod chats;
mod completion;
mod faults;
mod faulty_store;
mod history;
mod hooks;
mod intake;
mod killed;
mod old_news;
mod order;
mod outbox;
mod path;
mod promises;
mod queue;
mod remembered;
mod turn;
mod world;
