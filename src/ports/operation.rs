//! The operations of SQS that this program calls, by name and by permission.

/// One operation of SQS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `ReceiveMessage`.
    Receive,
    /// `DeleteMessageBatch`.
    Delete,
    /// `ChangeMessageVisibilityBatch`.
    ChangeVisibility,
    /// `SendMessage`, and `SendMessageBatch`.
    Send,
    /// `GetQueueUrl`.
    QueueUrl,
    /// `GetQueueAttributes`.
    Attributes,
    /// `ListQueues`.
    Queues,
    /// `ListDeadLetterSourceQueues`.
    Sources,
    /// `StartMessageMoveTask`.
    StartMove,
    /// `ListMessageMoveTasks`.
    Moves,
    /// `CancelMessageMoveTask`.
    CancelMove,
    /// `PurgeQueue`.
    Purge,
}

impl Operation {
    /// Those of a listener, to initialise metrics. The others are of commands that a person runs.
    pub const OF_LISTENERS: [Self; 6] =
        [Self::Receive, Self::Delete, Self::ChangeVisibility, Self::Send, Self::QueueUrl, Self::Attributes];

    /// SQS's name of the operation; the label value of `queuepost_sqs_requests_total` too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Receive => "ReceiveMessage",
            Self::Delete => "DeleteMessageBatch",
            Self::ChangeVisibility => "ChangeMessageVisibilityBatch",
            Self::Send => "SendMessage",
            Self::QueueUrl => "GetQueueUrl",
            Self::Attributes => "GetQueueAttributes",
            Self::Queues => "ListQueues",
            Self::Sources => "ListDeadLetterSourceQueues",
            Self::StartMove => "StartMessageMoveTask",
            Self::Moves => "ListMessageMoveTasks",
            Self::CancelMove => "CancelMessageMoveTask",
            Self::Purge => "PurgeQueue",
        }
    }

    /// IAM's name of the permission it needs: that of the single action also covers its batch.
    pub fn action(self) -> &'static str {
        match self {
            Self::Receive => "sqs:ReceiveMessage",
            Self::Delete => "sqs:DeleteMessage",
            Self::ChangeVisibility => "sqs:ChangeMessageVisibility",
            Self::Send => "sqs:SendMessage",
            Self::QueueUrl => "sqs:GetQueueUrl",
            Self::Attributes => "sqs:GetQueueAttributes",
            Self::Queues => "sqs:ListQueues",
            Self::Sources => "sqs:ListDeadLetterSourceQueues",
            Self::StartMove => "sqs:StartMessageMoveTask",
            Self::Moves => "sqs:ListMessageMoveTasks",
            Self::CancelMove => "sqs:CancelMessageMoveTask",
            Self::Purge => "sqs:PurgeQueue",
        }
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
