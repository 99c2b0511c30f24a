//! `endpoints.NAME.auth.sigv4`: requests signed with credentials of AWS.
//!
//! The region is part of a signature, so it must be known. A Lambda function URL names it, and so does every
//! other address of AWS. Else it is written, or in the environment.

use url::Url;

use crate::config::env::{Lookup, set};
use crate::config::fields::Fields;
use crate::config::problem::{Fault, Place, Report, Written};
use crate::config::{rules, value};
use crate::endpoint::auth;
use crate::sqs;

/// Variables of the SDKs, the stronger one first.
const REGION_VARIABLES: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
/// Addresses of AWS that serve customers' own code: function URLs, VPC Lattice.
const ON_AWS: &str = ".on.aws";

/// The keys as written.
#[derive(Debug)]
pub(super) struct SigV4 {
    key: String,
    place: Place,
    service: Option<Written>,
    region: Option<Written>,
    role_arn: Option<Written>,
    external_id: Option<Written>,
    profile: Option<Written>,
}

impl SigV4 {
    /// Its keys, each with what is written there.
    pub(super) fn written(&self) -> [(&'static str, Option<&Written>); 5] {
        [
            ("service", self.service.as_ref()),
            ("region", self.region.as_ref()),
            ("role_arn", self.role_arn.as_ref()),
            ("external_id", self.external_id.as_ref()),
            ("profile", self.profile.as_ref()),
        ]
    }

    pub(super) fn read(mut fields: Fields<'_>) -> Self {
        let sigv4 = Self {
            key: fields.path().to_owned(),
            place: fields.place().clone(),
            service: fields.text("service"),
            region: fields.text("region"),
            role_arn: fields.text("role_arn"),
            external_id: fields.secret("external_id"),
            profile: fields.text("profile"),
        };
        fields.finish();
        sigv4
    }

    /// The settings; `None` when the report has a problem with them. `url` is the endpoint's.
    pub(super) fn settings(
        &self,
        url: Option<&Url>,
        env: Lookup<'_>,
        report: &mut Report,
    ) -> Option<auth::SigV4> {
        let missing = |key: &str, rule: &str, fix: &str, report: &mut Report| {
            let key = format!("{}.{key}", self.key);
            if !report.mentions(&key) {
                report.refuse_key(&self.place, &key, Fault::new(rule).fix(fix));
            }
        };
        if self.service.is_none() {
            let fix = "write lambda for a function URL, execute-api for API Gateway";
            missing("service", "is required: the name of the service in signatures", fix, report);
        }
        let service = report.parse(self.service.as_ref(), service);
        let written = report.parse(self.region.as_ref(), value::region);
        let of_env = || REGION_VARIABLES.iter().find_map(|name| set(env, name));
        let region = written.or_else(|| region_of(url?)).or_else(of_env);
        if region.is_none() && url.is_some() && self.region.is_none() {
            let fix = "write it, or set AWS_REGION";
            missing("region", "is required: neither the url nor AWS_REGION names one", fix, report);
        }
        let role_arn = report.parse(self.role_arn.as_ref(), value::role_arn);
        let external_id = report.parse(self.external_id.as_ref(), value::external_id);
        let with_role = rules::goes_with("role_arn", self.role_arn.is_some());
        report.require(self.external_id.as_ref(), with_role);
        let profile = report.parse(self.profile.as_ref(), value::profile);
        Some(auth::SigV4 { service: service?, region: region?, profile, role_arn, external_id })
    }
}

/// The name of a service as signatures have it.
fn service(text: &str) -> Result<String, Fault> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || !text.chars().all(fits) {
        let fault = Fault::new("is no name of a service: lower-case letters, digits and `-`");
        return Err(fault.fix("write lambda for a function URL, execute-api for API Gateway"));
    }
    Ok(text.to_owned())
}

/// The region in the host of an address of AWS; it is never the first label.
fn region_of(url: &Url) -> Option<String> {
    let host = url.domain().filter(|host| host.ends_with(ON_AWS) || sqs::is_aws(url))?;
    let (_, host) = host.split_once('.')?;
    let is_region = |label: &&str| {
        let number = label.rsplit_once('-').filter(|(place, _)| place.contains('-'));
        number
            .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    host.rsplit('.').find(is_region).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_that_of_the_address() {
        for (url, region) in [
            ("https://abc123.lambda-url.eu-west-1.on.aws/", Some("eu-west-1")),
            ("https://abc-2-def-1.execute-api.us-gov-west-1.amazonaws.com/prod", Some("us-gov-west-1")),
            ("https://svc-0123.7d67968.vpc-lattice-svcs.us-west-2.on.aws", Some("us-west-2")),
            ("https://sqs.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("https://us-west-2.example.com", None),
            ("https://a-b-1.s3.amazonaws.com", None),
            ("http://127.0.0.1", None),
        ] {
            assert_eq!(region_of(&url.parse().expect(url)).as_deref(), region, "{url}");
        }
    }

    #[test]
    fn a_service_is_named_as_in_signatures() {
        assert!(service("lambda").is_ok() && service("execute-api").is_ok());
        assert!(service("").is_err() && service("Lambda").is_err() && service("a/b").is_err());
    }
}
