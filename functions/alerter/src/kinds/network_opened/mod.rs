//! Networks opened to the internet: security groups, network ACLs, the block of public access of VPCs.

mod permission;

use orgkeeper_shared::alert::Severity;

use self::permission::Permission;
use crate::{
    actor::ActorClass,
    draft::Draft,
    event::Event,
    event_rule::EventRule,
    kind::Kind,
    kinds::{
        call_words::{self, CallWords, NextSteps, describe_call},
        classifier::{Classification, Classifier},
    },
    outcome::Outcome,
    severity::{BY_A_DEPLOYMENT, BY_A_SERVICE, Content, DENIED, NOT_THERE, row},
};

/// Everybody reaches every port.
const EVERY_PORT: Content = Content::grave("every port to everybody");
/// Everybody reaches a port that only administrators and applications need.
const ADMIN_PORT: Content = Content::grave("a port of administration or a database to everybody");
/// A network ACL lets everybody through to such a port. Security groups still apply.
const ACL: Content = Content::grave("a network ACL for such a port");
/// The block of public access of VPCs is off.
const BLOCK_OFF: Content = Content::grave("the block of public access of VPCs removed");
/// Everybody reaches another port.
const OTHER_PORT: Content = Content::new("another port to everybody");
/// It is not known whom it lets in.
const UNREAD: Content = Content::new("whom it lets in cannot be read");

/// A network was opened.
pub const KIND: &Kind = &Kind {
    name: "network.opened",
    plural: "opened networks",
    severities: &[
        NOT_THERE,
        DENIED,
        row(Severity::Info).outcome(Outcome::Failed),
        BY_A_SERVICE,
        row(Severity::Error)
            .content(EVERY_PORT)
            .by(ActorClass::DeploymentTool),
        row(Severity::Error)
            .content(BLOCK_OFF)
            .by(ActorClass::DeploymentTool),
        BY_A_DEPLOYMENT,
        row(Severity::Critical).content(EVERY_PORT),
        row(Severity::Error).content(ADMIN_PORT),
        row(Severity::Error).content(ACL),
        row(Severity::Error).content(BLOCK_OFF).fixed(),
        row(Severity::Error).content(UNREAD),
        row(Severity::Info),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "ports of administration, databases or all ports opened to the internet, the block of public access of VPCs \
        removed, or an attempt",
    rules: &[
        EventRule::of(
            "SecurityGroupOpened",
            "Security groups that are opened to a great part of the internet, or to a list of addresses",
            SECURITY_GROUPS,
        ),
        EventRule::of(
            "NetworkOpened",
            "Changes to rules of security groups and network ACLs, and to the block of public access of VPCs",
            NETWORKS,
        ),
    ],
    calls: CALLS,
    samples: &[
        "network-opened",
        "network-opened-acl",
        "network-opened-all-ports",
        "network-opened-changed",
        "network-opened-deployment",
    ],
    classify,
};

/// Security groups are opened all day to others. Blocks with a prefix shorter than eight are a great part of the
/// internet; a request that cannot be read is delivered as well.
const SECURITY_GROUPS: &str = r#"{"source":["aws.ec2"],"detail-type":["AWS API Call via CloudTrail"],
    "detail":{"eventName":["AuthorizeSecurityGroupIngress"],"requestParameters":{"$or":[
    {"ipPermissions":{"items":{"ipRanges":{"items":{"cidrIp":[{"suffix":"/0"},{"suffix":"/1"},{"suffix":"/2"},
    {"suffix":"/3"},{"suffix":"/4"},{"suffix":"/5"},{"suffix":"/6"},{"suffix":"/7"}]}}}}},
    {"ipPermissions":{"items":{"ipv6Ranges":{"items":{"cidrIpv6":[{"exists":true}]}}}}},
    {"ipPermissions":{"items":{"prefixListIds":{"items":{"prefixListId":[{"exists":true}]}}}}},
    {"ipPermissions":{"items":{"ipProtocol":[{"exists":false}]}}}]}}}"#;
const NETWORKS: &str = r#"{"source":["aws.ec2"],"detail-type":["AWS API Call via CloudTrail"],
    "detail":{"eventName":["CreateNetworkAclEntry","ModifySecurityGroupRules","ModifyVpcBlockPublicAccessOptions",
    "ReplaceNetworkAclEntry"]}}"#;

const fn ec2(
    operation: &'static str,
    verb: [&'static str; 2],
    object: &'static str,
    rest: &'static str,
) -> CallWords {
    call_words::row("ec2", operation, verb, object, rest)
}

const ADD: [&str; 2] = ["add", "added"];
const CHANGE: [&str; 2] = ["change", "changed"];

/// The calls that are reported.
pub const CALLS: &[CallWords] = &[
    ec2(
        "AuthorizeSecurityGroupIngress",
        ADD,
        "a rule",
        "to security group {groupId}",
    ),
    ec2(
        "ModifySecurityGroupRules",
        CHANGE,
        "a rule|of security group {ModifySecurityGroupRulesRequest.GroupId}",
        "",
    ),
    ec2(
        "CreateNetworkAclEntry",
        ADD,
        "a rule",
        "to network ACL {networkAclId}",
    ),
    ec2(
        "ReplaceNetworkAclEntry",
        CHANGE,
        "a rule|of network ACL {networkAclId}",
        "",
    ),
    ec2(
        "ModifyVpcBlockPublicAccessOptions",
        CHANGE,
        "the block of public access|of all VPCs",
        "",
    ),
];

/// Ports that are meant for everybody.
const WEB: &[i64] = &[80, 443];
/// Ports that are not meant for everybody, and what they are for.
const NOT_FOR_EVERYBODY: &[(i64, &str)] = &[
    (22, "SSH"),
    (3389, "remote desktop"),
    (20, "FTP"),
    (21, "FTP"),
    (23, "Telnet"),
    (135, "Windows RPC"),
    (139, "NetBIOS"),
    (445, "file shares (SMB)"),
    (1433, "SQL Server"),
    (1521, "Oracle"),
    (2049, "file shares (NFS)"),
    (2375, "Docker"),
    (2376, "Docker"),
    (2379, "etcd"),
    (3306, "MySQL"),
    (5432, "PostgreSQL"),
    (5439, "Redshift"),
    (5601, "Kibana"),
    (5900, "VNC"),
    (5985, "Windows remote management"),
    (5986, "Windows remote management"),
    (6379, "Redis"),
    (6443, "Kubernetes"),
    (7000, "Cassandra"),
    (9042, "Cassandra"),
    (9092, "Kafka"),
    (9200, "Elasticsearch"),
    (9300, "Elasticsearch"),
    (10250, "Kubernetes"),
    (11211, "Memcached"),
    (27017, "MongoDB"),
    (27018, "MongoDB"),
];
/// From here on a network ACL has to let answers through.
const ANSWERS_FROM: i64 = 1_024;
const LAST_PORT: i64 = 65_535;
/// A range of so many ports is as good as every port.
const MANY_PORTS: i64 = 60_000;

const CLOSE: &str = "If this is not meant to be reached from the internet, remove the rule now, then look at what is \
    behind it: who signed in or connected since (flow logs, logs of the machine). If it was not planned, revoke the \
    access of the person who did it.";
const LOOK: &str =
    "Nothing, if this is meant to be reached from the internet. Otherwise remove the rule.";
const LIST: &str =
    "Nothing, if you know what is in this list of addresses. Otherwise open it in the console.";
const BLOCK: &str = "If it was not planned, switch it on again now: what has a public address and an open security group \
    can be reached from the internet. Then revoke the access of the person who did it.";
const NOT_DONE: &str = "Nothing was changed. Ask them if you do not expect this from them.";

/// What to do, by the content.
const NEXT: &[(Content, &str)] = &[
    (EVERY_PORT, CLOSE),
    (ADMIN_PORT, CLOSE),
    (ACL, CLOSE),
    (UNREAD, CLOSE),
    (BLOCK_OFF, BLOCK),
    (OTHER_PORT, LOOK),
];

const REQUEST: &str = "/detail/requestParameters";
/// Where a request says which way the block of public access works.
const BLOCK_MODES: &[&str] = &[
    "/detail/requestParameters/ModifyVpcBlockPublicAccessOptionsRequest/InternetGatewayBlockMode",
    "/detail/requestParameters/internetGatewayBlockMode",
];

/// What a permission opens.
enum Opened {
    /// Nothing that is worth an alert.
    Nothing,
    /// Something, and in words what.
    Ports(Content, String),
    /// A list of addresses, by its id.
    List(String),
    /// It cannot be read.
    Unread,
}

/// Classifies a change of a network.
fn classify(event: &Event) -> Option<Classification> {
    let words = call_words::find(CALLS, &event.call()?)?;
    let mut draft = Draft::of_call(event, KIND, words.what(event));
    let is_reported = if words.operation == "ModifyVpcBlockPublicAccessOptions" {
        read_block(&mut draft, event)
    } else {
        let is_acl = words.operation.ends_with("NetworkAclEntry");
        read_rules(&mut draft, event, is_acl)
    };
    if !is_reported {
        return Some(Classification::NotReported);
    }
    let next = NEXT
        .iter()
        .find(|(content, _)| draft.content == Some(*content));
    let next = NextSteps {
        done: next.map_or(LIST, |(_, next)| next),
        denied: NOT_DONE,
        failed: NOT_DONE,
    };
    describe_call(&mut draft, words, event, next);
    Some(draft.into())
}

/// Adds what becomes of the block of public access. False if it is on.
fn read_block(draft: &mut Draft, event: &Event) -> bool {
    match event.first(BLOCK_MODES).as_deref() {
        Some(mode) if mode.starts_with("block-") => return false,
        Some("off") => {
            draft.is_about(BLOCK_OFF);
            headline(draft, "Block of public access of all VPCs switched off");
        }
        _ => draft.is_about(UNREAD),
    }
    true
}

fn headline(draft: &mut Draft, headline: &str) {
    if draft.outcome == Outcome::Done {
        headline.clone_into(&mut draft.headline);
    }
}

/// Adds what the rules in a request open. False if that is nothing worth an alert.
fn read_rules(draft: &mut Draft, event: &Event, is_acl: bool) -> bool {
    let outwards = event.is(&format!("{REQUEST}/egress"), "true");
    let denies = event.is(&format!("{REQUEST}/ruleAction"), "deny");
    if is_acl && (outwards || denies) {
        return false;
    }
    let permissions = Permission::all(event.node(REQUEST));
    let mut opened: Vec<Opened> = permissions.iter().map(|it| open(it, is_acl)).collect();
    if opened.is_empty() {
        opened.push(Opened::Unread);
    }
    let (mut contents, mut ports, mut lists) = (Vec::new(), Vec::new(), Vec::new());
    for opened in opened {
        match opened {
            Opened::Nothing => {}
            Opened::Ports(content, words) => {
                contents.push(content);
                ports.push(words);
            }
            Opened::List(list) => lists.push(list),
            Opened::Unread => contents.push(UNREAD),
        }
    }
    if contents.is_empty() && lists.is_empty() {
        return false;
    }
    let worst = NEXT.iter().find(|(content, _)| contents.contains(content));
    if let Some((content, _)) = worst {
        draft.is_about(*content);
    }
    if !ports.is_empty() {
        let what = ports.join(", ");
        let place = if is_acl { "networkAclId" } else { "groupId" };
        let names = [
            format!("{REQUEST}/{place}"),
            format!("{REQUEST}/ModifySecurityGroupRulesRequest/GroupId"),
        ];
        let name = names.iter().find_map(|name| event.value(name));
        let of = name.map_or(String::new(), |name| format!(" ({name})"));
        headline(draft, &format!("Open to everybody: {what}{of}"));
        draft.detail("Open to everybody", Some(what));
    }
    let lists = (!lists.is_empty()).then(|| lists.join(", "));
    draft.detail("Open to lists of addresses", lists);
    true
}

/// What a permission opens to the internet.
fn open(permission: &Permission, is_acl: bool) -> Opened {
    match permission.is_open() {
        None => return Opened::Unread,
        Some(false) => {
            let list = (!permission.lists.is_empty()).then(|| permission.lists.join(", "));
            return list.map_or(Opened::Nothing, Opened::List);
        }
        Some(true) if permission.is_of_messages() => return Opened::Nothing,
        Some(true) => {}
    }
    let (first, last) = permission.port_range();
    let answers = is_acl && first >= ANSWERS_FROM && last == LAST_PORT;
    if answers || first == last && WEB.contains(&first) {
        return Opened::Nothing;
    }
    let range = if first == last {
        format!("port {first}")
    } else {
        format!("ports {first} to {last}")
    };
    let dangerous = NOT_FOR_EVERYBODY
        .iter()
        .find(|(port, _)| (first..=last).contains(port));
    let (content, words) = match dangerous {
        _ if last - first >= MANY_PORTS => (EVERY_PORT, "every port".to_owned()),
        Some((_, what)) => (ADMIN_PORT, format!("{range}, {what}")),
        None => (OTHER_PORT, range),
    };
    let content = if is_acl && content != OTHER_PORT {
        ACL
    } else {
        content
    };
    Opened::Ports(content, words)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds::tried::{DEPLOYMENT, PERSON, severity, title};

    const ADD_RULE: &str = "AuthorizeSecurityGroupIngress";

    fn group(protocol: &str, ports: Option<(i64, i64)>, block: &str) -> Value {
        let mut permission = json!({ "ipProtocol": protocol,
            "ipRanges": { "items": [{ "cidrIp": block }] }, "ipv6Ranges": {}, "prefixListIds": {} });
        if let Some((first, last)) = ports {
            permission["fromPort"] = first.into();
            permission["toPort"] = last.into();
        }
        json!({ "groupId": "sg-1", "ipPermissions": { "items": [permission] } })
    }

    #[test]
    fn a_port_is_as_severe_as_what_it_is_for() {
        const EVERYBODY: &str = "0.0.0.0/0";
        for (request, by_person, by_deployment) in [
            (
                group("-1", None, EVERYBODY),
                Some(Severity::Critical),
                Some(Severity::Error),
            ),
            (
                group("tcp", Some((0, 65_535)), EVERYBODY),
                Some(Severity::Critical),
                Some(Severity::Error),
            ),
            (
                group("tcp", Some((22, 22)), EVERYBODY),
                Some(Severity::Error),
                Some(Severity::Info),
            ),
            (
                group("tcp", Some((3300, 3400)), "128.0.0.0/1"),
                Some(Severity::Error),
                Some(Severity::Info),
            ),
            (
                group("udp", Some((11_211, 11_211)), EVERYBODY),
                Some(Severity::Error),
                Some(Severity::Info),
            ),
            (
                group("tcp", Some((8443, 8443)), EVERYBODY),
                Some(Severity::Info),
                Some(Severity::Info),
            ),
            (group("tcp", Some((443, 443)), EVERYBODY), None, None),
            (group("tcp", Some((22, 22)), "10.0.0.0/8"), None, None),
            (group("-1", None, "203.0.113.7/32"), None, None),
            (group("icmp", Some((-1, -1)), EVERYBODY), None, None),
            (
                group("tcp", Some((22, 22)), "somewhere"),
                Some(Severity::Error),
                Some(Severity::Info),
            ),
            (
                json!({ "groupId": "sg-1" }),
                Some(Severity::Error),
                Some(Severity::Info),
            ),
        ] {
            let of = |actor| severity(KIND, "ec2", ADD_RULE, &request, actor);
            assert_eq!(of(PERSON), by_person, "{request}");
            assert_eq!(of(DEPLOYMENT), by_deployment, "{request}");
        }
    }

    #[test]
    fn rules_are_read_in_every_spelling() {
        let old = json!({ "groupId": "sg-1", "ipProtocol": "tcp", "fromPort": "22", "toPort": "22",
            "cidrIp": "0.0.0.0/0" });
        let changed = json!({ "ModifySecurityGroupRulesRequest": { "GroupId": "sg-1", "SecurityGroupRule": {
            "SecurityGroupRuleId": "sgr-1", "SecurityGroupRule": { "IpProtocol": "tcp", "FromPort": 5432,
                "ToPort": 5432, "CidrIpv6": "::/0" } } } });
        let other_group = json!({ "groupId": "sg-1", "ipPermissions": { "items": [{ "ipProtocol": "-1",
            "groups": { "items": [{ "groupId": "sg-2", "userId": "111122223333" }] } }] } });
        let list = json!({ "groupId": "sg-1", "ipPermissions": { "items": [{ "ipProtocol": "tcp",
            "fromPort": 22, "toPort": 22, "prefixListIds": { "items": [{ "prefixListId": "pl-1" }] } }] } });
        for (operation, request, wanted) in [
            (ADD_RULE, &old, Some(Severity::Error)),
            ("ModifySecurityGroupRules", &changed, Some(Severity::Error)),
            (ADD_RULE, &other_group, None),
            (ADD_RULE, &list, Some(Severity::Info)),
        ] {
            let found = severity(KIND, "ec2", operation, request, PERSON);
            assert_eq!(found, wanted, "{request}");
        }
        assert_eq!(
            title(KIND, "ec2", "ModifySecurityGroupRules", &changed, PERSON),
            "Open to everybody: port 5432, PostgreSQL (sg-1)"
        );
    }

    #[test]
    fn a_network_acl_is_milder_and_lets_answers_through() {
        let entry = |action: &str, egress: bool, ports: Value| {
            json!({ "networkAclId": "acl-1", "ruleNumber": 100, "egress": egress, "ruleAction": action,
                "icmpTypeCode": {}, "portRange": ports, "aclProtocol": "6", "cidrBlock": "0.0.0.0/0" })
        };
        for (request, wanted) in [
            (
                entry("allow", false, json!({ "from": 22, "to": 22 })),
                Some(Severity::Error),
            ),
            (entry("allow", false, json!({})), Some(Severity::Error)),
            (
                entry("allow", false, json!({ "from": 1024, "to": 65_535 })),
                None,
            ),
            (entry("allow", true, json!({ "from": 22, "to": 22 })), None),
            (entry("deny", false, json!({ "from": 22, "to": 22 })), None),
        ] {
            let found = severity(KIND, "ec2", "CreateNetworkAclEntry", &request, PERSON);
            assert_eq!(found, wanted, "{request}");
        }
    }

    #[test]
    fn the_block_of_public_access_is_missed_when_it_is_off() {
        let mode = |mode: &str| json!({ "ModifyVpcBlockPublicAccessOptionsRequest": { "InternetGatewayBlockMode": mode } });
        for (mode, wanted) in [
            (mode("off"), Some(Severity::Error)),
            (mode("block-bidirectional"), None),
            (json!({}), Some(Severity::Error)),
        ] {
            let operation = "ModifyVpcBlockPublicAccessOptions";
            assert_eq!(
                severity(KIND, "ec2", operation, &mode, PERSON),
                wanted,
                "{mode}"
            );
        }
    }
}
