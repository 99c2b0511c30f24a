//! queuepost: worker pools consume Amazon SQS queues and POST each message to an HTTP endpoint.

pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod drain;
pub mod endpoint;
pub mod limit;
pub mod localqueue;
pub mod message;
pub mod pipeline;
pub mod policy;
pub mod shape;
pub mod sqs;
pub mod telemetry;
