//! A letter box between the pool and one worker's task. It holds one letter, since the pool hands over one request at
//! a time, and takes one lock to fill and one to empty.

use parking_lot::Mutex;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The pool's side. Dropping it closes the box; a letter in it is still read.
pub(crate) struct Slot<L>(Arc<Mutex<LetterBox<L>>>);

/// The worker's side. Dropping it closes the box, and drops the letter in it.
pub(crate) struct Letters<L>(Arc<Mutex<LetterBox<L>>>);

struct LetterBox<L> {
    letter: Option<L>,
    closed: bool,
    /// Of a reader that found the box empty.
    reader: Option<Waker>,
}

pub(crate) fn letter_box<L>() -> (Slot<L>, Letters<L>) {
    let letters = Arc::new(Mutex::new(LetterBox {
        letter: None,
        closed: false,
        reader: None,
    }));
    (Slot(Arc::clone(&letters)), Letters(letters))
}

// === impl Slot ===

impl<L> Slot<L> {
    /// Puts a letter in. It is given back when there is one already or nobody reads any more.
    pub(crate) fn put(&self, letter: L) -> Result<(), L> {
        let reader = {
            let mut letters = self.0.lock();
            if letters.closed || letters.letter.is_some() {
                return Err(letter);
            }
            letters.letter = Some(letter);
            letters.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
        Ok(())
    }
}

impl<L> Drop for Slot<L> {
    fn drop(&mut self) {
        let reader = {
            let mut letters = self.0.lock();
            letters.closed = true;
            letters.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

// === impl Letters ===

impl<L> Letters<L> {
    /// The next letter; `None` when the box is closed and empty.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<L>> {
        let mut letters = self.0.lock();
        if let Some(letter) = letters.letter.take() {
            return Poll::Ready(Some(letter));
        }
        if letters.closed {
            return Poll::Ready(None);
        }
        let old = letters.reader.replace(context.waker().clone());
        // Wakers and letters are foreign code, their end as well.
        drop(letters);
        drop(old);
        Poll::Pending
    }
}

impl<L> Drop for Letters<L> {
    fn drop(&mut self) {
        let (letter, reader) = {
            let mut letters = self.0.lock();
            letters.closed = true;
            (letters.letter.take(), letters.reader.take())
        };
        drop((letter, reader));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::future::poll_fn;

    #[track_caller]
    fn now<L>(letters: &mut Letters<L>) -> Option<Option<L>> {
        poll_fn(|context| letters.poll_next(context)).now_or_never()
    }

    #[test]
    fn the_box_holds_one_letter() {
        let (slot, mut letters) = letter_box();
        assert_eq!(now(&mut letters), None);
        assert_eq!(slot.put(1), Ok(()));
        assert_eq!(slot.put(2), Err(2));
        assert_eq!(now(&mut letters), Some(Some(1)));
        assert_eq!(now(&mut letters), None);
        assert_eq!(slot.put(3), Ok(()));
    }

    #[test]
    fn a_closed_box_is_emptied_and_then_ends() {
        let (slot, mut letters) = letter_box();
        assert_eq!(slot.put(1), Ok(()));
        drop(slot);
        assert_eq!(now(&mut letters), Some(Some(1)));
        assert_eq!(now(&mut letters), Some(None));
    }

    #[test]
    fn without_a_reader_nothing_is_taken_and_nothing_is_kept() {
        let (slot, letters) = letter_box();
        let letter = Arc::new(());
        assert_eq!(slot.put(Arc::clone(&letter)), Ok(()));
        drop(letters);
        assert_eq!(Arc::strong_count(&letter), 1, "the letter in the box is gone");
        assert_eq!(slot.put(Arc::clone(&letter)), Err(letter));
    }

    #[test]
    fn a_reader_is_woken_by_a_letter_and_by_the_end() {
        let (slot, mut letters) = letter_box();
        let reading = std::thread::spawn(move || {
            let mut all = Vec::new();
            while let Some(letter) =
                futures::executor::block_on(poll_fn(|context| letters.poll_next(context)))
            {
                all.push(letter);
            }
            all
        });
        for mut letter in 0..100 {
            while let Err(again) = slot.put(letter) {
                letter = again;
                std::thread::yield_now();
            }
        }
        drop(slot);
        assert_eq!(reading.join().expect("no panic"), (0..100).collect::<Vec<_>>());
    }
}
