//! `GetFindings`: filters, order and pages.

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::finding::{Finding, at};

const MOST_ATTRIBUTES: usize = 10;
const MOST_VALUES: usize = 20;
const MOST_RESULTS: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Date,
    Flag,
    Ip,
    Keyword,
    Map,
    Number,
    Text,
}
use Kind::{Date, Flag, Ip, Keyword, Map, Number, Text};

/// Filter attributes, with the paths of their values in a finding.
#[rustfmt::skip]
const ATTRIBUTES: &[(&str, Kind, &str)] = &[
    ("AwsAccountId", Text, "AwsAccountId"),
    ("AwsAccountName", Text, "AwsAccountName"),
    ("CompanyName", Text, "CompanyName"),
    ("ComplianceAssociatedStandardsId", Text, "Compliance.AssociatedStandards[].StandardsId"),
    ("ComplianceSecurityControlId", Text, "Compliance.SecurityControlId"),
    ("ComplianceSecurityControlParametersName", Text, "Compliance.SecurityControlParameters[].Name"),
    ("ComplianceSecurityControlParametersValue", Text, "Compliance.SecurityControlParameters[].Value[]"),
    ("ComplianceStatus", Text, "Compliance.Status"),
    ("Confidence", Number, "Confidence"),
    ("CreatedAt", Date, "CreatedAt"),
    ("Criticality", Number, "Criticality"),
    ("Description", Text, "Description"),
    ("FindingProviderFieldsConfidence", Number, "FindingProviderFields.Confidence"),
    ("FindingProviderFieldsCriticality", Number, "FindingProviderFields.Criticality"),
    ("FindingProviderFieldsRelatedFindingsId", Text, "FindingProviderFields.RelatedFindings[].Id"),
    ("FindingProviderFieldsRelatedFindingsProductArn", Text, "FindingProviderFields.RelatedFindings[].ProductArn"),
    ("FindingProviderFieldsSeverityLabel", Text, "FindingProviderFields.Severity.Label"),
    ("FindingProviderFieldsSeverityOriginal", Text, "FindingProviderFields.Severity.Original"),
    ("FindingProviderFieldsTypes", Text, "FindingProviderFields.Types[]"),
    ("FirstObservedAt", Date, "FirstObservedAt"),
    ("GeneratorId", Text, "GeneratorId"),
    ("Id", Text, "Id"),
    ("Keyword", Keyword, ""),
    ("LastObservedAt", Date, "LastObservedAt"),
    ("MalwareName", Text, "Malware[].Name"),
    ("MalwarePath", Text, "Malware[].Path"),
    ("MalwareState", Text, "Malware[].State"),
    ("MalwareType", Text, "Malware[].Type"),
    ("NetworkDestinationDomain", Text, "Network.DestinationDomain"),
    ("NetworkDestinationIpV4", Ip, "Network.DestinationIpV4"),
    ("NetworkDestinationIpV6", Ip, "Network.DestinationIpV6"),
    ("NetworkDestinationPort", Number, "Network.DestinationPort"),
    ("NetworkDirection", Text, "Network.Direction"),
    ("NetworkProtocol", Text, "Network.Protocol"),
    ("NetworkSourceDomain", Text, "Network.SourceDomain"),
    ("NetworkSourceIpV4", Ip, "Network.SourceIpV4"),
    ("NetworkSourceIpV6", Ip, "Network.SourceIpV6"),
    ("NetworkSourceMac", Text, "Network.SourceMac"),
    ("NetworkSourcePort", Number, "Network.SourcePort"),
    ("NoteText", Text, "Note.Text"),
    ("NoteUpdatedAt", Date, "Note.UpdatedAt"),
    ("NoteUpdatedBy", Text, "Note.UpdatedBy"),
    ("ProcessLaunchedAt", Date, "Process.LaunchedAt"),
    ("ProcessName", Text, "Process.Name"),
    ("ProcessParentPid", Number, "Process.ParentPid"),
    ("ProcessPath", Text, "Process.Path"),
    ("ProcessPid", Number, "Process.Pid"),
    ("ProcessTerminatedAt", Date, "Process.TerminatedAt"),
    ("ProductArn", Text, "ProductArn"),
    ("ProductFields", Map, "ProductFields"),
    ("ProductName", Text, "ProductName"),
    ("RecommendationText", Text, "Remediation.Recommendation.Text"),
    ("RecordState", Text, "RecordState"),
    ("Region", Text, "Region"),
    ("RelatedFindingsId", Text, "RelatedFindings[].Id"),
    ("RelatedFindingsProductArn", Text, "RelatedFindings[].ProductArn"),
    ("ResourceApplicationArn", Text, "Resources[].ApplicationArn"),
    ("ResourceApplicationName", Text, "Resources[].ApplicationName"),
    ("ResourceAwsEc2InstanceIamInstanceProfileArn", Text, "Resources[].Details.AwsEc2Instance.IamInstanceProfileArn"),
    ("ResourceAwsEc2InstanceImageId", Text, "Resources[].Details.AwsEc2Instance.ImageId"),
    ("ResourceAwsEc2InstanceIpV4Addresses", Ip, "Resources[].Details.AwsEc2Instance.IpV4Addresses[]"),
    ("ResourceAwsEc2InstanceIpV6Addresses", Ip, "Resources[].Details.AwsEc2Instance.IpV6Addresses[]"),
    ("ResourceAwsEc2InstanceKeyName", Text, "Resources[].Details.AwsEc2Instance.KeyName"),
    ("ResourceAwsEc2InstanceLaunchedAt", Date, "Resources[].Details.AwsEc2Instance.LaunchedAt"),
    ("ResourceAwsEc2InstanceSubnetId", Text, "Resources[].Details.AwsEc2Instance.SubnetId"),
    ("ResourceAwsEc2InstanceType", Text, "Resources[].Details.AwsEc2Instance.Type"),
    ("ResourceAwsEc2InstanceVpcId", Text, "Resources[].Details.AwsEc2Instance.VpcId"),
    ("ResourceAwsIamAccessKeyCreatedAt", Date, "Resources[].Details.AwsIamAccessKey.CreatedAt"),
    ("ResourceAwsIamAccessKeyPrincipalName", Text, "Resources[].Details.AwsIamAccessKey.PrincipalName"),
    ("ResourceAwsIamAccessKeyStatus", Text, "Resources[].Details.AwsIamAccessKey.Status"),
    ("ResourceAwsIamAccessKeyUserName", Text, "Resources[].Details.AwsIamAccessKey.UserName"),
    ("ResourceAwsIamUserUserName", Text, "Resources[].Details.AwsIamUser.UserName"),
    ("ResourceAwsS3BucketOwnerId", Text, "Resources[].Details.AwsS3Bucket.OwnerId"),
    ("ResourceAwsS3BucketOwnerName", Text, "Resources[].Details.AwsS3Bucket.OwnerName"),
    ("ResourceContainerImageId", Text, "Resources[].Details.Container.ImageId"),
    ("ResourceContainerImageName", Text, "Resources[].Details.Container.ImageName"),
    ("ResourceContainerLaunchedAt", Date, "Resources[].Details.Container.LaunchedAt"),
    ("ResourceContainerName", Text, "Resources[].Details.Container.Name"),
    ("ResourceDetailsOther", Map, "Resources[].Details.Other"),
    ("ResourceId", Text, "Resources[].Id"),
    ("ResourceOwnerAccountId", Text, "Resources[].Owner.AccountId"),
    ("ResourceOwnerOrgId", Text, "Resources[].Owner.OrgId"),
    ("ResourcePartition", Text, "Resources[].Partition"),
    ("ResourceProvider", Text, "Resources[].Provider"),
    ("ResourceRegion", Text, "Resources[].Region"),
    ("ResourceTags", Map, "Resources[].Tags"),
    ("ResourceType", Text, "Resources[].Type"),
    ("Sample", Flag, "Sample"),
    ("SeverityLabel", Text, "Severity.Label"),
    ("SeverityNormalized", Number, "Severity.Normalized"),
    ("SeverityProduct", Number, "Severity.Product"),
    ("SourceUrl", Text, "SourceUrl"),
    ("ThreatIntelIndicatorCategory", Text, "ThreatIntelIndicators[].Category"),
    ("ThreatIntelIndicatorLastObservedAt", Date, "ThreatIntelIndicators[].LastObservedAt"),
    ("ThreatIntelIndicatorSource", Text, "ThreatIntelIndicators[].Source"),
    ("ThreatIntelIndicatorSourceUrl", Text, "ThreatIntelIndicators[].SourceUrl"),
    ("ThreatIntelIndicatorType", Text, "ThreatIntelIndicators[].Type"),
    ("ThreatIntelIndicatorValue", Text, "ThreatIntelIndicators[].Value"),
    ("Title", Text, "Title"),
    ("Type", Text, "Types[]"),
    ("UpdatedAt", Date, "UpdatedAt"),
    ("UserDefinedFields", Map, "UserDefinedFields"),
    ("VerificationState", Text, "VerificationState"),
    ("VulnerabilitiesExploitAvailable", Text, "Vulnerabilities[].ExploitAvailable"),
    ("VulnerabilitiesFixAvailable", Text, "Vulnerabilities[].FixAvailable"),
    ("WorkflowState", Text, "WorkflowState"),
    ("WorkflowStatus", Text, "Workflow.Status"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Comparison {
    Equals,
    Prefix,
    Contains,
    ContainsWord,
    NotEquals,
    PrefixNotEquals,
    NotContains,
}
use Comparison::{Contains, ContainsWord, Equals, NotContains, NotEquals, Prefix, PrefixNotEquals};

/// Comparisons that AWS refuses in combination for one attribute.
const APART: &[(&[Comparison], &[Comparison])] = &[
    (&[Equals], &[NotEquals, PrefixNotEquals]),
    (
        &[Contains],
        &[Equals, Prefix, NotEquals, PrefixNotEquals, NotContains],
    ),
    (
        &[NotContains],
        &[Equals, Prefix, NotEquals, PrefixNotEquals],
    ),
];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TextFilter {
    value: String,
    comparison: Comparison,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct MapFilter {
    key: String,
    value: String,
    comparison: Comparison,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct NumberFilter {
    gte: Option<f64>,
    lte: Option<f64>,
    gt: Option<f64>,
    lt: Option<f64>,
    eq: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DateFilter {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    date_range: Option<DateRange>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DateRange {
    value: i64,
    unit: String,
    comparison: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct IpFilter {
    cidr: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct KeywordFilter {
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct FlagFilter {
    value: bool,
}

#[derive(Debug)]
enum Tests {
    Date(Vec<(Option<Timestamp>, Option<Timestamp>)>),
    Flag(Vec<bool>),
    Ip(Vec<(IpAddr, u8)>),
    Keyword(Vec<String>),
    Map(Vec<MapFilter>),
    Number(Vec<NumberFilter>),
    Text(Vec<TextFilter>),
}

/// One attribute's filters; a finding must match those of every attribute.
#[derive(Debug)]
struct Filter {
    path: &'static str,
    tests: Tests,
}

/// A `GetFindings` call.
#[derive(Debug)]
pub(crate) struct Query {
    filters: Vec<Filter>,
    /// Paths to sort by, and whether in descending order.
    order: Vec<(&'static str, bool)>,
    from: usize,
    most: usize,
    /// Identifies the query in a page's token.
    mark: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Call {
    filters: Option<serde_json::Map<String, Value>>,
    sort_criteria: Option<Vec<SortCriterion>>,
    next_token: Option<String>,
    max_results: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SortCriterion {
    field: String,
    sort_order: Option<String>,
}

impl Query {
    /// Reads a call; its date ranges end at `now`.
    pub(crate) fn read(body: &[u8], now: Timestamp) -> Result<Self, String> {
        let call: Call = match body {
            [] => Call::default(),
            body => serde_json::from_slice(body)
                .map_err(|error| format!("the call is not understood: {error}"))?,
        };
        let attributes = call.filters.unwrap_or_default();
        let mark = mark(&attributes, call.sort_criteria.as_deref());
        let from = match call.next_token.as_deref() {
            None | Some("") => 0,
            Some(token) => position(token, mark).ok_or("NextToken is not one of this query")?,
        };
        let most = call.max_results.unwrap_or(MOST_RESULTS);
        if !(1..=MOST_RESULTS).contains(&most) {
            return Err(format!("MaxResults must be 1 to {MOST_RESULTS}"));
        }
        if attributes.len() > MOST_ATTRIBUTES {
            return Err(format!("Filters may have {MOST_ATTRIBUTES} attributes"));
        }
        let filters = attributes
            .into_iter()
            .map(|(name, values)| filter(&name, values, now))
            .collect::<Result<_, _>>()?;
        let order = call
            .sort_criteria
            .unwrap_or_default()
            .iter()
            .map(sorted_by)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            filters,
            order,
            from,
            most: usize::try_from(most).unwrap_or(usize::MAX),
            mark,
        })
    }

    /// The requested page.
    pub(crate) fn page<'a>(&self, findings: impl Iterator<Item = &'a Finding>) -> Value {
        let mut found: Vec<&Finding> = findings.filter(|it| self.matches(it)).collect();
        // A stable sort: findings that compare equal keep their order.
        found.sort_by(|a, b| self.compare(a, b));
        let page: Vec<&Finding> = found
            .iter()
            .copied()
            .skip(self.from)
            .take(self.most)
            .collect();
        let next = self.from + page.len();
        let mut answer = json!({"Findings": page});
        if next < found.len() {
            answer["NextToken"] = json!(format!("{next}-{:016x}", self.mark));
        }
        answer
    }

    fn matches(&self, finding: &Finding) -> bool {
        self.filters.iter().all(|filter| filter.matches(finding))
    }

    fn compare(&self, a: &Finding, b: &Finding) -> Ordering {
        let mut orders = self.order.iter().map(|(path, from_the_end)| {
            let order = compare(at(a, path).first().copied(), at(b, path).first().copied());
            if *from_the_end {
                order.reverse()
            } else {
                order
            }
        });
        orders.find(|it| it.is_ne()).unwrap_or(Ordering::Equal)
    }
}

impl Filter {
    fn matches(&self, finding: &Finding) -> bool {
        let values = || at(finding, self.path).into_iter();
        let texts = || values().filter_map(Value::as_str);
        match &self.tests {
            Tests::Date(spans) => {
                let mut times = texts().filter_map(|it| it.parse::<Timestamp>().ok());
                times.any(|time| spans.iter().any(|span| within(time, span)))
            }
            Tests::Flag(wanted) => {
                // A finding without the field is no sample.
                let is = values().any(|it| it == true);
                wanted.contains(&is)
            }
            Tests::Ip(networks) => {
                let mut addresses = texts().filter_map(|it| it.parse().ok());
                addresses.any(|it| networks.iter().any(|network| contains_ip(network, it)))
            }
            Tests::Keyword(words) => {
                let all = json!(finding).to_string().to_lowercase();
                words.iter().any(|word| all.contains(word))
            }
            Tests::Map(filters) => joined(
                filters,
                |it| it.comparison,
                |filter| {
                    values()
                        .filter_map(|map| map.get(&filter.key)?.as_str())
                        .any(|text| positive(filter.comparison, text, &filter.value))
                },
            ),
            Tests::Number(filters) => values()
                .filter_map(Value::as_f64)
                .any(|number| filters.iter().any(|it| it.matches(number))),
            Tests::Text(filters) => joined(
                filters,
                |it| it.comparison,
                |filter| texts().any(|text| positive(filter.comparison, text, &filter.value)),
            ),
        }
    }
}

impl NumberFilter {
    fn matches(&self, number: f64) -> bool {
        self.gte.is_none_or(|it| number >= it)
            && self.lte.is_none_or(|it| number <= it)
            && self.gt.is_none_or(|it| number > it)
            && self.lt.is_none_or(|it| number < it)
            && self.eq.is_none_or(|it| (number - it).abs() < f64::EPSILON)
    }
}

/// AWS's rule for one attribute: any of the filters that include a value, and none of those that
/// exclude one. `has` says whether the finding has the filter's value.
fn joined<T>(
    filters: &[T],
    comparison: impl Fn(&T) -> Comparison,
    has: impl Fn(&T) -> bool,
) -> bool {
    let (negative, positive): (Vec<&T>, Vec<&T>) = filters
        .iter()
        .partition(|filter| is_negative(comparison(filter)));
    let wanted = positive.is_empty() || positive.into_iter().any(&has);
    wanted && !negative.into_iter().any(has)
}

fn is_negative(comparison: Comparison) -> bool {
    matches!(comparison, NotEquals | PrefixNotEquals | NotContains)
}

/// Whether the text is what the comparison includes or, if negative, excludes.
fn positive(comparison: Comparison, text: &str, value: &str) -> bool {
    match comparison {
        Equals | NotEquals => text == value,
        Prefix | PrefixNotEquals => text.starts_with(value),
        Contains | NotContains => text.contains(value),
        ContainsWord => contains_word(text, value),
    }
}

fn contains_word(text: &str, word: &str) -> bool {
    let ends = |it: Option<char>| it.is_none_or(|it| !it.is_alphanumeric());
    text.match_indices(word).any(|(start, found)| {
        let after = text
            .get(start + found.len()..)
            .and_then(|it| it.chars().next());
        let before = text.get(..start).and_then(|it| it.chars().next_back());
        ends(before) && ends(after)
    })
}

fn within(time: Timestamp, (start, end): &(Option<Timestamp>, Option<Timestamp>)) -> bool {
    start.is_none_or(|start| time >= start) && end.is_none_or(|end| time <= end)
}

fn contains_ip((network, length): &(IpAddr, u8), address: IpAddr) -> bool {
    let (network, address, bits) = match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => (
            u128::from(network.to_bits()),
            u128::from(address.to_bits()),
            32,
        ),
        (IpAddr::V6(network), IpAddr::V6(address)) => (network.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    // A shift by all 128 bits would overflow.
    let host = bits - u32::from(*length);
    network.checked_shr(host).unwrap_or(0) == address.checked_shr(host).unwrap_or(0)
}

fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    let numbers = (a.and_then(Value::as_f64), b.and_then(Value::as_f64));
    match (numbers, a, b) {
        ((Some(a), Some(b)), _, _) => a.total_cmp(&b),
        (_, Some(a), Some(b)) => a.as_str().cmp(&b.as_str()),
        (_, a, b) => b.is_some().cmp(&a.is_some()),
    }
}

fn attribute(name: &str) -> Result<(Kind, &'static str), String> {
    let known = ATTRIBUTES.iter().find(|it| it.0 == name);
    known
        .map(|(_, kind, path)| (*kind, *path))
        .ok_or_else(|| format!("{name} is not an attribute of findings that can be filtered by"))
}

fn sorted_by(criterion: &SortCriterion) -> Result<(&'static str, bool), String> {
    let (_, path) = attribute(&criterion.field)?;
    match criterion.sort_order.as_deref() {
        None | Some("asc") => Ok((path, false)),
        Some("desc") => Ok((path, true)),
        Some(other) => Err(format!("SortOrder must be asc or desc, not {other}")),
    }
}

fn filter(name: &str, values: Value, now: Timestamp) -> Result<Filter, String> {
    let (kind, path) = attribute(name)?;
    let count = values.as_array().map_or(0, Vec::len);
    if !(1..=MOST_VALUES).contains(&count) {
        return Err(format!(
            "{name} must be a list of 1 to {MOST_VALUES} filters"
        ));
    }
    let tests = match kind {
        Text => {
            let filters: Vec<TextFilter> = read(name, values)?;
            no_blanks(name, filters.iter().map(|it| it.value.as_str()))?;
            together(name, filters.iter().map(|it| it.comparison))?;
            Tests::Text(filters)
        }
        Map => {
            let filters: Vec<MapFilter> = read(name, values)?;
            let texts = filters.iter().flat_map(|it| [&*it.key, &*it.value]);
            no_blanks(name, texts)?;
            together(name, filters.iter().map(|it| it.comparison))?;
            let known = [Equals, NotEquals, Contains, NotContains];
            if filters.iter().any(|it| !known.contains(&it.comparison)) {
                return Err(format!(
                    "{name} is a map: it takes EQUALS, CONTAINS and their opposites"
                ));
            }
            Tests::Map(filters)
        }
        Number => Tests::Number(read(name, values)?),
        Date => {
            let filters: Vec<DateFilter> = read(name, values)?;
            let spans = filters.iter().map(|it| span(it, now));
            let spans: Result<_, _> = spans.collect();
            Tests::Date(spans.map_err(|rule| format!("{name}: {rule}"))?)
        }
        Ip => {
            let filters: Vec<IpFilter> = read(name, values)?;
            let networks = filters.iter().map(|it| network(&it.cidr));
            let networks: Option<_> = networks.collect();
            Tests::Ip(networks.ok_or_else(|| format!("{name}: Cidr must look like 10.0.0.0/8"))?)
        }
        Keyword => {
            let filters: Vec<KeywordFilter> = read(name, values)?;
            Tests::Keyword(filters.iter().map(|it| it.value.to_lowercase()).collect())
        }
        Flag => {
            let filters: Vec<FlagFilter> = read(name, values)?;
            Tests::Flag(filters.iter().map(|it| it.value).collect())
        }
    };
    Ok(Filter { path, tests })
}

fn read<T: DeserializeOwned>(name: &str, values: Value) -> Result<Vec<T>, String> {
    serde_json::from_value(values).map_err(|error| format!("{name}: {error}"))
}

fn no_blanks<'a>(name: &str, mut texts: impl Iterator<Item = &'a str>) -> Result<(), String> {
    if texts.any(|text| text.trim().is_empty()) {
        return Err(format!("{name}: no text of a filter may be blank"));
    }
    Ok(())
}

fn together(name: &str, comparisons: impl Iterator<Item = Comparison>) -> Result<(), String> {
    let all: Vec<Comparison> = comparisons.collect();
    let has = |some: &[Comparison]| some.iter().any(|it| all.contains(it));
    if APART.iter().any(|(one, other)| has(one) && has(other)) {
        return Err(format!("{name} has comparisons that cannot be combined"));
    }
    Ok(())
}

fn span(
    filter: &DateFilter,
    now: Timestamp,
) -> Result<(Option<Timestamp>, Option<Timestamp>), &'static str> {
    let Some(range) = &filter.date_range else {
        return Ok((filter.start, filter.end));
    };
    if range.unit != "DAYS" {
        return Err("Unit must be DAYS");
    }
    let back = range
        .value
        .checked_mul(24)
        .map(SignedDuration::from_hours)
        .and_then(|back| now.checked_sub(back).ok())
        .ok_or("Value is too large")?;
    match range.comparison.as_deref() {
        None | Some("WITHIN") => Ok((Some(back), Some(now))),
        Some("OLDER_THAN") => Ok((None, Some(back))),
        Some(_) => Err("Comparison must be WITHIN or OLDER_THAN"),
    }
}

fn network(cidr: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = cidr
        .split_once('/')
        .map_or((cidr, None), |(a, b)| (a, Some(b)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(most), |it| it.parse().ok())?;
    (length <= most).then_some((address, length))
}

fn mark(filters: &serde_json::Map<String, Value>, order: Option<&[SortCriterion]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    json!(filters).to_string().hash(&mut hasher);
    for criterion in order.unwrap_or_default() {
        criterion.field.hash(&mut hasher);
        criterion.sort_order.hash(&mut hasher);
    }
    hasher.finish()
}

fn position(token: &str, mark: u64) -> Option<usize> {
    let (index, of) = token.split_once('-')?;
    let of = u64::from_str_radix(of, 16).ok()?;
    (of == mark).then(|| index.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::super::finding::{complete, tests::sample};
    use super::*;

    fn now() -> Timestamp {
        "2026-03-11T10:00:00Z".parse().unwrap()
    }

    fn query(call: &Value) -> Result<Query, String> {
        Query::read(call.to_string().as_bytes(), now())
    }

    fn found(filters: &Value) -> bool {
        let mut finding = complete(sample("1"), now());
        let fields = json!({
            "UserDefinedFields": {"Environment": "PROD"},
            "Network": {"SourceIpV4": "10.1.2.3"},
        });
        finding.extend(fields.as_object().unwrap().clone());
        query(&json!({"Filters": filters}))
            .unwrap()
            .matches(&finding)
    }

    fn text(comparison: &str, values: &[&str]) -> Value {
        let filters = values.iter();
        filters
            .map(|it| json!({"Value": it, "Comparison": comparison}))
            .collect()
    }

    #[test]
    fn text_filters_compare_as_documented() {
        let cases = [
            ("EQUALS", "A bucket is public", true),
            ("EQUALS", "a bucket is public", false),
            ("PREFIX", "A buck", true),
            ("CONTAINS", "bucket", true),
            ("CONTAINS_WORD", "bucket", true),
            ("CONTAINS_WORD", "buck", false),
            ("NOT_EQUALS", "A bucket is public", false),
            ("NOT_EQUALS", "other", true),
            ("PREFIX_NOT_EQUALS", "A b", false),
            ("NOT_CONTAINS", "bucket", false),
            ("NOT_CONTAINS", "queue", true),
        ];
        for (comparison, value, expected) in cases {
            let filters = json!({"Title": text(comparison, &[value])});
            assert_eq!(found(&filters), expected, "{comparison} {value}");
        }
    }

    #[test]
    fn filters_of_one_attribute_join_by_or_and_exclusions_by_and() {
        assert!(found(
            &json!({"SeverityLabel": text("EQUALS", &["LOW", "HIGH"])})
        ));
        assert!(!found(
            &json!({"SeverityLabel": text("NOT_EQUALS", &["LOW", "HIGH"])})
        ));
        let prefix = json!({"Value": "Aws", "Comparison": "PREFIX"});
        let except = |value: &str| json!({"Value": value, "Comparison": "NOT_EQUALS"});
        assert!(found(
            &json!({"ResourceType": [prefix, except("AwsIamRole")]})
        ));
        assert!(!found(
            &json!({"ResourceType": [prefix, except("AwsS3Bucket")]})
        ));
    }

    #[test]
    fn attributes_join_by_and() {
        let both = |status: &str| {
            json!({
                "ComplianceStatus": text("EQUALS", &[status]),
                "WorkflowStatus": text("EQUALS", &["NEW"]),
            })
        };
        assert!(found(&both("FAILED")));
        assert!(!found(&both("PASSED")));
    }

    #[test]
    fn lists_and_missing_fields_count_as_their_values() {
        assert!(found(
            &json!({"ResourceId": text("EQUALS", &["arn:aws:s3:::one"])})
        ));
        assert!(found(&json!({"Type": text("PREFIX", &["Effects/"])})));
        assert!(!found(&json!({"NoteText": text("EQUALS", &["x"])})));
        assert!(found(&json!({"NoteText": text("NOT_EQUALS", &["x"])})));
    }

    #[test]
    fn maps_are_filtered_by_key() {
        let map = |name: &str, key: &str, value: &str, comparison: &str| json!({name: [{"Key": key, "Value": value, "Comparison": comparison}]});
        assert!(found(&map(
            "UserDefinedFields",
            "Environment",
            "PROD",
            "EQUALS"
        )));
        assert!(!found(&map(
            "UserDefinedFields",
            "Environment",
            "DEV",
            "EQUALS"
        )));
        assert!(!found(&map(
            "UserDefinedFields",
            "Environment",
            "PRO",
            "NOT_CONTAINS"
        )));
        assert!(found(&map(
            "UserDefinedFields",
            "Owner",
            "me",
            "NOT_EQUALS"
        )));
        assert!(found(&map("ResourceTags", "team", "pay", "EQUALS")));
        let prefix = map("ResourceTags", "team", "pay", "PREFIX");
        assert!(query(&json!({"Filters": prefix})).is_err());
    }

    #[test]
    fn filters_of_one_map_join_by_or() {
        let equals = |values: &[&str]| -> Value {
            let filters = values.iter();
            filters
                .map(|it| json!({"Key": "Environment", "Value": it, "Comparison": "EQUALS"}))
                .collect()
        };
        let among = |values: &[&str]| found(&json!({"UserDefinedFields": equals(values)}));
        assert!(among(&["DEV", "TEST", "PROD"]));
        assert!(!among(&["DEV", "TEST"]));
        let mut twenty = vec!["DEV"; 19];
        twenty.push("PROD");
        assert!(among(&twenty));
        assert!(!found(&json!({
            "UserDefinedFields": equals(&twenty),
            "RecordState": text("EQUALS", &["ARCHIVED"]),
        })));
        twenty.push("PROD");
        let call = json!({"Filters": {"UserDefinedFields": equals(&twenty)}});
        assert!(query(&call).is_err(), "21 values");
    }

    #[test]
    fn findings_are_found_by_their_ids() {
        let findings: Vec<Finding> = ["f/1", "f/2", "f/10"].map(sample).into();
        let call = json!({"Filters": {"Id": text("EQUALS", &["f/1", "f/10", "f/3"])}});
        let page = query(&call).unwrap().page(findings.iter());
        let ids = page["Findings"].as_array().unwrap().iter();
        let ids: Vec<&Value> = ids.map(|it| &it["Id"]).collect();
        assert_eq!(ids, ["f/1", "f/10"]);
    }

    #[test]
    fn dates_have_spans() {
        let range = |days: i64, comparison: &str| json!({"UpdatedAt": [{"DateRange": {"Value": days, "Unit": "DAYS", "Comparison": comparison}}]});
        assert!(found(&range(11, "WITHIN")));
        assert!(!found(&range(9, "WITHIN")));
        assert!(found(&range(9, "OLDER_THAN")));
        let from = |start: &str| json!({"UpdatedAt": [{"Start": start}]});
        assert!(found(&from("2026-03-01T10:00:00Z")));
        assert!(!found(&from("2026-03-01T10:00:01Z")));
    }

    #[test]
    fn numbers_networks_words_and_booleans_are_filtered() {
        assert!(found(
            &json!({"SeverityNormalized": [{"Gte": 70, "Lt": 71}]})
        ));
        assert!(!found(&json!({"SeverityNormalized": [{"Eq": 71}]})));
        assert!(found(
            &json!({"NetworkSourceIpV4": [{"Cidr": "10.0.0.0/8"}]})
        ));
        assert!(!found(
            &json!({"NetworkSourceIpV4": [{"Cidr": "10.1.2.4"}]})
        ));
        assert!(found(&json!({"Keyword": [{"Value": "EVERYBODY"}]})));
        assert!(found(&json!({"Sample": [{"Value": false}]})));
        assert!(!found(&json!({"Sample": [{"Value": true}]})));
    }

    #[test]
    fn invalid_filters_are_refused() {
        let equals = json!([{"Value": "x", "Comparison": "EQUALS"}]);
        let eleven = ATTRIBUTES.iter().filter(|it| it.1 == Text).take(11);
        let eleven: Value = eleven.map(|it| (it.0.to_owned(), equals.clone())).collect();
        let mixed = json!([
            {"Value": "x", "Comparison": "EQUALS"},
            {"Value": "y", "Comparison": "NOT_EQUALS"},
        ]);
        let wrong = [
            json!({"Filters": {"Owner": equals}}),
            json!({"Filters": eleven}),
            json!({"Filters": {"Title": text("EQUALS", &["x"; 21])}}),
            json!({"Filters": {"Title": text("LIKE", &["x"])}}),
            json!({"Filters": {"Title": mixed}}),
            json!({"Filters": {"Id": text("EQUALS", &["1", " "])}}),
            json!({"Filters": {"Id": []}}),
            json!({"Filters": {"UserDefinedFields": [{"Key": "", "Value": "x", "Comparison": "EQUALS"}]}}),
            json!({"Filters": {"UpdatedAt": [{"Start": "yesterday"}]}}),
            json!({"Filters": {"NetworkSourceIpV4": [{"Cidr": "10.0.0.0/33"}]}}),
            json!({"MaxResults": 0}),
            json!({"MaxResults": 101}),
            json!({"NextToken": "5-0"}),
            json!({"SortCriteria": [{"Field": "Owner"}]}),
        ];
        for call in wrong {
            assert!(query(&call).is_err(), "{call}");
        }
    }

    #[test]
    fn pages_follow_each_other() {
        let findings: Vec<Finding> = (0..5).map(|it| sample(&it.to_string())).collect();
        let (mut call, mut seen) = (json!({"MaxResults": 2}), Vec::new());
        loop {
            let page = query(&call).unwrap().page(findings.iter());
            let ids = page["Findings"].as_array().unwrap().iter();
            seen.push(ids.map(|it| it["Id"].clone()).collect::<Vec<_>>());
            match page.get("NextToken") {
                Some(token) => call["NextToken"] = token.clone(),
                None => break,
            }
        }
        assert_eq!(json!(seen), json!([["0", "1"], ["2", "3"], ["4"]]));
        call["Filters"] = json!({"Title": text("EQUALS", &["x"])});
        assert!(query(&call).is_err(), "a token belongs to its query");
    }

    #[test]
    fn findings_are_sorted() {
        let sized = |id: &str, confidence: u64| {
            let mut finding = sample(id);
            finding.insert("Confidence".to_owned(), json!(confidence));
            finding
        };
        let findings = [sized("a", 9), sample("b"), sized("c", 10), sized("d", 9)];
        let call = json!({"SortCriteria": [
            {"Field": "Confidence", "SortOrder": "asc"},
            {"Field": "Id", "SortOrder": "desc"},
        ]});
        let page = query(&call).unwrap().page(findings.iter());
        let ids = page["Findings"].as_array().unwrap().iter();
        let ids: Vec<&Value> = ids.map(|it| &it["Id"]).collect();
        assert_eq!(ids, ["d", "a", "c", "b"]);
    }
}
