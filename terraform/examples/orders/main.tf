# One queue, consumed by queuepost on Fargate in the same account. The endpoint's key is the secret orders-endpoint.

data "aws_caller_identity" "current" {}

data "aws_secretsmanager_secret" "endpoint" {
  name = "orders-endpoint"
}

module "queue" {
  source = "../../queue"

  consumer_account_id    = data.aws_caller_identity.current.account_id
  queue_name             = "orders"
  dead_letter_queue_name = "orders-dlq"
}

module "bridge" {
  source = "../../ecs"

  name                = "orders-bridge"
  image               = var.image
  queue_url           = module.queue.queue_url
  queue_name          = module.queue.queue_name
  consumer_role_arn   = module.queue.consumer_role_arn
  endpoint_url        = "https://orders.internal/events"
  endpoint_secret_arn = data.aws_secretsmanager_secret.endpoint.arn
  vpc_id              = var.vpc_id
  subnet_ids          = var.subnet_ids
}
