//! Tables for people: columns as wide as their widest cell.

/// The rows as lines, two spaces between columns.
pub(crate) fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in rows {
        let line: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        out.push_str(line.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// How much is shown of the names of visitors and of their chats, which are 32 digits each.
const SHOWN_DIGITS: usize = 8;

/// A tenant as a table shows it: random names of 32 digits are shortened. Their beginnings name a tenant, too.
pub(crate) fn short_tenant(tenant: &str) -> String {
    let parts: Vec<String> = tenant.split(':').map(short_name).collect();
    parts.join(":")
}

fn short_name(name: &str) -> String {
    let digits = name.strip_prefix("visitor-").unwrap_or(name);
    let is_random = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    match name
        .len()
        .checked_sub(32 - SHOWN_DIGITS)
        .and_then(|end| name.get(..end))
    {
        Some(beginning) if is_random => format!("{beginning}…"),
        Some(_) | None => name.to_owned(),
    }
}

/// The head of a table from its names with `|` between them; a name that is missing is empty.
pub(crate) fn head<const N: usize>(names: &str) -> [String; N] {
    let mut names = names.split('|');
    std::array::from_fn(|_| names.next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitors_name_is_shortened_and_no_other() {
        let digits = "0123456789abcdef".repeat(2);
        assert_eq!(
            short_tenant(&format!("web:visitor-{digits}:{digits}")),
            "web:visitor-01234567…:01234567…"
        );
        for whole in [
            "telegram:555:555",
            "api:operator:default",
            "web:visitor-x:ж",
            "api:no-such-long-name-that-is-random:c",
            "-",
        ] {
            assert_eq!(short_tenant(whole), whole);
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["id", "user"], ["oc_live_1", "и"], ["x", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), "id         user\noc_live_1  и\nx\n");
    }
}
