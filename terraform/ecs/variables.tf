# What each protects and costs: docs/cloudformation.md, under the parameter of the same meaning.

variable "name" {
  description = "Name of cluster, service, log group and roles."
  type        = string
  default     = "queuepost"

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9-]{0,30}$", var.name))
    error_message = "name must be 1 to 31 letters, digits and -, and begin with a letter."
  }
}

variable "image" {
  description = "Image of queuepost, by its digest (REPOSITORY@sha256:…) or by a tag that is never moved; not by latest."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9._/-]*(:[0-9]+/[a-z0-9._/-]+)?(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})$", var.image)) && !endswith(var.image, ":latest")
    error_message = "image must be an image that ends in @sha256 and a digest, or in a tag other than latest."
  }
}

variable "image_repository_arn" {
  description = "ARN of the ECR repository that holds the image, so that the tasks may pull from it and from no other. Null for a public registry."
  type        = string
  default     = null

  validation {
    condition     = var.image_repository_arn == null || can(regex("^arn:aws[a-z-]*:ecr:[a-z0-9-]+:[0-9]{12}:repository/[a-z0-9._/-]{2,256}$", var.image_repository_arn))
    error_message = "image_repository_arn must be null or the ARN of an ECR repository."
  }
}

variable "cpu_architecture" {
  description = "Architecture the image is built for."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "cpu_architecture must be X86_64 or ARM64."
  }
}

variable "task_cpu" {
  description = "CPU units of a task; 1024 are a processor. 256 carry some thousand small messages a second."
  type        = number
  default     = 256

  validation {
    condition     = contains([256, 512, 1024, 2048], var.task_cpu)
    error_message = "task_cpu must be 256, 512, 1024 or 2048."
  }
}

variable "task_memory" {
  description = "MiB of a task."
  type        = number
  default     = 512

  validation {
    condition     = contains([512, 1024, 2048, 4096, 8192], var.task_memory)
    error_message = "task_memory must be 512, 1024, 2048, 4096 or 8192."
  }
}

variable "queue_url" {
  description = "The queue; queue_url of the module queue."
  type        = string

  validation {
    condition     = can(regex("^https://[^/]+/[0-9]{12}/[A-Za-z0-9_-]{1,80}(\\.fifo)?$", var.queue_url))
    error_message = "queue_url must be the URL of an SQS queue."
  }
}

variable "queue_name" {
  description = "Name of the queue, whose backlog the scaling looks at; queue_name of the module queue."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,80}(\\.fifo)?$", var.queue_name))
    error_message = "queue_name must be the name of an SQS queue."
  }
}

variable "consumer_role_arn" {
  description = "The role that consumes it; consumer_role_arn of the module queue."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,576}$", var.consumer_role_arn))
    error_message = "consumer_role_arn must be the ARN of an IAM role."
  }
}

variable "more_consumer_role_arns" {
  description = "Consumer roles of further queues in a configuration."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for one in var.more_consumer_role_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,576}$", one))])
    error_message = "more_consumer_role_arns must be ARNs of IAM roles."
  }
}

variable "external_id" {
  description = "The external id that the consumer role demands. Null for none."
  type        = string
  default     = null

  validation {
    condition     = var.external_id == null || can(regex("^[A-Za-z0-9+=,.@:/_-]{2,1224}$", var.external_id))
    error_message = "external_id must be null, or 2 to 1224 letters, digits and + = , . @ : / _ -."
  }
}

variable "endpoint_url" {
  description = "URL that messages are POSTed to; with algorithm the server's address. Null with a configuration."
  type        = string
  default     = null

  validation {
    condition     = var.endpoint_url == null || can(regex("^https?://[A-Za-z0-9.\\[\\]:-]+(/[^\\s]*)?$", var.endpoint_url))
    error_message = "endpoint_url must be null or an http or https URL."
  }
}

variable "algorithm" {
  description = "owner/name[/version] of an algorithm to call. Null for a plain endpoint."
  type        = string
  default     = null

  validation {
    condition     = var.algorithm == null || can(regex("^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?$", var.algorithm))
    error_message = "algorithm must be null or owner/name or owner/name/version."
  }
}

variable "endpoint_secret_arn" {
  description = "Secret or SSM parameter with the whole header line; with algorithm the key alone. With a configuration it is the variable ENDPOINT_SECRET."
  type        = string
  default     = null

  validation {
    condition     = var.endpoint_secret_arn == null || can(regex("^arn:aws[a-z-]*:(secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]{1,512}|ssm:[a-z0-9-]+:[0-9]{12}:parameter/[A-Za-z0-9_./-]{1,1011})$", var.endpoint_secret_arn))
    error_message = "endpoint_secret_arn must be null, or the ARN of a secret or of an SSM parameter."
  }
}

variable "endpoint_secret_key" {
  description = "The key in a JSON secret of Secrets Manager, whose value is meant. Null for the secret as it is."
  type        = string
  default     = null

  validation {
    condition     = var.endpoint_secret_key == null || can(regex("^[A-Za-z0-9/_+=.@-]{1,256}$", var.endpoint_secret_key))
    error_message = "endpoint_secret_key must be null or at most 256 letters, digits and / _ + = . @ -."
  }
}

variable "configuration" {
  description = "A whole configuration in YAML, instead of endpoint_url and its companions. It may name QUEUE_URL, QUEUE_ROLE_ARN and ENDPOINT_SECRET. No secrets in it."
  type        = string
  default     = null

  validation {
    condition     = var.configuration == null || can(yamldecode(var.configuration).listeners)
    error_message = "configuration must be null or YAML with listeners."
  }
}

variable "configuration_arn" {
  description = "Secret or SSM parameter with the configuration, where it is confidential. Tasks read it when they start."
  type        = string
  default     = null

  validation {
    condition     = var.configuration_arn == null || can(regex("^arn:aws[a-z-]*:(secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]{1,512}|ssm:[a-z0-9-]+:[0-9]{12}:parameter/[A-Za-z0-9_./-]{1,1011})$", var.configuration_arn))
    error_message = "configuration_arn must be null, or the ARN of a secret or of an SSM parameter."
  }
}

variable "secret_kms_key_arn" {
  description = "KMS key of your own that the secrets above are encrypted with. Null for the key of the service."
  type        = string
  default     = null

  validation {
    condition     = var.secret_kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]{1,128}$", var.secret_kms_key_arn))
    error_message = "secret_kms_key_arn must be null or the ARN of a KMS key (not an alias)."
  }
}

variable "cluster_name" {
  description = "Cluster that is there already, with Container Insights and the capacity providers FARGATE and FARGATE_SPOT. Null for one of its own."
  type        = string
  default     = null

  validation {
    condition     = var.cluster_name == null || can(regex("^[A-Za-z0-9_-]{1,255}$", var.cluster_name))
    error_message = "cluster_name must be null or the name (not the ARN) of a cluster."
  }
}

variable "vpc_id" {
  description = "VPC of the subnets."
  type        = string

  validation {
    condition     = can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "vpc_id must be the id of a VPC."
  }
}

variable "subnet_ids" {
  description = "Subnets without public addresses, in two zones or more. They need a way to SQS, STS, ECR and CloudWatch Logs: NAT or VPC endpoints."
  type        = list(string)
  nullable    = false

  validation {
    condition     = alltrue([for one in var.subnet_ids : can(regex("^subnet-[0-9a-f]+$", one))])
    error_message = "subnet_ids must be ids of subnets."
  }
}

variable "endpoint_port" {
  description = "The port in endpoint_url, repeated, and 80 for plain http; opened beside 443, which SQS needs. Nothing else is let out."
  type        = number
  default     = 443

  validation {
    condition     = var.endpoint_port >= 1 && var.endpoint_port <= 65535
    error_message = "endpoint_port must be 1 to 65535."
  }
}

variable "endpoint_cidr" {
  description = "Addresses at which the endpoint's port is open. Narrow it where you know them."
  type        = string
  default     = "0.0.0.0/0"

  validation {
    condition     = can(cidrhost(var.endpoint_cidr, 0)) && !strcontains(var.endpoint_cidr, ":")
    error_message = "endpoint_cidr must be an IPv4 range such as 10.0.0.0/16."
  }
}

variable "workers" {
  description = "POSTs at once of a task. workers x max_tasks is the most the endpoint sees, and twice that during a deployment."
  type        = number
  default     = 16

  validation {
    condition     = var.workers >= 1 && var.workers <= 10000
    error_message = "workers must be 1 to 10000."
  }
}

variable "request_timeout_seconds" {
  description = "Time-out of one POST. Null for 60 s, with algorithm 435 s. Above 95 s a POST may be cut off when a task stops."
  type        = number
  default     = null

  validation {
    condition     = var.request_timeout_seconds == null || try(var.request_timeout_seconds >= 1 && var.request_timeout_seconds <= 43140, false)
    error_message = "request_timeout_seconds must be 1 to 43140."
  }
}

variable "shutdown_deadline_seconds" {
  description = "How long a task that stops may finish its POSTs. ECS kills it after 120 s."
  type        = number
  default     = 110

  validation {
    condition     = var.shutdown_deadline_seconds >= 5 && var.shutdown_deadline_seconds <= 110
    error_message = "shutdown_deadline_seconds must be 5 to 110."
  }
}

variable "require_healthy" {
  description = "Whether a task ends when a queue denies it or is missing at its start, so that a broken deployment is rolled back."
  type        = bool
  default     = true
}

variable "min_tasks" {
  description = "Fewest tasks, max_tasks or less. Two survive the loss of a zone."
  type        = number
  default     = 2

  validation {
    condition     = var.min_tasks >= 1 && var.min_tasks <= 1000
    error_message = "min_tasks must be 1 to 1000."
  }
}

variable "max_tasks" {
  description = "Most tasks, min_tasks or more; what the endpoint takes at once divided by workers."
  type        = number
  default     = 10

  validation {
    condition     = var.max_tasks >= 1 && var.max_tasks <= 1000
    error_message = "max_tasks must be 1 to 1000."
  }
}

variable "fleet" {
  description = "Whether sessions and rate_limit of the configuration hold for all tasks together, which find each other by AWS Cloud Map. Needs a configuration, and max_tasks of 4 or less."
  type        = bool
  default     = false
}

variable "backlog_per_task" {
  description = "Visible messages for each task: workers x seconds in which a backlog should be gone / seconds of a POST."
  type        = number
  default     = 480

  validation {
    condition     = var.backlog_per_task >= 1
    error_message = "backlog_per_task must be 1 or more."
  }
}

variable "on_demand_base" {
  description = "Tasks that run on Fargate before any runs on Spot."
  type        = number
  default     = 1

  validation {
    condition     = var.on_demand_base >= 0 && var.on_demand_base <= 1000
    error_message = "on_demand_base must be 0 to 1000."
  }
}

variable "on_demand_weight" {
  description = "Share of Fargate in the tasks above on_demand_base, relative to spot_weight."
  type        = number
  default     = 1

  validation {
    condition     = var.on_demand_weight >= 0 && var.on_demand_weight <= 1000
    error_message = "on_demand_weight must be 0 to 1000."
  }
}

variable "spot_weight" {
  description = "Share of Fargate Spot in the tasks above on_demand_base. 0 for no Spot."
  type        = number
  default     = 0

  validation {
    condition     = var.spot_weight >= 0 && var.spot_weight <= 1000
    error_message = "spot_weight must be 0 to 1000."
  }
}

variable "collector_image" {
  description = "Image of the AWS Distro for OpenTelemetry, which then runs beside queuepost and sends its metrics on. Needs task_memory = 1024. Null for none."
  type        = string
  default     = null

  validation {
    condition     = var.collector_image == null || (can(regex("^[a-z0-9][a-z0-9._/-]*(:[0-9]+/[a-z0-9._/-]+)?(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})$", var.collector_image)) && !endswith(var.collector_image, ":latest"))
    error_message = "collector_image must be null, or an image that ends in @sha256 and a digest or in a tag other than latest."
  }
}

variable "prometheus_workspace_arn" {
  description = "Workspace of Amazon Managed Service for Prometheus that gets all metrics. Null for a few of them in CloudWatch, with alarms."
  type        = string
  default     = null

  validation {
    condition     = var.prometheus_workspace_arn == null || can(regex("^arn:aws[a-z-]*:aps:[a-z0-9-]+:[0-9]{12}:workspace/ws-[a-z0-9-]{1,64}$", var.prometheus_workspace_arn))
    error_message = "prometheus_workspace_arn must be null or the ARN of a workspace."
  }
}

variable "enable_alarms" {
  description = "Whether the alarms of the service are made."
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

variable "log_retention_days" {
  description = "How long the logs are kept. They hold no bodies and no credentials."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827], var.log_retention_days)
    error_message = "log_retention_days must be a number of days that CloudWatch Logs knows."
  }
}

variable "log_kms_key_arn" {
  description = "KMS key for the logs. Its key policy must let CloudWatch Logs use it. Null for the service's own encryption."
  type        = string
  default     = null

  validation {
    condition     = var.log_kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]{1,128}$", var.log_kms_key_arn))
    error_message = "log_kms_key_arn must be null or the ARN of a KMS key (not an alias)."
  }
}

variable "permissions_boundary_arn" {
  description = "Policy that limits both roles, where your organisation demands one. Null for none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/[A-Za-z0-9+=,.@_/-]{1,576}$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be null or the ARN of an IAM policy."
  }
}

variable "tags" {
  description = "Tags of everything made here, beside Application."
  type        = map(string)
  default     = {}
  nullable    = false
}
