//! The object port over S3: bodies that the SQS extended client put into a bucket.
//!
//! The client has the region, profile and role of its queue. One call is one attempt with its own timeout, and retries are
//! off, as for queues. An object longer than its limit is not read: its length is known before its body comes, and what
//! comes is counted. S3 calls a missing object forbidden to whoever may not list its bucket.
//!
//! Like a queue's client this one is replaced when its credentials fail, because profile files may have been rotated.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use bytes::{Bytes, BytesMut};
use tokio::sync::Mutex;
use url::Url;

use super::client::Key;
use super::{error, host};
use crate::escape;
use crate::exchange::Pointer;
use crate::ports::{BoxFuture, ObjectError, ObjectErrorKind, ObjectStore};
use crate::sqs::{ObjectSettings, Settings};

/// Time for one object; 64 MiB in it are 9 Mbit/s.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);
/// Time for a delete.
const DELETE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer beside an object: errors and heads.
const OTHER_ANSWERS_MAX: usize = 1024 * 1024;

/// The codes after which credentials are read anew.
const OF_CREDENTIALS: [&str; 4] =
    ["ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "TokenRefreshRequired"];

/// S3, as the consumer of a queue.
pub(super) struct S3Objects {
    key: Key,
    address: Option<Url>,
    longest: usize,
    client: Mutex<Option<Client>>,
}

impl fmt::Debug for S3Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Objects").field("key", &self.key).finish_non_exhaustive()
    }
}

/// The objects of a queue's messages. Makes no call yet.
pub fn objects(settings: &ObjectSettings, queue: &Settings) -> Arc<dyn ObjectStore> {
    let key = Key::beside(queue, settings.address.as_ref());
    Arc::new(S3Objects {
        key,
        address: settings.address.clone(),
        longest: settings.max_size,
        client: Mutex::default(),
    })
}

impl ObjectStore for S3Objects {
    fn fetch<'a>(&'a self, pointer: &'a Pointer, max: usize) -> BoxFuture<'a, Result<Bytes, ObjectError>> {
        Box::pin(self.within(FETCH_TIMEOUT, self.get(pointer, max)))
    }

    fn delete<'a>(&'a self, pointer: &'a Pointer) -> BoxFuture<'a, Result<(), ObjectError>> {
        Box::pin(self.within(DELETE_TIMEOUT, async move {
            let call = self.client().await.delete_object().bucket(&pointer.bucket).key(&pointer.key).send();
            match call.await {
                Ok(_) => Ok(()),
                Err(error) => self.failed(&error).await,
            }
        }))
    }
}

impl S3Objects {
    async fn within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, ObjectError>> + Send,
    ) -> Result<T, ObjectError> {
        let late = || unavailable(&format!("no complete answer within {} s", limit.as_secs()));
        tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(late()))
    }

    async fn get(&self, pointer: &Pointer, max: usize) -> Result<Bytes, ObjectError> {
        let too_large = || ObjectError {
            kind: ObjectErrorKind::TooLarge,
            text: format!("the object is longer than {max} bytes"),
        };
        let call = self.client().await.get_object().bucket(&pointer.bucket).key(&pointer.key).send();
        let answer = match call.await {
            Ok(answer) => answer,
            Err(error) => return self.failed(&error).await,
        };
        let length =
            answer.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
        if length > max {
            return Err(too_large());
        }
        let (mut body, mut read) = (answer.body, BytesMut::with_capacity(length));
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| unavailable(&error::chain(&error)))?;
            if read.len() + chunk.len() > max {
                return Err(too_large());
            }
            read.extend_from_slice(&chunk);
        }
        Ok(read.freeze())
    }

    async fn client(&self) -> Client {
        let mut client = self.client.lock().await;
        if let Some(client) = &*client {
            return client.clone();
        }
        let shared = Box::pin(self.key.shared(self.longest.saturating_add(OTHER_ANSWERS_MAX))).await;
        let mut config = aws_sdk_s3::config::Builder::from(&shared);
        if let Some(address) = &self.address {
            config = config.endpoint_url(address.as_str()).use_fips(false).use_dual_stack(false);
        }
        let of_settings = || shared.endpoint_url().and_then(|url| url.parse().ok());
        let server: Option<Url> = self.address.clone().or_else(of_settings);
        if server.is_some_and(|server| !host::is_aws(&server)) {
            // Other servers rarely have a host name for each bucket.
            config = config.force_path_style(true);
        }
        client.insert(Client::from_conf(config.build())).clone()
    }

    /// Translates a failure.
    async fn failed<T, E>(&self, error: &SdkError<E, HttpResponse>) -> Result<T, ObjectError>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let SdkError::ServiceError(service) = error else {
            if error::is_of_credentials(error) {
                *self.client.lock().await = None;
            }
            return Err(unavailable(&error::chain(error)));
        };
        let (said, status) = (service.err(), service.raw().status().as_u16());
        let code = said.code().unwrap_or_default();
        if OF_CREDENTIALS.contains(&code) {
            *self.client.lock().await = None;
        }
        let text =
            format!("HTTP {status}: {code} {}", said.message().map(error::one_line).unwrap_or_default());
        Err(ObjectError { kind: kind(code, status), text: escape::line(&text).into_owned() })
    }
}

/// Codes decide first: a missing bucket is 404 too.
fn kind(code: &str, status: u16) -> ObjectErrorKind {
    match (code, status) {
        ("NoSuchKey" | "NoSuchVersion" | "KeyTooLongError", _) | ("", 404) => ObjectErrorKind::Missing,
        ("NoSuchBucket" | "InvalidObjectState", _) | (_, 401 | 403) => ObjectErrorKind::Denied,
        _ => ObjectErrorKind::Unavailable,
    }
}

fn unavailable(text: &str) -> ObjectError {
    ObjectError { kind: ObjectErrorKind::Unavailable, text: escape::line(text).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_tells_a_missing_object_from_a_missing_bucket_and_from_trouble() {
        let cases = [
            ("NoSuchKey", 404, ObjectErrorKind::Missing),
            ("", 404, ObjectErrorKind::Missing),
            ("NoSuchBucket", 404, ObjectErrorKind::Denied),
            ("AccessDenied", 403, ObjectErrorKind::Denied),
            ("ExpiredToken", 400, ObjectErrorKind::Unavailable),
            ("PermanentRedirect", 301, ObjectErrorKind::Unavailable),
            ("SlowDown", 503, ObjectErrorKind::Unavailable),
            ("InternalError", 500, ObjectErrorKind::Unavailable),
        ];
        for (code, status, expected) in cases {
            assert_eq!(kind(code, status), expected, "{code} {status}");
        }
    }
}
