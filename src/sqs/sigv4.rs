//! Signature Version 4 over requests to endpoints: Lambda function URLs, API Gateway and every other service.
//!
//! Credentials come from the SDK's chain or an assumed role, as for queues. They are fetched again before they
//! expire, and after the endpoint refused them; without an expiry, every 15 minutes. Each fetch reads
//! all sources anew, profile files too. While a fetch fails, credentials that have not expired are used.
//! Every header is signed but those that a proxy may change. `x-amz-content-sha256` is always sent: some
//! services want it, and no other minds.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::config::{Credentials, ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::{credentials, transport};
use crate::ports::{BoxFuture, RequestSigner, ToSign, Unsigned};
use crate::sqs::Role;
use crate::telemetry::Chain;

/// How long before they expire credentials are fetched again.
const FETCH_BEFORE: Duration = Duration::from_mins(2);
/// How long credentials without expiry are used.
const FETCH_EVERY: Duration = Duration::from_mins(15);
/// Shortest time between two fetches, unless the known credentials have expired.
const FETCH_AFTER: Duration = Duration::from_secs(5);
/// Longest time of a fetch, as for queues.
const FETCH_MAX: Duration = Duration::from_secs(9);
/// The service whose paths are signed as they are.
const S3: &str = "s3";
/// The service that never reads a body before it checks the signature.
const LATTICE: &str = "vpc-lattice-svcs";
/// Headers that a proxy may change or add to.
const NOT_SIGNED: [&str; 3] = ["traceparent", "tracestate", "via"];

/// What is signed for, and with whose credentials.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SigV4 {
    /// The service's name in signatures: `lambda`, `execute-api`.
    pub service: String,
    /// The region of the service.
    pub region: String,
    /// Named profile of the shared AWS configuration files.
    pub profile: Option<String>,
    /// Role to assume.
    pub role: Option<Role>,
}

/// Signs the requests of one endpoint.
pub struct SigV4Signer {
    settings: SigV4,
    /// Held during a fetch, so that requests fetch once together.
    fetching: Mutex<()>,
    known: RwLock<Option<Known>>,
    /// When the last fetch failed, and why, where no credentials are known.
    failed: RwLock<Option<(Instant, String)>>,
    doubted: AtomicBool,
}

#[derive(Clone)]
struct Known {
    credentials: Credentials,
    fetched_at: Instant,
    /// Whether they are older than that, because the fetch failed.
    is_kept: bool,
}

impl SigV4Signer {
    /// A signer that has no credentials yet.
    pub fn new(settings: SigV4) -> Self {
        Self {
            settings,
            fetching: Mutex::new(()),
            known: RwLock::new(None),
            failed: RwLock::new(None),
            doubted: AtomicBool::new(false),
        }
    }

    /// Usable credentials.
    async fn credentials(&self, now: SystemTime) -> Result<Credentials, Unsigned> {
        if let Some(known) = self.fresh(now) {
            return Ok(known);
        }
        let fetching = self.fetching.lock().await;
        // Another request may have fetched meanwhile.
        if let Some(known) = self.fresh(now) {
            return Ok(known);
        }
        // Else requests that wait together would ask a dead source one after the other.
        if let Some(why) = self.failed_lately() {
            return Err(Unsigned(why));
        }
        let fetched = timeout(FETCH_MAX, self.fetch()).await;
        let fetched = fetched.unwrap_or_else(|_| Err(Unsigned(format!("no answer within {FETCH_MAX:?}"))));
        let failed = fetched.is_err();
        let credentials = match (fetched, self.known()) {
            (Ok(credentials), _) => credentials,
            (Err(error), Some(known)) if !has_expired(&known.credentials, now) => {
                if !known.is_kept {
                    let error = error.to_string();
                    tracing::warn!(error, "credentials of AWS cannot be renewed, the present ones are used");
                }
                known.credentials
            }
            (Err(error), _) => {
                let failed = Some((Instant::now(), error.to_string()));
                *self.failed.write().unwrap_or_else(PoisonError::into_inner) = failed;
                return Err(error);
            }
        };
        self.doubted.store(false, Ordering::Relaxed);
        let known = Known { credentials: credentials.clone(), fetched_at: Instant::now(), is_kept: failed };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
        drop(fetching);
        Ok(credentials)
    }

    fn known(&self) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why a fetch has just failed.
    fn failed_lately(&self) -> Option<String> {
        let failed = self.failed.read().unwrap_or_else(PoisonError::into_inner).clone();
        failed.filter(|(at, _)| at.elapsed() < FETCH_AFTER).map(|(_, why)| why)
    }

    /// The known credentials, unless they are to be fetched again.
    fn fresh(&self, now: SystemTime) -> Option<Credentials> {
        let Known { credentials, fetched_at, is_kept } = self.known()?;
        let age = fetched_at.elapsed();
        let is_old = match credentials.expiry() {
            Some(expiry) => expiry < now + FETCH_BEFORE,
            None => age > FETCH_EVERY,
        };
        let is_due = (is_old || is_kept || self.doubted.load(Ordering::Relaxed)) && age >= FETCH_AFTER;
        (!is_due && !has_expired(&credentials, now)).then_some(credentials)
    }

    async fn fetch(&self) -> Result<Credentials, Unsigned> {
        let region = Region::new(self.settings.region.clone());
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(transport::client(Arc::default(), transport::ANSWER_MAX))
            .region(region.clone());
        let loader = match &self.settings.profile {
            Some(profile) => loader.profile_name(profile),
            None => loader,
        };
        let config = loader.load().await;
        let provider = match &self.settings.role {
            Some(role) => {
                Some(SharedCredentialsProvider::new(credentials::of_role(role, &config, Some(region)).await))
            }
            None => config.credentials_provider(),
        };
        let provider = provider.ok_or_else(|| Unsigned("the SDK has no source of credentials".to_owned()))?;
        provider.provide_credentials().await.map_err(|error| Unsigned(Chain(&error).to_string()))
    }
}

impl RequestSigner for SigV4Signer {
    fn sign<'a>(&'a self, request: ToSign<'a>) -> BoxFuture<'a, Result<HeaderMap, Unsigned>> {
        Box::pin(async move {
            let asked = Instant::now();
            let credentials = self.credentials(request.now).await?;
            // A signature is of the moment when there are credentials for it.
            let request = ToSign { now: request.now + asked.elapsed(), ..request };
            signature(&self.settings, credentials, &request)
        })
    }

    fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    fn secrets(&self) -> Vec<String> {
        let Some(Known { credentials, .. }) = self.known() else { return Vec::new() };
        let token = credentials.session_token().map(str::to_owned);
        [credentials.secret_access_key().to_owned(), credentials.access_key_id().to_owned()]
            .into_iter()
            .chain(token)
            .collect()
    }
}

impl fmt::Debug for SigV4Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigV4Signer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn has_expired(credentials: &Credentials, now: SystemTime) -> bool {
    credentials.expiry().is_some_and(|expiry| expiry <= now)
}

/// The headers that sign a request.
fn signature(
    settings: &SigV4,
    credentials: Credentials,
    request: &ToSign<'_>,
) -> Result<HeaderMap, Unsigned> {
    let unsigned = |error: &(dyn std::error::Error + 'static)| Unsigned(Chain(error).to_string());
    let mut signing = SigningSettings::default();
    signing.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    if settings.service == S3 {
        signing.percent_encoding_mode = PercentEncodingMode::Single;
        signing.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    signing.excluded_headers.get_or_insert_default().extend(NOT_SIGNED.map(Into::into));
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(&settings.region)
        .name(&settings.service)
        .time(request.now)
        .settings(signing)
        .build()
        .map_err(|error| unsigned(&error))?
        .into();
    let headers =
        request.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let body = match settings.service.as_str() {
        LATTICE => SignableBody::UnsignedPayload,
        _ => SignableBody::Bytes(request.body),
    };
    let signable = SignableRequest::new("POST", request.url.as_str(), headers, body);
    let signed =
        sign(signable.map_err(|error| unsigned(&error))?, &params).map_err(|error| unsigned(&error))?;
    let mut added = HeaderMap::new();
    for (name, value) in signed.output().headers() {
        let name = HeaderName::try_from(name).map_err(|error| unsigned(&error))?;
        let mut value = HeaderValue::try_from(value).map_err(|error| unsigned(&error))?;
        value.set_sensitive(true);
        added.insert(name, value);
    }
    Ok(added)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Duration = Duration::from_secs(1_700_000_000);

    fn settings(service: &str) -> SigV4 {
        SigV4 { service: service.to_owned(), region: "us-east-1".to_owned(), profile: None, role: None }
    }

    fn sign_as(service: &str, token: Option<&str>, headers: &HeaderMap) -> HeaderMap {
        let credentials = Credentials::new("AKID", "secret", token.map(str::to_owned), None, "test");
        let url = "https://abc.lambda-url.us-east-1.on.aws/a%20b?x=1".parse().expect("a URL");
        let request = ToSign { url: &url, headers, body: b"{}", now: SystemTime::UNIX_EPOCH + AT };
        signature(&settings(service), credentials, &request).expect("a signature")
    }

    #[test]
    fn service_region_time_token_and_headers_are_signed_but_no_header_that_proxies_change() {
        let mut headers = HeaderMap::new();
        for name in ["content-type", "x-queuepost-queue", "user-agent", "traceparent", "x-amzn-trace-id"] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("a"));
        }
        let added = sign_as("lambda", Some("token"), &headers);
        let authorization = added["authorization"].to_str().expect("text");
        let beginning = "AWS4-HMAC-SHA256 Credential=AKID/20231114/us-east-1/lambda/aws4_request, SignedHeaders=\
                         content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-queuepost-queue, ";
        assert!(authorization.starts_with(beginning), "{authorization}");
        assert_eq!(added["x-amz-date"], "20231114T221320Z");
        assert_eq!(added["x-amz-security-token"], "token");
        assert!(added.values().all(HeaderValue::is_sensitive));
    }

    #[test]
    fn a_body_is_not_signed_where_the_service_cannot_check_it() {
        let digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(sign_as("execute-api", None, &HeaderMap::new())["x-amz-content-sha256"], digest);
        assert_eq!(sign_as(LATTICE, None, &HeaderMap::new())["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
    }

    fn known(signer: &SigV4Signer, expires_in: Option<u64>) {
        let expiry = expires_in.map(|seconds| SystemTime::UNIX_EPOCH + AT + Duration::from_secs(seconds));
        let credentials = Credentials::new("AKID", "secret", None, expiry, "test");
        *signer.known.write().expect("no panic") =
            Some(Known { credentials, fetched_at: Instant::now(), is_kept: false });
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_are_fetched_again_before_they_expire_when_old_and_when_refused() {
        let signer = SigV4Signer::new(settings("lambda"));
        let now = SystemTime::UNIX_EPOCH + AT;
        let is_fresh = |signer: &SigV4Signer| signer.fresh(now).is_some();
        assert!(!is_fresh(&signer));
        known(&signer, Some(3_600));
        tokio::time::advance(FETCH_EVERY * 2).await;
        assert!(is_fresh(&signer), "an expiry counts, not the age");
        known(&signer, Some(60));
        assert!(is_fresh(&signer), "just fetched, and still valid");
        tokio::time::advance(FETCH_AFTER).await;
        assert!(!is_fresh(&signer), "about to expire");
        known(&signer, Some(0));
        assert!(!is_fresh(&signer), "expired");
        known(&signer, None);
        tokio::time::advance(FETCH_EVERY).await;
        assert!(is_fresh(&signer));
        signer.doubt();
        assert!(!is_fresh(&signer), "refused");
        known(&signer, None);
        assert!(is_fresh(&signer), "just fetched: many requests are refused at once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_has_just_failed_is_not_asked_again_by_those_who_wait() {
        let signer = SigV4Signer::new(settings("lambda"));
        *signer.failed.write().expect("no panic") = Some((Instant::now(), "the source is dead".to_owned()));
        let now = SystemTime::UNIX_EPOCH + AT;
        let refused = signer.credentials(now).await.expect_err("no credentials");
        assert_eq!(refused.to_string(), Unsigned("the source is dead".to_owned()).to_string());
        tokio::time::advance(FETCH_AFTER).await;
        assert_eq!(signer.failed_lately(), None, "it is asked again after a while");
    }
}
