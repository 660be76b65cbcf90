//! To whom a request opens something.

use serde_json::{Value, json};

use super::calls::Opens;
use crate::{
    draft::Draft,
    event::{Event, account_id_in, text_of},
    kinds::opened::{lets_in_nobody, read_policy},
    policy_document::{LetsIn, PolicyDocument, UNREAD},
    severity::Content,
};

/// A database can be reached from the internet, as far as its network allows.
pub(super) const DATABASE: Content = Content::grave("a database on the internet");
/// Everybody who knows the address can call a function.
pub(super) const FUNCTION_URL: Content = Content::grave("a function that everybody can call");
/// A bucket can be made public again.
pub(super) const BUCKET_BLOCK: Content = Content::grave("the block of a bucket removed");
/// Everything in an account can be made public again.
pub(super) const ACCOUNT_BLOCK: Content = Content::grave("the block of an account removed");

const REQUEST: &str = "/detail/requestParameters";
/// The settings of a block of public access. One that is left out is off.
const BLOCK_SETTINGS: &[&str] = &[
    "BlockPublicAcls",
    "BlockPublicPolicy",
    "IgnorePublicAcls",
    "RestrictPublicBuckets",
];
/// Groups and canned lists of S3 that are everybody, or everybody who has an AWS account.
const PUBLIC_LISTS: &[&str] = &[
    "AllUsers",
    "AuthenticatedUsers",
    "public-",
    "authenticated-read",
];
/// Canned lists and a group of S3 that let in nobody but the owner and AWS.
const PRIVATE_LISTS: &[&str] = &[
    "private",
    "bucket-owner-read",
    "bucket-owner-full-control",
    "aws-exec-read",
    "log-delivery-write",
];

/// Adds to a draft what a request opens. False if it opens nothing.
pub(super) fn read(draft: &mut Draft, event: &Event, opens: Opens, harmless: &[&str]) -> bool {
    match opens {
        Opens::ByPolicy(fields) => {
            let places: Vec<String> = fields.iter().map(|field| place(field)).collect();
            let places: Vec<&str> = places.iter().map(String::as_str).collect();
            read_policy(draft, event, &places);
        }
        Opens::ToAccounts(fields) => read_accounts(draft, event, fields),
        Opens::ByAccessList => read_access_list(draft, event),
        Opens::ToPrincipal => read_principal(draft, event),
        Opens::Database(field) => read_switch(draft, event, field, ("true", "false"), DATABASE),
        Opens::FunctionUrl(field) => {
            read_switch(draft, event, field, ("NONE", "AWS_IAM"), FUNCTION_URL);
        }
        Opens::BucketBlock | Opens::AccountBlock if is_whole_block(event) => {}
        Opens::BucketBlock | Opens::NoBucketBlock => draft.is_about(BUCKET_BLOCK),
        Opens::AccountBlock | Opens::NoAccountBlock => draft.is_about(ACCOUNT_BLOCK),
    }
    let is_there = |field: &&str| event.node(&place(field)).is_some_and(|it| !it.is_null());
    let unread = draft.content == Some(UNREAD);
    !(lets_in_nobody(draft) || unread && !is_given(event, opens) && harmless.iter().any(is_there))
}

fn place(field: &str) -> String {
    format!("{REQUEST}/{field}")
}

/// Whether a request has the field that says who is let in.
fn is_given(event: &Event, opens: Opens) -> bool {
    let fields = match &opens {
        Opens::ByPolicy(fields) | Opens::ToAccounts(fields) => *fields,
        Opens::Database(field) | Opens::FunctionUrl(field) => std::slice::from_ref(field),
        _ => return true,
    };
    fields
        .iter()
        .any(|field| event.node(&place(field)).is_some_and(|it| !it.is_null()))
}

fn let_in(draft: &mut Draft, mut lets_in: LetsIn) {
    if let Some(own) = &draft.account {
        lets_in.accounts.remove(own);
    }
    draft.lets_in(lets_in);
}

/// All texts within a value.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(values) => values.values().for_each(|value| texts(value, found)),
        value => found.extend(text_of(Some(value))),
    }
}

fn texts_at(event: &Event, fields: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for value in fields.iter().filter_map(|field| event.node(&place(field))) {
        texts(value, &mut found);
    }
    found
}

fn read_accounts(draft: &mut Draft, event: &Event, fields: &[&str]) {
    let names = texts_at(event, fields);
    let mut lets_in = LetsIn::default();
    let mut is_known = !names.is_empty();
    for name in names {
        if name == "*" || name == "all" {
            lets_in.everybody = true;
        } else if name.contains(":organizations:") {
            // arn:aws:organizations::999900001111:ou/o-a1b2c3d4e5/ou-ab12-cdefgh34
            let organization = name.split('/').nth(1).unwrap_or(&name);
            lets_in.organizations.insert(organization.to_owned());
        } else if let Some(account) = account_id_in(&name) {
            lets_in.accounts.insert(account);
        } else if !name.ends_with(".amazonaws.com") && name != "amazon-redshift-support" {
            is_known = false;
        }
    }
    if is_known || lets_in.everybody || !lets_in.accounts.is_empty() {
        let_in(draft, lets_in);
    } else {
        draft.is_about(UNREAD);
    }
}

/// A grant to a canonical user other than the owner cannot be attributed to an account.
fn read_access_list(draft: &mut Draft, event: &Event) {
    let names = texts_at(event, &["x-amz-acl"]);
    let mut grants = Vec::new();
    for field in [
        "grant-read",
        "grant-write",
        "grant-read-acp",
        "grant-write-acp",
        "grant-full-control",
    ] {
        grants.extend(texts_at(event, &[&format!("x-amz-{field}")]));
    }
    let list = "AccessControlPolicy/AccessControlList";
    grants.extend(texts_at(event, &[list]));
    let everybody = names
        .iter()
        .chain(&grants)
        .any(|name| PUBLIC_LISTS.iter().any(|public| name.contains(public)));
    let owner = event.value(&place("AccessControlPolicy/Owner/ID"));
    let is_private = grants.is_empty()
        && !names.is_empty()
        && names
            .iter()
            .all(|name| PRIVATE_LISTS.contains(&name.as_str()));
    let grantees: Vec<String> = texts_of_grantees(event, list);
    let only_owner = !grantees.is_empty()
        && grantees
            .iter()
            .all(|id| Some(id) == owner.as_ref() || id.ends_with("/LogDelivery"));
    if everybody {
        draft.lets_in(LetsIn {
            everybody: true,
            ..LetsIn::default()
        });
    } else if !is_private && !only_owner {
        draft.is_about(UNREAD);
    }
}

/// The ids and groups in the grants of an access control list.
fn texts_of_grantees(event: &Event, list: &str) -> Vec<String> {
    let grants = event.node(&place(&format!("{list}/Grant")));
    let grants = match grants {
        Some(Value::Array(grants)) => grants.as_slice(),
        Some(grant) => std::slice::from_ref(grant),
        None => &[],
    };
    let id = |grant: &Value| {
        let names = ["ID", "URI", "EmailAddress"];
        names
            .iter()
            .find_map(|name| text_of(grant["Grantee"].get(name)))
            .unwrap_or_default()
    };
    grants.iter().map(id).collect()
}

/// The principal of a permission and what limits it, as the statement that Lambda makes of them.
fn read_principal(draft: &mut Draft, event: &Event) {
    let field = |name: &str| event.value(&place(name));
    let Some(principal) = field("principal") else {
        return draft.is_about(UNREAD);
    };
    if principal.ends_with(".amazonaws.com") {
        return;
    }
    if field("functionUrlAuthType").is_some_and(|kind| kind == "NONE") && principal == "*" {
        return draft.is_about(FUNCTION_URL);
    }
    let mut conditions = serde_json::Map::new();
    for (name, key) in [
        ("principalOrgID", "aws:PrincipalOrgID"),
        ("organizationId", "aws:PrincipalOrgID"),
        ("sourceAccount", "aws:SourceAccount"),
        ("sourceArn", "aws:SourceArn"),
    ] {
        conditions.extend(field(name).map(|value| (key.to_owned(), value.into())));
    }
    let document = json!({ "Statement": [{ "Effect": "Allow", "Principal": { "AWS": principal },
        "Condition": { "StringEquals": conditions } }] });
    match PolicyDocument::read(Some(&document)).filter(PolicyDocument::is_understood) {
        Some(document) => draft.lets_in(document.lets_in(draft.account.as_ref())),
        None => draft.is_about(UNREAD),
    }
}

fn read_switch(
    draft: &mut Draft,
    event: &Event,
    field: &str,
    (open, closed): (&str, &str),
    content: Content,
) {
    if event.is(&place(field), open) {
        draft.is_about(content);
    } else if !event.is(&place(field), closed) {
        draft.is_about(UNREAD);
    }
}

/// Whether a request switches everything in a block of public access on.
fn is_whole_block(event: &Event) -> bool {
    BLOCK_SETTINGS.iter().all(|setting| {
        event.is(
            &place(&format!("PublicAccessBlockConfiguration/{setting}")),
            "true",
        )
    })
}
