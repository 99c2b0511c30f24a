output "queue_url" {
  description = "The queue of the event listener (queuepost run --queue)"
  value       = aws_sqs_queue.queue.url
}

output "consumer_role_arn" {
  description = "The role of the event listener (queuepost run --role-arn)"
  value       = aws_iam_role.consumer.arn
}

output "external_id_required" {
  description = "Whether the role demands an external id (queuepost run --external-id)"
  value       = var.external_id != null
}

output "queue_name" {
  description = "Name of the queue, with .fifo if it is one"
  value       = aws_sqs_queue.queue.name
}

output "queue_arn" {
  description = "ARN of the queue"
  value       = aws_sqs_queue.queue.arn
}

output "dead_letter_queue_url" {
  description = "The dead-letter queue"
  value       = aws_sqs_queue.dead_letter.url
}

output "dead_letter_queue_arn" {
  description = "ARN of the dead-letter queue"
  value       = aws_sqs_queue.dead_letter.arn
}

output "operator_policy_arn" {
  description = "Policy to attach to the operator; null without one"
  value       = one(aws_iam_policy.operator[*].arn)
}

output "alarm_names" {
  description = "Names of the alarms"
  value       = concat(aws_cloudwatch_metric_alarm.dead_letters[*].alarm_name, aws_cloudwatch_metric_alarm.oldest_message[*].alarm_name, aws_cloudwatch_metric_alarm.in_flight[*].alarm_name, aws_cloudwatch_metric_alarm.no_consumption[*].alarm_name, aws_cloudwatch_metric_alarm.empty_receives[*].alarm_name)
}
