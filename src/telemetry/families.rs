//! Every metric family: its name, its help text, its labels, its buckets.
//!
//! Names are stable, because dashboards and alerts use them. Help texts say what to do about the number.
//! Label sets are closed; `listener` and `endpoint` are configured names.

use prometheus::core::Collector;
use prometheus::{
    CounterVec, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// Seconds of one POST: from a cache hit to the longest algorithm.
const DELIVERY_SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];
/// Seconds since a message was sent: up to four days, SQS's default retention.
const AGE_SECONDS: &[f64] =
    &[0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0, 345_600.0];
/// Receive counts, up to the largest max receives of SQS.
const RECEIVE_COUNTS: &[f64] = &[1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];
/// Seconds of one SQS call, a full long poll included.
const SQS_SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0];

/// The registry and every family.
#[derive(Debug)]
pub(super) struct Families {
    pub(super) registry: Registry,
    pub(super) received: IntCounterVec,
    pub(super) in_progress: IntGaugeVec,
    pub(super) deliveries: IntCounterVec,
    pub(super) delivery_seconds: HistogramVec,
    pub(super) responses: IntCounterVec,
    pub(super) deleted: IntCounterVec,
    pub(super) parked: IntCounterVec,
    pub(super) deferred: IntCounterVec,
    pub(super) released: IntCounterVec,
    pub(super) dead_lettered: IntCounterVec,
    pub(super) abandoned: IntCounterVec,
    pub(super) parked_current: IntGaugeVec,
    pub(super) age: HistogramVec,
    pub(super) receive_count: HistogramVec,
    pub(super) near_dead_letter: IntCounterVec,
    pub(super) duplicates_suppressed: IntCounterVec,
    pub(super) expired: IntCounterVec,
    pub(super) no_work: IntCounterVec,
    pub(super) object_requests: IntCounterVec,
    pub(super) leases_lost: IntCounterVec,
    pub(super) extensions: IntCounterVec,
    pub(super) paused: IntGaugeVec,
    pub(super) admin_writes: IntCounterVec,
    pub(super) workers_limit: IntGaugeVec,
    pub(super) workers_in_use: IntGaugeVec,
    pub(super) workers_reserved: IntGaugeVec,
    pub(super) sessions_limit: IntGaugeVec,
    pub(super) sessions_in_use: IntGaugeVec,
    pub(super) adaptive_limit: IntGaugeVec,
    pub(super) adaptive_rate: GaugeVec,
    pub(super) fleet_members: IntGaugeVec,
    pub(super) fleet_share: GaugeVec,
    pub(super) gate_state: IntGaugeVec,
    pub(super) gate_closed: CounterVec,
    pub(super) sqs_requests: IntCounterVec,
    pub(super) sqs_seconds: HistogramVec,
    pub(super) sqs_empty: IntCounterVec,
    pub(super) queue_visible: IntGaugeVec,
    pub(super) queue_not_visible: IntGaugeVec,
    pub(super) queue_delayed: IntGaugeVec,
    pub(super) oldest_age: GaugeVec,
    pub(super) last_receive: GaugeVec,
    pub(super) last_success: GaugeVec,
    pub(super) left_out: IntCounterVec,
    pub(super) headers_dropped: IntCounterVec,
    pub(super) panics: IntCounterVec,
    pub(super) faulted: IntGaugeVec,
    pub(super) preflight_warnings: IntGaugeVec,
    pub(super) draining: IntGauge,
    pub(super) reload_successful: IntGauge,
    pub(super) reload_succeeded_at: Gauge,
    pub(super) log_lines_dropped: IntCounter,
}

/// Registers families; the tests of this file find a name that is used twice.
struct Registrar(Registry);

impl Registrar {
    fn add<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        #[expect(clippy::expect_used, reason = "names and labels are constants, checked by a test")]
        let family = made.expect("a valid metric family");
        if let Err(error) = self.0.register(Box::new(family.clone())) {
            tracing::error!(%error, "a metric could not be registered");
        }
        family
    }

    fn counter(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(Opts::new(name, help).namespace("queuepost"), labels))
    }

    fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(Opts::new(name, help).namespace("queuepost"), labels))
    }

    fn float_gauge(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.add(GaugeVec::new(Opts::new(name, help).namespace("queuepost"), labels))
    }

    fn histogram(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        let options = HistogramOpts::new(name, help).namespace("queuepost").buckets(buckets.to_vec());
        self.add(HistogramVec::new(options, labels))
    }
}

/// The gauge that names this build.
fn build_info(r: &Registrar) {
    let build = r.gauge(
        "build_info",
        "Version and commit of this build; always 1. More than one for long: a rollout stands still.",
        &["version", "revision"],
    );
    build.with_label_values(&[env!("CARGO_PKG_VERSION"), revision()]).set(1);
}

impl Families {
    /// All families with zero counts. `build_info` names this build.
    pub(super) fn new() -> Self {
        let r = Registrar(Registry::new());
        let per_listener = &["listener"];
        build_info(&r);
        Self {
            received: r.counter("messages_received_total", "Messages received, by whether it was their first receive. A growing share of first=\"false\" means retries or lost settlements: look at deliveries by outcome.", &["listener", "first"]),
            in_progress: r.gauge("messages_in_progress", "Messages in flight here now, by where they are. Many waiting: sessions, rate or the gate hold them; many held: the endpoint cannot be reached; many settling: SQS is slow.", &["listener", "stage"]),
            deliveries: r.counter("deliveries_total", "POSTs and what came of them. throttled is flow control; anything else but success has its meaning and its fix in docs/errors.md, and in the log.", &["listener", "outcome"]),
            delivery_seconds: r.histogram("delivery_duration_seconds", "Time of one POST, connecting and reading the answer included. Near the listener's timeout: raise it, or give the endpoint more to run on. workers ÷ this is the most a listener can do.", &["listener", "outcome"], DELIVERY_SECONDS),
            responses: r.counter("http_responses_total", "Answers by status code; codes past the first 20 seen count as other. Says what the endpoint itself answered when deliveries fail.", &["listener", "code"]),
            deleted: r.counter("messages_deleted_total", "Messages deleted after their work was done, confirmed by SQS: the throughput. None while messages are visible: look at gate_state and listener_faulted.", per_listener),
            parked: r.counter("messages_parked_total", "Messages hidden because the endpoint throttled (429). Each has spent a receive. Sustained: give the endpoint more room, or lower sessions or rate_limit.", per_listener),
            deferred: r.counter("messages_deferred_total", "Messages hidden after another failure, by reason; configuration is for you to mend. After max receives SQS dead-letters them.", &["listener", "reason"]),
            released: r.counter("messages_released_total", "Messages released without a POST, by reason. gate: the endpoint was closed for long; drain: the process ended; group: one before it in its FIFO group was not deleted; standby: other processes have all of the endpoint's sessions.", &["listener", "reason"]),
            dead_lettered: r.counter("messages_dead_lettered_total", "Messages sent to the dead-letter queue by an on_response row (not those SQS moves). Look at them there, mend, and move them back.", per_listener),
            abandoned: r.counter("messages_abandoned_total", "Messages left unsettled; SQS hands them out again when their visibility ends. Should be zero: look for SQS errors and for kills before the drain had ended.", per_listener),
            parked_current: r.gauge("messages_parked_current", "Messages this process parked whose time has not come (an estimate). They count against the 120,000 in flight of a queue.", per_listener),
            age: r.histogram("message_age_seconds", "Time since a message was sent, when received and when completed. Received old: too few workers, or a closed gate; completed much later than received: retries.", &["listener", "point"], AGE_SECONDS),
            receive_count: r.histogram("message_receive_count", "How often received messages had been handed out, this time included. Near the queue's max receives: messages are about to be dead-lettered.", per_listener, RECEIVE_COUNTS),
            near_dead_letter: r.counter("messages_near_dead_letter_total", "Messages received for the last time: if this delivery fails too SQS dead-letters them. Growing: mend the endpoint, or raise the queue's max receives, now.", per_listener),
            duplicates_suppressed: r.counter("duplicates_suppressed_total", "Messages that came again while they were in flight here, or after their POST had succeeded, and were not posted for it. Many: look for failed deletes or lost leases.", per_listener),
            expired: r.counter("messages_expired_total", "Messages deleted without a POST because they were older than the listener's retention, counted from their first receive. They count as deleted too. Any: their work was not done; look why deliveries failed for so long.", per_listener),
            no_work: r.counter("messages_no_work_total", "Messages that were no work and were deleted without a POST, as non_work: delete says: s3:TestEvent, SNS's confirmations of subscriptions. They are among messages_deleted_total. Growing: somebody keeps subscribing the queue; the log has the topic.", per_listener),
            object_requests: r.counter("object_requests_total", "Calls to S3 for claim checks, by operation and result. denied, unavailable: the messages are held, and fetched again; missing, too_large: they are bad messages. Those of DeleteObject leave an object behind; a lifecycle rule of the bucket removes it.", &["listener", "operation", "result"]),
            leases_lost: r.counter("leases_lost_total", "Messages whose visibility lapsed while they were in flight here; they may be delivered twice. Should be zero: look at visibility extensions and at other consumers of the queue.", per_listener),
            extensions: r.counter("visibility_extensions_total", "Lease extensions by result. failed is tried again, lost is not: look at SQS errors and the network.", &["listener", "result"]),
            paused: r.gauge("listener_paused", "1 while the listener receives nothing because somebody paused it, through the admin port or by its configuration. Messages wait in the queue meanwhile: queuepost resume LISTENER.", per_listener),
            admin_writes: r.counter("admin_writes_total", "Requests to change something through the admin port, by what came of them; no series before the first. denied: no token, a wrong one, a web page, or changes are off: look at the log for who asks.", &["action", "result"]),
            workers_limit: r.gauge("workers_limit", "Configured workers. The fleet has this times the processes.", per_listener),
            workers_in_use: r.gauge("workers_in_use", "Workers that hold a message. At workers_limit for long with messages visible: raise workers or add processes.", per_listener),
            workers_reserved: r.gauge("workers_reserved", "Workers set aside for receives under way. Not in use yet, not free either.", per_listener),
            sessions_limit: r.gauge("sessions_limit", "Most POSTs at once at an endpoint, by configuration.", &["endpoint"]),
            sessions_in_use: r.gauge("sessions_in_use", "POSTs running at an endpoint. At sessions_limit for long: the cap holds its listeners back; raise it if the endpoint has room.", &["endpoint"]),
            adaptive_limit: r.gauge("adaptive_limit", "POSTs at once the endpoint takes, found from its answers; sessions_limit where adaptive is off. Far below sessions_limit: the endpoint says it has too much to do.", &["endpoint"]),
            fleet_members: r.gauge("fleet_members", "Processes the fleet's name listed last; no series without fleet. Not the pods that run: one is not behind the fleet's name, or DNS is late. 0: it has seen nobody yet and stands by.", &[]),
            fleet_share: r.float_gauge("fleet_share", "Part of the endpoint's sessions this process may use, from 0 to 1; no series without fleet. 0: it stands by. The sum over all processes is at most 1.", &["endpoint"]),
            adaptive_rate: r.float_gauge("adaptive_rate", "Starts per second the endpoint takes from this process, found from its answers; no series while it was not found to limit them, or adaptive is off. Less than you need: have the endpoint's quota raised.", &["endpoint"]),
            gate_state: r.gauge("gate_state", "1 for the state a gate is in. Not open: nothing is received but probes; /api/v1/status has the reason in words. An endpoint's gate has no listener.", &["endpoint", "listener", "state"]),
            gate_closed: r.add(CounterVec::new(Opts::new("gate_closed_seconds_total", "Time a gate was not open, by reason: what the endpoint did to close it. An endpoint's gate has no listener.").namespace("queuepost"), &["endpoint", "listener", "reason"])),
            sqs_requests: r.counter("sqs_requests_total", "SQS calls by operation and result (ok or the kind of error; docs/errors.md has each with its fix). What SQS charges for.", &["listener", "operation", "result"]),
            sqs_seconds: r.histogram("sqs_request_duration_seconds", "Time of one SQS call; a long poll waits up to 20 s on purpose. The others above 1 s: look at the network and the region.", &["listener", "operation"], SQS_SECONDS),
            sqs_empty: r.counter("sqs_empty_receives_total", "Receives that brought nothing: the price of looking. One each receive_wait from an idle listener is right.", per_listener),
            queue_visible: r.gauge("queue_messages_visible", "Approximate messages ready to be received, read on request, at most every 30 s. In the dead_letter queue: look at them, mend, and move them back.", &["listener", "role"]),
            queue_not_visible: r.gauge("queue_messages_not_visible", "Approximate messages in flight, parked ones included, read on request, at most every 30 s. SQS stops handing out at 120,000.", &["listener", "role"]),
            queue_delayed: r.gauge("queue_messages_delayed", "Approximate messages sent with a delay that has not passed, read on request, at most every 30 s. They come by themselves.", &["listener", "role"]),
            oldest_age: r.float_gauge("queue_oldest_message_age_seconds", "Age of the oldest message received in the last minute, 0 without any; unlike CloudWatch's it does not go blind after three receives.", per_listener),
            last_receive: r.float_gauge("last_receive_timestamp_seconds", "When a receive last succeeded, empty or not (Unix time). Minutes ago: the gate is closed, the listener is faulted, or every worker is busy.", per_listener),
            last_success: r.float_gauge("last_success_timestamp_seconds", "When a delivery last succeeded (Unix time); 0 before the first. Long ago while messages are visible: look at deliveries by outcome.", per_listener),
            left_out: r.counter("messages_left_out_total", "Received messages nothing was done with, by reason: no id, an id or handle longer than SQS's, a body that does not match its MD5 sum, an attribute that makes no sense. SQS hands them out again; the log says which once. Amazon sends none.", &["listener", "reason"]),
            headers_dropped: r.counter("headers_dropped_total", "Headers left out: their name is no header name, is used twice or ends in -Encoding, their trace context is not valid, or there is no room. The sender's message attributes do not fit HTTP.", per_listener),
            panics: r.counter("panics_total", "Deliveries, pollers and loops that panicked. A bug: please report it with the log. The messages they worked on come again.", per_listener),
            faulted: r.gauge("listener_faulted", "1 while the listener cannot read its queue and a person has to act; the log and /readyz?verbose say why and what to do.", per_listener),
            preflight_warnings: r.gauge("preflight_warnings", "1 for what the queue's settings would do wrong, read on request, at most every 30 s. The log says what it means and how to mend it, and so does queuepost check.", &["listener", "warning"]),
            draining: r.add(IntGauge::with_opts(Opts::new("draining", "1 while the process is stopping. For longer than shutdown.deadline: it hangs.").namespace("queuepost"))),
            reload_successful: r.add(IntGauge::with_opts(Opts::new("config_last_reload_successful", "1 if the configuration was valid when it was last read, 0 if not: then what ran before goes on. The log has every problem with file, line and column.").namespace("queuepost"))),
            reload_succeeded_at: r.add(Gauge::with_opts(Opts::new("config_last_reload_success_timestamp_seconds", "When the configuration that runs was read (Unix time). Before your last change: it has not arrived here, or was refused.").namespace("queuepost"))),
            log_lines_dropped: r.add(IntCounter::with_opts(Opts::new("log_lines_dropped_total", "Lines of output dropped because nobody read standard output in time. Deliveries go on; look at what reads the log: a log driver, a sidecar, a terminal.").namespace("queuepost"))),
            registry: r.0,
        }
    }
}

/// The commit of this build, if the build set it.
pub(super) fn revision() -> &'static str {
    option_env!("QUEUEPOST_REVISION").unwrap_or("unknown")
}
