//! How the reasons of the operating system are written on the terminal.

use std::io::{Error, ErrorKind};

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
}
