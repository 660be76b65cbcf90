//! What a finding is about, and what was seen, in words: by tables of where a finding names it.

use crate::{
    draft::Draft,
    event::{Event, text_of},
    text::name_of,
};

/// Things of one sort that are named.
const NAMED: usize = 5;

/// Where a finding names its resource, with a label. The first that a finding has comes first.
const RESOURCES: &[(&str, &str)] = &[
    ("user", "accessKeyDetails/userName"),
    ("instance", "instanceDetails/instanceId"),
    ("object", "s3BucketDetails/0/s3ObjectDetails/0/key"),
    ("bucket", "s3BucketDetails/0/name"),
    (
        "workload",
        "kubernetesDetails/kubernetesWorkloadDetails/name",
    ),
    (
        "namespace",
        "kubernetesDetails/kubernetesWorkloadDetails/namespace",
    ),
    (
        "Kubernetes user",
        "kubernetesDetails/kubernetesUserDetails/username",
    ),
    ("cluster", "eksClusterDetails/name"),
    ("task", "ecsClusterDetails/taskDetails/arn"),
    ("cluster", "ecsClusterDetails/name"),
    ("container", "containerDetails/name"),
    ("image", "containerDetails/image"),
    ("function", "lambdaDetails/functionName"),
    ("database", "rdsDbInstanceDetails/dbInstanceIdentifier"),
    ("database", "rdsLimitlessDbDetails/dbShardGroupIdentifier"),
    ("database user", "rdsDbUserDetails/user"),
    (
        "volume",
        "ebsVolumeDetails/scannedVolumeDetails/0/volumeArn",
    ),
    ("snapshot", "ebsSnapshotDetails/snapshotArn"),
    ("image", "ec2ImageDetails/imageArn"),
    ("recovery point", "recoveryPointDetails/recoveryPointArn"),
];

/// Where a finding says what was done, with the label of its line.
const SEEN: &[(&str, &[&str])] = &[
    (
        "Call",
        &[
            "action/awsApiCallAction/api",
            "action/awsApiCallAction/serviceName",
        ],
    ),
    (
        "Kubernetes call",
        &[
            "action/kubernetesApiCallAction/verb",
            "action/kubernetesApiCallAction/requestUri",
        ],
    ),
    ("Domain", &["action/dnsRequestAction/domain"]),
    (
        "Process",
        &[
            "runtimeDetails/process/executablePath",
            "runtimeDetails/process/user",
        ],
    ),
];

/// Where a finding lists what was found: the label, the list, and the field of each.
const FOUND: &[(&str, &str, &str)] = &[
    (
        "Malware",
        "ebsVolumeScanDetails/scanDetections/threatDetectedByName/threatNames",
        "name",
    ),
    ("Malware", "malwareScanDetails/threats", "name"),
    ("Signals", "detection/sequence/signals", "name"),
    ("Actors", "detection/sequence/actors", "id"),
];

/// The first few of the texts.
fn listed(mut texts: Vec<String>) -> Option<String> {
    texts.dedup();
    let more = texts.len().saturating_sub(NAMED);
    texts.truncate(NAMED);
    if more > 0 {
        texts.push(format!("{more} more"));
    }
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// What the finding is about: `KubernetesWorkload, workload shop, namespace prod, cluster main`.
pub(super) fn resources(event: &Event) -> Option<String> {
    let kind = event.value("/detail/resource/resourceType");
    let named = RESOURCES.iter().filter_map(|(label, pointer)| {
        let name = event.value(&format!("/detail/resource/{pointer}"))?;
        Some(format!("{label} {}", name_of(&name)))
    });
    let named = listed(named.chain(of_sequence(event)).collect());
    match (kind, named) {
        (Some(kind), Some(named)) if !named.starts_with(&kind.to_lowercase()) => {
            Some(format!("{kind}, {named}"))
        }
        (kind, named) => named.or(kind),
    }
}

/// The resources of an attack sequence.
fn of_sequence(event: &Event) -> Vec<String> {
    let resources = event.elements("/detail/service/detection/sequence/resources");
    let words = resources.iter().filter_map(|resource| {
        let name = text_of(resource.get("name")).or_else(|| text_of(resource.get("uid")))?;
        let kind = text_of(resource.get("resourceType")).unwrap_or_default();
        Some(format!("{kind} {}", name_of(&name)).trim_start().to_owned())
    });
    words.collect()
}

/// Adds what was seen and found.
pub(super) fn describe(draft: &mut Draft, event: &Event) {
    let of_service = |pointer: &str| format!("/detail/service/{pointer}");
    let sequence = event.value(&of_service("detection/sequence/description"));
    draft.detail("Sequence", sequence);
    for (label, pointers) in SEEN {
        let parts = pointers
            .iter()
            .filter_map(|pointer| event.value(&of_service(pointer)));
        let parts: Vec<String> = parts.collect();
        draft.detail(label, (!parts.is_empty()).then(|| parts.join(", ")));
    }
    for (label, list, field) in FOUND {
        let found = event.elements(&of_service(list)).iter();
        draft.detail(
            label,
            listed(found.filter_map(|one| text_of(one.get(field))).collect()),
        );
    }
    let files = event.elements(&of_service(
        "ebsVolumeScanDetails/scanDetections/threatDetectedByName/threatNames",
    ));
    let files = files.iter().filter_map(|threat| {
        let file = threat.pointer("/filePaths/0")?;
        text_of(file.get("filePath").or(file.get("fileName")))
    });
    draft.detail("Files", listed(files.collect()));
}

/// The remote address, by the kind of action.
pub(super) fn remote_address(event: &Event) -> Option<String> {
    const ACTIONS: &[&str] = &[
        "awsApiCallAction",
        "networkConnectionAction",
        "portProbeAction/portProbeDetails/0",
        "kubernetesApiCallAction",
        "rdsLoginAttemptAction",
    ];
    ACTIONS.iter().find_map(|action| {
        let address = format!("/detail/service/action/{action}/remoteIpDetails/ipAddress");
        event.first(&[&format!("{address}V4"), &format!("{address}V6")])
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{draft, finding};

    /// The details of a finding with this resource and service, as `label: text`.
    fn details(resource: &Value, service: &Value) -> Vec<String> {
        let draft = draft(&finding("x", 8.0, resource, service));
        let details = draft.details.iter();
        details
            .map(|(label, text)| format!("{label}: {text}"))
            .collect()
    }

    fn has(details: &[String], line: &str) -> bool {
        details.iter().any(|detail| detail == line)
    }

    #[test]
    fn each_resource_has_words() {
        for (resource, about) in [
            (
                json!({ "resourceType": "KubernetesWorkload", "eksClusterDetails": { "name": "main" },
                    "kubernetesDetails": { "kubernetesWorkloadDetails": { "name": "shop", "namespace": "prod" } } }),
                "KubernetesWorkload, workload shop, namespace prod, cluster main",
            ),
            (
                json!({ "resourceType": "ECSCluster", "ecsClusterDetails": { "name": "jobs",
                    "taskDetails": { "arn": "arn:aws:ecs:eu-west-1:111122223333:task/jobs/0abc" } } }),
                "ECSCluster, task 0abc, cluster jobs",
            ),
            (
                json!({ "resourceType": "RDSDBInstance", "rdsDbInstanceDetails": { "dbInstanceIdentifier": "orders" },
                    "rdsDbUserDetails": { "user": "app" } }),
                "RDSDBInstance, database orders, database user app",
            ),
            (
                json!({ "resourceType": "Lambda", "lambdaDetails": { "functionName": "resize" } }),
                "Lambda, function resize",
            ),
            (
                json!({ "resourceType": "EBSSnapshot", "ebsSnapshotDetails": {
                    "snapshotArn": "arn:aws:ec2:eu-west-1:111122223333:snapshot/snap-1" } }),
                "EBSSnapshot, snapshot snap-1",
            ),
            (
                json!({ "resourceType": "S3Object", "s3BucketDetails": [{ "name": "uploads",
                    "s3ObjectDetails": [{ "key": "invoice.exe" }] }] }),
                "S3Object, object invoice.exe, bucket uploads",
            ),
            (json!({ "resourceType": "Quantum" }), "Quantum"),
        ] {
            let details = details(&resource, &json!({}));
            assert!(has(&details, &format!("About: {about}")), "{details:?}");
        }
    }

    #[test]
    fn malware_is_named_with_its_file() {
        let threats =
            json!([{ "name": "EICAR-Test-File", "filePaths": [{ "filePath": "tmp/eicar.com" }] }]);
        let service = json!({ "ebsVolumeScanDetails": {
            "scanDetections": { "threatDetectedByName": { "threatNames": threats } } } });
        let details = details(&json!({ "resourceType": "Instance" }), &service);
        assert!(has(&details, "Malware: EICAR-Test-File"), "{details:?}");
        assert!(has(&details, "Files: tmp/eicar.com"), "{details:?}");
    }

    #[test]
    fn an_attack_sequence_names_its_resources_and_signals() {
        let sequence = json!({ "description": "Stolen credentials read a bucket.",
            "signals": [{ "name": "A" }, { "name": "B" }],
            "resources": [{ "uid": "AKIA1", "resourceType": "AccessKey" },
                { "name": "arn:aws:s3:::exports", "resourceType": "S3Bucket" }] });
        let details = details(
            &json!({ "resourceType": "AttackSequence" }),
            &json!({ "detection": { "sequence": sequence } }),
        );
        for line in [
            "About: AttackSequence, AccessKey AKIA1, S3Bucket exports",
            "Sequence: Stolen credentials read a bucket.",
            "Signals: A, B",
        ] {
            assert!(has(&details, line), "{line}: {details:?}");
        }
    }

    #[test]
    fn what_was_seen_is_named() {
        let call = json!({ "action": { "awsApiCallAction": { "api": "ListBuckets", "serviceName": "s3.amazonaws.com" },
            "dnsRequestAction": { "domain": "pool.example.com" } } });
        let details = details(&json!({}), &call);
        assert!(
            has(&details, "Call: ListBuckets, s3.amazonaws.com"),
            "{details:?}"
        );
        assert!(has(&details, "Domain: pool.example.com"), "{details:?}");
    }
}
