//! SDK clients: their region, address and credentials, and when a new client is made.
//!
//! A connection has one client, and with it one connection pool and one cache of credentials. The cache asks
//! the provider again shortly before credentials expire, or after 15 minutes when they name no expiry. That
//! covers roles, instances, containers and web identities, but not all sources.
//! The SDK reads profile files once per client. An answer that calls the credentials expired or unknown does
//! not change its cache. So after such a failure the next call uses a new client, which reads all sources
//! again. A connection makes at most one new client per [`RENEWAL_MIN`].
//!
//! Every call goes through [`Connection::call`]. It is one attempt, bounded in time, and its failure is
//! translated.

#[cfg(feature = "s3")]
mod beside;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_config::default_provider::region::DefaultRegionChain;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::identity::IdentityCache;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::SharedHttpClient;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use tokio::sync::RwLock;
use tokio::time::Instant;
use url::Url;

use super::{credentials, error, host, transport};
use crate::ports::{Operation, QueueError, QueueErrorKind, QueueReason};
use crate::sqs::{QueueRef, Role, Settings};

/// Time for DNS, TCP and TLS of a call to SQS or STS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time for finding credentials, within the time of the call that needs them. It is shorter than the ten
/// seconds of the first call. So the log reports what the credential chain found, and not a timeout.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(9);
/// Shortest life of a client: concurrent calls fail together and must not each make a new one.
const RENEWAL_MIN: Duration = Duration::from_secs(5);
/// Region for servers that are not AWS: they rarely check it, but a request cannot be signed without one.
const ANY_REGION: Region = Region::from_static("us-east-1");

/// Listeners with equal keys share one client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    region: Option<String>,
    profile: Option<String>,
    role: Option<Role>,
    address: Option<Url>,
    /// The origin of the queue's URL. It separates servers where no address is set.
    origin: Option<Url>,
}

impl Key {
    pub(super) fn new(settings: &Settings) -> Self {
        let region = settings.region.as_deref().or_else(|| host::region(&settings.queue));
        let origin = match &settings.queue {
            QueueRef::Url(url) => url.join("/").ok(),
            QueueRef::Arn { .. } | QueueRef::Name(_) => None,
        };
        Self {
            region: region.map(str::to_owned),
            profile: settings.profile.clone(),
            role: settings.role.clone(),
            address: settings.address.clone(),
            origin,
        }
    }

    /// Reads the SDK's configuration and makes a client, which calls over `transport`.
    async fn client(&self, transport: &SharedHttpClient) -> Client {
        let known = self.configured_region().region().await;
        // The first load shows whether the SDK's own settings name an address. With a region, any region, it
        // needs no network. Without a region some provider would ask the instance for one.
        let any = known.clone().unwrap_or(ANY_REGION);
        let first_look = self.loader(transport).no_credentials().region(any).load().await;
        let of_settings = || first_look.endpoint_url().and_then(|url| url.parse().ok());
        let server = self.address.clone().or_else(of_settings).or_else(|| self.origin.clone());
        let is_aws = server.as_ref().is_none_or(host::is_aws);
        let region = match known {
            None if is_aws => self.region_chain().await,
            None => Some(ANY_REGION),
            known => known,
        };

        let mut loader = self.loader(transport).region(region.clone());
        if self.address.as_ref().is_some_and(host::is_loopback) {
            loader = loader.credentials_provider(credentials::dummy());
        } else if server.as_ref().is_some_and(host::is_loopback) {
            loader = loader.credentials_provider(credentials::of_this_machine(self.profile.as_deref()).await);
        }
        // An address of AWS serves SQS only; another server also serves STS.
        if let Some(address) = self.address.as_ref().filter(|_| !is_aws) {
            loader = loader.endpoint_url(address.as_str()).use_fips(false).use_dual_stack(false);
        }
        let mut shared = loader.load().await;
        // The SDK ignores the host of the queue's URL, so this address ranks below the SDK's own settings.
        let by_url =
            self.origin.as_ref().filter(|_| self.address.is_none() && shared.endpoint_url().is_none());
        if let Some(origin) = by_url.filter(|origin| !host::is_aws(origin)) {
            shared = with_endpoint(shared, origin);
        }
        let mut sqs = match by_url.filter(|origin| host::is_vpc_endpoint(origin)) {
            Some(origin) => aws_sdk_sqs::config::Builder::from(&with_endpoint(shared.clone(), origin)),
            None => aws_sdk_sqs::config::Builder::from(&shared),
        };
        if let Some(address) = &self.address {
            sqs = sqs.endpoint_url(address.as_str()).use_fips(false).use_dual_stack(false);
        }
        if by_url.is_some_and(host::is_fips) {
            sqs = sqs.use_fips(true);
        }
        if by_url.is_some_and(host::is_dual_stack) {
            sqs = sqs.use_dual_stack(true);
        }
        if let Some(role) = &self.role {
            sqs = sqs.credentials_provider(credentials::of_role(role, &shared, region).await);
        }
        Client::from_conf(sqs.build())
    }

    /// The options that all loads of the SDK's configuration share.
    fn loader(&self, transport: &SharedHttpClient) -> ConfigLoader {
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(transport.clone())
            .retry_config(RetryConfig::disabled())
            // Long polls are silent for 20 s by design; the call's own timeout bounds the rest.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build())
            .identity_cache(IdentityCache::lazy().load_timeout(CREDENTIALS_TIMEOUT).build());
        match &self.profile {
            Some(profile) => loader.profile_name(profile),
            None => loader,
        }
    }

    /// The region by settings, queue, environment or profile: all sources that need no network.
    fn configured_region(&self) -> RegionProviderChain {
        if let Some(region) = &self.region {
            return RegionProviderChain::first_try(Region::new(region.clone()));
        }
        let mut profile_files = ProfileFileRegionProvider::builder();
        if let Some(profile) = &self.profile {
            profile_files = profile_files.profile_name(profile);
        }
        RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(profile_files.build())
    }

    /// The SDK's whole credential chain, instance metadata included.
    async fn region_chain(&self) -> Option<Region> {
        let mut chain = DefaultRegionChain::builder();
        if let Some(profile) = &self.profile {
            chain = chain.profile_name(profile);
        }
        chain.build().region().await
    }
}

/// `config` with an address where the SDK's own settings name none.
fn with_endpoint(config: SdkConfig, origin: &Url) -> SdkConfig {
    // The SDK refuses these options together with an address.
    config.into_builder().endpoint_url(origin.as_str()).use_fips(false).use_dual_stack(false).build()
}

/// A client that is made on first use and replaced when its credentials fail.
pub(super) struct Connection {
    key: Key,
    current: RwLock<Option<Current>>,
    token_in_clear: Arc<AtomicBool>,
}

#[derive(Clone)]
struct Current {
    client: Client,
    made_at: Instant,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(key: Key) -> Self {
        Self { key, current: RwLock::new(None), token_in_clear: Arc::default() }
    }

    /// A connection over `client`, as if made at `made_at`.
    #[cfg(any(test, fuzzing))]
    pub(super) fn made(settings: &Settings, client: Client, made_at: Instant) -> Self {
        let current = RwLock::new(Some(Current { client, made_at }));
        Self { key: Key::new(settings), current, token_in_clear: Arc::default() }
    }

    /// Whether the client exists already.
    #[cfg(test)]
    pub(super) async fn has_client(&self) -> bool {
        self.current.read().await.is_some()
    }

    /// Whether a session token left this machine over plain HTTP.
    pub(super) fn sends_token_in_clear(&self) -> bool {
        self.token_in_clear.load(Ordering::Relaxed)
    }

    /// Makes one call about `queue`, within `limit`.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo what SQS does with the call.
    pub(super) async fn call<T, E, F>(
        &self,
        operation: Operation,
        queue: &Arc<str>,
        limit: Duration,
        send: impl FnOnce(Client) -> F,
    ) -> Result<T, QueueError>
    where
        F: Future<Output = Result<T, SdkError<E>>>,
        E: ProvideErrorMetadata + Error + 'static,
    {
        let attempt = async {
            let Current { client, made_at } = self.client().await;
            if client.config().region().is_none() {
                let text = "neither the listener, the queue, the environment nor the profile names one";
                return Err((made_at, error::failed(operation, queue, QueueReason::NoRegion, text)));
            }
            send(client).await.map_err(|said| (made_at, error::queue_error(operation, queue, &said)))
        };
        match tokio::time::timeout(limit, Box::pin(attempt)).await {
            Err(_) => Err(error::timed_out(operation, queue, limit)),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err((made_at, failure))) => {
                // An edited profile may also name another region.
                if failure.kind == QueueErrorKind::Credentials || failure.reason == QueueReason::WrongRegion {
                    self.renew(made_at).await;
                }
                Err(failure)
            }
        }
    }

    /// Makes the client, if there is none.
    pub(super) async fn make(&self) {
        self.client().await;
    }

    /// The client; makes one if none exists.
    async fn client(&self) -> Current {
        if let Some(current) = self.current.read().await.as_ref() {
            return current.clone();
        }
        let mut current = self.current.write().await;
        if let Some(current) = current.as_ref() {
            return current.clone();
        }
        let transport = transport::client(Arc::clone(&self.token_in_clear), transport::ANSWER_MAX);
        let made = Current { client: Box::pin(self.key.client(&transport)).await, made_at: Instant::now() };
        current.insert(made).clone()
    }

    /// Drops the client made at `made_at`, unless it was replaced already or is too young.
    async fn renew(&self, made_at: Instant) {
        if made_at.elapsed() < RENEWAL_MIN {
            return;
        }
        let mut current = self.current.write().await;
        if current.as_ref().is_some_and(|current| current.made_at == made_at) {
            *current = None;
        }
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
