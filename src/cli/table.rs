//! Tables for a terminal: columns as wide as their cells, and words in lines that fit.
//!
//! Cells are escaped here, before they are measured. Colours take no room.

use std::fmt::Write as _;

use crate::escape;

/// Widest line of words.
const WIDTH: usize = 100;
/// Widest first cell that stands beside the others; a longer one has a line of its own.
const NAME_MAX: usize = 32;
/// Between two columns.
const GAP: &str = "  ";

/// The colour of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Plain,
    Good,
    Notable,
    Bad,
    Heading,
}

impl Colour {
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Good => Some("32"),
            Self::Notable => Some("33"),
            Self::Bad => Some("31"),
            Self::Heading => Some("1"),
        }
    }
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    colour: Colour,
}

impl Cell {
    pub(super) fn plain(text: impl AsRef<str>) -> Self {
        Self::of(text, Colour::Plain)
    }

    pub(super) fn of(text: impl AsRef<str>, colour: Colour) -> Self {
        Self { text: escape::line(text.as_ref()).into_owned(), colour }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

/// One row, and words below it.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) cells: Vec<Cell>,
    pub(super) words: Vec<String>,
}

/// A table; numbers stand to the right where the heading begins with a space.
pub(super) fn table(headings: &[&str], rows: &[Row], coloured: bool) -> String {
    let widths: Vec<usize> =
        headings.iter().enumerate().map(|(at, heading)| width(at, heading, rows)).collect();
    let mut text = String::new();
    let heading = |heading: &&str| Cell::of(heading.trim_start(), Colour::Heading);
    line(&mut text, headings, &widths, &headings.iter().map(heading).collect::<Vec<_>>(), coloured);
    for row in rows {
        line(&mut text, headings, &widths, &row.cells, coloured);
        row.words.iter().for_each(|words| wrap(&mut text, &escape::line(words)));
    }
    text
}

fn width(at: usize, heading: &str, rows: &[Row]) -> usize {
    let cells = rows.iter().filter_map(|row| row.cells.get(at)).map(Cell::width);
    let fits = cells.filter(|width| at > 0 || *width <= NAME_MAX);
    fits.chain([heading.trim_start().chars().count()]).max().unwrap_or_default()
}

fn line(text: &mut String, headings: &[&str], widths: &[usize], cells: &[Cell], coloured: bool) {
    let mut drawn = String::new();
    for ((cell, width), heading) in cells.iter().zip(widths).zip(headings) {
        let pad = " ".repeat(width.saturating_sub(cell.width()));
        let inked = match cell.colour.code().filter(|_| coloured) {
            Some(code) => format!("\u{1b}[{code}m{}\u{1b}[0m", cell.text),
            None => cell.text.clone(),
        };
        if cell.width() > *width {
            // A long name; its row goes on below it.
            text.push_str(&inked);
            text.push('\n');
            drawn.push_str(&" ".repeat(*width));
        } else if heading.starts_with(' ') {
            drawn.push_str(&pad);
            drawn.push_str(&inked);
        } else {
            drawn.push_str(&inked);
            drawn.push_str(&pad);
        }
        drawn.push_str(GAP);
    }
    text.push_str(drawn.trim_end());
    text.push('\n');
}

/// Words below a row, in lines that fit.
pub(super) fn wrap(text: &mut String, words: &str) {
    let mut column = 0;
    for word in words.split(' ') {
        let long = word.chars().count();
        if column == 0 {
            text.push_str(GAP);
            column = GAP.len();
        } else if column + 1 + long > WIDTH {
            text.push_str("\n    ");
            column = 4;
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += long;
    }
    text.push('\n');
}

/// A time as people say it: `12s`, `3m`, `2h`, `5d`.
pub(super) fn spoken(seconds: u64) -> String {
    let mut text = String::new();
    let written = match seconds {
        0..120 => write!(text, "{seconds}s"),
        120..7_200 => write!(text, "{}m", seconds / 60),
        7_200..172_800 => write!(text, "{}h", seconds / 3_600),
        _ => write!(text, "{}d", seconds / 86_400),
    };
    // Writing into a String cannot fail.
    written.ok();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str], words: &[&str]) -> Row {
        Row {
            cells: cells.iter().map(Cell::plain).collect(),
            words: words.iter().map(|words| (*words).to_owned()).collect(),
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_cells_and_a_long_name_has_a_line_of_its_own() {
        let long = "a-name-of-a-listener-that-is-longer-than-its-column";
        let rows = [row(&["orders", "7"], &["it waits"]), row(&[long, "1200"], &[])];
        let drawn = table(&["LISTENER", " VISIBLE"], &rows, false);
        let expected =
            "LISTENER  VISIBLE\norders          7\n  it waits\n".to_owned() + long + "\n             1200\n";
        assert_eq!(drawn, expected);
    }

    #[test]
    fn nothing_steers_the_terminal_and_colours_take_no_room() {
        let cells = vec![Cell::of("bad", Colour::Bad), Cell::plain("x\u{1b}[2J")];
        let rows = [Row { cells, words: vec!["why\u{9b}31m\nmore".to_owned()] }];
        let drawn = table(&["STATE ", "NAME"], &rows, true);
        assert!(drawn.contains("\u{1b}[31mbad\u{1b}[0m     x\\u001b[2J\n"), "{drawn:?}");
        assert!(drawn.contains("  why\\u009b31m\\u000amore\n"), "{drawn:?}");
    }

    #[test]
    fn long_words_are_wrapped() {
        let mut text = String::new();
        wrap(&mut text, &"word ".repeat(60));
        assert!(text.lines().count() > 2 && text.lines().all(|line| line.len() <= WIDTH), "{text}");
    }

    #[test]
    fn times_are_said_in_one_unit() {
        assert_eq!(
            [0, 119, 120, 7_199, 7_200, 172_800].map(spoken),
            ["0s", "119s", "2m", "119m", "2h", "2d"]
        );
    }
}
