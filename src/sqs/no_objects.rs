//! Objects in a build without the feature `s3`: there are none, and the configuration refuses to ask for any.

use std::sync::Arc;

use bytes::Bytes;

use crate::exchange::Pointer;
use crate::ports::{BoxFuture, ObjectError, ObjectErrorKind, ObjectStore};
use crate::sqs::{ObjectSettings, Settings};

struct NoObjects;

/// A store that has nothing to ask.
pub fn objects(_: &ObjectSettings, _: &Settings) -> Arc<dyn ObjectStore> {
    Arc::new(NoObjects)
}

fn refused<T>() -> Result<T, ObjectError> {
    Err(ObjectError {
        kind: ObjectErrorKind::Unavailable,
        text: "this build lacks the feature `s3`".to_owned(),
    })
}

impl ObjectStore for NoObjects {
    fn fetch<'a>(&'a self, _: &'a Pointer, _: usize) -> BoxFuture<'a, Result<Bytes, ObjectError>> {
        Box::pin(async { refused() })
    }

    fn delete<'a>(&'a self, _: &'a Pointer) -> BoxFuture<'a, Result<(), ObjectError>> {
        Box::pin(async { refused() })
    }
}
