//! The data directory and the keys made at first start.
//!
//! The directory has mode 0700, the keys 0600. A key is written whole under a name of its own and then linked to its
//! place: a crash leaves no half key, and of two servers that start at once both use the same one.

use openclaw_core::{Random, Secret};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The file with the operator's token for console and admin API.
pub(crate) const ADMIN_TOKEN_FILE: &str = "admin.token";
/// The file with the operator's API key.
pub(crate) const API_KEY_FILE: &str = "api.key";

/// The file with the key that visitors' cookies are signed with.
pub(crate) const VISITOR_KEY_FILE: &str = "visitor.key";

const VISITOR_PREFIX: &str = "oc_visitor_";
const ADMIN_PREFIX: &str = "oc_admin_";
pub(crate) const KEY_PREFIX: &str = "oc_live_";
const SECRET_BYTES: usize = 32;
/// 62^43 > 2^256.
const BODY_CHARS: usize = 43;
/// 62^6 > 2^32.
const CHECK_CHARS: usize = 6;

/// The data directory, there and ours.
#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
}

/// A key of the operator's.
#[derive(Clone, Debug)]
pub(crate) struct OperatorKey {
    /// The key.
    pub(crate) secret: Secret,
    /// Where it came from.
    pub(crate) source: KeySource,
}

/// Where a key of the operator's came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// The operator set it.
    Operator,
    /// A file of the data directory, made at an earlier start.
    File(PathBuf),
    /// A file of the data directory, made just now.
    Created(PathBuf),
}

/// The data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// No home directory is known.
    #[error("no data directory is known; set OPENCLAW_DATA_DIR")]
    Unknown,
    /// It could not be made.
    #[error("the data directory {} cannot be created", .path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key's file could not be read or written.
    #[error("the key file {} cannot be used", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key's file holds something else.
    #[error("the key file {} holds no key; remove it and a new one is made", .path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
}

/// The platform's place for it: `$XDG_DATA_HOME/openclaw`, else `~/.local/share/openclaw`.
pub(crate) fn default_path(var: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, DataDirError> {
    let absolute = |name: &str| var(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|base| base.join("openclaw"))
        .ok_or(DataDirError::Unknown)
}

/// A new API key: `oc_live_`, 43 random characters and 6 that prove it was not mistyped.
pub(crate) fn new_api_key(random: &dyn Random) -> Secret {
    new_key(KEY_PREFIX, random)
}

/// Whether a text has the form of a key of ours and its check characters fit. Says nothing about whether it is valid.
pub(crate) fn is_well_formed(text: &str) -> bool {
    [KEY_PREFIX, ADMIN_PREFIX].iter().any(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| {
            rest.len() == BODY_CHARS + CHECK_CHARS
                && rest.is_char_boundary(BODY_CHARS)
                && rest.split_at_checked(BODY_CHARS).is_some_and(|(body, check)| {
                    body.bytes().all(|byte| byte.is_ascii_alphanumeric())
                        && check == check_chars(prefix, body)
                })
        })
    })
}

// === impl DataDir ===

impl DataDir {
    /// Creates it, readable by its owner only, where it is not there. The mode of one that is there stays as it is.
    pub(crate) fn open(path: impl Into<PathBuf>) -> Result<Self, DataDirError> {
        let path = path.into();
        match DirBuilder::new().recursive(true).mode(0o700).create(&path) {
            Ok(()) => Ok(Self { path }),
            Err(source) => Err(DataDirError::Create { path, source }),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether others may look into it; `doctor` says so.
    pub(crate) fn is_open_to_others(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|data| data.permissions().mode() & 0o077 != 0)
    }

    /// The token for console and admin API: the operator's, else the one kept here, else a new one.
    pub(crate) fn admin_token(
        &self,
        given: Option<Secret>,
        random: &dyn Random,
    ) -> Result<OperatorKey, DataDirError> {
        self.key(given, ADMIN_TOKEN_FILE, ADMIN_PREFIX, random)
    }

    /// The operator's API key: the one given, else the one kept here, else a new one.
    pub(crate) fn api_key(
        &self,
        given: Option<Secret>,
        random: &dyn Random,
    ) -> Result<OperatorKey, DataDirError> {
        self.key(given, API_KEY_FILE, KEY_PREFIX, random)
    }

    /// The key that visitors' cookies are signed with: the one kept here, else a new one. With another key all visitors
    /// are new ones.
    pub(crate) fn visitor_key(&self, random: &dyn Random) -> Result<Secret, DataDirError> {
        Ok(self.key(None, VISITOR_KEY_FILE, VISITOR_PREFIX, random)?.secret)
    }

    fn key(
        &self,
        given: Option<Secret>,
        name: &str,
        prefix: &str,
        random: &dyn Random,
    ) -> Result<OperatorKey, DataDirError> {
        if let Some(secret) = given {
            return Ok(OperatorKey {
                secret,
                source: KeySource::Operator,
            });
        }
        let path = self.path.join(name);
        let failed = |source| DataDirError::Key {
            path: path.clone(),
            source,
        };
        if let Some(secret) = read_key(&path)? {
            return Ok(OperatorKey {
                secret,
                source: KeySource::File(path),
            });
        }
        let secret = new_key(prefix, random);
        if write_new(&self.path, &path, secret.expose(), random).map_err(failed)? {
            return Ok(OperatorKey {
                secret,
                source: KeySource::Created(path),
            });
        }
        // Another server was faster.
        let secret = read_key(&path)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        Ok(OperatorKey {
            secret,
            source: KeySource::File(path),
        })
    }
}

/// The key in a file; `None` when there is no such file. A mode that lets others read it is narrowed.
fn read_key(path: &Path) -> Result<Option<Secret>, DataDirError> {
    let failed = |source| DataDirError::Key {
        path: path.to_owned(),
        source,
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
        tracing::warn!(file = %path.display(), mode = format!("{mode:o}"), "others could read a key file; its mode is now 600");
    }
    let secret = Secret::new(text.trim());
    if crate::config::secrets::is_strong(&secret) {
        Ok(Some(secret))
    } else {
        Err(DataDirError::NotAKey {
            path: path.to_owned(),
        })
    }
}

/// Writes a file that must not be there yet; `false` when it is.
fn write_new(dir: &Path, path: &Path, text: &str, random: &dyn Random) -> io::Result<bool> {
    let temporary = dir.join(format!(".key-{:016x}", random.next_u64()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        })
        .and_then(|()| match fs::hard_link(&temporary, path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        });
    let removed = fs::remove_file(&temporary);
    let created = written?;
    removed?;
    fs::File::open(dir)?.sync_all()?;
    Ok(created)
}

fn new_key(prefix: &str, random: &dyn Random) -> Secret {
    let mut bytes = [0_u8; SECRET_BYTES];
    random.fill(&mut bytes);
    let body = base62(bytes, BODY_CHARS);
    let check = check_chars(prefix, &body);
    Secret::new(format!("{prefix}{body}{check}"))
}

fn check_chars(prefix: &str, body: &str) -> String {
    let digest = Sha256::new().chain_update(prefix).chain_update(body).finalize();
    let mut first = [0_u8; SECRET_BYTES];
    for (to, from) in first.iter_mut().rev().zip(digest.iter().take(4).rev()) {
        *to = *from;
    }
    base62(first, CHECK_CHARS)
}

/// A number of 256 bits in base 62, with leading zeros up to `width`.
fn base62(mut number: [u8; SECRET_BYTES], width: usize) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut digits = Vec::with_capacity(width);
    for _ in 0..width {
        let mut remainder = 0_u32;
        for byte in &mut number {
            let value = remainder * 256 + u32::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(0);
            remainder = value % 62;
        }
        let digit = usize::try_from(remainder).ok().and_then(|at| DIGITS.get(at));
        digits.push(char::from(digit.copied().unwrap_or(b'0')));
    }
    digits.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_core::testing::SeededRandom;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_first_start_makes_a_private_directory_and_private_keys_that_stay() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a/b");
        let dir = DataDir::open(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        assert!(!dir.is_open_to_others());
        let random = SeededRandom::new(1);
        let token = dir.admin_token(None, &random).unwrap();
        assert_eq!(token.source, KeySource::Created(path.join("admin.token")));
        let key = dir.api_key(None, &random).unwrap();
        assert_eq!(mode(&path.join("api.key")), 0o600);
        assert!(key.secret.expose().starts_with("oc_live_"));
        assert!(is_well_formed(key.secret.expose()) && is_well_formed(token.secret.expose()));

        let again = DataDir::open(&path).unwrap().api_key(None, &random).unwrap();
        assert_eq!(again.source, KeySource::File(path.join("api.key")));
        assert_eq!(again.secret.expose(), key.secret.expose());
        assert_eq!(fs::read_dir(&path).unwrap().count(), 2, "no temporary file stays");
    }

    #[test]
    fn a_key_of_the_operators_is_used_and_not_written() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = DataDir::open(scratch.path()).unwrap();
        let given = Secret::new("a-key-of-my-own-1");
        let key = dir.api_key(Some(given), &SeededRandom::new(1)).unwrap();
        assert_eq!(
            (key.secret.expose(), key.source),
            ("a-key-of-my-own-1", KeySource::Operator)
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn of_two_that_start_at_once_both_use_the_same_key() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = DataDir::open(scratch.path()).unwrap();
        let keys: Vec<String> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|seed| {
                    let dir = &dir;
                    scope.spawn(move || dir.api_key(None, &SeededRandom::new(seed)).unwrap().secret)
                })
                .collect();
            starts
                .into_iter()
                .map(|start| start.join().unwrap().expose().to_owned())
                .collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn a_key_file_that_others_can_read_is_narrowed_and_one_without_a_key_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = DataDir::open(scratch.path()).unwrap();
        let random = SeededRandom::new(1);
        dir.api_key(None, &random).unwrap();
        let path = scratch.path().join("api.key");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        dir.api_key(None, &random).unwrap();
        assert_eq!(mode(&path), 0o600);
        fs::write(&path, "short\n").unwrap();
        assert!(matches!(
            dir.api_key(None, &random),
            Err(DataDirError::NotAKey { .. })
        ));
    }

    #[test]
    fn a_mistyped_key_is_noticed() {
        let key = new_api_key(&SeededRandom::new(7));
        let text = key.expose();
        assert!(is_well_formed(text));
        for at in KEY_PREFIX.len()..text.len() {
            let mut wrong = text.as_bytes().to_vec();
            wrong[at] = if wrong[at] == b'x' { b'y' } else { b'x' };
            assert!(!is_well_formed(std::str::from_utf8(&wrong).unwrap()), "{at}");
        }
        assert!(
            !is_well_formed("oc_live_")
                && !is_well_formed("")
                && !is_well_formed("oc_live_ключключключключключключ")
        );
    }

    #[test]
    fn the_platforms_place_is_below_home() {
        let place = |home: Option<&str>, xdg: Option<&str>| {
            default_path(|name| match name {
                "HOME" => home.map(OsString::from),
                "XDG_DATA_HOME" => xdg.map(OsString::from),
                _ => None,
            })
        };
        assert_eq!(
            place(Some("/h"), None).unwrap(),
            Path::new("/h/.local/share/openclaw")
        );
        assert_eq!(place(Some("/h"), Some("/x")).unwrap(), Path::new("/x/openclaw"));
        assert_eq!(
            place(Some("/h"), Some("relative")).unwrap(),
            Path::new("/h/.local/share/openclaw")
        );
        assert!(matches!(place(None, None), Err(DataDirError::Unknown)));
    }
}
