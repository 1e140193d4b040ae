//! Sources as they are sent: without what only their readers need.
//!
//! Comments of whole lines, indentation, and spaces beside punctuation go; names and words stay as they are written, and
//! lines that end a statement stay lines. Strings, templates and regular expressions are copied as they stand.

/// A markup or a picture: without indentation, empty lines and lines that are comments only. None of the sources has a
/// string over several lines, so nothing else changes.
pub(super) fn slim(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    for line in source.lines().map(str::trim) {
        let is_comment = line.starts_with("//") || (line.starts_with("/*") && line.ends_with("*/"));
        if !line.is_empty() && !is_comment {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// A style sheet. It has no strings but names of fonts.
pub(super) fn slim_style(source: &str) -> String {
    [
        (" {", "{"),
        ("{ ", "{"),
        (" }", "}"),
        (";}", "}"),
        (";\n", ";"),
        ("{\n", "{"),
        (";}", "}"),
        ("}\n", "}"),
        (": ", ":"),
        ("; ", ";"),
        (", ", ","),
    ]
    .into_iter()
    .fold(slim(source), |text, (from, to)| text.replace(from, to))
}

/// A script. What it must keep to: no comment behind code on its line, no template within a template, a regular
/// expression only where punctuation stands before it.
pub(super) fn slim_script(source: &str) -> String {
    let source = slim(source);
    let mut text = String::with_capacity(source.len());
    let mut rest = source.as_str();
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '"' | '\'' | '`' => literal(rest, next),
            '/' if begins_expression(&text) => expression(rest),
            ' ' => {
                let after = rest.trim_start_matches(' ');
                if must_stand_apart(text.chars().next_back(), after.chars().next()) {
                    text.push(' ');
                }
                rest = after;
                continue;
            }
            '\n' => {
                let after = rest.get(1..).and_then(|after| after.chars().next());
                let is_open = matches!(text.chars().next_back(), Some('{' | '(' | '[' | ',' | ';'));
                if !is_open && !matches!(after, Some('}' | ')' | ']') | None) {
                    text.push('\n');
                }
                1
            }
            other => other.len_utf8(),
        };
        if next != '\n' {
            text.push_str(rest.get(..length).unwrap_or(rest));
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    text
}

/// Whether two signs would mean something else without a space between them.
fn must_stand_apart(before: Option<char>, after: Option<char>) -> bool {
    let is_name = |sign: char| sign.is_alphanumeric() || matches!(sign, '_' | '$');
    match (before, after) {
        (Some(before), Some(after)) => {
            (is_name(before) && is_name(after)) || (before == after && matches!(before, '+' | '-' | '/'))
        }
        _ => false,
    }
}

/// Whether a slash after this text begins a regular expression rather than divides.
pub(super) fn begins_expression(text: &str) -> bool {
    matches!(
        text.chars().next_back(),
        None | Some('(' | ',' | '=' | ':' | '[' | '!' | '&' | '|' | '?' | '{' | '}' | ';' | '>' | '\n')
    )
}

/// How many bytes the string or template is long that begins here.
pub(super) fn literal(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, sign) in text.char_indices().skip(1) {
        match sign {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if sign == quote => return at + sign.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// How many bytes the regular expression is long that begins here.
pub(super) fn expression(text: &str) -> usize {
    let (mut is_escaped, mut in_class) = (false, false);
    for (at, sign) in text.char_indices().skip(1) {
        match sign {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '/' if !in_class => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_loses_spaces_and_means_the_same() {
        let check = |source: &str, expected: &str| assert_eq!(slim_script(source), expected, "{source}");
        check("let a = b + c;\n", "let a=b+c;");
        check("a + +b - -c / d", "a+ +b- -c/d");
        check("if (a) { b(); }\n", "if(a){b();}");
        check("  // a word\n  /** more */\n  return a;", "return a;");
        check("f(\"a  { b\", 'c  d')", "f(\"a  { b\",'c  d')");
        check("`a ${b + c}  d` + e", "`a ${b + c}  d`+e");
        check(
            "x.replace(/[/ ]  \\/ \"/g, \"\")",
            "x.replace(/[/ ]  \\/ \"/g,\"\")",
        );
        check("const f = () => {\n  a\n  b\n}\nf()", "const f=()=>{a\nb}\nf()");
        check("a ? b : c in d", "a?b:c in d");
        check("\"\\\" \" + a", "\"\\\" \"+a");
        check("слово = \"два  слова\"", "слово=\"два  слова\"");
    }

    #[test]
    fn a_style_sheet_loses_spaces_and_means_the_same() {
        assert_eq!(
            slim_style(":root {\n  --a: b, c;\n  --d: e;\n}\n.x > .y { z: 1; }\n.x :is(p) { z: 2; }\n"),
            ":root{--a:b,c;--d:e}.x > .y{z:1}.x :is(p){z:2}"
        );
    }
}
