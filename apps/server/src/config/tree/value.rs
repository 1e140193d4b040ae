//! Values: read as their fields' types want, and checked against the fields' rules.

use super::super::fault::nearest;
use super::super::schema::{Field, Kind};
use super::super::sections::ByteSize;
use crate::telemetry::{LogFilter, LogFilterError};
use crate::texts::{Said, Texts};
use std::net::{IpAddr, SocketAddr};
use toml::de::DeValue;

/// A TOML value without its places. Dates have no use here.
pub(super) fn plain(value: &DeValue<'_>) -> Result<toml::Value, Said> {
    Ok(match value {
        DeValue::String(text) => toml::Value::String(text.clone().into_owned()),
        DeValue::Integer(number) => toml::Value::Integer(
            i64::from_str_radix(number.as_str(), number.radix())
                .map_err(|_| Said::new(|texts| texts.fault_too_large(number.as_str())))?,
        ),
        DeValue::Float(number) => toml::Value::Float(
            number
                .as_str()
                .parse()
                .map_err(|_| Said::new(|texts| texts.fault_no_number(number.as_str())))?,
        ),
        DeValue::Boolean(flag) => toml::Value::Boolean(*flag),
        DeValue::Datetime(date) => return Err(Said::new(|texts| texts.fault_date(date))),
        DeValue::Array(items) => toml::Value::Array(
            items
                .iter()
                .map(|item| plain(item.get_ref()))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => toml::Value::Table(
            table
                .iter()
                .map(|(key, value)| Ok((key.get_ref().clone().into_owned(), plain(value.get_ref())?)))
                .collect::<Result<_, Said>>()?,
        ),
    })
}

/// A value of the environment or a flag as its field's type.
pub(super) fn from_text(field: &Field, text: &str) -> Result<toml::Value, Said> {
    let text = text.trim();
    let wrong = || {
        let shown = format!("{text:?}");
        Said::new(|texts| texts.fault_value(&shown, &field.kind.expected(texts)))
    };
    Ok(match field.kind {
        Kind::Flag => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => toml::Value::Boolean(true),
            "false" | "0" | "no" | "off" => toml::Value::Boolean(false),
            _ => return Err(wrong()),
        },
        Kind::Integer(..) => toml::Value::Integer(text.replace('_', "").parse().map_err(|_| wrong())?),
        Kind::Number(..) => toml::Value::Float(text.parse().map_err(|_| wrong())?),
        Kind::Texts | Kind::Addresses => {
            if text.starts_with('[') {
                literal(text).ok_or_else(wrong)?
            } else {
                toml::Value::Array(
                    text.split(',')
                        .map(str::trim)
                        .filter(|item| !item.is_empty())
                        .map(|item| toml::Value::String(item.to_owned()))
                        .collect(),
                )
            }
        }
        Kind::Text
        | Kind::Choice(_)
        | Kind::Socket
        | Kind::Url
        | Kind::Size
        | Kind::Secret
        | Kind::Levels => toml::Value::String(text.to_owned()),
    })
}

pub(super) fn literal(text: &str) -> Option<toml::Value> {
    toml::from_str::<toml::Table>(&format!("value = {text}"))
        .ok()?
        .remove("value")
}

/// Whether the field may hold the value; gives it back in the field's own type. The error names value and rule.
pub(super) fn check(field: &Field, value: toml::Value) -> Result<toml::Value, Said> {
    use toml::Value as V;
    if field.kind == Kind::Secret {
        // The value is never shown: it may be the secret.
        return match &value {
            V::Table(table)
                if table.len() == 1
                    && ["env", "file"].iter().any(|how| {
                        table
                            .get(*how)
                            .and_then(V::as_str)
                            .is_some_and(|text| !text.is_empty())
                    }) =>
            {
                Ok(value)
            }
            V::String(_) => Err(Said::new(|texts| {
                texts.fault_secret_here(&field.kind.expected(texts))
            })),
            _ => Err(Said::new(|texts| texts.fault_form(&field.kind.expected(texts)))),
        };
    }
    let shown = shown(&value);
    let told = move |texts: Texts| texts.fault_value(&shown, &field.kind.expected(texts));
    match (field.kind, &value) {
        (Kind::Flag, V::Boolean(_)) | (Kind::Text, V::String(_)) => Ok(value),
        (Kind::Integer(min, max), V::Integer(number)) if (min..=max).contains(number) => Ok(value),
        (Kind::Number(min, max), V::Float(number)) if (min..=max).contains(number) => Ok(value),
        (Kind::Number(min, max), V::Integer(number)) if (min..=max).contains(&(*number as f64)) => {
            Ok(V::Float(*number as f64))
        }
        (Kind::Choice(choices), V::String(text)) => {
            if choices.contains(&text.as_str()) {
                Ok(value)
            } else {
                let hint = nearest(text, choices.iter().copied());
                Err(Said::new(|texts| match hint {
                    Some(choice) => texts.fault_hint(&told(texts), &texts.hint_did_you_mean(choice)),
                    None => told(texts),
                }))
            }
        }
        (Kind::Texts, V::Array(items)) if items.iter().all(V::is_str) => Ok(value),
        (Kind::Addresses, V::Array(items))
            if items
                .iter()
                .all(|item| item.as_str().is_some_and(|text| text.parse::<IpAddr>().is_ok())) =>
        {
            Ok(value)
        }
        (Kind::Socket, V::String(text)) if text.parse::<SocketAddr>().is_ok() => Ok(value),
        (Kind::Url, V::String(text)) if is_url(text) => Ok(V::String(text.trim_end_matches('/').to_owned())),
        (Kind::Size, V::Integer(0..)) => Ok(value),
        (Kind::Size, V::String(text)) if ByteSize::parse(text).is_some() => Ok(value),
        (Kind::Levels, V::String(text)) => match LogFilter::parse(text) {
            Ok(_) => Ok(value),
            Err(error) => Err(Said::new(|texts| {
                texts.fault_value(&unread_levels(&error, texts), &field.kind.expected(texts))
            })),
        },
        _ => Err(Said::new(told)),
    }
}

/// Why a text of levels is refused.
fn unread_levels(error: &LogFilterError, texts: Texts) -> String {
    match error {
        LogFilterError::UnknownLevel { value } => texts.fault_level(value),
        LogFilterError::BadModule { value } => texts.fault_module(value),
        LogFilterError::TooLong { most } => texts.fault_levels(*most),
    }
}

/// Nothing, or an address with a host and without a password, a query or a fragment.
pub(in crate::config) fn is_url(text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    let Some(rest) = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
    else {
        return false;
    };
    let host = rest.split('/').next().unwrap_or_default();
    !host.is_empty()
        && !host.contains('@')
        && text
            .parse::<http::Uri>()
            .is_ok_and(|uri| uri.host().is_some() && uri.query().is_none())
        && !text.contains('#')
}

pub(super) fn shown(value: &toml::Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 64 {
        text.chars().take(64).chain(['…']).collect()
    } else {
        text
    }
}
