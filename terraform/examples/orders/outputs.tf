output "queue_url" {
  description = "Where senders send to."
  value       = module.queue.queue_url
}
