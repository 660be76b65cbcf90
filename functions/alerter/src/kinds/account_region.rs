//! Regions that are enabled or disabled in an account.

use orgkeeper_shared::alert::Severity;

use crate::{
    draft::Draft,
    event::Event,
    event_rule::EventRule,
    kind::Kind,
    kinds::{
        call_words::{self, CallWords, NextSteps, describe_call, row as call},
        classifier::{Classification, Classifier},
        concerned_account,
    },
    severity::{BY_A_DEPLOYMENT, BY_A_SERVICE, Content, DENIED, NOT_THERE, row},
};

/// Who looks at the usual Regions misses what runs there.
const ENABLED: Content = Content::grave("a Region was enabled");

/// A Region was enabled or disabled.
pub const KIND: &Kind = &Kind {
    name: "account.region",
    plural: "Regions enabled or disabled",
    severities: &[
        NOT_THERE,
        DENIED,
        BY_A_SERVICE,
        BY_A_DEPLOYMENT,
        row(Severity::Error),
    ],
};

pub(super) const CLASSIFIER: Classifier = Classifier {
    kind: KIND,
    about: "a Region was enabled or disabled in an account, or an attempt",
    rules: &[EventRule::of_calls(
        "AccountRegion",
        "Regions that are enabled or disabled in accounts",
    )],
    calls: CALLS,
    samples: &["account-region"],
    classify,
};

const DISABLE: [&str; 2] = ["disable", "disabled"];
const ENABLE: [&str; 2] = ["enable", "enabled"];

/// The calls that are reported.
pub const CALLS: &[CallWords] = &[
    call("account", "EnableRegion", ENABLE, "Region {regionName}", ""),
    call(
        "account",
        "DisableRegion",
        DISABLE,
        "Region {regionName}",
        "",
    ),
];

const ON: &str = "Ask them. If it was not planned, see what runs in this Region, remove it and disable the Region again. \
    Check that the trail, Config and GuardDuty cover it: a Region that nobody looks at is a place to hide.";
const OFF: &str = "Resources in this Region go on running and costing, but nobody can change them. If this was not planned, \
    enable it again and ask them.";
const NOT_DONE: &str = "Nothing was changed. Ask them if you do not expect this from them.";

/// Classifies a Region that was enabled or disabled.
fn classify(event: &Event) -> Option<Classification> {
    let words = call_words::find(CALLS, &event.call()?)?;
    let mut draft = Draft::of_call(event, KIND, words.what(event));
    concerned_account::take(&mut draft, event, &["accountId"], " in ");
    let enabled = words.verb == ENABLE[0];
    if enabled {
        draft.is_about(ENABLED);
    }
    let next = NextSteps {
        done: if enabled { ON } else { OFF },
        denied: NOT_DONE,
        failed: NOT_DONE,
    };
    describe_call(&mut draft, words, event, next);
    Some(draft.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::test_events::{DEPLOYER, PERSON, call as event, draft, judged};

    #[test]
    fn a_region_is_named_with_its_account() {
        let request = json!({ "requestParameters": { "accountId": "111122223333", "regionName": "ap-east-1" } });
        for (operation, role, severity, headline) in [
            (
                "EnableRegion",
                PERSON,
                Severity::Error,
                "Region ap-east-1 enabled",
            ),
            (
                "EnableRegion",
                DEPLOYER,
                Severity::Info,
                "Region ap-east-1 enabled",
            ),
            (
                "DisableRegion",
                PERSON,
                Severity::Error,
                "Region ap-east-1 disabled",
            ),
        ] {
            let event = event("account", operation, role, &request);
            let judged = judged(&event).unwrap();
            assert_eq!(judged, (KIND.name, severity, headline.to_owned()));
            assert_eq!(draft(&event).unwrap().account, "111122223333".parse().ok());
        }
    }
}
