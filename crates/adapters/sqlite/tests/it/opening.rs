//! Opening: the lock, the rights, the settings, schemas that are not ours.

use crate::open;
use openclaw_core::{CodedError, Language, Timestamp};
use openclaw_gateway::contract::{entry_from, t};
use openclaw_gateway::ports::{MetaStore, TurnStore};
use openclaw_sqlite::{OpenError, SqliteOptions, SqliteStore};
use rusqlite::Connection;
use std::path::Path;

fn refused(dir: &Path) -> OpenError {
    SqliteStore::open(dir, SqliteOptions::default(), Timestamp::from_millis(0)).expect_err("refused")
}

#[tokio::test]
async fn a_second_server_is_refused_with_a_sentence_and_the_first_is_unharmed() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = open(dir.path());
    let error = refused(dir.path());
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("in use by another server"), "{error}");
    assert_ne!(error.user_message(Language::En), error.user_message(Language::Ru));
    first
        .accept(vec![entry_from("1", "a", t(0))])
        .await
        .expect("accepted");
    first.shut_down().await;
    assert_eq!(open(dir.path()).recovery().open_entries, 1);
}

#[cfg(unix)]
#[test]
fn directory_and_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().expect("a directory");
    let dir = parent.path().join("data");
    let _store = open(&dir);
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let mut files = 0;
    for file in std::fs::read_dir(&dir).expect("a directory") {
        let path = file.expect("a file").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        files += 1;
    }
    assert_eq!(files, 4, "database, log, index of the log, lock");
}

#[test]
fn a_path_that_is_a_file_is_refused_with_the_path() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    std::fs::write(&file, "x").expect("written");
    let error = refused(&file);
    assert!(
        matches!(&error, OpenError::Directory { dir, .. } if *dir == file),
        "{error}"
    );
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("openclaw.db");
    std::fs::write(&file, "this is no database, whatever its name says".repeat(100)).expect("written");
    let before = std::fs::read(&file).expect("read");
    assert!(matches!(refused(dir.path()), OpenError::Database { .. }));
    assert_eq!(std::fs::read(&file).expect("read"), before);
}

#[test]
fn a_store_of_a_newer_release_and_one_with_an_edited_history_are_refused() {
    for (sql, newer) in [
        ("INSERT INTO migrations VALUES (99, 'later', 'x', 0)", true),
        ("UPDATE migrations SET sha256 = 'x'", false),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        drop(open(dir.path()));
        let connection = Connection::open(dir.path().join("openclaw.db")).expect("a database");
        connection.execute(sql, []).expect("edited");
        drop(connection);
        let error = refused(dir.path());
        match newer {
            true => assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}"),
            false => assert!(matches!(error, OpenError::Edited { version: 1, .. }), "{error}"),
        }
    }
}

#[tokio::test]
async fn the_database_is_in_wal_mode_and_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    store.put_meta("k", "v").await.expect("written");
    drop(store);
    let connection = Connection::open(dir.path().join("openclaw.db")).expect("a database");
    let text = |pragma: &str| {
        connection
            .query_row(pragma, [], |row| row.get::<_, String>(0))
            .expect("an answer")
    };
    assert_eq!(text("PRAGMA journal_mode"), "wal");
    assert_eq!(text("PRAGMA integrity_check"), "ok");
}
