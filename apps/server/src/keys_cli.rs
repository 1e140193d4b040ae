//! `openclaw keys`: through the running server, which knows a change at once; on the data directory when none runs.

use crate::cli::{KeysCommand, ServerArgs};
use crate::client::{self, Admin};
use crate::data_dir;
use crate::desk::STORE_FILE;
use crate::failure::Failure;
use crate::keys::{ID_CHARS, KeyWish, describe_all, describe_issued, issue};
use crate::print;
use crate::table::{aligned, head};
use crate::texts::Texts;
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
                Place::Directory(dir) => create_in(&dir, wish, Texts::of(server))?,
            };
            if *json {
                print(&format!("{made:#}\n"))
            } else {
                show_made(&made, Texts::of(server))
            }
        }
        KeysCommand::List { server, json } => {
            let keys = match place(server)? {
                Place::Server(admin) => admin.call(Method::GET, "keys", None)?,
                Place::Directory(dir) => in_store(&dir, Texts::of(server), async |store| {
                    Ok(describe_all(&store.keys().await?))
                })?,
            };
            if *json {
                print(&format!("{keys:#}\n"))
            } else {
                print(&table(&keys, Texts::of(server)))
            }
        }
        KeysCommand::Revoke { id, server } => revoke(id.trim(), server),
    }
}

fn revoke(typed: &str, server: &ServerArgs) -> anyhow::Result<u8> {
    let (place, texts) = (place(server)?, Texts::of(server));
    let keys = match &place {
        Place::Server(admin) => admin.call(Method::GET, "keys", None)?,
        Place::Directory(dir) => in_store(dir, texts, async |store| Ok(describe_all(&store.keys().await?)))?,
    };
    let meant = meant(&keys, typed, texts)?;
    if let Some(at) = meant.revoked_at {
        return print(&texts.keys_revoked_before(&meant.id, &at));
    }
    match &place {
        Place::Server(admin) => {
            admin.call(Method::DELETE, &format!("keys/{}", meant.id), None)?;
        }
        Place::Directory(dir) => {
            let now = SystemClock::new().now();
            in_store(dir, texts, async |store| {
                Ok(store.revoke_key(&meant.id, now).await?)
            })?;
        }
    }
    print(&texts.keys_revoked(&meant.id))
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
fn meant(keys: &Value, typed: &str, texts: Texts) -> Result<Meant, Failure> {
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
        let what = texts.keys_too_short(&shown, MIN_NAMED_CHARS);
        return Err(Failure::failed(what, list));
    }
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(one), Some(other)) => {
            let ids: Vec<String> = [one, other].into_iter().chain(found).map(|key| key.id).collect();
            let what = texts.keys_ambiguous(ids.len(), &ids.join(", "));
            Err(Failure::failed(what, texts.keys_give_more()))
        }
        (None, _) => Err(Failure::failed(texts.keys_unknown(&shown), list)),
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
        Err(error) if args.url.is_none() && client::is_unreachable(&error) => error,
        Err(error) => return Err(error),
    };
    let dir = client::data_dir(args.data_dir.as_deref())?;
    let (texts, shown) = (Texts::of(args), Texts::path(&dir));
    if !dir.join(STORE_FILE).is_file() {
        return Err(silent.context(texts.no_store(&shown)));
    }
    writeln!(std::io::stderr().lock(), "{}", texts.working_on(&shown)).ok();
    Ok(Place::Directory(dir))
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

fn create_in(dir: &Path, wish: KeyWish, texts: Texts) -> anyhow::Result<Value> {
    let issued = issue(wish, SystemClock::new().now(), &SystemRandom)
        .ok_or_else(|| Failure::failed(texts.keys_not_made(), "openclaw keys create"))?;
    let record = issued.record.clone();
    in_store(dir, texts, async |store| Ok(store.put_key(record).await?))?;
    Ok(describe_issued(&issued))
}

/// Works on the store of a data directory that no server has.
fn in_store<T, F>(dir: &Path, texts: Texts, work: impl FnOnce(SqliteStore) -> F) -> anyhow::Result<T>
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
            Err(OpenError::InUse { dir }) => Err(Failure::unreachable(
                texts.store_in_use(&Texts::path(&dir)),
                texts.store_in_use_next(),
            )
            .into()),
            Err(error) => Err(error.into()),
        }
    })
}

/// The key alone on standard output, so that it can be kept by a program; what belongs to it beside it.
fn show_made(made: &Value, texts: Texts) -> anyhow::Result<u8> {
    let text = |name: &str| client::printable(made[name].as_str().unwrap_or("-"));
    let mut note = texts.keys_made(&text("id"), &text("user"), &text("tier"));
    note.push_str(&match made["expiresAt"].as_str() {
        Some(end) => texts.keys_ends(&client::printable(end)),
        None => texts.keys_endless(),
    });
    if made["limited"] == false {
        note.push_str(&texts.keys_unlimited());
    }
    let mut err = std::io::stderr().lock();
    writeln!(err, "{note}")?;
    if std::io::stdout().is_terminal() {
        writeln!(err, "{}", texts.keys_once())?;
    }
    print(&format!("{}\n", text("key")))
}

fn table(keys: &Value, texts: Texts) -> String {
    let rows = keys["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return texts.keys_none();
    }
    let mut cells = vec![head::<7>(&texts.keys_head())];
    for row in rows {
        let text = |name: &str| client::printable(row[name].as_str().unwrap_or("-"));
        let limited = if row["limited"] == false {
            texts.keys_not_limited()
        } else {
            texts.keys_limited()
        };
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
        let found = meant(&keys, typed, Texts::default()).map(|key| (key.id, key.revoked_at.is_some()));
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
        assert_eq!(meant(&keys, key.expose(), Texts::default()).unwrap().id, id);
        let mut broken = key.expose().to_owned();
        broken.pop();
        let failure = meant(&keys, &broken, Texts::default()).unwrap_err().to_string();
        assert!(
            failure.contains("no key") && !failure.contains(&broken),
            "a key is never shown: {failure}"
        );
    }

    #[test]
    fn an_empty_list_says_what_to_do() {
        assert!(table(&json!({ "keys": [] }), Texts::default()).contains("openclaw keys create"));
    }
}
