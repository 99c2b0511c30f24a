//! queuepost: worker pools consume Amazon SQS queues and POST each message to an HTTP endpoint.

pub mod localqueue;
