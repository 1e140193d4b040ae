//! Levels by module, as people write them: `info,concurrency=debug`.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// The longest text of levels and the most modules in it.
const MAX_BYTES: usize = 4_096;
const MAX_MODULES: usize = 64;

/// Levels by module.
///
/// A module is one of ours (`concurrency`, `ai-fabric`, `http`), or a foreign one by its name (`hyper`). The general
/// level holds for ours; foreign code is not told to say more than warnings unless it is named. `fatal` shows what
/// `error` shows: the two differ in the number on the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFilter {
    general: LevelFilter,
    modules: Vec<(String, LevelFilter)>,
}

/// Why a text of levels is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LogFilterError {
    /// Not a level.
    #[error("`{value}` is not a level")]
    UnknownLevel {
        /// What was given, cut to 32 characters.
        value: String,
    },
    /// Not the name of a module.
    #[error("`{value}` is not a module's name")]
    BadModule {
        /// What was given, cut to 32 characters.
        value: String,
    },
    /// The text or the list is too long.
    #[error("too many levels; {most} modules are allowed")]
    TooLong {
        /// So many modules are allowed.
        most: usize,
    },
}

impl Default for LogFilter {
    fn default() -> Self {
        Self {
            general: LevelFilter::INFO,
            modules: Vec::new(),
        }
    }
}

impl LogFilter {
    /// Reads a level and levels by module, separated by commas. Without a general level it is `info`.
    pub(crate) fn parse(text: &str) -> Result<Self, LogFilterError> {
        if text.len() > MAX_BYTES {
            return Err(LogFilterError::TooLong { most: MAX_MODULES });
        }
        let mut filter = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                None => filter.general = level(part)?,
                Some((module, name)) => {
                    let module = module.trim();
                    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':');
                    if module.is_empty() || !module.chars().all(allowed) {
                        return Err(LogFilterError::BadModule { value: cut(module) });
                    }
                    filter.modules.push((module.to_owned(), level(name.trim())?));
                }
            }
        }
        if filter.modules.len() > MAX_MODULES {
            return Err(LogFilterError::TooLong { most: MAX_MODULES });
        }
        Ok(filter)
    }

    /// Whether anything is logged at `trace`, which is not for production.
    pub(crate) fn has_trace(&self) -> bool {
        self.general == LevelFilter::TRACE
            || self.modules.iter().any(|(_, level)| *level == LevelFilter::TRACE)
    }

    pub(super) fn to_targets(&self) -> Targets {
        let mut targets = Targets::new()
            .with_default(self.general.min(LevelFilter::WARN))
            .with_target("openclaw", self.general);
        for (module, level) in &self.modules {
            let snake = module.replace('-', "_");
            if !snake.contains("::") {
                targets = targets
                    .with_target(format!("openclaw_{snake}"), *level)
                    .with_target(format!("openclaw::{snake}"), *level);
            }
            targets = targets.with_target(snake, *level);
        }
        targets
    }
}

fn level(name: &str) -> Result<LevelFilter, LogFilterError> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "trace" => LevelFilter::TRACE,
        "debug" => LevelFilter::DEBUG,
        "info" => LevelFilter::INFO,
        "warn" | "warning" => LevelFilter::WARN,
        "error" | "fatal" => LevelFilter::ERROR,
        "off" | "silent" => LevelFilter::OFF,
        _ => return Err(LogFilterError::UnknownLevel { value: cut(name) }),
    })
}

fn cut(text: &str) -> String {
    text.chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_level_is_named() {
        let unknown = |value: &str| LogFilterError::UnknownLevel { value: value.into() };
        assert_eq!(LogFilter::parse("loud"), Err(unknown("loud")));
        assert_eq!(LogFilter::parse("info,session=verbose"), Err(unknown("verbose")));
        assert_eq!(
            LogFilter::parse("a b=info"),
            Err(LogFilterError::BadModule { value: "a b".into() })
        );
        assert_eq!(
            LogFilter::parse(&"a=info,".repeat(65)),
            Err(LogFilterError::TooLong { most: 64 })
        );
    }

    #[test]
    fn nothing_said_is_info() {
        assert_eq!(LogFilter::parse(""), Ok(LogFilter::default()));
        assert_eq!(LogFilter::parse(" INFO , "), Ok(LogFilter::default()));
        assert!(!LogFilter::default().has_trace());
        assert!(LogFilter::parse("info,session=trace").unwrap().has_trace());
    }
}
