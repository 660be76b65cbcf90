//! IAM.7, IAM.11 to IAM.17: the password policy. IAM.18: a role for incidents with AWS Support.

use aws_sdk_iam::types::PasswordPolicy;
use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass, Service},
    remediation::{control::control, order::Order, target::Target},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    action::{Action, Plan},
    action_row::Row,
    member::Member,
    member_client, parameters,
    refusal::{CallFailed, failed},
    row,
};

/// The actions of this file.
pub(super) const ROWS: &[Row] = &[
    row!("iam-password-policy", Passwords,
        reads: ["iam:GetAccountPasswordPolicy" on "*"],
        writes: ["iam:UpdateAccountPasswordPolicy" on "*"],
        undo: ["iam:UpdateAccountPasswordPolicy" on "*", "iam:DeleteAccountPasswordPolicy" on "*"]),
    row!("iam-support-role", SupportRole,
    reads: ["iam:ListEntitiesForPolicy" on "arn:{partition}:iam::aws:policy/AWSSupportAccess"],
    writes: [
        "iam:CreateRole" on "arn:{partition}:iam::{account}:role/OrgkeeperSupport",
        "iam:AttachRolePolicy" on "arn:{partition}:iam::{account}:role/OrgkeeperSupport"
            if "iam:PolicyARN" is "arn:{partition}:iam::aws:policy/AWSSupportAccess",
    ],
    undo: [
        "iam:DetachRolePolicy" on "arn:{partition}:iam::{account}:role/OrgkeeperSupport"
            if "iam:PolicyARN" is "arn:{partition}:iam::aws:policy/AWSSupportAccess",
    ]),
];

/// IAM.7, IAM.11 to IAM.17.
///
/// The update replaces the whole policy, so all of it is read and sent.
struct Passwords;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "the policy, as AWS has it")]
struct PasswordState {
    minimum_password_length: i32,
    require_uppercase_characters: bool,
    require_lowercase_characters: bool,
    require_symbols: bool,
    require_numbers: bool,
    allow_users_to_change_password: bool,
    max_password_age: Option<i32>,
    password_reuse_prevention: Option<i32>,
    hard_expiry: Option<bool>,
}

/// What applies to passwords while an account has no policy of its own.
const WITHOUT_POLICY: PasswordState = PasswordState {
    minimum_password_length: 8,
    require_uppercase_characters: false,
    require_lowercase_characters: false,
    require_symbols: false,
    require_numbers: false,
    // Without it, nobody could replace a password that expires.
    allow_users_to_change_password: true,
    max_password_age: None,
    password_reuse_prevention: None,
    hard_expiry: None,
};

/// The least that a control asks for.
#[derive(Debug, Default, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "the policy, as AWS has it")]
struct Least {
    length: i32,
    uppercase: bool,
    lowercase: bool,
    symbols: bool,
    numbers: bool,
    age: Option<i32>,
    reuse: Option<i32>,
}

/// What the control of an order asks for.
fn least(order: &Order) -> Option<Least> {
    let nothing = Least::default();
    let flag = |name| parameters::flag(order, name).unwrap_or(true);
    let number = |name| parameters::number(order, name);
    Some(match control(&order.control)?.id {
        "IAM.7" => Least {
            length: number("MinimumPasswordLength").unwrap_or(8),
            uppercase: flag("RequireUppercaseCharacters"),
            lowercase: flag("RequireLowercaseCharacters"),
            symbols: flag("RequireSymbols"),
            numbers: flag("RequireNumbers"),
            age: number("MaxPasswordAge"),
            reuse: number("PasswordReusePrevention"),
        },
        "IAM.11" => Least {
            uppercase: true,
            ..nothing
        },
        "IAM.12" => Least {
            lowercase: true,
            ..nothing
        },
        "IAM.13" => Least {
            symbols: true,
            ..nothing
        },
        "IAM.14" => Least {
            numbers: true,
            ..nothing
        },
        "IAM.15" => Least {
            length: number("MinimumPasswordLength").unwrap_or(14),
            ..nothing
        },
        "IAM.16" => Least {
            reuse: Some(24),
            ..nothing
        },
        "IAM.17" => Least {
            age: Some(number("MaxPasswordAge").unwrap_or(90)),
            ..nothing
        },
        _ => return None,
    })
}

impl PasswordState {
    /// The policy where it is stricter, else what is asked for.
    fn raised(&self, least: &Least) -> Self {
        let age = self.max_password_age.filter(|days| *days > 0);
        Self {
            minimum_password_length: self.minimum_password_length.max(least.length),
            require_uppercase_characters: self.require_uppercase_characters || least.uppercase,
            require_lowercase_characters: self.require_lowercase_characters || least.lowercase,
            require_symbols: self.require_symbols || least.symbols,
            require_numbers: self.require_numbers || least.numbers,
            // No age is laxer than any, so not the lesser of the two options.
            max_password_age: age.into_iter().chain(least.age).min(),
            password_reuse_prevention: self.password_reuse_prevention.max(least.reuse),
            ..self.clone()
        }
    }
}

impl From<PasswordPolicy> for PasswordState {
    fn from(policy: PasswordPolicy) -> Self {
        Self {
            // AWS's own default where a policy has no length.
            minimum_password_length: policy.minimum_password_length.unwrap_or(6),
            require_uppercase_characters: policy.require_uppercase_characters,
            require_lowercase_characters: policy.require_lowercase_characters,
            require_symbols: policy.require_symbols,
            require_numbers: policy.require_numbers,
            allow_users_to_change_password: policy.allow_users_to_change_password,
            max_password_age: policy.max_password_age.filter(|days| *days > 0),
            password_reuse_prevention: policy.password_reuse_prevention.filter(|count| *count > 0),
            hard_expiry: policy.hard_expiry.filter(|hard| *hard),
        }
    }
}

impl Action for Passwords {
    /// Nothing if the account has no policy of its own.
    type State = Option<PasswordState>;

    async fn read(
        &self,
        member: &Member,
        _order: &Order,
    ) -> Result<Option<PasswordState>, CallFailed> {
        let answer = member_client!(aws_sdk_iam, member)
            .get_account_password_policy()
            .send()
            .await
            .map_err(failed(Service::Iam, "GetAccountPasswordPolicy"));
        match answer {
            Ok(answer) => Ok(answer.password_policy.map(PasswordState::from)),
            Err(error) if error.class() == AwsErrorClass::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn plan(&self, state: &Option<PasswordState>, order: &Order) -> Plan<Option<PasswordState>> {
        let Some(least) = least(order) else {
            return Plan::NotApplicable("the control is none of passwords".to_owned());
        };
        let raised = state.as_ref().unwrap_or(&WITHOUT_POLICY).raised(&least);
        if state.as_ref() == Some(&raised) {
            Plan::Compliant
        } else {
            Plan::Change(Some(raised))
        }
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &Option<PasswordState>,
        after: &Option<PasswordState>,
    ) -> Result<(), CallFailed> {
        let client = member_client!(aws_sdk_iam, member);
        let Some(after) = after else {
            client
                .delete_account_password_policy()
                .send()
                .await
                .map_err(failed(Service::Iam, "DeleteAccountPasswordPolicy"))?;
            return Ok(());
        };
        client
            .update_account_password_policy()
            .minimum_password_length(after.minimum_password_length)
            .require_uppercase_characters(after.require_uppercase_characters)
            .require_lowercase_characters(after.require_lowercase_characters)
            .require_symbols(after.require_symbols)
            .require_numbers(after.require_numbers)
            .allow_users_to_change_password(after.allow_users_to_change_password)
            .set_max_password_age(after.max_password_age)
            .set_password_reuse_prevention(after.password_reuse_prevention)
            .set_hard_expiry(after.hard_expiry)
            .send()
            .await
            .map_err(failed(Service::Iam, "UpdateAccountPasswordPolicy"))?;
        Ok(())
    }
}

/// What a call came to that removes something: it is done if it is gone already.
pub(super) fn gone<T>(removed: Result<T, AwsCallError>) -> Result<(), AwsCallError> {
    match removed {
        Err(error) if error.class() != AwsErrorClass::NotFound => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// IAM.18.
struct SupportRole;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SupportState {
    /// The roles, users and groups that have the policy `AWSSupportAccess`.
    roles: Vec<String>,
    users: Vec<String>,
    groups: Vec<String>,
}

const SUPPORT_ROLE: &str = "OrgkeeperSupport";

fn support_policy(target: &Target) -> String {
    format!(
        "arn:{}:iam::aws:policy/AWSSupportAccess",
        target.partition()
    )
}

impl Action for SupportRole {
    type State = SupportState;

    async fn read(&self, member: &Member, _order: &Order) -> Result<SupportState, CallFailed> {
        let mut state = SupportState {
            roles: Vec::new(),
            users: Vec::new(),
            groups: Vec::new(),
        };
        let mut pages = member_client!(aws_sdk_iam, member)
            .list_entities_for_policy()
            .policy_arn(support_policy(&member.target))
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(failed(Service::Iam, "ListEntitiesForPolicy"))?;
            let roles = page.policy_roles.unwrap_or_default();
            let users = page.policy_users.unwrap_or_default();
            let groups = page.policy_groups.unwrap_or_default();
            state
                .roles
                .extend(roles.into_iter().filter_map(|it| it.role_name));
            state
                .users
                .extend(users.into_iter().filter_map(|it| it.user_name));
            state
                .groups
                .extend(groups.into_iter().filter_map(|it| it.group_name));
        }
        Ok(state)
    }

    fn plan(&self, state: &SupportState, _order: &Order) -> Plan<SupportState> {
        let attached = [&state.roles, &state.users, &state.groups];
        if attached.iter().any(|names| !names.is_empty()) {
            return Plan::Compliant;
        }
        Plan::Change(SupportState {
            roles: vec![SUPPORT_ROLE.to_owned()],
            ..state.clone()
        })
    }

    async fn apply(
        &self,
        member: &Member,
        _order: &Order,
        _before: &SupportState,
        after: &SupportState,
    ) -> Result<(), CallFailed> {
        let target = &member.target;
        let client = member_client!(aws_sdk_iam, member);
        if !after.roles.iter().any(|role| role == SUPPORT_ROLE) {
            let detached = client
                .detach_role_policy()
                .role_name(SUPPORT_ROLE)
                .policy_arn(support_policy(target))
                .send()
                .await
                .map_err(failed(Service::Iam, "DetachRolePolicy"));
            return Ok(gone(detached)?);
        }
        let root = format!("arn:{}:iam::{}:root", target.partition(), target.account);
        let trust = json!({
            "Version": "2012-10-17",
            "Statement": [
                { "Effect": "Allow", "Principal": { "AWS": root }, "Action": "sts:AssumeRole" },
            ],
        });
        let created = client
            .create_role()
            .role_name(SUPPORT_ROLE)
            .description("Manages incidents with AWS Support")
            .assume_role_policy_document(trust.to_string())
            .send()
            .await
            .map_err(failed(Service::Iam, "CreateRole"));
        match created {
            Err(error) if !error.has_code("EntityAlreadyExists") => return Err(error.into()),
            Ok(_) | Err(_) => {}
        }
        client
            .attach_role_policy()
            .role_name(SUPPORT_ROLE)
            .policy_arn(support_policy(target))
            .send()
            .await
            .map_err(failed(Service::Iam, "AttachRolePolicy"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::tests::account_order;

    fn planned(
        control: &str,
        parameters: &[(&str, &str)],
        state: Option<&PasswordState>,
    ) -> Plan<Option<PasswordState>> {
        Passwords.plan(&state.cloned(), &account_order(control, parameters))
    }

    fn changed(plan: Plan<Option<PasswordState>>) -> PasswordState {
        match plan {
            Plan::Change(Some(state)) => state,
            other => panic!("{other:?}"),
        }
    }

    const LAX: PasswordState = PasswordState {
        minimum_password_length: 6,
        allow_users_to_change_password: false,
        ..WITHOUT_POLICY
    };
    const STRICT: PasswordState = PasswordState {
        minimum_password_length: 20,
        require_uppercase_characters: true,
        require_lowercase_characters: true,
        require_symbols: true,
        require_numbers: true,
        allow_users_to_change_password: true,
        max_password_age: Some(30),
        password_reuse_prevention: Some(24),
        hard_expiry: Some(true),
    };
    const CONTROLS: [&str; 8] = [
        "IAM.7", "IAM.11", "IAM.12", "IAM.13", "IAM.14", "IAM.15", "IAM.16", "IAM.17",
    ];

    #[test]
    fn a_control_raises_only_what_it_asks_for() {
        for (control, wanted) in [
            (
                "IAM.7",
                PasswordState {
                    minimum_password_length: 8,
                    require_uppercase_characters: true,
                    require_lowercase_characters: true,
                    require_symbols: true,
                    require_numbers: true,
                    ..LAX
                },
            ),
            (
                "IAM.11",
                PasswordState {
                    require_uppercase_characters: true,
                    ..LAX
                },
            ),
            (
                "iam.12",
                PasswordState {
                    require_lowercase_characters: true,
                    ..LAX
                },
            ),
            (
                "IAM.13",
                PasswordState {
                    require_symbols: true,
                    ..LAX
                },
            ),
            (
                "IAM.14",
                PasswordState {
                    require_numbers: true,
                    ..LAX
                },
            ),
            (
                "IAM.15",
                PasswordState {
                    minimum_password_length: 14,
                    ..LAX
                },
            ),
            (
                "IAM.16",
                PasswordState {
                    password_reuse_prevention: Some(24),
                    ..LAX
                },
            ),
            (
                "IAM.17",
                PasswordState {
                    max_password_age: Some(90),
                    ..LAX
                },
            ),
        ] {
            let after = changed(planned(control, &[], Some(&LAX)));
            assert_eq!(after, wanted, "{control}");
            assert_eq!(
                planned(control, &[], Some(&after)),
                Plan::Compliant,
                "{control}"
            );
        }
    }

    #[test]
    fn what_is_stricter_stays() {
        for control in CONTROLS {
            assert_eq!(
                planned(control, &[], Some(&STRICT)),
                Plan::Compliant,
                "{control}"
            );
        }
        for (age, expected) in [(None, 90), (Some(0), 90), (Some(120), 90), (Some(60), 60)] {
            let raised = PasswordState {
                max_password_age: age,
                ..STRICT
            }
            .raised(&Least {
                age: Some(90),
                ..Least::default()
            });
            assert_eq!(
                raised,
                PasswordState {
                    max_password_age: Some(expected),
                    ..STRICT
                }
            );
        }
    }

    #[test]
    fn parameters_say_how_much() {
        let parameters = [
            ("MinimumPasswordLength", "12"),
            ("RequireSymbols", "false"),
            ("MaxPasswordAge", "60"),
            ("PasswordReusePrevention", "12"),
        ];
        let after = changed(planned("IAM.7", &parameters, Some(&LAX)));
        assert_eq!(
            after,
            PasswordState {
                minimum_password_length: 12,
                require_uppercase_characters: true,
                require_lowercase_characters: true,
                require_numbers: true,
                max_password_age: Some(60),
                password_reuse_prevention: Some(12),
                ..LAX
            }
        );
    }

    #[test]
    fn an_account_without_a_policy_keeps_what_aws_asks_for_anyway() {
        for control in CONTROLS {
            let after = changed(planned(control, &[], None));
            assert!(after.minimum_password_length >= 8, "{control}");
            assert!(after.allow_users_to_change_password, "{control}");
            assert_eq!(after.hard_expiry, None, "{control}");
        }
    }

    #[test]
    fn anybody_with_the_support_policy_is_enough() {
        let order = account_order("IAM.18", &[]);
        let state = |roles: &[&str], groups: &[&str]| SupportState {
            roles: roles.iter().map(ToString::to_string).collect(),
            users: Vec::new(),
            groups: groups.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(
            SupportRole.plan(&state(&[], &[]), &order),
            Plan::Change(state(&[SUPPORT_ROLE], &[]))
        );
        for state in [state(&["r"], &[]), state(&[], &["g"])] {
            assert_eq!(SupportRole.plan(&state, &order), Plan::Compliant);
        }
    }
}
