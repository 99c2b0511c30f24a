# The resources of cloudformation/queue.yaml, which says why each is as it is. tests/deploy compares the two.
#
# The dead-letter queue names its source by an ARN that is put together from the name. Taken from the queue itself it would be
# a circle, since the queue names its dead-letter queue. prevent_destroy is what DeletionPolicy is there: neither a destroy nor a
# change of a name deletes messages. A first apply that fails is simply run again.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account    = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  root_user  = "arn:${local.partition}:iam::${local.account}:root"
  suffix     = var.fifo_queue ? ".fifo" : ""
  queue_name = "${var.queue_name}${local.suffix}"
  queue_arn  = "arn:${local.partition}:sqs:${data.aws_region.current.name}:${local.account}:${local.queue_name}"
  dlq_name   = "${var.dead_letter_queue_name}${local.suffix}"
  tags       = merge({ Application = "queuepost" }, var.tags)

  # Exempt from denials are the root user, who can mend a policy that locks everybody out, and the operator.
  exempt   = concat([local.root_user], local.operator)
  operator = var.operator_principal_arn == null ? [] : [var.operator_principal_arn]
}

resource "aws_sqs_queue" "dead_letter" {
  name                      = local.dlq_name
  fifo_queue                = var.fifo_queue
  message_retention_seconds = var.dead_letter_retention_seconds
  receive_wait_time_seconds = 20
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  kms_master_key_id         = var.kms_key_arn
  tags                      = local.tags

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [local.queue_arn]
  })

  lifecycle {
    prevent_destroy = true

    precondition {
      condition     = var.queue_name != var.dead_letter_queue_name
      error_message = "dead_letter_queue_name must differ from queue_name."
    }
  }
}

resource "aws_sqs_queue" "queue" {
  name                        = local.queue_name
  fifo_queue                  = var.fifo_queue
  content_based_deduplication = var.fifo_queue ? var.content_based_deduplication : null
  deduplication_scope         = var.high_throughput_fifo ? "messageGroup" : null
  fifo_throughput_limit       = var.high_throughput_fifo ? "perMessageGroupId" : null
  visibility_timeout_seconds  = var.visibility_timeout_seconds
  message_retention_seconds   = var.message_retention_seconds
  receive_wait_time_seconds   = 20
  sqs_managed_sse_enabled     = var.kms_key_arn == null ? true : null
  kms_master_key_id           = var.kms_key_arn
  tags                        = local.tags

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letter.arn
    maxReceiveCount     = var.max_receive_count
  })

  lifecycle {
    prevent_destroy = true

    precondition {
      condition     = var.fifo_queue || !(var.content_based_deduplication || var.high_throughput_fifo)
      error_message = "content_based_deduplication and high_throughput_fifo need fifo_queue = true."
    }
  }
}

data "aws_iam_policy_document" "queue" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [aws_sqs_queue.queue.arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  dynamic "statement" {
    for_each = length(var.sender_principal_arns) > 0 ? [1] : []

    content {
      sid       = "TheseSend"
      effect    = "Allow"
      actions   = ["sqs:SendMessage", "sqs:GetQueueUrl"]
      resources = [aws_sqs_queue.queue.arn]

      principals {
        type        = "AWS"
        identifiers = var.sender_principal_arns
      }
    }
  }

  dynamic "statement" {
    for_each = length(var.sender_principal_arns) > 0 ? [1] : []

    content {
      sid       = "NobodyElseSends"
      effect    = "Deny"
      actions   = ["sqs:SendMessage"]
      resources = [aws_sqs_queue.queue.arn]

      principals {
        type        = "*"
        identifiers = ["*"]
      }

      condition {
        test     = "ArnNotEquals"
        variable = "aws:PrincipalArn"
        values   = concat(var.sender_principal_arns, local.exempt)
      }

      condition {
        test     = "BoolIfExists"
        variable = "aws:PrincipalIsAWSService"
        values   = ["false"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.consumer_principal_arn == null ? [] : [1]

    content {
      sid       = "NobodyElseReceives"
      effect    = "Deny"
      actions   = ["sqs:ReceiveMessage"]
      resources = [aws_sqs_queue.queue.arn]

      principals {
        type        = "*"
        identifiers = ["*"]
      }

      condition {
        test     = "ArnNotEquals"
        variable = "aws:PrincipalArn"
        values   = concat([aws_iam_role.consumer.arn, var.consumer_principal_arn], local.exempt)
      }

      condition {
        test     = "BoolIfExists"
        variable = "aws:PrincipalIsAWSService"
        values   = ["false"]
      }
    }
  }
}

resource "aws_sqs_queue_policy" "queue" {
  queue_url = aws_sqs_queue.queue.url
  policy    = data.aws_iam_policy_document.queue.json
}

# Dead letters are messages too. The consumer is not exempt: it only looks at the depth.
data "aws_iam_policy_document" "dead_letter" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [aws_sqs_queue.dead_letter.arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  dynamic "statement" {
    for_each = var.consumer_principal_arn == null ? [] : [1]

    content {
      sid       = "NobodyElseReceives"
      effect    = "Deny"
      actions   = ["sqs:ReceiveMessage"]
      resources = [aws_sqs_queue.dead_letter.arn]

      principals {
        type        = "*"
        identifiers = ["*"]
      }

      condition {
        test     = "ArnNotEquals"
        variable = "aws:PrincipalArn"
        values   = local.exempt
      }

      condition {
        test     = "BoolIfExists"
        variable = "aws:PrincipalIsAWSService"
        values   = ["false"]
      }
    }
  }
}

resource "aws_sqs_queue_policy" "dead_letter" {
  queue_url = aws_sqs_queue.dead_letter.url
  policy    = data.aws_iam_policy_document.dead_letter.json
}

data "aws_iam_policy_document" "trust" {
  statement {
    effect = "Allow"
    # Sessions of EKS Pod Identity hand their tags on, which is refused without TagSession. No policy reads them.
    actions = ["sts:AssumeRole", "sts:TagSession"]

    principals {
      type        = "AWS"
      identifiers = [var.consumer_principal_arn == null ? "arn:${local.partition}:iam::${var.consumer_account_id}:root" : var.consumer_principal_arn]
    }

    dynamic "condition" {
      for_each = var.external_id == null ? [] : [1]

      content {
        test     = "StringEquals"
        variable = "sts:ExternalId"
        values   = [var.external_id]
      }
    }
  }
}

resource "aws_iam_role" "consumer" {
  name_prefix          = "queuepost-consumer-"
  description          = "Consumes the queue ${var.queue_name}; assumed by queuepost"
  max_session_duration = 3600
  permissions_boundary = var.permissions_boundary_arn
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  tags                 = local.tags
}

# What `queuepost run` calls, and nothing else; the batch calls need no permission of their own.
data "aws_iam_policy_document" "consumer" {
  statement {
    sid       = "Consume"
    effect    = "Allow"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
    resources = [aws_sqs_queue.queue.arn]
  }

  statement {
    sid       = "LookAtDeadLetters"
    effect    = "Allow"
    actions   = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
    resources = [aws_sqs_queue.dead_letter.arn]
  }

  dynamic "statement" {
    for_each = length(var.result_queue_arns) > 0 ? [1] : []

    content {
      sid       = "SendResults"
      effect    = "Allow"
      actions   = ["sqs:SendMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
      resources = var.result_queue_arns
    }
  }

  dynamic "statement" {
    for_each = var.kms_key_arn == null ? [] : [1]

    content {
      sid       = "Read"
      effect    = "Allow"
      actions   = ["kms:Decrypt"]
      resources = [var.kms_key_arn]
    }
  }
}

resource "aws_iam_policy" "consumer" {
  name_prefix = "queuepost-consumer-"
  description = "What queuepost needs to consume the queue ${var.queue_name}"
  policy      = data.aws_iam_policy_document.consumer.json
  tags        = local.tags
}

resource "aws_iam_role_policy_attachment" "consumer" {
  role       = aws_iam_role.consumer.name
  policy_arn = aws_iam_policy.consumer.arn
}

data "aws_iam_policy_document" "operator" {
  count = length(local.operator)

  statement {
    sid    = "TakeDeadLetters"
    effect = "Allow"
    actions = [
      "sqs:StartMessageMoveTask",
      "sqs:ListMessageMoveTasks",
      "sqs:CancelMessageMoveTask",
      "sqs:ReceiveMessage",
      "sqs:DeleteMessage",
      "sqs:ChangeMessageVisibility",
      "sqs:GetQueueAttributes",
      "sqs:GetQueueUrl",
      "sqs:ListDeadLetterSourceQueues",
    ]
    resources = [aws_sqs_queue.dead_letter.arn]
  }

  statement {
    sid       = "PutThemBack"
    effect    = "Allow"
    actions   = ["sqs:SendMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
    resources = [aws_sqs_queue.queue.arn]
  }

  dynamic "statement" {
    for_each = var.kms_key_arn == null ? [] : [1]

    content {
      sid       = "ReadAndWrite"
      effect    = "Allow"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [var.kms_key_arn]
    }
  }
}

resource "aws_iam_policy" "operator" {
  count = length(local.operator)

  name_prefix = "queuepost-operator-"
  description = "Moves dead letters back to the queue ${var.queue_name}; attach it to the operator"
  policy      = data.aws_iam_policy_document.operator[0].json
  tags        = local.tags
}
