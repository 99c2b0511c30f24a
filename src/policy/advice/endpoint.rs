//! The texts for what an endpoint did. They are finer than [`Outcome`], because a 401 and a 403 need
//! different fixes.
//!
//! Placeholders: `{status}`, and `{location}` (where a redirect points, origin only).

use super::{Advice, fill};
use crate::policy::outcome::{Answer, Attempt, Break, Outcome, Step};

classes! {
    /// Why a POST failed, for the person who has to fix it.
    EndpointReason of Outcome;

    Delivered, "delivered", Success:
        "the endpoint answered {status}: the message's work is done";
        "nothing";
    UnlistedSuccess, "unlisted_success", UnlistedSuccess:
        "the endpoint answered {status}, which this listener does not take for success";
        "add the line `success: 2xx` to the listener (or --success 2xx) to accept {status}, or let the endpoint answer 200";
    Throttled, "too_many_requests", Throttled:
        "the endpoint answered {status}: it has too much to do";
        "nothing, if it passes; else lower workers, sessions or rate_limit to what the endpoint takes, or give it more \
         room";
    Unavailable, "unavailable", Unavailable:
        "the endpoint answered {status} and said when to come back";
        "nothing, if it passes; else look at the endpoint's health and capacity";
    Overloaded, "overloaded", Overloaded:
        "the endpoint answered {status}: it is overloaded or down";
        "look at the endpoint's health; lower workers, sessions or rate_limit if it cannot keep up";
    BadGateway, "bad_gateway", Overloaded:
        "a proxy or load balancer before the endpoint answered {status}: it got no good answer itself";
        "look whether the endpoint runs, crashes under load, or closes idle connections sooner than the proxy before \
         it";
    GatewayTimeout, "gateway_timeout", Overloaded:
        "a proxy or load balancer before the endpoint answered {status}: the endpoint took longer than it waits";
        "raise the proxy's time-out to the listener's timeout, or make the endpoint faster";
    ServerError, "server_error", Failed:
        "the endpoint answered {status}: it failed";
        "look into the endpoint's log for the message id";
    FunctionError, "function_error", Failed:
        "AWS Lambda answered {status}, and that the function failed (X-Amz-Function-Error)";
        "look into the function's log; what it threw is in the answer";
    BatchItem, "batch_item_failed", Failed:
        "the endpoint answered {status} and named the message in batchItemFailures";
        "look into the endpoint's log for the message id";
    BatchAnswer, "bad_batch_answer", Failed:
        "the endpoint answered {status}, but not as a function for batches does: with nothing, null, or a JSON object whose \
         batchItemFailures name messages of the request";
        "let it answer with batchItemFailures, a list of objects with an itemIdentifier each (the message id), or with \
         nothing; with partial_failures: false under lambda the status alone counts";
    BatchAnswerLong, "long_batch_answer", Failed:
        "the endpoint answered {status}, and its answer to the batch is longer than what is read of it";
        "let the answer have batchItemFailures alone, or lower batch.size: 200 bytes are read for each message, between 64 KiB \
         and 2 MiB";
    Conflict, "try_again", Failed:
        "the endpoint answered {status}: not now, perhaps later";
        "nothing, if it passes; else look into the endpoint's log for the message id";
    WrongServer, "wrong_server", Failed:
        "the endpoint answered {status}: the request came to a server that is not responsible for this host";
        "check the host of the listener's url against the server's certificate and virtual hosts; several hosts behind \
         one certificate must not share connections there";
    Unauthenticated, "unauthenticated", Unauthorized:
        "the endpoint answered {status}: it does not know who we are";
        "check the endpoint's auth: is it set, is the key current, is the header the one the endpoint reads";
    Forbidden, "forbidden", Unauthorized:
        "the endpoint answered {status}: it does not let us in";
        "check what the key of the endpoint's auth may do; a receiver made to run behind a sidecar lets in only its own \
         pod or machine: run queuepost beside it and use a url on localhost, or allow this caller in its mesh or \
         firewall";
    NeighboursOnly, "sidecar_only", Unauthorized:
        "the endpoint answered {status}: wrong topology, it lets in only callers on its own machine, in its own pod or mesh";
        "run queuepost as a sidecar of the receiver, with a url on localhost; or allow this caller: in Istio by an \
         AuthorizationPolicy and a sidecar of its own, in a Beanstalk (sqsd) receiver by its list of trusted addresses";
    ProxyCredentials, "proxy_credentials", Unauthorized:
        "the proxy before the endpoint answered {status}: it wants credentials";
        "put them into HTTP_PROXY or HTTPS_PROXY (http://USER:PASSWORD@HOST:PORT), or name the endpoint in NO_PROXY";
    NotFound, "not_found", Misdirected:
        "the endpoint answered {status}: there is nothing at this path";
        "check the path of the listener's url (or its algorithm's owner, name and version), and that this is the \
         right host";
    MethodNotAllowed, "method_not_allowed", Misdirected:
        "the endpoint answered {status}: this path takes no POST";
        "check the path of the listener's url, and let the endpoint handle POST there";
    Redirected, "redirected", Misdirected:
        "the endpoint answered {status}, a redirect{location}; queuepost follows none";
        "set the listener's url to where the redirect ends; usual causes are http instead of https, a slash missing at \
         the end, and a login page";
    Rejected, "rejected", Rejected:
        "the endpoint answered {status}: it does not accept this message";
        "look into the endpoint's log for the message id; mend the sender or the endpoint, or choose dead_letter or \
         delete for {status} under on_response";
    TooLarge, "too_large", Rejected:
        "the endpoint answered {status}: the message is too large for it";
        "raise the body limit of the endpoint or of the proxy before it (nginx: client_max_body_size) to 1 MiB and more";
    MediaType, "media_type", Rejected:
        "the endpoint answered {status}: it does not take this Content-Type";
        "queuepost says application/json for a body that is JSON, else text/plain: let the endpoint accept that, or \
         send bodies of the form it wants";
    LengthRequired, "length_required", Rejected:
        "the endpoint answered {status}: something before it lost the request's Content-Length";
        "queuepost sends it with every POST: look for a proxy that turns requests into chunked ones";
    HeadersTooLarge, "headers_too_large", Rejected:
        "the endpoint answered {status}: address or headers are too long for it";
        "send fewer or shorter message attributes, or raise the endpoint's header limit to 16 KiB";
    NotImplemented, "not_implemented", Rejected:
        "the endpoint answered {status}: it cannot handle the request";
        "check that the listener's url is that of a service which takes POST";
    AlgorithmError, "algorithm_error", AlgorithmError:
        "the endpoint answered {status}, but its body has an error: the algorithm failed";
        "look into the algorithm's log; error_in_body: success takes such answers for success";
    TimedOut, "timed_out", TimedOut:
        "the endpoint did not answer within the listener's timeout";
        "raise timeout if the work takes longer, or let the endpoint answer sooner; what became of the work is unknown";
    Endless, "endless_answer", TimedOut:
        "the endpoint's answer is longer than the 16 MiB queuepost reads";
        "let the endpoint answer briefly: queuepost needs the status, and of the body 64 KiB at most";
    BrokenBefore, "closed_before_answer", Broken:
        "the connection broke before the endpoint answered";
        "look whether the endpoint crashed or restarted; if it happens between messages, its keep-alive is shorter \
         than pool_idle_timeout: lower that or raise its keep-alive";
    BrokenAmid, "closed_amid_answer", Broken:
        "the connection broke before the answer was complete";
        "look whether the endpoint crashed or was killed (memory) while it answered, and whether a proxy cuts answers \
         off";
    NotHttp, "not_http", Broken:
        "what the endpoint answered is not HTTP";
        "check scheme and port of the listener's url: http to a TLS port looks like this, and so does another service";
    Dns, "dns", Unsent:
        "the endpoint's name has no address";
        "check the host of the listener's url, or that of HTTP_PROXY or HTTPS_PROXY if one is set, and this machine's DNS";
    Refused, "connection_refused", Unsent:
        "nobody listens at the endpoint's address";
        "start the endpoint, or correct host and port of the listener's url; in a container, localhost is the \
         container itself; if HTTP_PROXY or HTTPS_PROXY is set, it may be the proxy that is not there";
    ConnectTimedOut, "connect_timed_out", Unsent:
        "no connection to the endpoint came about in time";
        "check the address, the firewall or network policy between, or raise connect_timeout";
    Proxy, "proxy", Unsent:
        "the proxy before the endpoint did not connect to it";
        "check HTTP_PROXY and HTTPS_PROXY (http://USER:PASSWORD@HOST:PORT if the proxy wants credentials), or name the \
         endpoint's host in NO_PROXY";
    Trust, "tls_untrusted", Unsent:
        "the endpoint's certificate is signed by no authority trusted here";
        "name the authority's certificate in tls.ca_file of the endpoint; if it is a public one, let the server send \
         its intermediate certificates too; a self-signed certificate must not be one of an authority (openssl: \
         basicConstraints=CA:FALSE)";
    Name, "tls_wrong_name", Unsent:
        "the endpoint's certificate is for another host";
        "use the name of the certificate in the listener's url, or give the endpoint a certificate for this host";
    Validity, "tls_expired", Unsent:
        "the endpoint's certificate has expired or is not valid yet";
        "renew the endpoint's certificate, and check this machine's clock";
    ClientCertificate, "tls_client_certificate", Unsent:
        "the endpoint does not accept our certificate, or that we have none";
        "set tls.cert_file and tls.key_file of the endpoint to a certificate it trusts, and check that it has not \
         expired";
    Tls, "tls", Unsent:
        "the TLS handshake with the endpoint failed";
        "check that the url's scheme and port are right, for https to a plain HTTP port looks like this; set \
         tls.cert_file and tls.key_file if the endpoint wants a client certificate, for some servers answer a missing \
         one with HandshakeFailure; trust a private authority with tls.ca_file";
    TokenServer, "token_server", Unsent:
        "the endpoint got nothing: its token server gives no token just now";
        "check token_url of the endpoint's auth, its host and port, and that server's health; the endpoint's TLS files \
         are used for it too";
    TokenClient, "token_client", Unsent:
        "the endpoint got nothing: the token server does not accept our client id and secret (invalid_client)";
        "check client_id and client_secret of the endpoint's auth, that the secret has not expired, and that the client \
         may use the grant client_credentials; some servers want client_auth: body";
    TokenRefused, "token_refused", Unsent:
        "the endpoint got nothing: the token server knows us and refuses what we ask for";
        "check scope and audience of the endpoint's auth, and that the client may use the grant client_credentials";
    TokenAnswer, "token_answer", Unsent:
        "the endpoint got nothing: what the token server answered is no Bearer token";
        "check that token_url of the endpoint's auth is the token endpoint (often /oauth2/token, /oauth/token or \
         …/v2.0/token); a redirect is not followed";
    AwsCredentials, "aws_credentials", Unsent:
        "the endpoint got nothing: there are no credentials of AWS to sign the request with";
        "give the process credentials (environment, profile, SSO, container or instance role), and let them assume \
         role_arn of the endpoint's auth if it has one";
    Unsent, "not_sent", Unsent:
        "the endpoint got nothing of the request: no connection came about, or it refused the HTTP/2 stream";
        "nothing, if it is rare; else check the listener's url, its tls files and the proxy variables";
    Unshapeable, "unshapeable", Unshapeable:
        "no request can be made of the message";
        "look at the message's body and attributes; mend the sender, or the listener's request settings";
    ClaimCheck, "claim_check_malformed", Unshapeable:
        "the message has the attribute of a claim check, and its body is no pointer of the SQS extended client";
        "look at the message's body and at the sender's library; what other libraries mean by the attribute needs a listener \
         without claim_check";
    BucketNotAllowed, "bucket_not_allowed", Unshapeable:
        "the claim check names a bucket that this listener may not read from";
        "add the bucket to claim_check.buckets if its owner may send to this endpoint; else look who sends to the queue";
    ObjectMissing, "object_missing", Unshapeable:
        "the object that the claim check names does not exist";
        "look whether another consumer or a lifecycle rule of the bucket deletes objects sooner than the queue's retention";
    ObjectTooLarge, "object_too_large", Unshapeable:
        "the object that the claim check names is longer than the listener fetches";
        "raise claim_check.max_size, and the memory of the process with it; or send less";
    ObjectDenied, "object_denied", Unfetched:
        "S3 does not let queuepost read the object that the claim check names";
        "allow s3:GetObject on the bucket's objects (and kms:Decrypt where they are encrypted with a key of yours) to the \
         listener's role; s3:ListBucket too, for without it S3 calls missing objects forbidden; check that the bucket exists";
    ObjectUnavailable, "object_unavailable", Unfetched:
        "the object that the claim check names could not be fetched from S3";
        "nothing, if it passes; else check the network to S3, claim_check.endpoint_url, and that bucket and queue are in one \
         region";
    Aborted, "aborted", Aborted:
        "the delivery was cut off by the shutdown deadline; what became of its work is unknown";
        "raise shutdown.deadline above the largest timeout, and what ends the process (terminationGracePeriodSeconds, \
         stop_grace_period) above that";
}

/// Values for the placeholders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// HTTP status of the answer, if there was one.
    pub status: Option<u16>,
    /// Where a redirect points: scheme, host, port.
    pub location: Option<String>,
}

impl EndpointReason {
    /// The class of an attempt whose outcome is `outcome`.
    pub fn of(outcome: Outcome, attempt: &Attempt) -> Self {
        match attempt {
            Attempt::Answered(answer) => Self::of_answer(outcome, answer),
            Attempt::TimedOut => Self::TimedOut,
            Attempt::Endless => Self::Endless,
            Attempt::Broken(broken) => match broken.at {
                Break::BeforeAnswer => Self::BrokenBefore,
                Break::AmidAnswer => Self::BrokenAmid,
                Break::NotHttp => Self::NotHttp,
            },
            Attempt::Unsent(unsent) => Self::of_step(unsent.step),
        }
    }

    /// The class of a connection that did not come about.
    pub fn of_step(step: Step) -> Self {
        match step {
            Step::Resolve => Self::Dns,
            Step::Refused => Self::Refused,
            Step::TimedOut => Self::ConnectTimedOut,
            Step::Proxy => Self::Proxy,
            Step::Trust => Self::Trust,
            Step::Name => Self::Name,
            Step::Validity => Self::Validity,
            Step::ClientCertificate => Self::ClientCertificate,
            Step::Tls => Self::Tls,
            Step::TokenServer => Self::TokenServer,
            Step::TokenClient => Self::TokenClient,
            Step::TokenRefused => Self::TokenRefused,
            Step::TokenAnswer => Self::TokenAnswer,
            Step::AwsCredentials => Self::AwsCredentials,
            Step::Other => Self::Unsent,
        }
    }

    /// The class of an outcome of which nothing more is known.
    pub fn of_outcome(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => Self::Delivered,
            Outcome::UnlistedSuccess => Self::UnlistedSuccess,
            Outcome::Throttled => Self::Throttled,
            Outcome::Unavailable => Self::Unavailable,
            Outcome::Overloaded => Self::Overloaded,
            Outcome::Failed => Self::ServerError,
            Outcome::Unauthorized => Self::Forbidden,
            Outcome::Misdirected => Self::NotFound,
            Outcome::Rejected => Self::Rejected,
            Outcome::AlgorithmError => Self::AlgorithmError,
            Outcome::TimedOut => Self::TimedOut,
            Outcome::Broken => Self::BrokenBefore,
            Outcome::Unsent => Self::Unsent,
            Outcome::Unshapeable => Self::Unshapeable,
            Outcome::Unfetched => Self::ObjectUnavailable,
            Outcome::Aborted => Self::Aborted,
        }
    }

    /// The class of one message whose outcome is not that of its POST.
    pub fn of_message(outcome: Outcome) -> Self {
        if outcome == Outcome::Failed { Self::BatchItem } else { Self::of_outcome(outcome) }
    }

    /// By status, but only where the status says more than the outcome.
    fn of_answer(outcome: Outcome, answer: &Answer) -> Self {
        let finer = match answer.status {
            // An exchange that reads answers to batches found more than the status says.
            200..=299 if answer.function_error => Self::FunctionError,
            200..=299 if !answer.body.is_whole => Self::BatchAnswerLong,
            200..=299 => Self::BatchAnswer,
            300..=399 => Self::Redirected,
            401 => Self::Unauthenticated,
            403 if answer.for_neighbours_only => Self::NeighboursOnly,
            405 => Self::MethodNotAllowed,
            407 => Self::ProxyCredentials,
            408 | 409 | 423 | 425 => Self::Conflict,
            411 => Self::LengthRequired,
            413 => Self::TooLarge,
            414 | 431 => Self::HeadersTooLarge,
            415 => Self::MediaType,
            421 => Self::WrongServer,
            501 => Self::NotImplemented,
            502 => Self::BadGateway,
            504 => Self::GatewayTimeout,
            _ => return Self::of_outcome(outcome),
        };
        // A listener may list any status as a success.
        if finer.kind() == outcome { finer } else { Self::of_outcome(outcome) }
    }

    /// The texts for one attempt.
    pub fn advice(self, seen: &Seen) -> Advice {
        let status = seen.status.map_or_else(|| "no status".to_owned(), |status| status.to_string());
        let location = seen.location.as_ref().map_or_else(String::new, |origin| format!(" to {origin}"));
        let values = [("status", status.as_str()), ("location", location.as_str())];
        Advice { meaning: fill(self.meaning(), &values), fix: fill(self.fix(), &values) }
    }
}
