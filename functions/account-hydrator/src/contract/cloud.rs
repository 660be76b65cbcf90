//! AWS in the test's own process, in virtual time: accounts with their settings, the queue, the topics, and faults.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::lambda::{Invocation, QueueFunction};
use orgkeeper_tests::{
    dynamodb::{ACCOUNT_DIRECTORY, BASELINE, DynamoDb},
    sqs::{event, record},
    wire::{Answer, Call, InProcess},
};
use serde_json::{Value, json};
use tokio::{sync::Notify, time::Instant};

use crate::{config::Config, handler::Hydrator, setup};

pub(super) const MANAGEMENT: &str = "111111111111";
pub(super) const ACCOUNT: &str = "111122223333";
const QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/findings";
const VEND_QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/account-events";
const DIRECTORY_QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/111111111111/directory";
/// How long a call takes.
const A_CALL: Duration = Duration::from_millis(10);
/// How long a function may take.
const TIMEOUT: Duration = Duration::from_mins(1);
/// After what time the message of a function that was stopped is received again.
const VISIBILITY: Duration = Duration::from_secs(361);

/// 17 Regions, as an account has them from the start.
pub(super) const REGIONS: [&str; 17] = [
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "ap-south-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eu-north-1",
    "sa-east-1",
];

/// Everything that can be kept, and the parameters that are needed.
pub(super) const KEEP: &str = r#"
[defaults]
mode = "keep"
[item]
security-contact = { parameters = { contact_name = "Sam", contact_title = "Security", contact_email = "s@example.com", contact_phone = "+1 555 0100" } }
account-alias = { parameters = { alias = "acme-{name}" } }
account-tags = { parameters = { org = "acme" } }
budget = { parameters = { amount = 250, topic = "arn:aws:sns:us-east-1:111111111111:signals" } }
"#;

/// A setting of an account: its Region is empty if it is the account's own.
type Setting = (String, String, &'static str);

/// A call that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    /// The account whose session made it; the management account's is `test`.
    pub(super) account: String,
    pub(super) region: String,
    pub(super) operation: String,
}

/// What is answered instead, if anything.
type Fault = Box<dyn FnMut(&Made) -> Option<Answer> + Send>;

#[derive(Default)]
struct State {
    settings: BTreeMap<Setting, String>,
    made: Vec<Made>,
    /// The messages of the queue: when each is received, and how often it was.
    queue: Vec<(Instant, String, u32)>,
    published: Vec<Value>,
    /// What was sent to the vend flow.
    answers: Vec<Value>,
    /// When the role of an account is there.
    role_at: BTreeMap<String, Instant>,
    fault: Option<Fault>,
    /// The function is stopped with this call.
    stop_at: Option<usize>,
    baseline: String,
    billed: Duration,
}

/// The simulated AWS.
pub(super) struct Cloud {
    pub(super) tables: DynamoDb,
    state: Mutex<State>,
    stop: Notify,
    began: Instant,
}

/// The cloud and the function on it.
pub(super) struct World {
    pub(super) cloud: Arc<Cloud>,
    function: QueueFunction<Hydrator>,
}

fn at(seconds: i64) -> Timestamp {
    "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

impl World {
    /// An organization with one account in `Root/Workloads`, and this baseline.
    pub(super) async fn with(baseline: &str, mode: &str) -> Self {
        Self::beside(baseline, mode, None).await
    }

    /// A world in which accounts are vended, too.
    pub(super) async fn with_vend_flow(baseline: &str, mode: &str) -> Self {
        Self::beside(baseline, mode, Some(VEND_QUEUE)).await
    }

    async fn beside(baseline: &str, mode: &str, vend_queue: Option<&str>) -> Self {
        let cloud = Arc::new(Cloud {
            tables: DynamoDb::new(),
            state: Mutex::new(State {
                baseline: baseline.to_owned(),
                ..State::default()
            }),
            stop: Notify::new(),
            began: Instant::now(),
        });
        cloud.know(ACCOUNT, "Workloads", 0);
        let of_wire = Arc::clone(&cloud);
        let sdk = InProcess::new(move |call| of_wire.answer(call))
            .sdk_config()
            .await;
        let lookup = |name: &str| {
            let value = match name {
                "BASELINE_TABLE" => BASELINE,
                "BASELINE_BUCKET" => "baselines",
                "BASELINE_QUEUE_URL" => QUEUE,
                "BASELINE_MODE" => mode,
                "ACCOUNT_DIRECTORY_TABLE" => ACCOUNT_DIRECTORY,
                "DIRECTORY_QUEUE_URL" => DIRECTORY_QUEUE,
                "ACCOUNT_EVENTS_QUEUE_URL" => vend_queue?,
                "INFO_TOPIC_ARN" => "arn:aws:sns:us-east-1:111111111111:info",
                "ERROR_TOPIC_ARN" => "arn:aws:sns:us-east-1:111111111111:error",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let config = Config::from_env(&lookup).unwrap();
        let function = setup::function(&config, &sdk);
        Self { cloud, function }
    }

    /// Sends a message to the queue.
    pub(super) fn send(&self, body: &Value) {
        self.cloud
            .lock()
            .queue
            .push((Instant::now(), body.to_string(), 1));
    }

    /// Works until the queue is empty, or what is left of it is later than this after the start.
    pub(super) async fn run_until(&self, seconds: u64) {
        let end = self.cloud.began + Duration::from_secs(seconds);
        while let Some((due, body, receives)) = self.cloud.next(end) {
            tokio::time::sleep_until(due).await;
            let message = record(&format!("{receives}-{due:?}"), &body, receives);
            let began = Instant::now();
            let elapsed = SignedDuration::try_from(began - self.cloud.began).unwrap();
            let invocation = Invocation {
                now: at(0) + elapsed,
                remaining: TIMEOUT,
                account: MANAGEMENT.parse().ok(),
            };
            let handled = tokio::select! {
                biased;
                () = self.cloud.stop.notified() => None,
                response = self.function.handle(event(&[message]), invocation) => Some(response),
            };
            let again = match handled {
                None => Some(VISIBILITY),
                Some(response) if response.batch_item_failures.is_empty() => None,
                Some(_) => Some(Duration::from_secs(2 * 3_u64.pow(receives - 1))),
            };
            let mut state = self.cloud.lock();
            state.billed += began.elapsed();
            if let Some(delay) = again {
                state
                    .queue
                    .push((Instant::now() + delay, body, receives + 1));
            }
        }
        tokio::time::sleep_until(end).await;
    }
}

impl Cloud {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, end: Instant) -> Option<(Instant, String, u32)> {
        let mut state = self.lock();
        let queue = &mut state.queue;
        let place = (0..queue.len()).min_by_key(|place| queue[*place].0)?;
        (queue[place].0 < end).then(|| queue.remove(place))
    }

    /// The directory knows an account in a unit below the root.
    pub(super) fn know(&self, account: &str, unit: &str, refreshed_at: i64) {
        let refreshed_at = at(refreshed_at).as_second();
        self.tables.put(
            ACCOUNT_DIRECTORY,
            &json!({
                "AccountId": { "S": account },
                "Name": { "S": "payments" },
                "OuPath": { "L": [{ "M": { "Id": { "S": format!("ou-ab12-{unit}") }, "Name": { "S": unit } } }] },
                "RefreshedAt": { "N": refreshed_at.to_string() },
                "State": { "S": "ACTIVE" },
            }),
        );
    }

    /// The role of an account is there after so long.
    pub(super) fn role_after(&self, account: &str, seconds: u64) {
        let time = Instant::now() + Duration::from_secs(seconds);
        self.lock().role_at.insert(account.to_owned(), time);
    }

    /// Answers by `fault` where it gives an answer.
    pub(super) fn fault(&self, fault: impl FnMut(&Made) -> Option<Answer> + Send + 'static) {
        self.lock().fault = Some(Box::new(fault));
    }

    /// The function is stopped with the call after so many.
    pub(super) fn stop_after(&self, calls: usize) {
        let mut state = self.lock();
        state.stop_at = Some(state.made.len() + calls);
    }

    /// Uploads a baseline.
    pub(super) fn upload(&self, baseline: &str) {
        baseline.clone_into(&mut self.lock().baseline);
    }

    /// Sets a setting as a person does.
    pub(super) fn set(&self, account: &str, region: &str, name: &'static str, value: &str) {
        let setting = (account.to_owned(), region.to_owned(), name);
        self.lock().settings.insert(setting, value.to_owned());
    }

    /// What a setting was set to, if it was.
    pub(super) fn get(&self, account: &str, region: &str, name: &'static str) -> Option<String> {
        let setting = (account.to_owned(), region.to_owned(), name);
        self.lock().settings.get(&setting).cloned()
    }

    /// The accounts in which anything was set.
    pub(super) fn changed_accounts(&self) -> BTreeSet<String> {
        let state = self.lock();
        state
            .settings
            .keys()
            .map(|(account, ..)| account.clone())
            .collect()
    }

    /// The calls since the last time, and how long the function ran.
    pub(super) fn take(&self) -> (Vec<Made>, Duration) {
        let mut state = self.lock();
        let billed = std::mem::take(&mut state.billed);
        (std::mem::take(&mut state.made), billed)
    }

    /// The alerts that were published since the last time.
    pub(super) fn alerts(&self) -> Vec<Value> {
        std::mem::take(&mut self.lock().published)
    }

    /// What was sent to the vend flow since the last time.
    pub(super) fn answers(&self) -> Vec<Value> {
        std::mem::take(&mut self.lock().answers)
    }

    /// How many messages are in the queue.
    pub(super) fn queued(&self) -> usize {
        self.lock().queue.len()
    }

    /// The state of an account's record.
    pub(super) fn state(&self, account: &str) -> String {
        let record = self.tables.get(BASELINE, account).unwrap_or_default();
        record["State"]["S"].as_str().unwrap_or_default().to_owned()
    }

    /// An entry of an account's record.
    pub(super) fn entry(&self, account: &str, key: &str) -> Value {
        let record = self.tables.get(BASELINE, account).unwrap_or_default();
        record["Items"]["M"][key]["M"].clone()
    }

    /// What is left in an account, and why.
    pub(super) fn left(&self, account: &str) -> Vec<String> {
        let record = self.tables.get(BASELINE, account).unwrap_or_default();
        let items = record["Items"]["M"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        let open = items.into_iter().filter(|(_, entry)| {
            let came = entry["M"]["Came"]["S"].as_str();
            came.is_none_or(|came| ["NOT_YET", "SETTING", "FAILED"].contains(&came))
        });
        open.map(|(key, entry)| format!("{key}: {}", entry["M"]["Reason"]["S"]))
            .collect()
    }

    fn answer(&self, call: &Call) -> Answer {
        let mut made = made_by(call);
        let mut state = self.lock();
        if made.operation == "POST /listRegions" {
            made.operation = "ListRegions".to_owned();
        }
        state.made.push(made.clone());
        if state.stop_at == Some(state.made.len()) {
            state.stop_at = None;
            self.stop.notify_one();
            // The call is made, and its answer is never seen.
            let made = self
                .tables
                .answer(call)
                .unwrap_or_else(|| state.answer(call, &made));
            return made.after(Duration::from_hours(1));
        }
        if let Some(fault) = &mut state.fault
            && let Some(answer) = fault(&made)
        {
            return answer.after(A_CALL);
        }
        if let Some(answer) = self.tables.answer(call) {
            return answer.after(A_CALL);
        }
        state.answer(call, &made).after(A_CALL)
    }
}

fn made_by(call: &Call) -> Made {
    let credential = call.header("authorization").split("Credential=").nth(1);
    let scope: Vec<&str> = credential.unwrap_or_default().split('/').collect();
    let operation = match (
        call.uri.contains("publicAccessBlock"),
        call.operation.as_str(),
    ) {
        (true, "GetObject") => "GetPublicAccessBlock",
        (true, _) => "PutPublicAccessBlock",
        (false, "GetObject") if call.uri.contains("versions") => "ListObjectVersions",
        (false, other) => other,
    };
    Made {
        account: scope[0].to_owned(),
        region: scope.get(2).copied().unwrap_or_default().to_owned(),
        operation: operation.to_owned(),
    }
}

/// A read: operation, setting, its value at first, and the answer around the value.
type Read = (&'static str, &'static str, &'static str, &'static str);
/// Reads of EC2.
const READS: &[Read] = &[
    (
        "GetEbsEncryptionByDefault",
        "ebs",
        "false",
        "<ebsEncryptionByDefault>{}</ebsEncryptionByDefault>",
    ),
    (
        "GetInstanceMetadataDefaults",
        "imds",
        "",
        "<accountLevel>{}</accountLevel>",
    ),
    (
        "GetSnapshotBlockPublicAccessState",
        "snapshots",
        "unblocked",
        "<state>{}</state>",
    ),
    (
        "GetImageBlockPublicAccessState",
        "images",
        "block-new-sharing",
        "<imageBlockPublicAccessState>{}</imageBlockPublicAccessState>",
    ),
    (
        "GetSerialConsoleAccessStatus",
        "console",
        "false",
        "<serialConsoleAccessEnabled>{}</serialConsoleAccessEnabled>",
    ),
    (
        "DescribeSecurityGroups",
        "groups",
        OPEN_GROUP,
        "<securityGroupInfo>{}</securityGroupInfo>",
    ),
];
/// Writes of EC2: operation, setting, its value then.
const WRITES: &[(&str, &str, &str)] = &[
    ("EnableEbsEncryptionByDefault", "ebs", "true"),
    ("DisableEbsEncryptionByDefault", "ebs", "false"),
    (
        "ModifyInstanceMetadataDefaults",
        "imds",
        "<httpTokens>required</httpTokens><httpPutResponseHopLimit>2</httpPutResponseHopLimit>",
    ),
    (
        "EnableSnapshotBlockPublicAccess",
        "snapshots",
        "block-all-sharing",
    ),
    (
        "EnableImageBlockPublicAccess",
        "images",
        "block-new-sharing",
    ),
    ("DisableSerialConsoleAccess", "console", "false"),
    // The two calls for a group, in this order.
    ("RevokeSecurityGroupIngress", "groups", HALF_OPEN_GROUP),
    ("RevokeSecurityGroupEgress", "groups", CLOSED_GROUP),
];
const OPEN_GROUP: &str = "<item><groupId>sg-1</groupId><groupName>default</groupName><ownerId>1</ownerId>\
    <ipPermissions><item><ipProtocol>-1</ipProtocol><groups><item><userId>1</userId><groupId>sg-1</groupId></item>\
    </groups></item></ipPermissions><ipPermissionsEgress><item><ipProtocol>-1</ipProtocol><ipRanges><item>\
    <cidrIp>0.0.0.0/0</cidrIp></item></ipRanges></item></ipPermissionsEgress></item>";
const HALF_OPEN_GROUP: &str = "<item><groupId>sg-1</groupId><groupName>default</groupName><ownerId>1</ownerId>\
    <ipPermissionsEgress><item><ipProtocol>-1</ipProtocol><ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges>\
    </item></ipPermissionsEgress></item>";
const CLOSED_GROUP: &str =
    "<item><groupId>sg-1</groupId><groupName>default</groupName><ownerId>1</ownerId></item>";

/// The writes that are counted: each of them once for each account and Region.
pub(super) fn is_write(operation: &str) -> bool {
    let others = [
        "UpdateServiceSetting",
        "UpdateAccountPasswordPolicy",
        "CreateAccountAlias",
        "CreateBudget",
        "TagResource",
        "PutAlternateContact",
        "PutPublicAccessBlock",
    ];
    others.contains(&operation) || WRITES.iter().any(|(name, ..)| *name == operation)
}

fn result(operation: &str, inner: &str) -> Answer {
    let body = format!(
        "<{operation}Response><{operation}Result>{inner}</{operation}Result></{operation}Response>"
    );
    Answer::xml(200, &body)
}

impl State {
    fn value(&self, setting: &Setting, first: &str) -> String {
        let value = self.settings.get(setting);
        value.cloned().unwrap_or_else(|| first.to_owned())
    }

    fn answer(&mut self, call: &Call, made: &Made) -> Answer {
        let operation = made.operation.as_str();
        let regional = |name: &'static str| (made.account.clone(), made.region.clone(), name);
        let global = |name: &'static str| (made.account.clone(), String::new(), name);
        let of_ec2 = |inner: String| {
            Answer::xml(
                200,
                &format!("<{operation}Response>{inner}</{operation}Response>"),
            )
        };
        if let Some((_, name, first, around)) = READS.iter().find(|(it, ..)| *it == operation) {
            return of_ec2(around.replace("{}", &self.value(&regional(name), first)));
        }
        if let Some((_, name, value)) = WRITES.iter().find(|(it, ..)| *it == operation) {
            self.settings.insert(regional(name), (*value).to_owned());
            return of_ec2("<return>true</return>".to_owned());
        }
        match operation {
            "AssumeRole" => self.assume_role(call),
            "AssumeRoot" => {
                let of = call.body["TargetPrincipal"].as_str().unwrap();
                result(operation, &credentials(&format!("root-{of}")))
            }
            "ListRegions" => Answer::ok(json!({ "Regions": REGIONS.map(|name|
                json!({ "RegionName": name, "RegionOptStatus": "ENABLED_BY_DEFAULT" })) })),
            "GetServiceSetting" => Answer::ok(json!({ "ServiceSetting":
                { "SettingValue": self.value(&regional("ssm"), "Enable") } })),
            "UpdateServiceSetting" => {
                self.settings.insert(regional("ssm"), "Disable".to_owned());
                Answer::ok(json!({}))
            }
            "GetAccountPasswordPolicy" => match self.settings.get(&global("passwords")) {
                Some(policy) => result(operation, policy),
                None => Answer::query_error(404, "NoSuchEntity"),
            },
            "UpdateAccountPasswordPolicy" => {
                let number = |name: &str| call.body[name].as_str().unwrap_or("0").to_owned();
                let policy = format!(
                    "<PasswordPolicy><MinimumPasswordLength>{}</MinimumPasswordLength>\
                     <RequireSymbols>true</RequireSymbols><RequireNumbers>true</RequireNumbers>\
                     <RequireUppercaseCharacters>true</RequireUppercaseCharacters>\
                     <RequireLowercaseCharacters>true</RequireLowercaseCharacters>\
                     <AllowUsersToChangePassword>true</AllowUsersToChangePassword>\
                     <PasswordReusePrevention>{}</PasswordReusePrevention></PasswordPolicy>",
                    number("MinimumPasswordLength"),
                    number("PasswordReusePrevention")
                );
                self.settings.insert(global("passwords"), policy);
                Answer::xml(200, "<UpdateAccountPasswordPolicyResponse/>")
            }
            "ListAccountAliases" => {
                let alias = self.value(&global("alias"), "");
                let member = match alias.as_str() {
                    "" => String::new(),
                    alias => format!("<member>{alias}</member>"),
                };
                let aliases = format!("<AccountAliases>{member}</AccountAliases>");
                result(
                    operation,
                    &format!("{aliases}<IsTruncated>false</IsTruncated>"),
                )
            }
            "CreateAccountAlias" => {
                let alias = call.body["AccountAlias"].as_str().unwrap();
                self.settings.insert(global("alias"), alias.to_owned());
                Answer::xml(200, "<CreateAccountAliasResponse/>")
            }
            "ListAccessKeys" => result(
                operation,
                "<AccessKeyMetadata/><IsTruncated>false</IsTruncated>",
            ),
            "ListSigningCertificates" => {
                result(operation, "<Certificates/><IsTruncated>false</IsTruncated>")
            }
            "ListMFADevices" => result(operation, "<MFADevices/><IsTruncated>false</IsTruncated>"),
            "GetLoginProfile" => Answer::query_error(404, "NoSuchEntity"),
            "GetPublicAccessBlock" => match self.settings.get(&global("s3")) {
                Some(block) => Answer::xml(200, block),
                None => Answer::query_error(404, "NoSuchPublicAccessBlockConfiguration"),
            },
            "PutPublicAccessBlock" => {
                self.settings.insert(global("s3"), call.text.clone());
                Answer::xml(200, "")
            }
            _ => self.answer_of_payer(call, operation),
        }
    }

    fn assume_role(&mut self, call: &Call) -> Answer {
        let role = call.body["RoleArn"].as_str().unwrap();
        let account = role.split(':').nth(4).unwrap();
        assert!(role.ends_with(":role/OrgkeeperBaseline"), "{role}");
        match self.role_at.get(account) {
            Some(at) if Instant::now() < *at => Answer::query_error(403, "AccessDenied"),
            _ => result("AssumeRole", &credentials(account)),
        }
    }

    fn answer_of_payer(&mut self, call: &Call, operation: &str) -> Answer {
        let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match operation {
            "GetAlternateContact" => {
                let setting = (of(&call.body["AccountId"]), String::new(), "contact");
                match self.settings.get(&setting) {
                    Some(contact) => Answer::ok(json!({ "AlternateContact":
                        serde_json::from_str::<Value>(contact).unwrap() })),
                    None => Answer::error(404, "ResourceNotFoundException"),
                }
            }
            "PutAlternateContact" => {
                let setting = (of(&call.body["AccountId"]), String::new(), "contact");
                self.settings.insert(setting, call.body.to_string());
                Answer::ok(json!({}))
            }
            "DescribeBudget" => {
                assert_eq!(call.body["AccountId"], MANAGEMENT);
                let name = of(&call.body["BudgetName"]);
                let account = name.trim_start_matches("orgkeeper-").to_owned();
                match self.settings.get(&(account, String::new(), "budget")) {
                    // AWS adds a decimal.
                    Some(amount) => Answer::ok(json!({ "Budget": {
                        "BudgetName": name, "BudgetType": "COST", "TimeUnit": "MONTHLY",
                        "BudgetLimit": { "Amount": format!("{amount}.0"), "Unit": "USD" },
                    } })),
                    None => Answer::error(400, "NotFoundException"),
                }
            }
            "CreateBudget" => {
                let budget = &call.body["Budget"];
                let account = of(&budget["CostFilters"]["LinkedAccount"][0]);
                assert_eq!(budget["BudgetName"], format!("orgkeeper-{account}"));
                let notifications = &call.body["NotificationsWithSubscribers"];
                assert_eq!(notifications.as_array().map(Vec::len), Some(3));
                let setting = (account, String::new(), "budget");
                self.settings
                    .insert(setting, of(&budget["BudgetLimit"]["Amount"]));
                Answer::ok(json!({}))
            }
            "ListTagsForResource" => {
                let setting = (of(&call.body["ResourceId"]), String::new(), "tags");
                let tags = self.value(&setting, "[]");
                Answer::ok(json!({ "Tags": serde_json::from_str::<Value>(&tags).unwrap() }))
            }
            "TagResource" => {
                let setting = (of(&call.body["ResourceId"]), String::new(), "tags");
                self.settings.insert(setting, call.body["Tags"].to_string());
                Answer::ok(json!({}))
            }
            "GetObject" => Answer::xml(200, &self.baseline),
            "ListObjectVersions" => Answer::xml(200, "<ListVersionsResult/>"),
            "SendMessageBatch" => {
                let entries = call.body["Entries"].as_array().cloned().unwrap_or_default();
                for entry in &entries {
                    let delay = entry["DelaySeconds"].as_u64().unwrap_or_default();
                    let due = Instant::now() + Duration::from_secs(delay);
                    let body = of(&entry["MessageBody"]);
                    if call.body["QueueUrl"] == QUEUE {
                        self.queue.push((due, body, 1));
                    } else if call.body["QueueUrl"] == VEND_QUEUE {
                        self.answers.push(serde_json::from_str(&body).unwrap());
                    }
                }
                let sent = entries.iter().map(
                    |entry| json!({ "Id": entry["Id"], "MessageId": "1", "MD5OfMessageBody": "" }),
                );
                Answer::ok(json!({ "Successful": sent.collect::<Vec<_>>(), "Failed": [] }))
            }
            "ChangeMessageVisibilityBatch" => Answer::ok(json!({ "Successful": [], "Failed": [] })),
            "Publish" => {
                let message = call.body["Message"].as_str().unwrap();
                let message: Value = serde_json::from_str(message).unwrap();
                // As JSON for machines, as text for mail.
                let alert = message["default"].as_str().unwrap();
                self.published.push(serde_json::from_str(alert).unwrap());
                Answer::published()
            }
            other => panic!("{other} {}", call.uri),
        }
    }
}

fn credentials(key: &str) -> String {
    format!(
        "<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
         <SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"
    )
}
