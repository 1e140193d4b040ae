//! Names of a script that only the script itself knows, made short.
//!
//! A name that a line of the script declares is replaced wherever it stands, whatever its scope: equal names stay equal and
//! different ones different, so that no scope has to be understood. Left alone is every name that is also one of a
//! property, of a key or in a template; a script that is put together here has no name that begins with `_`.

use super::slim::{begins_expression, expression, literal};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

/// A shorter name would not be one.
const MIN_LENGTH: usize = 4;

/// A piece of a script.
enum Token<'a> {
    Name(&'a str),
    Literal(&'a str),
    Sign(char),
}

/// The script with short names. It has lost its comments and spaces before.
pub(super) fn shorten(script: &str) -> String {
    let tokens = tokens(script);
    let short = short_names(&tokens);
    tokens
        .iter()
        .fold(String::with_capacity(script.len()), |mut text, token| {
            match token {
                Token::Name(name) => text.push_str(short.get(name).map_or(*name, String::as_str)),
                Token::Literal(literal) => text.push_str(literal),
                Token::Sign(sign) => text.push(*sign),
            }
            text
        })
}

fn is_name(sign: char) -> bool {
    sign.is_alphanumeric() || matches!(sign, '_' | '$')
}

fn tokens(script: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some((before, rest)) = script.split_at_checked(at)
        && let Some(next) = rest.chars().next()
    {
        let length = match next {
            '"' | '\'' | '`' => literal(rest, next),
            '/' if begins_expression(before) => expression(rest),
            _ if is_name(next) => rest.find(|sign| !is_name(sign)).unwrap_or(rest.len()),
            _ => next.len_utf8(),
        };
        let piece = rest.get(..length).unwrap_or(rest);
        tokens.push(match next {
            _ if is_name(next) => Token::Name(piece),
            _ if length > next.len_utf8() => Token::Literal(piece),
            _ => Token::Sign(next),
        });
        at += length;
    }
    tokens
}

/// What is declared and is nothing else besides, with its short name; what stands most often gets the shortest.
fn short_names<'a>(tokens: &[Token<'a>]) -> HashMap<&'a str, String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut declared: HashSet<&str> = HashSet::new();
    let mut known_outside: HashSet<&str> = HashSet::new();
    let mut open: Vec<char> = Vec::new();
    let sign = |at: Option<usize>| match at.and_then(|at| tokens.get(at)) {
        Some(Token::Sign(sign)) => *sign,
        _ => ' ',
    };
    for (at, token) in tokens.iter().enumerate() {
        let name = match token {
            Token::Sign(sign @ ('(' | '[' | '{')) => {
                open.push(*sign);
                continue;
            }
            Token::Sign(')' | ']' | '}') => {
                open.pop();
                continue;
            }
            Token::Name(name) => *name,
            Token::Sign(_) | Token::Literal(_) => continue,
        };
        *counts.entry(name).or_default() += 1;
        let (before, after) = (sign(at.checked_sub(1)), sign(at.checked_add(1)));
        let is_spread = before == '.' && sign(at.checked_sub(2)) == '.';
        let in_braces = open.last() == Some(&'{') && matches!(before, '{' | ',' | '\n');
        if (before == '.' && !is_spread) || (in_braces && matches!(after, ':' | ',' | '}')) {
            known_outside.insert(name);
        }
        let keyword = at.checked_sub(2).and_then(|at| tokens.get(at));
        if before == ' ' && matches!(keyword, Some(Token::Name("const" | "let" | "function" | "class"))) {
            declared.insert(name);
        }
    }
    let templates: Vec<&str> = tokens
        .iter()
        .filter_map(|token| match token {
            Token::Literal(text) if text.starts_with('`') => Some(*text),
            Token::Literal(_) | Token::Name(_) | Token::Sign(_) => None,
        })
        .collect();
    let mut names: Vec<&str> = declared
        .difference(&known_outside)
        .copied()
        .filter(|name| name.len() >= MIN_LENGTH && !templates.iter().any(|text| text.contains(name)))
        .collect();
    names.sort_by_key(|name| (std::cmp::Reverse(counts.get(name).copied()), *name));
    names
        .into_iter()
        .enumerate()
        .map(|(number, name)| {
            let mut short = String::from("_");
            let _ = write!(short, "{number:x}");
            (name, short)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(script: &str, expected: &str) {
        assert_eq!(shorten(script), expected);
    }

    #[test]
    fn what_a_script_declares_is_called_shortly_everywhere() {
        check(
            "const first=1;function second(third){return first+second(...first)}",
            "const _0=1;function _1(third){return _0+_1(..._0)}",
        );
        check(
            "let what=a?what:b;f(a,what,b);[what,what]",
            "let _0=a?_0:b;f(a,_0,b);[_0,_0]",
        );
    }

    #[test]
    fn what_others_know_keeps_its_name() {
        for script in [
            "const name=1;a.name=name",
            "const name=1;f({name,a})",
            "const name=1;f({a,name,b})",
            "const name=1;f({a,name})",
            "const name=1;f({a:1,name:2})",
            "const name=1;f(`a ${name}`)",
            "const abc=1;f(abc)",
            "f(\"const name\",name)",
        ] {
            check(script, script);
        }
        check(
            "const name=1;f(\"name\",/name/,name)",
            "const _0=1;f(\"name\",/name/,_0)",
        );
    }
}
