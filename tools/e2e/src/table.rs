//! Tables for people.

/// A table as Markdown has it, with columns as wide as their widest cell.
pub fn table(head: &[&str], lines: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let width = |column: usize| {
        let cells = std::iter::once(&head).chain(lines).filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let print = |line: &Vec<String>| {
        let cells: Vec<_> = line.iter().zip(&widths).map(|(c, w)| format!("{c:<w$}")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule = widths.iter().map(|width| "-".repeat(*width)).collect();
    let lines = lines.iter().map(print);
    [print(&head), print(&rule)].into_iter().chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let lines = [vec!["long cell".to_owned(), "≤ 1".to_owned()]];
        let text = table(&["a", "goal"], &lines);
        assert_eq!(text, "| a         | goal |\n| --------- | ---- |\n| long cell | ≤ 1  |\n");
    }
}
