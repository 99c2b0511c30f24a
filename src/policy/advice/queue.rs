//! Calls to SQS that failed as a whole: the kinds the program branches on, and the reasons for people.
//!
//! Placeholders:
//!
//! - `{operation}`, and `{queue}` as the call named it.
//! - `{principal}`, `{action}`, `{resource}`: as AWS named them, or as the operation implies.
//! - `{where}`: the policy that AWS named.
//! - `{key}`; `{kms}`: the actions on a key.
//! - `{skew}`: the difference of the clocks.

use super::{Advice, fill};

/// IAM's name for sending.
const SEND: &str = "sqs:SendMessage";
/// KMS actions that an encrypted queue requires of receivers, and of senders. Source: SQS Developer Guide,
/// "Key management".
const KMS_OF_CONSUMERS: &str = "kms:Decrypt";
const KMS_OF_SENDERS: &str = "kms:GenerateDataKey and kms:Decrypt";

/// Why a call failed, as far as the program acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QueueErrorKind {
    /// The queue does not exist, or no longer.
    Missing,
    /// Credentials are valid, but the permission is missing.
    Denied,
    /// Credentials are absent, wrong or expired, or the role could not be assumed.
    Credentials,
    /// SQS asks us to slow down.
    Throttled,
    /// The queue has the most messages in flight that SQS allows, standard or FIFO: 120,000.
    OverLimit,
    /// SQS failed (5xx).
    Server,
    /// SQS could not be reached, or the connection broke.
    Network,
    /// No answer in time.
    TimedOut,
    /// SQS refused the request itself.
    Invalid,
}

impl QueueErrorKind {
    /// Every kind, to initialise metrics.
    pub const ALL: [Self; 9] = [
        Self::Missing,
        Self::Denied,
        Self::Credentials,
        Self::Throttled,
        Self::OverLimit,
        Self::Server,
        Self::Network,
        Self::TimedOut,
        Self::Invalid,
    ];

    /// Label value of the kind.
    pub fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Denied => "denied",
            Self::Credentials => "credentials",
            Self::Throttled => "throttled",
            Self::OverLimit => "over_limit",
            Self::Server => "server",
            Self::Network => "network",
            Self::TimedOut => "timed_out",
            Self::Invalid => "invalid",
        }
    }

    /// Whether a person has to act before the call can succeed: the listener is then *faulted*.
    pub fn is_fault(self) -> bool {
        match self {
            Self::Missing | Self::Denied | Self::Credentials | Self::Invalid => true,
            Self::Throttled | Self::OverLimit | Self::Server | Self::Network | Self::TimedOut => false,
        }
    }
}

classes! {
    /// Why a call to SQS failed, for the person who has to fix it.
    QueueReason of QueueErrorKind;

    QueueMissing, "queue_missing", Missing:
        "the queue does not exist, or not in this region and account";
        "create the queue, or correct the listener's queue, region or role_arn: SQS says the same of a queue in \
         another region or account";
    NoDeadLetterQueue, "dead_letter_missing", Missing:
        "the queue has no dead-letter queue to send the message to";
        "give the queue a redrive policy, or choose another action than dead_letter under on_response";

    AccessDenied, "access_denied", Denied:
        "access denied: {principal} may not do {action} on {resource}";
        "allow {action} on {resource} in the IAM policy of the role or user that queuepost runs as; a consumer needs \
         sqs:ReceiveMessage, sqs:DeleteMessage, sqs:ChangeMessageVisibility and sqs:GetQueueAttributes, and \
         sqs:GetQueueUrl when the queue is given by ARN or name";
    QueuePolicy, "queue_policy", Denied:
        "access denied: the queue's own policy does not let {principal} do {action} on {resource}";
        "allow {action} to {principal} in the policy of {resource} (queue attribute Policy); across accounts the \
         queue's policy and the caller's IAM policy both have to allow it";
    ExplicitDeny, "explicit_deny", Denied:
        "access denied: a Deny statement{where} keeps {principal} from {action} on {resource}";
        "remove or narrow the Deny{where}, for no Allow outweighs it; look at its conditions first, such as \
         aws:SourceVpce, aws:SourceIp, aws:PrincipalArn or aws:SecureTransport";
    PolicyBoundary, "policy_boundary", Denied:
        "access denied: {principal} may not do {action} on {resource}, for it is not allowed{where}";
        "allow {action}{where}: permissions boundary, session policy, VPC endpoint policy and service control policy \
         each have to allow what the caller's own policy allows";
    KmsDenied, "kms_denied", Denied:
        "access denied: the queue is encrypted, and {principal} may not do {action} on its KMS key{key}";
        "allow {kms} on the key{key}, in the caller's IAM policy and in the key policy (receiving needs \
         kms:Decrypt, sending kms:GenerateDataKey and kms:Decrypt); the AWS managed key alias/aws/sqs admits no \
         other account";
    OptIn, "opt_in_required", Denied:
        "the AWS account is not allowed to use the service or region";
        "finish the account's sign-up, or enable the region, in the AWS console";
    Forbidden, "sqs_forbidden", Denied:
        "access denied: {operation} was answered 403 without an error code of SQS's";
        "allow {action} to the caller; if the policies do, look for a proxy, firewall or VPC endpoint between this \
         machine and SQS that answers in its place";

    NoCredentials, "no_credentials", Credentials:
        "no AWS credentials were found";
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile, or give the pod, task or instance a role \
         (try: aws sts get-caller-identity); in a container on EC2 also set the metadata hop limit to 2: aws ec2 \
         modify-instance-metadata-options --instance-id ID --http-put-response-hop-limit 2";
    InstanceMetadata, "instance_metadata", Credentials:
        "no AWS credentials were found: the instance metadata service (IMDS), asked last, gave none";
        "attach a role to the instance, or give credentials by environment, profile or the pod's or task's role; in a container on EC2 set the hop limit to 2: aws ec2 \
         modify-instance-metadata-options --instance-id ID --http-put-response-hop-limit 2";
    CredentialsSlow, "credentials_timed_out", Credentials:
        "no credentials within 9 s";
        "check the way to STS, SSO or the instance metadata service; in a container on EC2 set the metadata hop limit \
         to 2: aws ec2 modify-instance-metadata-options --instance-id ID --http-put-response-hop-limit 2";
    ExpiredToken, "expired_token", Credentials:
        "the AWS credentials have expired";
        "get new ones where these came from (aws sso login, aws sts assume-role, the tool that wrote them); files \
         are read again by themselves, environment variables only at a restart";
    ClockSkew, "clock_skew", Credentials:
        "this machine's clock differs too much from that of AWS{skew}";
        "set the clock and keep it synchronised by NTP (timedatectl set-ntp true, or chronyd); for containers, on \
         their host";
    WrongSecret, "wrong_secret", Credentials:
        "the request's signature is wrong: the secret access key does not belong to the access key id";
        "check AWS_SECRET_ACCESS_KEY or the profile for a value cut off, a line end in it, or the secret of another \
         key; if it is right, a proxy changes the request";
    UnknownKey, "unknown_key", Credentials:
        "AWS does not know the access key id, or the session token is none of its";
        "check AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN (aws sts get-caller-identity); a key is unknown too once it is \
         deleted, in another partition (China, GovCloud), and in a region the account has not enabled";
    Unsigned, "unsigned", Credentials:
        "the request came to SQS without a complete signature";
        "look for a proxy that strips the Authorization header, and check the credentials for a missing part";
    RoleDenied, "assume_role_denied", Credentials:
        "the role was not assumed: {principal} may not do {action} on {resource}";
        "allow sts:AssumeRole on {resource} in the caller's IAM policy, name {principal} as Principal in the role's \
         trust policy, and set external_id to what the trust policy demands, if it does";
    WebIdentity, "web_identity", Credentials:
        "the web identity token was not exchanged for credentials";
        "check that AWS_WEB_IDENTITY_TOKEN_FILE is mounted and readable, that AWS_ROLE_ARN is right, and that the \
         role's trust policy allows sts:AssumeRoleWithWebIdentity to this cluster's OIDC provider, service account \
         (sub) and audience (aud)";
    SsoSession, "sso_session", Credentials:
        "the SSO session is missing or has expired";
        "run: aws sso login (with --profile, if one is chosen); a server should have a role instead";
    Profile, "profile", Credentials:
        "the AWS profile gives no credentials";
        "check the profile's name (profile, AWS_PROFILE) and what it says in ~/.aws/config and ~/.aws/credentials; \
         try: aws sts get-caller-identity";
    ProxyCredentials, "sqs_proxy_credentials", Credentials:
        "the proxy before SQS wants credentials (407)";
        "put them into HTTPS_PROXY: http://USER:PASSWORD@HOST:PORT";
    Credentials, "credentials", Credentials:
        "the AWS credentials are missing, wrong or expired, or the role could not be assumed";
        "try: aws sts get-caller-identity; with role_arn check the role's trust policy and external_id";

    Throttled, "sqs_throttled", Throttled:
        "SQS throttled the call";
        "try again (`run` does so by itself); if it stays, spread the load over queues, use fewer processes, or \
         ask AWS for a higher quota";
    KmsThrottled, "kms_throttled", Throttled:
        "KMS throttled SQS's use of the queue's key";
        "raise KmsDataKeyReusePeriodSeconds of the queue (up to 86400), or the account's KMS request quota";
    OverLimit, "over_limit", OverLimit:
        "too many messages of this queue are in flight: SQS allows 120,000";
        "find who receives without deleting; messages hidden after a 429 count too, so give the endpoint more room or \
         shorten throttle_delay";
    Server, "sqs_failed", Server:
        "SQS failed";
        "try again (`run` does so by itself); if it stays, look at the AWS health dashboard";

    Dns, "sqs_dns", Network:
        "the name of SQS's server has no address here";
        "check the host of the queue's URL, or that of HTTP_PROXY or HTTPS_PROXY if one is set, the region's spelling, \
         and this machine's DNS; in a VPC without internet \
         access create an SQS endpoint with private DNS";
    ConnectionRefused, "sqs_refused", Network:
        "nobody listens where SQS should be";
        "check host and port of the queue's URL (or AWS_ENDPOINT_URL_SQS); start the local server, or open the \
         firewall; if HTTP_PROXY or HTTPS_PROXY is set, it may be the proxy that is not there";
    Tls, "sqs_tls", Network:
        "the TLS handshake with SQS failed";
        "if a proxy opens TLS here, add its authority to this machine's trusted certificates; check the clock, and \
         that the URL's scheme is right";
    Connection, "sqs_connection", Network:
        "the connection to SQS broke";
        "try again (`run` does so by itself); if it is not rare, look at the proxies, NAT and firewalls between";
    Proxy, "sqs_proxy", Network:
        "the proxy before SQS did not connect";
        "check HTTPS_PROXY, and let the proxy connect to SQS's host, or name that in NO_PROXY";
    NotSqs, "not_sqs", Network:
        "what answered is not SQS";
        "check the queue's URL, AWS_ENDPOINT_URL_SQS and the proxy: a web page, a login page or another service \
         answered";
    AnswerTooLong, "sqs_answer_too_long", Network:
        "what answered sent more than 16 MiB, and the rest was not read";
        "check the queue's URL, AWS_ENDPOINT_URL_SQS and the proxy: no answer of SQS's is so long, so another service \
         answered; a server that is not Amazon's is asked for one message at a time for ten minutes";
    Network, "sqs_network", Network:
        "SQS could not be reached";
        "check the host of the queue's URL, the region, and the way to SQS (proxy, VPC endpoint, firewall)";
    ConnectTimedOut, "sqs_connect_timed_out", TimedOut:
        "no connection to SQS came about in time";
        "open the way to SQS's host on port 443 (security group, NAT, firewall), create a VPC endpoint for SQS, or \
         set HTTPS_PROXY";
    TimedOut, "sqs_timed_out", TimedOut:
        "SQS did not answer in time";
        "try again (`run` does so by itself); if it is not rare, check the way to SQS (proxy, VPC endpoint, firewall)";

    WrongRegion, "wrong_region", Invalid:
        "the request is signed for another region than the server's";
        "set the listener's region (or AWS_REGION) to that of the queue's URL or ARN; for a proxy or VPC endpoint \
         with a name of its own, to the region it stands for";
    NoRegion, "no_region", Invalid:
        "no AWS region is known";
        "set region, AWS_REGION, or region in the profile; a queue's URL or ARN names its own";
    Address, "invalid_address", Invalid:
        "the server does not serve the queue's URL";
        "take the URL as aws sqs get-queue-url prints it, with the account number, and check that its region is the \
         listener's";
    KmsKeyDisabled, "kms_key_disabled", Invalid:
        "the queue's KMS key is disabled";
        "enable it (aws kms enable-key --key-id KEY), or give the queue another key; messages stay in the queue until \
         their retention ends";
    KmsKeyState, "kms_key_state", Invalid:
        "the queue's KMS key is in a state in which it cannot be used, such as pending deletion";
        "look with: aws kms describe-key --key-id KEY; then aws kms cancel-key-deletion and aws kms enable-key";
    KmsKeyMissing, "kms_key_missing", Invalid:
        "the queue's KMS key does not exist";
        "give the queue a key of its region: aws sqs set-queue-attributes --attributes KmsMasterKeyId=KEY; what a \
         deleted key encrypted is lost";
    KmsKeyUsage, "kms_key_usage", Invalid:
        "the queue's KMS key is of a kind that cannot encrypt a queue";
        "give the queue a symmetric key for encryption and decryption";
    Unsupported, "unsupported_operation", Invalid:
        "the server does not support {operation}, or not for this queue";
        "check that the queue is of the expected type (FIFO or standard) and that the server is a full SQS";
    TooLong, "message_too_long", Invalid:
        "the message is longer than the queue takes";
        "shorten the body, or raise the queue's MaximumMessageSize (1 MiB at most); attributes count too";
    Contents, "message_contents", Invalid:
        "the message has characters SQS does not carry";
        "encode the body, in base64 for example: SQS takes only the characters of XML 1.0";
    Parameter, "invalid_parameter", Invalid:
        "SQS does not accept a parameter of {operation}";
        "see what SQS says; a FIFO queue needs --group-id, and --deduplication-id unless it deduplicates by content, \
         and allows no delay of a single message";
    Batch, "invalid_batch", Invalid:
        "SQS does not accept the batch as a whole";
        "report it: queuepost keeps to the rules for batches; until then use fewer workers";
    UnexpectedAnswer, "unexpected_answer", Invalid:
        "{operation} was refused without an error code of SQS's";
        "check the queue's URL and AWS_ENDPOINT_URL_SQS: what answers may be another service, or a proxy";
    Refused, "request_refused", Invalid:
        "SQS refused the request";
        "see what SQS says; check the queue's name, region and account";
}

/// The call that failed.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// SQS's name for the operation.
    pub operation: &'a str,
    /// IAM's name for the action: batch operations have no action of their own.
    pub action: &'a str,
    /// The queue, as the call named it.
    pub queue: &'a str,
}

/// Details that AWS adds to the reason of a failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// The principal that was refused.
    pub principal: Option<String>,
    /// The action that was refused.
    pub action: Option<String>,
    /// The resource of the refused action.
    pub resource: Option<String>,
    /// The policy that refused: `in a resource-based policy`.
    pub place: Option<String>,
    /// Difference of the clocks: `by 30 min`.
    pub skew: Option<String>,
}

impl QueueReason {
    /// The texts for one failure. Details that AWS left out are derived from the call.
    pub fn advice(self, call: &Call<'_>, named: &Named) -> Advice {
        let kms = if call.action == SEND { KMS_OF_SENDERS } else { KMS_OF_CONSUMERS };
        let (action, resource) = if self == Self::KmsDenied {
            (kms, "the key")
        } else if self == Self::RoleDenied {
            ("sts:AssumeRole", "the role")
        } else {
            (call.action, call.queue)
        };
        // AWS writes the actions of SQS in lower case.
        let said = named.action.as_deref().filter(|said| !said.eq_ignore_ascii_case(action));
        let spaced =
            |text: &Option<String>| text.as_ref().map_or_else(String::new, |text| format!(" {text}"));
        let (place, key, skew) = (spaced(&named.place), spaced(&named.resource), spaced(&named.skew));
        let values = [
            ("operation", call.operation),
            ("queue", call.queue),
            ("principal", named.principal.as_deref().unwrap_or("the caller")),
            ("action", said.unwrap_or(action)),
            ("resource", named.resource.as_deref().unwrap_or(resource)),
            ("where", &place),
            ("key", &key),
            ("kms", kms),
            ("skew", &skew),
        ];
        Advice { meaning: fill(self.meaning(), &values), fix: fill(self.fix(), &values) }
    }
}
