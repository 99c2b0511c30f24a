//! Draws `docs/pictures/way.svg`, the way of a message, from the lines of `docs/pictures/way.txt`.
//!
//! A sequence diagram: a vertical line for each column, time runs down. The text's own head says how it is written. The picture
//! is plain SVG without scripts or fonts of its own, and has colours for light and dark pages.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::generated;

/// Pixels from the left edge to the middle of each column.
const COLUMNS: [i32; 3] = [110, 440, 770];
/// Width of the picture.
const WIDTH: i32 = 880;
/// Height of the boxes with the columns' names, with room below them.
const HEAD: i32 = 62;
/// Height of a row.
const ROW: i32 = 44;
/// Width of a letter in a note, on average, rounded up.
const LETTER: i32 = 7;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2328;text-anchor:middle}\
.page{fill:#fff}.name{font-weight:600;font-size:15px}.part{font-style:italic;fill:#59636e}\
.box{fill:#f6f8fa;stroke:#8b949e}.life{stroke:#8b949e;stroke-dasharray:3 4}.cut{stroke:#d1d9e0}\
.arrow{stroke-width:1.6;fill:none}.plain{stroke:#57606a}.good{stroke:#1a7f37}.slow{stroke:#9a6700}.bad{stroke:#cf222e}\
.plain-end{fill:#57606a}.good-end{fill:#1a7f37}.slow-end{fill:#9a6700}.bad-end{fill:#cf222e}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.page{fill:#0d1117}.part{fill:#9198a1}.box{fill:#151b23;stroke:#656c76}\
.life{stroke:#656c76}.cut{stroke:#3d444d}.plain{stroke:#9198a1}.good{stroke:#3fb950}.slow{stroke:#d29922}.bad{stroke:#f85149}\
.plain-end{fill:#9198a1}.good-end{fill:#3fb950}.slow-end{fill:#d29922}.bad-end{fill:#f85149}}";

/// The class of a row's first character, and the row without it.
fn mood(row: &str) -> (&'static str, &str) {
    for (mark, class) in [('+', "good"), ('~', "slow"), ('!', "bad")] {
        if let Some(rest) = row.strip_prefix(mark) {
            return (class, rest);
        }
    }
    ("plain", row)
}

/// The column that a text names by its number, counted from 1.
fn column(text: &str) -> i32 {
    COLUMNS[text.trim().parse::<usize>().unwrap() - 1]
}

fn escaped(text: &str) -> String {
    text.trim().replace('&', "&amp;").replace('<', "&lt;")
}

/// An arrow or a note, at the height `y` of its line.
fn entry(entry: &str, y: i32, svg: &mut String) {
    let (class, entry) = mood(entry.trim());
    let (place, words) = entry.split_once(':').unwrap();
    let words = escaped(words);
    if let Some((from, to)) = place.split_once("->") {
        let (from, to) = (column(from), column(to));
        let tip = if to > from { to - 9 } else { to + 9 };
        let (middle, above) = (i32::midpoint(from, to), y - 7);
        writeln!(svg, "<path class=\"arrow {class}\" d=\"M{from} {y}H{tip}\"/>").unwrap();
        let (up, down) = (y - 5, y + 5);
        writeln!(svg, "<path class=\"{class}-end\" d=\"M{to} {y}L{tip} {up}V{down}Z\"/>").unwrap();
        writeln!(svg, "<text x=\"{middle}\" y=\"{above}\">{words}</text>").unwrap();
    } else {
        let width = LETTER * i32::try_from(words.chars().count()).unwrap() + 24;
        let (x, top, baseline) = (column(place) - width / 2, y - 19, y - 1);
        writeln!(
            svg,
            "<rect class=\"box {class}\" x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"28\" rx=\"14\"/>"
        )
        .unwrap();
        writeln!(svg, "<text x=\"{}\" y=\"{baseline}\">{words}</text>", column(place)).unwrap();
    }
}

/// The picture of a text.
fn svg(text: &str) -> String {
    let mut rows = text.lines().filter(|line| !line.starts_with('#'));
    let names: Vec<String> = rows.next().unwrap().split('|').map(escaped).collect();
    let rows: Vec<&str> = rows.collect();
    let height = HEAD + ROW * i32::try_from(rows.len()).unwrap() + 14;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n\
         <title>The way of a message: {}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\" rx=\"6\"/>\n",
        names.join(", ")
    );
    for (x, name) in COLUMNS.iter().zip(&names) {
        let left = x - 80;
        writeln!(svg, "<path class=\"life\" d=\"M{x} 46V{}\"/>", height - 10).unwrap();
        writeln!(svg, "<rect class=\"box\" x=\"{left}\" y=\"12\" width=\"160\" height=\"34\" rx=\"5\"/>")
            .unwrap();
        writeln!(svg, "<text class=\"name\" x=\"{x}\" y=\"34\">{name}</text>").unwrap();
    }
    for (row, number) in rows.iter().zip(0..) {
        let y = HEAD + 30 + ROW * number;
        if let Some(words) = row.strip_prefix("--- ") {
            writeln!(svg, "<path class=\"cut\" d=\"M20 {0}H{1}\"/>", y - 6, WIDTH - 20).unwrap();
            writeln!(
                svg,
                "<rect class=\"page\" x=\"{}\" y=\"{}\" width=\"200\" height=\"20\"/>",
                175,
                y - 16
            )
            .unwrap();
            writeln!(svg, "<text class=\"part\" x=\"275\" y=\"{}\">{}</text>", y - 2, escaped(words))
                .unwrap();
        } else {
            row.split('|').for_each(|part| entry(part, y, &mut svg));
        }
    }
    svg + "</svg>\n"
}

#[test]
fn the_picture_of_a_message_s_way_is_drawn_from_its_text() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures");
    generated::matches("docs/pictures/way.svg", &svg(&fs::read_to_string(folder.join("way.txt")).unwrap()));
}
