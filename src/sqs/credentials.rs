//! Credentials: the SDK's chain, the chain for a queue on this machine, and an assumed role.
//!
//! A server on a loopback address checks no credentials, but the SDK does not sign without any. So for such a
//! server the chain is environment → profile → placeholder. It never asks an instance or a container for
//! credentials, because a laptop would wait in vain for the answer.
//! The placeholder replaces *missing* credentials only. A chosen profile, a profile that names credentials,
//! and unreadable files fail as they do everywhere.

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::{self, ProfileFileCredentialsProvider};
use aws_config::sts::AssumeRoleProvider;
use aws_config::{Region, SdkConfig};
use aws_sdk_sqs::config::Credentials;

use crate::sqs::Role;

/// Key, secret and provider name of the placeholder; session name of an assumed role, for its owner's logs.
const NAME: &str = "queuepost";

/// Keys of a profile that name a source of credentials.
const CREDENTIAL_KEYS: [&str; 10] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "credential_process",
    "credential_source",
    "login_session",
    "role_arn",
    "source_profile",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
];

/// For a server on this machine, which checks no credentials.
pub(super) fn dummy() -> Credentials {
    Credentials::new(NAME, NAME, None, None, NAME)
}

/// The chain for a queue on this machine.
pub(super) async fn of_this_machine(profile: Option<&str>) -> CredentialsProviderChain {
    let mut profile_files = ProfileFileCredentialsProvider::builder();
    if let Some(profile) = profile {
        profile_files = profile_files.profile_name(profile);
    }
    let chain =
        CredentialsProviderChain::first_try("environment", EnvironmentVariableCredentialsProvider::new())
            .or_else("profile", profile_files.build());
    if profile.is_some() || is_profile_meant_to_give_any().await {
        return chain;
    }
    chain.or_else("dummy", dummy())
}

/// Whether a profile is chosen, or the default profile names credentials or cannot be read.
#[allow(
    clippy::default_trait_access,
    reason = "the SDK does not export the types' names, or calls them deprecated"
)]
async fn is_profile_meant_to_give_any() -> bool {
    let files = profile::load(&Default::default(), &Default::default(), &Default::default(), None).await;
    let Ok(files) = files else { return true };
    files.selected_profile() != "default"
        || files
            .get_profile("default")
            .is_some_and(|profile| CREDENTIAL_KEYS.iter().any(|key| profile.get(key).is_some()))
}

/// Assumes `role` with the credentials of `base`, at the STS that `base` names.
pub(super) async fn of_role(role: &Role, base: &SdkConfig, region: Option<Region>) -> AssumeRoleProvider {
    let mut provider = AssumeRoleProvider::builder(role.arn.as_str()).session_name(NAME).configure(base);
    if let Some(region) = region {
        provider = provider.region(region);
    }
    if let Some(external_id) = &role.external_id {
        provider = provider.external_id(external_id.as_str());
    }
    provider.build().await
}
