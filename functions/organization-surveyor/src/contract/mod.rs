//! The function with real SDK clients in virtual time: twice, at once, throttled, denied, stopped in the middle, out of
//! time, and for a large organization.

mod cloud;
mod enrolment;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use orgkeeper_tests::{
    dynamodb::{ACCOUNT_DIRECTORY, EXPOSURE, POSTURE},
    wire::Answer,
};
use serde_json::{Value, json};

use self::cloud::{Made, OFF, REGIONS, World};

const ACCOUNT: &str = "111122223333";
const OTHER: &str = "444455556666";
const NEVER_SEEN: &str = "777788889999";
const FILE: &str = r#"
[[scope]]
target = "Root/Workloads"
internet = [{ kind = "load-balancer", ports = [443] }]
[[accepted]]
account = "111122223333"
resource = "i-1"
reason = "the bastion"
until = 2026-12-31
"#;

fn task(survey: &str, accounts: &[&str], part: Option<u64>) -> Value {
    let accounts: Vec<Value> = accounts.iter().map(|id| json!({ "account": id })).collect();
    let mut task = json!({ "surveyId": survey, "reason": "schedule", "accounts": accounts });
    if let Some(part) = part {
        task["part"] = part.into();
    }
    task
}

fn interface(id: &str, more: &str) -> String {
    format!(
        "<item><networkInterfaceId>{id}</networkInterfaceId><ownerId>{ACCOUNT}</ownerId><vpcId>vpc-1</vpcId>\
         <subnetId>subnet-1</subnetId><status>in-use</status><interfaceType>interface</interfaceType>\
         <groupSet><item><groupId>sg-1</groupId></item></groupSet>{more}</item>"
    )
}

fn public(address: &str) -> String {
    format!("<association><publicIp>{address}</publicIp></association>")
}

/// The URL of a function, without authentication.
fn url_of(function: &str) -> Value {
    json!({ "FunctionUrl": format!("https://{function}.example/"), "AuthType": "NONE", "CreationTime": "",
        "FunctionArn": format!("arn:aws:lambda:eu-west-1:{ACCOUNT}:function:{function}"), "LastModifiedTime": "" })
}

/// An estate with one of everything in eu-west-1, and an instance in us-east-1.
fn estate(world: &World) {
    let cloud = &world.cloud;
    cloud.know(ACCOUNT, "Workloads", "ACTIVE");
    cloud.know(OTHER, "Workloads", "ACTIVE");
    let instance =
        |instance: &str| format!("<attachment><instanceId>{instance}</instanceId></attachment>");
    let interfaces = [
        interface("eni-1", &format!("{}{}", public("203.0.113.1"), instance("i-1"))),
        interface(
            "eni-2",
            &format!(
                "<ipv6AddressesSet><item><ipv6Address>2001:db8::2</ipv6Address></item></ipv6AddressesSet>{}",
                instance("i-2")
            ),
        ),
        interface("eni-3", &format!("<description>ELB app/shop/1</description>{}", public("203.0.113.3"))),
        interface("eni-4", ""),
    ]
    .concat();
    for (operation, xml) in [
        ("DescribeNetworkInterfaces", interfaces.as_str()),
        (
            "DescribeAddresses",
            "<item><publicIp>203.0.113.9</publicIp><allocationId>eipalloc-9</allocationId></item>\
             <item><publicIp>203.0.113.1</publicIp><allocationId>eipalloc-1</allocationId><associationId>a</associationId></item>",
        ),
        (
            "DescribeRouteTables",
            "<item><routeTableId>rtb-1</routeTableId><vpcId>vpc-1</vpcId><ownerId>111122223333</ownerId>\
             <associationSet><item><main>true</main></item></associationSet><routeSet>\
             <item><destinationCidrBlock>0.0.0.0/0</destinationCidrBlock><gatewayId>igw-1</gatewayId><state>active</state></item>\
             <item><destinationIpv6CidrBlock>::/0</destinationIpv6CidrBlock><gatewayId>igw-1</gatewayId><state>active</state></item>\
             <item><gatewayId>igw-2</gatewayId></item><item/></routeSet></item>",
        ),
        (
            "DescribeInternetGateways",
            "<item><internetGatewayId>igw-1</internetGatewayId><attachmentSet><item><state>available</state>\
             <vpcId>vpc-1</vpcId></item></attachmentSet></item>",
        ),
        (
            "DescribeSubnets",
            "<item><subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId><ownerId>111122223333</ownerId>\
             <cidrBlock>10.0.0.0/24</cidrBlock></item>\
             <item><subnetId>subnet-2</subnetId><vpcId>vpc-1</vpcId><ownerId>111122223333</ownerId>\
             <cidrBlock>10.0.1.0/24</cidrBlock></item>",
        ),
        (
            "DescribeSecurityGroups",
            "<item><groupId>sg-1</groupId><ipPermissions><item><ipProtocol>tcp</ipProtocol><fromPort>443</fromPort>\
             <toPort>443</toPort><ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges></item></ipPermissions></item>",
        ),
        (
            "DescribeLoadBalancers",
            "<member><LoadBalancerArn>arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/shop/1</LoadBalancerArn>\
             <DNSName>shop.example</DNSName><Scheme>internet-facing</Scheme><VpcId>vpc-1</VpcId>\
             <SecurityGroups><member>sg-1</member></SecurityGroups><AvailabilityZones><member><SubnetId>subnet-1</SubnetId>\
             </member></AvailabilityZones></member>\
             <member><LoadBalancerArn>arn:x</LoadBalancerArn><Scheme>internal</Scheme></member>",
        ),
        (
            "DescribeListeners",
            "<member><Port>443</Port><Protocol>HTTPS</Protocol></member>",
        ),
        (
            "DescribeDBInstances",
            "<DBInstance><DBInstanceIdentifier>d</DBInstanceIdentifier><DBInstanceArn>arn:aws:rds:eu-west-1:111122223333:db:d</DBInstanceArn>\
             <PubliclyAccessible>true</PubliclyAccessible><Endpoint><Address>d.example</Address><Port>5432</Port></Endpoint>\
             <VpcSecurityGroups><VpcSecurityGroupMembership><VpcSecurityGroupId>sg-1</VpcSecurityGroupId>\
             </VpcSecurityGroupMembership></VpcSecurityGroups><DBSubnetGroup><Subnets><Subnet><SubnetIdentifier>subnet-1\
             </SubnetIdentifier></Subnet></Subnets></DBSubnetGroup></DBInstance>",
        ),
        (
            "ListFunctions",
            r#"[{"FunctionName":"f"},{"FunctionName":"g"}]"#,
        ),
    ] {
        cloud.list(ACCOUNT, "eu-west-1", operation, xml);
    }
    let urls = json!([url_of("f")]).to_string();
    cloud.list(ACCOUNT, "eu-west-1", "ListFunctionUrlConfigs", &urls);
    let lonely = interface(
        "eni-5",
        &format!("{}{}", public("203.0.113.5"), instance("i-5")),
    );
    cloud.list(ACCOUNT, "us-east-1", "DescribeNetworkInterfaces", &lonely);
}

/// The tables after one survey of the estate without any fault.
async fn undisturbed() -> BTreeMap<String, Value> {
    let world = World::with(FILE).await;
    estate(&world);
    begin(&world, "s1", 1);
    world.send(&task("s1", &[ACCOUNT, OTHER], Some(1)));
    world.run().await;
    world.cloud.tables()
}

/// The planner's summary of a survey that begins.
fn begin(world: &World, survey: &str, parts: u64) {
    let summary = json!({ "Pair": { "S": format!("survey#{survey}") }, "Kind": { "S": "survey" },
        "SurveyId": { "S": survey }, "Parts": { "N": parts.to_string() } });
    world.cloud.tables.put(POSTURE, &summary);
}

fn throttled() -> Answer {
    Answer::xml(
        503,
        "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message/></Error></Errors></Response>",
    )
}

fn denied(words: &str) -> Answer {
    Answer::xml(
        403,
        &format!(
            "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>{words}</Message></Error></Errors></Response>"
        ),
    )
}

fn denied_by_role() -> Answer {
    denied("no identity-based policy allows the action")
}

/// One in so many, at random but always the same.
fn one_in(of: u64) -> impl FnMut() -> bool + Send {
    let mut random = 1_u64;
    move || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33).is_multiple_of(of)
    }
}

fn in_member(made: &Made) -> bool {
    [ACCOUNT, OTHER].contains(&made.account.as_str())
}

fn ids(world: &World) -> BTreeSet<String> {
    world.cloud.shown().into_iter().map(|(id, ..)| id).collect()
}

#[tokio::test(start_paused = true)]
async fn everything_that_is_exposed_is_shown_and_nothing_else() {
    let world = World::with(FILE).await;
    estate(&world);
    begin(&world, "s1", 1);
    world.send(&task("s1", &[ACCOUNT, OTHER], Some(1)));
    world.run().await;
    let shown: Vec<(String, String)> = world
        .cloud
        .shown()
        .into_iter()
        .map(|(id, reachable, _)| (id, reachable))
        .collect();
    let expected = [
        ("database#arn:aws:rds:eu-west-1:111122223333:db:d", "no"),
        (
            "function-url#arn:aws:lambda:eu-west-1:111122223333:function:f#https://f.example/",
            "yes",
        ),
        ("idle-address#eipalloc-9#203.0.113.9", "no"),
        ("instance#i-1#203.0.113.1", "yes"),
        ("instance#i-5#203.0.113.5", "unknown"),
        ("ipv6#i-2#2001:db8::2", "no"),
        (
            "load-balancer#arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/shop/1#shop.example",
            "yes",
        ),
        ("public-subnet#subnet-2#10.0.1.0/24", "no"),
        ("route#rtb-1#0.0.0.0/0 igw-1", "no"),
        ("route#rtb-1#::/0 igw-1", "no"),
    ];
    let expected = expected.map(|(id, reachable)| (id.to_owned(), reachable.to_owned()));
    assert_eq!(shown, expected);
    // Whose it is, and whether the file has it.
    let item = |id: &str| {
        let key = format!("{ACCOUNT}#eu-west-1\n{id}");
        world.cloud.tables.get(EXPOSURE, &key).unwrap()
    };
    let balancer = item(&expected[6].0);
    assert_eq!(balancer["Owner"]["M"]["Unit"]["S"], "Root/Workloads");
    assert_eq!(balancer["Expectation"]["M"]["As"]["S"], "expected");
    assert_eq!(
        item(&expected[3].0)["Expectation"]["M"]["As"]["S"],
        "accepted"
    );
    assert_eq!(
        item(&expected[1].0)["Expectation"]["M"]["As"]["S"],
        "unexpected"
    );
    // Every pair has an outcome, and the survey has ended.
    for region in REGIONS {
        assert_eq!(world.cloud.outcome(ACCOUNT, region), "SEEN", "{region}");
    }
    for region in OFF {
        assert_eq!(
            world.cloud.outcome(ACCOUNT, region),
            "REGION_OFF",
            "{region}"
        );
    }
    let summary = world.cloud.tables.get(POSTURE, "survey#s1").unwrap();
    assert_eq!(summary["Ended"]["NS"], json!(["1"]));
    assert_eq!(
        (&summary["Seen"]["N"], &summary["RegionOff"]["N"]),
        (&json!("34"), &json!("4"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_survey_writes_no_exposure() {
    let world = World::with(FILE).await;
    estate(&world);
    world.send(&task("s1", &[ACCOUNT, OTHER], None));
    world.run().await;
    let before = world.cloud.tables();
    world.cloud.take();
    world.send(&task("s1", &[ACCOUNT, OTHER], None));
    world.run().await;
    let made = world.cloud.take();
    let of_exposures = made.iter().filter(|made| made.table == EXPOSURE).count();
    assert_eq!(of_exposures, 0, "neither read nor written");
    assert_eq!(world.cloud.tables(), before);
}

#[tokio::test(start_paused = true)]
async fn every_message_twice_and_at_once_gives_the_same_tables() {
    let expected = undisturbed().await;
    let world = World::with(FILE).await;
    estate(&world);
    begin(&world, "s1", 1);
    for _ in 0..2 {
        world.send(&task("s1", &[ACCOUNT, OTHER], Some(1)));
    }
    world.run_at_once().await;
    assert_eq!(world.cloud.tables(), expected);
    world.send(&task("s1", &[ACCOUNT, OTHER], Some(1)));
    world.run().await;
    assert_eq!(world.cloud.tables(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_third_of_all_calls_throttled_gives_the_same_tables() {
    let expected = undisturbed().await;
    let world = World::with(FILE).await;
    estate(&world);
    begin(&world, "s1", 1);
    let mut one_in = one_in(3);
    world.cloud.fault(move |made| {
        (in_member(made) && !made.operation.starts_with("List") && one_in()).then(throttled)
    });
    world.send(&task("s1", &[ACCOUNT, OTHER], Some(1)));
    world.run().await;
    assert_eq!(world.cloud.tables(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_is_stopped_anywhere_gives_the_same_tables() {
    let expected = undisturbed().await;
    for calls in [5, 20, 100, 150, 165, 172, 176] {
        let world = World::with(FILE).await;
        estate(&world);
        begin(&world, "s1", 1);
        world.cloud.stop_after(calls);
        world.send(&task("s1", &[ACCOUNT, OTHER], Some(1)));
        world.run().await;
        assert_eq!(world.cloud.tables(), expected, "after {calls} calls");
    }
}

/// A look that finds what is not there any more when its message is received again.
#[tokio::test(start_paused = true)]
async fn what_a_stopped_function_wrote_does_not_stay() {
    let of_one = json!({ "surveyId": "s", "reason": "schedule", "accounts": [
        { "account": ACCOUNT, "regions": ["eu-west-1"] }] });
    let flip = |world: &World, address: &str| {
        let instance = "<attachment><instanceId>i-1</instanceId></attachment>";
        let interface = interface("eni-1", &format!("{}{instance}", public(address)));
        let operation = "DescribeNetworkInterfaces";
        let cloud = &world.cloud;
        cloud.list(ACCOUNT, "eu-west-1", operation, &interface);
    };
    let begin = async || {
        let world = World::with(FILE).await;
        world.cloud.know(ACCOUNT, "Workloads", "ACTIVE");
        flip(&world, "203.0.113.1");
        world.send(&of_one);
        world.run().await;
        let before = world.cloud.shown();
        world.cloud.take();
        flip(&world, "203.0.113.77");
        (world, before)
    };
    let (world, _) = begin().await;
    world.send(&of_one);
    world.run().await;
    for calls in 1..=world.cloud.take().len() {
        let (world, before) = begin().await;
        world.cloud.stop_after(calls);
        world.send(&of_one);
        world.step().await;
        flip(&world, "203.0.113.1");
        world.send(&of_one);
        world.run().await;
        assert_eq!(world.cloud.shown(), before, "after {calls} calls");
    }
}

#[tokio::test(start_paused = true)]
async fn many_functions_are_asked_in_a_few_tasks_and_hold_up_nothing_else() {
    let world = World::with(FILE).await;
    estate(&world);
    world.cloud.pages_of(50);
    let names: Vec<String> = (0..1_500).map(|number| format!("f{number:04}")).collect();
    let functions: Vec<Value> = names
        .iter()
        .map(|name| json!({ "FunctionName": name }))
        .collect();
    let functions = Value::from(functions).to_string();
    world
        .cloud
        .list(ACCOUNT, "eu-west-1", "ListFunctions", &functions);
    let with_urls = |urls: &[&str]| {
        let urls: Vec<Value> = urls.iter().map(|name| url_of(name)).collect();
        let urls = Value::from(urls).to_string();
        let operation = "ListFunctionUrlConfigs";
        world.cloud.list(ACCOUNT, "eu-west-1", operation, &urls);
    };
    let shown = || -> Vec<String> {
        let ids = ids(&world).into_iter();
        let urls = ids.filter_map(|id| Some(id.strip_prefix("function-url#")?.to_owned()));
        urls.map(|id| id.split(':').next_back().unwrap().to_owned())
            .collect()
    };
    with_urls(&["f0003", "f1400"]);
    begin(&world, "s1", 1);
    world.send(&task("s1", &[ACCOUNT], Some(1)));
    let began = tokio::time::Instant::now();
    world.step().await;
    // A hint at the account waits no longer than this.
    assert!(began.elapsed() < Duration::from_secs(40));
    assert!(ids(&world).contains("instance#i-1#203.0.113.1"));
    assert_eq!(world.cloud.outcome(ACCOUNT, "eu-west-1"), "FAILED");
    world.run().await;
    assert_eq!(world.cloud.outcome(ACCOUNT, "eu-west-1"), "SEEN");
    assert_eq!(shown(), ["//f0003.example/", "//f1400.example/"]);
    let sessions = world.cloud.count("AssumeRole");
    assert!((6..=7).contains(&sessions), "{sessions}");
    assert_eq!(
        world.cloud.count("ListFunctionUrlConfigs"),
        1_500 + 2,
        "each is asked once"
    );
    let summary = world.cloud.tables.get(POSTURE, "survey#s1").unwrap();
    assert_eq!(
        (&summary["Seen"]["N"], &summary["Failed"]["N"]),
        (&json!("17"), &Value::Null)
    );
    // What is gone is found out in the task that asks for it.
    with_urls(&["f1400"]);
    world.send(&task("s2", &[ACCOUNT], None));
    world.step().await;
    assert_eq!(shown(), ["//f1400.example/"]);
    assert_eq!(world.cloud.outcome(ACCOUNT, "eu-west-1"), "SEEN");
    with_urls(&[]);
    world.run().await;
    assert_eq!(shown(), [""; 0]);
    assert!(world.cloud.shown().iter().all(|(.., stale)| !stale));
}

#[tokio::test(start_paused = true)]
async fn a_hint_at_the_network_asks_no_function() {
    let world = World::with(FILE).await;
    estate(&world);
    world.send(&task("s1", &[ACCOUNT], None));
    world.run().await;
    let before = world.cloud.tables();
    world.cloud.take();
    let hint = |id: &str| {
        json!({ "surveyId": id, "reason": "hint", "accounts": [{ "account": ACCOUNT, "regions": ["eu-west-1"],
            "parts": { "eu-west-1": { "sources": ["network", "databases"] } } }] })
    };
    world.send(&hint("s1"));
    world.run().await;
    let lambda = world.cloud.count("ListFunctions");
    assert_eq!((lambda, world.cloud.count("Query")), (0, 0));
    assert_eq!(world.cloud.tables(), before);
    // The network has changed, and the functions are as they were.
    world.cloud.list(
        ACCOUNT,
        "eu-west-1",
        "DescribeNetworkInterfaces",
        &interface("eni-4", ""),
    );
    world.send(&hint("h2"));
    world.run().await;
    let url = "function-url#arn:aws:lambda:eu-west-1:111122223333:function:f#https://f.example/";
    let shown = world.cloud.shown();
    assert!(shown.contains(&(url.to_owned(), "yes".to_owned(), false)));
    assert!(!ids(&world).contains("instance#i-1#203.0.113.1"));
    assert_eq!(world.cloud.outcome(ACCOUNT, "eu-west-1"), "SEEN");
    // A pair that was never looked at is looked at as a whole.
    world.cloud.know(OTHER, "Workloads", "ACTIVE");
    world.cloud.take();
    let other = hint("h3").to_string().replace(ACCOUNT, OTHER);
    world.send(&serde_json::from_str(&other).unwrap());
    world.run().await;
    assert_eq!(world.cloud.count("ListFunctions"), 1);
    assert_eq!(world.cloud.outcome(OTHER, "eu-west-1"), "SEEN");
}

#[tokio::test(start_paused = true)]
async fn functions_that_are_throttled_hold_up_no_network() {
    let world = World::with(FILE).await;
    estate(&world);
    world.cloud.fault(|made| {
        (made.operation == "ListFunctions" && made.region == "eu-west-1")
            .then(|| Answer::error(429, "TooManyRequestsException"))
    });
    world.send(&task("s1", &[ACCOUNT], None));
    world.step().await;
    assert_eq!(ids(&world).len(), 9);
    assert_eq!(world.cloud.count("DescribeNetworkInterfaces"), 19 + 1);
    world.cloud.take();
    world.cloud.fault(|_| None);
    world.run().await;
    assert_eq!(ids(&world).len(), 10);
    assert_eq!(world.cloud.outcome(ACCOUNT, "eu-west-1"), "SEEN");
    assert_eq!(
        world.cloud.count("DescribeNetworkInterfaces"),
        0,
        "only what was left is read again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_region_that_never_answers_ends_as_failed() {
    let world = World::with(FILE).await;
    estate(&world);
    begin(&world, "s1", 1);
    world.cloud.fault(|made| {
        let is_it = made.region == "eu-west-1" && made.operation == "DescribeRouteTables";
        is_it.then(|| Answer::xml(200, "").after(Duration::from_mins(10)))
    });
    world.send(&task("s1", &[ACCOUNT], Some(1)));
    world.run().await;
    assert_eq!(world.cloud.outcome(ACCOUNT, "eu-west-1"), "FAILED");
    assert_eq!(world.cloud.count("AssumeRole"), 4);
    let summary = world.cloud.tables.get(POSTURE, "survey#s1").unwrap();
    assert_eq!(
        (&summary["Seen"]["N"], &summary["Failed"]["N"]),
        (&json!("16"), &json!("1"))
    );
}

#[tokio::test(start_paused = true)]
async fn forty_thousand_interfaces_in_one_region() {
    let world = World::with(FILE).await;
    estate(&world);
    world.cloud.pages_of(1_000);
    let public_ones = [7, 20_000, 39_999];
    let interfaces = (0..40_000).map(|number| {
        let address = public(&format!("198.51.100.{}", number % 250));
        let more = if public_ones.contains(&number) {
            &*address
        } else {
            ""
        };
        interface(&format!("eni-{number}"), more)
    });
    let interfaces: Vec<String> = interfaces.collect();
    let operation = "DescribeNetworkInterfaces";
    world
        .cloud
        .list(ACCOUNT, "eu-west-1", operation, &interfaces.concat());
    world.send(
        &json!({ "surveyId": "s1", "reason": "request", "accounts": [
        { "account": ACCOUNT, "regions": ["eu-west-1"] }] }),
    );
    world.run().await;
    assert_eq!(world.cloud.count(operation), 41);
    let of_interfaces = ids(&world)
        .into_iter()
        .filter(|id| id.starts_with("interface#"));
    assert_eq!(
        of_interfaces.collect::<Vec<_>>(),
        [
            "interface#eni-20000#198.51.100.0",
            "interface#eni-39999#198.51.100.249",
            "interface#eni-7#198.51.100.7"
        ]
    );
    assert_eq!(world.cloud.outcome(ACCOUNT, "eu-west-1"), "SEEN");
}

#[tokio::test(start_paused = true)]
async fn an_exclusion_from_block_public_access_counts_while_it_is_in_force() {
    let world = World::with(FILE).await;
    estate(&world);
    let mode = "<internetGatewayBlockMode>block-bidirectional</internetGatewayBlockMode>";
    world.cloud.list(
        ACCOUNT,
        "eu-west-1",
        "DescribeVpcBlockPublicAccessOptions",
        mode,
    );
    for (state, reachable) in [
        ("create-in-progress", "no"),
        ("create-complete", "yes"),
        ("update-complete", "yes"),
        ("create-failed", "no"),
        ("delete-in-progress", "no"),
        ("disable-complete", "no"),
    ] {
        let exclusion = format!(
            "<item><resourceArn>arn:aws:ec2:eu-west-1:{ACCOUNT}:vpc/vpc-1</resourceArn><state>{state}</state>\
             <internetGatewayExclusionMode>allow-bidirectional</internetGatewayExclusionMode></item>"
        );
        let operation = "DescribeVpcBlockPublicAccessExclusions";
        world
            .cloud
            .list(ACCOUNT, "eu-west-1", operation, &exclusion);
        world.send(&task(state, &[ACCOUNT], None));
        world.run().await;
        let instance = "instance#i-1#203.0.113.1".to_owned();
        let expected = (instance, reachable.to_owned(), false);
        assert!(world.cloud.shown().contains(&expected), "{state}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_is_not_read_and_is_kept_for_a_week() {
    let world = World::with(FILE).await;
    estate(&world);
    world.send(&task("s1", &[ACCOUNT], None));
    world.run().await;
    let expected = world.cloud.shown();
    let (instance, pair) = ("instance#i-5#203.0.113.5", format!("{ACCOUNT}#us-east-1"));
    let operation = "DescribeNetworkInterfaces";
    let before = interface(
        "eni-5",
        &format!(
            "{}<attachment><instanceId>i-5</instanceId></attachment>",
            public("203.0.113.5")
        ),
    );
    world.cloud.list(ACCOUNT, "us-east-1", operation, "");
    // Many of a busy pair: this one could not even be understood.
    let gone = json!({ "Pair": { "S": pair }, "ExposureId": { "S": "instance#i-0" }, "GoneAt": { "S": "long ago" } });
    world.cloud.tables.put(EXPOSURE, &gone);
    world.send(&task("s2", &[ACCOUNT], None));
    world.run().await;
    let item = || {
        let key = format!("{pair}\n{instance}");
        world.cloud.tables.get(EXPOSURE, &key).unwrap()
    };
    let gone_at: jiff::Timestamp = item()["GoneAt"]["S"].as_str().unwrap().parse().unwrap();
    let expires_at: i64 = item()["ExpiresAt"]["N"].as_str().unwrap().parse().unwrap();
    assert_eq!(expires_at - gone_at.as_second(), 7 * 24 * 3_600);
    // It comes again.
    world.cloud.list(ACCOUNT, "us-east-1", operation, &before);
    world.send(&task("s3", &[ACCOUNT], None));
    world.run().await;
    assert_eq!(world.cloud.shown(), expected);
    let first_seen: jiff::Timestamp = item()["FirstSeen"]["S"].as_str().unwrap().parse().unwrap();
    assert!(first_seen > gone_at);
}

#[tokio::test(start_paused = true)]
async fn what_dynamodb_leaves_unprocessed_is_sent_again_after_pauses() {
    let took = async |operation: &'static str, left: Value| {
        let world = World::with(FILE).await;
        world.cloud.know(ACCOUNT, "Workloads", "ACTIVE");
        let mut throttled = 0;
        world.cloud.fault(move |made| {
            let is_it = made.operation == operation && made.table == POSTURE && throttled < 3;
            throttled += u32::from(is_it);
            is_it.then(|| Answer::ok(left.clone()))
        });
        let began = tokio::time::Instant::now();
        world.send(
            &json!({ "surveyId": "s1", "reason": "request", "accounts": [
            { "account": ACCOUNT, "regions": ["eu-west-1"] }] }),
        );
        world.run().await;
        began.elapsed()
    };
    let key = json!({ "Pair": { "S": "x" } });
    let undisturbed = took("None", Value::Null).await;
    for (operation, left) in [
        (
            "BatchGetItem",
            json!({ "UnprocessedKeys": { POSTURE: { "Keys": [key] } } }),
        ),
        (
            "BatchWriteItem",
            json!({ "UnprocessedItems": { POSTURE: [{ "PutRequest": { "Item": key } }] } }),
        ),
    ] {
        let longer = took(operation, left).await.saturating_sub(undisturbed);
        // Three calls more, after half of 50, 100 and 200 ms at least.
        assert!(
            longer >= Duration::from_millis(175),
            "{operation}: {longer:?}"
        );
        assert!(longer < Duration::from_secs(1), "{operation}: {longer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn everything_of_an_account_that_has_left_expires() {
    let world = World::with(FILE).await;
    estate(&world);
    world.send(&task("s1", &[ACCOUNT, OTHER], None));
    world.run().await;
    let leave = json!({ "GoneSince": { "N": "1772366400" } });
    world.cloud.tables.set(ACCOUNT_DIRECTORY, ACCOUNT, &leave);
    world.send(&task("s2", &[ACCOUNT, OTHER], None));
    world.run().await;
    let expires = json!((1_772_366_400 + 40 * 24 * 3_600).to_string());
    let mut expiring = 0;
    for table in [POSTURE, EXPOSURE] {
        for (key, item) in world.cloud.tables.items(table) {
            if key.starts_with(ACCOUNT) {
                assert_eq!(item["ExpiresAt"]["N"], expires, "{key}");
                assert!(item.get("GoneAt").is_none(), "{key}");
                expiring += 1;
            } else {
                assert!(item.get("ExpiresAt").is_none(), "{key}");
            }
        }
    }
    assert_eq!(expiring, REGIONS.len() + OFF.len() + 10);
}

#[tokio::test(start_paused = true)]
async fn a_region_that_a_policy_denies_keeps_what_it_showed() {
    let world = World::with(FILE).await;
    estate(&world);
    world.send(&task("s1", &[ACCOUNT], None));
    world.run().await;
    let before = world.cloud.tables.items(EXPOSURE);
    world.cloud.fault(|made| {
        const WORDS: &str =
            "You are not authorized: with an explicit deny in a service control policy";
        let denied_there = made.region == "eu-west-1" && in_member(made);
        let as_json = json!({ "__type": "AccessDeniedException", "message": WORDS });
        denied_there.then(|| match made.operation.as_str() {
            "ListFunctions" => Answer::ok(as_json).with_status(403),
            _ => denied(WORDS),
        })
    });
    world.send(&task("s2", &[ACCOUNT], None));
    world.run().await;
    assert_eq!(
        world.cloud.outcome(ACCOUNT, "eu-west-1"),
        "DENIED_BY_POLICY"
    );
    assert_eq!(world.cloud.outcome(ACCOUNT, "us-east-1"), "SEEN");
    let stale: Vec<bool> = world
        .cloud
        .shown()
        .into_iter()
        .map(|(.., stale)| stale)
        .collect();
    assert_eq!(stale.iter().filter(|stale| **stale).count(), 9);
    assert_eq!(stale.len(), 10);
    // When it can be read again, nothing is new, and nothing was gone.
    world.cloud.fault(|_| None);
    world.send(&task("s3", &[ACCOUNT], None));
    world.run().await;
    assert_eq!(world.cloud.tables.items(EXPOSURE), before);
}

#[tokio::test(start_paused = true)]
async fn a_missing_role_and_a_suspended_account_are_outcomes() {
    let world = World::with(FILE).await;
    estate(&world);
    world.send(&task("s1", &[ACCOUNT], None));
    world.run().await;
    begin(&world, "s2", 1);
    world.cloud.know(OTHER, "Workloads", "SUSPENDED");
    world.cloud.know(NEVER_SEEN, "Workloads", "ACTIVE");
    world.cloud.fault(|made| {
        (made.operation == "AssumeRole").then(|| Answer::query_error(403, "AccessDenied"))
    });
    world.cloud.take();
    world.send(&task("s2", &[ACCOUNT, OTHER, NEVER_SEEN], Some(1)));
    world.run().await;
    for region in REGIONS {
        for account in [ACCOUNT, NEVER_SEEN] {
            assert_eq!(
                world.cloud.outcome(account, region),
                "ROLE_MISSING",
                "{region}"
            );
        }
        assert_eq!(world.cloud.outcome(OTHER, region), "SUSPENDED", "{region}");
    }
    assert_eq!(world.cloud.outcome(ACCOUNT, OFF[0]), "REGION_OFF");
    let sessions = world.cloud.take();
    let sessions = sessions
        .iter()
        .filter(|made| made.operation == "AssumeRole");
    assert_eq!(
        sessions.count(),
        3 + 1,
        "a suspended account is not called, a denial is repeated only where everything was read before"
    );
    assert_eq!(ids(&world).len(), 10);
    assert!(world.cloud.shown().iter().all(|(.., stale)| *stale));
    let summary = world.cloud.tables.get(POSTURE, "survey#s2").unwrap();
    assert_eq!(
        (&summary["RoleMissing"]["N"], &summary["Suspended"]["N"]),
        (&json!("34"), &json!("17"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_denial_of_half_a_minute_changes_nothing() {
    for operation in ["AssumeRole", "DescribeSubnets"] {
        let world = World::with(FILE).await;
        estate(&world);
        world.send(&task("s1", &[ACCOUNT], None));
        world.run().await;
        let before = world.cloud.tables();
        let mut denials = 0;
        world.cloud.fault(move |made| {
            let denied = made.operation == operation && denials < 2;
            denials += u32::from(denied);
            denied.then(|| match operation {
                "AssumeRole" => Answer::query_error(403, "AccessDenied"),
                _ => denied_by_role(),
            })
        });
        world.send(&task("s1", &[ACCOUNT], None));
        world.step().await;
        assert_eq!(world.cloud.tables(), before, "{operation}");
        world.run().await;
        assert_eq!(world.cloud.tables(), before, "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_denied_does_not_hide_the_others() {
    let world = World::with(FILE).await;
    estate(&world);
    world.cloud.fault(|made| {
        (made.operation == "ListFunctions" && made.region == "eu-west-1")
            .then(|| Answer::error(403, "AccessDeniedException"))
    });
    world.send(&task("s1", &[ACCOUNT], None));
    world.run().await;
    assert_eq!(world.cloud.outcome(ACCOUNT, "eu-west-1"), "ROLE_MISSING");
    assert_eq!(ids(&world).len(), 9);
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_good_ends_as_failed_and_is_counted() {
    let world = World::with(FILE).await;
    estate(&world);
    begin(&world, "s1", 1);
    world
        .cloud
        .fault(|made| (made.region == "sa-east-1" && in_member(made)).then(throttled));
    world.send(&task("s1", &[ACCOUNT], Some(1)));
    world.run().await;
    assert_eq!(world.cloud.outcome(ACCOUNT, "sa-east-1"), "FAILED");
    let summary = world.cloud.tables.get(POSTURE, "survey#s1").unwrap();
    assert_eq!(
        (&summary["Seen"]["N"], &summary["Failed"]["N"]),
        (&json!("16"), &json!("1"))
    );
    let sessions = world.cloud.take();
    let sessions = sessions
        .iter()
        .filter(|made| made.operation == "AssumeRole");
    assert_eq!(sessions.count(), 4, "only its own Region is read again");
}

#[tokio::test(start_paused = true)]
async fn what_an_invocation_does_not_reach_goes_on_in_a_smaller_task() {
    let expected = undisturbed().await;
    let world = World::with(FILE).await;
    estate(&world);
    begin(&world, "s1", 1);
    let mut hangs = true;
    world.cloud.fault(move |made| {
        let is_it = made.region == "eu-west-1" && made.operation == "DescribeRouteTables" && hangs;
        hangs &= !is_it;
        let never = Answer::xml(200, "<DescribeRouteTablesResponse/>");
        is_it.then(|| never.after(Duration::from_mins(10)))
    });
    world.send(&task("s1", &[ACCOUNT, OTHER], Some(1)));
    world.run().await;
    let made = world.cloud.take();
    let count = |operation: &str, account: &str| {
        let of_it = made
            .iter()
            .filter(|made| made.operation == operation && made.account == account);
        of_it.count()
    };
    assert_eq!(
        (
            count("AssumeRole", "111111111111"),
            count("DescribeRegions", OTHER)
        ),
        (3, 1)
    );
    // Only the Region that was left is read again.
    assert_eq!(count("DescribeAddresses", ACCOUNT), REGIONS.len() + 1);
    assert_eq!(world.cloud.tables(), expected);
}

#[tokio::test(start_paused = true)]
async fn one_pair_is_looked_at_by_itself() {
    let world = World::with(FILE).await;
    estate(&world);
    world.send(
        &json!({ "surveyId": "hint-1", "reason": "hint", "accounts": [
        { "account": ACCOUNT, "regions": ["us-east-1", "eu-west-9"] }] }),
    );
    world.run().await;
    assert_eq!(world.cloud.outcome(ACCOUNT, "us-east-1"), "SEEN");
    assert_eq!(world.cloud.outcome(ACCOUNT, "eu-west-9"), "NOT_OFFERED");
    assert_eq!(world.cloud.outcome(ACCOUNT, "eu-west-1"), "");
    assert_eq!(ids(&world).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_file_changes_what_is_expected_and_a_wrong_one_nothing() {
    let world = World::with(FILE).await;
    estate(&world);
    world.send(&task("s1", &[ACCOUNT], None));
    world.run().await;
    let expectation = || {
        let key = format!("{ACCOUNT}#eu-west-1\ninstance#i-1#203.0.113.1");
        let item = world.cloud.tables.get(EXPOSURE, &key).unwrap();
        item["Expectation"]["M"]["As"]["S"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(expectation(), "accepted");
    world.cloud.upload("[[scope]]\ntarget = 7");
    tokio::time::sleep(Duration::from_mins(6)).await;
    world.send(&task("s2", &[ACCOUNT], None));
    world.run().await;
    assert_eq!(expectation(), "accepted");
    // A right one is in force as soon as the planner has found it right.
    world.cloud.upload("");
    let verdicts =
        json!({ "Pair": { "S": "file" }, "Newest": { "S": "v3" }, "Refused": { "M": {} } });
    world.cloud.tables.put(POSTURE, &verdicts);
    world.send(&task("s3", &[ACCOUNT], None));
    world.run().await;
    assert_eq!(expectation(), "unexpected");
}

#[tokio::test(start_paused = true)]
async fn five_hundred_accounts_in_seventeen_regions() {
    let world = World::with(FILE).await;
    let accounts: Vec<String> = (0..500).map(|number| format!("2{number:011}")).collect();
    for account in &accounts {
        world.cloud.know(account, "Workloads", "ACTIVE");
    }
    begin(&world, "s1", 100);
    for (part, accounts) in (1..).zip(accounts.chunks(5)) {
        let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
        world.send(&task("s1", &accounts, Some(part)));
    }
    world.run().await;
    let made = world.cloud.take();
    let count = |operation: &str| {
        made.iter()
            .filter(|made| made.operation == operation)
            .count()
    };
    assert_eq!(count("AssumeRole"), 500);
    assert_eq!(count("DescribeRegions"), 500);
    let in_members = made
        .iter()
        .filter(|made| made.account.starts_with('2'))
        .count();
    let pairs = 500 * REGIONS.len();
    assert!(
        in_members * 10 <= pairs * 35,
        "{in_members} calls for {pairs} pairs"
    );
    let summary = world.cloud.tables.get(POSTURE, "survey#s1").unwrap();
    assert_eq!(summary["Ended"]["NS"].as_array().map(Vec::len), Some(100));
    assert_eq!(summary["Seen"]["N"], pairs.to_string());
    let of_tables = made.iter().filter(|made| !made.table.is_empty()).count();
    // For each account a claim, its records, what is exposed the first time, the pairs, and the release.
    assert!(
        of_tables <= 500 * (4 + 17 + 2 + 1) + 300,
        "{of_tables} calls of DynamoDB"
    );
}
