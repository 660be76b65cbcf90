//! A reader of CloudFormation templates: `template.yaml` and the files in `infra/`.
//!
//! Short forms become their long ones (`!Ref Name` is `{"Ref": "Name"}`), and `Fn::ForEach` is expanded as
//! CloudFormation does it. All other functions stay as they are written: this is no deployment.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value, json};
use yaml_serde::Value as Yaml;

/// A template, its loops expanded.
#[derive(Debug)]
pub struct Template {
    name: String,
    document: Value,
}

/// What the template sets for a function.
#[derive(Debug)]
pub struct FunctionSettings {
    /// `MemorySize`, in MB.
    pub memory: u64,
    /// `Timeout`.
    pub timeout: Duration,
    /// The environment variables whose value is a parameter's default or written out. Those that name a
    /// resource are known in a deployed stack only.
    pub variables: BTreeMap<String, String>,
    /// The properties of its event sources, by name.
    pub events: Map<String, Value>,
}

impl Template {
    /// Reads the template at `path`, relative to the repository's root.
    ///
    /// # Errors
    /// If there is no such file, or it is no template.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path);
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        Self::parse(&path.display().to_string(), &text)
    }

    pub(crate) fn parse(name: &str, text: &str) -> Result<Self> {
        let read = || -> Result<Value> {
            let document = to_json(yaml_serde::from_str(text)?)?;
            let mappings = document["Mappings"].clone();
            expand(document, &Loops::outside(&mappings))
        };
        Ok(Self {
            document: read().with_context(|| format!("{name} is not a template"))?,
            name: name.to_owned(),
        })
    }

    /// The template where these conditions hold or do not hold, each `Fn::If` on them decided.
    #[must_use]
    pub fn decided(&self, conditions: &[(&str, bool)]) -> Self {
        Self {
            name: self.name.clone(),
            document: decide(&self.document, conditions),
        }
    }

    /// The default of a parameter.
    ///
    /// # Errors
    /// If there is no such parameter, or it has no default.
    pub fn parameter_default(&self, parameter: &str) -> Result<&Value> {
        self.at(&["Parameters", parameter, "Default"])
    }

    /// The names in a section: `Parameters`, say, or `Outputs`.
    pub fn names(&self, section: &str) -> impl Iterator<Item = &str> {
        let section = self.document[section].as_object();
        section.into_iter().flatten().map(|(name, _)| name.as_str())
    }

    /// A resource: its `Type`, `Condition`, `Properties` and so on.
    ///
    /// # Errors
    /// If there is no such resource.
    pub fn resource(&self, logical_id: &str) -> Result<&Value> {
        self.at(&["Resources", logical_id])
    }

    /// The logical ids and properties of all resources of a type, by logical id.
    pub fn resources_of_type(&self, kind: &str) -> impl Iterator<Item = (&str, &Value)> {
        let resources = self.document["Resources"].as_object();
        resources
            .into_iter()
            .flatten()
            .filter(move |(_, resource)| resource["Type"] == kind)
            .map(|(logical_id, resource)| (logical_id.as_str(), &resource["Properties"]))
    }

    /// The statements of the role that a function or a state machine names, whatever the conditions in its policies are.
    ///
    /// # Errors
    /// If it names none of this template.
    pub fn statements_of_role(&self, properties: &Value) -> Result<Vec<&Value>> {
        let role = properties["Role"]["Fn::GetAtt"][0]
            .as_str()
            .context("it names no role of the template")?;
        let policies = branches(&self.resource(role)?["Properties"]["Policies"]).into_iter();
        Ok(policies
            .flat_map(|policy| branches(&policy["PolicyDocument"]["Statement"]))
            .collect())
    }

    /// What the template sets for every function that does not set it itself.
    #[must_use]
    pub fn function_default(&self, property: &str) -> Option<&Value> {
        self.at(&["Globals", "Function", property]).ok()
    }

    /// What the template sets for a function of that logical id.
    ///
    /// # Errors
    /// If there is no such function, or a setting is missing.
    pub fn function(&self, logical_id: &str) -> Result<FunctionSettings> {
        let keys = ["Resources", logical_id, "Properties"];
        let properties = self.at(&keys)?;
        let number = |property: &str| {
            let value = match properties.get(property) {
                Some(value) => value,
                None => self.at(&["Globals", "Function", property])?,
            };
            self.number(value)
                .with_context(|| format!("{property} of {logical_id} in {}", self.name))
        };
        let variables = properties
            .pointer("/Environment/Variables")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), self.text(value)?)))
            .collect();
        Ok(FunctionSettings {
            memory: number("MemorySize")?,
            timeout: Duration::from_secs(number("Timeout")?),
            variables,
            events: properties["Events"]
                .as_object()
                .cloned()
                .unwrap_or_default(),
        })
    }

    /// The value below these keys.
    fn at(&self, keys: &[&str]) -> Result<&Value> {
        keys.iter()
            .try_fold(&self.document, |value, key| value.get(key))
            .with_context(|| format!("{} has no {}", self.name, keys.join("/")))
    }

    /// A value that is written out, or the default of the parameter that it refers to.
    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        value["Ref"]
            .as_str()
            .and_then(|parameter| self.parameter_default(parameter).ok())
            .unwrap_or(value)
    }

    fn number(&self, value: &Value) -> Result<u64> {
        let value = self.resolve(value);
        value
            .as_u64()
            .or_else(|| value.as_str()?.parse().ok())
            .with_context(|| format!("not a whole number: {value}"))
    }

    fn text(&self, value: &Value) -> Option<String> {
        match self.resolve(value) {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

impl FunctionSettings {
    /// The `BatchSize` of an event source.
    ///
    /// # Errors
    /// If there is no such event source, or it has no batch size.
    pub fn batch_size(&self, event: &str) -> Result<usize> {
        let size = self
            .events
            .get(event)
            .and_then(|event| event.pointer("/Properties/BatchSize"))
            .and_then(Value::as_u64)
            .with_context(|| format!("no number at Events/{event}/Properties/BatchSize"))?;
        Ok(usize::try_from(size)?)
    }
}

/// The items of a list, or a single one, whatever the conditions in it are.
#[must_use]
pub fn branches(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().flat_map(branches).collect(),
        other => match other["Fn::If"].as_array() {
            Some(parts) => parts.iter().skip(1).flat_map(branches).collect(),
            None if other["Ref"] == "AWS::NoValue" => Vec::new(),
            None => vec![other],
        },
    }
}

/// A part of a template, each `Fn::If` on one of these conditions replaced by the branch that it takes.
fn decide(part: &Value, conditions: &[(&str, bool)]) -> Value {
    if let Some([condition, then, otherwise]) = part["Fn::If"].as_array().map(Vec::as_slice)
        && let Some((_, holds)) = conditions.iter().find(|(name, _)| condition == name)
    {
        return decide(if *holds { then } else { otherwise }, conditions);
    }
    match part {
        Value::Array(items) => items.iter().map(|item| decide(item, conditions)).collect(),
        Value::Object(members) => {
            let members = members.iter();
            let decided = members.map(|(key, value)| (key.clone(), decide(value, conditions)));
            Value::Object(decided.collect())
        }
        plain => plain.clone(),
    }
}

/// YAML as JSON, short forms of functions as their long ones.
fn to_json(yaml: Yaml) -> Result<Value> {
    Ok(match yaml {
        Yaml::Sequence(items) => items.into_iter().map(to_json).collect::<Result<_>>()?,
        Yaml::Mapping(members) => {
            let members = members.into_iter().map(|(key, value)| {
                let key = key
                    .as_str()
                    .with_context(|| format!("key {key:?} is no text"))?;
                Ok((key.to_owned(), to_json(value)?))
            });
            Value::Object(members.collect::<Result<_>>()?)
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let function = tag.trim_start_matches('!');
            match (function, to_json(tagged.value)?) {
                ("Ref" | "Condition", argument) => json!({ function: argument }),
                ("GetAtt", Value::String(path)) => {
                    let (resource, attribute) = path
                        .split_once('.')
                        .with_context(|| format!("!GetAtt {path} names no attribute"))?;
                    json!({ "Fn::GetAtt": [resource, attribute] })
                }
                (_, argument) => json!({ format!("Fn::{function}"): argument }),
            }
        }
        plain => serde_json::to_value(plain)?,
    })
}

/// The loops that a part of the template is in: each one's identifier, and its present item.
struct Loops<'a> {
    items: BTreeMap<String, String>,
    mappings: &'a Value,
}

impl<'a> Loops<'a> {
    fn outside(mappings: &'a Value) -> Self {
        Self {
            items: BTreeMap::new(),
            mappings,
        }
    }

    fn with(&self, identifier: &str, item: &str) -> Self {
        let mut items = self.items.clone();
        items.insert(identifier.to_owned(), item.to_owned());
        Self { items, ..*self }
    }

    /// The text, each `${Identifier}` replaced by its item.
    fn fill(&self, text: &str) -> String {
        self.items
            .iter()
            .fold(text.to_owned(), |text, (identifier, item)| {
                text.replace(&format!("${{{identifier}}}"), item)
            })
    }

    /// What a function comes to within the loops; `None` if it is nothing that they decide.
    fn resolve(&self, function: &str, argument: &Value) -> Option<Value> {
        match function {
            "Ref" => Some(self.items.get(argument.as_str()?)?.as_str().into()),
            "Fn::Sub" => {
                let filled = self.fill(argument.as_str()?);
                (!filled.contains("${")).then(|| filled.into())
            }
            "Fn::FindInMap" => match argument.as_array()?.as_slice() {
                [
                    Value::String(map),
                    Value::String(row),
                    Value::String(column),
                ] => self.mappings.get(map)?.get(row)?.get(column).cloned(),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The part of a template, the loops in it expanded and the functions resolved that depend on them alone.
fn expand(part: Value, loops: &Loops) -> Result<Value> {
    match part {
        Value::Array(items) => items.into_iter().map(|item| expand(item, loops)).collect(),
        Value::Object(members) => {
            let mut expanded = Map::new();
            for (key, value) in members {
                if let Some(name) = key.strip_prefix("Fn::ForEach::") {
                    for (key, value) in
                        repeat(value, loops).with_context(|| format!("the loop {name}"))?
                    {
                        ensure!(
                            !expanded.contains_key(&key),
                            "the loop {name} makes {key} again"
                        );
                        expanded.insert(key, value);
                    }
                    continue;
                }
                let value = expand(value, loops)?;
                if let Some(resolved) = loops.resolve(&key, &value) {
                    return Ok(resolved);
                }
                let value = match value {
                    Value::String(text) if key == "Fn::Sub" => loops.fill(&text).into(),
                    value => value,
                };
                expanded.insert(key, value);
            }
            Ok(Value::Object(expanded))
        }
        plain => Ok(plain),
    }
}

/// The members that a loop makes: `[identifier, items, members]`.
fn repeat(definition: Value, loops: &Loops) -> Result<Map<String, Value>> {
    let Value::Array(parts) = definition else {
        bail!("it is not a list");
    };
    let [Value::String(identifier), items, Value::Object(members)] = &parts[..] else {
        bail!("it is not a list of an identifier, its items and the members of each");
    };
    let Value::Array(items) = expand(items.clone(), loops)? else {
        bail!("its items are not a list");
    };
    let mut repeated = Map::new();
    for item in &items {
        let item = item.as_str().context("an item is not text")?;
        let inside = loops.with(identifier, item);
        for (key, value) in members {
            let part = json!({ inside.fill(key): value });
            let Value::Object(made) = expand(part, &inside)? else {
                bail!("{key} is a function");
            };
            for (key, value) in made {
                ensure!(
                    repeated.insert(key.clone(), value).is_none(),
                    "it makes {key} twice"
                );
            }
        }
    }
    Ok(repeated)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOP: &str = "
Parameters:
  Speed: { Type: Number, Default: 4 }
Mappings:
  Queues:
    Findings: { Seconds: 660 }
    Alerts: { Seconds: 180 }
Globals:
  Function: { MemorySize: 256 }
Resources:
  Fn::ForEach::EveryQueue:
    - Queue
    - [Findings, Alerts]
    - ${Queue}Queue:
        Type: AWS::SQS::Queue
        Condition: !Sub Has${Queue}
        Properties:
          VisibilityTimeout: !FindInMap [Queues, !Ref Queue, Seconds]
          RedrivePolicy: { deadLetterTargetArn: !GetAtt [!Sub '${Queue}DeadLetterQueue', Arn] }
          Tags: [{ Key: stack, Value: !Sub '${AWS::StackName}-${Queue}' }]
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Timeout: 30
      Environment:
        Variables: { SPEED: !Ref Speed, QUEUE: !Ref FindingsQueue, MODE: fast }
      Events:
        Findings: { Type: SQS, Properties: { Queue: !GetAtt FindingsQueue.Arn, BatchSize: 25 } }
";

    #[test]
    fn loops_make_one_resource_for_each_item() {
        let template = Template::parse("test.yaml", LOOP).unwrap();
        let queues: Vec<_> = template.resources_of_type("AWS::SQS::Queue").collect();
        assert_eq!(
            queues,
            [
                (
                    "AlertsQueue",
                    &template.resource("AlertsQueue").unwrap()["Properties"]
                ),
                (
                    "FindingsQueue",
                    &template.resource("FindingsQueue").unwrap()["Properties"]
                ),
            ]
        );
        assert_eq!(
            *template.resource("FindingsQueue").unwrap(),
            json!({
                "Type": "AWS::SQS::Queue",
                "Condition": "HasFindings",
                "Properties": {
                    "VisibilityTimeout": 660,
                    "RedrivePolicy": { "deadLetterTargetArn": { "Fn::GetAtt": ["FindingsDeadLetterQueue", "Arn"] } },
                    "Tags": [{ "Key": "stack", "Value": { "Fn::Sub": "${AWS::StackName}-Findings" } }],
                },
            })
        );
    }

    #[test]
    fn a_functions_settings_take_globals_and_the_defaults_of_parameters() {
        let worker = Template::parse("test.yaml", LOOP)
            .unwrap()
            .function("Worker")
            .unwrap();
        assert_eq!(worker.memory, 256);
        assert_eq!(worker.timeout, Duration::from_secs(30));
        assert_eq!(worker.batch_size("Findings").unwrap(), 25);
        let variables = [("MODE", "fast"), ("SPEED", "4")];
        assert_eq!(
            worker.variables,
            variables
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()
        );
    }

    #[test]
    fn a_condition_that_is_decided_leaves_one_branch() {
        const CONDITIONS: &str = "
Resources:
  Role: { Actions: [!If [Mail, !If [Chat, both, mail], none], always] }
";
        let template = Template::parse("test.yaml", CONDITIONS).unwrap();
        let actions = |conditions: &[(&str, bool)]| {
            let decided = template.decided(conditions);
            decided.resource("Role").unwrap()["Actions"].clone()
        };
        let chat = json!({ "Fn::If": ["Chat", "both", "mail"] });
        assert_eq!(actions(&[("Mail", true)]), json!([chat, "always"]));
        assert_eq!(actions(&[("Mail", false)]), json!(["none", "always"]));
        let mail_alone = [("Mail", true), ("Chat", false)];
        assert_eq!(actions(&mail_alone), json!(["mail", "always"]));
    }

    #[test]
    fn what_is_missing_is_named() {
        let template = Template::parse("test.yaml", LOOP).unwrap();
        let fault = |error: anyhow::Error| format!("{error:#}");
        assert_eq!(
            fault(template.parameter_default("Burst").unwrap_err()),
            "test.yaml has no Parameters/Burst/Default"
        );
        assert_eq!(
            fault(template.function("Nobody").unwrap_err()),
            "test.yaml has no Resources/Nobody/Properties"
        );
        assert_eq!(
            fault(
                template
                    .function("Worker")
                    .unwrap()
                    .batch_size("Alerts")
                    .unwrap_err()
            ),
            "no number at Events/Alerts/Properties/BatchSize"
        );
    }

    #[test]
    fn the_projects_templates_can_be_read() {
        for path in [
            "template.yaml",
            "infra/alert-events.yaml",
            "infra/organization-events.yaml",
            "infra/rehearsal-events.yaml",
            "infra/contact-role.yaml",
        ] {
            Template::load(path).unwrap();
        }
        let template = Template::load("template.yaml").unwrap();
        assert_eq!(*template.parameter_default("QuotaPercent").unwrap(), 100);
        assert!(
            template
                .resources_of_type("AWS::Events::Rule")
                .any(|(name, rule)| {
                    name == "GuardDutyRule"
                        && rule["EventPattern"]["source"] == json!(["aws.guardduty"])
                })
        );
        assert_eq!(
            template
                .function("DirectoryRefresher")
                .unwrap()
                .batch_size("Tasks")
                .unwrap(),
            10
        );
    }
}
