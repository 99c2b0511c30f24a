# What the tasks find each other by, where they share caps.

# A zone that the VPC alone can ask. The VPC's own DNS answers, whatever a security group lets out.
resource "aws_service_discovery_private_dns_namespace" "this" {
  count = var.fleet ? 1 : 0

  name        = "${var.name}.internal"
  description = "The tasks of queuepost that share caps"
  vpc         = var.vpc_id
  tags        = local.tags
}

# ECS registers each task that runs. Without a health check it is listed as long as it is registered, healthy or not: a task that is
# not healthy posts, too.
resource "aws_service_discovery_service" "this" {
  count = var.fleet ? 1 : 0

  name        = "tasks"
  description = "An address for each task of queuepost"
  tags        = local.tags

  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.this[0].id
    routing_policy = "MULTIVALUE"

    dns_records {
      type = "A"
      ttl  = 10
    }
  }
}
