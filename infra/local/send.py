"""Sends a sample event to the local cloud, as AWS's own services do: send.py EVENT_FILE [ACCOUNT_ID].

PutEvents refuses sources that begin with `aws.`. With an account id the event is about that account. AWS_ENDPOINT_URL
names the local cloud. Events of Security Hub arrive in the management account, all others on the bus that they are
forwarded to.
"""

import json
import os
import sys
import urllib.error
import urllib.request

MANAGEMENT_ACCOUNT = "111111111111"
ALERTS_BUS = f"arn:aws:events:us-east-1:{MANAGEMENT_ACCOUNT}:event-bus/orgkeeper-alerts"


def main():
    """Reads the event, gives it the account, and sends it."""
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: send.py EVENT_FILE [ACCOUNT_ID]")
    with open(sys.argv[1], encoding="utf-8") as file:
        event = about(file.read(), sys.argv[2:])
    if event["source"] == "aws.securityhub":
        event["account"] = MANAGEMENT_ACCOUNT
    else:
        event["bus"] = ALERTS_BUS
    url = os.environ.get("AWS_ENDPOINT_URL", "http://127.0.0.1:4566") + "/_orgkeeper/events"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(event).encode()), timeout=10) as answer:
            answer.read()
    except urllib.error.HTTPError as refused:
        sys.exit(refused.read().decode())
    except OSError as error:
        sys.exit(f"the local cloud does not answer at {url}: {error}")
    print(f"sent: {event['detail-type']}, about account {sys.argv[2] if sys.argv[2:] else event['account']}")


def about(text, accounts):
    """The event, about another account if one is given."""
    event = json.loads(text)
    for account in accounts:
        for own in {event["account"], *(finding["AwsAccountId"] for finding in event["detail"].get("findings", []))}:
            text = text.replace(own, account)
    return json.loads(text)


if __name__ == "__main__":
    main()
