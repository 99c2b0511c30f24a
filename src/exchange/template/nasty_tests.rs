//! Templates and messages that try to keep the process busy or to fill its memory. Each must end with a reason.

use crate::exchange::template::limits::{BODY_BYTES, LINE_BYTES};
use crate::exchange::template::templated::tests::{parts, request};

fn ends(template: &str, message: String) -> String {
    match request(&[("body", template)], message) {
        Ok(request) => format!("{} bytes", request.body.len()),
        Err(why) => why,
    }
}

/// A list of so many small numbers.
fn numbers(count: usize) -> String {
    vec!["1"; count].join(",")
}

#[test]
fn loops_within_loops_run_out_of_steps_or_work() {
    let loops =
        "{% for a in json.l | list %}".repeat(6) + "{% if a == 2 %}x{% endif %}" + &"{% endfor %}".repeat(6);
    let ended = ends(&loops, format!("{{\"l\":[{}]}}", numbers(1_000)));
    assert!(ended.contains("takes more than 1000000 steps"), "{ended}");
    let constant =
        "{% for a in [1, 2, 3, 4, 5, 6, 7, 8, 9] | list %}".repeat(20) + &"{% endfor %}".repeat(20);
    let ended = ends(&constant, "x".to_owned());
    assert!(ended.contains("steps"), "{ended}");
}

#[test]
fn long_texts_and_long_lists_together_run_out_of_work() {
    let message = format!("{{\"t\":[\"{}\"],\"l\":[{}]}}", "b".repeat(500_000), numbers(250_000));
    for template in [
        "{% for a in json.l | list %}{% if 'x' in json.t[0] %}{% endif %}{% endfor %}",
        "{% for t in json.t | list %}{% for a in json.l | list %}{% if 'x' in t %}{% endif %}{% endfor %}{% endfor %}",
        "{% for t in json.t | list %}{% for a in json.l | list %}{% if (t ~ t ~ t) == t %}{% endif %}{% endfor %}{% endfor %}",
    ] {
        let ended = ends(template, message.clone());
        assert!(ended.contains("goes through more than 256 MiB of the message"), "{template}: {ended}");
    }
    let quadratic = "{% for a in json.l | list %}{% if 2 in json.l %}{% endif %}{% endfor %}";
    let ended = ends(quadratic, format!("{{\"l\":[{}]}}", numbers(500_000)));
    assert!(ended.contains("goes through more than") || ended.contains("steps"), "{ended}");
}

#[test]
fn a_text_cannot_be_doubled_again_and_again() {
    let nested = |made: &dyn Fn(usize) -> String| (0..40).map(made).collect::<Vec<_>>().concat();
    let by_loops = nested(&|i| format!("{{% for x{} in [x{i} ~ x{i}] | list %}}", i + 1));
    let lists = nested(&|i| format!("{{% for x{} in [[x{i}, x{i}]] | list %}}", i + 1));
    for loops in [by_loops, lists] {
        let template = format!(
            "{{% for x0 in json | list %}}{loops}{{{{ x40 | tojson }}}}{}",
            "{% endfor %}".repeat(41)
        );
        assert!(parts(&[("body", &template)]).is_err());
    }
    for template in [
        "{% set x = body ~ body %}{{ x }}",
        "{% for a in json | list %}{% set x = x ~ x %}{% endfor %}",
        "{% set x %}{{ body }}{{ body }}{% endset %}",
        "{% with x = body ~ body %}{{ x }}{% endwith %}",
        "{% filter upper %}{{ body }}{% endfilter %}",
        "{{ 'aaaaaaaaaa' * 1000000000 }}",
        "{{ [1] * 1000000000 }}",
        "{{ 2 ** 1000000000 }}",
        "{{ range(1000000000) }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ body | indent(1000000000) }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% include 'x' %}",
        "{% for a in json | list recursive %}{{ loop(json) }}{% endfor %}",
        "{% autoescape false %}{{ body }}{% endautoescape %}",
        "{% do body() %}",
    ] {
        assert!(parts(&[("body", template)]).is_err(), "{template}");
    }
    assert!(parts(&[("body", &format!("{{{{ body{} }}}}", " ~ body".repeat(17)))]).is_err());
    let sixteen = format!("{{{{ (body{}) | length }}}}", " ~ body".repeat(16));
    assert_eq!(ends(&sixteen, "x".repeat(1024 * 1024)), "8 bytes");
}

#[test]
fn output_past_its_limit_is_refused() {
    let big = "x".repeat(1024 * 1024);
    assert_eq!(ends("{{ body }}{{ body }}", big.clone()), format!("{BODY_BYTES} bytes"));
    let too_long = format!("template.body makes more than {BODY_BYTES} bytes");
    assert_eq!(ends("{{ body }}{{ body }}.", big.clone()), too_long);
    let endless = format!("{{% for a in json | list %}}{}{{% endfor %}}", "y".repeat(60_000));
    assert_eq!(ends(&endless, format!("[{}]", numbers(300_000))), too_long);
    for template in
        ["{{ body | replace('', body) }}", "{{ body | replace('x', body) }}", "{{ body | urlencode }}"]
    {
        let ended = ends(template, "x€".repeat(250_000));
        assert!(ended.contains("`body` is longer than 2 MiB"), "{template}: {ended}");
    }
    let joined = ends(
        "{{ json.l | join(json.t) }}",
        format!("{{\"t\":\"{}\",\"l\":[{}]}}", "b".repeat(500_000), numbers(99)),
    );
    assert!(joined.contains("is longer than 2 MiB"), "{joined}");
    let long = ends("{{ json | tojson }}", format!("\"{}\"", "\\u0001".repeat(170_000)));
    assert_eq!(long, "1020002 bytes");
    for key in ["headers.x-a", "query.a", "path"] {
        let refused = request(&[(key, "/{{ body }}")], "x".repeat(LINE_BYTES)).expect_err(key);
        assert!(refused.contains("makes more than 8192 bytes"), "{refused}");
    }
}

#[test]
fn nested_and_odd_json_does_no_harm() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(ends("{{ json | tojson }}", nested(120)), "240 bytes");
    let ended = ends("{{ json | tojson }}", nested(500_000));
    assert_eq!(
        ended,
        "template.body at 1:4: `json` is missing: the body is no JSON, or is nested deeper than 127 levels"
    );
    let objects = format!("[{}]", vec!["{\"\":0}"; 140_000].join(","));
    assert_eq!(ends("{{ json | length }}", objects), "6 bytes");
    for body in ["1e999", "{\"a\":1", "\u{feff}{}", "nan", ""] {
        assert!(ends("{{ json | tojson }}", body.to_owned()).contains("the body is no JSON"), "{body}");
    }
    assert_eq!(
        ends("{{ json.a }}", "{\"a\":\"1\",\"a\":\"22\"}".to_owned()),
        "2 bytes",
        "the last of equal names"
    );
    assert!(ends("{{ json.a }}", "{\"a\":\"\\ud800\"}".to_owned()).contains("is no JSON"));
    let digits = format!("{{\"n\":{}}}", "9".repeat(300));
    assert!(ends("{{ json.n }}", digits).contains("beyond 64 bits"));
}
