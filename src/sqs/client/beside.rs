//! The SDK's configuration for a service beside the queue: with the queue's region, profile and role.

use aws_sdk_sqs::config::SharedCredentialsProvider;

use super::{ANY_REGION, Arc, Key, SdkConfig, Settings, Url, credentials, host, transport};

impl Key {
    /// The key of another service that is called as the consumer of `queue`, at `address` or at Amazon's.
    pub(in crate::sqs) fn beside(queue: &Settings, address: Option<&Url>) -> Self {
        Self { address: address.cloned(), origin: None, ..Self::new(queue) }
    }

    /// The configuration. Answers end at `answer_max` bytes.
    pub(in crate::sqs) async fn shared(&self, answer_max: usize) -> SdkConfig {
        let transport = transport::client(Arc::default(), answer_max);
        let known = self.configured_region().region().await;
        let any = known.clone().unwrap_or(ANY_REGION);
        let first_look = self.loader(&transport).no_credentials().region(any).load().await;
        let of_settings = || first_look.endpoint_url().and_then(|url| url.parse().ok());
        let server: Option<Url> = self.address.clone().or_else(of_settings);
        let is_aws = server.as_ref().is_none_or(host::is_aws);
        let region = match known {
            None if is_aws => self.region_chain().await,
            None => Some(ANY_REGION),
            known => known,
        };
        let mut loader = self.loader(&transport).region(region.clone());
        if server.as_ref().is_some_and(host::is_loopback) {
            loader = loader.credentials_provider(credentials::of_this_machine(self.profile.as_deref()).await);
        }
        // An address of AWS serves one service only; another server also serves STS.
        if let Some(address) = self.address.as_ref().filter(|_| !is_aws) {
            loader = loader.endpoint_url(address.as_str()).use_fips(false).use_dual_stack(false);
        }
        let shared = loader.load().await;
        let Some(role) = &self.role else { return shared };
        let provider = credentials::of_role(role, &shared, region).await;
        shared.into_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build()
    }
}
