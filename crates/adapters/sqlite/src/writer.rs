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
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// The most operations in one transaction. More wait for the next one.
const MAX_GROUP: usize = 256;
/// After this many operations the log is copied back; it holds some ten pages of 4 KiB for each.
const CHECKPOINT_AFTER: usize = 512;
/// How long the writer is idle before it copies the log back, or asks a refusing disk again.
const IDLE: Duration = Duration::from_secs(1);
/// After so many times [`IDLE`] without work the pages it holds are given back.
const COLD_AFTER: u32 = 30;

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
    /// Whether pages were taken into memory since they were last given back.
    warm: bool,
}

/// Declares the store failed when the thread ends by a panic, so that nobody goes on as if nothing had happened.
struct Sentinel(Arc<Health>);

// === impl Task ===

impl<T, F> Task<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, OpError> + Send + 'static,
{
    pub(crate) fn queued(
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
            warm: false,
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
        let mut quiet = 0;
        loop {
            if self.uncopied == 0 && !self.warm && !self.health.is_refusing() {
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
                    quiet += 1;
                    if quiet >= COLD_AFTER {
                        self.give_back_pages();
                    }
                }
            }
        }
    }

    /// The operating system has the pages too, should they be needed again.
    fn give_back_pages(&mut self) {
        self.warm = false;
        if let Err(error) = self.connection.execute_batch("PRAGMA shrink_memory") {
            tracing::debug!(%error, "pages in memory were not given back");
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
        self.warm = true;
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Mutex;
    use tokio::sync::Semaphore;

    type Answer = oneshot::Receiver<Result<i64, OpError>>;

    fn database() -> Connection {
        let connection = Connection::open_in_memory().expect("a database");
        connection
            .execute_batch(
                "CREATE TABLE rows (id INTEGER PRIMARY KEY) STRICT; \
                 CREATE TABLE store_state (probe INTEGER); INSERT INTO store_state VALUES (0);",
            )
            .expect("tables");
        connection
    }

    fn place() -> OwnedSemaphorePermit {
        Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a place")
    }

    /// Writes the row, then fails if asked to.
    fn insert(id: i64, fails: bool) -> (Box<dyn Job>, Answer) {
        Task::queued(
            move |connection: &Connection| {
                connection.execute("INSERT INTO rows (id) VALUES (?1)", [id])?;
                if fails {
                    return Err(OpError::Store(StoreError::Stale));
                }
                Ok(id)
            },
            place(),
        )
    }

    fn rows(connection: &Connection) -> Vec<i64> {
        connection
            .prepare("SELECT id FROM rows ORDER BY id")
            .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
            .expect("rows")
    }

    fn failing(code: i32) -> Commit {
        Box::new(move |_| Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)))
    }

    fn group(jobs: Vec<(Box<dyn Job>, Answer)>, writer: &mut Writer) -> Vec<Result<i64, StoreError>> {
        let (mut jobs, answers): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
        writer.write(&mut jobs);
        jobs.into_iter().for_each(Job::answer);
        answers
            .into_iter()
            .map(|mut answer| answer.try_recv().expect("an answer").map_err(StoreError::from))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_job_that_fails_takes_back_its_own_changes_only(fails in proptest::collection::vec(any::<bool>(), 1..20)) {
            let mut writer = Writer::new(database(), Arc::new(Health::new()));
            let jobs = (0_i64..).zip(&fails).map(|(id, fails)| insert(id, *fails)).collect();
            let answers = group(jobs, &mut writer);
            let kept: Vec<i64> = (0_i64..).zip(&fails).filter(|(_, fails)| !**fails).map(|(id, _)| id).collect();
            prop_assert_eq!(rows(&writer.connection), kept);
            for (answer, fails) in answers.iter().zip(fails) {
                prop_assert_eq!(matches!(answer, Err(StoreError::Stale)), fails);
                prop_assert_eq!(answer.is_ok(), !fails);
            }
            prop_assert!(writer.health.writable().is_ok());
        }
    }

    #[test]
    fn a_job_that_violates_a_constraint_leaves_the_others() {
        let mut writer = Writer::new(database(), Arc::new(Health::new()));
        let answers = group(
            vec![insert(1, false), insert(1, false), insert(2, false)],
            &mut writer,
        );
        assert!(
            matches!(&answers[..], [Ok(1), Err(StoreError::Unavailable { .. }), Ok(2)]),
            "{answers:?}"
        );
        assert_eq!(rows(&writer.connection), [1, 2]);
        writer.health.writable().expect("the disk is not to blame");
    }

    #[test]
    fn a_commit_without_space_is_unavailable_for_all_and_tried_again_later() {
        let health = Arc::new(Health::new());
        let mut writer = Writer::with_commit(database(), Arc::clone(&health), failing(ffi::SQLITE_FULL));
        let answers = group(
            vec![insert(1, false), insert(2, true), insert(3, false)],
            &mut writer,
        );
        assert!(
            matches!(
                &answers[..],
                [
                    Err(StoreError::Unavailable { .. }),
                    Err(StoreError::Stale),
                    Err(StoreError::Unavailable { .. })
                ]
            ),
            "{answers:?}"
        );
        assert_eq!(rows(&writer.connection), [0; 0]);
        assert!(health.writable().is_err() && health.may_try().is_ok());
        writer.commit = Writer::new(database(), Arc::clone(&health)).commit;
        writer.probe();
        health.writable().expect("the probe passed");
        assert!(matches!(group(vec![insert(1, false)], &mut writer)[..], [Ok(1)]));
    }

    #[test]
    fn a_failed_sync_is_unknown_for_all_and_nothing_is_written_any_more() {
        for code in [
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_CORRUPT,
        ] {
            let health = Arc::new(Health::new());
            let mut writer = Writer::with_commit(database(), Arc::clone(&health), failing(code));
            let answers = group(
                vec![insert(1, false), insert(2, true), insert(3, false)],
                &mut writer,
            );
            assert!(
                matches!(
                    &answers[..],
                    [
                        Err(StoreError::Unknown { .. }),
                        Err(StoreError::Stale),
                        Err(StoreError::Unknown { .. })
                    ]
                ),
                "{answers:?}"
            );
            assert!(futures::FutureExt::now_or_never(health.wait_failed()).is_some());
            writer.commit = Writer::new(database(), Arc::clone(&health)).commit;
            let later = group(vec![insert(4, false)], &mut writer);
            assert!(
                matches!(&later[..], [Err(StoreError::Unavailable { .. })]),
                "{later:?}"
            );
            assert_eq!(rows(&writer.connection), [0; 0]);
        }
    }

    #[test]
    fn nobody_is_answered_before_the_commit() {
        let answers = Arc::new(Mutex::new(Vec::<Answer>::new()));
        let seen = Arc::clone(&answers);
        let commit: Commit = Box::new(move |connection| {
            let waiting = seen
                .lock()
                .expect("unpoisoned")
                .iter_mut()
                .all(|answer| answer.try_recv().is_err());
            assert!(waiting, "answered before the commit");
            connection.execute_batch("COMMIT")
        });
        let writer = Writer::with_commit(database(), Arc::new(Health::new()), commit);
        let (queue, jobs) = std::sync::mpsc::channel();
        for id in 0..3 {
            let (job, answer) = insert(id, false);
            answers.lock().expect("unpoisoned").push(answer);
            queue.send(job).expect("sent");
        }
        drop(queue);
        writer.run(&jobs);
        for answer in answers.lock().expect("unpoisoned").iter_mut() {
            assert!(matches!(answer.try_recv(), Ok(Ok(_))));
        }
    }

    #[test]
    fn a_transaction_that_ended_early_keeps_nothing_of_the_group() {
        let mut writer = Writer::new(database(), Arc::new(Health::new()));
        let (ender, answer) = Task::queued(
            |connection: &Connection| -> Result<i64, OpError> {
                connection.execute_batch("ROLLBACK")?;
                Err(OpError::Store(StoreError::Stale))
            },
            place(),
        );
        let answers = group(
            vec![insert(1, false), (ender, answer), insert(3, false)],
            &mut writer,
        );
        assert!(
            matches!(
                &answers[..],
                [
                    Err(StoreError::Unavailable { .. }),
                    Err(StoreError::Stale),
                    Err(StoreError::Unavailable { .. })
                ]
            ),
            "{answers:?}"
        );
        assert_eq!(rows(&writer.connection), [0; 0]);
    }
}
