//! Rate-limit headers of an answer, turned into one [`Quota`].
//!
//! Read are the forms of draft-ietf-httpapi-ratelimit-headers and their older relatives:
//!
//! - `RateLimit: "default";r=50;t=30` (drafts 08 and later),
//! - `RateLimit: limit=100, remaining=50, reset=30` (draft 07),
//! - `RateLimit-Remaining: 50` with `RateLimit-Reset: 30` (drafts before), and the same with `X-RateLimit-`
//!   or `X-Rate-Limit-`.
//!
//! The reset is in seconds, or a Unix time in seconds or milliseconds. A Unix time counts from the answer's own
//! `Date`, so clocks that differ do no harm. No window of a policy (`RateLimit-Policy: 100;w=10`) is
//! exceeded: a reset beyond the longest window is cut to it. Of several quotas the one with least left per time counts.
//!
//! Whatever is unreadable or out of bounds counts as absent.

use std::cmp::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::DATE;
use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, Item, List, ListEntry, Parameters, Parser};

/// Longest wait until a reset that is believed. A longer number is a Unix time.
pub const RESET_MAX: Duration = Duration::from_secs(24 * 3600);
/// Longest field line that is read.
const LINE_MAX_BYTES: usize = 512;
/// Most lines of one field that are read.
const LINES_MAX: usize = 8;
/// From here on a Unix time is in milliseconds. As seconds it would lie in the year 5138.
const UNIX_MILLIS_MIN: Duration = Duration::from_secs(100_000_000_000);

/// The names of the headers, in each of their spellings.
const SPELLINGS: [Names; 3] = [
    Names {
        combined: "ratelimit",
        remaining: "ratelimit-remaining",
        reset: "ratelimit-reset",
        policies: ["ratelimit-policy", "ratelimit-limit"],
    },
    Names {
        combined: "x-ratelimit",
        remaining: "x-ratelimit-remaining",
        reset: "x-ratelimit-reset",
        policies: ["x-ratelimit-policy", "x-ratelimit-limit"],
    },
    Names {
        combined: "x-rate-limit",
        remaining: "x-rate-limit-remaining",
        reset: "x-rate-limit-reset",
        policies: ["x-rate-limit-policy", "x-rate-limit-limit"],
    },
];

struct Names {
    combined: &'static str,
    remaining: &'static str,
    reset: &'static str,
    /// Fields that may name windows.
    policies: [&'static str; 2],
}

/// What the endpoint says it still takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Requests left until the reset; what exceeds the type is cut to its end.
    pub remaining: u32,
    /// Time from the answer to the reset, at most [`RESET_MAX`].
    pub resets_in: Duration,
}

impl Quota {
    /// Reads the headers of an answer; `None` if they state no quota.
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        // Most answers have few headers, and none of these: that is found without looking up each spelling.
        let begins_so = |name: &HeaderName| {
            let name = name.as_str();
            name.strip_prefix("x-").unwrap_or(name).starts_with("rate")
        };
        if !headers.keys().any(begins_so) {
            return None;
        }
        let stated =
            |names: &&Names| headers.contains_key(names.combined) || headers.contains_key(names.remaining);
        SPELLINGS.iter().filter(stated).flat_map(|names| names.read(headers)).min_by(Self::compare)
    }

    /// Less is more restrictive: what is left per time, then the later reset.
    fn compare(&self, other: &Self) -> Ordering {
        // Cross-multiplied: a time of zero divides nothing.
        let ours = u128::from(self.remaining) * other.resets_in.as_millis();
        let theirs = u128::from(other.remaining) * self.resets_in.as_millis();
        ours.cmp(&theirs).then(other.resets_in.cmp(&self.resets_in))
    }
}

impl Names {
    /// Every quota that is stated under these names.
    fn read(&self, headers: &HeaderMap) -> Vec<Quota> {
        let combined = lines(headers, self.combined).filter_map(pairs).flatten();
        let (remaining, reset) = (items(headers, self.remaining), items(headers, self.reset));
        let separate =
            remaining.into_iter().zip(reset).map(|(left, reset)| (left.bare_item, reset.bare_item));
        let date = headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let windows = self.policies.iter().flat_map(|name| items(headers, name));
        let longest = windows.filter_map(|policy| window(&policy.params)).max().unwrap_or(RESET_MAX);
        let quota = |(left, reset): (BareItem, BareItem)| {
            let resets_in = until(number(&reset)?, date)?.min(longest);
            let remaining = u32::try_from(number(&left)?.as_secs()).unwrap_or(u32::MAX);
            Some(Quota { remaining, resets_in })
        };
        combined.chain(separate).filter_map(quota).collect()
    }
}

/// What is left and the reset, for each quota of a combined field.
fn pairs(line: &[u8]) -> Option<Vec<(BareItem, BareItem)>> {
    let Ok(list) = Parser::new(line).parse::<List>() else {
        let mut fields: Dictionary = Parser::new(line).parse().ok()?;
        let (left, reset) = (fields.swap_remove("remaining")?, fields.swap_remove("reset")?);
        return Some(vec![(item(left)?.bare_item, item(reset)?.bare_item)]);
    };
    let parameters = list.into_iter().filter_map(item).map(|item| item.params);
    let pair = |mut quota: Parameters| Some((quota.swap_remove("r")?, quota.swap_remove("t")?));
    Some(parameters.filter_map(pair).collect())
}

/// The field's lines, as far as they are read.
fn lines<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(name).iter().take(LINES_MAX).map(http::HeaderValue::as_bytes);
    lines.filter(|line| line.len() <= LINE_MAX_BYTES)
}

/// The items of a field that is a list.
fn items(headers: &HeaderMap, name: &'static str) -> Vec<Item> {
    let lists = lines(headers, name).filter_map(|line| Parser::new(line).parse::<List>().ok());
    lists.flatten().filter_map(item).collect()
}

fn item(entry: ListEntry) -> Option<Item> {
    match entry {
        ListEntry::Item(item) => Some(item),
        ListEntry::InnerList(_) => None,
    }
}

/// A number of seconds, or of anything, with up to three decimals; `None` below zero.
fn number(item: &BareItem) -> Option<Duration> {
    let whole = item.as_integer().and_then(|number| i64::from(number).checked_mul(1_000));
    let millis = whole.or_else(|| Some(item.as_decimal()?.as_integer_scaled_1000().into()))?;
    u64::try_from(millis).ok().map(Duration::from_millis)
}

/// A policy's window, unless it is zero.
fn window(parameters: &Parameters) -> Option<Duration> {
    number(parameters.get("w")?).filter(|window| !window.is_zero())
}

/// The time from an answer of that `date` to a reset, which is a delay or a Unix time.
fn until(reset: Duration, date: Option<SystemTime>) -> Option<Duration> {
    if reset <= RESET_MAX {
        return Some(reset);
    }
    let at = if reset < UNIX_MILLIS_MIN { reset } else { reset / 1_000 };
    let answered = date?.duration_since(UNIX_EPOCH).ok()?;
    (at.abs_diff(answered) <= RESET_MAX).then(|| at.saturating_sub(answered))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    const DATE_LINE: (&str, &str) = ("date", "Tue, 14 Nov 2023 22:13:20 GMT");

    fn read(lines: &[(&'static str, &str)]) -> Option<(u32, u64)> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        Quota::read(&headers).map(|quota| (quota.remaining, quota.resets_in.as_millis().try_into().unwrap()))
    }

    #[test]
    fn every_version_of_the_draft_is_read() {
        let expected = Some((50, 30_000));
        assert_eq!(read(&[("ratelimit", "\"default\";r=50;t=30")]), expected, "08 and later");
        assert_eq!(read(&[("ratelimit", "default;r=50; t=30;pk=:AQ==:")]), expected, "a token as name");
        assert_eq!(read(&[("ratelimit", "limit=100, remaining=50, reset=30")]), expected, "07");
        let separate = [("ratelimit-limit", "100"), ("ratelimit-remaining", "50"), ("ratelimit-reset", "30")];
        assert_eq!(read(&separate), expected, "03 to 06");
        let policies = [("ratelimit-limit", "100, 100;w=60;comment=\"a, b\"")];
        assert_eq!(read(&[&separate[1..], &policies].concat()), expected, "00 to 02");
    }

    #[test]
    fn the_common_spellings_are_read_with_a_delay_or_a_unix_time() {
        for (left, reset) in [
            ("x-ratelimit-remaining", "x-ratelimit-reset"),
            ("x-rate-limit-remaining", "x-rate-limit-reset"),
            ("ratelimit-remaining", "ratelimit-reset"),
        ] {
            for value in ["30", "30.0", "1700000030", "1700000030.000", "1700000030000"] {
                let read = read(&[DATE_LINE, (left, "50"), (reset, value)]);
                assert_eq!(read, Some((50, 30_000)), "{reset}: {value}");
            }
        }
    }

    #[test]
    fn a_unix_time_counts_from_the_date_of_the_answer_and_is_no_value_without() {
        let at = |reset| [DATE_LINE, ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset)];
        assert_eq!(read(&at("1699999990")), Some((0, 0)), "in the past");
        assert_eq!(read(&at("1700086400")), Some((0, 86_400_000)));
        assert_eq!(read(&at("1700086401")), None, "more than a day ahead");
        assert_eq!(read(&at("86401")), None, "no delay and no date of now");
        assert_eq!(read(&at("1700000030")[1..]), None, "no date");
    }

    #[test]
    fn of_several_quotas_the_one_with_least_left_per_time_counts() {
        assert_eq!(read(&[("ratelimit", "\"a\";r=50;t=10, \"b\";r=90;t=3600")]), Some((90, 3_600_000)));
        assert_eq!(read(&[("ratelimit", "\"a\";r=0;t=10, \"b\";r=0;t=60")]), Some((0, 60_000)));
        assert_eq!(read(&[("ratelimit", "\"a\";r=0;t=0, \"b\";r=5;t=60")]), Some((5, 60_000)));
        let two = [("x-ratelimit-remaining", "9, 0"), ("x-ratelimit-reset", "1"), ("x-ratelimit-reset", "7")];
        assert_eq!(read(&two), Some((0, 7_000)), "on lines of their own");
        let both = [("ratelimit", "\"a\";r=9;t=5"), two[0], two[1], two[2]];
        assert_eq!(read(&both), Some((0, 7_000)), "in both spellings");
    }

    #[test]
    fn no_reset_lies_beyond_the_longest_window_of_the_policies() {
        let quota = ("ratelimit", "\"burst\";r=0;t=3600");
        assert_eq!(read(&[quota, ("ratelimit-policy", "\"burst\";q=100;w=10")]), Some((0, 10_000)));
        let two = ("ratelimit-policy", "\"burst\";q=100;w=10, \"day\";q=1000;w=60");
        assert_eq!(read(&[quota, two]), Some((0, 60_000)));
        assert_eq!(read(&[quota, ("ratelimit-policy", "100;w=0")]), Some((0, 3_600_000)));
        let old = [("x-ratelimit-limit", "100, 100;w=10"), ("x-ratelimit-remaining", "0")];
        assert_eq!(read(&[old[0], old[1], ("x-ratelimit-reset", "3600")]), Some((0, 10_000)));
    }

    #[test]
    fn what_states_no_quota_is_none() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[("ratelimit-remaining", "5")]), None, "no reset");
        for value in ["", "-1", "five", "NaN", "inf", "1e3", "0x10", "9999999999999999", "5;", "(1 2)", "?1"]
        {
            assert_eq!(
                read(&[("x-ratelimit-remaining", value), ("x-ratelimit-reset", "5")]),
                None,
                "{value:?}"
            );
            assert_eq!(
                read(&[("x-ratelimit-remaining", "5"), ("x-ratelimit-reset", value)]),
                None,
                "{value:?}"
            );
        }
        for value in
            ["\"a\"", "\"a\";r=5", "\"a\";t=5", "\"a\";r=-1;t=5", "remaining=5", "\"a;r=5;t=5", "a=(1)"]
        {
            assert_eq!(read(&[("ratelimit", value)]), None, "{value:?}");
        }
        let long = format!("{}\"a\";r=5;t=5", " ".repeat(LINE_MAX_BYTES));
        assert_eq!(read(&[("ratelimit", &long)]), None, "too long");
        assert_eq!(read(&[("ratelimit", "\"a\";r=999999999999999;t=5")]), Some((u32::MAX, 5_000)));
    }

    /// Something that resembles a field's value, or does not at all.
    fn value() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            "[a-z\"]{0,4}(;?[a-z]{1,2}=?[-0-9.]{0,17},? ?){0,9}".prop_map(String::into_bytes),
            "[-0-9]{1,17}([.,; ][0-9]{0,5})?".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..700),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_headers_panic_or_lie_further_ahead_than_a_day(
            lines in prop::collection::vec((0..16_usize, value()), 0..24),
        ) {
            let names: Vec<&str> = SPELLINGS
                .iter()
                .flat_map(|names| [names.combined, names.remaining, names.reset, names.policies[0], names.policies[1]])
                .chain(["date"])
                .collect();
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    headers.append(HeaderName::from_static(names[name]), value);
                }
            }
            if let Some(quota) = Quota::read(&headers) {
                prop_assert!(quota.resets_in <= RESET_MAX);
            }
        }
    }
}
