//! A scripted endpoint: its answers, how long they take, and a record of every POST.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use queuepost::exchange::Request;
use queuepost::policy::outcome::{Answer, Attempt, Step, Unsent};
use queuepost::policy::retry_after::RetryAfter;
use queuepost::ports::{BoxFuture, Endpoint};
use tokio::time::Instant;

/// One POST as the endpoint received it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    pub body: String,
    pub receive_count: u32,
    /// Since the endpoint was made.
    pub began: Duration,
    /// `None` when it was cut off.
    pub ended: Option<Duration>,
    pub status: Option<u16>,
}

type Script = dyn Fn(&Post, usize) -> (Duration, Attempt) + Send + Sync;

/// An endpoint that follows a script: from the POST and its number to a duration and a result.
pub struct ScriptedEndpoint {
    script: Box<Script>,
    started: Instant,
    pub posts: Mutex<Vec<Post>>,
    running: Mutex<(usize, usize)>,
}

impl ScriptedEndpoint {
    pub fn new(script: impl Fn(&Post, usize) -> (Duration, Attempt) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            started: Instant::now(),
            posts: Mutex::default(),
            running: Mutex::default(),
        })
    }

    /// Answers every POST with `status` after `millis`.
    pub fn always(status: u16, millis: u64) -> Arc<Self> {
        Self::new(move |_, _| (Duration::from_millis(millis), answer(status)))
    }

    pub fn posts(&self) -> Vec<Post> {
        self.posts.lock().unwrap().clone()
    }

    /// Most POSTs that ran at once.
    pub fn most_running(&self) -> usize {
        self.running.lock().unwrap().1
    }

    /// POSTs that run now.
    pub fn running(&self) -> usize {
        self.running.lock().unwrap().0
    }

    /// Bodies answered with 200, in order.
    pub fn accepted(&self) -> Vec<String> {
        let accepted = |post: Post| (post.status == Some(200)).then_some(post.body);
        self.posts().into_iter().filter_map(accepted).collect()
    }
}

pub fn answer(status: u16) -> Attempt {
    Attempt::Answered(Answer { status, ..Answer::default() })
}

pub fn refused() -> Attempt {
    Attempt::Unsent(Unsent { step: Step::Refused, text: "refused".to_owned() })
}

pub fn answer_with_retry_after(status: u16, seconds: u64) -> Attempt {
    let retry_after = Some(RetryAfter::Delay(Duration::from_secs(seconds)));
    Attempt::Answered(Answer { status, retry_after, ..Answer::default() })
}

/// Counts a running POST until its end, whatever the end.
struct Running<'a>(&'a ScriptedEndpoint);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.lock().unwrap().0 -= 1;
    }
}

impl Endpoint for ScriptedEndpoint {
    fn post(&self, request: Request) -> BoxFuture<'_, Attempt> {
        Box::pin(async move {
            let header = |name: &str| request.headers.get(name).unwrap().to_str().unwrap().to_owned();
            let post = Post {
                body: String::from_utf8(request.body.to_vec()).unwrap(),
                receive_count: header("x-queuepost-receive-count").parse().unwrap(),
                began: self.started.elapsed(),
                ended: None,
                status: None,
            };
            let number = {
                let mut posts = self.posts.lock().unwrap();
                posts.push(post.clone());
                posts.len() - 1
            };
            let _running = {
                let mut running = self.running.lock().unwrap();
                running.0 += 1;
                running.1 = running.1.max(running.0);
                Running(self)
            };
            let (takes, attempt) = (self.script)(&post, number);
            tokio::time::sleep(takes).await;
            let mut posts = self.posts.lock().unwrap();
            posts[number].ended = Some(self.started.elapsed());
            if let Attempt::Answered(answer) = &attempt {
                posts[number].status = Some(answer.status);
            }
            attempt
        })
    }
}
