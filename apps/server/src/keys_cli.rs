//! `openclaw keys`: through the running server, which knows a change at once; on the data directory when none runs.

use crate::cli::{KeysCommand, ServerArgs};
use crate::client::{self, Admin};
use crate::data_dir;
use crate::failure::Failure;
use crate::keys::{ID_CHARS, KeyWish, describe_all, describe_issued, issue};
use crate::print;
use crate::table::aligned;
use anyhow::Context as _;
use openclaw_core::{AccessTier, Clock as _, UserId};
use openclaw_gateway::ports::KeyStore as _;
use openclaw_sqlite::{OpenError, SqliteOptions, SqliteStore};
use openclaw_system::{SystemClock, SystemRandom};
use reqwest::Method;
use serde_json::{Value, json};
use std::future::Future;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Carries out a command; the exit code.
pub(crate) fn run(command: &KeysCommand) -> anyhow::Result<u8> {
    match command {
        KeysCommand::Create {
            user,
            tier,
            expires,
            unlimited,
            server,
            json,
        } => {
            let wish = KeyWish {
                user: user.clone(),
                tier: *tier,
                expires_in: *expires,
                limited: !unlimited,
            };
            let made = match place(server)? {
                Place::Server(admin) => admin.call(Method::POST, "keys", Some(&body(&wish)))?,
                Place::Directory(dir) => create_in(&dir, wish)?,
            };
            if *json {
                print(&format!("{made:#}\n"))
            } else {
                show_made(&made)
            }
        }
        KeysCommand::List { server, json } => {
            let keys = match place(server)? {
                Place::Server(admin) => admin.call(Method::GET, "keys", None)?,
                Place::Directory(dir) => {
                    in_store(&dir, async |store| Ok(describe_all(&store.keys().await?)))?
                }
            };
            if *json {
                print(&format!("{keys:#}\n"))
            } else {
                print(&table(&keys))
            }
        }
        KeysCommand::Revoke { id, server } => revoke(id.trim(), server),
    }
}

fn revoke(typed: &str, server: &ServerArgs) -> anyhow::Result<u8> {
    let place = place(server)?;
    let keys = match &place {
        Place::Server(admin) => admin.call(Method::GET, "keys", None)?,
        Place::Directory(dir) => in_store(dir, async |store| Ok(describe_all(&store.keys().await?)))?,
    };
    let meant = meant(&keys, typed)?;
    if let Some(at) = meant.revoked_at {
        return print(&format!("{} was taken back already, at {at}\n", meant.id));
    }
    match &place {
        Place::Server(admin) => {
            admin.call(Method::DELETE, &format!("keys/{}", meant.id), None)?;
        }
        Place::Directory(dir) => {
            let now = SystemClock::new().now();
            in_store(dir, async |store| Ok(store.revoke_key(&meant.id, now).await?))?;
        }
    }
    print(&format!("{} is taken back\n", meant.id))
}

/// A key that somebody named.
#[derive(Debug, PartialEq, Eq)]
struct Meant {
    id: String,
    revoked_at: Option<String>,
}

/// The fewest characters of a key's own part that name it: with fewer, a slip would take a key back.
const MIN_NAMED_CHARS: usize = 4;

/// The one key that is meant by its id, by the beginning of it, with or without `oc_live_`, or by the key itself.
fn meant(keys: &Value, typed: &str) -> Result<Meant, Failure> {
    let shown = client::printable(&typed.chars().take(ID_CHARS).collect::<String>());
    let named = match data_dir::is_well_formed(typed) {
        true => typed.get(..ID_CHARS).unwrap_or(typed),
        false => typed,
    };
    let own = named.strip_prefix(data_dir::KEY_PREFIX).unwrap_or(named);
    let rows = keys["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found: Vec<Meant> = rows
        .iter()
        .filter_map(|row| {
            let id = row["id"].as_str()?;
            // What the server names goes into a path again.
            let is_plain = id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let is_meant = id
                .strip_prefix(data_dir::KEY_PREFIX)
                .unwrap_or(id)
                .starts_with(own);
            (is_plain && is_meant).then(|| Meant {
                id: id.to_owned(),
                revoked_at: row["revokedAt"].as_str().map(client::printable),
            })
        })
        .collect();
    let list = "openclaw keys list";
    if own.chars().count() < MIN_NAMED_CHARS {
        let what = format!("{shown:?} is too short; {MIN_NAMED_CHARS} characters after oc_live_ are needed");
        return Err(Failure::failed(what, list));
    }
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(one), Some(other)) => {
            let ids: Vec<String> = [one, other].into_iter().chain(found).map(|key| key.id).collect();
            let what = format!("{} keys begin so: {}", ids.len(), ids.join(", "));
            Err(Failure::failed(what, "give more of the one that is meant"))
        }
        (None, _) => Err(Failure::failed(format!("there is no key {shown}"), list)),
    }
}

/// Where keys are changed.
enum Place {
    Server(Admin),
    Directory(PathBuf),
}

/// The server when one answers; else the data directory, which is said.
fn place(args: &ServerArgs) -> anyhow::Result<Place> {
    let found = Admin::find(args).and_then(|admin| {
        // A server that was killed leaves its address behind.
        admin.call(Method::GET, "keys", None)?;
        Ok(admin)
    });
    let silent = match found {
        Ok(admin) => return Ok(Place::Server(admin)),
        Err(error) if args.url.is_none() && is_unreachable(&error) => error,
        Err(error) => return Err(error),
    };
    let dir = client::data_dir(args.data_dir.as_deref())?;
    if !dir.join("openclaw.db").is_file() {
        return Err(silent.context(format!("there is no database in {} to work on", dir.display())));
    }
    writeln!(
        std::io::stderr().lock(),
        "no server runs; working on {}",
        dir.display()
    )
    .ok();
    Ok(Place::Directory(dir))
}

fn is_unreachable(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Failure>()
        .is_some_and(Failure::is_unreachable)
}

fn body(wish: &KeyWish) -> Value {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    json!({
        "user": wish.user.as_ref().map(UserId::as_str),
        "tier": AccessTier::as_str(wish.tier),
        "expiresInMs": wish.expires_in.map(millis),
        "unlimited": !wish.limited,
    })
}

fn create_in(dir: &Path, wish: KeyWish) -> anyhow::Result<Value> {
    let issued = issue(wish, SystemClock::new().now(), &SystemRandom).context("the key could not be made")?;
    let record = issued.record.clone();
    in_store(dir, async |store| Ok(store.put_key(record).await?))?;
    Ok(describe_issued(&issued))
}

/// Works on the store of a data directory that no server has.
fn in_store<T, F>(dir: &Path, work: impl FnOnce(SqliteStore) -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let store = SqliteStore::open(dir, SqliteOptions::default(), SystemClock::new().now());
        match store {
            Ok(store) => work(store).await,
            Err(error @ OpenError::InUse { .. }) => {
                Err(Failure::unreachable(error.to_string(), "wait until it is ready, then try again").into())
            }
            Err(error) => Err(error.into()),
        }
    })
}

/// The key alone on standard output, so that it can be kept by a program; what belongs to it beside it.
fn show_made(made: &Value) -> anyhow::Result<u8> {
    let text = |name: &str| client::printable(made[name].as_str().unwrap_or("-"));
    let mut note = format!(
        "key {} for user {}, tier {}",
        text("id"),
        text("user"),
        text("tier")
    );
    match made["expiresAt"].as_str() {
        Some(end) => note.push_str(&format!(", expires {}", client::printable(end))),
        None => note.push_str(", never expires"),
    }
    if made["limited"] == false {
        note.push_str(", unlimited");
    }
    let mut err = std::io::stderr().lock();
    writeln!(err, "{note}")?;
    if std::io::stdout().is_terminal() {
        writeln!(
            err,
            "This is the key. It is shown once and cannot be shown again:"
        )?;
    }
    print(&format!("{}\n", text("key")))
}

fn table(keys: &Value) -> String {
    let rows = keys["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return "no keys but the operator's own\n  next  openclaw keys create\n".to_owned();
    }
    let mut cells =
        vec![["id", "user", "tier", "limited", "created", "expires", "revoked"].map(str::to_owned)];
    for row in rows {
        let text = |name: &str| client::printable(row[name].as_str().unwrap_or("-"));
        let limited = if row["limited"] == false { "no" } else { "yes" }.to_owned();
        let (id, user, tier) = (text("id"), text("user"), text("tier"));
        cells.push([
            id,
            user,
            tier,
            limited,
            text("createdAt"),
            text("expiresAt"),
            text("revokedAt"),
        ]);
    }
    aligned(&cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(typed: &str, expected: Result<(&str, bool), &str>) {
        let keys = json!({ "keys": [
            { "id": "oc_live_abcd1111", "revokedAt": null },
            { "id": "oc_live_abcd2222", "revokedAt": "2026-11-23T10:05:00Z" },
            { "id": "oc_live_zzzz/../", "revokedAt": null },
        ] });
        let found = meant(&keys, typed).map(|key| (key.id, key.revoked_at.is_some()));
        match (found, expected) {
            (Ok((id, revoked)), Ok(expected)) => assert_eq!((&*id, revoked), expected, "{typed}"),
            (Err(failure), Err(words)) => assert!(failure.to_string().contains(words), "{typed}: {failure}"),
            (found, _) => panic!("{typed}: {found:?}"),
        }
    }

    #[test]
    fn a_key_is_named_by_its_id_by_a_beginning_that_only_it_has_or_by_itself() {
        check("oc_live_abcd1111", Ok(("oc_live_abcd1111", false)));
        check("oc_live_abcd1", Ok(("oc_live_abcd1111", false)));
        check("abcd2", Ok(("oc_live_abcd2222", true)));
        check("abcd", Err("2 keys begin so: oc_live_abcd1111, oc_live_abcd2222"));
        check("oc_live_abc", Err("too short"));
        check("oc_live_", Err("too short"));
        check("", Err("too short"));
        check("bcd1111", Err("there is no key"));
        check("oc_live_abcd11112", Err("there is no key"));
        check("oc_live_zzzz", Err("there is no key"));
        check("../status", Err("there is no key"));
        let random = openclaw_core::testing::SeededRandom::new(1);
        let key = data_dir::new_api_key(&random);
        let id = key.expose().get(..ID_CHARS).unwrap();
        let keys = json!({ "keys": [{ "id": id, "revokedAt": null }] });
        assert_eq!(meant(&keys, key.expose()).unwrap().id, id);
        let mut broken = key.expose().to_owned();
        broken.pop();
        let failure = meant(&keys, &broken).unwrap_err().to_string();
        assert!(
            failure.contains("no key") && !failure.contains(&broken),
            "a key is never shown: {failure}"
        );
    }

    #[test]
    fn an_empty_list_says_what_to_do() {
        assert!(table(&json!({ "keys": [] })).contains("openclaw keys create"));
    }
}
