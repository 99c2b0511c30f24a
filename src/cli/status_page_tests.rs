//! The page of a status, whole and with fields missing.

use serde_json::json;

use super::*;

fn document() -> Value {
    let open = json!({"state": "open", "reason": null, "words": null, "closed_seconds": null, "next_probe_seconds": null});
    let closed = json!({
        "state": "closed", "reason": "unauthorized", "words": "the endpoint refuses the credentials",
        "closed_seconds": 130, "next_probe_seconds": 30,
    });
    json!({
        "version": "0.1.0", "phase": "running",
        "listeners": [
            {
                "name": "orders", "state": "healthy", "why": null, "paused": true, "workers_configured": 16,
                "workers": {"limit": 4, "in_use": 2, "reserved": 0},
                "messages": {"waiting": 1, "delivering": 2}, "parked": 3, "not_receiving": "paused",
                "queue_depth": {"visible": 1200, "age_seconds": 12},
                "dead_letter_queue": {"name": "orders-dlq", "depth": {"visible": 7}},
                "gate": open, "endpoint_gate": open,
            },
            {
                "name": "refunds", "state": "degraded", "why": "no message was delivered for 120 s",
                "workers": {"limit": 8, "in_use": 0}, "workers_configured": 8, "not_receiving": "gate_closed",
                "gate": open, "endpoint_gate": closed,
            },
        ],
        "endpoints": [{
            "name": "api", "sessions": {"limit": 64, "in_use": 2}, "gate": closed,
            "adaptive": {"enabled": true, "limit": 12, "rate": 5.25, "last_refusal": {"words": "429"}},
        }],
    })
}

#[test]
fn a_page_says_what_each_listener_and_endpoint_does_and_why() {
    let page = page(&document(), "http://127.0.0.1:9464", false);
    let expected = "\
queuepost 0.1.0 at http://127.0.0.1:9464: running

LISTENER  STATE     WORKERS  IN FLIGHT  VISIBLE  PARKED  DLQ     READ  RECEIVES
orders    paused        2/4          3     1200       3    7  12s ago  paused
  workers: 4 now, 16 by its configuration
refunds   degraded      0/8          0        -       -    -        -  gate closed
  no message was delivered for 120 s
  gate of its endpoint: closed for 2m: the endpoint refuses the credentials; next probe in 30s

ENDPOINT  POSTS  LIMIT  LEARNED  RATE/S  GATE
api           2     64       12    5.25  closed
  gate: closed for 2m: the endpoint refuses the credentials; next probe in 30s
  last refusal: 429
";
    assert_eq!(page, expected);
}

#[test]
fn a_document_of_another_version_is_shown_as_far_as_it_goes() {
    for document in [json!({}), json!([]), json!({"listeners": [{}, 5], "endpoints": [null]})] {
        assert!(page(&document, "x", true).contains("LISTENER"), "{document}");
    }
    let drained = json!({"listeners": [{"name": "a", "state": "healthy", "not_receiving": "draining"}]});
    assert!(page(&drained, "x", false).contains("a         draining"), "{}", page(&drained, "x", false));
}

#[test]
fn texts_of_others_steer_no_terminal() {
    let document = json!({"listeners": [{"name": "a\u{1b}[2J", "state": "faulted", "why": "x\ny\u{9b}31m"}]});
    let page = page(&document, "x", false);
    assert!(!page.chars().any(|c| c != '\n' && escape::is_unsafe(c)), "{page:?}");
    assert!(page.contains("x\\u000ay\\u009b31m"), "{page}");
}

#[test]
fn failures_are_listed_newest_first_over_all_listeners() {
    let failure = |id: &str, time: &str| {
        json!({"id": id, "time": time, "receive": 3, "max_receives": 3, "final": true, "outcome": "server_error",
            "status": 503, "reason": "503 Service Unavailable", "answer": "down\u{1b}[2J"})
    };
    let document = json!({"listeners": [
        {"name": "a", "recent_failures": [failure("id-2", "2026-11-22T20:00:02.000Z"), failure("id-0", "2026-11-22T20:00:00.000Z")]},
        {"name": "b", "recent_failures": [failure("id-1", "2026-11-22T20:00:01.000Z")]},
        {"name": "c"},
    ]});
    let all = failures(&document, None).unwrap();
    let at = |text: &str| all.find(text).unwrap();
    assert!(at("id-2") < at("id-1") && at("id-1") < at("id-0"), "{all}");
    let one = failures(&document, Some("b")).unwrap();
    let expected = "\
2026-11-22T20:00:01.000Z  b  receive 3 of 3 (the last)  503  server_error
  id: id-1
  why: 503 Service Unavailable
  answer: down\\u001b[2J
";
    assert_eq!(one, expected);
    assert_eq!(failures(&document, Some("c")).unwrap(), "no delivery has failed since the start\n");
    assert_eq!(failures(&document, Some("d")), None);
}
