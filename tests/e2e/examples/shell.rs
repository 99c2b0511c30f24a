//! The commands of a Markdown page's code blocks, split into words as a shell does.

/// Every `queuepost` command of the page's code blocks.
pub fn commands(page: &str) -> Vec<Vec<String>> {
    let blocks = page.split("```").skip(1).step_by(2);
    let lines = blocks.flat_map(|block| block.lines().skip(1).map(str::to_owned).collect::<Vec<_>>());
    lines.filter(|line| line.starts_with("queuepost ")).map(|line| words(&line)).collect()
}

/// The words of a line; quotes `'…'` and `"…"` keep what is between them together.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && matches!(c, '\'' | '"') {
            quote = Some(c);
            word.get_or_insert_default();
        } else if quote.is_none() && c.is_whitespace() {
            words.extend(word.take());
        } else {
            word.get_or_insert_default().push(c);
        }
    }
    assert!(quote.is_none(), "a quote is open: {line}");
    words.extend(word);
    words
}

#[test]
fn words_in_quotes_stay_together() {
    let page =
        "text\n```\nqueuepost send --file 'a b' '{\"x\": 1}' \"it's\" ''\ncurl x\n```\nqueuepost run\n";
    let words = ["queuepost", "send", "--file", "a b", "{\"x\": 1}", "it's", ""];
    assert_eq!(commands(page), [words.map(str::to_owned).to_vec()]);
}
