//! `docs/reload.md`: which key does what in a reload, as the code decides it.

use std::fs;

use queuepost::app::effect::{ADJUSTED, Effect, FOLLOWED, RESTARTED};

const PAGE: &str = "docs/reload.md";
const BEGIN: &str = "<!-- keys: written by QUEUEPOST_BLESS=1 cargo test --test it repo -->\n";
const END: &str = "<!-- end of keys -->\n";

/// As the README writes it.
fn shown(key: &str) -> String {
    key.strip_prefix("endpoint.").map_or_else(|| key.to_owned(), |key| format!("endpoints.NAME.{key}"))
}

fn row(keys: &[&str], what: &str) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!("`{}`", shown(key))).collect();
    format!("| {} | {what} |\n", keys.join(", "))
}

#[test]
fn the_page_on_reloads_has_each_key_with_what_the_code_does() {
    let (of_endpoint, of_listener): (Vec<&str>, Vec<&str>) =
        ADJUSTED.iter().copied().partition(|key| key.starts_with("endpoint."));
    let mut table = "| key | what a change does |\n|---|---|\n".to_owned();
    table += &row(&of_listener, "the listener is adjusted: the next answer is judged by the new value");
    table += &row(&of_endpoint, "the endpoint is adjusted, and its listeners go on");
    table += "| `name`, or a `queue` without a `name` | one listener is removed, another added |\n";
    table += "| `endpoints.NAME.url`, and its name | its listeners are replaced |\n";
    table += "| every other key of a listener | the listener is replaced |\n";
    table += &row(&FOLLOWED, "the process follows at once");
    table += &row(&RESTARTED, "stays as it was, with a warning: it needs a restart");
    let page = fs::read_to_string(PAGE).unwrap();
    let (head, rest) = page.split_once(BEGIN).expect("the beginning of the table");
    let (_, tail) = rest.split_once(END).expect("its end");
    super::generated::matches(PAGE, &format!("{head}{BEGIN}{table}{END}{tail}"));
}

#[test]
fn each_key_of_the_table_is_one_that_the_configuration_has() {
    let page = fs::read_to_string("docs/configuration.md").unwrap();
    for key in ADJUSTED.iter().chain(&FOLLOWED).chain(&RESTARTED) {
        let (above, last) = key.rsplit_once('.').unwrap_or(("", key));
        let is_there =
            page.contains(&format!("| `{}` ", shown(key))) || page.contains(&format!("| `{last}` "));
        assert!(is_there, "{above} {last}");
    }
    assert_eq!(Effect::of("endpoint.url"), Effect::Replaced);
    assert_eq!(Effect::of("endpoint.headers.X-Key.file"), Effect::Replaced);
}
