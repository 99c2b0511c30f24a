# The resources of cloudformation/ecs.yaml, which says why each is as it is. tests/deploy compares the two.
#
# Unlike there, the service always runs by capacity providers, since a launch type could not be changed to Spot in place.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account      = data.aws_caller_identity.current.account_id
  partition    = data.aws_partition.current.partition
  region       = data.aws_region.current.name
  tags         = merge({ Application = "queuepost" }, var.tags)
  cluster_name = var.cluster_name == null ? aws_ecs_cluster.this[0].name : var.cluster_name
  configured   = var.configuration != null || var.configuration_arn != null
  collecting   = var.collector_image != null
  workspace    = var.prometheus_workspace_arn != null
}

resource "aws_cloudwatch_log_group" "this" {
  name_prefix       = "${var.name}-"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_kms_key_arn
  skip_destroy      = true
  tags              = local.tags
}

# With insights, because the number of running tasks is a metric of theirs, and scaling divides by it.
resource "aws_ecs_cluster" "this" {
  count = var.cluster_name == null ? 1 : 0

  name = var.name
  tags = local.tags

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  count = var.cluster_name == null ? 1 : 0

  cluster_name       = aws_ecs_cluster.this[0].name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]
}

data "aws_iam_policy_document" "tasks" {
  statement {
    effect  = "Allow"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${local.partition}:ecs:${local.region}:${local.account}:*"]
    }
  }
}

# What ECS does before the container runs: pull the image, read the secrets, open the log.
resource "aws_iam_role" "execution" {
  name_prefix          = "${var.name}-"
  description          = "Starts the tasks of queuepost"
  permissions_boundary = var.permissions_boundary_arn
  assume_role_policy   = data.aws_iam_policy_document.tasks.json
  tags                 = local.tags
}

data "aws_iam_policy_document" "execution" {
  statement {
    sid       = "Log"
    effect    = "Allow"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }

  dynamic "statement" {
    for_each = var.image_repository_arn == null ? [] : [1]

    content {
      sid       = "LogIn"
      effect    = "Allow"
      actions   = ["ecr:GetAuthorizationToken"]
      resources = ["*"]
    }
  }

  dynamic "statement" {
    for_each = var.image_repository_arn == null ? [] : [1]

    content {
      sid       = "Pull"
      effect    = "Allow"
      actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      resources = [var.image_repository_arn]
    }
  }

  dynamic "statement" {
    for_each = length(compact([var.endpoint_secret_arn, var.configuration_arn])) > 0 ? [1] : []

    content {
      sid       = "ReadSecrets"
      effect    = "Allow"
      actions   = ["secretsmanager:GetSecretValue", "ssm:GetParameters"]
      resources = compact([var.endpoint_secret_arn, var.configuration_arn])
    }
  }

  dynamic "statement" {
    for_each = var.secret_kms_key_arn == null ? [] : [1]

    content {
      sid       = "DecryptSecrets"
      effect    = "Allow"
      actions   = ["kms:Decrypt"]
      resources = [var.secret_kms_key_arn]
    }
  }
}

resource "aws_iam_policy" "execution" {
  name_prefix = "${var.name}-execution-"
  description = "Pulls the image of queuepost, reads its secrets and writes its logs"
  policy      = data.aws_iam_policy_document.execution.json
  tags        = local.tags
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = aws_iam_policy.execution.arn
}

# What queuepost itself may do: become the consumer of its queues. Its collector may hand on metrics.
resource "aws_iam_role" "task" {
  name_prefix          = "${var.name}-"
  description          = "Runs queuepost; may assume the consumer roles of its queues"
  permissions_boundary = var.permissions_boundary_arn
  assume_role_policy   = data.aws_iam_policy_document.tasks.json
  tags                 = local.tags
}

data "aws_iam_policy_document" "task" {
  statement {
    effect    = "Allow"
    actions   = ["sts:AssumeRole"]
    resources = concat([var.consumer_role_arn], var.more_consumer_role_arns)
  }

  dynamic "statement" {
    for_each = local.collecting && !local.workspace ? [1] : []

    content {
      effect    = "Allow"
      actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
      resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
    }
  }

  dynamic "statement" {
    for_each = local.collecting && local.workspace ? [1] : []

    content {
      effect    = "Allow"
      actions   = ["aps:RemoteWrite"]
      resources = [var.prometheus_workspace_arn]
    }
  }
}

resource "aws_iam_policy" "task" {
  name_prefix = "${var.name}-task-"
  description = "Assumes the consumer roles of its queues, and hands on metrics"
  policy      = data.aws_iam_policy_document.task.json
  tags        = local.tags
}

resource "aws_iam_role_policy_attachment" "task" {
  role       = aws_iam_role.task.name
  policy_arn = aws_iam_policy.task.arn
}

# Nothing comes in: the health check runs inside the container.
resource "aws_security_group" "this" {
  name_prefix = "${var.name}-"
  description = "queuepost, out to AWS and to its endpoint"
  vpc_id      = var.vpc_id
  tags        = local.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_egress_rule" "aws" {
  security_group_id = aws_security_group.this.id
  description       = "AWS"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
  tags              = local.tags
}

resource "aws_vpc_security_group_egress_rule" "endpoint" {
  count = var.endpoint_port == 443 ? 0 : 1

  security_group_id = aws_security_group.this.id
  description       = "The endpoint"
  ip_protocol       = "tcp"
  from_port         = var.endpoint_port
  to_port           = var.endpoint_port
  cidr_ipv4         = var.endpoint_cidr
  tags              = local.tags
}

resource "aws_ecs_service" "this" {
  name                               = var.name
  cluster                            = local.cluster_name
  task_definition                    = aws_ecs_task_definition.this.arn
  desired_count                      = var.min_tasks
  platform_version                   = "LATEST"
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  enable_ecs_managed_tags            = true
  propagate_tags                     = "SERVICE"
  force_new_deployment               = true
  wait_for_steady_state              = true
  tags                               = local.tags

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  capacity_provider_strategy {
    capacity_provider = "FARGATE"
    base              = var.on_demand_base
    weight            = var.on_demand_weight
  }

  dynamic "capacity_provider_strategy" {
    for_each = var.spot_weight > 0 ? [1] : []

    content {
      capacity_provider = "FARGATE_SPOT"
      weight            = var.spot_weight
    }
  }

  network_configuration {
    assign_public_ip = false
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.this.id]
  }

  dynamic "service_registries" {
    for_each = aws_service_discovery_service.this

    content {
      registry_arn = service_registries.value.arn
    }
  }

  lifecycle {
    # It belongs to the scaling.
    ignore_changes = [desired_count]

    precondition {
      condition     = var.min_tasks <= var.max_tasks
      error_message = "min_tasks must be max_tasks or less."
    }

    precondition {
      condition     = !var.fleet || local.configured
      error_message = "fleet needs configuration or configuration_arn, where sessions and rate_limit are written."
    }

    precondition {
      condition     = !var.fleet || var.max_tasks <= 4
      error_message = "fleet needs max_tasks of 4 or less, for Cloud Map answers with eight tasks at most and a deployment doubles them."
    }

    precondition {
      condition     = var.on_demand_weight + var.spot_weight > 0
      error_message = "on_demand_weight and spot_weight must not both be 0."
    }
  }

  depends_on = [
    aws_ecs_cluster_capacity_providers.this,
    aws_iam_role_policy_attachment.execution,
    aws_iam_role_policy_attachment.task,
    aws_vpc_security_group_egress_rule.aws,
  ]
}

resource "aws_appautoscaling_target" "this" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${local.cluster_name}/${aws_ecs_service.this.name}"
  min_capacity       = var.min_tasks
  max_capacity       = var.max_tasks
}

# By visible messages only: messages parked after a 429 would add tasks just when the endpoint asks for less.
resource "aws_appautoscaling_policy" "this" {
  name               = "backlog-per-task"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.backlog_per_task
    scale_out_cooldown = 60
    scale_in_cooldown  = 300

    customized_metric_specification {
      metrics {
        id          = "backlog"
        label       = "Visible messages for each running task"
        expression  = "visible / FILL(IF(tasks > 0, tasks, 1), REPEAT)"
        return_data = true
      }

      metrics {
        id          = "visible"
        return_data = false

        metric_stat {
          stat = "Average"

          metric {
            namespace   = "AWS/SQS"
            metric_name = "ApproximateNumberOfMessagesVisible"

            dimensions {
              name  = "QueueName"
              value = var.queue_name
            }
          }
        }
      }

      metrics {
        id          = "tasks"
        return_data = false

        metric_stat {
          stat = "Average"

          metric {
            namespace   = "ECS/ContainerInsights"
            metric_name = "RunningTaskCount"

            dimensions {
              name  = "ClusterName"
              value = local.cluster_name
            }

            dimensions {
              name  = "ServiceName"
              value = aws_ecs_service.this.name
            }
          }
        }
      }
    }
  }
}
