//! The commands of a Markdown page's code blocks, split into words as a shell does.

/// A command: the variables before it, and its words.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    pub env: Vec<(String, String)>,
    pub words: Vec<String>,
}

/// Every `queuepost` command of the page's code blocks.
pub fn commands(page: &str) -> Vec<Command> {
    let blocks = page.split("```").skip(1).step_by(2);
    let lines = blocks.flat_map(|block| block.lines().skip(1));
    lines
        .map(command)
        .filter(|command| command.words.first().is_some_and(|word| word == "queuepost"))
        .collect()
}

fn command(line: &str) -> Command {
    let mut words = words(line);
    let is_variable = |word: &String| word.contains('=');
    let first = words.iter().position(|word| !is_variable(word)).unwrap_or(words.len());
    let variable =
        |word: String| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let env = words.drain(..first).filter_map(variable).collect();
    Command { env, words }
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
fn words_in_quotes_stay_together_and_variables_come_first() {
    let page =
        "text\n```\nA=1 queuepost send --file 'a b' '{\"x\": 1}' \"it's\" ''\ncurl x\n```\nqueuepost run\n";
    let words = ["queuepost", "send", "--file", "a b", "{\"x\": 1}", "it's", ""];
    let env = vec![("A".to_owned(), "1".to_owned())];
    assert_eq!(commands(page), [Command { env, words: words.map(str::to_owned).to_vec() }]);
}
