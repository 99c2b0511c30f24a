# What each protects and costs: docs/cloudformation.md, under the parameter of the same meaning.

variable "consumer_account_id" {
  description = "AWS account that queuepost runs in; it may assume the consumer role. Your own account is fine."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.consumer_account_id))
    error_message = "consumer_account_id must be an AWS account number, 12 digits without dashes."
  }
}

variable "queue_name" {
  description = "Name of the queue, without .fifo."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,80}$", var.queue_name))
    error_message = "queue_name must be 1 to 80 letters, digits, - and _; leave .fifo out, fifo_queue = true appends it (then 75 at most)."
  }
}

variable "dead_letter_queue_name" {
  description = "Name of the dead-letter queue, without .fifo; another than queue_name."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,80}$", var.dead_letter_queue_name))
    error_message = "dead_letter_queue_name must be 1 to 80 letters, digits, - and _; leave .fifo out, fifo_queue = true appends it (then 75 at most)."
  }
}

variable "external_id" {
  description = "Agreed with the consuming account, which has to send it when it assumes the role. Not a secret. Null for none is demanded."
  type        = string
  default     = null

  validation {
    condition     = var.external_id == null || can(regex("^[A-Za-z0-9+=,.@:/_-]{2,1224}$", var.external_id))
    error_message = "external_id must be null, or 2 to 1224 letters, digits and + = , . @ : / _ -."
  }
}

variable "consumer_principal_arn" {
  description = "Role or user that alone may assume the consumer role; all others are then denied to receive. Null for the whole account."
  type        = string
  default     = null

  validation {
    condition     = var.consumer_principal_arn == null || can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[A-Za-z0-9+=,.@_/-]{1,576}$", var.consumer_principal_arn))
    error_message = "consumer_principal_arn must be null or the ARN of an IAM role or user."
  }
}

variable "sender_principal_arns" {
  description = "Roles and users that alone may send, from any account. Empty for no statement about senders."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.sender_principal_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[A-Za-z0-9+=,.@_/-]{1,576}$", arn))])
    error_message = "sender_principal_arns must be ARNs of IAM roles and users."
  }
}

variable "operator_principal_arn" {
  description = "Role or user of this account that may move dead letters back. Makes a policy to attach to it. Null for none."
  type        = string
  default     = null

  validation {
    condition     = var.operator_principal_arn == null || can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[A-Za-z0-9+=,.@_/-]{1,576}$", var.operator_principal_arn))
    error_message = "operator_principal_arn must be null or the ARN of an IAM role or user."
  }
}

variable "result_queue_arns" {
  description = "Queues that the consumer may send results to. They are not made here."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.result_queue_arns : can(regex("^arn:aws[a-z-]*:sqs:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,80}(\\.fifo)?$", arn))])
    error_message = "result_queue_arns must be ARNs of SQS queues."
  }
}

variable "permissions_boundary_arn" {
  description = "Policy that limits the consumer role, where your organisation demands one. Null for none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/[A-Za-z0-9+=,.@_/-]{1,576}$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be null or the ARN of an IAM policy."
  }
}

variable "max_receive_count" {
  description = "Receives after which a message goes to the dead-letter queue. A 429 every five minutes spends one each: 10 last 45 minutes."
  type        = number
  default     = 10

  validation {
    condition     = var.max_receive_count >= 1 && var.max_receive_count <= 1000 && floor(var.max_receive_count) == var.max_receive_count
    error_message = "max_receive_count must be 1 to 1000."
  }
}

variable "visibility_timeout_seconds" {
  description = "How long a received message stays hidden when its consumer dies. queuepost extends it while a POST runs."
  type        = number
  default     = 300

  validation {
    condition     = var.visibility_timeout_seconds >= 0 && var.visibility_timeout_seconds <= 43200
    error_message = "visibility_timeout_seconds must be 0 to 43200 seconds (12 hours)."
  }
}

variable "message_retention_seconds" {
  description = "How long a message may wait in the queue before SQS deletes it."
  type        = number
  default     = 1209600

  validation {
    condition     = var.message_retention_seconds >= 60 && var.message_retention_seconds <= 1209600
    error_message = "message_retention_seconds must be 60 to 1209600 seconds (14 days)."
  }
}

variable "dead_letter_retention_seconds" {
  description = "How long a dead letter is kept. On standard queues it is counted from the first send, so never less than the queue's."
  type        = number
  default     = 1209600

  validation {
    condition     = var.dead_letter_retention_seconds >= 60 && var.dead_letter_retention_seconds <= 1209600
    error_message = "dead_letter_retention_seconds must be 60 to 1209600 seconds (14 days)."
  }
}

variable "fifo_queue" {
  description = "FIFO queues, which keep the order of each message group. .fifo is appended to both names."
  type        = bool
  default     = false
}

variable "content_based_deduplication" {
  description = "FIFO only. Equal bodies within five minutes are one message when the sender gives no deduplication id."
  type        = bool
  default     = false
}

variable "high_throughput_fifo" {
  description = "FIFO only. Quotas and deduplication for each message group, instead of 300 calls a second for the queue."
  type        = bool
  default     = false
}

variable "kms_key_arn" {
  description = "KMS key of your own for both queues. Its key policy must let senders use it. Null for SQS's own encryption, free of charge."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]{1,128}$", var.kms_key_arn))
    error_message = "kms_key_arn must be null or the ARN of a KMS key (not an alias)."
  }
}

variable "enable_alarms" {
  description = "Whether the five alarms are made."
  type        = bool
  default     = true
}

variable "alarm_topic_arn" {
  description = "SNS topic that alarms and their end are sent to. Null for alarms that are only shown."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_topic_arn == null || can(regex("^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$", var.alarm_topic_arn))
    error_message = "alarm_topic_arn must be null or the ARN of a standard SNS topic."
  }
}

variable "oldest_message_alarm_seconds" {
  description = "Age of the oldest message above which an alarm is raised."
  type        = number
  default     = 900

  validation {
    condition     = var.oldest_message_alarm_seconds >= 60 && var.oldest_message_alarm_seconds <= 1209600
    error_message = "oldest_message_alarm_seconds must be 60 to 1209600 seconds."
  }
}

variable "dead_letters_alarm_threshold" {
  description = "Dead letters above which an alarm is raised."
  type        = number
  default     = 0

  validation {
    condition     = var.dead_letters_alarm_threshold >= 0
    error_message = "dead_letters_alarm_threshold must be 0 or more."
  }
}

variable "in_flight_alarm_threshold" {
  description = "Messages in flight above which an alarm is raised. At 120,000 SQS hands out no more."
  type        = number
  default     = 96000

  validation {
    condition     = var.in_flight_alarm_threshold >= 1 && var.in_flight_alarm_threshold <= 119999
    error_message = "in_flight_alarm_threshold must be 1 to 119999."
  }
}

variable "empty_receives_alarm_per_hour" {
  description = "Empty receives an hour above which you are told what polling costs. An idle listener makes 180."
  type        = number
  default     = 18000

  validation {
    condition     = var.empty_receives_alarm_per_hour >= 1
    error_message = "empty_receives_alarm_per_hour must be 1 or more."
  }
}

variable "tags" {
  description = "Tags of everything made here, beside Application."
  type        = map(string)
  default     = {}
  nullable    = false
}
