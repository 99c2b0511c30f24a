//! The crew: which listeners run, which are ending, and who comes after whom.
//!
//! A listener that is replaced drains first, and its successor starts when it has ended. So its workers' cap holds at
//! every moment, and no message is in two hands. A listener that is removed drains likewise. What has not ended by its
//! deadline is cut off, as when the process ends.
//!
//! The crew knows neither files nor AWS: a [`Maker`] makes listeners of plans and says how two plans differ. It is driven
//! from one place, which waits for [`Crew::next`] and hands the event to [`Crew::handle`].

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use crate::admin::{Running, RunningListener};
use crate::app::effect::{Became, Effect};
use crate::pipeline::{Controls, Handle, Listener, Memory, Settings};
use crate::ports::BoxFuture;

/// Makes listeners of plans.
pub trait Maker: Send + Sync {
    /// What a listener is made of.
    type Plan: Send + Sync;

    /// The listener's name.
    fn name<'a>(&self, plan: &'a Self::Plan) -> &'a str;

    /// The name of its endpoint.
    fn endpoint<'a>(&self, plan: &'a Self::Plan) -> &'a str;

    /// The settings of a listener that runs, to be adjusted by them.
    fn settings(&self, plan: &Self::Plan) -> Settings;

    /// What the change of a plan asks of the listener that runs.
    fn effect(&self, old: &Self::Plan, new: &Self::Plan) -> Effect;

    /// Whether both plans have the same queue.
    fn is_same_queue(&self, old: &Self::Plan, new: &Self::Plan) -> bool;

    /// A listener of the plan that goes on with this memory, ready to run.
    fn make<'a>(&'a self, plan: &'a Self::Plan, memory: Arc<Memory>) -> BoxFuture<'a, Listener>;
}

/// The listeners of a process.
pub struct Crew<M: Maker> {
    maker: M,
    members: Vec<Member<M::Plan>>,
    tasks: JoinSet<()>,
    names: HashMap<Id, String>,
    running: Arc<Running>,
    has_panicked: bool,
}

struct Member<P> {
    name: String,
    /// What it runs by, or will once it starts.
    plan: P,
    /// The endpoint of what runs now.
    endpoint: String,
    state: State,
    /// What the next one remembers of messages that an earlier one of this queue was done with.
    memory: Arc<Memory>,
    /// Who waits for its end, and learns whether nothing was cut off.
    waiting: Vec<oneshot::Sender<bool>>,
}

enum State {
    Runs(Handle),
    Ends {
        handle: Handle,
        cut_off: Instant,
        then: Then,
    },
    /// Drained on request.
    Ended,
}

/// What follows the end of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// One by the newest plan starts.
    Start,
    /// Nothing, until somebody starts it.
    Stay,
    /// It is gone.
    Leave,
}

/// Something a crew has to do.
#[derive(Debug)]
pub enum Event {
    /// A listener ended.
    Ended(Result<Id, JoinError>),
    /// A listener did not end by its deadline.
    Overdue,
}

/// What a request to drain or start one listener met.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// There is none of this name.
    NoSuchListener,
    /// It is as asked already.
    Already,
    /// It follows.
    Follows,
    /// It is ending because of a reload.
    Ending,
}

impl<M: Maker> Crew<M> {
    /// Nobody runs yet. Who does is shown in `running`.
    pub fn new(maker: M, running: Arc<Running>) -> Self {
        let (members, names) = (Vec::new(), HashMap::new());
        Self { maker, members, tasks: JoinSet::new(), names, running, has_panicked: false }
    }

    /// Makes listeners.
    pub fn maker(&mut self) -> &mut M {
        &mut self.maker
    }

    /// Follows new plans, and says what became of each listener. What ends has `deadline` for it.
    ///
    /// # Cancel safety
    /// Must not be dropped halfway: a listener whose start was decided would not run.
    pub async fn follow(&mut self, plans: Vec<M::Plan>, deadline: Duration) -> Vec<(String, Became)> {
        let mut became = Vec::new();
        let wanted: BTreeSet<String> = plans.iter().map(|plan| self.maker.name(plan).to_owned()).collect();
        for member in &mut self.members {
            if !wanted.contains(&member.name) && member.leave(deadline) {
                became.push((member.name.clone(), Became::Removed));
            }
        }
        self.members.retain(|member| wanted.contains(&member.name) || !matches!(member.state, State::Ended));
        for plan in plans {
            let name = self.maker.name(&plan).to_owned();
            let what = if let Some(member) = self.members.iter_mut().find(|member| member.name == name) {
                member.take_over(plan, &self.maker, deadline)
            } else {
                self.add(plan).await;
                Became::Added
            };
            became.push((name, what));
        }
        self.show();
        became
    }

    /// Drains one listener. `ended` is told when it has ended, and whether nothing was cut off; it stays so until it is
    /// started.
    pub fn drain(&mut self, name: &str, deadline: Duration, ended: oneshot::Sender<bool>) -> Told {
        let Some(member) = self.members.iter_mut().find(|member| member.name == name) else {
            return Told::NoSuchListener;
        };
        match &mut member.state {
            State::Runs(_) => member.end(deadline, Then::Stay),
            State::Ends { then: then @ (Then::Start | Then::Stay), .. } => *then = Then::Stay,
            State::Ends { then: Then::Leave, .. } => return Told::NoSuchListener,
            State::Ended => return Told::Already,
        }
        member.waiting.push(ended);
        Told::Follows
    }

    /// Starts one listener that was drained.
    ///
    /// # Cancel safety
    /// Must not be dropped halfway, as [`Crew::follow`].
    pub async fn start(&mut self, name: &str) -> Told {
        let Some(at) = self.members.iter().position(|member| member.name == name) else {
            return Told::NoSuchListener;
        };
        let Some(member) = self.members.get_mut(at) else { return Told::NoSuchListener };
        match &mut member.state {
            State::Runs(_) => Told::Already,
            State::Ends { then: Then::Leave, .. } => Told::NoSuchListener,
            State::Ends { then: then @ (Then::Start | Then::Stay), handle, .. } => {
                *then = Then::Start;
                // Its successor inherits that.
                handle.change(|controls| controls.paused = false);
                Told::Ending
            }
            State::Ended => {
                self.begin(at, None).await;
                // Whoever starts it by hand wants it to receive, whatever the file says of its start.
                if let Some(Member { state: State::Runs(handle), .. }) = self.members.get(at) {
                    handle.change(|controls| controls.paused = false);
                }
                Told::Follows
            }
        }
    }

    /// Tells a listener something. While it is being replaced its successor inherits that. What it was told before, and is
    /// told now; `None` where none runs and none follows.
    pub fn tell(&self, name: &str, tell: impl FnOnce(&mut Controls)) -> Option<(Controls, Controls)> {
        let member = self.members.iter().find(|member| member.name == name)?;
        match &member.state {
            State::Runs(handle) | State::Ends { handle, then: Then::Start, .. } => Some(handle.tell(tell)),
            State::Ends { then: Then::Stay | Then::Leave, .. } | State::Ended => None,
        }
    }

    /// Tells every listener that runs, or ends, something; `tell` has the name of its endpoint.
    pub fn tell_all(&self, tell: impl Fn(&str, &mut Controls)) {
        for member in &self.members {
            if let State::Runs(handle) | State::Ends { handle, .. } = &member.state {
                handle.change(|controls| tell(&member.endpoint, controls));
            }
        }
    }

    /// The next thing to do; never completes while there is none.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Event {
        let overdue = self.members.iter().filter_map(Member::cut_off).min();
        let overdue = async {
            match overdue {
                Some(overdue) => tokio::time::sleep_until(overdue).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(ended) = self.tasks.join_next_with_id() => Event::Ended(ended.map(|(id, ())| id)),
            () = overdue => Event::Overdue,
        }
    }

    /// Does what an event asks for.
    ///
    /// # Cancel safety
    /// Must not be dropped halfway, as [`Crew::follow`].
    pub async fn handle(&mut self, event: Event) {
        match event {
            Event::Ended(Ok(id)) => self.ended(id).await,
            Event::Ended(Err(error)) => {
                tracing::error!(%error, "a listener ended by a panic");
                self.has_panicked = true;
                self.ended(error.id()).await;
            }
            Event::Overdue => {
                for member in &mut self.members {
                    member.cut_off_if_overdue();
                }
            }
        }
        self.show();
    }

    /// Waits until all that run have ended; nobody follows them. Whether none ended by a panic.
    pub async fn all_ended(&mut self) -> bool {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a listener ended by a panic");
                self.has_panicked = true;
            }
        }
        !self.has_panicked
    }

    /// Adds one that runs.
    async fn add(&mut self, plan: M::Plan) {
        let (name, endpoint) = (self.maker.name(&plan).to_owned(), self.maker.endpoint(&plan).to_owned());
        let memory = memory_for(&self.maker, &plan);
        self.members.push(Member { name, plan, endpoint, state: State::Ended, memory, waiting: Vec::new() });
        self.begin(self.members.len() - 1, None).await;
    }

    /// Starts the listener of a member, which follows `former`.
    async fn begin(&mut self, at: usize, former: Option<&Handle>) {
        let Some(member) = self.members.get_mut(at) else { return };
        let listener = self.maker.make(&member.plan, Arc::clone(&member.memory)).await;
        let handle = listener.handle();
        // Whoever paused it, or set its workers, did not mean the one that ended alone.
        if let Some(former) = former {
            handle.inherit(former);
        }
        self.running.put_listener(RunningListener::of(&listener));
        let task = self.tasks.spawn(listener.run());
        self.names.insert(task.id(), member.name.clone());
        self.maker.endpoint(&member.plan).clone_into(&mut member.endpoint);
        member.state = State::Runs(handle);
    }

    async fn ended(&mut self, id: Id) {
        let Some(name) = self.names.remove(&id) else { return };
        let Some(at) = self.members.iter().position(|member| member.name == name) else { return };
        let Some(member) = self.members.get_mut(at) else { return };
        let (then, former) = match std::mem::replace(&mut member.state, State::Ended) {
            State::Ends { then, handle, .. } => (then, Some(handle)),
            // A panic, or the drain of the process.
            State::Runs(_) | State::Ended => (Then::Stay, None),
        };
        let is_clean = former.as_ref().is_some_and(|handle| !handle.is_aborted());
        for waiting in member.waiting.drain(..) {
            // Whoever asked may have gone.
            waiting.send(is_clean).ok();
        }
        match then {
            Then::Start => self.begin(at, former.as_ref()).await,
            Then::Leave => drop(self.members.remove(at)),
            Then::Stay => tracing::info!(listener = name, "the listener has ended"),
        }
    }

    /// Shows those that are here, and endpoints that one of them posts to.
    fn show(&self) {
        let names: BTreeSet<&str> = self.members.iter().map(|member| member.name.as_str()).collect();
        let now = self.members.iter().map(|member| member.endpoint.as_str());
        let later = self.members.iter().map(|member| self.maker.endpoint(&member.plan));
        let endpoints: BTreeSet<&str> = now.chain(later).collect();
        self.running.retain(|name| names.contains(name), |name| endpoints.contains(name));
    }
}

/// An empty memory.
fn memory_for<M: Maker>(maker: &M, plan: &M::Plan) -> Arc<Memory> {
    Arc::new(Memory::new(maker.settings(plan).tuning.memory))
}

impl<P> Member<P> {
    /// Ends it, with so much time or as much as its POSTs may take; then this follows. Nobody kills the process meanwhile,
    /// so no POST is cut off that keeps to its own time-out.
    fn end(&mut self, deadline: Duration, then: Then) {
        if let State::Runs(handle) = &self.state {
            let deadline = deadline.max(handle.time_to_end());
            handle.stop(deadline);
            let (handle, cut_off) = (handle.clone(), Instant::now() + deadline);
            self.state = State::Ends { handle, cut_off, then };
        }
    }

    /// It is wanted no more; whether that is news.
    fn leave(&mut self, deadline: Duration) -> bool {
        match &mut self.state {
            State::Runs(_) => self.end(deadline, Then::Leave),
            State::Ends { then: Then::Leave, .. } => return false,
            State::Ends { then, .. } => *then = Then::Leave,
            State::Ended => {}
        }
        true
    }

    /// Takes a newer plan over.
    fn take_over(&mut self, plan: P, maker: &impl Maker<Plan = P>, deadline: Duration) -> Became {
        let effect = maker.effect(&self.plan, &plan);
        if !maker.is_same_queue(&self.plan, &plan) {
            self.memory = memory_for(maker, &plan);
        }
        self.plan = plan;
        match (&mut self.state, effect) {
            (State::Runs(handle), Effect::Kept | Effect::Adjusted) => {
                // Also where nothing was written: a default may follow the process.
                handle.adjust(maker.settings(&self.plan));
                effect.into()
            }
            (State::Runs(_), Effect::Replaced) => {
                self.end(deadline, Then::Start);
                Became::Replaced
            }
            // It is as if it had been away.
            (State::Ends { then: then @ Then::Leave, .. }, _) => {
                *then = Then::Start;
                Became::Added
            }
            // What starts next goes by the newest plan.
            (State::Ends { .. } | State::Ended, Effect::Kept) => Became::Kept,
            (State::Ends { then: Then::Start, .. }, Effect::Adjusted | Effect::Replaced) => Became::Replaced,
            (State::Ends { then: Then::Stay, .. } | State::Ended, Effect::Adjusted | Effect::Replaced) => {
                Became::Drained
            }
        }
    }

    fn cut_off(&self) -> Option<Instant> {
        match &self.state {
            State::Ends { cut_off, handle, .. } if !handle.is_aborted() => Some(*cut_off),
            State::Ends { .. } | State::Runs(_) | State::Ended => None,
        }
    }

    fn cut_off_if_overdue(&self) {
        if let State::Ends { handle, .. } = &self.state
            && self.cut_off().is_some_and(|cut_off| cut_off <= Instant::now())
        {
            tracing::warn!(
                listener = self.name,
                "deadline: cutting off what still runs of a listener that ends"
            );
            handle.abort();
        }
    }
}
