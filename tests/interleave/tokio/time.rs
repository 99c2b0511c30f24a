//! Time stands still until a scenario moves it: by [`advance`], or by [`flow`] to whatever is waited for next.
//!
//! A scenario without either finds every lost wake-up: no timer helps it out. All tasks of a schedule run on one thread, so the
//! clock is that thread's.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Add, AddAssign, Sub};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Far enough from zero for every time before the first one.
const BEGIN: Duration = Duration::from_secs(10_000_000);

thread_local! {
    static CLOCK: RefCell<Clock> = const { RefCell::new(Clock { now: BEGIN, next_key: 0, timers: BTreeMap::new(), flow: None }) };
}

/// The time, and who waits for what time.
struct Clock {
    now: Duration,
    next_key: u64,
    timers: BTreeMap<(Instant, u64), Waker>,
    /// Waits for a timer to be set.
    flow: Option<Waker>,
}

/// A time of this clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    pub fn now() -> Self {
        CLOCK.with_borrow(|clock| Self(clock.now))
    }

    pub fn elapsed(self) -> Duration {
        Self::now().duration_since(self)
    }

    pub fn duration_since(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }

    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        self.0.checked_add(duration).map(Self)
    }

    pub fn checked_sub(self, duration: Duration) -> Option<Self> {
        self.0.checked_sub(duration).map(Self)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        self.0 += duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0 - duration)
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

/// Forgets what an earlier schedule left.
pub fn start_over() {
    CLOCK.with_borrow_mut(|clock| {
        (clock.now, clock.flow) = (BEGIN, None);
        clock.timers.clear();
    });
}

/// Moves time on, and wakes those whose time has come.
pub fn advance(by: Duration) {
    let now = Instant::now() + by;
    let due = CLOCK.with_borrow_mut(|clock| {
        clock.now = now.0;
        let later = clock.timers.split_off(&(now, u64::MAX));
        std::mem::replace(&mut clock.timers, later)
    });
    due.into_values().for_each(Waker::wake);
}

/// Moves time to whatever is waited for next, again and again. Never returns.
pub async fn flow() {
    loop {
        let next = std::future::poll_fn(|context| {
            CLOCK.with_borrow_mut(|clock| {
                let first = clock.timers.first_key_value().map(|((time, _), _)| *time);
                clock.flow = first.is_none().then(|| context.waker().clone());
                first.map_or(Poll::Pending, Poll::Ready)
            })
        });
        let next = next.await;
        shuttle::future::yield_now().await;
        advance(next - Instant::now());
    }
}

/// Waits for a time.
pub fn sleep_until(until: Instant) -> Sleep {
    Sleep { until, key: None }
}

/// See [`sleep_until`].
#[derive(Debug)]
pub struct Sleep {
    until: Instant,
    key: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.until {
            return Poll::Ready(());
        }
        let flow = CLOCK.with_borrow_mut(|clock| {
            clock.next_key += 1;
            let key = *self.key.get_or_insert(clock.next_key);
            clock.timers.insert((self.until, key), context.waker().clone());
            clock.flow.take()
        });
        if let Some(flow) = flow {
            flow.wake();
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            CLOCK.with_borrow_mut(|clock| clock.timers.remove(&(self.until, key)));
        }
    }
}

/// The time was over first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed;

/// Gives a future until then.
pub async fn timeout_at<F: IntoFuture>(until: Instant, future: F) -> Result<F::Output, Elapsed> {
    real::select! {
        biased;
        output = future => Ok(output),
        () = sleep_until(until) => Err(Elapsed),
    }
}

/// Gives a future so long.
pub async fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    timeout_at(Instant::now().checked_add(duration).unwrap_or(Instant(Duration::MAX)), future).await
}
