//! The trails that an account sees, and which events they record.

use aws_sdk_cloudtrail::types::{
    AdvancedEventSelector, AdvancedFieldSelector, DataResource as SdkDataResource, EventSelector,
    ReadWriteType as SdkReadWriteType, Trail,
};
use aws_smithy_types::error::operation::BuildError;
use orgkeeper_shared::{
    aws_error::{AwsCallError, Service},
    remediation::target::Target,
};

use crate::{
    member::Member,
    member_client,
    refusal::{failed, incomplete},
    selectors::{
        AdvancedSelector, BasicSelector, DataResource, FieldSelector, ReadWriteType, Selectors,
    },
};

/// The trails of the account and of its organization, those of other Regions that record this one too.
pub(super) async fn all(member: &Member) -> Result<Vec<Trail>, AwsCallError> {
    let answer = member_client!(aws_sdk_cloudtrail, member)
        .describe_trails()
        .include_shadow_trails(true)
        .send()
        .await
        .map_err(failed(Service::CloudTrail, "DescribeTrails"))?;
    let mut trails = answer.trail_list.unwrap_or_default();
    trails.sort_by(|one, other| one.trail_arn.cmp(&other.trail_arn));
    Ok(trails)
}

/// Whether it records every Region.
pub(super) fn is_multi_region(trail: &Trail) -> bool {
    trail.is_multi_region_trail == Some(true)
}

/// Whether it is the organization's: only the management account may change it.
pub(super) fn is_of_organization(trail: &Trail, target: &Target) -> bool {
    let account = arn(trail).split(':').nth(4);
    trail.is_organization_trail == Some(true) || account != Some(target.account.as_str())
}

pub(super) fn arn(trail: &Trail) -> &str {
    trail.trail_arn.as_deref().unwrap_or_default()
}

/// The Region that it can be changed in.
pub(super) fn home<'a>(trail: &'a Trail, target: &'a Target) -> &'a str {
    let named = arn(trail).split(':').nth(3);
    let home = trail.home_region.as_deref().or(named);
    home.unwrap_or(&target.region)
}

/// Which events a trail records; `member` is the account in the trail's home Region.
pub(super) async fn selectors(member: &Member, trail: &str) -> Result<Selectors, AwsCallError> {
    let answer = member_client!(aws_sdk_cloudtrail, member)
        .get_event_selectors()
        .trail_name(trail)
        .send()
        .await
        .map_err(failed(Service::CloudTrail, "GetEventSelectors"))?;
    let advanced = answer.advanced_event_selectors.unwrap_or_default();
    let basic = answer.event_selectors.unwrap_or_default();
    Ok(if !advanced.is_empty() {
        Selectors::Advanced(advanced.into_iter().map(read_advanced).collect())
    } else if basic.is_empty() {
        Selectors::default()
    } else {
        Selectors::Basic(basic.into_iter().map(read_basic).collect())
    })
}

/// Sets which events a trail records; `member` is the account in the trail's home Region.
pub(super) async fn set_selectors(
    member: &Member,
    trail: &str,
    selectors: &Selectors,
) -> Result<(), AwsCallError> {
    const OPERATION: &str = "PutEventSelectors";
    let call = member_client!(aws_sdk_cloudtrail, member)
        .put_event_selectors()
        .trail_name(trail);
    let call = match selectors {
        Selectors::Basic(basic) => {
            call.set_event_selectors(Some(basic.iter().map(write_basic).collect()))
        }
        Selectors::Advanced(advanced) => {
            let advanced: Result<_, BuildError> = advanced.iter().map(write_advanced).collect();
            let advanced = advanced.map_err(incomplete(Service::CloudTrail, OPERATION))?;
            call.set_advanced_event_selectors(Some(advanced))
        }
    };
    call.send()
        .await
        .map_err(failed(Service::CloudTrail, OPERATION))?;
    Ok(())
}

fn read_basic(selector: EventSelector) -> BasicSelector {
    BasicSelector {
        read_write_type: match selector.read_write_type {
            Some(SdkReadWriteType::ReadOnly) => ReadWriteType::ReadOnly,
            Some(SdkReadWriteType::WriteOnly) => ReadWriteType::WriteOnly,
            _ => ReadWriteType::All,
        },
        include_management_events: selector.include_management_events != Some(false),
        data_resources: selector
            .data_resources
            .unwrap_or_default()
            .into_iter()
            .map(|data| DataResource {
                r#type: data.r#type.unwrap_or_default(),
                values: data.values.unwrap_or_default(),
            })
            .collect(),
        exclude_management_event_sources: selector
            .exclude_management_event_sources
            .unwrap_or_default(),
    }
}

fn write_basic(selector: &BasicSelector) -> EventSelector {
    let data = selector.data_resources.iter().map(|data| {
        SdkDataResource::builder()
            .r#type(&data.r#type)
            .set_values(Some(data.values.clone()))
            .build()
    });
    let excluded = &selector.exclude_management_event_sources;
    EventSelector::builder()
        .read_write_type(match selector.read_write_type {
            ReadWriteType::All => SdkReadWriteType::All,
            ReadWriteType::ReadOnly => SdkReadWriteType::ReadOnly,
            ReadWriteType::WriteOnly => SdkReadWriteType::WriteOnly,
        })
        .include_management_events(selector.include_management_events)
        .set_data_resources(Some(data.collect()))
        .set_exclude_management_event_sources(Some(excluded.clone()))
        .build()
}

fn read_advanced(selector: AdvancedEventSelector) -> AdvancedSelector {
    AdvancedSelector {
        name: selector.name,
        field_selectors: selector
            .field_selectors
            .into_iter()
            .map(|field| FieldSelector {
                field: field.field,
                equals: field.equals.unwrap_or_default(),
                starts_with: field.starts_with.unwrap_or_default(),
                ends_with: field.ends_with.unwrap_or_default(),
                not_equals: field.not_equals.unwrap_or_default(),
                not_starts_with: field.not_starts_with.unwrap_or_default(),
                not_ends_with: field.not_ends_with.unwrap_or_default(),
            })
            .collect(),
    }
}

fn write_advanced(selector: &AdvancedSelector) -> Result<AdvancedEventSelector, BuildError> {
    // AWS refuses an empty list.
    let listed = |values: &[String]| Some(values.to_vec()).filter(|values| !values.is_empty());
    let fields: Result<Vec<_>, _> = selector
        .field_selectors
        .iter()
        .map(|field| {
            AdvancedFieldSelector::builder()
                .field(&field.field)
                .set_equals(listed(&field.equals))
                .set_starts_with(listed(&field.starts_with))
                .set_ends_with(listed(&field.ends_with))
                .set_not_equals(listed(&field.not_equals))
                .set_not_starts_with(listed(&field.not_starts_with))
                .set_not_ends_with(listed(&field.not_ends_with))
                .build()
        })
        .collect();
    AdvancedEventSelector::builder()
        .set_name(selector.name.clone())
        .set_field_selectors(Some(fields?))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selectors::Wanted;

    #[test]
    fn selectors_survive_being_read_and_written() {
        let mut advanced = Selectors::Advanced(vec![AdvancedSelector {
            name: Some("theirs".to_owned()),
            field_selectors: vec![FieldSelector {
                field: "eventName".to_owned(),
                not_starts_with: vec!["Put".to_owned()],
                ..FieldSelector::default()
            }],
        }]);
        let mut basic = Selectors::default();
        for wanted in [
            Wanted::Management,
            Wanted::ObjectReads,
            Wanted::ObjectWrites,
        ] {
            advanced = advanced.with(wanted, "aws").unwrap();
            basic = basic.with(wanted, "aws").unwrap();
        }
        if let Selectors::Advanced(selectors) = &advanced {
            let again = selectors
                .iter()
                .map(|it| read_advanced(write_advanced(it).unwrap()));
            assert_eq!(again.collect::<Vec<_>>(), *selectors);
        }
        if let Selectors::Basic(selectors) = &basic {
            let again = selectors.iter().map(|it| read_basic(write_basic(it)));
            assert_eq!(again.collect::<Vec<_>>(), *selectors);
        }
    }
}
