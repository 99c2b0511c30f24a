output "cluster_name" {
  description = "The cluster"
  value       = local.cluster_name
}

output "service_name" {
  description = "The service"
  value       = aws_ecs_service.this.name
}

output "log_group_name" {
  description = "Where the logs are (aws logs tail)"
  value       = aws_cloudwatch_log_group.this.name
}

output "task_role_arn" {
  description = "The role queuepost runs as; consumer_principal_arn of the module queue, where only it is to consume"
  value       = aws_iam_role.task.arn
}

output "security_group_id" {
  description = "Group of the tasks; let them in at the endpoint"
  value       = aws_security_group.this.id
}
