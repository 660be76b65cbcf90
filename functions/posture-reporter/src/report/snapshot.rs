//! Everything that a report is written from.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, civil::Date};
use orgkeeper_shared::{
    ids::AccountId,
    posture::{
        exposure::{Exposure, Kind, Reachable},
        pair::{Outcome, Pair, PairRecord},
        setting_record::SettingRecord,
        survey::SurveySummary,
    },
};

use super::enrolment_csv::Enrolment;
use super::recording::{Gap, SecondSource, gaps};
use crate::notice::day;

/// An account, as far as the directory knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownAccount {
    /// Its name.
    pub name: String,
    /// The path of its unit.
    pub unit: String,
}

/// Everything that a report is written from.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The survey.
    pub survey: SurveySummary,
    /// The pairs of account and Region, in order.
    pub pairs: Vec<PairRecord>,
    /// What faces the internet, in order.
    pub exposures: Vec<Exposure>,
    /// The routes to the internet, in order.
    pub routes: Vec<Exposure>,
    /// The accounts.
    pub accounts: BTreeMap<AccountId, KnownAccount>,
    /// The settings of accounts and Regions.
    pub settings: Vec<SettingRecord>,
    /// What a second source has recorded.
    pub second_source: SecondSource,
    /// The accounts outside Control Tower.
    pub enrolment: Enrolment,
    /// The time.
    pub now: Timestamp,
}

impl Snapshot {
    /// In order, so that two reports can be compared line by line.
    #[must_use]
    pub fn new(
        survey: SurveySummary,
        mut pairs: Vec<PairRecord>,
        mut exposures: Vec<Exposure>,
        accounts: BTreeMap<AccountId, KnownAccount>,
        now: Timestamp,
    ) -> Self {
        pairs.sort_by(|one, other| one.pair.cmp(&other.pair));
        exposures.sort_by(|one, other| {
            (&one.pair, &one.exposure_id).cmp(&(&other.pair, &other.exposure_id))
        });
        let (routes, exposures) = exposures
            .into_iter()
            .partition(|exposure| exposure.kind == Kind::Route);
        Self {
            survey,
            pairs,
            exposures,
            routes,
            accounts,
            settings: Vec::new(),
            second_source: SecondSource::Off,
            enrolment: Enrolment::default(),
            now,
        }
    }

    /// The same with what is known of settings.
    #[must_use]
    pub fn with_settings(self, settings: Vec<SettingRecord>) -> Self {
        Self { settings, ..self }
    }

    /// The same with what a second source has recorded.
    #[must_use]
    pub fn with_second_source(self, second_source: SecondSource) -> Self {
        Self {
            second_source,
            ..self
        }
    }

    /// The same with the accounts outside Control Tower.
    #[must_use]
    pub fn with_enrolment(self, enrolment: Enrolment) -> Self {
        Self { enrolment, ..self }
    }

    /// What the second source lacks, for each pair in which there is something to record; nothing if it was not asked.
    #[must_use]
    pub fn recording_gaps(&self) -> BTreeMap<&Pair, Gap<'_>> {
        match &self.second_source {
            SecondSource::Off | SecondSource::Unasked { .. } => BTreeMap::new(),
            SecondSource::Asked(recorded) => gaps(recorded, &self.pairs, &self.exposures),
        }
    }

    /// The day that the survey is about.
    #[must_use]
    pub fn day(&self) -> Date {
        day(self.survey.began_at)
    }

    /// The folder of its files.
    #[must_use]
    pub fn folder(&self) -> String {
        folder(&self.survey)
    }

    /// Name and unit of the account of an exposure: those of the directory, else those that the survey noted.
    #[must_use]
    pub fn account(&self, id: &AccountId) -> KnownAccount {
        let known = self.accounts.get(id).cloned();
        known.unwrap_or_else(|| {
            let noted = self
                .exposures
                .iter()
                .find(|exposure| exposure.pair.account == *id);
            noted.map_or_else(KnownAccount::default, |exposure| KnownAccount {
                name: exposure.owner.account_name.clone(),
                unit: exposure.owner.unit.clone(),
            })
        })
    }

    /// What somebody outside can reach.
    pub fn reachable(&self) -> impl Iterator<Item = &Exposure> {
        self.exposures
            .iter()
            .filter(|exposure| exposure.kind.is_inbound() && exposure.reachable == Reachable::Yes)
    }

    /// What people have to look at: neither expected nor accepted.
    pub fn unexpected(&self) -> impl Iterator<Item = &Exposure> {
        let today = day(self.now);
        self.exposures
            .iter()
            .filter(move |exposure| exposure.is_unexpected(today))
    }

    /// What was first seen within a day before the report.
    pub fn new_since_yesterday(&self) -> impl Iterator<Item = &Exposure> {
        let since = self.now - SignedDuration::from_hours(24);
        self.exposures
            .iter()
            .filter(move |exposure| exposure.first_seen >= since)
    }

    /// The pairs that could not be read.
    pub fn unread(&self) -> impl Iterator<Item = &PairRecord> {
        self.pairs
            .iter()
            .filter(|record| !record.outcome.is_accounted_for())
    }

    /// How many pairs ended so.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.pairs
            .iter()
            .filter(|record| record.outcome == outcome)
            .count()
    }
}

/// The folder of the files of a survey.
#[must_use]
pub fn folder(survey: &SurveySummary) -> String {
    format!("reports/{}/", day(survey.began_at))
}
