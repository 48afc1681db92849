"""Tries the probes on an endpoint and prints what it has seen, one JSON object a line, in the order of the table.

behaviours.py ENDPOINT [PROBE...]
ENDPOINT is a JSON object: endpoint_url, access_key_id, secret_access_key, host, port, ca (a file), websocket (a URL).
"""

import json
import sys
import tempfile
import traceback
from concurrent.futures import ThreadPoolExecutor

from account import Account
from botocore.exceptions import ClientError
from device import Differs
from probes import PROBES

endpoint, wanted = json.loads(sys.argv[1]), sys.argv[2:]


def seen(probe, account):
    try:
        probe(account)
        return "yes"
    except Differs as differs:
        return str(differs)
    except ClientError as error:
        return f"{error.operation_name}: {error.response['Error']['Code']}"
    except Exception as error:
        traceback.print_exc()
        return type(error).__name__


with tempfile.TemporaryDirectory() as folder:
    account = Account(endpoint, folder)
    chosen = [row for row in PROBES if not wanted or row[2].__name__ in wanted]
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda row: seen(row[2], account), chosen))
for (document, text, _), outcome in zip(chosen, rows):
    print(json.dumps({"document": document, "behaviour": text, "seen": outcome}))
