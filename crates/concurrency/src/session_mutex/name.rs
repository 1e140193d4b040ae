//! A session's name, kept in place as long as it is as short as they are.

/// What fits into a name without memory of its own: `session:`, a platform, a user's and a chat's number.
const SHORT: usize = 55;

/// A name in memory of its own only when it is long: one that is taken and given back with every turn costs no
/// allocation then.
pub(super) enum SessionName {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Box<[u8]>),
}

// === impl SessionName ===

impl SessionName {
    pub(super) fn new(name: &str) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..name.len()), u8::try_from(name.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(name.as_bytes());
                Self::Short { length, bytes }
            }
            (Some(_) | None, _) => Self::Long(name.as_bytes().into()),
        }
    }

    /// Nobody's.
    pub(super) fn none() -> Self {
        Self::Long(Box::default())
    }

    pub(super) fn is(&self, name: &str) -> bool {
        match self {
            Self::Short { length, bytes } => bytes.get(..usize::from(*length)) == Some(name.as_bytes()),
            Self::Long(bytes) => **bytes == *name.as_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_itself_and_no_other_whatever_its_length() {
        let long = "x".repeat(300);
        for length in [0, 1, SHORT - 1, SHORT, SHORT + 1, 255, 256, 300] {
            let text = &long[..length];
            let name = SessionName::new(text);
            assert!(name.is(text), "{length}");
            assert!(!name.is(&format!("{text}x")), "{length}");
            assert!(length == 0 || !name.is(&text[1..]), "{length}");
            assert!(length == 0 || !name.is(&format!("y{}", &text[1..])), "{length}");
            let own = matches!(name, SessionName::Long(_));
            assert_eq!(own, length > SHORT, "{length}");
        }
        assert!(!SessionName::none().is("x"));
    }
}
