//! Every operation that the settings call, as its API has it. `infra/local/test_posture_calls.py` holds them equal to AWS's own
//! models.

use crate::service::{
    ACCESS_ANALYZER, DETECTIVE, DEVOPS_GURU, GUARDDUTY, INSPECTOR, MACIE, ORGANIZATIONS,
    SECURITY_HUB, Service,
};

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// It reads.
    Read,
    /// It changes something.
    Change,
}

/// An operation.
#[derive(Debug)]
pub struct Operation {
    /// Its service.
    pub service: &'static Service,
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub does: Does,
    /// The HTTP method.
    pub method: &'static str,
    /// The path; a parameter in braces is part of it.
    pub path: &'static str,
    /// Calls a second in an account and Region, where that is few.
    pub per_second: Option<f64>,
    /// The IAM action.
    pub action: &'static str,
}

const fn operation(
    service: &'static Service,
    does: Does,
    action: &'static str,
    method: &'static str,
    path: &'static str,
) -> Operation {
    Operation {
        service,
        name: after_colon(action),
        does,
        method,
        path,
        per_second: None,
        action,
    }
}

/// The name in an IAM action.
const fn after_colon(action: &'static str) -> &'static str {
    let bytes = action.as_bytes();
    let mut place = 0;
    while bytes[place] != b':' {
        place += 1;
    }
    action.split_at(place + 1).1
}

impl Operation {
    /// The same, so often a second at most.
    const fn paced(mut self, per_second: f64) -> Self {
        self.per_second = Some(per_second);
        self
    }
}

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $service:ident $does:ident $action:literal $method:ident $path:literal $(at $rate:literal)?;)*) => {
        $(
            $(#[$doc])*
            pub static $name: Operation =
                operation(&$service, Does::$does, $action, stringify!($method), $path)$(.paced($rate))?;
        )*
        /// All of them.
        pub static OPERATIONS: &[&Operation] = &[$(&$name),*];
    };
}

operations! {
    /// The organization's management account.
    DESCRIBE_ORGANIZATION = ORGANIZATIONS Read "organizations:DescribeOrganization" POST "/";
    /// Addresses of accounts, and when they have joined. Eight a second in the organization, which other functions share.
    LIST_ACCOUNTS = ORGANIZATIONS Read "organizations:ListAccounts" POST "/" at 3.0;
    /// Services with trusted access.
    LIST_SERVICE_ACCESS = ORGANIZATIONS Read "organizations:ListAWSServiceAccessForOrganization" POST "/";
    /// Trusted access on. One a second in the organization, for two invocations at once.
    ENABLE_SERVICE_ACCESS = ORGANIZATIONS Change "organizations:EnableAWSServiceAccess" POST "/" at 0.45;
    /// Trusted access off.
    DISABLE_SERVICE_ACCESS = ORGANIZATIONS Change "organizations:DisableAWSServiceAccess" POST "/" at 0.45;
    /// Delegated administrators of a service.
    LIST_DELEGATED_ADMINISTRATORS = ORGANIZATIONS Read "organizations:ListDelegatedAdministrators" POST "/";
    /// A delegated administrator.
    REGISTER_DELEGATED_ADMINISTRATOR = ORGANIZATIONS Change "organizations:RegisterDelegatedAdministrator" POST "/" at 0.45;
    /// No delegated administrator any more.
    DEREGISTER_DELEGATED_ADMINISTRATOR = ORGANIZATIONS Change "organizations:DeregisterDelegatedAdministrator" POST "/" at 0.45;
    /// The root.
    LIST_ROOTS = ORGANIZATIONS Read "organizations:ListRoots" POST "/";

    /// GuardDuty's administrator.
    GUARDDUTY_LIST_ADMINISTRATORS = GUARDDUTY Read "guardduty:ListOrganizationAdminAccounts" GET "/admin";
    /// GuardDuty's administrator, set.
    GUARDDUTY_ENABLE_ADMINISTRATOR = GUARDDUTY Change "guardduty:EnableOrganizationAdminAccount" POST "/admin/enable";
    /// GuardDuty's administrator, ended.
    GUARDDUTY_DISABLE_ADMINISTRATOR = GUARDDUTY Change "guardduty:DisableOrganizationAdminAccount" POST "/admin/disable";
    /// The detector.
    GUARDDUTY_LIST_DETECTORS = GUARDDUTY Read "guardduty:ListDetectors" GET "/detector";
    /// A detector.
    GUARDDUTY_CREATE_DETECTOR = GUARDDUTY Change "guardduty:CreateDetector" POST "/detector";
    /// What GuardDuty enables by itself.
    GUARDDUTY_DESCRIBE_CONFIGURATION = GUARDDUTY Read "guardduty:DescribeOrganizationConfiguration" GET "/detector/{detectorId}/admin";
    /// What GuardDuty is to enable by itself.
    GUARDDUTY_UPDATE_CONFIGURATION = GUARDDUTY Change "guardduty:UpdateOrganizationConfiguration" POST "/detector/{detectorId}/admin";
    /// GuardDuty's members.
    GUARDDUTY_LIST_MEMBERS = GUARDDUTY Read "guardduty:ListMembers" GET "/detector/{detectorId}/member";

    /// Detective's administrator. Its action has another name than the operation ("Actions, resources, and condition keys for
    /// Amazon Detective").
    DETECTIVE_LIST_ADMINISTRATORS = DETECTIVE Read "detective:ListOrganizationAdminAccount" POST "/orgs/adminAccountslist";
    /// Detective's administrator, set.
    DETECTIVE_ENABLE_ADMINISTRATOR = DETECTIVE Change "detective:EnableOrganizationAdminAccount" POST "/orgs/enableAdminAccount";
    /// Detective's administrator, ended: its graph is deleted.
    DETECTIVE_DISABLE_ADMINISTRATOR = DETECTIVE Change "detective:DisableOrganizationAdminAccount" POST "/orgs/disableAdminAccount";
    /// The graph.
    DETECTIVE_LIST_GRAPHS = DETECTIVE Read "detective:ListGraphs" POST "/graphs/list";
    /// Whether Detective takes new accounts in.
    DETECTIVE_DESCRIBE_CONFIGURATION = DETECTIVE Read "detective:DescribeOrganizationConfiguration" POST "/orgs/describeOrganizationConfiguration";
    /// Whether Detective is to take new accounts in.
    DETECTIVE_UPDATE_CONFIGURATION = DETECTIVE Change "detective:UpdateOrganizationConfiguration" POST "/orgs/updateOrganizationConfiguration";
    /// The graph's members.
    DETECTIVE_LIST_MEMBERS = DETECTIVE Read "detective:ListMembers" POST "/graph/members/list";
    /// Members, at most 50.
    DETECTIVE_CREATE_MEMBERS = DETECTIVE Change "detective:CreateMembers" POST "/graph/members";
    /// A member that was accepted, but whose data does not come in.
    DETECTIVE_START_MONITORING = DETECTIVE Change "detective:StartMonitoringMember" POST "/graph/member/monitoringstate";

    /// Inspector's administrator.
    INSPECTOR_LIST_ADMINISTRATORS = INSPECTOR Read "inspector2:ListDelegatedAdminAccounts" POST "/delegatedadminaccounts/list";
    /// Inspector's administrator, set.
    INSPECTOR_ENABLE_ADMINISTRATOR = INSPECTOR Change "inspector2:EnableDelegatedAdminAccount" POST "/delegatedadminaccounts/enable";
    /// Inspector's administrator, ended.
    INSPECTOR_DISABLE_ADMINISTRATOR = INSPECTOR Change "inspector2:DisableDelegatedAdminAccount" POST "/delegatedadminaccounts/disable";
    /// What Inspector enables by itself.
    INSPECTOR_DESCRIBE_CONFIGURATION = INSPECTOR Read "inspector2:DescribeOrganizationConfiguration" POST "/organizationconfiguration/describe";
    /// What Inspector is to enable by itself.
    INSPECTOR_UPDATE_CONFIGURATION = INSPECTOR Change "inspector2:UpdateOrganizationConfiguration" POST "/organizationconfiguration/update";
    /// The administrator's members.
    INSPECTOR_LIST_MEMBERS = INSPECTOR Read "inspector2:ListMembers" POST "/members/list";
    /// A member.
    INSPECTOR_ASSOCIATE_MEMBER = INSPECTOR Change "inspector2:AssociateMember" POST "/members/associate";
    /// What is on in accounts, at most 100.
    INSPECTOR_ACCOUNT_STATUS = INSPECTOR Read "inspector2:BatchGetAccountStatus" POST "/status/batch/get";
    /// Scans on in accounts, at most 100.
    INSPECTOR_ENABLE = INSPECTOR Change "inspector2:Enable" POST "/enable";

    /// Macie's administrator.
    MACIE_LIST_ADMINISTRATORS = MACIE Read "macie2:ListOrganizationAdminAccounts" GET "/admin";
    /// Macie's administrator, set.
    MACIE_ENABLE_ADMINISTRATOR = MACIE Change "macie2:EnableOrganizationAdminAccount" POST "/admin";
    /// Macie's administrator, ended.
    MACIE_DISABLE_ADMINISTRATOR = MACIE Change "macie2:DisableOrganizationAdminAccount" DELETE "/admin";
    /// Whether Macie is on.
    MACIE_GET_SESSION = MACIE Read "macie2:GetMacieSession" GET "/macie";
    /// Macie on.
    MACIE_ENABLE = MACIE Change "macie2:EnableMacie" POST "/macie";
    /// Whether Macie takes new accounts in.
    MACIE_DESCRIBE_CONFIGURATION = MACIE Read "macie2:DescribeOrganizationConfiguration" GET "/admin/configuration";
    /// Whether Macie is to take new accounts in.
    MACIE_UPDATE_CONFIGURATION = MACIE Change "macie2:UpdateOrganizationConfiguration" PATCH "/admin/configuration";
    /// The administrator's members.
    MACIE_LIST_MEMBERS = MACIE Read "macie2:ListMembers" GET "/members";
    /// A member.
    MACIE_CREATE_MEMBER = MACIE Change "macie2:CreateMember" POST "/members";

    /// Analyzers.
    ACCESS_ANALYZER_LIST = ACCESS_ANALYZER Read "access-analyzer:ListAnalyzers" GET "/analyzer";
    /// An analyzer.
    ACCESS_ANALYZER_CREATE = ACCESS_ANALYZER Change "access-analyzer:CreateAnalyzer" PUT "/analyzer";
    /// No analyzer any more.
    ACCESS_ANALYZER_DELETE = ACCESS_ANALYZER Change "access-analyzer:DeleteAnalyzer" DELETE "/analyzer/{analyzerName}";

    /// What DevOps Guru covers.
    DEVOPS_GURU_GET_COVERAGE = DEVOPS_GURU Read "devops-guru:GetResourceCollection" GET "/resource-collections/{ResourceCollectionType}";
    /// What DevOps Guru is to cover.
    DEVOPS_GURU_UPDATE_COVERAGE = DEVOPS_GURU Change "devops-guru:UpdateResourceCollection" PUT "/resource-collections";

    /// Security Hub's administrator.
    SECURITY_HUB_LIST_ADMINISTRATORS = SECURITY_HUB Read "securityhub:ListOrganizationAdminAccounts" GET "/organization/admin";
    /// Security Hub's administrator, set.
    SECURITY_HUB_ENABLE_ADMINISTRATOR = SECURITY_HUB Change "securityhub:EnableOrganizationAdminAccount" POST "/organization/admin/enable";
    /// Security Hub's administrator, ended.
    SECURITY_HUB_DISABLE_ADMINISTRATOR = SECURITY_HUB Change "securityhub:DisableOrganizationAdminAccount" POST "/organization/admin/disable";
    /// The finding aggregator.
    SECURITY_HUB_LIST_AGGREGATORS = SECURITY_HUB Read "securityhub:ListFindingAggregators" GET "/findingAggregator/list";
    /// Its Regions.
    SECURITY_HUB_GET_AGGREGATOR = SECURITY_HUB Read "securityhub:GetFindingAggregator" GET "/findingAggregator/get/{FindingAggregatorArn+}";
    /// A finding aggregator.
    SECURITY_HUB_CREATE_AGGREGATOR = SECURITY_HUB Change "securityhub:CreateFindingAggregator" POST "/findingAggregator/create";
    /// Other Regions of the finding aggregator.
    SECURITY_HUB_UPDATE_AGGREGATOR = SECURITY_HUB Change "securityhub:UpdateFindingAggregator" PATCH "/findingAggregator/update";
    /// No finding aggregator any more.
    SECURITY_HUB_DELETE_AGGREGATOR = SECURITY_HUB Change "securityhub:DeleteFindingAggregator" DELETE "/findingAggregator/delete/{FindingAggregatorArn+}";
    /// Whether the organization is configured centrally.
    SECURITY_HUB_DESCRIBE_CONFIGURATION = SECURITY_HUB Read "securityhub:DescribeOrganizationConfiguration" GET "/organization/configuration";
    /// Whether the organization is to be configured centrally.
    SECURITY_HUB_UPDATE_CONFIGURATION = SECURITY_HUB Change "securityhub:UpdateOrganizationConfiguration" POST "/organization/configuration";
    /// The names of configuration policies.
    SECURITY_HUB_LIST_POLICIES = SECURITY_HUB Read "securityhub:ListConfigurationPolicies" GET "/configurationPolicy/list";
    /// A configuration policy.
    SECURITY_HUB_GET_POLICY = SECURITY_HUB Read "securityhub:GetConfigurationPolicy" GET "/configurationPolicy/get/{Identifier}";
    /// A configuration policy, new.
    SECURITY_HUB_CREATE_POLICY = SECURITY_HUB Change "securityhub:CreateConfigurationPolicy" POST "/configurationPolicy/create";
    /// A configuration policy, changed.
    SECURITY_HUB_UPDATE_POLICY = SECURITY_HUB Change "securityhub:UpdateConfigurationPolicy" PATCH "/configurationPolicy/{Identifier}";
    /// A configuration policy, deleted.
    SECURITY_HUB_DELETE_POLICY = SECURITY_HUB Change "securityhub:DeleteConfigurationPolicy" DELETE "/configurationPolicy/{Identifier}";
    /// Which targets have which policy.
    SECURITY_HUB_LIST_ASSOCIATIONS = SECURITY_HUB Read "securityhub:ListConfigurationPolicyAssociations" POST "/configurationPolicyAssociation/list";
    /// A policy for a target.
    SECURITY_HUB_ASSOCIATE = SECURITY_HUB Change "securityhub:StartConfigurationPolicyAssociation" POST "/configurationPolicyAssociation/associate";
    /// No policy of its own for a target: it has that of its unit.
    SECURITY_HUB_DISASSOCIATE = SECURITY_HUB Change "securityhub:StartConfigurationPolicyDisassociation" POST "/configurationPolicyAssociation/disassociate";
    /// The standards that are on.
    SECURITY_HUB_GET_STANDARDS = SECURITY_HUB Read "securityhub:GetEnabledStandards" POST "/standards/get";
    /// Standards on. One a second in each account and Region.
    SECURITY_HUB_ENABLE_STANDARDS = SECURITY_HUB Change "securityhub:BatchEnableStandards" POST "/standards/register" at 0.9;
    /// Standards off.
    SECURITY_HUB_DISABLE_STANDARDS = SECURITY_HUB Change "securityhub:BatchDisableStandards" POST "/standards/deregister" at 0.9;
    /// The controls of a standard.
    SECURITY_HUB_LIST_CONTROLS = SECURITY_HUB Read "securityhub:ListSecurityControlDefinitions" GET "/securityControls/definitions";
    /// Whether controls are on in standards.
    SECURITY_HUB_GET_CONTROLS = SECURITY_HUB Read "securityhub:BatchGetStandardsControlAssociations" POST "/associations/batchGet";
    /// Controls on or off in standards.
    SECURITY_HUB_UPDATE_CONTROLS = SECURITY_HUB Change "securityhub:BatchUpdateStandardsControlAssociations" PATCH "/associations";
}

/// The operation of a recorded call.
#[must_use]
pub fn named(service: &str, name: &str) -> Option<&'static Operation> {
    let mut all = OPERATIONS.iter();
    all.find(|operation| operation.service.name == service && operation.name == name)
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_found_by_its_name() {
        for operation in OPERATIONS {
            let found = named(operation.service.name, operation.name);
            assert!(found.is_some_and(|found| std::ptr::eq(found, *operation)));
            let reads = ["Get", "List", "Describe", "BatchGet"]
                .iter()
                .any(|beginning| operation.name.starts_with(beginning));
            assert_eq!(operation.does == Does::Read, reads, "{}", operation.name);
        }
        assert!(named("guardduty", "DeleteDetector").is_none());
    }
}
