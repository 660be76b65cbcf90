"""Prints a sample event as the argument of `aws events put-events --entries`: entry.py EVENT_FILE [ACCOUNT_ID].

With an account id the event is about that account.
"""

import json
import sys

if len(sys.argv) not in (2, 3):
    sys.exit("usage: entry.py EVENT_FILE [ACCOUNT_ID]")
with open(sys.argv[1], encoding="utf-8") as file:
    text = file.read()
event = json.loads(text)
for account in sys.argv[2:]:
    for own in {event["account"], *(finding["AwsAccountId"] for finding in event["detail"].get("findings", []))}:
        text = text.replace(own, account)
event = json.loads(text)
print(json.dumps([{"Source": event["source"], "DetailType": event["detail-type"], "Detail": json.dumps(event["detail"])}]))
