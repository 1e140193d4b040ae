//! What was sent and what came back, for tests that kill the server.
//!
//! Every message carries a nonce of plain letters and digits, which no markup, escaping or splitting changes; the
//! model echoes it. What the fakes saw is compared with what was sent: a message that was acknowledged and never
//! answered is lost, one answered in two replies is doubled, an answer in a chat that did not ask is a trespass.
//!
//! Order is judged by acknowledgement: a sender that wants it judged waits for one acknowledgement before it sends
//! the next message of the same chat, as the platforms do.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A book of messages and answers. All methods may be called from any task.
#[derive(Debug, Default)]
pub struct Ledger {
    book: Mutex<Book>,
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SentMessage {
    /// Stands in the text and in every answer to it.
    pub nonce: String,
    /// The text to send.
    pub text: String,
}

/// What became of everything that was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerReport {
    /// Messages handed out to be sent.
    pub sent: usize,
    /// Those the server acknowledged.
    pub acknowledged: usize,
    /// Those with at least one answer in their own chat.
    pub answered: usize,
    /// Acknowledged and not answered.
    pub lost: Vec<String>,
    /// Answered in more than one reply of their chat.
    pub doubled: Vec<String>,
    /// Answered after a message of the same chat that was acknowledged later.
    pub out_of_order: Vec<String>,
    /// Answered in another chat.
    pub wrong_chat: Vec<String>,
    /// Nonces in answers that nobody sent.
    pub unknown: Vec<String>,
    /// Replies without a nonce: refusals and other words of the server's own.
    pub without_nonce: usize,
}

#[derive(Debug, Default)]
struct Book {
    next: u64,
    acknowledgements: u64,
    messages: BTreeMap<String, Entry>,
    /// The nonces each reply holds at the moment, by chat and by the reply's number in it.
    replies: BTreeMap<(String, u64), BTreeSet<String>>,
}

#[derive(Debug)]
struct Entry {
    chat: String,
    /// Its place among all acknowledgements; `None` until there is one.
    acknowledged: Option<u64>,
}

// === impl Ledger ===

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a new message of this chat down and returns it. Sending it again later (a redelivery) needs no call.
    pub fn message(&self, chat: &str) -> SentMessage {
        let mut book = self.book.lock();
        book.next += 1;
        let nonce = format!("q{:08}z", book.next);
        book.messages.insert(
            nonce.clone(),
            Entry {
                chat: chat.to_owned(),
                acknowledged: None,
            },
        );
        SentMessage {
            text: format!("message {nonce}"),
            nonce,
        }
    }

    /// The server said it has the message. Only the first time counts.
    pub fn acknowledged(&self, nonce: &str) {
        let mut book = self.book.lock();
        let place = book.acknowledgements;
        if let Some(entry) = book.messages.get_mut(nonce)
            && entry.acknowledged.is_none()
        {
            entry.acknowledged = Some(place);
            book.acknowledgements += 1;
        }
    }

    /// What a reply reads now. Replies of a chat are numbered in the order they appeared; a reply that was edited is
    /// handed in again under its number, and its last text counts.
    pub fn reply(&self, chat: &str, number: u64, text: &str) {
        self.book
            .lock()
            .replies
            .insert((chat.to_owned(), number), nonces(text).collect());
    }

    /// How many messages have been acknowledged and not been answered yet.
    #[must_use]
    pub fn open(&self) -> usize {
        self.report().lost.len()
    }

    /// The state of the book.
    #[must_use]
    pub fn report(&self) -> LedgerReport {
        let book = self.book.lock();
        let mut report = LedgerReport {
            sent: book.messages.len(),
            acknowledged: book
                .messages
                .values()
                .filter(|entry| entry.acknowledged.is_some())
                .count(),
            ..LedgerReport::default()
        };
        let mut answers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for ((chat, _), found) in &book.replies {
            if found.is_empty() {
                report.without_nonce += 1;
            }
            for nonce in found {
                let Some(entry) = book.messages.get(nonce) else {
                    report.unknown.push(nonce.clone());
                    continue;
                };
                if entry.chat != *chat {
                    report.wrong_chat.push(nonce.clone());
                    continue;
                }
                let count = answers.entry(nonce).or_default();
                *count += 1;
                // A second answer is a double, not a disorder.
                if *count > 1 {
                    continue;
                }
                if let Some(place) = entry.acknowledged {
                    let latest = last.entry(chat).or_insert(place);
                    if place < *latest {
                        report.out_of_order.push(nonce.clone());
                    }
                    *latest = (*latest).max(place);
                }
            }
        }
        report.answered = answers.len();
        for (nonce, entry) in &book.messages {
            match answers.get(nonce.as_str()) {
                None if entry.acknowledged.is_some() => report.lost.push(nonce.clone()),
                Some(2..) => report.doubled.push(nonce.clone()),
                _ => {}
            }
        }
        report
    }
}

// === impl LedgerReport ===

impl LedgerReport {
    /// Nothing lost, doubled, out of order, in the wrong chat or made up.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.doubled.is_empty() && self.is_clean_but_for_doubles()
    }

    /// The same, doubles allowed: what a kill between a send and its record may cause.
    #[must_use]
    pub fn is_clean_but_for_doubles(&self) -> bool {
        [&self.lost, &self.out_of_order, &self.wrong_chat, &self.unknown]
            .iter()
            .all(|list| list.is_empty())
    }
}

impl fmt::Display for LedgerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} sent, {} acknowledged, {} answered; {} lost, {} doubled, {} out of order, {} in the wrong chat, {} unknown, {} replies without a nonce",
            self.sent,
            self.acknowledged,
            self.answered,
            self.lost.len(),
            self.doubled.len(),
            self.out_of_order.len(),
            self.wrong_chat.len(),
            self.unknown.len(),
            self.without_nonce,
        )
    }
}

/// The nonces in a text: `q`, eight or more digits, `z`.
fn nonces(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| {
            word.strip_prefix('q')
                .and_then(|rest| rest.strip_suffix('z'))
                .is_some_and(|digits| digits.len() >= 8 && digits.bytes().all(|digit| digit.is_ascii_digit()))
        })
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_acknowledged_message_without_an_answer_is_lost() {
        let ledger = Ledger::new();
        let (first, second) = (ledger.message("a"), ledger.message("a"));
        ledger.acknowledged(&first.nonce);
        assert_eq!(ledger.report().lost, [first.nonce]);
        ledger.reply("a", 1, &format!("echo: {}", second.text));
        assert_eq!(ledger.report().answered, 1);
    }

    #[test]
    fn an_edit_of_a_reply_is_no_second_answer_and_another_reply_is() {
        let ledger = Ledger::new();
        let message = ledger.message("a");
        ledger.acknowledged(&message.nonce);
        ledger.reply("a", 1, "echo: message");
        ledger.reply("a", 1, &format!("**echo:** {}!", message.text));
        assert!(ledger.report().is_clean());
        ledger.reply("a", 2, &message.text);
        assert_eq!(ledger.report().doubled, [message.nonce]);
    }

    #[test]
    fn an_answer_in_another_chat_is_a_trespass_and_no_answer() {
        let ledger = Ledger::new();
        let message = ledger.message("a");
        ledger.acknowledged(&message.nonce);
        ledger.reply("b", 1, &message.text);
        let report = ledger.report();
        assert_eq!(report.wrong_chat, std::slice::from_ref(&message.nonce));
        assert_eq!(report.lost, [message.nonce]);
    }

    #[test]
    fn a_nonce_nobody_sent_is_unknown_and_words_without_one_are_counted() {
        let ledger = Ledger::new();
        ledger.reply("a", 1, "echo: q99999999z");
        ledger.reply("a", 2, "quiz qz q1z q1234567xz");
        let report = ledger.report();
        assert_eq!(report.unknown, ["q99999999z"]);
        assert_eq!(report.without_nonce, 1);
    }

    proptest! {
        #[test]
        fn order_is_clean_exactly_when_answers_follow_acknowledgements(order in Just((0_usize..6).collect::<Vec<_>>()).prop_shuffle()) {
            let ledger = Ledger::new();
            let messages: Vec<_> = (0..6).map(|_| ledger.message("a")).collect();
            for message in &messages {
                ledger.acknowledged(&message.nonce);
            }
            for (number, &index) in (1..).zip(&order) {
                ledger.reply("a", number, &messages[index].text);
            }
            prop_assert_eq!(ledger.report().out_of_order.is_empty(), order.is_sorted());
            prop_assert_eq!(ledger.report().answered, 6);
        }
    }
}
