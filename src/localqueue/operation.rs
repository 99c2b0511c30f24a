//! The operations of the SQS API that this server knows, by name.

/// One operation of the SQS API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Stop a running message move task.
    CancelMessageMoveTask,
    /// Hide a received message for another time.
    ChangeMessageVisibility,
    /// The same for up to 10 messages.
    ChangeMessageVisibilityBatch,
    /// Create a queue.
    CreateQueue,
    /// Delete a received message.
    DeleteMessage,
    /// The same for up to 10 messages.
    DeleteMessageBatch,
    /// Remove a queue with its messages.
    DeleteQueue,
    /// Read a queue's attributes.
    GetQueueAttributes,
    /// Find a queue by name.
    GetQueueUrl,
    /// The queues whose dead-letter queue is this one.
    ListDeadLetterSourceQueues,
    /// The latest message move tasks of a dead-letter queue.
    ListMessageMoveTasks,
    /// Read a queue's tags.
    ListQueueTags,
    /// The queues, by prefix and in pages.
    ListQueues,
    /// Drop every message of a queue.
    PurgeQueue,
    /// Receive messages, waiting for them if asked to.
    ReceiveMessage,
    /// Send a message to a queue.
    SendMessage,
    /// The same for up to 10 messages.
    SendMessageBatch,
    /// Change a queue's attributes.
    SetQueueAttributes,
    /// Move messages out of a dead-letter queue.
    StartMessageMoveTask,
    /// Add tags to a queue.
    TagQueue,
    /// Remove tags from a queue.
    UntagQueue,
}

impl Operation {
    /// All operations, in alphabetical order.
    pub const ALL: [Self; 21] = [
        Self::CancelMessageMoveTask,
        Self::ChangeMessageVisibility,
        Self::ChangeMessageVisibilityBatch,
        Self::CreateQueue,
        Self::DeleteMessage,
        Self::DeleteMessageBatch,
        Self::DeleteQueue,
        Self::GetQueueAttributes,
        Self::GetQueueUrl,
        Self::ListDeadLetterSourceQueues,
        Self::ListMessageMoveTasks,
        Self::ListQueueTags,
        Self::ListQueues,
        Self::PurgeQueue,
        Self::ReceiveMessage,
        Self::SendMessage,
        Self::SendMessageBatch,
        Self::SetQueueAttributes,
        Self::StartMessageMoveTask,
        Self::TagQueue,
        Self::UntagQueue,
    ];

    /// The name in the SQS API.
    pub fn name(self) -> &'static str {
        match self {
            Self::CancelMessageMoveTask => "CancelMessageMoveTask",
            Self::ChangeMessageVisibility => "ChangeMessageVisibility",
            Self::ChangeMessageVisibilityBatch => "ChangeMessageVisibilityBatch",
            Self::CreateQueue => "CreateQueue",
            Self::DeleteMessage => "DeleteMessage",
            Self::DeleteMessageBatch => "DeleteMessageBatch",
            Self::DeleteQueue => "DeleteQueue",
            Self::GetQueueAttributes => "GetQueueAttributes",
            Self::GetQueueUrl => "GetQueueUrl",
            Self::ListDeadLetterSourceQueues => "ListDeadLetterSourceQueues",
            Self::ListMessageMoveTasks => "ListMessageMoveTasks",
            Self::ListQueueTags => "ListQueueTags",
            Self::ListQueues => "ListQueues",
            Self::PurgeQueue => "PurgeQueue",
            Self::ReceiveMessage => "ReceiveMessage",
            Self::SendMessage => "SendMessage",
            Self::SendMessageBatch => "SendMessageBatch",
            Self::SetQueueAttributes => "SetQueueAttributes",
            Self::StartMessageMoveTask => "StartMessageMoveTask",
            Self::TagQueue => "TagQueue",
            Self::UntagQueue => "UntagQueue",
        }
    }

    /// The operation of this name, if the server knows it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_found_by_its_name() {
        for operation in Operation::ALL {
            assert_eq!(Operation::from_name(operation.name()), Some(operation));
        }
        assert_eq!(Operation::from_name("AddPermission"), None);
    }
}
