//! The schema's history: which steps a store has taken, and that they were ours.
//!
//! A step is one transaction: one that fails leaves the store as it was. A store whose recorded steps differ from ours
//! is refused, as is one that has taken steps we do not know.

use crate::error::OpenError;
use openclaw_core::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};
use sha2::{Digest, Sha256};

/// One step of the schema. Published ones are never edited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Migration {
    pub(crate) version: i64,
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "initial",
        sql: include_str!("../migrations/0001_initial.sql"),
    },
    Migration {
        version: 2,
        name: "usage_ledger",
        sql: include_str!("../migrations/0002_usage_ledger.sql"),
    },
    Migration {
        version: 3,
        name: "unanswered",
        sql: include_str!("../migrations/0003_unanswered.sql"),
    },
    Migration {
        version: 4,
        name: "lost_turns",
        sql: include_str!("../migrations/0004_lost_turns.sql"),
    },
    Migration {
        version: 5,
        name: "silent_chats",
        sql: include_str!("../migrations/0005_silent_chats.sql"),
    },
    Migration {
        version: 6,
        name: "feedback",
        sql: include_str!("../migrations/0006_feedback.sql"),
    },
];

// === impl Migration ===

impl Migration {
    fn sha256(&self) -> String {
        Sha256::digest(self.sql.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// Takes the steps that are missing. Returns how many.
pub(crate) fn migrate(
    connection: &mut Connection,
    migrations: &[Migration],
    now: Timestamp,
) -> Result<usize, OpenError> {
    connection
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS migrations (
                version    INTEGER PRIMARY KEY,
                name       TEXT NOT NULL,
                sha256     TEXT NOT NULL,
                applied_at INTEGER NOT NULL
            ) STRICT",
        )
        .map_err(OpenError::database("creating the migration table"))?;
    let taken = taken(connection).map_err(OpenError::database("reading the migration table"))?;
    let known = migrations.last().map_or(0, |migration| migration.version);
    for (version, name, sha256) in &taken {
        match migrations.iter().find(|migration| migration.version == *version) {
            None if *version > known => {
                return Err(OpenError::Newer {
                    found: *version,
                    known,
                });
            }
            Some(ours) if ours.name == name && ours.sha256() == *sha256 => {}
            None | Some(_) => {
                return Err(OpenError::Edited {
                    version: *version,
                    name: name.clone(),
                });
            }
        }
    }
    let missing = migrations
        .iter()
        .filter(|migration| taken.iter().all(|(version, _, _)| *version != migration.version));
    let mut count = 0;
    for migration in missing {
        apply(connection, migration, now).map_err(OpenError::database("migrating the store"))?;
        count += 1;
    }
    Ok(count)
}

fn taken(connection: &Connection) -> rusqlite::Result<Vec<(i64, String, String)>> {
    connection
        .prepare("SELECT version, name, sha256 FROM migrations ORDER BY version")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect()
}

fn apply(connection: &mut Connection, migration: &Migration, now: Timestamp) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(migration.sql)?;
    transaction.execute(
        "INSERT INTO migrations (version, name, sha256, applied_at) VALUES (?1, ?2, ?3, ?4)",
        params![
            migration.version,
            migration.name,
            migration.sha256(),
            now.as_millis()
        ],
    )?;
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Migration = Migration {
        version: 2,
        name: "second",
        sql: "CREATE TABLE extra (id INTEGER PRIMARY KEY) STRICT;",
    };

    fn migrated() -> Connection {
        let mut connection = Connection::open_in_memory().expect("a database");
        assert_eq!(
            migrate(&mut connection, &MIGRATIONS[..1], Timestamp::from_millis(7)).expect("ours"),
            1
        );
        connection
    }

    fn tables(connection: &Connection) -> i64 {
        connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .expect("a count")
    }

    #[test]
    fn a_step_is_taken_once_and_recorded() {
        let mut connection = migrated();
        assert_eq!(
            migrate(&mut connection, &MIGRATIONS[..1], Timestamp::from_millis(8)).expect("ours"),
            0
        );
        let both = [MIGRATIONS[0], SECOND];
        assert_eq!(
            migrate(&mut connection, &both, Timestamp::from_millis(9)).expect("ours"),
            1
        );
        let applied: Vec<i64> = connection
            .prepare("SELECT applied_at FROM migrations ORDER BY version")
            .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
            .expect("rows");
        assert_eq!(applied, [7, 9]);
    }

    #[test]
    fn a_store_with_an_edited_step_is_refused() {
        let mut connection = migrated();
        let edited = [Migration {
            sql: "SELECT 1",
            ..MIGRATIONS[0]
        }];
        let error = migrate(&mut connection, &edited, Timestamp::from_millis(8)).expect_err("edited");
        assert!(matches!(error, OpenError::Edited { version: 1, .. }), "{error}");
    }

    #[test]
    fn a_store_of_a_newer_release_is_refused_and_unchanged() {
        let mut connection = migrated();
        migrate(
            &mut connection,
            &[MIGRATIONS[0], SECOND],
            Timestamp::from_millis(8),
        )
        .expect("ours");
        let before = tables(&connection);
        let error = migrate(&mut connection, &MIGRATIONS[..1], Timestamp::from_millis(9)).expect_err("newer");
        assert!(
            matches!(error, OpenError::Newer { found: 2, known: 1 }),
            "{error}"
        );
        assert_eq!(tables(&connection), before);
    }

    #[test]
    fn a_step_that_fails_leaves_the_store_as_it_was() {
        let mut connection = migrated();
        let before = tables(&connection);
        let broken = Migration {
            sql: "CREATE TABLE extra (id INTEGER PRIMARY KEY) STRICT; CREATE TABLE tenants (id INTEGER);",
            ..SECOND
        };
        migrate(
            &mut connection,
            &[MIGRATIONS[0], broken],
            Timestamp::from_millis(8),
        )
        .expect_err("broken");
        assert_eq!(tables(&connection), before);
        assert_eq!(
            migrate(
                &mut connection,
                &[MIGRATIONS[0], SECOND],
                Timestamp::from_millis(9)
            )
            .expect("ours"),
            1
        );
    }

    #[test]
    fn what_was_said_before_its_entry_was_noted_is_read() {
        let mut connection = Connection::open_in_memory().expect("a database");
        let now = Timestamp::from_millis(7);
        migrate(&mut connection, &MIGRATIONS[..2], now).expect("the release before");
        connection
            .execute_batch(
                "INSERT INTO tenants (key, bot, platform, user, chat, tier, created_at, last_active_at, suspended, \
                 workspace_path, generation) VALUES (1, 'main', 'web', 'u', 'c', 'free', 0, 0, 0, '/workspaces/web:u:c', 1);
                 INSERT INTO history (tenant, seq, generation, message, tokens, at) VALUES (1, 1, 1, \
                 '{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hello\"}]}', 1, 5);
                 INSERT INTO reservations (tenant, epoch, account, tokens, input_estimate, begun_at, window_started_at) \
                 VALUES (1, 1, 'budget', 100, 40, 5, 5);",
            )
            .expect("rows of the release before");
        let ours = migrate(&mut connection, MIGRATIONS, now).expect("ours");
        assert_eq!(ours, MIGRATIONS.len() - 2);
        let tenant = openclaw_session::TenantKey(1);
        let told = crate::ops::memory::history(&connection, tenant, 9, 99).expect("a conversation");
        let read = crate::ops::memory::said(&connection, tenant, 9).expect("a conversation");
        assert_eq!(told, read);
        assert_eq!(read[0].message.joined_text(), "hello");
        assert_eq!((read[0].entry, read[0].unanswered), (None, None));
        assert!(crate::ops::turn::interrupt(&connection, tenant).expect("a charge"));
    }
}
