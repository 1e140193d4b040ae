//! The lock that guards what threads share here, and the points between two steps where another thread may come.
//!
//! In the program it is the lock of `parking_lot` and the points are nothing. In this crate's own unit tests both
//! hand over to a concurrency checker when one runs, which then decides who goes on: see `exploration`.

#[cfg(test)]
pub(crate) use self::explored::{Mutex, between};

#[cfg(not(test))]
pub(crate) use parking_lot::Mutex;

/// A point where another thread may come between what is before and what is after.
#[cfg(not(test))]
#[inline]
pub(crate) fn between() {}

#[cfg(test)]
mod explored {
    use shuttle::sync::atomic::{AtomicBool, Ordering};
    use std::fmt;
    use std::ops::{Deref, DerefMut};

    /// The same lock, which outside an exploration behaves as ever.
    #[derive(Default)]
    pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

    pub(crate) struct MutexGuard<'a, T>(Option<parking_lot::MutexGuard<'a, T>>);

    fn exploring() -> bool {
        // A task that unwinds is not interrupted: it may be dropping what another task looks at.
        !std::thread::panicking() && shuttle::current::try_get_current_task().is_some()
    }

    /// Lets the checker run somebody else. An access to shared memory is the plainest point it knows.
    pub(crate) fn between() {
        if exploring() {
            AtomicBool::new(false).load(Ordering::SeqCst);
        }
    }

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(parking_lot::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            between();
            loop {
                if !exploring() {
                    return MutexGuard(Some(self.0.lock()));
                }
                if let Some(guard) = self.0.try_lock() {
                    return MutexGuard(Some(guard));
                }
                shuttle::thread::yield_now();
            }
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().expect("held until it is dropped")
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().expect("held until it is dropped")
        }
    }

    impl<T> Drop for MutexGuard<'_, T> {
        fn drop(&mut self) {
            self.0 = None;
            between();
        }
    }

    impl<T> fmt::Debug for Mutex<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Mutex").finish_non_exhaustive()
        }
    }
}
