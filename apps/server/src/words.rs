//! How counts are written on the terminal.

use openclaw_core::Language;

/// A number with the word for what is counted: `1 key`, `0 keys`, `2 keys`.
pub(crate) fn counted(number: impl TryInto<u64>, one: &str, many: &str) -> String {
    // What does not fit is not one.
    let number = number.try_into().unwrap_or(u64::MAX);
    let word = Language::En.counted(number, [one, many], [""; 3]);
    format!("{number} {word}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_and_everything_else_is_many() {
        let keys = |number: u64| counted(number, "key", "keys");
        assert_eq!([0, 1, 2, 21].map(keys), ["0 keys", "1 key", "2 keys", "21 keys"]);
    }
}
