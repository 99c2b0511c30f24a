"""Parameters to make the templates with, and values that each parameter has to take or to refuse."""

ACCOUNT = "111111111111"
QUEUE = {"AlgorithmiaAccountNumber": "222222222222", "QueueName": "orders", "QueueDLQName": "orders-dlq"}
ROLES = {name: f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("sender", "consumer", "operator", "other", "made")}
ROOT_USER = f"arn:aws:iam::{ACCOUNT}:root"
ECS = {
    "ImageUri": "registry.example.com/queuepost:0.1.0", "QueueStackName": "orders", "EndpointUrl": "https://orders.internal/events",
    "VpcId": "vpc-1", "PrivateSubnetIds": "subnet-1,subnet-2",
}
COLLECTOR = "public.ecr.aws/aws-observability/aws-otel-collector:v0.47.0"
EKS = {"ClusterName": "main", "Namespace": "orders", "ServiceAccount": "orders-queuepost", "QueueStackName": "orders"}
#: What the template itself demands; `EndpointUrl` has a companion, and is demanded by a rule.
NEEDED = {"queue.yaml": QUEUE, "ecs.yaml": ECS, "eks-pod-identity.yaml": EKS}

#: Values that are taken and values that are refused, for each pattern and each range.
PRINCIPAL = (
    ["", ROLES["sender"], "arn:aws-cn:iam::123456789012:user/path/to/a.b@c", "arn:aws-us-gov:iam::123456789012:role/x"],
    ["*", "arn:aws:iam::123456789012:root", "123456789012", "arn:aws:iam::12345:role/a", "arn:aws:sts::123456789012:assumed-role/a/b",
     "arn:aws:iam::123456789012:role/", "arn:aws:iam::123456789012:role/*", " " + ROLES["sender"], ROLES["sender"] + "\n"],
)
NAME = (["a", "A-b_9", "x" * 80], ["", "x" * 81, "a.fifo", "a b", "a/b", "ä", "a\n"])
EXTERNAL = (["", "ab", "a+=,.@:/_-9", "x" * 1224], ["a", "x" * 1225, "a b", "a*", "é!", "ab\n"])
BOUNDARY = (
    ["", "arn:aws:iam::123456789012:policy/team/limit", "arn:aws:iam::aws:policy/PowerUserAccess", "arn:aws-cn:iam::123456789012:policy/a"],
    ["limit", "arn:aws:iam::123456789012:role/limit", "arn:aws:iam::123456789012:policy/", "arn:aws:iam::1:policy/a"],
)
KEY = (
    ["", "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab", "arn:aws-cn:kms:cn-north-1:123456789012:key/mrk-1"],
    ["alias/aws/sqs", "arn:aws:kms:eu-west-1:123456789012:alias/a", "1234abcd-12ab-34cd-56ef-1234567890ab",
     "arn:aws:kms::123456789012:key/a"],
)
SECRET = (
    ["", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:team/orders-a1B2c3", "arn:aws-cn:ssm:cn-north-1:123456789012:parameter/team/orders"],
    ["orders", "*", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:*", "arn:aws:secretsmanager:eu-west-1:12:secret:orders",
     "arn:aws:secretsmanager:eu-west-1:123456789012:secret:orders-a1B2c3:key::", "arn:aws:ssm:eu-west-1:123456789012:parameter/*",
     "arn:aws:s3:::orders"],
)
CONSUMERS = (
    ["", ROLES["made"], f"{ROLES['made']}, arn:aws-cn:iam::123456789012:role/a"],
    ["*", ROOT_USER, "arn:aws:iam::123456789012:user/a", "arn:aws:iam::123456789012:role/*", f"{ROLES['made']},*"],
)
TOPIC = (
    ["", "arn:aws:sns:eu-west-1:123456789012:on-call", "arn:aws-us-gov:sns:us-gov-west-1:123456789012:a_b"],
    ["on-call", "arn:aws:sns:eu-west-1:123456789012:", "arn:aws:sns:eu-west-1:123456789012:a.fifo",
     "arn:aws:sqs:eu-west-1:123456789012:a"],
)
OWNER = (["", "team a", "a@example.com", "a_.:/=+@-9", "x" * 256], ["x" * 257, "a;b", "a\nb", "<a>"])
STACK = (["orders", "A-1", "x" * 128], ["", "1a", "a_b", "x" * 129, "-a", "${a}"])
SWITCH = (["true", "false"], ["", "True", "yes", "1"])
SECONDS = (["60", "345600", "1209600"], ["0", "59", "1209601", "-1"])
VALUES = {
    "queue.yaml": {
        "AlgorithmiaAccountNumber": (
            ["123456789012"], ["", "12345678901", "1234567890123", "1234-5678-9012", "12345678901a", "123456789012\n"],
        ),
        "QueueName": NAME,
        "QueueDLQName": NAME,
        "ExternalId": EXTERNAL,
        "ConsumerPrincipalArn": PRINCIPAL,
        "SenderPrincipalArns": (
            [*PRINCIPAL[0], f"{ROLES['sender']}, {ROLES['other']}"],
            # Blanks around a member are taken off.
            [*PRINCIPAL[1][:-2], f"{ROLES['sender']},*", f"{ROLES['sender']} {ROLES['other']}"],
        ),
        "OperatorPrincipalArn": PRINCIPAL,
        "ResultQueueArns": (
            ["", "arn:aws:sqs:eu-west-1:123456789012:done",
             "arn:aws:sqs:eu-west-1:123456789012:done,arn:aws-cn:sqs:cn-north-1:123456789012:failed.fifo"],
            ["*", "done", "arn:aws:sqs:eu-west-1:123456789012:*", "arn:aws:sqs:eu-west-1:12:done",
             "arn:aws:sns:eu-west-1:123456789012:done", "arn:aws:sqs:eu-west-1:123456789012:done,*"],
        ),
        "PermissionsBoundaryArn": BOUNDARY,
        "MaxReceiveCount": (["1", "10", "1000"], ["0", "1001", "-1"]),
        "VisibilityTimeoutSeconds": (["0", "300", "43200"], ["-1", "43201"]),
        "MessageRetentionSeconds": SECONDS,
        "DLQMessageRetentionSeconds": SECONDS,
        "FifoQueue": SWITCH,
        "ContentBasedDeduplication": SWITCH,
        "HighThroughputFifo": SWITCH,
        "KmsKeyArn": KEY,
        "EnableAlarms": SWITCH,
        "AlarmTopicArn": TOPIC,
        "OldestMessageAlarmSeconds": SECONDS,
        "DLQMessagesAlarmThreshold": (["0", "100"], ["-1"]),
        "InFlightAlarmThreshold": (["1", "96000", "119999"], ["0", "120000"]),
        "EmptyReceivesAlarmPerHour": (["1", "18000"], ["0"]),
        "OwnerTag": OWNER,
    },
    "ecs.yaml": {
        "ImageUri": (
            ["queuepost:0.1.0", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/queuepost:v0.1.0",
             f"r.example.com:5000/q@sha256:{'a' * 64}", "queuepost:latest-1", "queuepost:a1b2c3d"],
            ["", "queuepost", "queuepost:latest", "r.example.com:5000/q", "r.example.com:5000/q:latest",
             "r/q@sha256:abc", "r/q:0.1.0 ", "Queuepost:0.1.0", f"q@sha256:{'A' * 64}"],
        ),
        "ImageRepositoryArn": (
            ["", "arn:aws:ecr:eu-west-1:123456789012:repository/team/queuepost"],
            ["*", "arn:aws:ecr:eu-west-1:123456789012:repository/*", "arn:aws:ecr:eu-west-1:1:repository/a", "team/queuepost"],
        ),
        "CpuArchitecture": (["X86_64", "ARM64"], ["", "x86_64", "amd64"]),
        "TaskCpu": (["256", "2048"], ["", "128", "300"]),
        "TaskMemory": (["512", "8192"], ["", "256", "600"]),
        "QueueStackName": STACK,
        "ExternalId": EXTERNAL,
        "EndpointUrl": (
            ["", "http://orders", "https://orders.internal:8443/events?a=b", "http://10.0.0.1/", "http://[fd00::1]:80/a"],
            ["orders", "ftp://orders", "https://", "https://a b", "https://user@host/", "https://a/b c"],
        ),
        "Algorithm": (["", "demo/Hello", "demo/Hello/0.1.3"], ["Hello", "a/b/c/d", "a//b", "a/b c", "/a/b"]),
        "EndpointSecretArn": SECRET,
        "EndpointSecretKey": (["", "key", "a/b.c@d-e=f+g_h"], ["a:b", "a b", "*", "x" * 257]),
        "Configuration": (["", "listeners: [{queue: a, url: https://b}]", "log: {level: info}\nlisteners:\n- queue: a\n"], ["orders", "{}", "s3://a"]),
        "ConfigurationArn": SECRET,
        "SecretKmsKeyArn": KEY,
        "ConsumerRoleArns": CONSUMERS,
        "ClusterName": (["", "main", "a_B-9"], ["a b", "arn:aws:ecs:eu-west-1:123456789012:cluster/main", "*"]),
        "RequireHealthy": SWITCH,
        "OnDemandBase": (["0", "1000"], ["-1", "1001"]),
        "OnDemandWeight": (["0", "1000"], ["-1", "1001"]),
        "SpotWeight": (["0", "1000"], ["-1", "1001"]),
        "CollectorImage": (
            ["", COLLECTOR, f"r.example.com:5000/q@sha256:{'a' * 64}"],
            ["collector", "public.ecr.aws/aws-observability/aws-otel-collector:latest"],
        ),
        "PrometheusWorkspaceArn": (
            ["", "arn:aws:aps:eu-west-1:123456789012:workspace/ws-12345678-abcd"],
            ["ws-1", "arn:aws:aps:eu-west-1:123456789012:workspace/*", "arn:aws:aps:eu-west-1:1:workspace/ws-1"],
        ),
        "EnableAlarms": SWITCH,
        "AlarmTopicArn": TOPIC,
        "EndpointPort": (["1", "443", "65535"], ["0", "65536"]),
        "EndpointCidr": (["0.0.0.0/0", "10.0.0.0/16"], ["", "10.0.0.0", "10.0.0/16", "::/0", "a/8"]),
        "Workers": (["1", "10000"], ["0", "10001"]),
        "RequestTimeoutSeconds": (["0", "1", "43140"], ["-1", "43141"]),
        "ShutdownDeadlineSeconds": (["5", "110"], ["4", "111", "120"]),
        "MinTasks": (["1", "1000"], ["0", "1001"]),
        "Fleet": SWITCH,
        "MaxTasks": (["1", "1000"], ["0", "1001"]),
        "BacklogPerTask": (["1", "480"], ["0"]),
        "LogRetentionDays": (["1", "365"], ["0", "366", ""]),
        "LogKmsKeyArn": KEY,
        "PermissionsBoundaryArn": BOUNDARY,
        "OwnerTag": OWNER,
    },
    "eks-pod-identity.yaml": {
        "ClusterName": (["main", "a_B-9", "x" * 100], ["", "-a", "x" * 101, "a b"]),
        "Namespace": (["orders", "a", "a-9", "x" * 63], ["", "Orders", "-a", "a-", "x" * 64, "a.b", "*"]),
        "ServiceAccount": (["orders-queuepost", "a.b", "a"], ["", "A", "a_b", "-a", "a-", "*"]),
        "QueueStackName": STACK,
        "ConsumerRoleArns": CONSUMERS,
        "PermissionsBoundaryArn": BOUNDARY,
        "OwnerTag": OWNER,
    },
}

#: What lists of principals are given.
LISTED = {
    "SenderPrincipalArns": f"{ROLES['sender']},arn:aws:iam::333333333333:role/far", "ConsumerPrincipalArn": ROLES["consumer"],
    "OperatorPrincipalArn": ROLES["operator"],
}
