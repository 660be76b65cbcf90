//! What a batch is about: the findings about one control on one resource, which are decided together.

use std::collections::BTreeMap;

use jiff::Timestamp;
use orgkeeper_shared::{
    ids::FindingId,
    remediation::{control::Control, record::Subject, target::Target},
};

use crate::{
    decision::{Decision, Refusal},
    finding::Finding,
    targets::Candidate,
};

/// Characters of a resource's identifier that are kept of a finding that is refused.
const REFUSED_ID: usize = 300;
/// Who ordered a fix by the custom action: its event does not say it.
const BY_CUSTOM_ACTION: &str = "custom action";

/// The findings of a batch about one control on one resource.
#[derive(Clone, Debug)]
pub struct Matter {
    /// What they are about.
    pub subject: Subject,
    /// The control.
    pub control: &'static Control,
    /// What is done about it.
    pub decision: Decision,
    /// The findings.
    pub findings: Vec<FindingId>,
    /// When the newest of them was found so.
    pub updated_at: Timestamp,
    /// When the newest event about it was sent, if the events say it.
    pub sent_at: Option<Timestamp>,
    /// Those of the findings that have nothing on them which has to be kept, and when the event was sent that says so.
    pub bare: BTreeMap<FindingId, Timestamp>,
    /// Who made the resource as it is, as the newest finding that names somebody has it.
    pub actor: Option<String>,
    /// The resource's tags, as the newest finding that has them says.
    pub tags: Option<BTreeMap<String, String>>,
    /// Who ordered a fix, if a person did.
    pub by: Option<&'static str>,
    /// The places of their messages in the batch.
    pub messages: Vec<usize>,
}

impl Matter {
    /// Notes whether a finding is bare: it is only if each of its events says so.
    fn note_bare(&mut self, finding: &Finding, sent_at: Option<Timestamp>, known: bool) {
        let Some(at) = sent_at.filter(|_| finding.bare) else {
            self.bare.remove(&finding.id);
            return;
        };
        match self.bare.get_mut(&finding.id) {
            Some(since) => *since = at.min(*since),
            None if known => {}
            None => drop(self.bare.insert(finding.id.clone(), at)),
        }
    }
}

/// The matters of a batch, by key.
#[derive(Debug, Default)]
pub struct Matters(BTreeMap<String, Matter>);

impl Matters {
    /// Adds what was decided about one resource of a finding. What a person ordered counts more than what the same
    /// resource's other findings came to; else the newest finding decides.
    pub fn add(
        &mut self,
        message: usize,
        finding: &Finding,
        control: &'static Control,
        candidate: &Candidate<'_>,
        decision: Decision,
        now: Timestamp,
    ) {
        let subject = subject(finding, control, candidate);
        let updated_at = finding.updated_at.unwrap_or(now);
        let by = finding.ordered.then_some(BY_CUSTOM_ACTION);
        let matter = self.0.entry(subject.key.clone()).or_insert_with(|| Matter {
            subject,
            control,
            decision: decision.clone(),
            findings: Vec::new(),
            updated_at,
            sent_at: None,
            bare: BTreeMap::new(),
            actor: None,
            tags: None,
            by,
            messages: Vec::new(),
        });
        if (by, updated_at) > (matter.by, matter.updated_at) {
            matter.decision = decision;
        }
        if finding.actor.is_some() && (matter.actor.is_none() || updated_at > matter.updated_at) {
            matter.actor.clone_from(&finding.actor);
        }
        if candidate.tags.is_some() && (matter.tags.is_none() || updated_at > matter.updated_at) {
            matter.tags = candidate.tags.cloned();
        }
        matter.by = matter.by.max(by);
        let sent_at: Option<Timestamp> = finding.sent_at.parse().ok();
        matter.sent_at = matter.sent_at.max(sent_at);
        matter.updated_at = matter.updated_at.max(updated_at);
        let known = matter.findings.contains(&finding.id);
        if !known {
            matter.findings.push(finding.id.clone());
        }
        matter.note_bare(finding, sent_at, known);
        if !matter.messages.contains(&message) {
            matter.messages.push(message);
        }
    }

    /// All of them, in the order of their keys.
    pub fn into_all(self) -> impl Iterator<Item = Matter> {
        self.0.into_values()
    }
}

/// What a decision is noted under. A resource that is none has a key, too: its refusal is reported once.
fn subject(finding: &Finding, control: &Control, candidate: &Candidate<'_>) -> Subject {
    if let Ok(target) = &candidate.target {
        return Subject::new(control, target);
    }
    let plain = |text: &str| -> String {
        let characters = text.chars().take(REFUSED_ID);
        let plain = |character: char| character.is_ascii_graphic() && character != '#';
        characters
            .map(|character| if plain(character) { character } else { '?' })
            .collect()
    };
    let target = Target {
        account: finding.account.clone(),
        region: plain(&finding.region),
        resource: plain(candidate.resource),
    };
    Subject::new(control, &target)
}

/// Whether a refusal is reported: what is wrong with a finding, and not that an account is one that nothing is
/// changed in.
#[must_use]
pub fn is_reported(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Mismatch(_) | Refusal::OutsideOrganization | Refusal::NoEntry => true,
        Refusal::LookupFailed | Refusal::AccountNotActive { .. } | Refusal::Protected => false,
    }
}
