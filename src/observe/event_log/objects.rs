//! What the log says of objects that stay in S3 although their messages are gone.

use super::EventLog;
use super::repeats::About;
use crate::ports::ObjectError;

impl EventLog {
    /// The object of a message that was deleted could not be.
    pub(crate) fn object_not_deleted(&self, error: &ObjectError) {
        let (listener, queue) = (self.listener.as_str(), self.queue.as_str());
        let Some(left_out) = self.repeats().may_say(About::Settlement, "an object stays in S3", None) else {
            return;
        };
        tracing::warn!(
            listener,
            queue,
            reason = error.kind.label(),
            error = error.text,
            fix = "allow s3:DeleteObject on the bucket; a lifecycle rule of the bucket removes what stays",
            left_out = left_out.count(),
            "an object stays in S3: its message's work is done and the message is deleted, but the object could not be"
        );
    }
}
