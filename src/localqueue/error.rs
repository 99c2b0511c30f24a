//! The errors of the broker, with the codes and texts of Amazon SQS.
//!
//! An error has two names on the wire. The name of the JSON protocol goes into `__type`. The code of the
//! older query protocol goes into the `x-amzn-query-error` header and into failed batch entries. SDKs report
//! the latter as "the code". For some errors the two differ: `QueueDoesNotExist` is
//! `AWS.SimpleQueueService.NonExistentQueue`.
//! `Display` is the message of the answer. Messages follow Amazon's documented or recorded wording; programs
//! must match codes, never messages.

use thiserror::Error;

/// Why an operation was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BrokerError {
    /// There is no queue of that name.
    #[error("The specified queue does not exist.")]
    QueueDoesNotExist,
    /// `CreateQueue` for an existing name with another value of an attribute.
    #[error("A queue already exists with the same name and a different value for attribute {0}")]
    QueueNameExists(String),
    /// The queue URL names no queue.
    #[error("The address {0} is not valid for this endpoint.")]
    InvalidAddress(String),
    /// The text is no receipt handle of this queue.
    #[error("The input receipt handle is invalid.")]
    ReceiptHandleIsInvalid,
    /// A required parameter is absent or empty.
    #[error("The request must contain the parameter {0}.")]
    MissingParameter(&'static str),
    /// A parameter has a value that its rules forbid.
    #[error("Value {value} for parameter {parameter} is invalid. Reason: {reason}")]
    InvalidParameterValue {
        /// Name of the parameter, as on the wire.
        parameter: &'static str,
        /// The refused value.
        value: String,
        /// The rule it breaks.
        reason: String,
    },
    /// The message as a whole breaks a rule (size, attributes, group id).
    #[error("{0}")]
    InvalidMessage(String),
    /// The body has a character that XML 1.0 forbids.
    #[error(
        "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
    )]
    InvalidMessageContents,
    /// No such queue or message attribute, or none for this type of queue.
    #[error("Unknown Attribute {0}.")]
    InvalidAttributeName(String),
    /// A queue attribute is out of its range.
    #[error("Invalid value for the parameter {0}.")]
    InvalidAttributeValue(String),
    /// A batch without entries.
    #[error("There should be at least one entry in the request.")]
    EmptyBatchRequest,
    /// A batch of more than 10 entries.
    #[error("Maximum number of entries per request are 10. You have sent {0}.")]
    TooManyEntriesInBatchRequest(usize),
    /// Two entries of a batch have the same id.
    #[error("Id {0} repeated.")]
    BatchEntryIdsNotDistinct(String),
    /// A batch entry's id has forbidden characters or a forbidden length.
    #[error(
        "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long."
    )]
    InvalidBatchEntryId,
    /// The messages of a batch are too long in total.
    #[error("Batch requests cannot be longer than {limit} bytes. You have sent {sent} bytes.")]
    BatchRequestTooLong {
        /// Most bytes allowed.
        limit: usize,
        /// Bytes received.
        sent: usize,
    },
    /// Too many messages of a standard queue are in flight.
    #[error("Too many messages in flight.")]
    OverLimit,
    /// A second purge within 60 seconds.
    #[error("Only one PurgeQueue operation on {0} is allowed every 60 seconds.")]
    PurgeQueueInProgress(String),
    /// The queue or task named by a message move does not exist.
    #[error("{0}")]
    ResourceNotFound(String),
    /// The operation does not exist here, or is not allowed in this state.
    #[error("{0}")]
    UnsupportedOperation(String),
    /// The request body is not the JSON that the operation requires.
    #[error("The request is not valid for this operation: {0}")]
    Serialization(String),
    /// Throttled: an injected fault.
    #[error("Request is throttled.")]
    RequestThrottled,
    /// Throttled, with the error name of newer services: an injected fault.
    #[error("Rate exceeded")]
    Throttling,
    /// The server failed: an injected fault, or a bug.
    #[error("We encountered an internal error. Please try again.")]
    InternalError,
    /// The server is not available: an injected fault.
    #[error("The service is currently unavailable. Please try again.")]
    ServiceUnavailable,
}

impl BrokerError {
    /// A parameter that violates its range or form.
    pub(super) fn invalid(
        parameter: &'static str,
        value: &(impl ToString + ?Sized),
        reason: impl Into<String>,
    ) -> Self {
        Self::InvalidParameterValue { parameter, value: value.to_string(), reason: reason.into() }
    }

    /// The code that SDKs report: that of the query protocol.
    pub fn code(&self) -> &'static str {
        match self {
            Self::QueueDoesNotExist => "AWS.SimpleQueueService.NonExistentQueue",
            Self::QueueNameExists(_) => "QueueAlreadyExists",
            Self::InvalidAddress(_) => "InvalidAddress",
            Self::ReceiptHandleIsInvalid => "ReceiptHandleIsInvalid",
            Self::MissingParameter(_) => "MissingParameter",
            Self::InvalidParameterValue { .. } | Self::InvalidMessage(_) => "InvalidParameterValue",
            Self::InvalidMessageContents => "InvalidMessageContents",
            Self::InvalidAttributeName(_) => "InvalidAttributeName",
            Self::InvalidAttributeValue(_) => "InvalidAttributeValue",
            Self::EmptyBatchRequest => "AWS.SimpleQueueService.EmptyBatchRequest",
            Self::TooManyEntriesInBatchRequest(_) => "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            Self::BatchEntryIdsNotDistinct(_) => "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
            Self::InvalidBatchEntryId => "AWS.SimpleQueueService.InvalidBatchEntryId",
            Self::BatchRequestTooLong { .. } => "AWS.SimpleQueueService.BatchRequestTooLong",
            Self::OverLimit => "OverLimit",
            Self::PurgeQueueInProgress(_) => "AWS.SimpleQueueService.PurgeQueueInProgress",
            Self::ResourceNotFound(_) => "ResourceNotFoundException",
            Self::UnsupportedOperation(_) => "AWS.SimpleQueueService.UnsupportedOperation",
            Self::Serialization(_) => "SerializationException",
            Self::RequestThrottled => "RequestThrottled",
            Self::Throttling => "ThrottlingException",
            Self::InternalError => "InternalError",
            Self::ServiceUnavailable => "ServiceUnavailable",
        }
    }

    /// The `__type` of the JSON answer, with its namespace.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::QueueDoesNotExist => "com.amazonaws.sqs#QueueDoesNotExist",
            Self::QueueNameExists(_) => "com.amazonaws.sqs#QueueNameExists",
            Self::InvalidAddress(_) => "com.amazonaws.sqs#InvalidAddress",
            Self::ReceiptHandleIsInvalid => "com.amazonaws.sqs#ReceiptHandleIsInvalid",
            Self::MissingParameter(_) => "com.amazon.coral.service#MissingRequiredParameterException",
            Self::InvalidParameterValue { .. } | Self::InvalidMessage(_) => {
                "com.amazon.coral.service#InvalidParameterValueException"
            }
            Self::InvalidMessageContents => "com.amazonaws.sqs#InvalidMessageContents",
            Self::InvalidAttributeName(_) => "com.amazonaws.sqs#InvalidAttributeName",
            Self::InvalidAttributeValue(_) => "com.amazonaws.sqs#InvalidAttributeValue",
            Self::EmptyBatchRequest => "com.amazonaws.sqs#EmptyBatchRequest",
            Self::TooManyEntriesInBatchRequest(_) => "com.amazonaws.sqs#TooManyEntriesInBatchRequest",
            Self::BatchEntryIdsNotDistinct(_) => "com.amazonaws.sqs#BatchEntryIdsNotDistinct",
            Self::InvalidBatchEntryId => "com.amazonaws.sqs#InvalidBatchEntryId",
            Self::BatchRequestTooLong { .. } => "com.amazonaws.sqs#BatchRequestTooLong",
            Self::OverLimit => "com.amazonaws.sqs#OverLimit",
            Self::PurgeQueueInProgress(_) => "com.amazonaws.sqs#PurgeQueueInProgress",
            Self::ResourceNotFound(_) => "com.amazonaws.sqs#ResourceNotFoundException",
            Self::UnsupportedOperation(_) => "com.amazonaws.sqs#UnsupportedOperation",
            Self::Serialization(_) => "com.amazon.coral.service#SerializationException",
            Self::RequestThrottled => "com.amazonaws.sqs#RequestThrottled",
            Self::Throttling => "com.amazon.coral.availability#ThrottlingException",
            Self::InternalError => "com.amazon.coral.service#InternalFailure",
            Self::ServiceUnavailable => "com.amazon.coral.service#ServiceUnavailableException",
        }
    }

    /// The HTTP status: 400 for the sender's faults, 500 or 503 for the server's.
    pub fn status(&self) -> u16 {
        match self {
            Self::InternalError => 500,
            Self::ServiceUnavailable => 503,
            _ => 400,
        }
    }

    /// Whether the request is at fault; otherwise the same request may succeed later.
    pub fn sender_fault(&self) -> bool {
        self.status() < 500
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_queue_has_the_code_that_sdks_report_and_its_own_json_name() {
        let error = BrokerError::QueueDoesNotExist;
        assert_eq!(error.code(), "AWS.SimpleQueueService.NonExistentQueue");
        assert_eq!(error.type_name(), "com.amazonaws.sqs#QueueDoesNotExist");
        assert_eq!((error.status(), error.sender_fault()), (400, true));
    }

    #[test]
    fn an_internal_error_is_not_the_senders_fault() {
        assert!(!BrokerError::InternalError.sender_fault());
        assert_eq!(BrokerError::ServiceUnavailable.status(), 503);
    }

    #[test]
    fn a_refused_value_is_named_with_its_rule() {
        let text =
            BrokerError::invalid("WaitTimeSeconds", &21, "Must be >= 0 and <= 20, if provided.").to_string();
        assert_eq!(
            text,
            "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided."
        );
    }
}
