# The alarms of cloudformation/queue.yaml. Their blind spots are told there, and in docs/cloudformation.md under Alarms.

locals {
  alarm_actions = var.alarm_topic_arn == null ? [] : [var.alarm_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  count = var.enable_alarms ? 1 : 0

  alarm_name          = "${local.queue_name}-dead-letters"
  alarm_description   = "Messages of ${local.queue_name} failed ${var.max_receive_count} times and wait in ${local.dlq_name}. Look at one (queuepost receive --queue ${local.dlq_name}), mend the endpoint or the message, then start a redrive (queuepost redrive --queue with its name). They expire."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead_letter.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.dead_letters_alarm_threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "oldest_message" {
  count = var.enable_alarms ? 1 : 0

  alarm_name          = "${local.queue_name}-oldest-message"
  alarm_description   = "The oldest message of ${local.queue_name} is older than ${var.oldest_message_alarm_seconds} s. Look whether queuepost runs (/readyz?verbose) and whether a gate is closed (/api/v1/status). Blind spot: messages received three times or more do not count; queuepost_queue_oldest_message_age_seconds has none."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.queue.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 5
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.oldest_message_alarm_seconds
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "in_flight" {
  count = var.enable_alarms ? 1 : 0

  alarm_name          = "${local.queue_name}-in-flight"
  alarm_description   = "More than ${var.in_flight_alarm_threshold} messages of ${local.queue_name} are in flight; at 120,000 SQS hands out no more. Messages parked after a 429 count. Look for consumers that receive and never delete; give listeners fewer workers or a shorter throttle_delay."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesNotVisible"
  dimensions          = { QueueName = aws_sqs_queue.queue.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 5
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.in_flight_alarm_threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "empty_receives" {
  count = var.enable_alarms ? 1 : 0

  alarm_name          = "${local.queue_name}-empty-receives"
  alarm_description   = "For information, nothing is broken: more than ${var.empty_receives_alarm_per_hour} receives an hour of ${local.queue_name} brought nothing, and each is billed. Look for a consumer without long polling (receive_wait below 20s), and for more processes than the load needs."
  namespace           = "AWS/SQS"
  metric_name         = "NumberOfEmptyReceives"
  dimensions          = { QueueName = aws_sqs_queue.queue.name }
  statistic           = "Sum"
  period              = 3600
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.empty_receives_alarm_per_hour
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags
}

# Missing data is good: a queue without metrics is empty, and nobody has called it for six hours. No poll is due.
resource "aws_cloudwatch_metric_alarm" "no_consumption" {
  count = var.enable_alarms ? 1 : 0

  alarm_name          = "${local.queue_name}-no-consumption"
  alarm_description   = "Messages wait in ${local.queue_name} and none was deleted for 15 minutes. Look whether queuepost runs and is not faulted (/readyz?verbose, queuepost check), whether its role may still be assumed, and what the endpoint answers (/api/v1/status): 429s and failures delete nothing."
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags

  metric_query {
    id          = "stuck"
    label       = "Messages wait and none is deleted"
    expression  = "IF(waiting > 0 AND FILL(deleted, 0) == 0, 1, 0)"
    return_data = true
  }

  metric_query {
    id          = "waiting"
    return_data = false

    metric {
      namespace   = "AWS/SQS"
      metric_name = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = aws_sqs_queue.queue.name }
      period      = 300
      stat        = "Minimum"
    }
  }

  metric_query {
    id          = "deleted"
    return_data = false

    metric {
      namespace   = "AWS/SQS"
      metric_name = "NumberOfMessagesDeleted"
      dimensions  = { QueueName = aws_sqs_queue.queue.name }
      period      = 300
      stat        = "Sum"
    }
  }
}
