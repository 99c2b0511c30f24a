//! The HTTP client under the SDK: bounded answers, no proxy to this machine, tokens in clear text noticed.
//!
//! It wraps the SDK's default client. A queue's answer longer than [`ANSWER_MAX`] ends with an error instead of
//! filling the memory. Requests to a loopback address never use a proxy, because a signed request and its
//! message concern nobody else.
//! The first session token that leaves this machine over plain HTTP is logged. All of this also holds for the
//! calls to STS and SSO that credentials need.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use http_body_util::{LengthLimitError, Limited};
use url::Url;

use super::host;

/// Longest answer that is read, in bytes. A receive from Amazon has 1 MiB of messages (AWS limit), at most
/// six times that as JSON. Other servers allow 1 MiB for each of ten messages.
pub(super) const ANSWER_MAX: usize = 16 * 1024 * 1024;
/// The header that carries a session token.
const TOKEN: &str = "x-amz-security-token";

/// Whether an error says that an answer was longer than [`ANSWER_MAX`].
pub(super) fn is_too_long(error: &(dyn Error + 'static)) -> bool {
    error.is::<LengthLimitError>()
}

/// The client; answers end at `answer_max` bytes. `token_in_clear` becomes true with the first session token that is sent
/// over plain HTTP.
pub(super) fn client(token_in_clear: Arc<AtomicBool>, answer_max: usize) -> SharedHttpClient {
    let (proxied, direct) = (https(ProxyConfig::from_env), https(ProxyConfig::disabled));
    SharedHttpClient::new(Transport { proxied, direct, token_in_clear, answer_max })
}

/// The SDK's default client with a choice of proxies.
fn https(proxies: fn() -> ProxyConfig) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.set_proxy_config(Some(proxies()));
        connector.build()
    })
}

#[derive(Debug, Clone)]
struct Transport {
    proxied: SharedHttpClient,
    direct: SharedHttpClient,
    token_in_clear: Arc<AtomicBool>,
    answer_max: usize,
}

impl HttpClient for Transport {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let (transport, settings, components) = (self.clone(), settings.clone(), components.clone());
        SharedHttpConnector::new(Bounded { transport, settings, components })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.proxied.validate_base_client_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        Some(ConnectorMetadata::new("hyper", Some(Cow::Borrowed("1.x"))))
    }
}

/// A connector for one call.
#[derive(Debug)]
struct Bounded {
    transport: Transport,
    settings: HttpConnectorSettings,
    components: RuntimeComponents,
}

impl HttpConnector for Bounded {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let address = Url::parse(request.uri()).ok();
        if is_exposed(address.as_ref(), request.headers().get(TOKEN).is_some()) {
            self.token_leaves(address.as_ref());
        }
        let local = address.as_ref().is_some_and(host::is_loopback);
        let client = if local { &self.transport.direct } else { &self.transport.proxied };
        let answer = client.http_connector(&self.settings, &self.components).call(request);
        let answer_max = self.transport.answer_max;
        HttpConnectorFuture::new(async move {
            let bounded = |body| SdkBody::from_body_1_x(Limited::new(body, answer_max));
            answer.await.map(|answer| answer.map(bounded))
        })
    }
}

/// Whether the network can read the session token of a request.
pub(super) fn is_exposed(address: Option<&Url>, has_token: bool) -> bool {
    has_token && address.is_some_and(|address| address.scheme() == "http" && !host::is_loopback(address))
}

impl Bounded {
    fn token_leaves(&self, address: Option<&Url>) {
        if !self.transport.token_in_clear.swap(true, Ordering::Relaxed) {
            let host = address.and_then(Url::host_str);
            tracing::warn!(
                host,
                fix = TOKEN_FIX,
                "a session token of AWS travels over plain http: whoever sees it may use it until it expires"
            );
        }
    }
}

/// The fix for a session token in clear text.
pub const TOKEN_FIX: &str = "write the queue's URL (or AWS_ENDPOINT_URL_SQS) with https://; for a server that \
                                    is not Amazon's give credentials without a session token";
