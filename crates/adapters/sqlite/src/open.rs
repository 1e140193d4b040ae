//! Opening: the directory, its lock, the database's settings, what an earlier process left behind.

use crate::error::OpenError;
use crate::health::Health;
use crate::migrate::{MIGRATIONS, migrate};
use crate::ops::{inbox, turn};
use crate::rows;
use openclaw_core::Timestamp;
use openclaw_gateway::ports::{Recovery, StoreError};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The database in the data directory.
pub(crate) const DATABASE: &str = "openclaw.db";
const LOCK: &str = "openclaw.lock";
/// `OCLW`, so that tools recognise the file.
const APPLICATION_ID: i32 = 0x4F43_4C57;

/// How a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Threads that read, from 1.
    pub readers: usize,
    /// The largest the database may grow, in bytes; writes beyond are refused as by a full disk. `None`: as the disk
    /// allows.
    pub max_bytes: Option<u64>,
}

/// What was opened.
pub(crate) struct Opened {
    pub(crate) lock: File,
    pub(crate) writer: Connection,
    pub(crate) readers: Vec<Connection>,
    pub(crate) health: Arc<Health>,
    pub(crate) recovery: Recovery,
    pub(crate) epoch: i64,
}

// === impl SqliteOptions ===

impl Default for SqliteOptions {
    /// Two readers, as large as the disk allows.
    fn default() -> Self {
        Self {
            readers: 2,
            max_bytes: None,
        }
    }
}

pub(crate) fn open(dir: &Path, options: SqliteOptions, now: Timestamp) -> Result<Opened, OpenError> {
    let in_dir = |source| OpenError::Directory {
        dir: dir.to_owned(),
        source,
    };
    make_dir(dir).map_err(in_dir)?;
    let lock = lock(dir)?;
    let database = dir.join(DATABASE);
    // Made before the database is, which gives its log the same rights.
    private_file(&database).map_err(in_dir)?;
    let mut writer = connect(&database).map_err(OpenError::database("opening the database"))?;
    settle_durability(&writer)?;
    configure_writer(&writer, options).map_err(OpenError::database("configuring the database"))?;
    migrate(&mut writer, MIGRATIONS, now)?;
    let (epoch, recovery) = recover(&mut writer)?;
    let mut readers = Vec::new();
    for _ in 0..options.readers.max(1) {
        readers.push(reader(&database).map_err(OpenError::database("opening the database for reading"))?);
    }
    Ok(Opened {
        lock,
        writer,
        readers,
        health: Arc::new(Health::new()),
        recovery,
        epoch,
    })
}

/// Makes the directory for us alone. One that exists keeps its rights; the files in it are ours alone.
fn make_dir(dir: &Path) -> std::io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)?;
    // The name of a new directory is durable once its parent is synced.
    match dir.parent() {
        Some(parent) if parent != Path::new("") => File::open(parent)?.sync_all(),
        Some(_) | None => Ok(()),
    }
}

fn private_file(path: &PathBuf) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let in_dir = |source| OpenError::Directory {
        dir: dir.to_owned(),
        source,
    };
    let file = private_file(&dir.join(LOCK)).map_err(in_dir)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(in_dir(source)),
    }
}

fn connect(database: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        database,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Asks for the durability that is promised, and reads back whether it was given.
fn settle_durability(connection: &Connection) -> Result<(), OpenError> {
    let step = "asking for durability";
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")
        .map_err(OpenError::database(step))?;
    let journal: String = connection
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .map_err(OpenError::database(step))?;
    expect("journal_mode", journal, "wal")?;
    for (pragma, query, wanted) in [
        ("synchronous", "PRAGMA synchronous", "2"),
        ("foreign_keys", "PRAGMA foreign_keys", "1"),
    ] {
        let found: i64 = connection
            .query_row(query, [], |row| row.get(0))
            .map_err(OpenError::database(step))?;
        expect(pragma, found.to_string(), wanted)?;
    }
    Ok(())
}

fn expect(pragma: &'static str, found: String, wanted: &'static str) -> Result<(), OpenError> {
    if found == wanted {
        Ok(())
    } else {
        Err(OpenError::NotDurable {
            pragma,
            found,
            wanted,
        })
    }
}

fn configure_writer(connection: &Connection, options: SqliteOptions) -> rusqlite::Result<()> {
    // The writer copies the log back itself, to see whether that succeeds. Small caches: the operating system has one.
    connection.execute_batch(&format!(
        "PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -2048; \
         PRAGMA temp_store = MEMORY; PRAGMA secure_delete = FAST; PRAGMA application_id = {APPLICATION_ID};"
    ))?;
    if let Some(bytes) = options.max_bytes {
        let page: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        let pages = rows::signed(bytes).checked_div(page).unwrap_or(1).max(1);
        connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    }
    Ok(())
}

fn reader(database: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(database)?;
    connection
        .execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -512; PRAGMA temp_store = MEMORY;")?;
    Ok(connection)
}

/// Begins a new epoch and settles what earlier ones left behind.
fn recover(writer: &mut Connection) -> Result<(i64, Recovery), OpenError> {
    let step = "recovering the store";
    let transaction = writer
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(OpenError::database(step))?;
    let epoch: i64 = transaction
        .query_row(
            "UPDATE store_state SET epoch = epoch + 1 RETURNING epoch",
            [],
            |row| row.get(0),
        )
        .map_err(OpenError::database(step))?;
    let (interrupted_turns, settled_reservations) =
        turn::recover(&transaction, epoch).map_err(|error| OpenError::Recovery {
            source: StoreError::from(error),
        })?;
    let open_entries = inbox::open_count(&transaction).map_err(|error| OpenError::Recovery {
        source: StoreError::from(error),
    })?;
    transaction.commit().map_err(OpenError::database(step))?;
    Ok((
        epoch,
        Recovery {
            open_entries,
            interrupted_turns,
            settled_reservations,
        },
    ))
}
