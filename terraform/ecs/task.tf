# The task: queuepost, and its collector of metrics where there is one.

locals {
  queuepost = {
    name                   = "queuepost"
    image                  = var.image
    essential              = true
    command                = var.require_healthy ? ["run", "--require-healthy"] : ["run"]
    user                   = "65532:65532"
    privileged             = false
    readonlyRootFilesystem = true
    memory                 = local.collecting ? var.task_memory - 256 : var.task_memory
    dependsOn              = local.collecting ? [{ containerName = "collector", condition = "START" }] : []
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    stopTimeout            = 120
    portMappings           = [{ name = "metrics", containerPort = 9464, hostPort = 9464, protocol = "tcp" }]
    environment            = local.environment
    secrets                = local.secrets

    healthCheck = {
      command     = ["CMD", "/queuepost", "healthcheck"]
      interval    = 15
      timeout     = 5
      retries     = 3
      startPeriod = 30
    }

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.this.name
        "awslogs-region"        = local.region
        "awslogs-stream-prefix" = "queuepost"
        "mode"                  = "non-blocking"
        "max-buffer-size"       = "4m"
      }
    }
  }

  # A configuration describes its listeners itself, and may name queue, role and external id.
  variables = merge(
    {
      QUEUEPOST_SHUTDOWN_DEADLINE = "${var.shutdown_deadline_seconds}s"
      QUEUEPOST_ADMIN_LISTEN      = "0.0.0.0:9464"
      QUEUEPOST_LOG_FORMAT        = "json"
    },
    {
      for name, value in {
        QUEUE_URL             = var.queue_url
        QUEUE_ROLE_ARN        = var.consumer_role_arn
        QUEUE_EXTERNAL_ID     = var.external_id
        QUEUEPOST_CONFIG_TEXT = var.configuration
        QUEUEPOST_FLEET_DNS   = var.fleet ? "tasks.${var.name}.internal" : null
      } : name => value if local.configured && value != null
    },
    {
      for name, value in {
        QUEUEPOST_QUEUE       = var.queue_url
        QUEUEPOST_ROLE_ARN    = var.consumer_role_arn
        QUEUEPOST_EXTERNAL_ID = var.external_id
        QUEUEPOST_URL         = var.endpoint_url
        QUEUEPOST_ALGORITHM   = var.algorithm
        QUEUEPOST_WORKERS     = tostring(var.workers)
        QUEUEPOST_TIMEOUT     = var.request_timeout_seconds == null ? null : "${var.request_timeout_seconds}s"
      } : name => value if !local.configured && value != null
    },
  )
  environment = [for name, value in local.variables : { name = name, value = value }]

  # ECS reads them when a task starts: after a change of a secret, force a new deployment.
  secret_name = local.configured ? "ENDPOINT_SECRET" : var.algorithm == null ? "QUEUEPOST_AUTH_HEADER" : "QUEUEPOST_ALGORITHM_KEY"
  secret_from = var.endpoint_secret_key == null ? var.endpoint_secret_arn : "${coalesce(var.endpoint_secret_arn, "none")}:${var.endpoint_secret_key}::"
  secrets = concat(
    [for from in [local.secret_from] : { name = local.secret_name, valueFrom = from } if var.endpoint_secret_arn != null],
    [for from in [var.configuration_arn] : { name = "QUEUEPOST_CONFIG_TEXT", valueFrom = from } if from != null],
  )

  to_cloudwatch = templatefile("${path.module}/collector-cloudwatch.yaml.tftpl", {
    name      = var.name
    region    = local.region
    log_group = aws_cloudwatch_log_group.this.name
  })
  to_prometheus = templatefile("${path.module}/collector-prometheus.yaml.tftpl", {
    name      = var.name
    home      = local.workspace ? split(":", var.prometheus_workspace_arn)[3] : ""
    workspace = local.workspace ? split("/", var.prometheus_workspace_arn)[1] : ""
    suffix    = data.aws_partition.current.dns_suffix
  })

  # Messages are delivered without it, and it is started again. It is stopped after queuepost.
  collector = {
    name                   = "collector"
    image                  = var.collector_image
    essential              = false
    restartPolicy          = { enabled = true, restartAttemptPeriod = 60 }
    user                   = "65532:65532"
    privileged             = false
    readonlyRootFilesystem = true
    memory                 = 256
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    environment            = [{ name = "AOT_CONFIG_CONTENT", value = local.workspace ? local.to_prometheus : local.to_cloudwatch }]

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.this.name
        "awslogs-region"        = local.region
        "awslogs-stream-prefix" = "collector"
        "mode"                  = "non-blocking"
        "max-buffer-size"       = "1m"
      }
    }
  }

  # What Fargate has: MiB by CPU units.
  memory_of_cpu = {
    "256"  = [512, 1024, 2048]
    "512"  = [1024, 2048, 4096]
    "1024" = [2048, 4096, 8192]
    "2048" = [4096, 8192]
  }
}

resource "aws_ecs_task_definition" "this" {
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.task_cpu
  memory                   = var.task_memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  container_definitions    = local.collecting ? jsonencode([local.queuepost, local.collector]) : jsonencode([local.queuepost])
  tags                     = local.tags

  runtime_platform {
    cpu_architecture        = var.cpu_architecture
    operating_system_family = "LINUX"
  }

  lifecycle {
    precondition {
      condition     = contains(local.memory_of_cpu[tostring(var.task_cpu)], var.task_memory)
      error_message = "task_cpu and task_memory must be a pair that Fargate has."
    }

    precondition {
      condition     = length([for one in [var.endpoint_url, var.configuration, var.configuration_arn] : one if one != null]) == 1
      error_message = "One of endpoint_url, configuration and configuration_arn is needed, and only one."
    }

    precondition {
      condition     = !(local.configured && var.algorithm != null)
      error_message = "algorithm describes one listener; with a configuration write it into it."
    }

    precondition {
      condition     = var.endpoint_secret_key == null || var.endpoint_secret_arn != null
      error_message = "endpoint_secret_key needs endpoint_secret_arn."
    }

    precondition {
      condition     = !local.collecting || var.task_memory >= 1024
      error_message = "collector_image needs task_memory = 1024 or more."
    }

    precondition {
      condition     = local.collecting || !local.workspace
      error_message = "prometheus_workspace_arn needs collector_image."
    }
  }
}
