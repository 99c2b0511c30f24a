//! Whether what a producer sent as trace context is one, by the standards' own grammar.
//!
//! Any producer may write these attributes, and the endpoint's tracing would read whatever they hold. What is not
//! valid is left out. What is valid is passed on: it is the producer's claim, not a proof of anything.

/// Most members of a `tracestate` (W3C Trace Context, section 3.3.1.1).
const STATE_MEMBERS_MAX: usize = 32;
/// Longest key and longest value of a member (W3C Trace Context, section 3.3.1.3).
const STATE_PART_MAX: usize = 256;
/// Longest X-Ray header; real ones have some 200 characters.
const X_RAY_MAX: usize = 1024;

/// `00-TRACE-PARENT-FLAGS` (W3C Trace Context, section 3.2).
pub(super) fn is_traceparent(value: &str) -> bool {
    let mut parts = value.split('-');
    let (Some(version), Some(trace), Some(parent), Some(flags)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let is_id = |id: &str, length| is_hex(id, length) && id.bytes().any(|digit| digit != b'0');
    // Later versions may have more parts.
    let ends = version != "00" || parts.next().is_none();
    is_hex(version, 2)
        && version != "ff"
        && is_id(trace, 32)
        && is_id(parent, 16)
        && is_hex(flags, 2)
        && ends
        && value.len() <= STATE_PART_MAX
        && value.bytes().all(|byte| byte.is_ascii_graphic())
}

/// `key=value,…` (W3C Trace Context, section 3.3).
pub(super) fn is_tracestate(value: &str) -> bool {
    let trimmed = |member: &str| member.trim_matches([' ', '\t']).to_owned();
    let members: Vec<String> = value.split(',').map(trimmed).filter(|member| !member.is_empty()).collect();
    (1..=STATE_MEMBERS_MAX).contains(&members.len()) && members.iter().all(|member| is_member(member))
}

/// A `tracestate` without the optional space around its members: percent-encoded it would not be one.
pub(super) fn without_outer_space(value: &str) -> String {
    value.split(',').map(|member| member.trim_matches([' ', '\t'])).collect::<Vec<_>>().join(",")
}

fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let starts = key.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let in_key = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-*/@".contains(c);
    let in_value = |c: char| (' '..='~').contains(&c) && c != '=';
    let fits = |part: &str| (1..=STATE_PART_MAX).contains(&part.len());
    starts && fits(key) && key.chars().all(in_key) && fits(value) && value.chars().all(in_value)
}

/// `Root=1-TIME-ID;Parent=ID;Sampled=1` (AWS X-Ray, tracing header); further pairs may follow.
pub(super) fn is_x_ray(value: &str) -> bool {
    let mut has_root = false;
    let mut is_pair = |pair: &str| {
        let Some((key, value)) = pair.trim_matches(' ').split_once('=') else { return false };
        has_root |= key == "Root";
        match key {
            "Root" | "Self" => is_x_ray_id(value),
            "Parent" => is_hex_of_any_case(value, 16),
            "Sampled" => matches!(value, "0" | "1" | "?"),
            key => {
                let in_value = |c: char| c.is_ascii_alphanumeric() || "-_.:|/+@".contains(c);
                !key.is_empty()
                    && key.chars().all(|c| c.is_ascii_alphanumeric())
                    && value.chars().all(in_value)
            }
        }
    };
    value.len() <= X_RAY_MAX && value.trim_end_matches(';').split(';').all(&mut is_pair) && has_root
}

fn is_x_ray_id(value: &str) -> bool {
    let parts: Vec<&str> = value.split('-').collect();
    matches!(parts.as_slice(), ["1", time, id] if is_hex_of_any_case(time, 8) && is_hex_of_any_case(id, 24))
}

fn is_hex(text: &str, length: usize) -> bool {
    is_hex_of_any_case(text, length) && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_hex_of_any_case(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_has_four_parts_in_small_hexadecimal_digits() {
        assert!(is_traceparent(PARENT));
        assert!(is_traceparent(&PARENT.replacen("00", "cc", 1).replace("-01", "-01-what-comes")));
        for wrong in [
            "",
            "00-ab-cd-01",
            &PARENT.to_uppercase(),
            &PARENT.replacen("00", "ff", 1),
            &format!("{PARENT}-more"),
            &format!("{PARENT}\r\nEvil: 1"),
            &PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &PARENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &PARENT.replace("-01", "-1"),
            &PARENT.replacen("00", "cc", 1).replace("-01", "-01-\u{202e}"),
        ] {
            assert!(!is_traceparent(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_tracestate_is_a_list_of_at_most_32_members() {
        for right in
            ["a=b", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "fw529a3039@dt=FfAAAAA , a=b,", "1a-_*/=x y"]
        {
            assert!(is_tracestate(right), "{right}");
        }
        let many = vec!["a=b"; 33].join(",");
        let long = format!("a={}", "x".repeat(257));
        for wrong in ["", ",", "a", "=b", "a=", "A=b", "a=b=c", "a=\u{9b}", "a b=c", many.as_str(), &long] {
            assert!(!is_tracestate(wrong), "{wrong}");
        }
    }

    #[test]
    fn an_x_ray_header_names_its_root() {
        let root = "Root=1-5759e988-bd862e3fe1be46a994272793";
        for right in [
            root.to_owned(),
            format!("{root};Parent=53995c3f42cd8ad8;Sampled=1"),
            format!("Self=1-67891234-12456789abcdef0123456789;{root}"),
            format!("{root};Sampled=?;Lineage=a87bd80c:1|68fd508a:5;"),
        ] {
            assert!(is_x_ray(&right), "{right}");
        }
        for wrong in [
            "",
            "Root=1",
            "Sampled=1",
            "Root=1\r\nX-Evil: 2",
            &format!("{root};Sampled=2"),
            &format!("{root};x"),
        ] {
            assert!(!is_x_ray(wrong), "{wrong}");
        }
    }
}
