//! A text that neither prints, logs nor serialises.

use zeroize::Zeroizing;

/// A token, key or password. It has no `Debug` output of its content, no `Display`, no `Serialize`, and its memory is
/// overwritten when it is dropped. [`Secret::expose`] is the one way to the text: search for it to find every use.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the one place that must send or compare it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        assert!(!format!("{:?}", Secret::new("hunter2-hunter2")).contains("hunter2"));
    }
}
