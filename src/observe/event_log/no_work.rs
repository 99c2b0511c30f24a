//! What the log says of messages that are no work and are deleted without a POST.

use super::EventLog;
use super::repeats::About;
use crate::message::Message;

/// Nothing in this program calls the address in such a message: its sender would choose what is called.
const CONFIRM: &str = "nothing, if the subscription is not wanted; else let an account that owns the queue subscribe it \
                       (aws sns subscribe --topic-arn TOPIC --protocol sqs --notification-endpoint QUEUE_ARN), which needs no \
                       confirmation, or let these messages come to you (non_work: forward) and confirm with the token in them \
                       (aws sns confirm-subscription)";

impl EventLog {
    /// S3 tried out whether it may send to the queue.
    pub(crate) fn test_event(&self, message: &Message) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        let Some(left_out) = self.repeats().may_say(About::NoWork, "s3_test_event", Some(&message.id)) else {
            return;
        };
        tracing::info!(
            listener,
            queue,
            message_id = message.id.as_str(),
            reason = "s3_test_event",
            left_out = left_out.count(),
            left_out_ids = left_out.named(),
            "deleted without a POST: S3 tried out whether it may send events to this queue, and it may"
        );
    }

    /// SNS wants a subscription confirmed, or says that one has ended. `topic` is an ARN and nothing else.
    pub(crate) fn subscription(&self, message: &Message, topic: Option<&str>) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        let Some(left_out) = self.repeats().may_say(About::NoWork, "sns_subscription", Some(&message.id))
        else {
            return;
        };
        tracing::warn!(
            listener,
            queue,
            message_id = message.id.as_str(),
            reason = "sns_subscription",
            topic,
            fix = CONFIRM,
            left_out = left_out.count(),
            left_out_ids = left_out.named(),
            "deleted without a POST: SNS wants a subscription of this queue confirmed, or says that one has ended"
        );
    }
}
