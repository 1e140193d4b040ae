//! How counts are written for people.

/// A number with the word for what is counted: `1 key`, `0 keys`, `2 keys`.
pub(crate) fn counted(number: impl TryInto<u64>, one: &str, many: &str) -> String {
    // What does not fit is not one.
    let number = number.try_into().unwrap_or(u64::MAX);
    let word = if number == 1 { one } else { many };
    format!("{number} {word}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_and_everything_else_is_many() {
        let keys = |number: u64| counted(number, "key", "keys");
        assert_eq!(
            [0, 1, 2, 11, 21].map(keys),
            ["0 keys", "1 key", "2 keys", "11 keys", "21 keys"]
        );
    }
}
