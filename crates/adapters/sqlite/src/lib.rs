//! The embedded durable store: SQLite in one directory, one writer, group commit.
//!
//! What a method answered `Ok` is on the disk: the log is written and synced (`journal_mode = WAL`,
//! `synchronous = FULL`, both read back when the store is opened) before anybody is told. One thread writes; it takes
//! whatever waits into one transaction, so that many callers share one sync. A few threads read.
//!
//! ```
//! use openclaw_core::Timestamp;
//! use openclaw_gateway::ports::{MetaStore, TurnStore};
//! use openclaw_sqlite::{SqliteOptions, SqliteStore};
//!
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let store = SqliteStore::open(dir, SqliteOptions::default(), Timestamp::from_millis(0))?;
//! store.put_meta("telegram.offset", "17").await?;
//! store.shut_down().await;
//!
//! let again = SqliteStore::open(dir, SqliteOptions::default(), Timestamp::from_millis(0))?;
//! assert_eq!(again.get_meta("telegram.offset").await?.as_deref(), Some("17"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Reading order: [`SqliteStore`] here, `open` (directory, lock, settings, recovery), `migrate` (the schema's history),
//! `writer` (group commit and what a failed one means), `readers`, `store` (the ports), `ops` (what each method does to
//! the tables), `rows` (rows to values).
//!
//! Invariants: nobody is answered before the commit that holds their change returned; an operation that fails changes
//! nothing and harms no other; after a failed sync nothing is written any more; no two processes have one directory; a
//! fence or generation is never handed out twice.
//!
//! It does not decide what a turn does to a session (`openclaw-session` does) nor when to sweep, and it does not
//! exit the process: [`SqliteStore::failed`] tells the server to.

#![forbid(unsafe_code)]

mod error;
mod health;
mod migrate;
mod open;
mod ops;
mod readers;
mod rows;
mod store;
mod writer;

pub use error::OpenError;
pub use open::SqliteOptions;

use error::OpError;
use health::{Health, unavailable};
use openclaw_core::Timestamp;
use openclaw_gateway::ports::{Recovery, StoreError};
use parking_lot::Mutex;
use readers::Readers;
use rusqlite::Connection;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use tokio::sync::Semaphore;
use writer::{Job, Task, Writer};

/// The most writes that wait; more wait for a place, in order.
const MAX_WAITING: usize = 4_096;

/// All stores in one SQLite database.
///
/// Dropping it waits until what was handed in is written, a few milliseconds; [`shut_down`] does so without holding
/// up a runtime's thread.
///
/// [`shut_down`]: openclaw_gateway::ports::TurnStore::shut_down
pub struct SqliteStore {
    dir: PathBuf,
    /// `None` when closed. Held for a send.
    queue: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    places: Arc<Semaphore>,
    thread: Mutex<Option<JoinHandle<()>>>,
    readers: Arc<Readers>,
    health: Arc<Health>,
    recovery: Recovery,
    epoch: i64,
}

// === impl SqliteStore ===

impl SqliteStore {
    /// Opens the store in a directory, making both when they are missing, and settles what an earlier process left
    /// behind. `now` dates the steps of the schema. Blocks for some milliseconds.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] when another process has the directory; see there for the others. An error leaves the
    /// store as it was.
    pub fn open(dir: &Path, options: SqliteOptions, now: Timestamp) -> Result<Self, OpenError> {
        let opened = open::open(dir, options, now)?;
        let writer = Writer::new(opened.writer, Arc::clone(&opened.health));
        let in_dir = |source| OpenError::Directory {
            dir: dir.to_owned(),
            source,
        };
        let readers = Arc::new(Readers::start(opened.readers).map_err(in_dir)?);
        let (queue, jobs) = mpsc::channel();
        let lock = opened.lock;
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || {
                writer.run(&jobs);
                // The directory is given up when everything is written.
                drop(lock);
            })
            .map_err(in_dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            queue: Mutex::new(Some(queue)),
            places: Arc::new(Semaphore::new(MAX_WAITING)),
            thread: Mutex::new(Some(thread)),
            readers,
            health: opened.health,
            recovery: opened.recovery,
            epoch: opened.epoch,
        })
    }

    /// Ends with the reason when it is unknown what is on the disk and nothing will be written any more; else never.
    /// The server then exits with a code of its own. Dropping the future abandons the wait.
    pub async fn failed(&self) -> String {
        self.health.wait_failed().await
    }

    async fn write<T, F>(&self, work: F) -> Result<T, OpError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, OpError> + Send + 'static,
    {
        let closed = || OpError::Store(unavailable("the store is closed"));
        self.health.may_try()?;
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        let (job, answer) = Task::queued(work, place);
        self.queue
            .lock()
            .as_ref()
            .and_then(|queue| queue.send(job).ok())
            .ok_or_else(closed)?;
        answer.await.map_err(|_| {
            OpError::Store(StoreError::Unknown {
                reason: "the writer stopped".into(),
            })
        })?
    }

    async fn read<T, F>(&self, work: F) -> Result<T, OpError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, OpError> + Send + 'static,
    {
        self.readers.read(work).await
    }

    fn health(&self) -> &Health {
        &self.health
    }

    fn recovered(&self) -> Recovery {
        self.recovery.clone()
    }

    fn epoch(&self) -> i64 {
        self.epoch
    }

    async fn close(&self) {
        self.health.close();
        self.queue.lock().take();
        let thread = self.thread.lock().take();
        let readers = Arc::clone(&self.readers);
        let ended = tokio::task::spawn_blocking(move || {
            readers.close();
            thread.map(JoinHandle::join);
        });
        // The closure cannot panic; a runtime that shuts down leaves the threads to end by themselves.
        ended.await.ok();
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.queue.lock().take();
        self.readers.close();
        if let Some(thread) = self.thread.lock().take() {
            // A writer that panicked has said so.
            thread.join().ok();
        }
    }
}

/// Without texts: where it is and how it is.
impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("dir", &self.dir)
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}
