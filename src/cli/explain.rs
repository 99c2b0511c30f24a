//! Prints what `queuepost check --explain` found, as a table for people or as JSON for machines.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::terminal;
use crate::config::Explained;
use crate::escape;

/// What a key without a value is shown as.
const NOTHING: &str = "-";
/// Widest column of values; longer ones, such as templates, move the place to their right.
const VALUES_MAX: usize = 48;

/// Prints the rows of all listeners and of the process.
pub(super) fn print(rows: &[Explained], as_json: bool) {
    if as_json {
        terminal::print_document(&format!("{:#}", rows.iter().map(value).collect::<Value>()));
    } else {
        terminal::print_styled(&table(rows));
    }
}

fn value(row: &Explained) -> Value {
    json!({"listener": row.listener, "key": row.key, "value": row.value, "from": row.from})
}

/// A block for each listener and one for the process; the columns of all blocks are aligned.
fn table(rows: &[Explained]) -> String {
    let cells: Vec<[String; 3]> = rows.iter().map(cells).collect();
    let width = |column: fn(&[String; 3]) -> &String| {
        cells.iter().map(|cells| column(cells).chars().count()).max().unwrap_or_default()
    };
    let (keys, values) = (width(|[key, ..]| key), width(|[_, value, _]| value).min(VALUES_MAX));
    let mut text = String::new();
    let mut block = None;
    for (row, [key, value, from]) in rows.iter().zip(&cells) {
        if block != Some(&row.listener) {
            let title = row.listener.as_ref().map_or("process".to_owned(), |name| format!("listener {name}"));
            let gap = if block.is_some() { "\n" } else { "" };
            // Writing to a string cannot fail.
            writeln!(text, "{gap}{}", escape::line(&title)).ok();
            block = Some(&row.listener);
        }
        writeln!(text, "  {key:keys$}  {value:values$}  {from}").ok();
    }
    text
}

fn cells(row: &Explained) -> [String; 3] {
    let value = row.value.as_deref().unwrap_or(NOTHING);
    [&row.key, value, &row.from].map(|text| escape::line(text).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(listener: Option<&str>, key: &str, value: Option<&str>, from: &str) -> Explained {
        let (key, from) = (key.to_owned(), from.to_owned());
        Explained { listener: listener.map(str::to_owned), key, value: value.map(str::to_owned), from }
    }

    #[test]
    fn the_table_has_aligned_columns_and_a_block_for_each_listener() {
        let rows = [
            row(Some("orders"), "workers", Some("16"), "default"),
            row(Some("orders"), "external_id", None, "default"),
            row(None, "log.level", Some("info"), "--log-level"),
        ];
        let expected = "\
listener orders
  workers      16    default
  external_id  -     default

process
  log.level    info  --log-level
";
        assert_eq!(table(&rows), expected);
    }

    #[test]
    fn json_has_every_key_whether_there_is_a_value_or_not() {
        let expected = json!({"listener": null, "key": "k", "value": null, "from": "default"});
        assert_eq!(value(&row(None, "k", None, "default")), expected);
    }
}
