//! How counts and the reasons of the operating system are written on the terminal.

use openclaw_core::Language;
use std::io::{Error, ErrorKind};

/// A number with the word for what is counted: `1 key`, `0 keys`, `2 keys`.
pub(crate) fn counted(number: impl TryInto<u64>, one: &str, many: &str) -> String {
    // What does not fit is not one.
    let number = number.try_into().unwrap_or(u64::MAX);
    let word = Language::En.counted(number, [one, many], [""; 3]);
    format!("{number} {word}")
}

/// Why a file cannot be read or written, in words that say what to mend.
pub(crate) fn why_no_file(error: &Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "no such file".to_owned(),
        ErrorKind::PermissionDenied => "this user may not open it".to_owned(),
        ErrorKind::IsADirectory => "it is a directory".to_owned(),
        ErrorKind::NotADirectory => "a part of its path is not a directory".to_owned(),
        ErrorKind::InvalidData => "it is not text in UTF-8".to_owned(),
        ErrorKind::StorageFull => "the disk is full".to_owned(),
        ErrorKind::ReadOnlyFilesystem => "its file system is read-only".to_owned(),
        // The system's own words, without the number behind them.
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_lowercase()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_file_cannot_be_read_is_said_in_words() {
        assert_eq!(why_no_file(&ErrorKind::NotFound.into()), "no such file");
        let directory = tempfile::tempdir().unwrap();
        let error = std::fs::read_to_string(directory.path()).unwrap_err();
        assert_eq!(why_no_file(&error), "it is a directory");
        let loops = Error::from_raw_os_error(40);
        assert_eq!(why_no_file(&loops), "too many levels of symbolic links");
    }

    #[test]
    fn one_is_one_and_everything_else_is_many() {
        let keys = |number: u64| counted(number, "key", "keys");
        assert_eq!([0, 1, 2, 21].map(keys), ["0 keys", "1 key", "2 keys", "21 keys"]);
    }
}
