//! Which events a trail records, as plain values.

use serde::{Deserialize, Serialize};

/// The event selectors of a trail. It has one kind or the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Selectors {
    /// Basic ones.
    Basic(Vec<BasicSelector>),
    /// Advanced ones.
    Advanced(Vec<AdvancedSelector>),
}

/// A basic event selector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct BasicSelector {
    /// Reading calls, writing calls, or both.
    pub read_write_type: ReadWriteType,
    /// Whether management events are recorded.
    pub include_management_events: bool,
    /// The resources whose data events are recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_resources: Vec<DataResource>,
    /// Services whose management events are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude_management_event_sources: Vec<String>,
}

/// Reading calls, writing calls, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadWriteType {
    /// Both.
    All,
    /// Reading calls.
    ReadOnly,
    /// Writing calls.
    WriteOnly,
}

/// Resources of one type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DataResource {
    /// The type.
    pub r#type: String,
    /// Their ARNs, or how these begin.
    pub values: Vec<String>,
}

/// An advanced event selector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AdvancedSelector {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What has to hold for an event.
    pub field_selectors: Vec<FieldSelector>,
}

/// What has to hold for a field of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FieldSelector {
    /// The field.
    pub field: String,
    /// It is one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub equals: Vec<String>,
    /// It begins with one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub starts_with: Vec<String>,
    /// It ends with one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ends_with: Vec<String>,
    /// It is none of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_equals: Vec<String>,
    /// It begins with none of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_starts_with: Vec<String>,
    /// It ends with none of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_ends_with: Vec<String>,
}

/// What a trail has to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Reading and writing management events of all services.
    Management,
    /// Calls that read objects, in every bucket.
    ObjectReads,
    /// Calls that write objects, in every bucket.
    ObjectWrites,
}

const OBJECT: &str = "AWS::S3::Object";
/// The most basic selectors that a trail can have.
const BASIC_SELECTORS: usize = 5;

impl Default for Selectors {
    /// What a trail records by default: all management events.
    fn default() -> Self {
        Self::Basic(vec![all_management_events()])
    }
}

fn all_management_events() -> BasicSelector {
    BasicSelector {
        read_write_type: ReadWriteType::All,
        include_management_events: true,
        data_resources: Vec::new(),
        exclude_management_event_sources: Vec::new(),
    }
}

impl Wanted {
    fn directions(self) -> &'static [ReadWriteType] {
        match self {
            Self::Management => &[ReadWriteType::ReadOnly, ReadWriteType::WriteOnly],
            Self::ObjectReads => &[ReadWriteType::ReadOnly],
            Self::ObjectWrites => &[ReadWriteType::WriteOnly],
        }
    }

    fn basic(self, partition: &str) -> BasicSelector {
        let objects = |read_write_type| BasicSelector {
            read_write_type,
            include_management_events: false,
            data_resources: vec![DataResource {
                r#type: OBJECT.to_owned(),
                values: vec![format!("arn:{partition}:s3")],
            }],
            exclude_management_event_sources: Vec::new(),
        };
        match self {
            Self::Management => all_management_events(),
            Self::ObjectReads => objects(ReadWriteType::ReadOnly),
            Self::ObjectWrites => objects(ReadWriteType::WriteOnly),
        }
    }

    fn advanced(self) -> AdvancedSelector {
        let field = |field: &str, value: &str| FieldSelector {
            field: field.to_owned(),
            equals: vec![value.to_owned()],
            ..FieldSelector::default()
        };
        let objects = |read_only| {
            vec![
                field("eventCategory", "Data"),
                field("resources.type", OBJECT),
                field("readOnly", read_only),
            ]
        };
        let (name, field_selectors) = match self {
            Self::Management => (
                "management events",
                vec![field("eventCategory", "Management")],
            ),
            Self::ObjectReads => ("object reads", objects("true")),
            Self::ObjectWrites => ("object writes", objects("false")),
        };
        AdvancedSelector {
            name: Some(format!("orgkeeper: {name}")),
            field_selectors,
        }
    }
}

impl Selectors {
    /// Whether these events are recorded, for all services and buckets.
    #[must_use]
    pub fn record(&self, wanted: Wanted, partition: &str) -> bool {
        wanted.directions().iter().all(|direction| match self {
            Self::Basic(selectors) => selectors
                .iter()
                .any(|selector| selector.records(wanted, *direction, partition)),
            Self::Advanced(selectors) => selectors
                .iter()
                .any(|selector| selector.records(wanted, *direction)),
        })
    }

    /// The same, and these events too; nothing if a trail has no room for another selector.
    #[must_use]
    pub fn with(&self, wanted: Wanted, partition: &str) -> Option<Self> {
        match self {
            Self::Basic(selectors) if selectors.len() >= BASIC_SELECTORS => None,
            Self::Basic(selectors) => {
                let mut selectors = selectors.clone();
                selectors.push(wanted.basic(partition));
                Some(Self::Basic(selectors))
            }
            Self::Advanced(selectors) => {
                let mut selectors = selectors.clone();
                selectors.push(wanted.advanced());
                Some(Self::Advanced(selectors))
            }
        }
    }
}

impl BasicSelector {
    fn records(&self, wanted: Wanted, direction: ReadWriteType, partition: &str) -> bool {
        let every_bucket = [
            format!("arn:{partition}:s3"),
            format!("arn:{partition}:s3:::"),
        ];
        let records = match wanted {
            Wanted::Management => {
                self.include_management_events && self.exclude_management_event_sources.is_empty()
            }
            Wanted::ObjectReads | Wanted::ObjectWrites => self.data_resources.iter().any(|data| {
                data.r#type == OBJECT && data.values.iter().any(|it| every_bucket.contains(it))
            }),
        };
        records && [ReadWriteType::All, direction].contains(&self.read_write_type)
    }
}

impl AdvancedSelector {
    fn records(&self, wanted: Wanted, direction: ReadWriteType) -> bool {
        let (category, read_only) = (
            match wanted {
                Wanted::Management => "Management",
                Wanted::ObjectReads | Wanted::ObjectWrites => "Data",
            },
            match direction {
                ReadWriteType::ReadOnly => "true",
                ReadWriteType::All | ReadWriteType::WriteOnly => "false",
            },
        );
        let names_category = self
            .field_selectors
            .iter()
            .any(|field| field.field == "eventCategory" && field.allows(category));
        names_category
            && self
                .field_selectors
                .iter()
                .all(|field| match field.field.as_str() {
                    "eventCategory" => true,
                    "resources.type" => wanted != Wanted::Management && field.allows(OBJECT),
                    "readOnly" => field.allows(read_only),
                    // Anything else leaves events out.
                    _ => false,
                })
    }
}

impl FieldSelector {
    /// Whether it is for this value, and for no part of it.
    fn allows(&self, value: &str) -> bool {
        self.equals.iter().any(|it| it == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Wanted; 3] = [
        Wanted::Management,
        Wanted::ObjectReads,
        Wanted::ObjectWrites,
    ];

    fn advanced(fields: &[(&str, &[&str])]) -> AdvancedSelector {
        AdvancedSelector {
            name: None,
            field_selectors: fields
                .iter()
                .map(|(field, equals)| FieldSelector {
                    field: (*field).to_owned(),
                    equals: equals.iter().map(ToString::to_string).collect(),
                    ..FieldSelector::default()
                })
                .collect(),
        }
    }

    fn recorded(selectors: &Selectors) -> Vec<Wanted> {
        let recorded = ALL.into_iter();
        recorded
            .filter(|wanted| selectors.record(*wanted, "aws"))
            .collect()
    }

    #[test]
    fn basic_selectors_record_what_they_name() {
        use ReadWriteType::{All, ReadOnly, WriteOnly};
        let basic = |read_write_type, include_management_events, value: &str, excluded: &[&str]| {
            BasicSelector {
                read_write_type,
                include_management_events,
                data_resources: vec![DataResource {
                    r#type: OBJECT.to_owned(),
                    values: vec![value.to_owned()],
                }],
                exclude_management_event_sources: excluded
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
            }
        };
        for (selectors, expected) in [
            (vec![], &[][..]),
            (vec![basic(All, true, "arn:aws:s3", &[])], &ALL[..]),
            (
                vec![basic(WriteOnly, true, "arn:aws:s3:::", &[])],
                &[Wanted::ObjectWrites],
            ),
            (
                vec![basic(All, true, "arn:aws:s3:::one/", &[])],
                &[Wanted::Management],
            ),
            (
                vec![basic(All, true, "arn:aws-cn:s3", &["kms.amazonaws.com"])],
                &[],
            ),
            (
                vec![
                    basic(ReadOnly, true, "arn:aws:s3", &[]),
                    basic(WriteOnly, true, "x", &[]),
                ],
                &[Wanted::Management, Wanted::ObjectReads],
            ),
        ] {
            assert_eq!(
                recorded(&Selectors::Basic(selectors.clone())),
                expected,
                "{selectors:?}"
            );
        }
        assert_eq!(recorded(&Selectors::default()), [Wanted::Management]);
    }

    #[test]
    fn advanced_selectors_record_what_they_leave() {
        let data: (&str, &[&str]) = ("eventCategory", &["Data"]);
        let objects: (&str, &[&str]) = ("resources.type", &[OBJECT]);
        let management: (&str, &[&str]) = ("eventCategory", &["Management"]);
        for (fields, expected) in [
            (vec![management], &[Wanted::Management][..]),
            (vec![management, ("readOnly", &["false"])], &[]),
            (
                vec![management, ("eventSource", &["iam.amazonaws.com"])],
                &[],
            ),
            (
                vec![data, objects],
                &[Wanted::ObjectReads, Wanted::ObjectWrites],
            ),
            (
                vec![data, objects, ("readOnly", &["true"])],
                &[Wanted::ObjectReads],
            ),
            (
                vec![data, objects, ("resources.ARN", &["arn:aws:s3:::one/"])],
                &[],
            ),
            (
                vec![data, ("resources.type", &["AWS::Lambda::Function"])],
                &[],
            ),
        ] {
            let selectors = Selectors::Advanced(vec![advanced(&fields)]);
            assert_eq!(recorded(&selectors), expected, "{fields:?}");
        }
    }

    #[test]
    fn what_is_there_is_kept() {
        let others = [
            Selectors::Basic(vec![]),
            Selectors::default(),
            Selectors::Advanced(vec![advanced(&[("eventCategory", &["Insight"])])]),
        ];
        for before in others {
            let mut selectors = before.clone();
            for wanted in ALL {
                selectors = selectors.with(wanted, "aws").unwrap();
                assert!(selectors.record(wanted, "aws"), "{selectors:?}");
            }
            match (&before, &selectors) {
                (Selectors::Basic(before), Selectors::Basic(after)) => {
                    assert_eq!(after[..before.len()], before[..]);
                }
                (Selectors::Advanced(before), Selectors::Advanced(after)) => {
                    assert_eq!(after[..before.len()], before[..]);
                }
                _ => panic!("another kind"),
            }
        }
        let full = Selectors::Basic(vec![all_management_events(); BASIC_SELECTORS]);
        assert_eq!(full.with(Wanted::ObjectReads, "aws"), None);
    }
}
