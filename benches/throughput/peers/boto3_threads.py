"""A worker as it is often written: threads, boto3 and requests. Each receives ten messages at most, posts them one after the other, and
deletes each when its POST has succeeded.

    boto3_threads.py QUEUE-URL ENDPOINT-URL THREADS
"""

import sys
import threading
from urllib.parse import urlsplit

import boto3
import requests
from botocore.config import Config


def work(sqs, queue, url):
    session = requests.Session()
    while True:
        received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=20)
        for message in received.get("Messages", []):
            session.post(url, data=message["Body"]).raise_for_status()
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


def main():
    queue, url, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    parts = urlsplit(queue)
    sqs = boto3.client(
        "sqs",
        endpoint_url=f"{parts.scheme}://{parts.netloc}",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(max_pool_connections=threads),
    )
    workers = [threading.Thread(target=work, args=(sqs, queue, url), daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


main()
