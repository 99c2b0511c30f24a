# The alarms of cloudformation/ecs.yaml. Missing data is shown as such: it says nothing of tasks.

locals {
  alarm_actions = var.alarm_topic_arn == null ? [] : [var.alarm_topic_arn]
  metric_alarms = var.enable_alarms && local.collecting && !local.workspace
}

resource "aws_cloudwatch_metric_alarm" "tasks" {
  count = var.enable_alarms ? 1 : 0

  alarm_name          = "${var.name}-tasks"
  alarm_description   = "Fewer than ${var.min_tasks} tasks of ${var.name} run for ten minutes. Look at the events of the service and at the reasons of its stopped tasks (aws ecs describe-services, describe-tasks), then at the log: a task whose queue or role is wrong says so and ends."
  namespace           = "ECS/ContainerInsights"
  metric_name         = "RunningTaskCount"
  dimensions          = { ClusterName = local.cluster_name, ServiceName = aws_ecs_service.this.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 10
  comparison_operator = "LessThanThreshold"
  threshold           = var.min_tasks
  treat_missing_data  = "missing"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "faulted" {
  count = local.metric_alarms ? 1 : 0

  alarm_name          = "${var.name}-faulted"
  alarm_description   = "A listener of ${var.name} cannot read its queue, for five minutes, and a person has to act. Look at the log: its lines say which listener, why, and what to do."
  namespace           = "queuepost"
  metric_name         = "queuepost_listener_faulted"
  dimensions          = { namespace = var.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 5
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "missing"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags
}

# Eight minutes of ten, because a gate that probes is not closed meanwhile.
resource "aws_cloudwatch_metric_alarm" "gate" {
  count = local.metric_alarms ? 1 : 0

  alarm_name          = "${var.name}-gate"
  alarm_description   = "An endpoint of ${var.name} refuses, hangs, fails or throttles, so its gate is closed and its messages wait. Look at the endpoint, and at the log: its lines say which, and why the gate closed."
  namespace           = "queuepost"
  metric_name         = "queuepost_gate_state"
  dimensions          = { namespace = var.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 10
  datapoints_to_alarm = 8
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "missing"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags
}
