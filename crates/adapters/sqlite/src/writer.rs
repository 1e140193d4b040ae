//! The one writer: a thread that takes whatever waits, writes it in one transaction and answers when it is durable.
//!
//! Each operation has a savepoint of its own, so that one that fails takes back its own changes only. Nobody is
//! answered before the commit returned: what was answered survives.
//!
//! When a commit fails there are two cases. The transaction was surely rolled back (disk full, read-only): everyone in
//! the group is told `Unavailable` and the next group is tried as usual. Or the log could not be written or synced: it
//! is unknown what is on the disk, everyone is told `Unknown` and nothing is written any more, since a failed sync is
//! not made good by a later one.
//!
//! The log is copied back into the database between groups, by this thread, so that a failed sync there is seen too.

use crate::error::OpError;
use crate::health::{Health, unavailable};
use openclaw_gateway::ports::StoreError;
use rusqlite::{Connection, ErrorCode, ffi};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// The most operations in one transaction. More wait for the next one.
const MAX_GROUP: usize = 256;
/// After this many operations the log is copied back; it holds some ten pages of 4 KiB for each.
const CHECKPOINT_AFTER: usize = 512;
/// How long the writer is idle before it copies the log back, or asks a refusing disk again.
const IDLE: Duration = Duration::from_secs(1);

/// An operation on its way through the writer.
pub(crate) trait Job: Send {
    /// Does it; whether its changes stay.
    fn run(&mut self, connection: &Connection) -> Result<(), Option<ffi::Error>>;
    /// Replaces the result: the transaction it was in did not succeed.
    fn overrule(&mut self, error: StoreError);
    /// Tells whoever waits.
    fn answer(self: Box<Self>);
}

/// An operation with its result and the place for the next one in the queue.
pub(crate) struct Task<T, F> {
    work: Option<F>,
    result: Option<Result<T, OpError>>,
    reply: oneshot::Sender<Result<T, OpError>>,
    _place: OwnedSemaphorePermit,
}

/// How a commit is done; tests put a failing one here.
pub(crate) type Commit = Box<dyn FnMut(&Connection) -> rusqlite::Result<()> + Send>;

/// What the thread owns.
pub(crate) struct Writer {
    connection: Connection,
    health: Arc<Health>,
    commit: Commit,
    uncopied: usize,
}

/// Declares the store failed when the thread ends by a panic, so that nobody goes on as if nothing had happened.
struct Sentinel(Arc<Health>);

// === impl Task ===

impl<T, F> Task<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, OpError> + Send + 'static,
{
    pub(crate) fn new(
        work: F,
        place: OwnedSemaphorePermit,
    ) -> (Box<dyn Job>, oneshot::Receiver<Result<T, OpError>>) {
        let (reply, answer) = oneshot::channel();
        let task = Self {
            work: Some(work),
            result: None,
            reply,
            _place: place,
        };
        (Box::new(task), answer)
    }
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, OpError> + Send,
{
    fn run(&mut self, connection: &Connection) -> Result<(), Option<ffi::Error>> {
        let Some(work) = self.work.take() else {
            return Err(None);
        };
        let result = work(connection);
        let kept = match &result {
            Ok(_) => Ok(()),
            Err(error) => Err(error.code()),
        };
        self.result = Some(result);
        kept
    }

    fn overrule(&mut self, error: StoreError) {
        // What was refused on its own account changed nothing, whatever became of the others.
        if !matches!(self.result, Some(Err(_))) {
            self.result = Some(Err(OpError::Store(error)));
        }
    }

    fn answer(self: Box<Self>) {
        if let Some(result) = self.result {
            // Whoever stopped waiting learns nothing; the change stands.
            self.reply.send(result).ok();
        }
    }
}

// === impl Writer ===

impl Writer {
    pub(crate) fn new(connection: Connection, health: Arc<Health>) -> Self {
        Self::with_commit(
            connection,
            health,
            Box::new(|connection| connection.prepare_cached("COMMIT")?.execute([]).map(|_| ())),
        )
    }

    pub(crate) fn with_commit(connection: Connection, health: Arc<Health>, commit: Commit) -> Self {
        Self {
            connection,
            health,
            commit,
            uncopied: 0,
        }
    }

    /// Runs until the senders are gone, then leaves a database without a log.
    pub(crate) fn run(mut self, jobs: &Receiver<Box<dyn Job>>) {
        let _sentinel = Sentinel(Arc::clone(&self.health));
        while let Some(first) = self.next(jobs) {
            let mut group = vec![first];
            group.extend(jobs.try_iter().take(MAX_GROUP - 1));
            self.write(&mut group);
            for job in group {
                job.answer();
            }
            if self.uncopied >= CHECKPOINT_AFTER {
                self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)");
            }
        }
        if self.health.may_write().is_ok() {
            self.checkpoint("PRAGMA wal_checkpoint(TRUNCATE)");
        }
    }

    fn next(&mut self, jobs: &Receiver<Box<dyn Job>>) -> Option<Box<dyn Job>> {
        loop {
            if self.uncopied == 0 && !self.health.is_refusing() {
                return jobs.recv().ok();
            }
            match jobs.recv_timeout(IDLE) {
                Ok(job) => return Some(job),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    if self.health.is_refusing() {
                        self.probe();
                    }
                    if self.uncopied > 0 {
                        self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)");
                    }
                }
            }
        }
    }

    /// Writes a small thing, to find out whether the disk takes writes again.
    fn probe(&mut self) {
        let (reply, _answer) = oneshot::channel();
        let probe = |connection: &Connection| {
            connection.execute("UPDATE store_state SET probe = probe + 1", [])?;
            Ok(())
        };
        let Ok(place) = Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned() else {
            return;
        };
        let task = Task {
            work: Some(probe),
            result: None,
            reply,
            _place: place,
        };
        self.write(&mut [Box::new(task) as Box<dyn Job>]);
    }

    /// One transaction. Afterwards every job has its result.
    fn write(&mut self, group: &mut [Box<dyn Job>]) {
        if let Err(reason) = self.health.may_write() {
            return overrule(group, &|| unavailable(&reason));
        }
        match self.try_write(group) {
            Ok(()) => self.health.wrote(),
            Err(Failure::RolledBack(reason)) => {
                self.health.refused(&reason);
                overrule(group, &|| unavailable(&reason));
            }
            Err(Failure::Unknown(reason)) => {
                self.health.failed(&reason);
                overrule(group, &|| StoreError::Unknown {
                    reason: reason.clone(),
                });
            }
        }
    }

    fn try_write(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), Failure> {
        run(&self.connection, "BEGIN IMMEDIATE").map_err(|error| Failure::of(&error))?;
        let mut kept = 0_usize;
        let mut refusal = None;
        for job in group.iter_mut() {
            match self.in_savepoint(job.as_mut()) {
                Ok(Ok(())) => kept += 1,
                Ok(Err(None)) => {}
                Ok(Err(Some(code))) => {
                    if let Failure::Unknown(reason) = Failure::of_code(code, code.to_string()) {
                        run(&self.connection, "ROLLBACK").ok();
                        return Err(Failure::Unknown(reason));
                    }
                    refusal = is_refusal(code).then(|| code.to_string());
                }
                Err(failure) => {
                    if !self.connection.is_autocommit() {
                        run(&self.connection, "ROLLBACK").map_err(|error| Failure::unknown(&error))?;
                    }
                    return Err(failure);
                }
            }
        }
        if kept == 0 {
            run(&self.connection, "ROLLBACK").map_err(|error| Failure::unknown(&error))?;
            // Nothing was written: only a refusal by the disk says something about the disk.
            return refusal.map_or(Ok(()), |reason| Err(Failure::RolledBack(reason)));
        }
        let committed = (self.commit)(&self.connection);
        if let Err(error) = committed {
            let failure = Failure::of_commit(&error);
            if !self.connection.is_autocommit()
                && let Err(error) = run(&self.connection, "ROLLBACK")
            {
                return Err(Failure::unknown(&error));
            }
            return Err(failure);
        }
        self.uncopied += kept;
        Ok(())
    }

    /// Runs one job so that its failure takes back its own changes only. The outer error: the whole group is lost.
    fn in_savepoint(&self, job: &mut dyn Job) -> Result<Result<(), Option<ffi::Error>>, Failure> {
        run(&self.connection, "SAVEPOINT job").map_err(|error| Failure::of(&error))?;
        let result = job.run(&self.connection);
        if result.is_err() {
            // Some errors end the transaction by themselves, and with it what the jobs before had written.
            if self.connection.is_autocommit() {
                let reason = match result {
                    Err(Some(code)) => code.to_string(),
                    Ok(()) | Err(None) => "the transaction ended early".to_owned(),
                };
                return Err(Failure::RolledBack(reason));
            }
            run(&self.connection, "ROLLBACK TO job").map_err(|error| Failure::of(&error))?;
        }
        run(&self.connection, "RELEASE job").map_err(|error| Failure::of(&error))?;
        Ok(result)
    }

    fn checkpoint(&mut self, sql: &str) {
        self.uncopied = 0;
        let result = self.connection.query_row(sql, [], |_| Ok(()));
        if let Err(error) = result {
            match Failure::of(&error) {
                Failure::Unknown(reason) => self.health.failed(&reason),
                // A full disk leaves the log as it is; it is copied after the next writes.
                Failure::RolledBack(reason) => self.health.refused(&reason),
            }
        }
    }
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}

fn overrule(group: &mut [Box<dyn Job>], error: &dyn Fn() -> StoreError) {
    for job in group {
        job.overrule(error());
    }
}

// === failures ===

enum Failure {
    /// Nothing of the group is stored.
    RolledBack(String),
    /// Nobody knows.
    Unknown(String),
}

impl Failure {
    fn unknown(error: &rusqlite::Error) -> Self {
        Self::Unknown(error.to_string())
    }

    /// Outside a commit only a failed sync leaves doubt.
    fn of(error: &rusqlite::Error) -> Self {
        match error.sqlite_error() {
            Some(code) => Self::of_code(*code, error.to_string()),
            None => Self::RolledBack(error.to_string()),
        }
    }

    fn of_code(code: ffi::Error, reason: String) -> Self {
        match code.extended_code {
            ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC => Self::Unknown(reason),
            _ => Self::RolledBack(reason),
        }
    }

    /// A commit that fails for lack of space or rights wrote no commit record; any other failure may have.
    fn of_commit(error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull | ErrorCode::ReadOnly | ErrorCode::DatabaseBusy) => {
                Self::RolledBack(error.to_string())
            }
            _ => Self::Unknown(error.to_string()),
        }
    }
}

/// Whether the error is the disk's and not the operation's.
fn is_refusal(code: ffi::Error) -> bool {
    matches!(
        code.code,
        ErrorCode::DiskFull | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory
    )
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.failed("the writer stopped");
        }
    }
}

/// The queue to a writer.
pub(crate) fn queue() -> (mpsc::Sender<Box<dyn Job>>, Receiver<Box<dyn Job>>) {
    mpsc::channel()
}
