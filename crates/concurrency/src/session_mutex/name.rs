//! A session's name, kept in place as long as it is as short as they are.

/// What fits into a name without memory of its own: `session:`, a platform, a user's and a chat's number.
const SHORT: usize = 55;

/// A name in memory of its own only when it is long: one that is taken and given back with every turn costs no
/// allocation then.
pub(super) struct SessionName {
    /// Of the short one.
    length: u8,
    short: [u8; SHORT],
    long: Option<Box<[u8]>>,
}

// === impl SessionName ===

impl Default for SessionName {
    /// Nobody's.
    fn default() -> Self {
        Self {
            length: 0,
            short: [0; SHORT],
            long: None,
        }
    }
}

impl SessionName {
    pub(super) fn set(&mut self, name: &str) {
        let name = name.as_bytes();
        match (self.short.get_mut(..name.len()), u8::try_from(name.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(name);
                self.length = length;
                self.long = None;
            }
            (Some(_) | None, _) => self.long = Some(name.into()),
        }
    }

    /// Lets go of what a long one took.
    pub(super) fn clear(&mut self) {
        self.length = 0;
        self.long = None;
    }

    pub(super) fn is(&self, name: &str) -> bool {
        let own = match &self.long {
            Some(long) => Some(&**long),
            None => self.short.get(..usize::from(self.length)),
        };
        own == Some(name.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_itself_and_no_other_whatever_its_length_and_who_was_there_before() {
        let long = "x".repeat(300);
        let lengths = [0, 1, SHORT - 1, SHORT, SHORT + 1, 255, 256, 300];
        for before in lengths {
            for length in lengths {
                let mut name = SessionName::default();
                name.set(&"y".repeat(before));
                let text = &long[..length];
                name.set(text);
                assert!(name.is(text), "{length} after {before}");
                assert!(!name.is(&format!("{text}x")), "{length} after {before}");
                assert!(length == 0 || !name.is(&text[1..]), "{length} after {before}");
                assert!(
                    length == 0 || !name.is(&format!("y{}", &text[1..])),
                    "{length} after {before}"
                );
                assert_eq!(name.long.is_some(), length > SHORT, "{length} after {before}");
                name.clear();
                assert!(name.is("") && name.long.is_none(), "{length}");
            }
        }
    }
}
