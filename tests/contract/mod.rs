//! The real binary against SQS servers that none of us wrote.
//!
//! `.ci/run` installs them into `target/test-tools`; where they are missing a test says so by name and passes,
//! except in CI.

mod ministack;
