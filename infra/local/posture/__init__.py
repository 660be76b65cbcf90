"""The stand-ins of the organization's security services, inside moto's process, where the organization is.

* `wire` – reads a call by botocore's model of its service, finds what answers it, and writes the answer by the same model;
* `directory` – the organization as moto has it; `settings` – what tests set and read under `/_orgkeeper/posture`;
* `principals` – trusted access and delegated administrators, as Organizations refuses and accepts them;
* `administrators` – one table of the services that an account administers for the others; `members` – each service's own calls;
* `hub`, `standards`, `central`, `aggregators` – Security Hub: subscriptions, standards with their controls, central configuration,
  linked Regions;
* `insights` – DevOps Guru: what an account has covered, and insights that a test opens and closes;
* `analyzers` – IAM Access Analyzer;
* `recorder` – the aggregator of AWS Config as a second source about network interfaces;
* `network` – what moto's EC2 answers differently from AWS.

`controls.toml` and `regions.toml` are the data: which control there is in which Region, which service in which.
"""

from posture import aggregators, analyzers, central, insights, members, network, principals, recorder, wire  # noqa: F401


def stand_in():
    """Applies the patches of this package; to import its modules registers their answers."""
    principals.know_principals()
    recorder.have_aggregators()
    network.correct()
    wire.stand_in()
