//! Tests of `queue.rs`.
