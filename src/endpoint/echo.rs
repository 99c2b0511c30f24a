//! Whether an endpoint's answer repeats the beginning of the message.
//!
//! Only letters and digits are compared, so spaces, quotes and layout do not matter. On both sides `&quot;`,
//! `%22`, `\u0022` and `\n` are decoded first. Where an answer quotes a few words (parsers do: `Unexpected
//! token …, "4111"`), six characters suffice.
//! Two repeats are not noticed: values from the middle of a message, and a message in another encoding
//! (base64, another order of its keys).

/// How much of the message is decoded, in bytes.
const REQUEST_BYTES: usize = 1024;
/// Letters and digits of the message that are searched for in the answer.
const ECHO_LETTERS: usize = 24;
/// Shortest message searched for within an answer, in letters; a shorter one must be the whole answer. Two
/// words of a short message may be the endpoint's own error text ("customer 42 is unknown").
const WHOLE_MIN: usize = 12;
/// Shortest quotation that counts.
const ECHO_MIN: usize = 6;
/// Longest quotation that is compared.
const QUOTED_MAX: usize = 256;
/// How often nested encodings are decoded: HTML within JSON within HTML.
const DECODED_TIMES: usize = 4;
/// Entities by name; other entities do not stand for a letter.
const ENTITIES: [(&str, &str); 6] =
    [("amp;", "&"), ("quot;", "\""), ("apos;", "'"), ("lt;", "<"), ("gt;", ">"), ("nbsp;", " ")];

/// An answer, decoded.
pub(super) struct Heard {
    text: String,
    /// Its letters and digits.
    letters: String,
    /// Those of ASCII: in a charset other than UTF-8 only these are the same on both sides.
    ascii: String,
}

impl Heard {
    /// Decodes an answer.
    pub(super) fn new(answer: &str) -> Self {
        let text = decoded(answer);
        let letters = letters(&text, usize::MAX, char::is_alphanumeric);
        let ascii = letters_of_ascii(&text, usize::MAX);
        Self { text, letters, ascii }
    }

    /// Whether it contains the beginning of the request.
    pub(super) fn repeats(&self, request: &[u8]) -> bool {
        let request = request.get(..request.len().min(REQUEST_BYTES)).unwrap_or_default();
        let request = decoded(&String::from_utf8_lossy(request));
        let any = letters(&request, ECHO_LETTERS, char::is_alphanumeric);
        has_beginning(&self.letters, &any)
            || has_beginning(&self.ascii, &letters_of_ascii(&request, ECHO_LETTERS))
            || quotes(&self.text, &request)
    }
}

/// The first letters of a text, in lower case.
fn letters(text: &str, most: usize, is_letter: impl Fn(char) -> bool) -> String {
    text.chars().filter(|c| is_letter(*c)).take(most).flat_map(char::to_lowercase).collect()
}

fn letters_of_ascii(text: &str, most: usize) -> String {
    letters(text, most, |c| c.is_ascii_alphanumeric())
}

/// Whether the letters of an answer contain the first letters of a request.
fn has_beginning(answer: &str, wanted: &str) -> bool {
    if wanted.chars().count() < WHOLE_MIN {
        return !wanted.is_empty() && answer == wanted;
    }
    answer.contains(wanted)
}

/// Whether a quotation in `answer` is the beginning of `request`, apart from spaces and quotes.
fn quotes(answer: &str, request: &str) -> bool {
    let request: Vec<char> = request.chars().filter(|c| !is_loose(*c)).take(QUOTED_MAX).collect();
    let opens = |(at, c): (usize, char)| is_quote(c).then_some(at + c.len_utf8());
    answer
        .char_indices()
        .filter_map(opens)
        .any(|at| quotes_beginning(answer.get(at..).unwrap_or_default(), &request))
}

/// Whether the text after a quote is the beginning of `request`. The text ends at the next quote, at dots or
/// at its end.
fn quotes_beginning(text: &str, request: &[char]) -> bool {
    let mut wanted = request.iter();
    let mut count = 0;
    for c in text.chars().take(QUOTED_MAX) {
        if is_quote(c) && count >= ECHO_MIN {
            return true;
        }
        if is_loose(c) {
            continue;
        }
        if wanted.next() != Some(&c) {
            return count >= ECHO_MIN && (c == '.' || c == '…');
        }
        count += 1;
    }
    count >= ECHO_MIN
}

fn is_quote(c: char) -> bool {
    "\"'`“”‘’«»".contains(c)
}

/// Whether quoting a text may drop or add this character.
fn is_loose(c: char) -> bool {
    c.is_whitespace() || c == '\\' || is_quote(c)
}

/// A text with entities, percent-encoding and JSON escapes decoded, nested ones too.
fn decoded(text: &str) -> String {
    let mut text = text.to_owned();
    if !text.contains(['&', '%', '\\']) {
        return text;
    }
    for _ in 0..DECODED_TIMES {
        let next = decoded_once(&text);
        if next == text {
            break;
        }
        text = next;
    }
    text
}

fn decoded_once(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        let found = match c {
            '&' => entity(after),
            '%' => percent(after),
            '\\' => json(after),
            _ => None,
        };
        if let Some((decoded, after)) = found {
            bytes.extend(decoded);
            rest = after;
        } else {
            bytes.extend(c.encode_utf8(&mut [0; 4]).bytes());
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The character of an encoded one, and the text after it.
type Decoded<'a> = Option<(Vec<u8>, &'a str)>;

/// `quot;`, `#34;` or `#x22;`.
fn entity(after: &str) -> Decoded<'_> {
    let Some(number) = after.strip_prefix('#') else {
        return ENTITIES
            .iter()
            .find_map(|(name, c)| Some((c.as_bytes().to_vec(), after.strip_prefix(name)?)));
    };
    let (digits, rest) = number.split_once(';')?;
    let code = match digits.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    Some((char::from_u32(code.ok()?)?.to_string().into_bytes(), rest))
}

/// Two hexadecimal digits.
fn percent(after: &str) -> Decoded<'_> {
    let (digits, rest) = after.split_at_checked(2)?;
    Some((vec![u8::from_str_radix(digits, 16).ok()?], rest))
}

/// `u0022` or `n`, also after several backslashes; half of a surrogate pair is no letter.
fn json(after: &str) -> Decoded<'_> {
    let after = after.trim_start_matches('\\');
    if let Some(rest) = after.strip_prefix(['n', 'r', 't', 'b', 'f']) {
        return Some((vec![b' '], rest));
    }
    let (digits, rest) = after.strip_prefix('u')?.split_at_checked(4)?;
    let code = u32::from_str_radix(digits, 16).ok()?;
    Some((char::from_u32(code).unwrap_or(' ').to_string().into_bytes(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = r#"{"customer": "J. Müller", "note": "a\nb", "card": "4111 1111 1111 1111"}"#;

    #[test]
    fn an_encoded_copy_of_the_message_is_noticed() {
        let html = MESSAGE.replace('"', "&quot;");
        let percent = |bytes: &[u8]| -> String {
            bytes.iter().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat()
        };
        let unicode: String =
            MESSAGE.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat();
        let json = serde_json::to_string(MESSAGE).unwrap();
        for answer in [
            MESSAGE.to_owned(),
            format!("<p>no order: {html}</p>"),
            html.replace('&', "&amp;"),
            MESSAGE.replace('"', "&#34;").replace('e', "&#x65;"),
            format!("order={}", percent(MESSAGE.as_bytes())),
            percent(percent(MESSAGE.as_bytes()).as_bytes()),
            MESSAGE.replace('"', "%22").replace(' ', "+"),
            MESSAGE.replace('"', "\\u0022"),
            format!("{{\"received\":\"{unicode}\"}}"),
            json.clone(),
            serde_json::to_string(&json).unwrap(),
            MESSAGE.to_uppercase().replace("\\N", "\\n"),
            MESSAGE.replace('ü', "\u{fffd}"),
        ] {
            assert!(Heard::new(&answer).repeats(MESSAGE.as_bytes()), "{answer}");
        }
    }

    #[test]
    fn a_quotation_of_the_first_characters_is_noticed() {
        for (answer, message) in [
            (
                r#"Unexpected token 'x', "4111111111"... is not valid JSON"#,
                "4111111111111111 and more, and more",
            ),
            (r#"Unexpected token '}', "{"card":41"... is not valid JSON"#, r#"{"card":4111111111111111,}"#),
            ("no such order: '4111 11'", "4111 1111 1111 1111, Mr. A"),
            ("cannot parse \u{201c}4111 1111\u{2026}", "4111 1111 1111 1111, Mr. A"),
            ("cannot parse &quot;4111 1111&quot;", "4111 1111 1111 1111, Mr. A"),
        ] {
            assert!(Heard::new(answer).repeats(message.as_bytes()), "{answer}");
        }
    }

    #[test]
    fn what_an_endpoint_says_of_a_message_is_no_copy_of_it() {
        for (answer, message) in [
            ("J. Müller is no customer of ours", MESSAGE),
            (r#"the field "customer" is missing"#, MESSAGE),
            (r#"{"error":"card 4111 was refused"}"#, MESSAGE),
            (r#"the key "order" is wrong"#, "orders: 1, 2, 3 and many more of them"),
            ("100 % of & all \\ that %zz &#; \\u12", "something else"),
            ("no", ""),
        ] {
            assert!(!Heard::new(answer).repeats(message.as_bytes()), "{answer}");
        }
    }
}
