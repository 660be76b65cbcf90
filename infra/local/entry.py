"""Prints a sample event as the argument of `aws events put-events --entries`: entry.py EVENT_FILE [ACCOUNT_ID].

With an account id the findings of the event are about that account.
"""

import json
import sys

if len(sys.argv) not in (2, 3):
    sys.exit("usage: entry.py EVENT_FILE [ACCOUNT_ID]")
with open(sys.argv[1], encoding="utf-8") as file:
    event = json.load(file)
for finding in event["detail"].get("findings", []):
    finding["AwsAccountId"] = (sys.argv[2:] or [finding["AwsAccountId"]])[0]
print(json.dumps([{"Source": event["source"], "DetailType": event["detail-type"], "Detail": json.dumps(event["detail"])}]))
