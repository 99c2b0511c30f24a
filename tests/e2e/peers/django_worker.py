"""A Django application with django-eb-sqs-worker: runs the tasks that are posted to it, and prints each of them.

Usage: django_worker.py PORT
"""

import json
import sys
from wsgiref.simple_server import make_server

from django.conf import settings

settings.configure(
    AWS_ACCESS_KEY_ID="unused",
    AWS_SECRET_ACCESS_KEY="unused",
    ALLOWED_HOSTS=["127.0.0.1"],
    AWS_EB_DEFAULT_REGION="us-east-1",
    AWS_EB_ENABLED_TASKS={"echo": "__main__.echo"},
    AWS_EB_HANDLE_SQS_TASKS=True,
    AWS_EB_RUN_TASKS_LOCALLY=False,
    INSTALLED_APPS=["eb_sqs_worker"],
    ROOT_URLCONF="__main__",
    SECRET_KEY="of a test",
)

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402

urlpatterns = [path("", include("eb_sqs_worker.urls"))]


def echo(**arguments):
    print("ran echo with", json.dumps(arguments, sort_keys=True), flush=True)


sys.modules.setdefault("__main__", sys.modules[__name__])
make_server("127.0.0.1", int(sys.argv[1]), get_wsgi_application()).serve_forever()
