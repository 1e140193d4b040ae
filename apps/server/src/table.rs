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

/// The head of a table from its names with `|` between them; a name that is missing is empty.
pub(crate) fn head<const N: usize>(names: &str) -> [String; N] {
    let mut names = names.split('|');
    std::array::from_fn(|_| names.next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["id", "user"], ["oc_live_1", "и"], ["x", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), "id         user\noc_live_1  и\nx\n");
    }
}
