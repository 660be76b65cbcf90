//! Reads `posture.toml`. One fault refuses the whole file, and every fault has its line and what to do.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::{Spanned, Value};

use super::{
    exposure::Kind,
    file::{
        Accepted, Expected, KEY, Members, Name, Named, Organization, PostureFile, Scope,
        ServiceSetting, Target,
    },
    regions,
};
use crate::{
    ids::AccountId,
    rule_file::{self, Check, account_of, filled, unit_path_of},
    versioned_file::active::Written,
};

/// Bytes that the file may have.
const MOST_BYTES: usize = 1_000_000;
/// The services that the file may name.
pub const SERVICES: &[&str] = &[
    "access-analyzer",
    "detective",
    "devops-guru",
    "guardduty",
    "inspector",
    "macie",
];
/// The standards of Security Hub (CSPM), as of November 2026.
pub const STANDARDS: &[&str] = &[
    "aws-foundational-security-best-practices/v/1.0.0",
    "aws-resource-tagging-standard/v/1.0.0",
    "cis-aws-foundations-benchmark/v/1.2.0",
    "cis-aws-foundations-benchmark/v/1.4.0",
    "cis-aws-foundations-benchmark/v/3.0.0",
    "cis-aws-foundations-benchmark/v/5.0.0",
    "nist-800-171/v/2.0.0",
    "nist-800-53/v/5.0.0",
    "pci-dss/v/3.2.1",
    "pci-dss/v/4.0.1",
];

impl Written for PostureFile {
    const KEY: &'static str = KEY;

    fn parse(text: &str) -> Result<Self, Vec<String>> {
        if text.len() > MOST_BYTES {
            return Err(vec![
                "line 1: the file has more than a million bytes: leave out what nobody needs"
                    .to_owned(),
            ]);
        }
        rule_file::parse(text, file)
    }

    /// Nothing is expected, and nothing is kept.
    fn shipped() -> Result<Self, Vec<String>> {
        Ok(Self::default())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    organization: RawOrganization,
    #[serde(default)]
    services: BTreeMap<Spanned<String>, RawService>,
    #[serde(default)]
    scope: Vec<Spanned<RawScope>>,
    #[serde(default)]
    accepted: Vec<Spanned<RawAccepted>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOrganization {
    administrator: Option<Spanned<String>>,
    home_region: Option<Spanned<String>>,
    #[serde(default)]
    regions: Vec<Spanned<String>>,
    #[serde(default)]
    allow_delete: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawService {
    on: bool,
    members: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScope {
    target: Option<Spanned<String>>,
    standards: Option<Vec<Spanned<String>>>,
    standards_off: Option<Vec<Spanned<String>>>,
    controls_off: Option<BTreeMap<Spanned<String>, Spanned<String>>>,
    regions: Option<Vec<Spanned<String>>>,
    internet: Option<Vec<Spanned<RawExpected>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExpected {
    kind: Spanned<String>,
    #[serde(default)]
    ports: Vec<Spanned<i64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAccepted {
    account: Option<Spanned<String>>,
    region: Option<Spanned<String>>,
    kind: Option<Spanned<String>>,
    resource: Option<Spanned<String>>,
    reason: Option<Spanned<String>>,
    until: Option<Spanned<Value>>,
}

fn file(check: &mut Check, document: &Document) -> PostureFile {
    let organization = organization(check, &document.organization);
    let services = services(check, &document.services);
    if organization.administrator.is_none()
        && let Some((name, _)) = document.services.iter().find(|(_, service)| service.on)
    {
        check.refuse(
            name,
            "a service that is on needs an administrator: set it in [organization]",
        );
    }
    let mut scopes: Vec<Scope> = Vec::new();
    for row in &document.scope {
        let Some(scope) = scope(check, row, &organization) else {
            continue;
        };
        if let Some(known) = scopes.iter().find(|known| known.target == scope.target) {
            let line = known.line;
            check.refuse(
                row,
                format!("the scope in line {line} has the same target: put both into one"),
            );
        }
        scopes.push(scope);
    }
    let rows = document.accepted.iter();
    let accepted = rows.filter_map(|row| accepted(check, row)).collect();
    PostureFile {
        organization,
        services,
        scopes,
        accepted,
        names: names(check, document),
    }
}

/// The names that only AWS can judge, whatever else is wrong.
fn names(check: &Check, document: &Document) -> Vec<Named> {
    let organization = &document.organization;
    let scopes = || document.scope.iter().map(Spanned::as_ref);
    let mut regions: Vec<&Spanned<String>> = organization.regions.iter().collect();
    regions.extend(&organization.home_region);
    regions.extend(scopes().flat_map(|scope: &RawScope| scope.regions.iter().flatten()));
    let accepted = document.accepted.iter();
    regions.extend(accepted.filter_map(|row| row.as_ref().region.as_ref()));
    let controls = scopes().flat_map(|scope| scope.controls_off.iter().flat_map(BTreeMap::keys));
    let regions = regions
        .into_iter()
        .map(|it| (it, Name::Region as fn(String) -> Name));
    let controls = controls.map(|it| (it, Name::Control as fn(String) -> Name));
    let all = regions.chain(controls).map(|(it, name)| Named {
        line: check.line(it),
        name: name(it.as_ref().clone()),
    });
    all.collect()
}

fn organization(check: &mut Check, raw: &RawOrganization) -> Organization {
    let administrator = check.read(raw.administrator.as_ref(), filled);
    let line = raw.administrator.as_ref().map(|name| check.line(name));
    let home_region = check.read(raw.home_region.as_ref(), region_of);
    let regions = each(check, &raw.regions, "Region", region_of);
    if let (Some(home), Some(value)) = (&home_region, &raw.home_region)
        && !regions.is_empty()
        && !regions.contains(home)
    {
        check.refuse(
            value,
            "home_region is not among regions: add it there, or choose one of them",
        );
    }
    Organization {
        administrator,
        administrator_line: line.unwrap_or_default(),
        home_region,
        regions,
        allow_delete: raw.allow_delete,
    }
}

fn services(
    check: &mut Check,
    raw: &BTreeMap<Spanned<String>, RawService>,
) -> BTreeMap<String, ServiceSetting> {
    let mut services = BTreeMap::new();
    for (name, raw) in raw {
        if !SERVICES.contains(&name.as_ref().as_str()) {
            let known = SERVICES.join(", ");
            check.refuse(
                name,
                format!("{:?} is no service: write one of {known}", name.as_ref()),
            );
        }
        let members = check.read(raw.members.as_ref(), members_of);
        let setting = ServiceSetting {
            on: raw.on,
            members: members.unwrap_or_default(),
        };
        services.insert(name.as_ref().clone(), setting);
    }
    services
}

fn scope(check: &mut Check, row: &Spanned<RawScope>, organization: &Organization) -> Option<Scope> {
    let raw = row.as_ref();
    let target = check.needed(row, "a scope", "target", raw.target.as_ref(), target_of);
    if raw.standards.is_none()
        && raw.standards_off.is_none()
        && raw.controls_off.is_none()
        && raw.internet.is_none()
    {
        check.refuse(
            row,
            "a scope has standards, standards_off, controls_off or internet: this one says nothing",
        );
    }
    let mut list =
        |raw: Option<&Vec<Spanned<String>>>, what, read: fn(&str) -> Result<String, String>| {
            raw.map(|values| each(check, values, what, read))
        };
    let standards = list(raw.standards.as_ref(), "standard", standard_of);
    let standards_off = list(raw.standards_off.as_ref(), "standard", standard_of);
    let regions = list(raw.regions.as_ref(), "Region", region_of);
    for off in raw.standards_off.iter().flatten() {
        if standards
            .as_ref()
            .is_some_and(|on| on.contains(off.as_ref()))
        {
            check.refuse(
                off,
                "this standard is in standards, too: take it out of one of the lists",
            );
        }
    }
    for region in raw.regions.iter().flatten() {
        let in_use = &organization.regions;
        if regions::exists(region.as_ref())
            && !in_use.is_empty()
            && !in_use.contains(region.as_ref())
        {
            check.refuse(
                region,
                format!(
                    "{} is not among the regions of [organization]: add it there",
                    region.as_ref()
                ),
            );
        }
    }
    let controls_off = raw.controls_off.as_ref().map(|raw| controls(check, raw));
    let internet = raw.internet.as_ref().map(|raw| expected(check, raw));
    Some(Scope {
        line: check.line(row),
        target: target?,
        standards,
        standards_off,
        controls_off,
        regions,
        internet,
    })
}

fn controls(
    check: &mut Check,
    raw: &BTreeMap<Spanned<String>, Spanned<String>>,
) -> BTreeMap<String, String> {
    let mut controls = BTreeMap::new();
    for (control, reason) in raw {
        let id = check.read(Some(control), control_of);
        let reason = check.read(Some(reason), |text| {
            filled(text).map_err(|_| "a control that is off has a reason: write it here".to_owned())
        });
        controls.extend(id.zip(reason));
    }
    controls
}

fn expected(check: &mut Check, raw: &[Spanned<RawExpected>]) -> Vec<Expected> {
    let mut read = Vec::new();
    for row in raw {
        let raw = row.as_ref();
        let kind = check.read(Some(&raw.kind), inbound_kind_of);
        let mut ports = BTreeSet::new();
        for port in &raw.ports {
            match u16::try_from(*port.as_ref()) {
                Ok(number) if number > 0 => {
                    ports.insert(number);
                }
                _ => check.refuse(port, format!("{} is no port: 1 to 65535 is", port.as_ref())),
            }
        }
        read.extend(kind.map(|kind| Expected { kind, ports }));
    }
    read
}

fn accepted(check: &mut Check, row: &Spanned<RawAccepted>) -> Option<Accepted> {
    let (raw, what) = (row.as_ref(), "an accepted exposure");
    let account: Option<AccountId> =
        check.needed(row, what, "account", raw.account.as_ref(), account_of);
    let region = check.read(raw.region.as_ref(), region_of);
    let kind = check.read(raw.kind.as_ref(), kind_of);
    let resource = check.needed(row, what, "resource", raw.resource.as_ref(), resource_of);
    let reason = check.needed(row, what, "reason", raw.reason.as_ref(), filled);
    let until = check.until(row, what, raw.until.as_ref());
    Some(Accepted {
        line: check.line(row),
        account: account?,
        region,
        kind,
        resource: resource?,
        reason: reason?,
        until: until?,
    })
}

/// Each value of a list, read; a duplicate is a problem.
fn each(
    check: &mut Check,
    values: &[Spanned<String>],
    what: &str,
    read: impl Fn(&str) -> Result<String, String>,
) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for value in values {
        if let Some(text) = check.read(Some(value), &read)
            && !found.insert(text)
        {
            check.refuse(
                value,
                format!("this {what} is in the list twice: take one out"),
            );
        }
    }
    found
}

fn region_of(text: &str) -> Result<String, String> {
    if regions::exists(text) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "AWS has no Region {text:?}: write one as eu-west-1"
    ))
}

fn members_of(text: &str) -> Result<Members, String> {
    match text {
        "all" => Ok(Members::All),
        "new" => Ok(Members::New),
        "none" => Ok(Members::None),
        _ => Err(format!("{text:?}: members is all, new or none")),
    }
}

fn standard_of(text: &str) -> Result<String, String> {
    if STANDARDS.contains(&text) {
        return Ok(text.to_owned());
    }
    let known = STANDARDS.join(", ");
    Err(format!("{text:?} is no standard: write one of {known}"))
}

/// A control's id by its form. Which controls there are, Security Hub says.
fn control_of(text: &str) -> Result<String, String> {
    let fits = text.split_once('.').is_some_and(|(service, number)| {
        service.starts_with(|it: char| it.is_ascii_alphabetic())
            && service.bytes().all(|it| it.is_ascii_alphanumeric())
            && (1..=3).contains(&number.len())
            && number.bytes().all(|it| it.is_ascii_digit())
    });
    if fits {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{text:?} is no control: write its id, CloudTrail.5 say"
    ))
}

fn kind_of(text: &str) -> Result<Kind, String> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.word() == text);
    kind.ok_or_else(|| {
        let known: Vec<&str> = Kind::ALL.into_iter().map(Kind::word).collect();
        format!(
            "{text:?} is no kind of exposure: write one of {}",
            known.join(", ")
        )
    })
}

fn inbound_kind_of(text: &str) -> Result<Kind, String> {
    let kind = kind_of(text)?;
    if kind.is_inbound() {
        return Ok(kind);
    }
    Err(format!(
        "nobody can connect to a {text}: it needs no line here"
    ))
}

fn resource_of(text: &str) -> Result<String, String> {
    let fits = text.chars().any(|it| it != '*' && !it.is_whitespace());
    if fits {
        return Ok(text.to_owned());
    }
    Err("a pattern that everything matches accepts everything: write the resource, its address or its name".to_owned())
}

fn target_of(text: &str) -> Result<Target, String> {
    if let Ok(account) = text.parse() {
        return Ok(Target::Account(account));
    }
    let is_part = |part: &str, least: usize| {
        (least..=32).contains(&part.len())
            && part
                .bytes()
                .all(|it| it.is_ascii_digit() || it.is_ascii_lowercase())
    };
    if let ["ou", root, unit] = text.splitn(3, '-').collect::<Vec<_>>()[..]
        && is_part(root, 4)
        && is_part(unit, 8)
    {
        return Ok(Target::UnitId(text.to_owned()));
    }
    unit_path_of(text).map(Target::UnitPath).map_err(|_| {
        format!(
            "{text:?} is no target: write the path of a unit (Root/Workloads), its id (ou-ab12-34cdefgh) or the id of an account"
        )
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        account_directory::entry::{AccountEntry, OrganizationalUnit, OuPath},
        posture::{
            exposure::{Expectation, Opening},
            file::{Actual, Asked},
        },
    };

    const FILE: &str = r#"
[organization]
administrator = "security-tooling"
home_region = "eu-central-1"
regions = ["eu-central-1", "eu-west-1", "us-east-1"]
[services]
guardduty = { on = true, members = "all" }
macie = { on = false }
[[scope]]
target = "Root"
standards = ["aws-foundational-security-best-practices/v/1.0.0", "pci-dss/v/4.0.1"]
controls_off = { "CloudTrail.5" = "logs go to the archive account" }
internet = []
[[scope]]
target = "Root/Workloads/Prod"
internet = [{ kind = "load-balancer", ports = [80, 443] }, { kind = "function-url" }]
[[scope]]
target = "111122223333"
standards_off = ["pci-dss/v/4.0.1"]
[[accepted]]
account = "111122223333"
resource = "i-0a*"
reason = "the bastion, until the VPN is there"
until = 2026-12-31
"#;

    fn parse(text: &str) -> Result<PostureFile, String> {
        <PostureFile as Written>::parse(text).map_err(|faults| faults.join("\n"))
    }

    fn unit(id: &str, name: &str) -> OrganizationalUnit {
        OrganizationalUnit {
            id: id.into(),
            name: name.into(),
        }
    }

    fn path(names: &[&str]) -> OuPath {
        OuPath(
            names
                .iter()
                .map(|name| unit(&format!("ou-ab12-{name}"), name))
                .collect(),
        )
    }

    fn asked<'a>(
        account: &'a AccountId,
        path: &'a OuPath,
        kind: Kind,
        open: &'a [Opening],
    ) -> Asked<'a> {
        Asked {
            account,
            path,
            region: "eu-west-1",
            kind,
            resource: "i-0abc",
            address: "203.0.113.5",
            open,
        }
    }

    fn tcp(from: u16, to: u16) -> Opening {
        Opening {
            protocol: "tcp".into(),
            from,
            to,
            sources: vec!["0.0.0.0/0".into()],
        }
    }

    #[test]
    fn the_nearest_scope_wins_key_by_key() {
        let file = parse(FILE).unwrap();
        let (here, other): (AccountId, AccountId) = (
            "111122223333".parse().unwrap(),
            "444455556666".parse().unwrap(),
        );
        let prod = path(&["Workloads", "Prod"]);
        let workloads = path(&["Workloads"]);
        let of = |account| file.resolved(account, &prod);
        assert_eq!(of(&other).standards.len(), 2);
        assert_eq!(of(&here).standards.len(), 1);
        assert_eq!(of(&here).controls_off.len(), 1);
        let expectation = |account, path, kind, open: &[Opening]| {
            file.expectation(&asked(account, path, kind, open))
        };
        let expected = Expectation::Expected {
            scope: "Root/Workloads/Prod".into(),
        };
        let lb = Kind::LoadBalancer;
        assert_eq!(expectation(&other, &prod, lb, &[tcp(443, 443)]), expected);
        assert_eq!(
            expectation(&other, &prod, lb, &[tcp(443, 444)]),
            Expectation::Unexpected
        );
        assert_eq!(
            expectation(&other, &workloads, lb, &[tcp(443, 443)]),
            Expectation::Unexpected
        );
        assert_eq!(
            expectation(&other, &prod, Kind::FunctionUrl, &[tcp(443, 443)]),
            expected
        );
        let ping = Opening {
            protocol: "icmp".into(),
            ..tcp(0, 0)
        };
        assert_eq!(
            expectation(&other, &prod, lb, &[tcp(80, 80), ping]),
            expected
        );
        let all = Opening {
            protocol: "all".into(),
            ..tcp(0, u16::MAX)
        };
        assert_eq!(
            expectation(&other, &prod, lb, &[all]),
            Expectation::Unexpected
        );
        let bastion = expectation(&here, &prod, Kind::Instance, &[tcp(22, 22)]);
        assert!(
            matches!(bastion, Expectation::Accepted { .. }),
            "{bastion:?}"
        );
        assert_eq!(
            expectation(&other, &prod, Kind::Instance, &[tcp(22, 22)]),
            Expectation::Unexpected
        );
    }

    #[test]
    fn an_empty_file_expects_nothing() {
        assert_eq!(parse("").unwrap(), PostureFile::default());
        assert_eq!(PostureFile::shipped().unwrap(), PostureFile::default());
    }

    #[test]
    fn every_fault_has_its_line_and_what_to_do() {
        for (text, line, words) in [
            ("[organization]\nregions = [\"eu-west-9\"]", 2, "no Region"),
            (
                "[organization]\nregions = [\"eu-west-1\", \"eu-west-1\"]",
                2,
                "twice",
            ),
            (
                "[organization]\nregions = [\"eu-west-1\"]\nhome_region = \"us-east-1\"",
                3,
                "not among",
            ),
            ("[services]\nguarduty = { on = false }", 2, "no service"),
            ("[services]\nmacie = { on = true }", 2, "administrator"),
            (
                "[services]\nmacie = { on = false, members = \"some\" }",
                2,
                "all, new or none",
            ),
            ("[[scope]]\ninternet = []", 1, "target"),
            (
                "[[scope]]\ntarget = \"Workloads\"\ninternet = []",
                2,
                "no target",
            ),
            ("[[scope]]\ntarget = \"Root\"", 1, "says nothing"),
            (
                "[[scope]]\ntarget = \"Root\"\nstandards = [\"pci\"]",
                3,
                "no standard",
            ),
            (
                "[[scope]]\ntarget = \"Root\"\nstandards = [\"pci-dss/v/4.0.1\"]\nstandards_off = [\"pci-dss/v/4.0.1\"]",
                4,
                "one of the lists",
            ),
            (
                "[[scope]]\ntarget = \"Root\"\ncontrols_off = { CloudTrail = \"x\" }",
                3,
                "no control",
            ),
            (
                "[[scope]]\ntarget = \"Root\"\ncontrols_off = { \"CloudTrail.5\" = \" \" }",
                3,
                "reason",
            ),
            (
                "[[scope]]\ntarget = \"Root\"\ninternet = [{ kind = \"door\" }]",
                3,
                "no kind",
            ),
            (
                "[[scope]]\ntarget = \"Root\"\ninternet = [{ kind = \"nat-gateway\" }]",
                3,
                "needs no line",
            ),
            (
                "[[scope]]\ntarget = \"Root\"\ninternet = [{ kind = \"database\", ports = [0] }]",
                3,
                "no port",
            ),
            (
                "[[scope]]\ntarget = \"Root\"\ninternet = []\n[[scope]]\ntarget = \"Root/\"\ninternet = []",
                4,
                "same target",
            ),
            (
                "[organization]\nregions = [\"eu-west-1\"]\n[[scope]]\ntarget = \"Root\"\nstandards = []\nregions = [\"us-east-1\"]",
                6,
                "add it there",
            ),
            ("[[accepted]]\naccount = \"1\"", 2, "twelve digits"),
            (
                "[[accepted]]\naccount = \"111122223333\"\nresource = \"**\"\nreason = \"x\"\nuntil = 2026-01-01",
                3,
                "everything",
            ),
            (
                "[[accepted]]\naccount = \"111122223333\"\nresource = \"i-1\"\nreason = \"x\"",
                1,
                "last day",
            ),
            ("[[scopes]]\n", 1, "unknown field"),
            ("[[scope]\n", 1, ""),
        ] {
            let fault = parse(text).unwrap_err();
            assert!(fault.contains(&format!("line {line}: ")), "{text}\n{fault}");
            assert!(fault.contains(words), "{text}\n{fault}");
        }
        let long = format!("# {}", "x".repeat(MOST_BYTES));
        assert!(parse(&long).unwrap_err().contains("a million bytes"));
    }

    fn entry(account: &str, name: &str, units: Vec<OrganizationalUnit>) -> AccountEntry {
        let mut entry: AccountEntry = serde_json::from_value(serde_json::json!({
            "AccountId": account, "Name": name, "OuPath": [], "RefreshedAt": 0,
        }))
        .unwrap();
        entry.ou_path = OuPath(units);
        entry
    }

    fn faults(file: &PostureFile, entries: &[AccountEntry]) -> Vec<String> {
        file.faults_in(Actual {
            entries,
            here: "eu-west-1",
            controls: None,
        })
    }

    #[test]
    fn units_and_accounts_have_to_exist_once() {
        let file = parse(FILE).unwrap();
        let workloads = || unit("ou-ab12-aaaaaaaa", "Workloads");
        let prod = |id| unit(id, "Prod");
        let good = vec![
            entry(
                "111122223333",
                "payments",
                vec![workloads(), prod("ou-ab12-bbbbbbbb")],
            ),
            entry("444455556666", "security-tooling", vec![]),
        ];
        assert_eq!(faults(&file, &good), [""; 0]);
        let twice = entry(
            "777788889999",
            "other",
            vec![workloads(), prod("ou-ab12-cccccccc")],
        );
        let found = faults(&file, &[good.clone(), vec![twice]].concat()).join("\n");
        assert!(found.contains("line 14: several units"), "{found}");
        assert!(
            found.contains("ou-ab12-bbbbbbbb or ou-ab12-cccccccc"),
            "{found}"
        );
        let found = faults(&file, &good[1..]).join("\n");
        for words in [
            "line 14: no account is below",
            "line 17: account 111122223333",
            "line 20: account",
        ] {
            assert!(found.contains(words), "{words}: {found}");
        }
        let found = faults(&file, &good[..1]).join("\n");
        assert!(found.contains("line 3: no account is named"), "{found}");

        let by_id = FILE.replace(
            "[[accepted]]",
            "[[scope]]\ntarget = \"ou-ab12-bbbbbbbb\"\ninternet = []\n[[accepted]]",
        );
        let found = faults(&parse(&by_id).unwrap(), &good);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("line 20: the scope in line 14 is about the same unit"),
            "{found:?}"
        );
    }

    #[test]
    fn regions_of_another_partition_and_controls_that_do_not_exist_are_refused() {
        let file = parse(
            "[organization]\nregions = [\"eu-west-1\", \"cn-north-1\"]\n[[scope]]\ntarget = \"Root\"\n\
             controls_off = { \"CloudTrail.5\" = \"x\", \"CloudTrail.999\" = \"y\" }",
        )
        .unwrap();
        let controls = BTreeSet::from(["CloudTrail.5".to_owned()]);
        let actual = Actual {
            entries: &[],
            here: "eu-west-1",
            controls: Some(&controls),
        };
        let found = file.faults_in(actual);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("line 2: cn-north-1 is in another partition"));
        assert!(found[1].starts_with("line 5: Security Hub has no control CloudTrail.999"));
        // Security Hub could not be asked.
        let unasked = Actual {
            controls: None,
            here: "cn-north-1",
            ..actual
        };
        let found = file.faults_in(unasked);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("line 2: eu-west-1"));
    }

    #[test]
    fn a_nearer_scope_has_on_what_a_wider_one_has_off() {
        let scope = |target: &str, key: &str| {
            format!("[[scope]]\ntarget = {target:?}\n{key} = [\"pci-dss/v/4.0.1\"]\n")
        };
        let account = "444455556666".parse().unwrap();
        let on = |text: &str| {
            let resolved = parse(text).unwrap().resolved(&account, &path(&["Prod"]));
            resolved.standards.len()
        };
        let (root, prod) = ("Root", "Root/Prod");
        assert_eq!(
            on(&(scope(root, "standards_off") + &scope(prod, "standards"))),
            1
        );
        assert_eq!(
            on(&(scope(root, "standards") + &scope(prod, "standards_off"))),
            0
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn a_target_of_any_words_is_read_or_refused(target in "[A-Za-z0-9/ -]{0,40}") {
            let text = format!("[[scope]]\ntarget = {target:?}\ninternet = []");
            if let Err(fault) = parse(&text) {
                prop_assert!(fault.starts_with("line "), "{fault}");
            }
        }
    }
}
