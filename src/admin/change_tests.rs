//! What an operator is asked for, and what its refusals become.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::admin::{About, Events, Guard, History, Live, Operator, Running};
use crate::drain::Drain;
use crate::limit::clock::Wall;
use crate::ports::BoxFuture;
use crate::telemetry::log_level::LogLevel;
use crate::telemetry::metrics::Metrics;

/// Notes what it is asked, and answers as told.
struct Scripted {
    asked: Mutex<Vec<String>>,
    answer: Result<Value, Refused>,
}

impl Scripted {
    fn note(&self, what: String) -> BoxFuture<'_, Result<Value, Refused>> {
        self.asked.lock().unwrap().push(what);
        Box::pin(std::future::ready(self.answer.clone()))
    }
}

impl Operator for Scripted {
    fn reload(&self) -> BoxFuture<'_, Result<Value, Refused>> {
        self.note("reload".to_owned())
    }

    fn drain<'a>(&'a self, listener: &'a str) -> BoxFuture<'a, Result<Value, Refused>> {
        self.note(format!("drain {listener}"))
    }

    fn tell<'a>(
        &'a self,
        _: &'a str,
        _: crate::admin::Tell,
    ) -> BoxFuture<'a, Result<(Controls, Controls), Refused>> {
        unreachable!("no listener is being replaced")
    }

    fn start<'a>(&'a self, listener: &'a str) -> BoxFuture<'a, Result<Value, Refused>> {
        self.note(format!("start {listener}"))
    }

    fn test<'a>(&'a self, listener: &'a str, body: String) -> BoxFuture<'a, Result<Value, Refused>> {
        self.note(format!("test {listener} {body}"))
    }

    fn redrive(&self, listener: &str) -> Value {
        json!({ "listener": listener, "state": "none" })
    }

    fn by_hand<'a>(&'a self, listener: &'a str, what: ByHand) -> BoxFuture<'a, Result<Value, Refused>> {
        self.note(format!("{what:?} {listener}"))
    }
}

fn view(operator: Option<Arc<dyn Operator>>) -> View {
    View {
        metrics: Arc::new(Metrics::new()),
        running: Arc::new(Running::default()),
        drain: Drain::new(),
        guard: Guard::new(None),
        operator,
        store: None,
        tasks: TaskTracker::new(),
        live: Live { history: History::new(Wall::System), events: Events::until(CancellationToken::new()) },
        log: Arc::new(LogLevel::new("info")),
        about: About {
            started: SystemTime::UNIX_EPOCH,
            host: None,
            listeners_dir: watch::Sender::new(None).subscribe(),
            fleet: watch::Sender::new(crate::fleet::Standing::Alone).subscribe(),
        },
    }
}

async fn asked_of(answer: Result<Value, Refused>, ask: Ask) -> (Vec<String>, Result<Value, Problem>) {
    let operator = Arc::new(Scripted { asked: Mutex::default(), answer });
    let asked: Arc<dyn Operator> = Arc::<Scripted>::clone(&operator);
    let view = view(Some(asked));
    let done = perform(&view, "orders", ask).await.map(|done| done.answer);
    let asked = operator.asked.lock().unwrap().clone();
    (asked, done)
}

#[tokio::test]
async fn the_operator_is_asked_to_drain_start_test_and_reload() {
    for (ask, wanted) in [
        (Ask::Drain, "drain orders"),
        (Ask::Resume, "start orders"),
        (Ask::Test("hello".to_owned()), "test orders hello"),
        (Ask::Reload, "reload"),
        (Ask::ByHand(ByHand::Peek(3)), "Peek(3) orders"),
    ] {
        let (asked, done) = asked_of(Ok(json!({"so": true})), ask).await;
        assert_eq!((asked, done), (vec![wanted.to_owned()], Ok(json!({"so": true}))));
    }
}

#[tokio::test]
async fn a_refusal_of_the_operator_has_its_words_and_its_status() {
    let (_, done) = asked_of(Err(Refused::NoSuchListener), Ask::Drain).await;
    assert_eq!(done.unwrap_err().status, StatusCode::NOT_FOUND);
    let (why, fix) = ("line 3 is wrong".to_owned(), "mend it".to_owned());
    let (_, done) = asked_of(Err(Refused::Invalid { why: why.clone(), fix: fix.clone() }), Ask::Reload).await;
    assert_eq!(done, Err(Problem::new(StatusCode::CONFLICT, why, fix)));
}

#[tokio::test]
async fn without_an_operator_a_reload_is_not_implemented_and_names_are_still_checked() {
    let status = async |ask| perform(&view(None), "orders", ask).await.map(|_| ()).unwrap_err().status;
    assert_eq!(status(Ask::Reload).await, StatusCode::NOT_IMPLEMENTED);
    for ask in [Ask::Drain, Ask::Resume, Ask::Pause, Ask::Workers(3), Ask::Test(String::new())] {
        assert_eq!(status(ask.clone()).await, StatusCode::NOT_FOUND, "{ask:?}");
    }
}

#[test]
fn bodies_that_are_not_what_a_change_takes_are_refused_with_the_fix() {
    assert_eq!(ask::nothing(b""), Ok(()));
    assert_eq!(ask::nothing(b"{}"), Ok(()));
    assert_eq!(ask::workers(br#"{"workers": 10000}"#), Ok(Ask::Workers(10_000)));
    assert_eq!(ask::test(br#"{"body": "x"}"#), Ok(Ask::Test("x".to_owned())));
    let deep = "[".repeat(10_000);
    for body in [
        "",
        "{}",
        "4",
        r#"{"workers": 0}"#,
        r#"{"workers": 10001}"#,
        r#"{"workers": -1}"#,
        r#"{"workers": 4.5}"#,
        r#"{"workers": "4"}"#,
        r#"{"worker": 4}"#,
        r#"{"workers": 4, "workers": 5}"#,
        "\u{1b}[2J",
        deep.as_str(),
    ] {
        let problem = ask::workers(body.as_bytes()).unwrap_err();
        assert!(problem.status == StatusCode::BAD_REQUEST && problem.fix.contains("1 to 10000"), "{body}");
    }
    assert!(ask::nothing(br#"{"minutes": 5}"#).is_err());
    assert!(ask::test(b"{\"body\": 5}").is_err());
}

#[test]
fn nothing_of_a_body_of_the_wrong_shape_is_repeated() {
    let secret = "4111222233334444";
    let shapes = [
        format!("\"{secret}\""),
        secret.to_owned(),
        format!("-{secret}.5"),
        format!("[{{\"card\": \"{secret}\"}}]"),
        format!("{{\"{secret}\": 1}}"),
        format!("{{\"body\": {secret}}}"),
        format!("{{\"body\": {{\"card\": \"{secret}\"}}}}"),
        format!("{{\"workers\": \"{secret}\"}}"),
        format!("{{\"workers\": -{secret}}}"),
        format!("{{\"body\": \"x\", \"{secret}\": 1}}"),
        format!("{{\"body\": \"{secret}"),
        format!("{secret} {secret}"),
        format!("card {secret}"),
    ];
    for body in shapes {
        let body = body.as_bytes();
        for problem in [ask::nothing(body).err(), ask::workers(body).err(), ask::test(body).err()] {
            // The log and the answer have these words and no others.
            let said = format!("{:?}", problem.expect("it has the wrong shape"));
            assert!(!said.contains("4111") && said.contains("line 1, column "), "{said}");
        }
    }
}

#[test]
fn a_listener_to_be_tried_is_as_short_as_one_to_be_created_and_the_body_to_be_posted_may_be_long() {
    let trial = |listener: &str, post: &str| {
        ask::trial(format!(r#"{{"listener": {listener}, "post": "{post}"}}"#).as_bytes())
    };
    let keys = |length: usize| format!(r#"{{"queue": "{}"}}"#, "q".repeat(length));
    assert!(trial(&keys(60_000), &"x".repeat(200_000)).is_ok());
    let problem = trial(&keys(70_000), "x").unwrap_err();
    assert_eq!(
        (problem.status, &problem),
        (StatusCode::PAYLOAD_TOO_LARGE, &ask::listener(keys(70_000).as_bytes()).unwrap_err())
    );
    for wrong in ["[1]", "4", "null", "\"4111222233334444\""] {
        let problem = trial(wrong, "x").unwrap_err();
        assert!(
            problem.status == StatusCode::BAD_REQUEST && !format!("{problem:?}").contains("4111"),
            "{problem:?}"
        );
    }
}

#[tokio::test]
async fn a_change_is_made_and_counted_although_whoever_asked_has_hung_up() {
    let view = Arc::new(view(None));
    let go = Arc::new(tokio::sync::Notify::new());
    let goes = Arc::clone(&go);
    let making = async move {
        goes.notified().await;
        Ok(Done::with(json!({})))
    };
    let (listener, peer) = ("orders".to_owned(), "127.0.0.1:1".to_owned());
    let report = write::Report { view: Arc::clone(&view), action: "drain", listener, peer };
    let mut answer = Box::pin(write::to_its_end(report, making));
    assert!(tokio::time::timeout(Duration::ZERO, &mut answer).await.is_err(), "it waits");
    drop(answer);
    go.notify_one();
    view.tasks.close();
    view.tasks.wait().await;
    let text = String::from_utf8(view.metrics.render()).unwrap();
    let line = r#"queuepost_admin_writes_total{action="drain",result="done"} 1"#;
    assert!(text.lines().any(|shown| shown == line), "{text}");
}
